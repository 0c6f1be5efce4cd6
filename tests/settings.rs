//! Settings: from a settings file, the environment and the command line, in increasing order of
//! precedence. None of them stops an httpd that would have started, whatever is written there.

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use clap::CommandFactory;
use common::{Folder, Namespace, Run, STRANGER, WWW};
use httpd_semguard::cli::Options;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const ROOMY: &str = "250 32000 32 128";

/// Runs the program without rights or a namespace; a user that does not exist ends the run with 78
/// before it looks at anything.
fn program(args: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd-semguard"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HTTPD_SEMGUARD_") {
            command.env_remove(name);
        }
    }
    command.args(["--no-ask", "--user", "no such user"]).args(args);
    Run::of(command.envs(variables.iter().copied()))
}

/// A namespace with a settings file where Debian has it.
fn with_settings(limits: &str, text: &str) -> Namespace {
    let ns = Namespace::new(limits);
    ns.sh("mount -t tmpfs -o mode=755 tmpfs /etc/default && mkdir -p /etc/sysconfig").exits(0);
    let file = ns.write("settings", text);
    ns.sh(&format!("cp {file} /etc/default/httpd-semguard")).exits(0);
    ns
}

// Which file, and what takes precedence.

#[test]
fn check_and_list_use_the_distributions_file_and_say_so_but_guard_does_not() {
    require!();
    let ns = with_settings(ROOMY, "HTTPD_SEMGUARD_USER=www-data\nHTTPD_SEMGUARD_MIN_FREE=200\n");
    ns.guard("check")
        .exits(69)
        .logs("using HTTPD_SEMGUARD_MIN_FREE=\"200\" (/etc/default/httpd-semguard:2)")
        .logs("and HTTPD_SEMGUARD_MIN_FREE=\"200\" (/etc/default/httpd-semguard:2) asks for more");
    ns.orphans(1, WWW);
    ns.guard("list").exits(0).logs("using HTTPD_SEMGUARD_USER=\"www-data\"");
    ns.guard("check --settings /dev/null --user 33").exits(0).does_not_log("using ");
    // A unit's guard gets them from systemd, or is not meant to have them.
    ns.guard("guard --user 33").exits(0).does_not_log("using ");
    let told = "guard --user 33 --settings /etc/default/httpd-semguard";
    ns.guard(told).exits(69).does_not_log("using ");
    ns.guard(&format!("{told} --verbose")).exits(69).logs("using HTTPD_SEMGUARD_MIN_FREE=");
    ns.guard(&format!("{told} --dry-run")).exits(69).logs("using HTTPD_SEMGUARD_MIN_FREE=");
}

#[test]
fn the_command_line_overrides_the_environment_which_overrides_the_file() {
    require!();
    let ns = with_settings(ROOMY, "HTTPD_SEMGUARD_MIN_FREE=200\n");
    let with = |value: &str, args: &str| {
        let mut command = ns.guard_command(&format!("check --user 33 {args}"));
        Run::of(command.env("HTTPD_SEMGUARD_MIN_FREE", value))
    };
    with("300", "")
        .exits(69)
        .logs("HTTPD_SEMGUARD_MIN_FREE=\"300\" (environment) asks for more")
        .does_not_log("using ");
    with("300", "--min-free 1").exits(0).does_not_log("using ");
    ns.guard("check --user 33 --min-free 1").exits(0).does_not_log("using ");
    // An empty value means that nothing is set.
    with("", "").exits(0);
    with("lots", "").exits(0).logs("MIN_FREE=\"lots\" (environment) has no effect: write a whole");
}

#[test]
fn of_several_files_the_later_wins() {
    require!();
    let ns = Namespace::new(ROOMY);
    let one = ns.write("one", "HTTPD_SEMGUARD_MIN_FREE=200\nHTTPD_SEMGUARD_USER=33\n");
    let two = ns.write("two", "HTTPD_SEMGUARD_MIN_FREE=1\n");
    ns.guard(&format!("check --settings {one} --settings {two}")).exits(0).logs("MIN_FREE=\"1\"");
    ns.guard(&format!("check --settings {two} --settings {one}")).exits(69);
}

#[test]
fn a_bad_value_in_a_unit_is_reported_with_its_file_and_line() {
    require!();
    let ns = with_settings(ROOMY, "# settings\nHTTPD_SEMGUARD_STRICT=yes # for now\n");
    let mut guard = ns.guard_command("guard --user 33");
    Run::of(guard.env("HTTPD_SEMGUARD_STRICT", "yes # for now")).exits(0).logs(
        "HTTPD_SEMGUARD_STRICT=\"yes # for now\" (/etc/default/httpd-semguard:2) has no effect: \
         write yes or no; a comment needs a line of its own",
    );
}

#[test]
fn output_settings_for_a_guard_do_not_apply_to_check_list_or_dry_run() {
    require!();
    let ns = with_settings(
        ROOMY,
        "HTTPD_SEMGUARD_FORMAT=json\nHTTPD_SEMGUARD_OUTPUT=/run/t/report\nHTTPD_SEMGUARD_LOG=syslog\n\
         HTTPD_SEMGUARD_QUIET=yes\n",
    );
    for command in ["check", "list", "guard --dry-run --settings /etc/default/httpd-semguard"] {
        let run = ns.guard(&format!("{command} --user 33 --need 1")).exits(0);
        assert!(!run.out.is_empty() && !run.out.starts_with('{'), "{command}: {run}");
    }
    assert!(!ns.path("/run/t/report").exists());
    ns.guard("guard --settings /etc/default/httpd-semguard --user 33").exits(0);
    assert!(ns.path("/run/t/report").exists());
}

/// A document in the journal of a start is noise: without a file for it, a start has its line.
#[test]
fn a_format_by_a_setting_is_for_the_file_of_a_guard_and_not_for_the_journal() {
    require!();
    let ns = Namespace::new(ROOMY);
    let guard = |format: &str, output: &str, args: &str| {
        let mut guard = ns.guard_command(&format!("guard --user 33 --need 1 {args}"));
        guard.env("HTTPD_SEMGUARD_FORMAT", format).env("HTTPD_SEMGUARD_OUTPUT", output);
        Run::of(&mut guard).exits(0)
    };
    for format in ["json", "prometheus", "nagios"] {
        let run = guard(format, "", "");
        let line = "httpd's locks can be made: it needs 1 semaphore set";
        assert!(run.out.starts_with(line), "{format}: {run}");
        assert_eq!(run.out.lines().count() + run.err.lines().count(), 1, "{format}: {run}");
    }
    for (format, begins) in [("json", "{"), ("prometheus", "# HELP ")] {
        let run = guard(format, "/run/t/report", "");
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{format}");
        let report = std::fs::read_to_string(ns.path("/run/t/report")).expect("written");
        assert!(report.starts_with(begins), "{format}: {report}");
        // Typed for this one run, either counts.
        assert!(guard("text", "", &format!("--format {format}")).out.starts_with(begins));
        guard(format, "", "--output /run/t/typed");
        let report = std::fs::read_to_string(ns.path("/run/t/typed")).expect("written");
        assert!(report.starts_with(begins), "{format}: {report}");
    }
}

// One httpd of several.

#[test]
fn the_settings_of_an_instance_count_before_the_common_ones_and_for_it_alone() {
    require!();
    let ns = with_settings(ROOMY, "HTTPD_SEMGUARD_MIN_FREE=200\nHTTPD_SEMGUARD_USER=www-data\n");
    let own = ns.write("own", "\nHTTPD_SEMGUARD_MIN_FREE=1\nHTTPD_SEMGUARD_STRICT=maybe\n");
    ns.sh(&format!("cp {own} /etc/default/httpd-semguard-shop")).exits(0);
    ns.guard("check --instance shop --need 1")
        .exits(0)
        .logs("using HTTPD_SEMGUARD_MIN_FREE=\"1\" (/etc/default/httpd-semguard-shop:2)")
        .logs("using HTTPD_SEMGUARD_USER=\"www-data\" (/etc/default/httpd-semguard:2)")
        .logs("STRICT=\"maybe\" (/etc/default/httpd-semguard-shop:3) has no effect");
    ns.guard("check --need 1").exits(69).does_not_log("-shop");
    ns.guard("check --instance wiki --need 1").exits(69).does_not_log("-shop");
    // To see what an instance would do with other files than these.
    let common = "--settings /etc/default/httpd-semguard";
    ns.guard(&format!("check --instance shop {common} --need 1")).exits(69);

    // A unit's guard has the values from systemd, and says which line it was.
    let mut guard = ns.guard_command("guard --instance shop --user 33 --need 1");
    Run::of(guard.env("HTTPD_SEMGUARD_STRICT", "maybe"))
        .exits(0)
        .logs("STRICT=\"maybe\" (/etc/default/httpd-semguard-shop:3) has no effect");
    for name in ["", "a/b", "a b", "$(x)", "\u{e4}"] {
        let run = program(&["check", "--instance", name], &[]).exits(64);
        assert!(run.err.contains("--instance") && run.err.contains("after the @"), "{run}");
    }
    program(&["check", "--instance", "a.b_c-d:e\\x2df@9"], &[]).exits(78);
}

/// As apache2@.service of Debian and SUSE starts it, and httpd@.service of EL and Fedora.
#[test]
fn an_instance_is_asked_for_its_own_configuration_as_its_unit_starts_it() {
    require!();
    let ns = Namespace::new(ROOMY);
    let write = "#!/bin/sh\necho \"$APACHE_CONFDIR|$HTTPD_INSTANCE|$*\" >>/run/t/asked; exit 1\n";
    for name in ["apache2ctl", "start_apache2", "httpd"] {
        ns.write(name, write);
    }
    ns.sh("cd /run/t; chmod 755 apache2ctl start_apache2 httpd; ln -s apache2ctl apachectl")
        .exits(0);
    let asked = |control: &str, args: &str, variables: &[(&str, &str)]| {
        let mut check = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
        check.args(["check", "--user", "33", "--httpd"]).arg(format!("/run/t/{control}"));
        check.args(args.split_whitespace()).env_remove("APACHE_CONFDIR");
        let run = Run::of(check.envs(variables.iter().copied())).exits(0);
        let asked = std::fs::read_to_string(ns.path("/run/t/asked"));
        let asked = asked.unwrap_or_else(|e| panic!("{e}: {run}"));
        std::fs::remove_file(ns.path("/run/t/asked")).expect("removed");
        let first = asked.lines().next().expect("a call");
        first.split(" -t ").next().expect("its beginning").trim_end_matches("-t").to_owned()
    };
    let shop = "--instance shop";
    for debians in ["apache2ctl", "apachectl"] {
        assert!(asked(debians, shop, &[]).starts_with("/etc/apache2-shop||"));
        assert!(asked(debians, "", &[]).starts_with("||"));
        let elsewhere = [("APACHE_CONFDIR", "/srv/shop")];
        assert!(asked(debians, shop, &elsewhere).starts_with("/srv/shop||"));
    }
    assert!(!asked("apache2ctl", shop, &[]).contains("conf/shop.conf"));
    let suses = asked("start_apache2", shop, &[]);
    assert!(suses.starts_with("|shop|") && !suses.contains("conf/shop.conf"), "{suses}");
    assert_eq!(asked("httpd", "--instance shop -- -DX", &[]), "|shop|-DX -f conf/shop.conf");
    for given in ["-f conf/other.conf", "-fconf/other.conf"] {
        assert_eq!(asked("httpd", &format!("{shop} -- {given}"), &[]), format!("|shop|{given}"));
    }
    assert_eq!(asked("httpd", "-- -DX", &[]), "||-DX");
    // A script of somebody's own knows which file it starts httpd with.
    ns.sh("cp /run/t/httpd /run/t/our-httpd").exits(0);
    assert!(!asked("our-httpd", shop, &[]).contains("shop.conf"));
    assert!(!asked("httpd", shop, &[("APACHE_CONFDIR", "/srv/shop")]).contains("shop.conf"));
}

#[test]
fn a_plugin_prints_its_line_whatever_the_environment_says_about_output() {
    require!();
    let ns = Namespace::new(ROOMY);
    let mut plugin = ns.guard_command("check --user 33 --format nagios");
    plugin.env("HTTPD_SEMGUARD_OUTPUT", "/run/t/report").env("HTTPD_SEMGUARD_FORMAT", "json");
    let run = Run::of(&mut plugin).exits(0);
    assert!(run.out.starts_with("SEMGUARD OK - "), "{run}");
    assert!(!ns.path("/run/t/report").exists());
    ns.guard("check --user 33 --format nagios --output /run/t/report").exits(0);
    assert!(ns.path("/run/t/report").exists(), "it applies if given on the command line");
}

// Errors in settings.

#[test]
fn check_tests_a_settings_file_and_reports_everything_wrong_with_it() {
    let folder = Folder::new("settings-tested");
    let file = folder.0.join("settings");
    let path = file.display().to_string();
    let check = |text: &[u8]| {
        std::fs::write(&file, text).expect("written");
        program(&["check", "--settings", &path], &[])
    };
    let run = check(
        b"HTTPD_SEMGUARD_STRICT=maybe\nHTTPD_SEMGUARD_STRCIT=yes\n\nHTTPD_SEMGUARD_LOG=journal\n\
          export HTTPD_SEMGUARD_NEED=1\nHTTPD_SEMGUARD_NEED 1\nHTTPD_SEMGUARD_DRY_RUN='yes\\'\n",
    );
    let run = run.exits(64);
    for told in [
        "STRICT=\"maybe\" (FILE:1) has no effect: write yes or no",
        "STRCIT=\"yes\" (FILE:2) has no effect: there is no such setting; did you mean HTTPD_SEMGUARD_STRICT?",
        "LOG=\"journal\" (FILE:4) has no effect: write one of auto, stderr, syslog",
        "\"export HTTPD_SEMGUARD_NEED=1\" (FILE:5) has no effect: it is not NAME=VALUE",
        "\"HTTPD_SEMGUARD_NEED 1\" (FILE:6) has no effect: it is not NAME=VALUE",
        "DRY_RUN=\"yes\\\" (FILE:7) has no effect",
    ] {
        assert!(run.err.contains(&told.replace("FILE", &path)), "{told}\n{run}");
    }
    // A line that some version of systemd reads differently is reported, but is not an error.
    let doubtful = b"HTTPD_SEMGUARD_OUTPUT='/run/a\\b'\n# goes on \\\nHTTPD_SEMGUARD_NEED=1\n";
    let run = check(doubtful).exits(78);
    for line in [1, 3] {
        let told = format!("{path}:{line}: older versions of systemd read this differently");
        assert!(run.err.contains(&told), "{run}");
    }
    check(b"A=\xff\n").exits(64).logs("it is not UTF-8 text");
    check(b"# all well\nHTTPD_SEMGUARD_STRICT=\"yes\"\nSEMGUARD_METRICS=/x\nOPTIONS=-DX\n")
        .exits(78);
    program(&["check", "--settings", "/nonexistent"], &[]).exits(64).logs("ENOENT");
    for user in ["www-dat", "root"] {
        check(format!("HTTPD_SEMGUARD_USER={user}\n").as_bytes()).exits(64).logs(&path);
    }
    // A monitoring plugin must not exit with any code but its own.
    std::fs::write(&file, "HTTPD_SEMGUARD_NEED=x\n").expect("written");
    program(&["check", "--settings", &path, "--format", "nagios"], &[]).exits(3).prints("UNKNOWN");
}

#[test]
fn errors_in_a_file_stop_no_guard_but_are_reported() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    let file = ns.write(
        "settings",
        "HTTPD_SEMGUARD_USER=www-dat, 33,root\nHTTPD_SEMGUARD_NEED=many\nHTTPD_SEMGUARD_MIN_FRE=9\n",
    );
    let run = ns.guard(&format!("guard --settings {file}")).exits(0);
    for told in [
        "USER=\"www-dat, 33,root\" (/run/t/settings:1): user ignored: no such user: \"www-dat\"",
        "user ignored: root cannot be guarded",
        "NEED=\"many\" (/run/t/settings:2) has no effect: write a whole number",
        "MIN_FRE=\"9\" (/run/t/settings:3) has no effect: there is no such setting",
    ] {
        assert!(run.err.contains(told), "{told}\n{run}");
    }
    assert_eq!((ns.ids(), ids.len()), (Vec::new(), 2), "the remaining user is guarded");
}

#[test]
fn a_variable_without_a_guardable_user_falls_back_to_httpds_own_answer() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, WWW);
    let others = ns.orphans(1, STRANGER);
    for users in ["root", "www-dat", "0, ,", " "] {
        let mut guard = ns.guard_command("guard -v");
        let run = Run::of(guard.env("HTTPD_SEMGUARD_USER", users)).exits(0);
        run.logs("users: www-data (33)");
    }
    assert_eq!(ns.ids(), others);
    // On the command line, it is an error.
    ns.guard("guard --user root").exits(78);
}

#[test]
fn a_file_that_is_a_pipe_or_endless_delays_nothing() {
    require!("timeout");
    let ns = Namespace::new(ROOMY);
    ns.orphans(3, WWW);
    ns.sh("mkfifo /run/t/pipe; truncate -s 1T /run/t/endless").exits(0);
    let places =
        [("/run/t/pipe", "regular"), ("/dev/zero", "regular"), ("/run/t/endless", "4 MiB")];
    for (place, why) in places {
        let file = format!("--user 33 --settings {place}");
        let under = "timeout -s KILL 30";
        ns.guard_under(under, &format!("guard {file}")).exits(0).logs(place).logs(why);
        ns.guard_under(under, &format!("check {file}")).exits(64).logs(place).logs(why);
    }
    // The same in the place where units read it.
    ns.sh("mount -t tmpfs tmpfs /etc/default && mkfifo /etc/default/httpd-semguard").exits(0);
    ns.guard_under("timeout -s KILL 30", "check --user 33").exits(0).logs("not a regular file");
}

// A dry run required by a setting.

#[test]
fn a_dry_run_by_a_setting_forecasts_for_the_table_that_httpd_will_find() {
    require!();
    let ns = Namespace::new("250 32000 32 6");
    let ids = ns.orphans(6, WWW);
    let file = ns.write("settings", "HTTPD_SEMGUARD_DRY_RUN=yes\n");
    let run = ns.guard(&format!("guard --user 33 --settings {file}")).exits(69);
    let run = run.logs("httpd would not start (it would log: (28)No space left on device");
    run.logs("would remove semaphore set").prints("a dead httpd left 6 semaphore sets");
    let mut guard = ns.guard_command("guard --user 33");
    Run::of(guard.env("HTTPD_SEMGUARD_DRY_RUN", "1")).exits(69);
    // Even with `--dry-run` on the command line: the guard at the start will change nothing.
    ns.guard(&format!("guard --dry-run --user 33 --settings {file}")).exits(69);
    // A dry run of a guard that will remove sets.
    ns.guard("guard --dry-run --user 33").exits(0).prints("would remove 6 orphaned sets");
    assert_eq!(ns.ids(), ids);
    ns.guard("guard --user 33").exits(0);
}

// Whatever is written there.

/// An httpd that needs one set.
const CONF: &str = "ServerName localhost\nServerRoot /run/t\n\
    LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n\
    LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
    Listen 127.0.0.1:8080\nListen 127.0.0.1:8081\nMutex sysvsem default\nStartServers 1\n\
    User www-data\nGroup www-data\nPidFile /run/t/httpd.pid\nErrorLog /run/t/error.log\n";

/// Values that people write, and some that nobody would.
fn values() -> impl Strategy<Value = OsString> {
    const WRITTEN: &[&str] = &[
        "yes",
        "no",
        "YES ",
        "yes # comment",
        "maybe",
        "0",
        "1",
        "-1",
        "2.5",
        "1e9",
        "10s",
        "lots",
        "4294967296",
        "journal",
        "json",
        "nagios",
        "prometheus",
        "text",
        "syslog",
        "auto",
        "www-data",
        "www-dat",
        "www-data, nobody",
        "root",
        "0,0",
        "33,",
        "nobody",
        "/bin/true",
        "/bin/false",
        "/usr/sbin/apache2",
        "httpd",
        "/nonexistent",
        "/",
        "/dev/null",
        "/run/t/x",
        "/proc/self/mem",
        "--strict",
        "-n",
        "\"yes\"",
        "'",
        "$(id)",
        "%s",
        "",
    ];
    prop_oneof![
        3 => prop::sample::select(WRITTEN).prop_map(OsString::from),
        1 => "\\PC{0,12}".prop_map(OsString::from),
        1 => prop::collection::vec(1u8..=255, 0..12).prop_map(OsString::from_vec),
    ]
}

/// Whether a valid value asks for more room than there is: exit code 69 is then what was requested.
fn asks_for_too_much(name: &str, value: &OsStr) -> bool {
    let number = value.to_str().and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
    ["HTTPD_SEMGUARD_NEED", "HTTPD_SEMGUARD_MIN_FREE"].contains(&name) && number > 0
}

#[test]
fn no_value_of_any_variable_stops_an_httpd_that_would_start() {
    require!("apache2", "apache2ctl", "curl", "pgrep");
    const EACH: usize = 5;
    let ns = Namespace::new("250 32000 32 1");
    let conf = ns.write("httpd.conf", CONF);
    ns.sh(&format!("mkdir -p /run/lock; apache2 -f {conf}")).exits(0);
    common::wait_until("it serves", || ns.sh("curl -s http://127.0.0.1:8080").code == Some(0));
    ns.sh("kill $(cat /run/t/httpd.pid); while pgrep -x apache2; do sleep 0.01; done").exits(0);
    assert_eq!(ns.ids(), [0; 0], "it has freed its lock");
    // A value may name any file on this machine as the report's.
    ns.sh("mount -o remount,bind,ro /").exits(0);

    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..<_>::default() });
    let variables: Vec<String> = Options::command()
        .get_arguments()
        .filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()))
        .collect();
    assert!(variables.len() >= 16, "{variables:?}");
    let mut stopped = Vec::new();
    for name in &variables {
        for n in 0..EACH {
            let value = values().new_tree(&mut runner).expect("a value").current();
            if asks_for_too_much(name, &value) {
                continue;
            }
            let mut guard = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
            guard.arg("guard");
            if name != "HTTPD_SEMGUARD_HTTPD" {
                guard.args(["--httpd", "/usr/sbin/apache2"]);
            }
            // Half of them through a file.
            if n % 2 == 0 {
                guard.env(name, &value);
            } else {
                let line = [name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat();
                std::fs::write(ns.path("/run/t/settings"), line).expect("written");
                guard.args(["--settings", "/run/t/settings"]);
            }
            let run = Run::of(guard.args(["--", "-f", &conf]));
            if run.code != Some(0) {
                stopped.push(format!("{name}={value:?}: {run}"));
            }
        }
    }
    assert!(stopped.is_empty(), "{} runs\n{}", stopped.len(), stopped.join("\n"));
}
