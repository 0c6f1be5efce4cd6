//! A running httpd, in whatever condition, loses no set; once it is dead, all its sets go.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{Namespace, Run, wait_until};
use crate::server::{AS_WWW, Apache, tempting};
use crate::table::Case;
use crate::{ROOMY, case};

/// Runs a guard while the httpd is running, then one after its sudden end.
#[track_caller]
fn keeps_then_removes(case: &mut Case, apache: &Apache, ns: &Namespace) {
    let alive = ns.ids();
    assert!(!alive.is_empty());
    case.guard(ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    apache.kill();
    let left = ns.ids();
    case.guard(ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_healthy_httpd_whose_launcher_is_dead_loses_nothing() {
    let mut case = case!("healthy httpd, launcher dead", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "event", "");
    apache.start();
    assert_eq!(tempting(&ns), ns.ids(), "nothing but the unused set of a dead launcher");
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn a_rewrite_map_last_used_by_an_expired_child_keeps_its_lock() {
    let mut case = case!("rewrite-map last used by an expired child", "apache2", "curl", "pgrep");
    let ns = Namespace::new(ROOMY);
    ns.write("map.sh", "#!/bin/sh\nwhile read key; do echo index.html; done\n");
    ns.sh("chmod 755 /run/t/map.sh").exits(0);
    let apache = Apache::new(
        &ns,
        "prefork",
        "LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so\n\
         MaxConnectionsPerChild 1\n\
         RewriteEngine on\n\
         RewriteMap any prg:/run/t/map.sh\n\
         RewriteRule ^/map/(.*)$ /${any:$1}\n",
    );
    let sets = apache.start();
    let leader = apache.leader();
    let map = format!("{}/map/x", apache.url("http", 0));
    assert!(apache.gets(&map), "{}", apache.log());
    // Later children take the accept mutex, but none takes the map's lock.
    assert!(apache.gets(&format!("{}/index.html", apache.url("http", 1))));
    let expired = |id: &i32| {
        let pid = ns.semaphore(*id).pid;
        ns.sets().iter().any(|s| s.id == *id && s.otime != 0)
            && pid != leader
            && !apache.workers(leader).contains(&pid)
            && !ns.lives(pid)
    };
    wait_until("a lock was last used by an expired child", || sets.iter().any(expired));
    case.guard(&ns, &sets, &[], || ns.guard("guard --user 33")).exits(0);
    assert!(apache.gets(&map) && apache.gets(&map), "{}", apache.log());
    apache.serves();
    apache.kill();
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn workers_that_wait_without_a_parent_keep_their_sets() {
    let mut case = case!(
        "parent killed, workers serve: idle, waiting for the lock",
        "apache2",
        "curl",
        "openssl"
    );
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "StartServers 3\n");
    let sets = apache.start();
    let leader = apache.leader();
    ns.kill(leader);
    wait_until("a worker waits for the accept mutex", || {
        sets.iter().any(|id| ns.semaphore(*id).growing > 0)
    });
    case.guard(&ns, &sets, &[], || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    apache.kill_group(leader);
    case.guard(&ns, &[], &sets, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn busy_workers_without_a_parent_keep_sets_without_waiters() {
    let mut case = case!(
        "parent killed, workers serve: all busy, none waiting",
        "apache2",
        "curl",
        "openssl",
        "pgrep"
    );
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(
        &ns,
        "prefork",
        "StartServers 3\nMaxSpareServers 3\nServerLimit 3\nMaxRequestWorkers 3\n",
    );
    let sets = apache.start();
    let leader = apache.leader();
    wait_until("three workers", || apache.workers(leader).len() == 3);
    let workers = apache.workers(leader);
    ns.kill(leader);
    // Each occupies one worker, which keeps reading until Timeout.
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = ns.command("bash");
            client.args([
                "-c",
                "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET /' >&3; exec sleep 600",
            ]);
            client.spawn().expect("bash runs")
        })
        .collect();
    let idle = |id: &i32| {
        let s = ns.semaphore(*id);
        s.value == 1 && s.growing == 0
    };
    wait_until("no lock is held or waited for", || sets.iter().all(idle));
    case.guard(&ns, &sets, &[], || ns.guard("guard --user 33")).exits(0);
    // And the last process to use the lock is dead.
    let used = ns.sets().iter().find(|s| s.otime != 0).map(|s| s.id).expect("the accept mutex");
    let last = ns.semaphore(used).pid;
    assert!(workers.contains(&last));
    ns.kill(last);
    assert_eq!(ns.semaphore(used).pid, last);
    case.guard(&ns, &sets, &[], || ns.guard("guard --user 33")).exits(0);
    ns.sh("pkill -x sleep").exits(0);
    for client in &mut clients {
        client.wait().expect("waited");
    }
    apache.serves();
    apache.kill_group(leader);
    case.guard(&ns, &[], &sets, || ns.guard("guard --user 33")).exits(0);
}

/// One of two instances under the same user is killed: everything that it left goes, used or not, and
/// nothing of the running one, before and after a graceful restart of the latter.
fn one_of_two_crashes(
    mut case: Case,
    ns: &Namespace,
    living: &Apache,
    crashing: &Apache,
    of_living: &[i32],
) {
    let all = ns.ids();
    case.guard(ns, &all, &[], || ns.guard("guard --user 33")).exits(0);
    crashing.kill();
    let of_crashed: Vec<i32> = all.into_iter().filter(|id| !of_living.contains(id)).collect();
    assert!(of_crashed.len() >= 2, "{of_crashed:?}");
    let leader = living.leader();
    let list = ns.guard("list --user 33").exits(0);
    for id in of_living {
        let verdict = list.verdict(*id);
        let why = [&format!("known to apache2 {leader}"), "in use"];
        assert!(why.iter().any(|why| verdict.contains(*why)), "{list}");
    }
    case.guard(ns, of_living, &of_crashed, || ns.guard("guard --user 33")).exits(0);
    living.serves();
    living.graceful();
    let alive: Vec<i32> = ns.ids();
    case.guard(ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    living.serves();
    living.kill();
    let left = ns.ids();
    case.guard(ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn of_two_instances_the_running_one_keeps_all_and_the_dead_younger_ones_sets_go() {
    let case =
        case!("two instances, one crashed: the younger", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let living = Apache::another(&ns, "living", 8080);
    let crashing = Apache::another(&ns, "crashing", 8180);
    let of_living = living.start();
    crashing.start();
    crashing.serves_plainly();
    one_of_two_crashes(case, &ns, &living, &crashing, &of_living);
}

#[test]
fn of_two_instances_the_running_one_keeps_all_and_the_dead_older_ones_sets_go() {
    let case =
        case!("two instances, one crashed: the older", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let crashing = Apache::another(&ns, "crashing", 8080);
    let living = Apache::another(&ns, "living", 8180);
    crashing.start();
    crashing.serves_plainly();
    let of_living = living.start();
    one_of_two_crashes(case, &ns, &living, &crashing, &of_living);
}

#[test]
fn graceful_restarts_under_load_lose_no_set_to_guards_in_a_loop() {
    let mut case =
        case!("graceful restarts under load, guards in a loop", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "StartServers 4\nMinSpareServers 4\n");
    apache.start();
    let stop = ns.path("/run/t/stop");
    let spawn = |script: &str, words: &[&str]| {
        let mut command = ns.command("sh");
        command.args(["-c", script, "sh"]).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh runs")
    };
    let (plain, tls) = (apache.url("http", 1), apache.url("https", 2));
    let request = "while ! test -e /run/t/stop; do \
                   test \"$(curl -sk --max-time 20 $1/index.html)\" = 'it works' && echo ok || \
                   echo failed; done";
    let requesters: Vec<_> =
        [&plain, &tls, &plain, &tls].iter().map(|url| spawn(request, &[url])).collect();
    let guard = ns.guard_copy();
    let guards = spawn(
        "while ! test -e /run/t/stop; do $1 guard --user 33 --no-ask || echo failed; done",
        &[&guard],
    );
    let began = Instant::now();
    let mut restarts = 0;
    while restarts < 8 || began.elapsed() < Duration::from_secs(10) {
        apache.graceful();
        restarts += 1;
    }
    fs::write(stop, "").expect("written");
    let mut answered = 0;
    let mut failed = 0;
    for requester in requesters {
        let said = Run::end(requester).out;
        answered += said.matches("ok").count();
        failed += said.matches("failed").count();
    }
    let said = Run::end(guards);
    let runs = said.out.matches("httpd's locks can be made").count();
    let removed = said.err.matches("removed semaphore set").count();
    let kept: usize = said
        .out
        .lines()
        .filter_map(|l| l.rsplit("; ").next()?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    case.add([kept, 0, 0, removed]);
    case.runs(runs);
    case.note(&format!("{restarts} restarts, {answered} requests, {failed} failed"));
    assert!(runs >= 8 && answered >= 8, "{runs} {answered} {said}");
    assert_eq!((removed, failed), (0, 0), "{said}\n{}", apache.log());
    assert!(!said.out.contains("failed"), "{said}");
    apache.serves();
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn an_httpd_whose_binary_was_deleted_loses_nothing() {
    let mut case =
        case!("httpd binary deleted while it runs", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let mut apache = Apache::with_tls(&ns, "prefork", "");
    ns.sh("mkdir /run/t/sbin && cp /usr/sbin/apache2 /run/t/sbin/apache2").exits(0);
    "/run/t/sbin/apache2".clone_into(&mut apache.program);
    apache.start();
    fs::remove_file(ns.path("/run/t/sbin/apache2")).expect("removed");
    let exe = ns.sh(&format!("readlink /proc/{}/exe", apache.leader())).exits(0).out;
    assert_eq!(exe.trim_end(), "/run/t/sbin/apache2 (deleted)");
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn an_httpd_whose_binary_was_replaced_loses_nothing() {
    let mut case =
        case!("httpd binary replaced while it runs", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let mut apache = Apache::with_tls(&ns, "event", "");
    ns.sh("mkdir /run/t/sbin && cp /usr/sbin/apache2 /run/t/sbin/apache2").exits(0);
    "/run/t/sbin/apache2".clone_into(&mut apache.program);
    apache.start();
    // As dpkg does: a new file under another name, renamed over the old one.
    ns.sh("cd /run/t/sbin && cp /usr/sbin/apache2 new && mv new apache2").exits(0);
    let exe = ns.sh(&format!("readlink /proc/{}/exe", apache.leader())).exits(0).out;
    assert_eq!(exe.trim_end(), "/run/t/sbin/apache2 (deleted)");
    let alive = ns.ids();
    case.guard(&ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    // The new binary's control program restarts the old one.
    apache.graceful();
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn an_httpd_under_another_name_is_recognised_by_its_library() {
    let mut case = case!("httpd under another name", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let mut apache = Apache::with_tls(&ns, "event", "");
    ns.sh("cp /usr/sbin/apache2 /run/t/webd").exits(0);
    "/run/t/webd".clone_into(&mut apache.program);
    apache.start();
    assert_eq!(tempting(&ns), ns.ids());
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn an_httpd_not_started_by_root_is_guarded_by_root() {
    let mut case =
        case!("httpd not started by root, root's guard", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "").not_by_root();
    apache.start();
    assert!(ns.sets().iter().all(|s| (s.uid, s.cuid) == (33, 33)), "{:?}", ns.sets());
    keeps_then_removes(&mut case, &apache, &ns);
}

#[test]
fn an_httpd_not_started_by_root_is_guarded_by_its_user() {
    let mut case =
        case!("httpd not started by root, its user's guard", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "").not_by_root();
    let of_root = ns.orphans(1, 0);
    let sets = apache.start();
    let alive = ns.ids();
    let guard = || ns.guard_under(AS_WWW, "guard --user 33");
    case.guard(&ns, &alive, &[], guard).exits(0);
    apache.serves();
    apache.kill();
    case.guard(&ns, &of_root, &sets, guard).exits(0);
}
