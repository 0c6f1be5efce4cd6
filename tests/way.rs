//! Never in the way: what a guard does not know, is not allowed to see or cannot write never keeps httpd
//! from starting, and a check says which table it has examined.

mod common;

use common::{Folder, Namespace, Run, STRANGER, WWW};

const ROOMY: &str = "250 32000 32 128";

// The user that httpd runs as.

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
fn a_guard_without_a_user_to_guard_removes_nothing_and_lets_httpd_start() {
    require!();
    let ns = nobody_known(ROOMY);
    let ids = ns.orphans(2, WWW);
    ns.guard("guard")
        .exits(0)
        .logs("it is not known which user httpd runs as")
        .logs("give --user NAME")
        .logs("no set was examined");
    for command in ["check", "list"] {
        ns.guard(command).exits(78).logs("it is not known which user httpd runs as");
    }
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_full_table_is_reported_whoever_is_guarded() {
    require!();
    let ns = nobody_known("250 32000 32 4");
    ns.orphans(4, STRANGER);
    ns.guard("guard").exits(69).logs("(28)No space left on device");
}

/// A source of users that never answers, for what /etc/passwd does not have (nsswitch.conf(5)).
const HANGS: &str = "#include <nss.h>\n#include <pwd.h>\n#include <unistd.h>\n\
    enum nss_status _nss_hangs_getpwuid_r(uid_t u, struct passwd *p, char *b, size_t n, int *e)\n\
    { for (;;) pause(); }\n";

#[test]
fn names_that_are_only_shown_do_not_delay_a_start() {
    require!("cc", "timeout");
    let ns = Namespace::new("250 32000 32 7");
    ns.orphans(2, WWW);
    for user in 4001..=4005 {
        ns.orphans(1, user);
    }
    ns.write("hangs.c", HANGS);
    ns.sh("cd /run/t && cc -shared -fPIC -o libnss_hangs.so.2 hangs.c && \
         printf 'passwd: files hangs\\n' >nsswitch && mount --bind nsswitch /etc/nsswitch.conf")
        .exits(0);
    let patient = "env LD_LIBRARY_PATH=/run/t timeout -s KILL 60";
    // In a full table, the holders are named, and other owners are looked up in case httpd runs as one of them.
    let run = ns.guard_under(patient, "check").exits(69);
    run.logs("1 of 4001; 1 of 4002").logs("2 of www-data (33)");
    ns.guard_under(patient, "guard").exits(0).prints("removed 2 orphaned sets");
}

#[test]
fn a_user_database_that_does_not_answer_keeps_nobody_from_starting() {
    require!("strace");
    let ns = nobody_known(ROOMY);
    let ids = ns.orphans(2, WWW);
    // There is no file descriptor left for its file.
    let silent = "strace -f -o /dev/null -P /etc/passwd -e inject=openat:error=EMFILE";
    ns.guard_under(silent, "guard").exits(0).logs("getpwnam: EMFILE").logs("no set was examined");
    ns.guard_under(silent, "guard --user www-data").exits(0).logs("getpwnam: EMFILE");
    for command in ["check", "list", "check --user www-data"] {
        ns.guard_under(silent, command).exits(71).logs("getpwnam: EMFILE");
    }
    assert_eq!(ns.ids(), ids);
}

// The table.

#[test]
fn if_access_to_the_table_is_refused_a_trial_decides() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    // In the order of the calls: IPC_INFO, SEM_INFO, and SEM_STAT_ANY with everything that could replace it.
    for (when, call) in [("1", "IPC_INFO"), ("2", "SEM_INFO")] {
        let strace = format!("strace -f -o /dev/null -e inject=semctl:error=EPERM:when={when}");
        ns.guard_under(&strace, "guard --user 33")
            .exits(0)
            .logs(&format!("semctl({call}): EPERM"))
            .logs("whether there is room is unknown")
            .does_not_log("may not start");
        for command in ["check", "list"] {
            ns.guard_under(&strace, &format!("{command} --user 33")).exits(71).logs(call);
        }
    }
    let strace = "strace -f -o /dev/null -e inject=semctl:error=EPERM:when=1";
    // One set could be made; for three, the message says that it is unknown.
    let risk =
        "httpd may not start (it needs 3 semaphore sets (--need), and whether there is room for";
    ns.guard_under(strace, "guard --user 33 --need 3").exits(0).logs(risk);
    ns.guard_under(strace, "guard --user 33 --need 3 --strict").exits(69).logs(risk);
    assert_eq!(ns.ids(), ids, "something was removed, or a trial set was left behind");
    // What the trial shows.
    ns.sh("echo 250 32000 32 2 >/proc/sys/kernel/sem").exits(0);
    ns.guard_under(strace, "guard --user 33").exits(69).logs("(28)No space left on device");
}

// File size limits.

#[test]
fn a_log_at_its_size_limit_ends_no_run_and_only_a_lost_report_is_a_failure() {
    require!();
    let ns = Namespace::new(ROOMY);
    let guard = ns.guard_copy();
    for (command, code) in
        [("guard -v", 0), ("guard --nonsense", 64), ("check", 73), ("guard --need 129", 69)]
    {
        ns.orphans(2, WWW);
        // The shell would be killed by the limit on its own redirection, so exec replaces it.
        let run = ns.sh(&format!(
            "echo full >/run/t/log; ulimit -f 0; exec {guard} {command} --user 33 --no-ask \
             >>/run/t/log 2>&1"
        ));
        assert_eq!(run.code, Some(code), "{command}: {run}");
    }
    assert_eq!(ns.sh("cat /run/t/log").out, "full\n");
}

// An httpd with an IPC namespace of its own.

/// An httpd in a namespace of its own, with its control program and PidFile, while the outer table is full.
fn private_httpd(ns: &Namespace) -> (String, common::Actor<'_>) {
    ns.orphans(4, STRANGER);
    let httpd = ns.actor_under("unshare --ipc", "apache2", "make 1 33 stay leader");
    ns.write("httpd.pid", &format!("{}\n", httpd.pid("leader")));
    let dump = include_str!("dumps/prefork-sysvsem-2listen.txt");
    let pid_file = dump.lines().find(|l| l.starts_with("PidFile: ")).expect("a PidFile");
    ns.write("dump", &dump.replace(pid_file, "PidFile: \"/run/t/httpd.pid\""));
    let control = ns.write("control", "#!/bin/sh\nexec cat /run/t/dump\n");
    ns.sh(&format!("chmod 755 {control}")).exits(0);
    (format!("--httpd {control}"), httpd)
}

fn asking(ns: &Namespace, under: &str, args: &str) -> Run {
    let guard = ns.guard_copy();
    ns.sh(&format!("{under} {guard} {args}"))
}

#[test]
fn if_httpd_has_its_own_namespace_a_check_examines_the_table_there() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let (httpd, actor) = private_httpd(&ns);
    let told = format!("apache2 {} has its own IPC namespace", actor.pid("leader"));
    let run = asking(&ns, "", &format!("check {httpd}")).exits(0).logs(&told);
    assert!(run.out.contains("; 31999 of 32000 free"), "{run}");
    asking(&ns, "", &format!("check --format nagios {httpd}")).exits(0).prints("'free'=31999");
    let run = asking(&ns, "", &format!("list {httpd}")).exits(0).logs(&told);
    assert!(run.out.contains("in use by apache2") || run.out.contains("known to apache2"), "{run}");
    // For a guard, the table that it acts on counts.
    asking(&ns, "", &format!("guard --dry-run {httpd}")).exits(69).does_not_log("of its own");
    actor.kill_all();
    // An httpd that has exited no longer has a namespace.
    asking(&ns, "", &format!("check {httpd}")).exits(69).does_not_log("of its own");
}

#[test]
fn if_that_namespace_cannot_be_entered_there_is_no_forecast_for_another_table() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let (httpd, actor) = private_httpd(&ns);
    let under = "setpriv --bounding-set -sys_admin --inh-caps -sys_admin";
    let told = "its own IPC namespace, which cannot be entered from here (EPERM ";
    let run = asking(&ns, under, &format!("check {httpd}")).exits(0).logs(told);
    let run = run.logs("seen here is another one").does_not_log("httpd would not start");
    assert!(!run.out.contains("free"), "{run}");
    let run = asking(&ns, under, &format!("check --format nagios {httpd}")).exits(3);
    run.prints("SEMGUARD UNKNOWN - ").prints("seen here is another one");
    let run = asking(&ns, under, &format!("check --format prometheus {httpd}")).exits(0);
    assert!(!run.out.contains("start_forecast"), "{run}");
    assert!(run.out.contains("httpd_semguard_warnings 1\n"), "{run}");
    actor.kill_all();
}

#[test]
fn if_the_unit_gives_each_start_a_new_namespace_a_check_examines_a_new_one() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let (httpd, actor) = private_httpd(&ns);
    actor.kill_all();
    // A substitute for systemd that is sufficient for a check.
    ns.sh("mkdir -p /run/systemd/system").exits(0);
    let systemctl = |private: &str| {
        ns.write(
            "systemctl",
            &format!(
                "#!/bin/sh\n[ \"$5\" = httpd.service ] || exit 1\necho LoadState=loaded\n\
                 echo PrivateIPC={private}\n"
            ),
        );
        ns.sh("chmod 755 /run/t/systemctl; mount --bind /run/t/systemctl /usr/bin/systemctl")
            .exits(0);
    };
    systemctl("no");
    asking(&ns, "", &format!("check {httpd}")).exits(69);
    systemctl("yes");
    let run = asking(&ns, "", &format!("check {httpd}")).exits(0);
    run.logs("httpd.service starts httpd in its own IPC namespace").prints(" of 32000 free");
    let under = "setpriv --bounding-set -sys_admin --inh-caps -sys_admin";
    asking(&ns, under, &format!("check {httpd}")).exits(0).logs("seen here is another one");
}

// After an upgrade of httpd.

/// Runs the hook with a stub of the guard and one of systemctl, which reports this state of the unit.
fn after_httpd(name: &str, guard: &str, state: &str) -> Run {
    let folder = Folder::new(name);
    let guard = folder.program("guard", format!("#!/bin/sh\n{guard}\n").as_bytes());
    let said = if state.is_empty() { "exit 1".into() } else { format!("echo {state}; exit 3") };
    folder.program("systemctl", format!("#!/bin/sh\n{said}\n").as_bytes());
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.0.display());
    let mut hook = std::process::Command::new(common::path("packaging/after-httpd"));
    hook.env("SEMGUARD", guard).env("PATH", path).env("HTTPD_SEMGUARD_FORMAT", "json");
    Run::of(hook.env("HTTPD_SEMGUARD_OUTPUT", "/nonexistent/report")).exits(0)
}

#[test]
fn the_hook_after_an_upgrade_says_whether_httpd_is_running() {
    let guard = "echo the reason; exit 69";
    let of = |state: &str| after_httpd(&format!("hook-{state}"), guard, state);
    for (state, told) in [
        ("active", " is running, and keeps running"),
        ("failed", " has failed and is not running"),
        ("inactive", " is not running"),
        ("activating", " is starting"),
        ("", ": if httpd is running, it keeps running"),
    ] {
        let run = of(state).prints(told).prints("httpd would not start now");
        assert_eq!(run.out.contains("it keeps running"), state.is_empty(), "{run}");
    }
}

#[test]
fn the_hook_after_an_upgrade_forces_its_own_format() {
    let run =
        after_httpd("hook-format", "echo \"$@\"; env | grep HTTPD_SEMGUARD; exit 69", "failed");
    let run = run.prints("check --format text --log stderr\n");
    assert!(!run.out.contains("HTTPD_SEMGUARD"), "{run}");

    require!();
    let ns = Namespace::new("250 32000 32 4");
    ns.orphans(4, STRANGER);
    ns.sh("mount -t tmpfs -o mode=755 tmpfs /etc/default").exits(0);
    let guard = ns.guard_copy();
    let hook = common::path("packaging/after-httpd");
    for format in ["json", "nagios", "prometheus"] {
        let settings = format!(
            "HTTPD_SEMGUARD_FORMAT={format}\\nHTTPD_SEMGUARD_OUTPUT=/run/t/report\\n\
             HTTPD_SEMGUARD_LOG=syslog\\nHTTPD_SEMGUARD_USER=33\\nHTTPD_SEMGUARD_NO_ASK=yes\\n"
        );
        let run = ns.sh(&format!(
            "printf '{settings}' >/etc/default/httpd-semguard; SEMGUARD={guard} {}",
            hook.display()
        ));
        let run = run.exits(0).prints("httpd would not start now");
        let run = run.prints("using HTTPD_SEMGUARD_USER=\"33\" (/etc/default/httpd-semguard:4)");
        assert!(run.out.lines().count() < 20 && !run.out.contains("SEMGUARD OK"), "{run}");
        assert!(!ns.path("/run/t/report").exists());
    }
    // Sets that the next start will remove are not reported, unless a setting prevents their removal.
    ns.sh("ipcrm -a").exits(0);
    ns.orphans(4, WWW);
    let again = |settings: &str| {
        ns.sh(&format!(
            "printf 'HTTPD_SEMGUARD_USER=33\\nHTTPD_SEMGUARD_NO_ASK=1\\n{settings}' \
             >/etc/default/httpd-semguard; SEMGUARD={guard} {}",
            hook.display()
        ))
    };
    assert_eq!(again("").exits(0).out, "");
    again("HTTPD_SEMGUARD_DRY_RUN=yes\\n").exits(0).prints("httpd would not start now");
}
