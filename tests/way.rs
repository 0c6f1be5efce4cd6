//! Never in the way: what a guard does not know, may not see or cannot write stops no httpd, and a
//! check says whose table it has looked at.

mod common;

use common::{Namespace, STRANGER, WWW};

const ROOMY: &str = "250 32000 32 128";

// Whom httpd runs as.

/// A namespace without any account that httpd is known to run as.
fn nobody_known(limits: &str) -> Namespace {
    let ns = Namespace::new(limits);
    let users = ns.write("passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
    let switch = ns.write("nsswitch", "passwd: files\n");
    ns.sh(&format!("mount --bind {users} /etc/passwd; mount --bind {switch} /etc/nsswitch.conf"))
        .exits(0);
    ns
}

#[test]
fn a_guard_that_knows_nobody_to_guard_removes_nothing_and_lets_httpd_start() {
    require!();
    let ns = nobody_known(ROOMY);
    let ids = ns.orphans(2, WWW);
    ns.guard("guard")
        .exits(0)
        .logs("cannot tell which user httpd runs as")
        .logs("pass --user NAME")
        .logs("no set was looked at");
    for command in ["check", "list"] {
        ns.guard(command).exits(78).logs("cannot tell which user httpd runs as");
    }
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_full_table_is_a_full_table_whoever_is_guarded() {
    require!();
    let ns = nobody_known("250 32000 32 4");
    ns.orphans(4, STRANGER);
    ns.guard("guard").exits(69).logs("(28)No space left on device");
}

#[test]
fn a_user_database_that_does_not_answer_is_no_reason_to_stop() {
    require!("strace");
    let ns = nobody_known(ROOMY);
    let ids = ns.orphans(2, WWW);
    // No descriptor is left for its file.
    let silent = "strace -f -o /dev/null -P /etc/passwd -e inject=openat:error=EMFILE";
    ns.guard_under(silent, "guard").exits(0).logs("getpwnam: EMFILE").logs("no set was looked at");
    ns.guard_under(silent, "guard --user www-data").exits(0).logs("getpwnam: EMFILE");
    for command in ["check", "list", "check --user www-data"] {
        ns.guard_under(silent, command).exits(71).logs("getpwnam: EMFILE");
    }
    assert_eq!(ns.ids(), ids);
}

// The table.

#[test]
fn where_a_look_at_the_table_is_refused_a_trial_decides() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    // In the order of the calls: IPC_INFO, SEM_INFO, and SEM_STAT_ANY with all that would stand in.
    for (when, call) in [("1", "IPC_INFO"), ("2", "SEM_INFO")] {
        let strace = format!("strace -f -o /dev/null -e inject=semctl:error=EPERM:when={when}");
        ns.guard_under(&strace, "guard --user 33")
            .exits(0)
            .logs(&format!("semctl({call}): EPERM"))
            .logs("whether there is room is not known")
            .does_not_log("may not start");
        for command in ["check", "list"] {
            ns.guard_under(&strace, &format!("{command} --user 33")).exits(71).logs(call);
        }
    }
    let strace = "strace -f -o /dev/null -e inject=semctl:error=EPERM:when=1";
    // One set could be made; what is said of three is that it is not known.
    let risk =
        "httpd may not start: it needs 3 semaphore sets (--need), and whether there is room is";
    ns.guard_under(strace, "guard --user 33 --need 3").exits(0).logs(risk);
    ns.guard_under(strace, "guard --user 33 --need 3 --strict").exits(69).logs(risk);
    assert_eq!(ns.ids(), ids, "nothing is removed, and no trial set stays");
    // What the trial proves.
    ns.sh("echo 250 32000 32 2 >/proc/sys/kernel/sem").exits(0);
    ns.guard_under(strace, "guard --user 33").exits(69).logs("(28)No space left on device");
}

// Limits of file sizes.

#[test]
fn a_log_that_has_reached_its_limit_ends_no_run() {
    require!();
    let ns = Namespace::new(ROOMY);
    let guard = ns.guard_copy();
    for (command, code) in
        [("guard -v", 0), ("guard --nonsense", 64), ("check", 0), ("guard --need 129", 69)]
    {
        ns.orphans(2, WWW);
        // The shell would die of its own redirection's limit, so it ends with the program.
        let run = ns.sh(&format!(
            "echo full >/run/t/log; ulimit -f 0; exec {guard} {command} --user 33 --no-ask \
             >>/run/t/log 2>&1"
        ));
        assert_eq!(run.code, Some(code), "{command}: {run}");
    }
    assert_eq!(ns.sh("cat /run/t/log").out, "full\n");
}
