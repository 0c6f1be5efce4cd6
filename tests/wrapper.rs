//! apachectl-semguard: with stubs of the guard and of apachectl, which record how they were called,
//! under each shell that is /bin/sh on some system; then with the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Namespace, Run};

mod common;

const WRAPPER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/apachectl/apachectl-semguard");

/// What a stub records: its name, its PID and its arguments, each terminated by a null byte, with a
/// newline at the end.
const STUB: &str = "#!/bin/sh\n\
    me=${0##*/}; here=${0%/*}\n\
    { printf '%s\\000' \"$me\" \"$@\"; printf '\\n\\000'; } >>\"$here/calls\"\n\
    echo $$ >\"$here/$me.pid\"\n\
    echo \"$me speaks\" >&2\n\
    [ ! -e \"$here/$me.exit\" ] || exit \"$(cat \"$here/$me.exit\")\"\n";

/// A scratch directory with a stub of the guard and of apachectl.
struct Stubs(PathBuf);

impl Stubs {
    fn new(name: &str) -> Stubs {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wrapper-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        for stub in ["guard", "ctl"] {
            fs::write(dir.join(stub), STUB).expect("written");
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(dir.join(stub), mode).expect("executable");
        }
        Stubs(dir)
    }

    fn exit_with(&self, stub: &str, code: i32) {
        fs::write(self.0.join(format!("{stub}.exit")), code.to_string()).expect("written");
    }

    fn command(&self, shell: &[&str], args: &[&str]) -> Command {
        let _ = fs::remove_file(self.0.join("calls"));
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(WRAPPER).args(args).stdin(Stdio::null()).env_clear();
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SEMGUARD", self.0.join("guard"))
            .env("APACHECTL", self.0.join("ctl"))
            .env("SEMGUARD_SETTINGS", self.0.join("settings"));
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(&["sh"], args))
    }

    /// The recorded calls, in order.
    fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.0.join("calls")).unwrap_or_default();
        let mut calls = vec![Vec::new()];
        for word in text.split_terminator('\0') {
            match word {
                "\n" => calls.push(Vec::new()),
                word => calls.last_mut().expect("one").push(word.to_owned()),
            }
        }
        calls.pop();
        calls
    }
}

impl Drop for Stubs {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Those installed shells that are /bin/sh on some system; at least dash.
fn shells() -> Vec<&'static [&'static str]> {
    let all: [&[&str]; 3] = [&["sh"], &["bash", "--posix"], &["busybox", "sh"]];
    let found = |shell: &&&[&str]| Path::new("/bin").join(shell[0]).exists();
    all.iter().filter(found).copied().collect()
}

/// Arguments that start or reload httpd, and those of them that are passed to the guard.
const STARTS: &[(&[&str], &[&str])] = &[
    (&["start"], &[]),
    (&["restart"], &[]),
    (&["graceful"], &[]),
    (&["-k", "start"], &[]),
    (&["-k", "restart"], &[]),
    (&["-k", "graceful"], &[]),
    (&["-kstart"], &[]),
    (&["-kgraceful"], &[]),
    (&["start", "-f", "/etc/a b.conf"], &["-f", "/etc/a b.conf"]),
    (&["-f", "a.conf", "-k", "start"], &["-f", "a.conf"]),
    (&["-k", "start", "-fa.conf", "-DONE", "-D", "TWO"], &["-fa.conf", "-DONE", "-D", "TWO"]),
    (&["-d", "/srv", "-k", "graceful"], &["-d", "/srv"]),
    (&["-DFOREGROUND"], &["-DFOREGROUND"]),
    (&["-D", "FOREGROUND"], &["-D", "FOREGROUND"]),
    (&["-X"], &[]),
    (&["-X", "-f", "x"], &["-f", "x"]),
    (&["-Xf", "x"], &["-f", "x"]),
    // Options for the log are not passed to the guard, even if they look like something else.
    (&["-e", "debug", "-E", "-f", "-k", "start"], &[]),
    (&["-k", "start", "-C", "Listen *:80", "-c", ""], &["-C", "Listen *:80", "-c", ""]),
    (&["-f", "-t", "-k", "start"], &["-f", "-t"]),
    (&["-f", "*", "-D", "$HOME", "-k", "start"], &["-f", "*", "-D", "$HOME"]),
    (&["-f", "a\n b  c\\n", "-k", "start"], &["-f", "a\n b  c\\n"]),
    (&["-c", "`false` \"'", "-DX"], &["-c", "`false` \"'", "-DX"]),
];

/// Arguments that do neither.
const OTHERS: &[&[&str]] = &[
    &[],
    &[""],
    &["stop"],
    &["graceful-stop"],
    &["configtest"],
    &["status"],
    &["fullstatus"],
    &["help"],
    &["startssl"],
    &["start "],
    &["*"],
    &["-"],
    &["-t"],
    &["-v"],
    &["-V"],
    &["-l"],
    &["-L"],
    &["-S"],
    &["-M"],
    &["-h"],
    &["-?"],
    &["--help"],
    &["-k"],
    &["-k", "stop"],
    &["-k", "graceful-stop"],
    &["-kstop"],
    &["-k", ""],
    &["-f", "start", "-k", "stop"],
    &["-f"],
    &["-f", "a b", "-t"],
    &["-t", "-D", "DUMP_RUN_CFG"],
    &["-DX", "-tDY"],
    &["-k", "start", "-t"],
    &["-f", "x", "start"],
    &["stop", "a  b", "", "*", "$HOME", "a\nb", "\\"],
];

#[test]
fn every_start_and_reload_is_guarded_and_reaches_apachectl_unchanged() {
    let stubs = Stubs::new("starts");
    for shell in shells() {
        for (args, handed) in STARTS {
            Run::of(&mut stubs.command(shell, args)).exits(0);
            let asks = stubs.0.join("ctl").display().to_string();
            let guard = [&["guard", "guard", "--httpd", &asks, "--"], *handed].concat();
            let ctl = [&["ctl"], *args].concat();
            assert_eq!(stubs.calls(), [guard, ctl], "{shell:?} {args:?}");
        }
    }
}

#[test]
fn everything_else_goes_straight_to_apachectl() {
    let stubs = Stubs::new("others");
    for shell in shells() {
        for args in OTHERS {
            Run::of(&mut stubs.command(shell, args)).exits(0);
            assert_eq!(stubs.calls(), [[&["ctl"], *args].concat()], "{shell:?} {args:?}");
        }
    }
}

#[test]
fn if_the_guard_reports_that_httpd_would_not_start_apachectl_is_not_called() {
    let stubs = Stubs::new("fails");
    stubs.exit_with("guard", 69);
    for shell in shells() {
        for start in [&["start"][..], &["-k", "start"], &["-DFOREGROUND"]] {
            let run = Run::of(&mut stubs.command(shell, start)).exits(69);
            assert_eq!(run.err, "guard speaks\n");
            assert_eq!(stubs.calls().len(), 1, "apachectl was called");
        }
        for reload in [&["graceful"][..], &["restart"], &["-k", "graceful"], &["-krestart"]] {
            let run = Run::of(&mut stubs.command(shell, reload)).exits(69).logs("guard speaks");
            assert!(
                run.err.contains(
                    " refused: a running httpd would not survive it, and keeps running unchanged"
                ),
                "{run}"
            );
            assert_eq!(stubs.calls().len(), 1, "apachectl was called");
        }
    }
    // Other verbs are not affected.
    stubs.run(&["stop"]).exits(0);
}

#[test]
fn whatever_else_happens_to_the_guard_httpd_starts_and_a_line_says_so() {
    let stubs = Stubs::new("forgives");
    for shell in shells() {
        for code in [1, 2, 64, 70, 71, 73, 77, 78, 126, 127, 255] {
            stubs.exit_with("guard", code);
            let told =
                format!("httpd-semguard failed (exit code {code}); calling apachectl anyway");
            Run::of(&mut stubs.command(shell, &["-k", "start"])).exits(0).logs(&told);
            assert_eq!(stubs.calls().len(), 2, "apachectl was not called after {code}");
        }
        for damage in ["kill -KILL $$", "kill -SEGV $$", ""] {
            let program = stubs.0.join("guard");
            fs::write(&program, format!("#!/bin/sh\n{damage}")).expect("written");
            if damage.is_empty() {
                fs::write(&program, "\x7fELF\0of another architecture\n").expect("written");
            }
            let run = Run::of(&mut stubs.command(shell, &["start"]));
            assert_eq!(stubs.calls(), [["ctl", "start"]], "{damage}");
            run.exits(0).logs("calling apachectl anyway");
        }
        fs::write(stubs.0.join("guard"), STUB).expect("written");
    }
}

#[test]
fn otherwise_the_exit_code_is_apachectls_and_its_process_replaces_the_wrapper() {
    let stubs = Stubs::new("code");
    for code in [0, 1, 8, 69] {
        stubs.exit_with("ctl", code);
        for args in [&["start"], &["stop"]] {
            let child = stubs.command(&["sh"], args).stderr(Stdio::piped()).spawn().expect("runs");
            let pid = child.id().to_string();
            Run::end(child).exits(code);
            let ctl = fs::read_to_string(stubs.0.join("ctl.pid")).expect("it was called");
            assert_eq!(ctl.trim(), pid, "apachectl does not replace the wrapper's process");
        }
    }
}

#[test]
fn the_guard_is_given_the_settings_files_that_exist() {
    let stubs = Stubs::new("told");
    let (one, two) = (stubs.0.join("settings"), stubs.0.join("more"));
    let (one, two) = (one.display().to_string(), two.display().to_string());
    fs::write(&one, "").expect("written");
    let ctl = stubs.0.join("ctl").display().to_string();
    let guard = ["guard", "guard", "--settings", &one, "--httpd", &ctl, "--", "-f", "x"];
    for shell in shells() {
        let mut command = stubs.command(shell, &["-k", "start", "-f", "x"]);
        // A file that does not exist is not passed.
        Run::of(command.env("SEMGUARD_SETTINGS", format!("{two} {one}"))).exits(0);
        assert_eq!(stubs.calls()[0], guard, "{shell:?}");
        let mut command = stubs.command(shell, &["start"]);
        Run::of(command.env("SEMGUARD_SETTINGS", "")).exits(0);
        assert_eq!(stubs.calls()[0], ["guard", "guard", "--httpd", &ctl, "--"], "{shell:?}");
    }
}

#[test]
fn the_guard_asks_the_apachectl_that_is_called_unless_another_is_named() {
    let stubs = Stubs::new("asks");
    let here = stubs.0.display().to_string();
    let settings = stubs.0.join("settings");
    let path = format!("{here}:/usr/bin:/bin");
    let ctl = format!("{here}/ctl");
    let odd = format!("{here}/sub dir/apachectl");
    fs::create_dir(stubs.0.join("sub dir")).expect("made");
    fs::copy(stubs.0.join("ctl"), &odd).expect("copied");
    let asked = |shell: &[&str], variables: &[(&str, &str)]| {
        let mut command = stubs.command(shell, &["start"]);
        command.current_dir(&stubs.0).envs(variables.iter().copied()).env("PATH", &path);
        let run = Run::of(&mut command);
        let calls = stubs.calls();
        let guard = calls.first().unwrap_or_else(|| panic!("no guard: {run}")).clone();
        guard.iter().skip_while(|w| *w != "--httpd").nth(1).cloned().unwrap_or_default()
    };
    for shell in shells() {
        // By name, found through PATH; by relative path; with a space; one that does not exist.
        assert_eq!(asked(shell, &[("APACHECTL", "ctl")]), ctl, "{shell:?}");
        let relative = asked(shell, &[("APACHECTL", "./ctl")]);
        assert!(relative.starts_with('/') && relative.ends_with("/./ctl"), "{shell:?} {relative}");
        assert_eq!(asked(shell, &[("APACHECTL", &odd)]), odd, "{shell:?}");
        let none = asked(shell, &[("APACHECTL", "no-such-ctl")]);
        assert!(none.starts_with('/') && none.ends_with("/no-such-ctl"), "{shell:?} {none}");

        // The environment is for this call, a file for the machine.
        let other = ("HTTPD_SEMGUARD_HTTPD", "/opt/bin/httpd");
        assert_eq!(asked(shell, &[("APACHECTL", "ctl"), other]), "", "{shell:?}");
        assert_eq!(asked(shell, &[("HTTPD_SEMGUARD_HTTPD", "")]), ctl, "{shell:?}");
        fs::write(&settings, " HTTPD_SEMGUARD_HTTPD = /opt/bin/httpd\n").expect("written");
        assert_eq!(asked(shell, &[]), ctl, "{shell:?}");

        // The guard knows what to ask on a distribution, and EL's apachectl takes no arguments.
        for control in ["/usr/sbin/apache2ctl", "/usr/sbin/apachectl", "/usr/bin/apachectl"] {
            let mut trial = stubs.command(shell, &["-k", "start", "-f", "/nonexistent/conf"]);
            Run::of(trial.env("APACHECTL", control));
            assert!(!stubs.calls()[0].contains(&"--httpd".to_owned()), "{shell:?} {control}");
        }
    }
}

/// If APACHECTL is not set, a setting takes precedence over the wrapper's choice.
#[test]
fn a_setting_takes_precedence_over_an_apachectl_that_was_not_named() {
    require!();
    let ns = Namespace::new("250 32000 32 8");
    // A machine whose only httpd was built by hand.
    ns.write("none", "");
    ns.write("guard", "#!/bin/sh\necho \"guard: $*\"\n");
    ns.write("ctl", "#!/bin/sh\necho called\n");
    ns.sh("set -e; cd /run/t; chmod 755 guard ctl; mount -t tmpfs -o mode=755 tmpfs /usr/local; \
           mkdir -p /usr/local/apache2/bin; cp ctl /usr/local/apache2/bin/apachectl; \
           for ctl in /usr/sbin/apachectl /usr/sbin/apache2ctl; do \
               [ ! -x $ctl ] || mount --bind none $ctl; done")
        .exits(0);
    let start = || {
        let call = "SEMGUARD=/run/t/guard SEMGUARD_SETTINGS=/run/t/settings";
        ns.sh(&format!("{call} {WRAPPER} start")).exits(0).prints("called")
    };
    let asks = "--httpd /usr/local/apache2/bin/apachectl --\n";
    start().prints(asks);
    ns.write("settings", "#HTTPD_SEMGUARD_HTTPD=/x\nHTTPD_SEMGUARD_HTTPD=\n");
    start().prints(asks);
    ns.write("settings", "HTTPD_SEMGUARD_HTTPD=/usr/local/apache2/bin/httpd\n");
    let run = start().prints("guard: guard --settings /run/t/settings --\n");
    assert!(!run.out.contains("--httpd"), "{run}");
}

/// The real guard, and an apachectl elsewhere with its own configuration.
#[test]
fn an_apachectl_elsewhere_is_asked_about_its_own_configuration_and_a_silent_one_stops_nothing() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let dump = include_str!("dumps/prefork-sysvsem-2listen.txt");
    ns.write("dump", dump);
    // It prints what it was started with, and answers when asked.
    let control = "#!/bin/sh\ncase $* in *DUMP_RUN_CFG*) exec cat /run/t/dump ;; *-V*) exit 1 ;; esac\n\
                   echo started \"$@\"\n";
    ns.write("ctl", control);
    ns.write("silent", "#!/bin/sh\n[ $# -le 1 ] || exit 1\necho started \"$@\"\n");
    ns.sh("cd /run/t; chmod 755 ctl silent; mkdir '/run/t/a b'; cp ctl '/run/t/a b/apachectl'")
        .exits(0);
    let guard = ns.guard_copy();
    let start = |control: &str| {
        ns.sh(&format!(
            "cd /run/t; SEMGUARD={guard} SEMGUARD_SETTINGS= APACHECTL='{control}' {WRAPPER} start"
        ))
    };
    for control in ["/run/t/ctl", "./ctl", "/run/t/a b/apachectl"] {
        start(control).exits(0).prints("started start\n").prints("it needs 1 semaphore set");
    }
    // There is no room for its lock; that of the machine's own httpd is not a semaphore set.
    ns.orphans(4, common::STRANGER);
    let run = start("/run/t/ctl").exits(69).logs("httpd would not start");
    assert!(!run.out.contains("started"), "{run}");
    // Nothing is known about one that does not answer.
    start("/run/t/silent").exits(0).logs("/run/t/silent").prints("started start\n");
}

#[test]
fn settings_are_read_as_systemd_reads_them_and_never_run() {
    require!();
    let ns = Namespace::new("250 32000 32 8");
    ns.write(
        "settings",
        "# HTTPD_SEMGUARD_NEED=7\n\
         HTTPD_SEMGUARD_USER=first\n\
         HTTPD_SEMGUARD_USER = \"www-data\"  \n\
         HTTPD_SEMGUARD_OUTPUT='$(touch pwned)'\n\
         HTTPD_SEMGUARD_x$(touch pwned)=1\n\
         PATH=/nowhere\n\
         touch pwned\n\
         HTTPD_SEMGUARD_MIN_FREE=3\n\
         HTTPD_SEMGUARD_NO_ASK=\\\nyes",
    );
    ns.write("ctl", "#!/bin/sh\necho called; echo $PATH\n");
    ns.sh("chmod 755 /run/t/ctl").exits(0);
    let guard = ns.guard_copy();
    let run = ns
        .sh(&format!(
            "cd /run/t; SEMGUARD={guard} SEMGUARD_SETTINGS='/run/t/sett*s /run/t/settings' \
             APACHECTL=/run/t/ctl HTTPD_SEMGUARD_MIN_FREE=0 HTTPD_SEMGUARD_VERBOSE=yes \
             {WRAPPER} start"
        ))
        .exits(0)
        .logs("using HTTPD_SEMGUARD_USER=\"www-data\" (/run/t/settings:3)")
        .logs("using HTTPD_SEMGUARD_NO_ASK=\"yes\" (/run/t/settings:9)")
        .does_not_log("MIN_FREE")
        .logs("\"HTTPD_SEMGUARD_x$(touch pwned)=1\" (/run/t/settings:5) has no effect")
        .prints("called");
    assert!(!run.out.contains("/nowhere"), "{run}");
    let files = ns.sh("ls /run/t").exits(0).out;
    assert!(files.contains("$(touch pwned)\n") && !files.contains("\npwned"), "{files}");
    // A mistake in it stops nothing, and a command in it is a mistake.
    ns.write("settings", "HTTPD_SEMGUARD_NEED=lots\n");
    let start = format!(
        "SEMGUARD={guard} SEMGUARD_SETTINGS=/run/t/settings APACHECTL=/run/t/ctl \
         HTTPD_SEMGUARD_USER=33 HTTPD_SEMGUARD_NO_ASK=1 {WRAPPER} start"
    );
    ns.sh(&start).exits(0).prints("called").logs("(/run/t/settings:1) has no effect");
    ns.write("settings", "HTTPD_SEMGUARD_NEED=9\n");
    ns.sh(&start).exits(69).logs("httpd would not start");
}

#[test]
fn without_a_guard_httpd_starts_and_a_line_says_so() {
    let stubs = Stubs::new("none");
    fs::remove_file(stubs.0.join("guard")).expect("removed");
    stubs.run(&["start"]).exits(0).logs("calling apachectl without it");
    assert_eq!(stubs.calls(), [["ctl", "start"]]);
    stubs.run(&["stop"]).exits(0).does_not_log("without it");
}

/// For a start that may fail, a warning says why it is at risk; the same is true for a reload.
#[test]
fn a_reload_at_risk_continues_with_a_warning_and_one_that_would_end_httpd_is_refused() {
    require!();
    let ns = Namespace::new("250 32000 32 3");
    ns.write("dump", include_str!("dumps/third-party.txt"));
    ns.write("control", "#!/bin/sh\nexec cat /run/t/dump\n");
    ns.write("ctl", "#!/bin/sh\necho called \"$@\"\n");
    ns.sh("chmod 755 /run/t/control /run/t/ctl").exits(0);
    let guard = ns.guard_copy();
    let wrapper = |verb: &str| {
        ns.sh(&format!(
            "SEMGUARD={guard} SEMGUARD_SETTINGS= APACHECTL=/run/t/ctl \
             HTTPD_SEMGUARD_HTTPD=/run/t/control {WRAPPER} {verb}"
        ))
    };
    for verb in ["graceful", "restart", "-k graceful"] {
        let run =
            wrapper(verb).exits(0).logs("httpd may not start (it needs 2 to 8 semaphore sets");
        let run = run.logs("in doubt: security2, 0 to 3 (mod_security2)");
        assert_eq!(run.out, format!("called {verb}\n"));
    }
    ns.sh("echo 250 32000 32 1 >/proc/sys/kernel/sem").exits(0);
    for verb in ["graceful", "restart", "-k graceful"] {
        let run =
            wrapper(verb).exits(69).logs("httpd would not start").logs("keeps running unchanged");
        assert_eq!(run.out, "");
    }
}

#[test]
fn with_the_real_apachectl_a_killed_httpd_starts_again_and_again() {
    require!("apache2ctl", "apache2");
    let ns = Namespace::new("250 32000 32 4");
    let modules = "/usr/lib/apache2/modules";
    let conf = ns.write(
        "an httpd.conf",
        &format!(
            "ServerName test\nPidFile /run/t/pid\nErrorLog /run/t/error\nMutex sysvsem default\n\
             LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n\
             Listen 127.0.0.1:8080\nListen 127.0.0.1:8081\nStartServers 1\n\
             User www-data\nGroup www-data\n"
        ),
    );
    // apache2ctl creates its directories below it.
    ns.sh("mkdir -p /run/lock").exits(0);
    let guard = ns.guard_copy();
    let wrapper = |args: &str| {
        let call = format!("SEMGUARD={guard} SEMGUARD_SETTINGS= {WRAPPER} {args}");
        ns.sh(&call)
    };
    wrapper("-t").exits(0).logs("Syntax OK");
    wrapper("configtest").exits(0).logs("Syntax OK").does_not_log("semaphore");
    assert!(wrapper("-v").exits(0).out.contains("Apache/2"));
    wrapper("no-such-verb").exits(1);

    let start = format!("-k start -f '{conf}'");
    for round in 0..6 {
        let run = wrapper(&start).exits(0);
        assert!(round == 0 || run.err.contains("semaphore set"), "nothing was removed: {run}");
        common::wait_until("httpd runs", || ns.path("/run/t/pid").exists());
        if round == 0 {
            // A reload frees its own sets before it creates new ones, so it needs no free room.
            ns.sh("echo 250 32000 32 1 > /proc/sys/kernel/sem").exits(0);
            wrapper(&format!("-k graceful -f '{conf}'")).exits(0);
            ns.sh("echo 250 32000 32 4 > /proc/sys/kernel/sem").exits(0);
        }
        // Like a power failure for httpd: all of it at once.
        ns.sh("pkill -KILL -x apache2; while pgrep -x -r S,R,D apache2; do sleep 0.01; done; \
             rm -f /run/t/pid");
    }

    ns.sh(&format!("{guard} guard -u www-data --no-ask")).exits(0);
    ns.orphans(4, common::STRANGER);
    let run = wrapper(&start).exits(69).logs("httpd would not start").logs("why:").logs("do:");
    assert!(!ns.path("/run/t/pid").exists(), "httpd was started: {run}");
}
