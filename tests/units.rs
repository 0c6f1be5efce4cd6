//! The systemd units and drop-ins, checked against what old versions of systemd know; and the shell line
//! in the drop-ins, run as systemd would run it, under each shell that is /bin/sh on some system.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Run;
use httpd_semguard::cli;
use httpd_semguard::facts::request::{Command as Asked, Instance};

mod common;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// The versions of systemd on systems that need the guard, up to the first one that can be booted here:
/// EL 7, SLES 12, SLES 15, Ubuntu 18.04, EL 8, Ubuntu 20.04, Debian 11.
const SYSTEMDS: [u32; 7] = [219, 228, 234, 237, 239, 245, 247];

/// The oldest systemd that reads a file: drop-ins for the prefix of a unit's name are read from 239 on
/// (shared/dropin.c, `unit_file_find_dirs`).
fn is_read_from(file: &str) -> u32 {
    if file.starts_with("systemd/httpd-semguard-.service.d/") { 239 } else { 219 }
}

/// Each key that is used, with the version of systemd that introduced it; 219 and before count as 219.
/// Source: load-fragment-gperf.gperf.m4 (.in from 249 on) at the tags v219 and v228 to v248; `WantedBy`
/// belongs to [Install] (shared/install.c).
const KEYS: &[(&str, u32, &[&str])] = &[
    ("Unit", 219, &["Description", "Documentation"]),
    (
        "Service",
        219,
        &[
            "CapabilityBoundingSet",
            "Environment",
            "EnvironmentFile",
            "ExecReload",
            "ExecStart",
            "ExecStartPre",
            "Nice",
            "NoNewPrivileges",
            "PrivateDevices",
            "PrivateNetwork",
            "PrivateTmp",
            "ProtectHome",
            "ProtectSystem",
            "ReadWriteDirectories",
            "RestrictAddressFamilies",
            "SuccessExitStatus",
            "SystemCallArchitectures",
            "TimeoutStartSec",
            "Type",
        ],
    ),
    ("Timer", 219, &["AccuracySec", "OnCalendar"]),
    ("Install", 219, &["WantedBy"]),
    // Older versions know the key, but no names that begin with "@": they would allow only what they
    // know, which is next to nothing.
    ("Service", 231, &["SystemCallErrorNumber", "SystemCallFilter"]),
    ("Service", 231, &["RestrictRealtime"]),
    ("Service", 232, &["ProtectControlGroups", "ProtectKernelModules", "ProtectKernelTunables"]),
    ("Service", 233, &["RestrictNamespaces"]),
    ("Service", 235, &["IPAddressDeny", "LockPersonality"]),
    ("Service", 236, &["LogLevelMax"]),
    ("Service", 239, &["PrivateMounts"]),
    ("Service", 242, &["ProtectHostname", "RestrictSUIDSGID"]),
    ("Service", 244, &["ProtectKernelLogs"]),
    ("Service", 245, &["ProtectClock"]),
    ("Service", 248, &["PrivateIPC"]),
];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(SOURCE).join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Every unit and drop-in in the sources, including the examples.
fn shipped() -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from("systemd"), PathBuf::from("packaging/examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(SOURCE).join(&folder)).expect("a folder") {
            let name = folder.join(entry.expect("an entry").file_name());
            let is_unit =
                ["service", "timer", "conf"].map(|e| name.extension() == Some(e.as_ref()));
            if Path::new(SOURCE).join(&name).is_dir() {
                folders.push(name);
            } else if is_unit.contains(&true) {
                files.push(name.to_str().expect("text").to_owned());
            }
        }
    }
    files.sort();
    files
}

fn drop_ins() -> Vec<String> {
    let files = shipped().into_iter().filter(|f| f.ends_with("/20-semguard.conf"));
    let files: Vec<String> = files.collect();
    assert_eq!(files.len(), 5, "{files:?}");
    files
}

/// The settings of a unit as (section, key, value), as read by this version of systemd: up to 239, lines
/// that end with a backslash are joined with the next one, even comments; later versions remove comments
/// first (shared/conf-parser.c, `config_parse`).
fn settings(file: &str, systemd: u32) -> Vec<(String, String, String)> {
    let is_comment = |line: &&str| line.starts_with(['#', ';']);
    let mut text = read(file);
    if systemd >= 240 {
        text = text.lines().filter(|l| !is_comment(l)).collect::<Vec<_>>().join("\n");
    }
    let text = text.replace("\\\n", " ");
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines().filter(|l| !is_comment(l) && !l.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{file}: {line}"));
            found.push((section.clone(), key.to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// The values of a key.
fn values(file: &str, key: &str) -> Vec<String> {
    settings(file, 257).into_iter().filter(|s| s.1 == key).map(|s| s.2).collect()
}

#[test]
fn no_systemd_reads_a_key_that_it_does_not_know() {
    let mut since = BTreeMap::new();
    for (section, version, keys) in KEYS {
        for key in *keys {
            assert!(since.insert((*section, *key), *version).is_none(), "{key} is listed twice");
        }
    }
    let mut used = BTreeSet::new();
    for file in shipped() {
        for systemd in SYSTEMDS.into_iter().filter(|s| *s >= is_read_from(&file)) {
            for (section, key, _) in settings(&file, systemd) {
                let version = since.get(&(section.as_str(), key.as_str()));
                let version =
                    version.unwrap_or_else(|| panic!("{file}: which version introduced {key}=?"));
                // The example says this itself, and that older versions ignore it with a warning.
                let known = *version <= systemd || file.ends_with("/10-private-ipc.conf");
                assert!(known, "{file}: systemd {systemd} does not know {key}=");
            }
        }
        used.extend(settings(&file, 257).into_iter().map(|s| s.1));
    }
    let unused: Vec<_> = since.keys().filter(|k| !used.contains(k.1)).collect();
    assert!(unused.is_empty(), "{unused:?} are only in this table");
}

#[test]
fn new_systemd_reads_what_old_systemd_takes_for_comments() {
    let file = "systemd/httpd-semguard-.service.d/20-newer.conf";
    assert_eq!(settings(file, 239), []);
    let keys: Vec<String> = settings(file, 240).into_iter().map(|s| s.0 + "." + &s.1).collect();
    let four = ["RestrictSUIDSGID", "ProtectClock", "ProtectHostname", "ProtectKernelLogs"];
    assert_eq!(keys, four.map(|k| format!("Service.{k}")));
}

// ---- the line of the drop-ins ----------------------------------------------------------------------

/// The arguments of a process started by this value of an Exec…= key, where `options` is what $OPTIONS is
/// split into. Accepts only what 219 and 257 read alike, and panics otherwise: words or quoted words
/// separated by spaces (219, shared/util.c, `split` does not know quotes within a word), no backslashes,
/// no specifier except %i, no variable except $OPTIONS as a separate word, and "$$" for "$" (219,
/// `replace_env_argv`: a word that *begins* with "$$" would be taken for a variable).
fn as_systemd(value: &str, options: &[&str]) -> Vec<String> {
    assert!(!value.contains('\\'), "{value}");
    assert!(value.len() < 2048, "219 reads lines of LINE_MAX bytes");
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c));
        let word = match quote {
            Some(quote) => {
                let (word, after) = rest[1..].split_once(quote).expect("a closing quote");
                assert!(after.is_empty() || after.starts_with(' '), "a quote in a word: {rest}");
                rest = after;
                word
            }
            None => {
                let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
                assert!(!word.contains(['\'', '"']), "a quote in a word: {word}");
                assert_ne!(word, ";", "a second command");
                rest = after;
                word
            }
        };
        rest = rest.trim_start();
        if word == "$OPTIONS" {
            words.extend(options.iter().map(|&o| o.to_owned()));
            continue;
        }
        assert!(!word.starts_with('$'), "{word}");
        let plain = word.replace("$$", "\0").replace("%i", "shop");
        assert!(!plain.contains(['$', '%']), "{word}");
        words.push(plain.replace('\0', "$"));
    }
    words
}

/// The installed shells that are /bin/sh on some system.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["sh"], vec!["bash", "--posix"], vec!["busybox", "sh"]];
    all.into_iter().filter(|shell| Path::new("/bin").join(shell[0]).exists()).collect()
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("units-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a folder");
        Scratch(dir)
    }

    fn program(&self) -> PathBuf {
        self.0.join("guard")
    }

    /// Puts a program in place of the guard, in another process, so that no test that forks at this
    /// moment holds it open for writing.
    fn put(&self, script: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-euc", "rm -rf guard; eval \"$1\"", "sh", script]).current_dir(&self.0);
        // Harmless even if it is not damaged.
        shell.env("REAL", "/bin/true");
        Run::of(&mut shell).exits(0);
    }

    /// Runs the line of a drop-in with the guard in this directory.
    fn run(&self, shell: &[&str], file: &str, options: &[&str]) -> Run {
        let [line] = &values(file, "ExecStartPre")[..] else { panic!("{file}: one line") };
        let words = as_systemd(line, options);
        assert_eq!(words[..2], ["/bin/sh", "-c"], "{file}");
        assert_eq!(words[2].matches("/usr/sbin/httpd-semguard ").count(), 1, "{file}");
        let program = self.program().to_str().expect("text").to_owned();
        let script = words[2].replace("/usr/sbin/httpd-semguard", &program);
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-c").arg(script).args(&words[3..]).current_dir(&self.0);
        Run::of(&mut command)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A script in place of the guard.
fn stub(does: &str) -> String {
    format!("printf '#!/bin/sh\\n{does}\\n' >guard; chmod 755 guard")
}

#[test]
fn in_a_unit_only_69_stops_httpd_and_every_other_code_is_logged() {
    let scratch = Scratch::new("codes");
    for shell in shells() {
        for file in drop_ins() {
            scratch.put(&stub("exit 69"));
            let run = scratch.run(&shell, &file, &["-DX"]).exits(69);
            assert_eq!(run.err, "", "{file}");
            scratch.put(&stub("exit 0"));
            let run = scratch.run(&shell, &file, &["-DX"]).exits(0);
            assert_eq!(run.err, "", "{file}");
        }
        for code in [1, 2, 64, 68, 70, 71, 73, 77, 78, 124, 126, 127, 255] {
            scratch.put(&stub(&format!("exit {code}")));
            let told =
                format!("<4>httpd-semguard failed (exit code {code}); starting httpd anyway\n");
            let run = scratch.run(&shell, "systemd/httpd.service.d/20-semguard.conf", &[]).exits(0);
            assert_eq!(run.err, told);
        }
    }
}

/// Ways in which a program is removed or damaged, as (what, shell commands, what the shell then sees).
const DAMAGES: &[(&str, &str, i32)] = &[
    ("gone", "", 127),
    ("a folder", "mkdir guard", 126),
    ("not executable", "cp \"$REAL\" guard; chmod 644 guard", 126),
    (
        "of another architecture",
        "cp \"$REAL\" guard; printf '\\377' | dd of=guard bs=1 seek=18 conv=notrunc status=none",
        126,
    ),
    ("zeros, as after a power failure", "head -c 9999 /dev/zero >guard; chmod 755 guard", 126),
    ("for an interpreter that is not there", "echo '#!/nowhere' >guard; chmod 755 guard", 127),
    (
        "for a library that is not there",
        "sed 's/libc\\.so\\.6/libc.so.9/' \"$REAL\" >guard; chmod 755 guard",
        127,
    ),
    (
        "for a newer C library",
        "sed 's/GLIBC_2\\.34/GLIBC_9.34/' \"$REAL\" >guard; chmod 755 guard",
        1,
    ),
    ("killed", "printf '#!/bin/sh\\nkill -KILL $$' >guard; chmod 755 guard", 137),
    ("crashing", "printf '#!/bin/sh\\nkill -SEGV $$' >guard; chmod 755 guard", 139),
];

#[test]
fn whatever_happens_to_the_program_httpd_starts_and_a_line_says_so() {
    let scratch = Scratch::new("damages");
    for shell in shells() {
        for (what, how, code) in DAMAGES {
            scratch.put(how);
            let run = scratch.run(&shell, "systemd/httpd.service.d/20-semguard.conf", &["-DX"]);
            assert_eq!(run.code, Some(0), "{what}: {run}");
            // Other shells may return other codes for the same damage; those of dash conform to POSIX.
            let told = "<4>httpd-semguard failed (exit code ";
            let last = run.err.lines().last().unwrap_or_default();
            assert!(last.starts_with(told), "{what}: {run}");
            assert!(last.ends_with("); starting httpd anyway"), "{what}: {run}");
            if shell == ["sh"] {
                assert!(last.starts_with(&format!("{told}{code})")), "{what}: {run}");
            }
        }
        let left: Vec<_> = fs::read_dir(&scratch.0).expect("a folder").flatten().collect();
        assert_eq!(left.len(), 1, "a binary was run as a script: {left:?}");
    }
}

#[test]
fn the_guard_gets_the_options_of_the_unit_word_by_word_and_nothing_else() {
    let scratch = Scratch::new("words");
    let write = "printf \"%%s\\\\n.\\\\n\" \"$@\" >args";
    scratch.put(&stub(write));
    let collection = ["--httpd", "/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper"];
    let none: &[&str] = &[];
    for shell in shells() {
        for (unit, before, after) in [
            ("httpd", none, none),
            ("httpd@", &["--instance=shop"], &["-f", "conf/shop.conf"]),
            ("httpd24-httpd", &collection, none),
        ] {
            let file = format!("systemd/{unit}.service.d/20-semguard.conf");
            let odd = ["-D", "two  words", "", "$HOME", "*", "'", "\"", "\\", "`false`", "a\nb"];
            for options in [&odd[..], &[]] {
                let _ = fs::remove_file(scratch.0.join("args"));
                scratch.run(&shell, &file, options).exits(0);
                let words = [&["guard"], before, &["--"], options, after].concat();
                let args = fs::read_to_string(scratch.0.join("args")).expect("it was called");
                assert_eq!(args, words.join("\n.\n") + "\n.\n", "{file} {shell:?}");
            }
        }
        for (unit, words) in [("apache2", none), ("apache2@", &["--instance=shop"])] {
            let file = format!("systemd/{unit}.service.d/20-semguard.conf");
            scratch.run(&shell, &file, &["-DX"]).exits(0);
            let words = [&["guard"], words].concat();
            let args = fs::read_to_string(scratch.0.join("args")).expect("it was called");
            assert_eq!(args, words.join("\n.\n") + "\n.\n", "{file} {shell:?}");
        }
    }
}

/// The guard's call in a line for the shell.
fn call_of(script: &str) -> &str {
    let script =
        script.strip_prefix("trap \"\" XFSZ; ").expect("a full log must not end the shell");
    script.split_once(';').expect("more than one command").0
}

#[test]
fn the_drop_ins_call_the_guard_with_options_that_it_knows_and_demand_no_file() {
    for file in drop_ins() {
        let [line] = &values(&file, "ExecStartPre")[..] else { panic!("{file}: one line") };
        let words = as_systemd(line, &["-DX"]);
        let call = call_of(&words[2]).replace("\"$@\"", "-DX").replace("\"shop\"", "shop");
        let args = call.split_ascii_whitespace().map(OsString::from);
        let options = cli::parse(args).unwrap_or_else(|e| panic!("{file}: {}", e.text));
        assert_eq!(options.command, Asked::Guard, "{file}");
        let instance = file.contains('@').then_some("shop");
        assert_eq!(options.instance.as_ref().map(Instance::name), instance, "{file}");
        for settings in values(&file, "EnvironmentFile") {
            assert!(settings.starts_with("-/etc/"), "{file}: {settings}");
        }
        // A drop-in overrides the unit's own lines: OPTIONS= here, to keep newer versions of systemd from
        // warning that it is not set, would remove the arguments that httpd is started with.
        assert_eq!(values(&file, "Environment"), [""; 0], "{file}");
        // This key would apply to httpd's own failures, too.
        assert_eq!(values(&file, "SuccessExitStatus"), [""; 0], "{file}");
    }
}

/// Which files an instance's units read, and in which order: if two files disagree, the later one wins.
#[test]
fn the_settings_of_an_instance_are_read_after_the_common_ones() {
    let common = ["-/etc/default/httpd-semguard", "-/etc/sysconfig/httpd-semguard"];
    let own = common.map(|file| format!("{file}-%i"));
    for file in shipped().into_iter().filter(|f| f.starts_with("systemd/")) {
        let read = values(&file, "EnvironmentFile");
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        let read = match read.split_first() {
            None => continue,
            // The arguments that EL starts httpd with.
            Some((&"-/etc/sysconfig/httpd", rest)) => rest,
            Some(_) => &read[..],
        };
        let mut want = common.to_vec();
        if file.contains('@') {
            want.extend(own.iter().map(String::as_str));
        }
        assert_eq!(read, want, "{file}");
    }
}

#[test]
fn an_instances_metrics_unit_differs_from_the_other_one_only_by_its_name() {
    const ONE: &str = "systemd/httpd-semguard-metrics.service";
    const OF_SHOP: &str = "systemd/httpd-semguard-metrics@.service";
    let of = |file: &str| -> Vec<(String, String)> {
        let all = settings(file, 257).into_iter();
        let alike = |key: &str| !["Description", "EnvironmentFile", "ExecStart"].contains(&key);
        all.filter(|s| alike(&s.1)).map(|s| (s.1, s.2)).collect()
    };
    assert_eq!(of(OF_SHOP), of(ONE));
    for key in ["OnCalendar", "AccuracySec", "WantedBy"] {
        let timer = |file: &str| values(&file.replace(".service", ".timer"), key);
        assert_eq!(timer(OF_SHOP), timer(ONE), "{key}");
    }

    // As systemd reads it: "%%" is "%".
    let [line] = &values(OF_SHOP, "ExecStart")[..] else { panic!("{OF_SHOP}: one line") };
    let line = line.replace("%%", "PERCENT");
    let words = as_systemd(&line, &["-D", "a b"]);
    let scratch = Scratch::new("metrics");
    scratch.put(&stub("printf \"%%s\\n\" \"$@\" >args"));
    let program = scratch.program().to_str().expect("text").to_owned();
    let script = words[2].replace("PERCENT", "%").replace("/usr/sbin/httpd-semguard", &program);
    for (variable, file) in
        [("/t/httpd-semguard.prom", "/t/httpd-semguard-shop.prom"), ("/a b/c", "/a b/c-shop.prom")]
    {
        for shell in shells() {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).arg("-c").arg(&script).args(&words[3..]);
            command.env("SEMGUARD_METRICS", variable).current_dir(&scratch.0);
            Run::of(&mut command).exits(0);
            let args = fs::read_to_string(scratch.0.join("args")).expect("it was called");
            let want = [
                "check",
                "--quiet",
                "--instance=shop",
                "--format",
                "prometheus",
                "--output",
                file,
                "--",
                "-D",
                "a b",
            ];
            assert_eq!(args.lines().collect::<Vec<_>>(), want, "{shell:?}");
        }
    }
}

/// The words of an example's check, and the line after it.
fn reload(file: &str, options: &[&str]) -> (Vec<String>, Vec<String>) {
    let lines = values(file, "ExecReload");
    assert_eq!(lines.len(), 3, "{file}");
    assert_eq!(lines[0], "", "{file}: the vendor's line is not cleared");
    (as_systemd(&lines[1], options), as_systemd(&lines[2], options))
}

#[test]
fn before_a_reload_only_69_refuses_and_the_check_is_for_the_httpd_that_is_reloaded() {
    let scratch = Scratch::new("reload");
    let examples: Vec<String> = shipped().into_iter().filter(|f| f.contains("/reload-")).collect();
    assert_eq!(examples.len(), 5, "{examples:?}");
    for file in examples {
        let (check, vendor) = reload(&file, &["-DX", "-f", "a b"]);
        assert_eq!(check[..2], ["/bin/sh", "-c"], "{file}");
        let call = call_of(&check[2]).replace("\"$@\"", "-DX");
        let args = call.split_ascii_whitespace().map(OsString::from);
        let options = cli::parse(args).unwrap_or_else(|e| panic!("{file}: {}", e.text));
        assert_eq!(options.command, Asked::Check, "{file}");
        // The scripts of Debian and SUSE find the options by themselves.
        if check.len() > 3 {
            let of_httpd = |words: &[String]| {
                let mut words = words.to_vec();
                let graceful = words.windows(2).position(|w| w == ["-k", "graceful"]);
                graceful.map(|at| words.drain(at..at + 2).count());
                words
            };
            assert_eq!(of_httpd(&check[4..]), of_httpd(&vendor[1..]), "{file}");
        }
        for shell in shells() {
            for (code, refused) in [(0, 0), (69, 69), (1, 0), (71, 0), (78, 0), (127, 0)] {
                scratch.put(&stub(&format!("exit {code}")));
                let program = scratch.program().to_str().expect("text").to_owned();
                let mut command = Command::new(shell[0]);
                command.args(&shell[1..]).arg("-c");
                command.arg(check[2].replace("/usr/sbin/httpd-semguard", &program));
                let run = Run::of(command.args(&check[3..])).exits(refused);
                let told = match code {
                    0 => "",
                    69 => "<3>reload refused: ",
                    _ => "<4>httpd-semguard failed (exit code ",
                };
                assert!(run.err.starts_with(told), "{file}: {run}");
                assert_eq!(run.err.is_empty(), told.is_empty(), "{file}: {run}");
            }
        }
    }
}

#[test]
fn in_the_examples_too_only_69_stops_a_start() {
    let scratch = Scratch::new("examples");
    let program = scratch.program().to_str().expect("text").to_owned();
    let here = scratch.0.to_str().expect("text").to_owned();
    let sysvinit =
        read("packaging/examples/sysvinit.sh").replace("/usr/sbin/httpd-semguard", &program);
    let entrypoint = read("packaging/examples/container-entrypoint.sh")
        .replace("/usr/sbin/httpd-semguard", &program);
    for shell in shells() {
        for (code, exit) in [(0, 0), (69, 69), (1, 0), (64, 0), (71, 0), (78, 0), (137, 0)] {
            scratch.put(&stub(&format!("echo $* >args; exit {code}")));
            for (script, command) in [(&sysvinit, "start"), (&entrypoint, "-DX")] {
                let link = "ln -sf guard httpd-semguard; printf '#!/bin/sh\necho httpd \"$@\"' >httpd; \
                            chmod 755 httpd; rm -f args";
                let mut set_up = Command::new("sh");
                Run::of(set_up.args(["-euc", link]).current_dir(&scratch.0)).exits(0);
                let mut run = Command::new(shell[0]);
                run.args(&shell[1..]).args(["-c", script, "sh", command]).current_dir(&scratch.0);
                run.env("PATH", format!("{here}:/usr/sbin:/usr/bin:/bin")).env("OPTIONS", "-DX");
                let run = Run::of(&mut run).exits(exit);
                let args =
                    fs::read_to_string(scratch.0.join("args")).expect("the guard was called");
                assert!(args.ends_with("-- -DX\n"), "{args}");
                if command == "-DX" {
                    let started = if exit == 0 { "httpd -DFOREGROUND -DX\n" } else { "" };
                    assert_eq!(run.out, started, "{code}");
                }
            }
            Run::of(
                Command::new("rm")
                    .args(["httpd", "httpd-semguard", "args"])
                    .current_dir(&scratch.0),
            )
            .exits(0);
        }
    }
}

/// SUSE's apache2.service has the alias httpd.service: if that is enabled, systemd reads the directories
/// for both names, but only one of several files with the same name.
#[test]
fn every_drop_in_has_the_same_name_so_that_an_alias_does_not_run_the_guard_twice() {
    let all =
        shipped().into_iter().filter(|f| f.starts_with("systemd/") && f.contains(".service.d/"));
    let calls = all.filter(|f| !values(f, "ExecStartPre").is_empty()).collect::<Vec<_>>();
    assert_eq!(calls, drop_ins());
}
