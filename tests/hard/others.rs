//! Other processes and their sets: recycled pids, zombies, further users, PHP, semids in flux.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::{Namespace, Run, wait_until};
use crate::server::{APACHE, Apache};

use crate::{ROOMY, case};

/// Starts a program with this pid: a copy of the actor under this name, with this script.
fn take_number(ns: &Namespace, pid: i32, name: &str, script: &str) {
    let program = ns.actor_copy(name);
    wait_until("the number is taken", || {
        ns.sh(&format!(
            "echo {} > /proc/sys/kernel/ns_last_pid; {program} {script} >/dev/null 2>&1 &",
            pid - 1
        ))
        .exits(0);
        let taken = fs::read_link(ns.path(&format!("/proc/{pid}/exe")));
        taken.is_ok_and(|exe| exe.ends_with(name))
    });
}

/// The sets of a killed Apache, and their last pids.
fn killed_apache(ns: &Namespace) -> (Vec<i32>, Vec<i32>) {
    let apache = Apache::with_tls(ns, "prefork", "");
    apache.start();
    apache.serves_plainly();
    apache.kill();
    let ids = ns.ids();
    let mut pids: Vec<i32> = ids.iter().map(|id| ns.semaphore(*id).pid).collect();
    pids.sort_unstable();
    pids.dedup();
    assert!(pids.len() >= 2, "the launcher's and a worker's: {pids:?}");
    // Times are whole seconds, with two seconds of slack.
    sleep(Duration::from_secs(4));
    (ids, pids)
}

#[test]
fn orphans_whose_last_pids_were_reused_by_strangers_are_removed() {
    let mut case = case!("last pid recycled by strangers", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let (orphans, pids) = killed_apache(&ns);
    // Users that may not access the sets.
    take_number(&ns, pids[0], "program", "as 1234 stay x");
    take_number(&ns, pids[1], "postgres", "as 1235 stay x");
    case.guard(&ns, &[], &orphans, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_set_whose_last_pid_was_reused_by_another_httpd_is_kept() {
    let mut case = case!("last pid recycled by another httpd", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let (orphans, pids) = killed_apache(&ns);
    let (touched, others): (Vec<i32>, Vec<i32>) =
        orphans.iter().copied().partition(|id| ns.semaphore(*id).pid == pids[1]);
    assert!(!touched.is_empty() && !others.is_empty(), "{orphans:?}");
    // It knows nothing of the others.
    take_number(&ns, pids[1], "httpd", "stay x");
    case.guard(&ns, &[], &others, || ns.guard("guard --user 33")).exits(0);
    ns.kill(pids[1]);
    case.guard(&ns, &[], &touched, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_zombie_httpd_keeps_nothing() {
    let mut case = case!("unreaped zombie httpd", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    let line = apache.words();
    // In a session of its own, as a service manager starts it.
    let script = format!("fork {{ exec setsid {} -DFOREGROUND }} neglect parent", line.trim());
    let _supervisor = ns.actor("supervisor", &script);
    apache.comes_up();
    let alive = ns.ids();
    case.guard(&ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    let leader = apache.leader();
    apache.kill_group(leader);
    assert!(!ns.lives(leader) && ns.path(&format!("/proc/{leader}")).exists(), "a zombie");
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_mutex_of_a_daemon_user_is_kept_while_its_httpd_runs() {
    let mut case = case!("mutex of a daemon user (as mod_wsgi's)");
    let ns = Namespace::new(ROOMY);
    // As with mod_wsgi: the leader gives the lock of a daemon group to the daemon's user.
    let httpd = ns.actor(
        "httpd",
        "detach make 1 33 make 2 1234 fork { as 1234 touch 1 stay daemon } \
         fork { as 33 touch 0 stay worker } stay leader",
    );
    let sets = httpd.sets.clone();
    let both = || ns.guard("guard --user 33 --user 1234");
    case.guard(&ns, &sets, &[], both).exits(0);
    case.guard(&ns, &sets, &[], || ns.guard("guard --user 1234")).exits(0);
    // The daemon serves on alone.
    httpd.kill("leader");
    httpd.kill("worker");
    case.guard(&ns, &sets, &[], both).exits(0);
    httpd.kill("daemon");
    case.guard(&ns, &[], &sets, both).exits(0);
}

#[test]
fn a_daemon_group_of_mod_wsgi_loses_nothing() {
    // A user that exists on every Debian.
    const DAEMON: u32 = 34;
    const MODULE: &str = "/usr/lib/apache2/modules/mod_wsgi.so";
    let mut case = case!("real mod_wsgi with a daemon user", "apache2", "curl");
    if !Path::new(MODULE).exists() {
        // Its package enables it in the system's own httpd, so no test requires it.
        case.note("left out: mod_wsgi is not installed");
        return;
    }
    let ns = Namespace::new(ROOMY);
    let app = ns.write(
        "app.wsgi",
        "def application(environ, start):\n    start('200 OK', [])\n    return [b'it works\\n']\n",
    );
    let apache = Apache::new(
        &ns,
        "event",
        &format!(
            "LoadModule wsgi_module {MODULE}\n\
             WSGISocketPrefix /run/t/wsgi\n\
             WSGIAcceptMutex sysvsem\n\
             WSGIDaemonProcess app processes=2 threads=1 user=backup group=backup\n\
             WSGIScriptAlias /app {app} process-group=app application-group=%{{GLOBAL}}\n\
             <Directory /run/t>\nRequire all granted\n</Directory>\n"
        ),
    );
    let alive = apache.start();
    assert!(ns.sets().iter().any(|s| s.uid == DAEMON), "{:?}", ns.sets());
    let url = format!("{}/app", apache.url("http", 0));
    assert!(apache.gets(&url), "{}", apache.log());
    let both = || ns.guard("guard --user 33 --user 34");
    case.guard(&ns, &alive, &[], both).exits(0);
    for _ in 0..6 {
        assert!(apache.gets(&url), "{}", apache.log());
    }
    apache.complains_of_no_lock();
    apache.kill();
    let left = ns.ids();
    case.guard(&ns, &[], &left, both).exits(0);
}

#[test]
fn semaphores_of_php_and_of_a_cgi_are_kept_beside_httpds() {
    let mut case = case!("PHP and CGI under the same uid", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let php = ns.actor("php-fpm8.2", "as 33 key 0x1234 3 666 stay fpm");
    let cgi = ns.actor("cgi", "as 33 make 2 33 touch 0 stay cgi");
    let apache = Apache::with_tls(&ns, "prefork", "");
    let of_httpd = apache.start();
    let alive = ns.ids();
    case.guard(&ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    apache.kill();
    // httpd's own go, but not those of running processes.
    let others = [&php.sets[..], &cgi.sets].concat();
    case.guard(&ns, &others, &of_httpd, || ns.guard("guard --user 33")).exits(0);
    // PHP knows nothing of the CGI's set, and its own keyed set is never httpd's.
    cgi.kill("cgi");
    case.guard(&ns, &php.sets, &cgi.sets, || ns.guard("guard --user 33")).exits(0);
    php.kill("fpm");
    case.guard(&ns, &php.sets, &[], || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_running_php_fpm_does_not_keep_a_dead_httpds_sets() {
    let mut case = case!("php-fpm runs under the uid, httpd is dead", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let _php =
        ns.actor("php-fpm8.2", "fork { as 33 stay child } fork { as 33 stay child } stay fpm");
    for mpm in ["prefork", "event"] {
        let apache = Apache::with_tls(&ns, mpm, "");
        apache.start();
        let alive = ns.ids();
        case.guard(&ns, &alive, &[], || ns.guard("guard -v --user 33")).exits(0);
        apache.serves();
        apache.kill();
        let left = ns.ids();
        case.guard(&ns, &[], &left, || ns.guard("guard -v --user 33")).exits(0);
    }
}

#[test]
fn sets_that_come_and_go_during_guard_runs_cause_no_trouble() {
    let mut case = case!("sets that come and go during guard runs");
    let ns = Namespace::new(ROOMY);
    let steady = ns.actor("steady", "make 3 33 stay steady");
    let (httpd, guard) = (ns.actor_copy("httpd"), ns.guard_copy());
    let loops = |script: &str| {
        let mut command = ns.command("sh");
        let script = format!("while ! test -e /run/t/stop; do {script}; done");
        command.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("sh runs")
    };
    // An httpd that dies at once leaves orphans, again and again, and three guards remove them.
    let dying = loops(&format!("{httpd} make 3 33 exit"));
    let guards: Vec<_> = (0..3)
        .map(|_| loops(&format!("{guard} guard -v --user 33 --no-ask || echo failed $?")))
        .collect();
    // A program that makes, uses and removes sets of the web user as fast as it can. It fails if
    // anything else removes one of them.
    let (times, at_once) = (1500, 2);
    let mut script = String::new();
    for i in 0..times {
        script += &format!("make {at_once} 33 ");
        for k in 0..at_once {
            script += &format!("touch {0} drop {0} ", i * at_once + k);
        }
    }
    let churner = ns.dead_actor("churner", &(script + "say done"));
    assert_eq!(churner.len(), times * at_once);
    fs::write(ns.path("/run/t/stop"), "").expect("written");
    let left = Run::end(dying).out.lines().count();
    let ends: Vec<Run> = guards.into_iter().map(Run::end).collect();
    let removed: usize = ends.iter().map(|r| r.err.matches("removed semaphore set").count()).sum();
    let runs: usize = ends.iter().map(|r| r.out.matches("httpd's locks can be made").count()).sum();
    for run in &ends {
        assert!(!run.out.contains("failed") && !run.err.contains("could not"), "{run}");
    }
    let stay = ns.ids();
    assert!(steady.sets.iter().all(|id| stay.contains(id)));
    let orphans: Vec<i32> = stay.iter().copied().filter(|id| !steady.sets.contains(id)).collect();
    assert_eq!(removed + orphans.len(), left, "each orphan is removed once");
    assert!(runs >= 3, "{runs} {removed}");
    case.add([churner.len() + steady.sets.len(), left - orphans.len(), removed, 0]);
    case.runs(runs);
    case.guard(&ns, &steady.sets, &orphans, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn an_httpd_in_another_ipc_namespace_neither_keeps_nor_loses_a_set() {
    let mut case = case!("httpd in another IPC namespace", "apache2", "curl", "openssl");
    let ns = Namespace::new(ROOMY);
    let orphans = ns.orphans(2, 33);
    let mut apache = Apache::with_tls(&ns, "prefork", "");
    "unshare --ipc".clone_into(&mut apache.wrapper);
    assert_eq!(apache.start(), [], "its sets are elsewhere");
    case.guard(&ns, &[], &orphans, || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    // And seen from inside.
    let inside = format!("nsenter -t {} --ipc", apache.leader());
    let table =
        || ns.sh(&format!("{inside} cat /proc/sysvipc/sem")).exits(0).out.lines().count() - 1;
    let before = table();
    assert!(before > 0);
    ns.guard_under(&inside, "guard --user 33").exits(0).does_not_log("removed");
    let removed = before - table();
    case.add([before, 0, removed, removed]);
    assert_eq!(removed, 0);
    apache.serves();
}

/// A container that shares everything except its PID namespace.
struct Container<'n> {
    ns: &'n Namespace,
    /// The pid of its init, as seen from here.
    init: i32,
    started: Child,
}

impl Container<'_> {
    /// Kills all processes in it.
    fn end(mut self) {
        self.ns.kill(self.init);
        let _ = self.started.wait();
        wait_until_no_httpd_runs(self.ns);
        let _ = fs::remove_file(self.ns.path("/run/t/one/httpd.pid"));
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.started.kill();
        let _ = self.started.wait();
    }
}

fn wait_until_no_httpd_runs(ns: &Namespace) {
    wait_until("all of it is dead", || {
        ns.sh("ps -o stat=,comm= -A | grep -v '^Z' | grep apache2").out.is_empty()
    });
}

/// Starts httpd in a PID namespace of its own.
fn start_in_container<'n>(ns: &'n Namespace, apache: &Apache) -> Container<'n> {
    assert_eq!(apache.program, APACHE);
    let script = format!("{} -k start; exec sleep 86400", apache.words());
    let mut command = ns.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script]);
    let started =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("unshare runs");
    apache.comes_up();
    let mut init = 0;
    wait_until("its init is known", || {
        let pid = ns.sh("pgrep -n -x sleep").out;
        pid.trim().parse().map(|pid| init = pid).is_ok()
    });
    Container { ns, init, started }
}

#[test]
fn an_httpd_in_an_inner_pid_namespace_loses_nothing() {
    let mut case = case!("httpd in an inner PID namespace", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    let container = start_in_container(&ns, &apache);
    let alive = ns.ids();
    assert!(!alive.is_empty());
    case.guard(&ns, &alive, &[], || ns.guard("guard --user 33")).exits(0);
    apache.serves();
    container.end();
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_guard_in_an_inner_pid_namespace_removes_nothing_that_it_cannot_see() {
    let mut case = case!("guard in an inner PID namespace", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let inner = "unshare --pid --fork --mount-proc";
    let apache = Apache::with_tls(&ns, "prefork", "");
    let alive = apache.start();
    let list = ns.guard_under(inner, "list --user 33").exits(0);
    let guard = || ns.guard_under(inner, "guard --user 33");
    case.guard(&ns, &alive, &[], guard).exits(0);
    for id in &alive {
        let verdict = list.verdict(*id);
        assert!(verdict.contains("--private-ipc") || verdict.contains("in use"), "{list}");
    }
    apache.serves();
    apache.kill();
    case.guard(&ns, &[], &[], guard).exits(0);
}

#[test]
fn a_container_that_shares_no_semaphores_may_say_so() {
    let mut case = case!(
        "container sharing no semaphores, --private-ipc",
        "apache2",
        "curl",
        "openssl",
        "pgrep"
    );
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    // An earlier container, whose processes had pids that mean nothing in this one.
    let container = start_in_container(&ns, &apache);
    container.end();
    let left = ns.ids();
    let inner = "unshare --pid --fork --mount-proc";
    case.guard(&ns, &[], &[], || ns.guard_under(inner, "guard --user 33")).exits(0);
    let declared = "guard --user 33 --private-ipc";
    case.guard(&ns, &[], &left, || ns.guard_under(inner, declared)).exits(0);
    // An httpd that runs beside the guard in the container.
    let container = start_in_container(&ns, &apache);
    let alive = ns.ids();
    let beside = format!("nsenter -t {} --pid --mount", container.init);
    case.guard(&ns, &alive, &[], || ns.guard_under(&beside, declared)).exits(0);
    apache.serves();
    ns.sh(&format!("{beside} pkill -KILL -x apache2")).exits(0);
    wait_until_no_httpd_runs(&ns);
    case.guard(&ns, &[], &alive, || ns.guard_under(&beside, declared)).exits(0);
}
