//! Wrong input and hostile surroundings: each leads to a clear message and the documented exit code, and
//! nothing is removed by mistake.

mod common;

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use common::{Namespace, Run, STRANGER, WWW};

const ROOMY: &str = "250 32000 32 128";

/// A command prefix that turns root into a user who owns none of the sets.
const AS_STRANGER: &str = "setpriv --reuid 1234 --regid 1234 --clear-groups";

/// A namespace with two orphans of www-data.
fn with_orphans() -> (Namespace, Vec<i32>) {
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    (ns, ids)
}

/// A shell line that runs the guard with these redirections.
fn redirected(ns: &Namespace, args: &str, redirections: &str) -> Run {
    let guard = ns.guard_copy();
    ns.sh(&format!("{guard} {args} --no-ask {redirections}"))
}

// The command line.

#[test]
fn an_unknown_user_is_named_with_what_to_give_instead() {
    require!();
    let (ns, ids) = with_orphans();
    for command in ["guard", "check", "list"] {
        ns.guard(&format!("{command} --user nosuchuser"))
            .exits(78)
            .logs("no such user: \"nosuchuser\"")
            .logs("--user NAME");
    }
    // One wrong name among valid ones ends the run.
    ns.guard("guard --user 33 --user nosuchuser").exits(78);
    ns.guard("guard --user 33,nosuchuser").exits(78);
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_user_name_cannot_control_the_terminal() {
    require!();
    let ns = Namespace::new(ROOMY);
    let mut guard = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    guard.args(["--no-ask", "--user", "x\x1b[31m\ny"]);
    let run = Run::of(&mut guard).exits(78);
    assert!(!run.err.contains('\x1b'), "{run}");
    run.logs("\\u{1b}[31m\\ny");
}

#[test]
fn root_cannot_be_guarded_by_name_or_by_number() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, 0);
    for root in ["root", "0", "00", "33,0"] {
        ns.guard(&format!("guard --user {root}")).exits(78).logs("root cannot be guarded");
    }
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_second_name_of_root_is_root() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, 0);
    let passwd = ns.write("passwd", "toor:x:0:0::/:/bin/sh\n");
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    ns.guard("guard --user toor").exits(78).logs("root cannot be guarded");
    assert_eq!(ns.ids(), ids);
}

#[test]
fn without_any_known_account_the_message_says_what_to_give() {
    require!();
    let (ns, ids) = with_orphans();
    let passwd = ns.write("passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    for command in ["check", "list"] {
        ns.guard(command).exits(78).logs("--user NAME").logs("www-data");
    }
    ns.guard("guard").exits(0).logs("not known which user").logs("--user NAME");
    assert_eq!(ns.ids(), ids);
    // A UID does not need an account.
    ns.guard("guard --user 33").exits(0).logs("of 33, last pid");
}

#[test]
fn the_distributions_account_is_guarded_without_being_named() {
    require!();
    let (ns, _) = with_orphans();
    let others = ns.orphans(1, STRANGER);
    let passwd = ns.write("passwd", "nobody:x:1234:1::/:\nwww-data:x:33:33::/:\n");
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    ns.guard("guard -v").exits(0).logs("users: www-data (33) (the distribution's account)");
    assert_eq!(ns.ids(), others);
}

#[test]
fn figures_out_of_range_are_refused_by_name() {
    require!();
    let (ns, ids) = with_orphans();
    for bad in ["--need -1", "--need 99999999999", "--need 1.5", "--min-free -1", "--need="] {
        let option = bad.split([' ', '=']).next().unwrap_or_default();
        ns.guard(&format!("guard --user 33 {bad}")).exits(64).logs(option);
    }
    assert_eq!(ns.ids(), ids);
}

#[test]
fn invalid_arguments_remove_nothing() {
    require!();
    let (ns, ids) = with_orphans();
    for bad in [
        "gaurd --user 33",
        "guard list --user 33",
        "guard --user 33 --dry",
        "guard --user 33 --dryrun",
        "guard --user 33 -x",
        "guard --user 33 --log nowhere",
        "check --user 33 --dry-run",
        "guard --user",
        "guard --user 33 -q -v",
    ] {
        let run = ns.guard(bad).exits(64);
        assert!(!run.err.is_empty() && run.out.is_empty(), "{bad}: {run}");
    }
    assert_eq!(ns.ids(), ids);
    for asked in ["--help", "--version", "-h"] {
        ns.guard(asked).exits(0).prints("httpd-semguard");
    }
    assert_eq!(ns.ids(), ids);
}

#[test]
fn invalid_values_in_the_environment_cause_warnings_and_valid_ones_take_effect() {
    require!();
    let (ns, ids) = with_orphans();
    let with = |name: &str, value: &str| {
        Run::of(ns.guard_command("guard").env("HTTPD_SEMGUARD_USER", "33").env(name, value))
    };
    for yes in ["true", "1", "yes"] {
        with("HTTPD_SEMGUARD_DRY_RUN", yes).exits(0).prints("would remove 2 orphaned sets");
        assert_eq!(ns.ids(), ids);
    }
    with("HTTPD_SEMGUARD_NEED", "129").exits(69);
    assert_eq!(ns.ids(), []);
    with("HTTPD_SEMGUARD_NEED", "-1").exits(0).logs("NEED=\"-1\" (environment) has no effect");
    with("HTTPD_SEMGUARD_LOG", "perhaps").exits(0).logs("write one of auto, stderr, syslog");
    // A word that is neither yes nor no counts as neither, especially if it would relax a rule.
    for switch in ["PRIVATE_IPC", "STRICT"] {
        with(&format!("HTTPD_SEMGUARD_{switch}"), "perhaps").exits(0).logs("write yes or no");
    }
}

// Permission.

#[test]
fn a_user_who_is_neither_root_nor_the_owner_is_told_so() {
    require!();
    let (ns, ids) = with_orphans();
    ns.guard_under(AS_STRANGER, "guard --user 33").exits(77).logs("run as root or as");
    ns.guard_under(AS_STRANGER, "list --user 33").exits(77).prints("cannot tell");
    // A check uses what everybody may see.
    ns.guard_under(AS_STRANGER, "check --user 33").exits(0);
    assert_eq!(ns.ids(), ids);
}

#[test]
fn an_owner_cannot_remove_what_another_guarded_user_owns() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.dead_actor("httpd", "as 33 make 1 33 exit");
    let others = ns.dead_actor("httpd", "as 1234 make 1 1234 exit");
    let as_www = "setpriv --reuid 33 --regid 33 --clear-groups";
    ns.guard_under(as_www, "guard --user 33 --user 1234").exits(77);
    assert_eq!(ns.ids(), others);
}

// The lock file.

#[test]
fn an_unwritable_run_directory_is_reported_and_changes_nothing_else() {
    require!();
    let (ns, _) = with_orphans();
    ns.guard_copy();
    let read_only = "unshare --mount sh -c 'mount -o remount,bind,ro /run && exec \"$@\"' sh";
    ns.guard_under(read_only, "guard --user 33")
        .exits(0)
        .logs("continuing without the lock /run/httpd-semguard.lock")
        .prints("removed 2 orphaned sets");
    assert!(!ns.path("/run/httpd-semguard.lock").exists());
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    require!();
    let (ns, _) = with_orphans();
    ns.sh("ln -s /run/t/victim /run/httpd-semguard.lock").exits(0);
    ns.guard("guard --user 33").exits(0).logs("continuing without the lock").prints("removed 2");
    assert!(!ns.path("/run/t/victim").exists());
}

#[test]
fn a_lock_file_that_is_a_pipe_does_not_stop_the_run() {
    require!("timeout");
    let (ns, _) = with_orphans();
    ns.sh("mkfifo /run/httpd-semguard.lock").exits(0);
    ns.guard_under("timeout -s KILL 30", "guard --user 33").exits(0).prints("removed 2");
}

// Streams.

#[test]
fn a_closed_standard_output_does_not_change_the_result() {
    require!();
    for redirection in [">&-", "<&- >&-"] {
        let (ns, _) = with_orphans();
        redirected(&ns, "list --user 33", redirection).exits(0).does_not_log("panicked");
        redirected(&ns, "guard --user 33", redirection).exits(0).logs("removed semaphore set");
        assert_eq!(ns.ids(), [], "{redirection}");
        redirected(&ns, "check --user 33 --need 129", redirection).exits(69);
    }
}

/// A lost report is a failure, but a guard's is no reason to keep httpd from starting.
#[test]
fn a_full_standard_output_is_an_error_except_for_a_guard() {
    require!();
    const LOST: &str = "the report cannot be written to standard output: ENOSPC (No space left on";
    let (ns, ids) = with_orphans();
    for args in ["list", "check", "check --json", "check --format prometheus", "list --json"] {
        redirected(&ns, &format!("{args} --user 33"), ">/dev/full").exits(73).logs(LOST);
    }
    // A failure that was found takes precedence.
    redirected(&ns, "check --user 33 --need 129", ">/dev/full").exits(69).logs(LOST);
    redirected(&ns, "check --user nosuchuser --json", ">/dev/full").exits(78).logs(LOST);
    // UNKNOWN.
    redirected(&ns, "check --format nagios --user 33", ">/dev/full").exits(3);
    // Nothing to write.
    redirected(&ns, "check --quiet --user 33", ">/dev/full").exits(0).does_not_log(LOST);
    assert_eq!(ns.ids(), ids);
    redirected(&ns, "guard --json --user 33 --need 129", ">/dev/full").exits(69).logs(LOST);
    for args in ["guard", "guard --json", "guard --format prometheus", "guard --format nagios"] {
        ns.orphans(2, WWW);
        let run = redirected(&ns, &format!("{args} --user 33"), ">/dev/full").exits(0).logs(LOST);
        run.logs("removed semaphore set");
        assert_eq!(ns.ids(), [], "{args}");
    }
    let guard = ns.guard_copy();
    for args in ["--help", "-h", "--version", "help"] {
        ns.sh(&format!("{guard} {args} >/dev/full")).exits(73).logs("ENOSPC");
        ns.sh(&format!("{guard} {args} >&-")).exits(0).does_not_log("cannot");
    }
}

#[test]
fn a_pipe_without_a_reader_does_not_change_the_result() {
    require!();
    let (ns, _) = with_orphans();
    for (args, code) in [
        ("list", 0),
        ("check", 0),
        ("check --json", 0),
        ("guard -v", 0),
        ("guard --need 129", 69),
        ("--help", 0),
    ] {
        let mut guard = ns.guard_command(&format!("{args} --user 33"));
        let mut guard =
            guard.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop((guard.stdout.take(), guard.stderr.take()));
        assert_eq!(guard.wait().expect("waited").code(), Some(code), "{args}");
    }
    assert_eq!(ns.ids(), []);
}

#[test]
fn a_closed_standard_error_does_not_change_the_result() {
    require!();
    for redirection in ["2>&-", "<&- >&- 2>&-", "2> /dev/full"] {
        let (ns, _) = with_orphans();
        ns.own_dev();
        redirected(&ns, "guard --user 33", redirection).exits(0);
        assert_eq!(ns.ids(), [], "{redirection}");
        redirected(&ns, "guard --user 33 --need 129", redirection).exits(69);
        redirected(&ns, "guard --user nosuchuser", redirection).exits(78);
        let lock = std::fs::read(ns.path("/run/httpd-semguard.lock")).expect("the lock file");
        assert_eq!(
            lock, b"",
            "a log line was written to the file that got the descriptor of stderr"
        );
    }
}

// Where the log goes.

/// A /dev/log in the namespace, and what arrives there.
struct Syslog(UnixDatagram);

impl Syslog {
    fn of(ns: &Namespace) -> Syslog {
        ns.own_dev();
        Syslog(UnixDatagram::bind(ns.path("/dev/log")).expect("bound"))
    }

    /// The lines that have arrived, once the guard that sent them has exited.
    fn lines(&self) -> Vec<String> {
        self.0.set_nonblocking(true).expect("set");
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(n) = self.0.recv(&mut buffer) {
            lines.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        lines
    }
}

#[test]
fn syslog_gets_facility_daemon_and_the_severity_of_each_line() {
    require!();
    let (ns, ids) = with_orphans();
    let syslog = Syslog::of(&ns);
    let run = ns.guard("guard --user 33 --log syslog").exits(0);
    assert_eq!(run.err, "", "{run}");
    let lines = syslog.lines();
    for id in ids {
        let text = format!(": removed semaphore set {id} of www-data (33)");
        let line = lines.iter().find(|l| l.contains(&text)).expect("the removal");
        // LOG_DAEMON is 3 << 3, LOG_INFO 6.
        assert!(line.starts_with("<30>httpd-semguard["), "{line}");
    }
    ns.guard("guard --user 33 --need 129 --log syslog").exits(69);
    let lines = syslog.lines();
    let line = lines.iter().find(|l| l.contains("httpd would not start")).expect("the failure");
    // LOG_ERR is 3.
    assert!(line.starts_with("<27>httpd-semguard["), "{line}");
    assert!(lines.iter().any(|l| l.contains("why:")) && lines.iter().any(|l| l.contains("do:")));
}

#[test]
fn without_standard_error_the_log_goes_to_syslog() {
    require!();
    let (ns, _) = with_orphans();
    let syslog = Syslog::of(&ns);
    redirected(&ns, "guard --user 33", "2>&-").exits(0);
    let removals = syslog.lines().iter().filter(|l| l.contains(": removed semaphore set")).count();
    assert_eq!(removals, 2);
    // Discarding it on purpose is not the same as closing it.
    redirected(&ns, "guard --user 33 -v", "2>/dev/null").exits(0);
    assert_eq!(syslog.lines(), Vec::<String>::new());
}

#[test]
fn without_a_syslog_socket_the_log_goes_to_standard_error() {
    require!();
    let (ns, _) = with_orphans();
    ns.own_dev();
    ns.guard("guard --user 33 --log syslog").exits(0).logs("removed semaphore set");
}

#[test]
fn a_syslog_daemon_that_reads_nothing_does_not_block_the_run() {
    require!("timeout");
    let ns = Namespace::new("250 32000 32 400");
    let syslog = Syslog::of(&ns);
    // Its queue is full after ten lines (net.unix.max_dgram_qlen). Waiting once is acceptable; waiting
    // for every line would exceed the start-up timeout of any unit.
    ns.orphans(300, WWW);
    ns.guard_under("timeout -s KILL 30", "guard --user 33 --log syslog").exits(0);
    assert_eq!(ns.ids(), []);
    drop(syslog);
}

#[test]
fn in_the_journal_each_line_begins_with_its_priority() {
    require!();
    let (ns, _) = with_orphans();
    let guard = ns.guard_copy();
    let journal = |args: String| {
        ns.sh(&format!(
            "exec 2>/run/t/journal; export JOURNAL_STREAM=$(stat -c %d:%i /run/t/journal); \
             {args} --no-ask"
        ));
        std::fs::read_to_string(ns.path("/run/t/journal")).expect("a journal")
    };
    let text = journal(format!("exec {guard} guard --user 33"));
    assert_eq!(text.matches("<6>removed semaphore set").count(), 2, "{text}");
    let text = journal(format!("exec {guard} guard --user 33 --need 129"));
    assert!(text.contains("<3>too few semaphores free: httpd would not start"), "{text}");
    assert!(text.lines().all(|l| l.starts_with('<')), "{text}");
    // `systemctl status` shows the end of a long message, which repeats the cause.
    let last = text.lines().last();
    assert_eq!(last, Some("<3>too few semaphores free: httpd would not start"), "{text}");
    assert!(!text.contains("httpd-semguard:"), "the journal adds the name itself\n{text}");
    // For programs run by a shell, it shows the name of the shell. The answer needs the name as well.
    let text = journal(format!("false || {guard} >&2 guard --user 33"));
    assert_eq!(text.matches("httpd-semguard: httpd's locks can be made").count(), 1, "{text}");
    let text = journal(format!("false || {guard} guard --user 33 --need 129"));
    assert!(
        text.contains("<3>httpd-semguard: too few semaphores free: httpd would not start"),
        "{text}"
    );
    assert!(text.lines().all(|l| l[3..].starts_with("httpd-semguard: ")), "{text}");
    // A JOURNAL_STREAM that was inherited but does not refer to this standard error.
    let mut elsewhere = ns.guard_command("guard --user 33 --need 129");
    let run = Run::of(elsewhere.env("JOURNAL_STREAM", "1:1"));
    run.exits(69)
        .logs("httpd-semguard: too few semaphores free: httpd would not start")
        .does_not_log("<3>");
}

#[test]
fn quiet_reports_nothing_if_all_is_well_and_everything_otherwise() {
    require!();
    let ns = Namespace::new("250 32000 32 128");
    ns.orphans(1, WWW);
    let run = ns.guard("guard --user 33 --quiet").exits(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
    assert_eq!(ns.ids(), []);
    ns.guard("guard --user 33 --quiet --need 129").exits(69).logs("why:").logs("do:");
}
