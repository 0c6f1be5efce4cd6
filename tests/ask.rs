//! Control programs that do not answer like httpd's: each leads to one line that says why, none keeps
//! httpd from starting, none delays the guard for longer than allowed, and none of their processes is
//! left behind.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Namespace, Run, wait_until};

/// Room for everything.
const ROOMY: &str = "250 32000 32 128";

/// Room for nothing.
const FULL: &str = "250 32000 32 0";

/// The output of an httpd that creates one accept mutex with sysvsem.
const DUMP: &str = include_str!("dumps/prefork-sysvsem-2listen.txt");

/// Much more than twice `--ask-timeout 1`, and much less than the programs here would take.
const DEADLINE: Duration = Duration::from_secs(30);

const CONTROL: &str = "/run/t/apachectl";

/// What is assumed if httpd could not be asked.
const ASSUMED: &str = "; assuming it needs 0 to 1 semaphore sets";

/// A control program with these lines of shell.
fn control(ns: &Namespace, script: &str) {
    ns.write("apachectl", &format!("#!/bin/sh\n{script}\n"));
    ns.sh(&format!("chmod 755 {CONTROL}")).exits(0);
}

/// The guard, with this control program, within the deadline.
fn guard_with(ns: &Namespace, httpd: &str, args: &str) -> Run {
    let began = Instant::now();
    let mut command = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    command.args(args.split_whitespace()).args(["--ask-timeout", "1", "--log", "stderr"]);
    let run = Run::of(command.args(["--httpd", httpd]));
    assert!(began.elapsed() < DEADLINE, "took {:?}: {run}", began.elapsed());
    run
}

fn guard(ns: &Namespace, args: &str) -> Run {
    guard_with(ns, CONTROL, args)
}

fn limit(ns: &Namespace, sem: &str) {
    ns.sh(&format!("echo {sem} >/proc/sys/kernel/sem")).exits(0);
}

/// Waits until only the first process of the namespace is running.
#[track_caller]
fn everybody_is_gone(ns: &Namespace) {
    wait_until("no child is left", || {
        let entries = fs::read_dir(ns.path("/proc")).expect("proc");
        let names = entries.map_while(Result::ok).map(|e| e.file_name());
        let pids = names.filter_map(|n| n.to_str()?.parse::<i32>().ok());
        pids.filter(|pid| *pid != 1).all(|pid| !ns.lives(pid))
    });
}

/// A control program that gives no answer for this reason, whatever room there is.
#[track_caller]
fn is_not_heard(script: &str, reason: &str) {
    let ns = Namespace::new(ROOMY);
    control(&ns, script);
    is_not_heard_at(&ns, CONTROL, reason);
}

#[track_caller]
fn is_not_heard_at(ns: &Namespace, httpd: &str, reason: &str) {
    let line = format!("httpd-semguard: could not ask httpd what it needs: {reason}{ASSUMED}\n");
    let roomy = guard_with(ns, httpd, "check -q --user 33").exits(0);
    assert_eq!(roomy.err, line, "{roomy}");
    limit(ns, FULL);
    let full = guard_with(ns, httpd, "check -q --user 33").exits(0);
    assert!(full.err.starts_with(&line), "{full}");
    full.logs("httpd may not start (").does_not_log("would not start");
    let strict = guard_with(ns, httpd, "guard -q --user 33 --strict").exits(69);
    strict.logs("httpd may not start (").does_not_log("would not start");
    everybody_is_gone(ns);
}

// Programs without useful output.

#[test]
fn one_that_hangs_with_children_is_abandoned_and_killed() {
    require!();
    is_not_heard(
        "sleep 1000 & sleep 1000 & (sleep 1000; sleep 1000)",
        "/run/t/apachectl did not answer within 1 s",
    );
}

#[test]
fn one_that_ignores_being_asked_to_end_is_killed() {
    require!();
    is_not_heard(
        "trap '' TERM INT HUP; while :; do sleep 1000; done",
        "/run/t/apachectl did not answer within 1 s",
    );
}

#[test]
fn one_that_closes_its_pipes_and_keeps_running_is_killed() {
    require!();
    is_not_heard("exec >&- 2>&-; sleep 1000", "/run/t/apachectl did not answer within 1 s");
}

#[test]
fn one_that_prints_slowly_for_ever_is_abandoned() {
    require!();
    is_not_heard(
        "while :; do echo x; sleep 0.1; done",
        "/run/t/apachectl did not answer within 1 s",
    );
}

#[test]
fn one_that_prints_without_end_is_cut_off() {
    require!();
    for to in ["1", "2"] {
        is_not_heard(
            &format!("head -c 100000000 /dev/zero >&{to}"),
            "/run/t/apachectl printed more than 32 MiB",
        );
    }
}

#[test]
fn binary_garbage_is_not_an_answer() {
    require!();
    is_not_heard(
        "head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2",
        "/run/t/apachectl gave an answer that is not httpd's",
    );
}

#[test]
fn no_output_at_all_is_not_an_answer() {
    require!();
    is_not_heard("exit 0", "/run/t/apachectl gave an answer that is not httpd's");
}

#[test]
fn one_that_fails_is_quoted() {
    require!();
    is_not_heard(
        "echo 'AH00526: Syntax error on line 7'; echo 'AH00526: Invalid command' >&2; exit 1",
        "/run/t/apachectl says: AH00526: Invalid command",
    );
}

#[test]
fn one_that_fails_without_output_is_described_by_how_it_ended() {
    require!();
    is_not_heard("exit 3", "/run/t/apachectl says: nothing (exit code 3)");
    is_not_heard("kill -SEGV $$", "/run/t/apachectl says: nothing (killed by signal 11)");
}

#[test]
fn one_that_waits_for_input_gets_none() {
    require!();
    is_not_heard("cat; echo no input >&2; exit 1", "/run/t/apachectl says: no input");
}

#[test]
fn its_messages_cannot_control_a_terminal_or_break_the_line() {
    require!();
    is_not_heard(
        r"printf '\033[31mred\033]0;title\007 a\tb\r\302\233c\n\nnext' >&2; exit 1",
        r"/run/t/apachectl says: \u{1b}[31mred\u{1b}]0;title\u{7} a\tb\r\u{9b}c next",
    );
}

#[test]
fn a_long_message_is_truncated() {
    require!();
    let ns = Namespace::new(ROOMY);
    control(&ns, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
    let run = guard(&ns, "check -q --user 33").exits(0).logs("/run/t/apachectl says: xxx");
    assert!(run.err.len() < 1000, "{run}");
}

// Programs that cannot be run.

#[test]
fn one_that_is_missing_or_not_a_program_is_reported() {
    require!();
    let missing = "cannot be run: No such file or directory (os error 2)";
    is_not_heard_at(&Namespace::new(ROOMY), CONTROL, &format!("{CONTROL} {missing}"));
    is_not_heard_at(
        &Namespace::new(ROOMY),
        "/no\tsuch\x1b",
        &format!("/no\\tsuch\\u{{1b}} {missing}"),
    );

    let ns = Namespace::new(ROOMY);
    ns.write("apachectl", "#!/bin/sh\n");
    let denied = "cannot be run: Permission denied (os error 13)";
    is_not_heard_at(&ns, CONTROL, &format!("{CONTROL} {denied}"));
    is_not_heard_at(&Namespace::new(ROOMY), "/run/t", &format!("/run/t {denied}"));
}

#[test]
fn a_relative_path_is_not_run() {
    require!();
    let ns = Namespace::new(ROOMY);
    is_not_heard_at(&ns, "apachectl", "--httpd apachectl is not an absolute path");
}

#[test]
fn if_no_httpd_is_installed_the_message_says_so() {
    require!();
    let ns = Namespace::new(ROOMY);
    // An empty directory covers that of the control programs; what the guard needs is elsewhere.
    ns.sh("mount -t tmpfs tmpfs /usr/sbin && mkdir -p /usr/local/apache2 2>/dev/null; true");
    let mut command = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    let run = Run::of(command.args(["check", "--user", "33", "--log", "stderr"])).exits(0);
    run.logs(
        "could not ask httpd what it needs: no httpd was found (see --httpd); assuming it needs",
    );
}

// Programs that do answer.

#[test]
fn an_answer_is_accepted_although_a_child_keeps_the_pipes_open_and_the_child_is_killed() {
    require!();
    let ns = Namespace::new(FULL);
    ns.write("dump", DUMP);
    control(&ns, "cat /run/t/dump; sleep 1000 &");
    let run = guard(&ns, "check --user 33").exits(69).does_not_log("not heard");
    run.logs("httpd would not start (it would log: (28)No space left on device: AH00023");
    everybody_is_gone(&ns);
}

#[test]
fn one_that_leaves_its_process_group_delays_nothing() {
    require!();
    let ns = Namespace::new(FULL);
    ns.write("dump", DUMP);
    control(&ns, "cat /run/t/dump; setsid sleep 1000 &");
    guard(&ns, "check --user 33").exits(69).does_not_log("not heard");
    control(&ns, "setsid sleep 1000");
    guard(&ns, "check --user 33").exits(0).logs("did not answer within 1 s");
}

#[test]
fn an_answer_cannot_control_a_terminal() {
    require!();
    let ns = Namespace::new(FULL);
    ns.write(
        "dump",
        "# In file: /x\x1b[31m\n#   1:\nRewriteMap m prg:/\x1b[31mred\x07\nServerRoot: \"/e\"\n\
         Mutex default: dir=\"/\x1b[1m\" mechanism=sysvsem \nMutex rewrite-map: using_defaults\n\
         Mutex o\x1b[2mdd: using_defaults\nUser: name=\"w\x1b[31mw\" id=33\n\
         Loaded Modules:\n core_module (static)\n re\x1b[3mwrite_module (shared)\n",
    );
    control(&ns, "cat /run/t/dump");
    for args in ["check -v", "guard -v", "list -v"] {
        let run = guard(&ns, args);
        assert!(!run.err.contains(['\x1b', '\x07']), "{:?}", run.err);
        assert!(!run.out.contains(['\x1b', '\x07']), "{:?}", run.out);
        run.does_not_log("not heard");
    }
}

#[test]
fn arguments_after_the_dashes_are_passed_unchanged_and_first() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.write("dump", DUMP);
    control(&ns, "printf '<%s>' \"$@\" >>/run/t/args; echo >>/run/t/args; cat /run/t/dump");
    let given = ["-f", "conf/a  b.conf", "", "-D", "NAME", "*", "$(x)", "--help", "a\nb", "ü\x1b"];
    let mut command = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    command.args(["check", "--user", "33", "--httpd", CONTROL, "--"]).args(given);
    Run::of(&mut command).exits(0);
    let arrived = fs::read_to_string(ns.path("/run/t/args")).expect("they arrived");
    let all: String = given.iter().map(|a| format!("<{a}>")).collect();
    assert!(
        arrived.starts_with(&format!(
            "{all}<-t><-D><DUMP_RUN_CFG><-D><DUMP_MODULES><-D><DUMP_CONFIG>"
        )),
        "{arrived}"
    );
}

// Programs that answer only to fewer arguments.

/// A control program that answers unless its arguments contain this.
fn answers_without(ns: &Namespace, word: &str) {
    ns.write("dump", DUMP);
    control(
        ns,
        &format!("case \"$*\" in *{word}*) echo no such thing >&2; exit 1;; esac; cat /run/t/dump"),
    );
}

#[test]
fn a_refusal_with_mod_info_is_followed_by_a_question_without_it() {
    require!();
    let ns = Namespace::new(FULL);
    ns.sh("mkdir /run/modules && touch /run/modules/mod_info.so").exits(0);
    answers_without(&ns, "LoadModule");
    guard(&ns, "check --user 33").exits(69).does_not_log("not heard");
    // If it is refused without mod_info, too, there is no answer.
    answers_without(&ns, "-t");
    guard(&ns, "check --user 33").exits(0).logs("/run/t/apachectl says: no such thing");
}

#[test]
fn without_mod_info_a_handful_of_sets_is_uncertain_and_there_is_no_alarm() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.write("dump", include_str!("dumps/without-mod-info.txt"));
    control(&ns, "cat /run/t/dump");
    let run = guard(&ns, "check -v").exits(0).does_not_log("may not start");
    run.logs("usage unknown");
    let nagios = guard(&ns, "check --format nagios");
    assert!(nagios.out.contains("OK"), "{nagios}");
}

#[test]
fn an_unknown_module_is_uncertain_depending_on_what_its_file_imports() {
    require!();
    let ns = Namespace::new("250 32000 32 1");
    let dump = DUMP.trim_end().to_owned() + "\n strange_module (shared)\n";
    ns.write("dump", &dump);
    control(&ns, "cat /run/t/dump");
    ns.sh("mkdir /run/modules").exits(0);
    let with = |content: &str| {
        ns.sh(&format!("printf '{content}' >/run/modules/mod_strange.so")).exits(0);
        guard(&ns, "check -v --user 33").exits(0)
    };
    with("\\177ELF\\0apr_palloc\\0").does_not_log("strange").does_not_log("may not start");
    let run = with("\\177ELF\\0semget\\0");
    run.logs("httpd may not start (it needs 1 to 9 semaphore sets, and 1 can be made");
    with("\\177ELF\\0semget\\0")
        .logs("in doubt: strange, 0 to 8 (third-party module mod_strange: ");
    // One whose file is not found is uncertain as well.
    ns.sh("rm /run/modules/mod_strange.so").exits(0);
    guard(&ns, "check --user 33").exits(0).logs("its file could not be found or read");
    // With room for everything, it does not matter.
    limit(&ns, ROOMY);
    guard(&ns, "check --user 33").exits(0).does_not_log("may not start");
}

// Whose sets.

#[test]
fn a_guessed_user_is_reported_together_with_other_candidates() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 1);
    control(&ns, "echo no such thing >&2; exit 1");
    let run = guard(&ns, "check").exits(0).logs("; guarding www-data (33) (the distribution's");
    run.logs("2 semaphore sets of daemon look like httpd's, and daemon is not guarded")
        .logs("use --user daemon");
    // There is no guess if the user is given.
    guard(&ns, "check --user 33").exits(0).does_not_log("daemon").does_not_log("guarding");
    ns.write("dump", DUMP);
    control(&ns, "cat /run/t/dump");
    guard(&ns, "check").exits(0).does_not_log("daemon");
}

// What a missing answer means, and what it does not.

#[test]
fn a_list_needs_no_answer() {
    require!();
    let ns = Namespace::new(ROOMY);
    let orphan = ns.orphans(1, 33)[0];
    control(&ns, "sleep 1000");
    let run = guard(&ns, "list").exits(0);
    assert!(run.verdict(orphan).starts_with("orphan"), "{run}");
}

#[test]
fn no_answer_keeps_no_orphan_in_the_table() {
    require!();
    let ns = Namespace::new("250 32000 32 2");
    ns.orphans(2, 33);
    control(&ns, "exit 1");
    guard(&ns, "guard --user 33").exits(0).logs("could not ask httpd");
    assert_eq!(ns.ids(), []);
}

#[test]
fn with_no_ask_one_accept_lock_is_certain_and_a_full_table_is_a_failure() {
    require!();
    let ns = Namespace::new(FULL);
    control(&ns, "touch /run/t/was-run; exit 1");
    let run = guard(&ns, "check --user 33 --no-ask").exits(69);
    run.logs("httpd would not start (it would log: (28)No space left on device: AH00023")
        .does_not_log("could not ask");
    assert!(!ns.path("/run/t/was-run").exists(), "httpd was asked in spite of --no-ask");
    limit(&ns, ROOMY);
    guard(&ns, "check --user 33 --no-ask").exits(0).does_not_log("could not ask");
}

#[test]
fn a_given_need_applies_without_an_answer() {
    require!();
    let ns = Namespace::new(FULL);
    control(&ns, "exit 1");
    guard(&ns, "check --user 33 --need 1").exits(69).logs("would not start");
    guard(&ns, "check --user 33 --need 0").exits(0).does_not_log("may not start");
}

/// SUSE's script passes on what sysconfig says; httpd itself would use another configuration.
#[test]
fn if_suses_script_is_installed_it_is_asked_instead_of_httpd() {
    require!();
    let ns = Namespace::new(ROOMY);
    control(&ns, "echo \"$@\" >>/run/t/asked; exec cat /run/t/dump");
    ns.write("dump", DUMP);
    ns.sh("set -e; cd /run/t; mkdir upper work
           mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=upper,workdir=work /usr/sbin
           cp apachectl /usr/sbin/start_apache2")
        .exits(0);
    Run::of(ns.command(env!("CARGO_BIN_EXE_httpd-semguard")).arg("check")).exits(0);
    let asked = fs::read_to_string(ns.path("/run/t/asked")).expect("it was asked");
    assert!(asked.contains("DUMP_RUN_CFG"), "{asked}");
}
