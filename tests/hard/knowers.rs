//! Processes that may know a set's semid where one would not look for them. Each of these cases lost a
//! set to rules based on last pids, process families or clocks. Most are now protected by the verdict's
//! last row: the semid is in the memory of a running process in question (docs/architecture.md).

use std::process::{Child, Stdio};

use crate::common::{Namespace, wait_until};
use crate::server::{APACHE, Apache, tempting};
use crate::table::Case;
use crate::{ROOMY, case};

const GUARD: &str = "guard --user 33";

/// Runs a guard beside a program that knows its sets, whose last pid is dead; then one after its end.
#[track_caller]
fn keeps_while_it_runs(mut case: Case, exe: &str, script: &str) {
    let ns = Namespace::new(ROOMY);
    let program = ns.actor(exe, script);
    for id in &program.sets {
        assert!(!ns.lives(ns.semaphore(*id).pid), "its last pid is dead");
    }
    case.guard(&ns, &program.sets, &[], || ns.guard(GUARD)).exits(0);
    program.kill_all();
    // A program whose first thread has ended consists of more than that pid.
    for pid in program.pids.values().flatten() {
        let living = format!("cat /proc/{pid}/task/*/stat 2>/dev/null | grep -v ') Z '");
        wait_until("all of it is dead", || ns.sh(&living).out.is_empty());
    }
    case.guard(&ns, &[], &program.sets, || ns.guard(GUARD)).exits(0);
}

// Process families: a parent is not an ancestor.

/// A PID namespace whose first process is a real httpd.
struct Container<'n> {
    started: Child,
    /// The command prefix that runs a program inside it.
    inside: String,
    apache: Apache<'n>,
}

impl<'n> Container<'n> {
    fn of(ns: &'n Namespace, mut apache: Apache<'n>) -> Container<'n> {
        let line = format!(
            "exec unshare --pid --fork --kill-child --mount-proc setsid {} -DFOREGROUND",
            apache.words()
        );
        let mut command = ns.command("sh");
        command.args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn().expect("unshare runs");
        apache.comes_up();
        assert_eq!(apache.leader(), 1, "its PidFile has the pid in its own namespace");
        // The oldest process of that name; its pid in this namespace.
        let first = ns.sh("pgrep -o -x apache2").exits(0).out;
        let inside = format!("nsenter -t {} --pid --mount", first.trim());
        apache.wrapper.clone_from(&inside);
        Container { started, inside, apache }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.started.kill();
        let _ = self.started.wait();
    }
}

/// Workers of a dead leader are adopted by process 1 of their container. That is another httpd, which
/// knows nothing of their sets, but they were taken for its workers. Now each httpd is in question on
/// its own.
#[test]
fn workers_that_another_httpd_adopted_keep_their_sets() {
    let mut case = case!(
        "workers adopted by another httpd, which is PID 1",
        "apache2",
        "curl",
        "openssl",
        "pgrep"
    );
    let ns = Namespace::new("250 32000 32 4");
    let first = Container::of(&ns, Apache::another(&ns, "first", 8080));
    let of_first = ns.ids();
    let mut second = Apache::another(&ns, "second", 8180);
    second.wrapper.clone_from(&first.inside);
    let of_second = second.start();
    assert_eq!((of_first.len(), of_second.len()), (2, 2));
    let leader = second.leader();
    let children = |of: i32| ns.sh(&format!("{} pgrep -P {of}", first.inside)).out.lines().count();
    let before = children(1);
    ns.sh(&format!("{} kill -KILL {leader}", first.inside)).exits(0);
    wait_until("its workers are adopted", || children(1) > before);

    let guard = || ns.guard_under(&first.inside, GUARD);
    case.guard(&ns, &[&of_first[..], &of_second].concat(), &[], guard);
    second.serves();
    first.apache.serves();

    // Nor do they count as room for a restart of the httpd that adopted them: it will not free any of
    // them.
    let conf = "/run/t/first/httpd.conf";
    let check = ns.guard_copy();
    let run = ns.sh(&format!("{} {check} check --httpd {APACHE} -- -f {conf}", first.inside));
    run.exits(0).prints("0 of 4 free, 2 in use by the running httpd (apache2 1)");
    first.apache.graceful();
    first.apache.serves();
}

// Users: a process can act as more than its effective user.

/// A process that has the owner only as its saved user was overlooked, though it can become the owner
/// at any time. Every process that has the owner as one of its users is in question.
#[test]
fn a_process_with_the_owner_as_any_of_its_users_may_know_the_owners_sets() {
    let mut case = case!("the owner is a process's real, effective, saved, or a thread's user");
    let ns = Namespace::new(ROOMY);
    for script in [
        "uids 33 1234 1234",
        "uids 1234 33 1234 fs 1234",
        "uids 1234 1234 33",
        "thread 33 uids 1234 1234 1234",
    ] {
        let set = ns.dead_actor("app", "as 33 make 1 33 exit");
        let holder = ns.actor("program", &format!("use {} {script} stay holder", set[0]));
        case.guard(&ns, &set, &[], || ns.guard(GUARD)).exits(0);
        holder.kill_all();
        case.guard(&ns, &[], &set, || ns.guard(GUARD)).exits(0);
    }
}

/// A root process that temporarily acts as the owner makes an owner's set. If the guard is root, root's
/// processes are in question for such sets.
#[test]
fn root_that_temporarily_acted_as_the_owner_keeps_what_it_made_then() {
    let case = case!("root that temporarily acted as the owner");
    let script = "be 33 { make 1 33 } fork { as 33 touch 0 } sleep 300 stay root";
    keeps_while_it_runs(case, "program", script);
}

// What a program is, and where it is.

/// An upgrade over NFS leaves a running httpd with names such as .nfs0000000000c2f1a600000001 for its
/// program and libraries. Neither was recognised, and the set of its dead launcher was removed. The
/// content of such a file shows that it is APR.
#[test]
fn an_httpd_whose_files_nfs_renamed_keeps_its_sets() {
    let mut case = case!("httpd and libapr renamed by NFS", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let mut apache = Apache::with_tls(&ns, "event", "");
    ns.sh("set -e; mkdir /run/t/nfs; cp /usr/sbin/apache2 /run/t/nfs/apache2; \
           cp $(ldd /usr/sbin/apache2 | awk '/libapr-1/ { print $3 }') /run/t/nfs/libapr-1.so.0")
        .exits(0);
    "env LD_LIBRARY_PATH=/run/t/nfs".clone_into(&mut apache.wrapper);
    "/run/t/nfs/apache2".clone_into(&mut apache.program);
    apache.start();
    let names = "cd /run/t/nfs && mv apache2 .nfs0000000000c2f1a600000001 && \
                 mv libapr-1.so.0 .nfs0000000000c2f1a700000002";
    ns.sh(names).exits(0);
    let maps = ns.sh(&format!("cat /proc/{}/maps", apache.leader())).exits(0).out;
    assert!(!maps.contains("/libapr-1.so") && !maps.contains("/apache2\n"), "{maps}");
    let alive = ns.ids();
    assert_eq!(tempting(&ns), alive);
    case.guard(&ns, &alive, &[], || ns.guard(GUARD)).exits(0);
    apache.serves();
    apache.kill();
    case.guard(&ns, &[], &alive, || ns.guard(GUARD)).exits(0);
}

/// A process is alive as long as any of its threads is. /proc shows a process whose first thread has
/// ended like a zombie, without a program and without memory.
#[test]
fn an_httpd_whose_first_thread_has_ended_keeps_its_sets() {
    let case = case!("httpd whose first thread has ended");
    keeps_while_it_runs(case, "httpd", "make 1 33 detach shed leader");
}

/// IPC namespaces belong to threads.
#[test]
fn an_httpd_whose_first_thread_left_for_another_ipc_namespace_keeps_its_sets() {
    let case = case!("httpd whose first thread left the IPC namespace");
    keeps_while_it_runs(case, "httpd", "make 1 33 detach part leader");
}

/// Before Linux 4.17, GETPID returns the pid in whatever PID namespace the toucher was in. This is
/// simulated by the release that uname(2) reports and by answers that strace(1) substitutes for the
/// kernel's: the httpd is out of sight, and no process here has the pid.
#[test]
fn on_a_kernel_before_4_17_a_dead_last_pid_of_an_inner_namespace_proves_nothing() {
    let mut case = case!("kernel before 4.17, guard in an inner PID namespace", "strace");
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", "make 2 33 detach fork { as 33 stay worker } stay leader");
    let run = |old: bool, inject: &str, args: &str| {
        let release = if old { "setarch --uname-2.6" } else { "" };
        let wrapper = format!(
            "unshare --pid --fork --mount-proc {release} strace -f -qq -e trace=semctl \
             -o /run/t/calls {inject}"
        );
        ns.guard_under(&wrapper, args)
    };
    // The calls that ask for the last pids: for two sets in a row; in a listing, with three other calls
    // after each.
    let asked = |args: &str| -> Vec<usize> {
        run(true, "", args).exits(0);
        let calls = std::fs::read_to_string(ns.path("/run/t/calls")).expect("a trace");
        let calls = calls.lines().filter(|line| line.contains("semctl("));
        calls.enumerate().filter(|(_, c)| c.contains("GETPID")).map(|(n, _)| n + 1).collect()
    };
    let answers = |args: &str| {
        let [first, second] = asked(args)[..] else { panic!("two sets are asked about") };
        format!("-e inject=semctl:retval=4242:when={first}..{second}+{}", second - first)
    };
    let list = answers("list --user 33");
    let verdicts = |old: bool, args: &str| {
        let run = run(old, &list, args).exits(0);
        let verdict = |id: &i32| run.verdict(*id);
        httpd.sets.iter().map(verdict).collect::<Vec<String>>()
    };
    // On a newer kernel such a pid belongs to a dead process.
    let newer = verdicts(false, "list --user 33");
    assert!(newer.iter().all(|v| v.starts_with("orphan")), "{newer:?}");
    let old = verdicts(true, "list --user 33");
    assert!(old.iter().all(|v| v.starts_with("keep") && v.contains("--private-ipc")), "{old:?}");
    // Declaring that nothing is out of sight tells the guard what this kernel cannot.
    let declared = verdicts(true, "list --user 33 --private-ipc");
    assert!(declared.iter().all(|v| v.starts_with("orphan")), "{declared:?}");
    let guard = answers(GUARD);
    case.guard(&ns, &httpd.sets, &[], || run(true, &guard, GUARD)).exits(0);
    httpd.kill_all();
    case.guard(&ns, &[], &httpd.sets, || ns.guard(GUARD)).exits(0);
}
