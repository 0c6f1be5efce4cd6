//! What happens to httpd if the guard is missing, damaged, killed or refuses; what the guard sees of the
//! unit; and a reload that httpd would not survive. On each version of systemd that can be booted.

use std::fs;
use std::path::Path;

use crate::common::WWW;
use crate::machine::{Machine, deb, wait_until};
use crate::{REFUSED, SMALL, contains};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

const PROGRAM: &str = "/usr/sbin/httpd-semguard";

/// Installs the drop-in by hand, as described in the drop-in itself, without a package.
fn put_drop_in(m: &Machine, unit: &str) {
    let text = fs::read_to_string(
        Path::new(SOURCE).join(format!("systemd/{unit}.service.d/20-semguard.conf")),
    );
    let file = format!("/etc/systemd/system/{unit}.service.d/20-semguard.conf");
    m.write(&file, &text.expect("the file is in the sources"));
    m.sh("systemctl daemon-reload").exits(0);
}

/// The program of these tests, which needs the C library of Debian 12 or newer.
fn put_program(m: &Machine) {
    m.copy_in(Path::new(env!("CARGO_BIN_EXE_httpd-semguard")), "/root/guard");
}

/// A script in place of the guard.
fn put_script(m: &Machine, does: &str) {
    m.sh(&format!("rm -rf {PROGRAM}")).exits(0);
    m.write(PROGRAM, &format!("#!/bin/sh\n{does}\n"));
    m.sh(&format!("chmod 755 {PROGRAM}")).exits(0);
}

/// The current end of a unit's journal, for [`said_since`].
fn mark(m: &Machine) -> String {
    let cursor = m.sh("journalctl --sync; journalctl -n 0 --show-cursor").exits(0).out;
    cursor.rsplit("-- cursor: ").next().expect("a cursor").trim().to_owned()
}

fn said_since(m: &Machine, mark: &str, unit: &str) -> String {
    let read = format!(
        "journalctl --sync; journalctl --after-cursor='{mark}' -o cat --no-pager -u {unit}"
    );
    m.sh(&read).exits(0).out
}

// ---- whatever happens to the guard -------------------------------------------------------------------

/// httpd ignores SIGXFSZ, so a log that has reached LimitFSIZE= does not keep it from starting.
#[test]
fn a_log_at_its_size_limit_stops_no_start_whatever_the_guard_writes_to_it() {
    let m = boot!("bookworm");
    m.install_guard();
    m.drop_in(
        "apache2.service",
        "[Service]\nLimitFSIZE=1M\nStandardOutput=append:/run/unit.log\nStandardError=append:/run/unit.log\n",
    );
    m.sh("truncate -s 1M /run/unit.log").exits(0);
    for damage in ["", "; chmod 644 /usr/sbin/httpd-semguard", "; rm /usr/sbin/httpd-semguard"] {
        m.sh(&format!("systemctl stop apache2{damage}")).exits(0);
        let run = m.start("apache2");
        assert_eq!(run.code, Some(0), "{damage}: {run}\n{}", m.journal("apache2"));
        m.get(80).exits(0);
    }
    assert_eq!(
        m.sh("stat -c %s /run/unit.log").exits(0).out,
        "1048576\n",
        "the log does not have its maximum size"
    );
}

/// For a wrong setting, there is a warning in the journal, and httpd starts.
#[test]
fn whatever_is_in_the_settings_file_httpd_starts_and_the_journal_names_it() {
    let m = boot!("bookworm");
    m.install_guard();
    let wrong = "HTTPD_SEMGUARD_STRICT=yes # comment\nHTTPD_SEMGUARD_MIN_FREE=lots\n\
        HTTPD_SEMGUARD_LOG=journal\nHTTPD_SEMGUARD_ASK_TIMEOUT=10s\nHTTPD_SEMGUARD_STRCIT=yes\n\
        HTTPD_SEMGUARD_USER=www-data, www-dat, root\n";
    m.write("/etc/default/httpd-semguard", wrong);
    m.sh("systemctl restart apache2").exits(0);
    m.get(80).exits(0);
    let journal = m.journal("apache2");
    for (line, told) in [
        (1, "HTTPD_SEMGUARD_STRICT=\"yes # comment\""),
        (2, "HTTPD_SEMGUARD_MIN_FREE=\"lots\""),
        (3, "HTTPD_SEMGUARD_LOG=\"journal\""),
        (4, "HTTPD_SEMGUARD_ASK_TIMEOUT=\"10s\""),
        (5, "HTTPD_SEMGUARD_STRCIT=\"yes\""),
        (6, "HTTPD_SEMGUARD_USER=\"www-data, www-dat, root\""),
    ] {
        contains(&journal, &format!("{told} (/etc/default/httpd-semguard:{line})"));
    }
    for user in ["root", "www-dat"] {
        m.write("/etc/default/httpd-semguard", &format!("HTTPD_SEMGUARD_USER={user}\n"));
        m.sh("systemctl restart apache2").exits(0);
    }
    // A dry run before a start must report the table that httpd will find.
    m.limits(SMALL);
    m.write("/etc/default/httpd-semguard", "HTTPD_SEMGUARD_DRY_RUN=yes\n");
    m.sh("systemctl stop apache2").exits(0);
    m.sh("for i in 1 2 3 4 5 6; do setpriv --reuid www-data --regid www-data --clear-groups \
         ipcmk -p 600 -S 1; done; systemctl reset-failed")
        .exits(0);
    m.start("apache2").exits(1);
    contains(&m.journal("apache2"), &format!(": httpd would not start (it would log: {REFUSED})"));
}

/// Ways in which the program is removed or damaged, as (what, shell commands).
const DAMAGES: &[(&str, &str)] = &[
    ("gone", ""),
    ("a folder", "mkdir $p"),
    ("not executable", "cp /root/guard $p; chmod 644 $p"),
    (
        "of another architecture",
        "cp /root/guard $p; printf '\\377' | dd of=$p bs=1 seek=18 conv=notrunc status=none",
    ),
    ("cut off", "head -c 4000 /root/guard >$p; chmod 755 $p"),
    ("zeros, as after a power failure", "head -c 9999 /dev/zero >$p; chmod 755 $p"),
    (
        "for a library that is not there",
        "sed 's/libc\\.so\\.6/libc.so.9/' /root/guard >$p; chmod 755 $p",
    ),
    ("for a newer C library", "sed 's/GLIBC_2\\.34/GLIBC_9.34/' /root/guard >$p; chmod 755 $p"),
    ("killed", "printf '#!/bin/sh\\nkill -KILL $$' >$p; chmod 755 $p"),
    ("crashing", "printf '#!/bin/sh\\nkill -SEGV $$' >$p; chmod 755 $p"),
    ("without an answer", "printf '#!/bin/sh\\nexit 71' >$p; chmod 755 $p"),
];

#[test]
fn whatever_happens_to_the_guard_httpd_starts_on_systemd_247_and_69_stops_it() {
    let m = boot!("bullseye");
    m.sh("systemctl --version").prints("systemd 247 ");
    is_forgiven(&m);
}

#[test]
fn whatever_happens_to_the_guard_httpd_starts_on_systemd_252_and_69_stops_it() {
    let m = boot!("bookworm");
    m.sh("systemctl --version").prints("systemd 252 ");
    is_forgiven(&m);
    stops_for_want_of_room(&m);
}

#[test]
fn whatever_happens_to_the_guard_httpd_starts_on_systemd_257_and_69_stops_it() {
    let m = boot!("trixie");
    m.sh("systemctl --version").prints("systemd 257 ");
    is_forgiven(&m);
    stops_for_want_of_room(&m);
}

fn is_forgiven(m: &Machine) {
    put_program(m);
    put_drop_in(m, "apache2");
    for (what, how) in DAMAGES {
        m.sh("systemctl stop apache2").exits(0);
        m.sh(&format!("set -e; p={PROGRAM}; rm -rf $p; {how}")).exits(0);
        let before = mark(m);
        let run = m.start("apache2");
        let said = said_since(m, &before, "apache2");
        assert_eq!(run.code, Some(0), "{what}: {run}\n{said}");
        m.get(80).exits(0);
        contains(&said, "httpd-semguard failed (exit code ");
        contains(&said, "); starting httpd anyway");
    }
    m.sh("journalctl -b -p warning -o cat -u apache2").exits(0).prints("starting httpd anyway");

    m.sh("systemctl stop apache2").exits(0);
    put_script(m, "echo of the guard >&2; exit 69");
    let before = mark(m);
    m.start("apache2").exits(1);
    let said = said_since(m, &before, "apache2");
    contains(&said, "of the guard");
    contains(&said, "status=69/UNAVAILABLE");
    assert!(!said.contains("httpd-semguard failed"), "{said}");
    assert_eq!(m.show("apache2", "ActiveState"), "failed");
    m.sh("pgrep -x apache2").exits(1);

    // The drop-in may remain without the program, and the other way round.
    m.sh(&format!("rm {PROGRAM}")).exits(0);
    m.start("apache2").exits(0);
    m.get(80).exits(0);
}

/// The real program, with a full table.
fn stops_for_want_of_room(m: &Machine) {
    m.limits(SMALL);
    m.sh(&format!("systemctl stop apache2; cp /root/guard {PROGRAM}")).exits(0);
    while m.sh("setpriv --reuid games --regid games --clear-groups ipcmk -S 1").code == Some(0) {}
    m.start("apache2").exits(1);
    contains(&m.journal("apache2"), &format!(": httpd would not start (it would log: {REFUSED})"));
    m.limits("250 32000 32 32");
    m.start("apache2").exits(0);
    m.get(80).exits(0);
}

/// A forced installation with unmet dependencies: dpkg leaves the package unpacked, with its drop-in in
/// place. The program in the tests' own package needs a newer C library than that of Debian 11.
#[test]
fn a_package_that_is_unpacked_but_not_configured_stops_no_start() {
    let m = boot!("bullseye");
    m.copy_in(&deb(""), "/root/guard.deb");
    m.sh("dpkg --force-depends --unpack /root/guard.deb").exits(0);
    m.sh("dpkg-query -W -f '${Status}' httpd-semguard").prints("install ok unpacked");
    m.sh("systemctl daemon-reload; systemctl cat apache2").prints("/20-semguard.conf\n");
    let before = mark(&m);
    m.sh("systemctl restart apache2").exits(0);
    m.get(80).exits(0);
    let said = said_since(&m, &before, "apache2");
    contains(&said, "version `GLIBC_");
    contains(&said, "httpd-semguard failed (exit code 1); starting httpd anyway");
}

// ---- a healthy start ---------------------------------------------------------------------------------

#[test]
fn a_healthy_start_on_debian_12_logs_one_line_of_the_guard_whatever_its_settings_are() {
    has_one_line("bookworm");
}

#[test]
fn a_healthy_start_on_debian_13_logs_one_line_of_the_guard_whatever_its_settings_are() {
    has_one_line("trixie");
}

fn has_one_line(release: &str) {
    let m = boot!(release);
    m.install_guard();
    // What the drop-in's shell has written to the journal during this start only.
    let mut seen = 0;
    let mut news = || {
        let read = "journalctl --sync; journalctl -b -q -o cat --no-pager -u apache2 -t sh";
        let all = m.sh(read).exits(0).out;
        let news: Vec<String> = all.lines().skip(seen).map(|l| format!("{l}\n")).collect();
        seen += news.len();
        news.concat()
    };
    let mut said = || {
        m.sh("systemctl reset-failed apache2; systemctl restart apache2").exits(0);
        m.get(80).exits(0);
        news()
    };
    let line = |said: &str| {
        contains(said, "httpd's locks can be made: it needs ");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    line(&said());
    line(&said());
    for format in ["json", "prometheus", "nagios"] {
        let settings = format!(
            "HTTPD_SEMGUARD_FORMAT={format}\nHTTPD_SEMGUARD_MIN_FREE=1\nHTTPD_SEMGUARD_USER=www-data\n"
        );
        m.write("/etc/default/httpd-semguard", &settings);
        line(&said());
    }
    // Into a file, as requested.
    m.sh("echo HTTPD_SEMGUARD_FORMAT=json >>/etc/default/httpd-semguard
          echo HTTPD_SEMGUARD_OUTPUT=/run/report.json >>/etc/default/httpd-semguard")
        .exits(0);
    assert_eq!(said(), "");
    m.sh("grep -q '\"forecast\": \"starts\"' /run/report.json").exits(0);
    // A set that was removed is reported.
    m.sh("rm /etc/default/httpd-semguard").exits(0);
    m.kill("apache2");
    contains(&said(), "removed semaphore set ");
}

// ---- what the guard sees ---------------------------------------------------------------------------

/// What a process of the unit sees: its arguments, and those parts of its environment that a start depends on.
const LOOK: &str = "printf '%s\\n.\\n' \"$@\"; echo nofile $(ulimit -n); cat /mnt/mark /tmp/mark; \
    [ \"$1\" != guard ] && [ -z \"$IPC\" ] || readlink /proc/self/ns/ipc; id -u; \
    echo stat $(ls /proc/stat 2>/dev/null); echo settings $HTTPD_SEMGUARD_NEED; pwd";

/// A unit like that of EL, with what an administrator may have added to it, and the drop-in.
fn look_around(m: &Machine, unit: &str, more: &str) -> (String, String) {
    let (name, instance) = match unit.strip_suffix('@') {
        Some(name) => (unit, format!("{name}@shop")),
        None => (unit, unit.to_owned()),
    };
    m.sh("mkdir -p /srv/seen /opt/tmp; echo of the unit >/srv/seen/mark; echo tmp >/opt/tmp/mark")
        .exits(0);
    let script = |to: &str| format!("exec >/run/{to}; {LOOK}");
    put_script(m, &script("guard-saw"));
    m.write("/usr/local/bin/httpd-saw", &format!("#!/bin/sh\n{}\n", script("httpd-saw")));
    m.sh("chmod 755 /usr/local/bin/httpd-saw").exits(0);
    m.write(
        "/etc/sysconfig/httpd",
        "OPTIONS=-D 'two  words' -DX=\\\"a '' \\\\$HOME * \"it's\" %i $$ ; -DLAST\n",
    );
    m.write("/etc/sysconfig/httpd-semguard", "HTTPD_SEMGUARD_NEED=7\n");
    m.write(
        &format!("/etc/systemd/system/{name}.service"),
        &format!(
            "[Service]\nType=oneshot\nEnvironmentFile=/etc/sysconfig/httpd\nLimitNOFILE=4321\n\
             BindReadOnlyPaths=/srv/seen:/mnt /opt/tmp:/tmp\nWorkingDirectory=/srv\n{more}\
             ExecStart=/usr/local/bin/httpd-saw httpd $OPTIONS\n"
        ),
    );
    put_drop_in(m, unit);
    let run = m.start(&instance);
    assert_eq!(run.code, Some(0), "{run}\n{}", m.journal(&instance));
    let read = |file: &str| fs::read_to_string(m.path(file)).expect("it looked around");
    (read("/run/guard-saw"), read("/run/httpd-saw"))
}

#[test]
fn the_guard_sees_the_arguments_and_limits_of_the_unit_on_systemd_247() {
    let m = boot!("bullseye");
    sees_what_httpd_sees(&m, "");
}

#[test]
fn the_guard_sees_the_arguments_and_limits_of_the_unit_on_systemd_252() {
    let m = boot!("bookworm");
    sees_what_httpd_sees(&m, "PrivateIPC=yes\nEnvironment=IPC=1\nProcSubset=pid\n");
}

#[test]
fn the_guard_sees_the_arguments_and_limits_of_the_unit_on_systemd_257() {
    let m = boot!("trixie");
    sees_what_httpd_sees(&m, "PrivateIPC=yes\nEnvironment=IPC=1\nProcSubset=pid\n");
}

fn sees_what_httpd_sees(m: &Machine, more: &str) {
    let seen = |unit: &str, guard: &[&str], after: &[&str]| {
        let (guard_saw, httpd_saw) = look_around(m, unit, more);
        for part in ["\n.\ntwo  words\n.\n", "nofile 4321\n", "of the unit\n", "settings 7\n"] {
            contains(&httpd_saw, part);
        }
        let lines = |words: &[&str]| words.iter().map(|w| format!("{w}\n.\n")).collect::<String>();
        let rest = guard_saw.strip_prefix(&lines(guard)).unwrap_or_else(|| panic!("{guard_saw}"));
        let words = httpd_saw.strip_prefix("httpd\n.\n").expect("its first word");
        let (words, around) = words.split_once("nofile").expect("the limit");
        let rest = rest.strip_prefix(words).unwrap_or_else(|| panic!("{guard_saw}\n{words}"));
        let rest = rest.strip_prefix(&lines(after)).unwrap_or_else(|| panic!("{guard_saw}"));
        // An IPC namespace other than the machine's: the one that httpd gets.
        let mut rest = rest.to_owned();
        if more.is_empty() {
            rest =
                rest.lines().filter(|l| !l.starts_with("ipc:")).map(|l| format!("{l}\n")).collect();
        }
        assert_eq!(rest, format!("nofile{around}"), "{unit}");
    };
    seen("httpd", &["guard", "--"], &[]);
    seen("httpd@", &["guard", "--instance=shop", "--"], &["-f", "conf/shop.conf"]);
    let scl = "/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper";
    seen("httpd24-httpd", &["guard", "--httpd", scl, "--"], &[]);
}

#[test]
fn options_that_are_empty_or_not_set_add_no_argument() {
    let m = boot!("bookworm");
    look_around(&m, "httpd", "");
    for options in ["OPTIONS=\n", "", "OPTIONS='  '\n"] {
        m.write("/etc/sysconfig/httpd", options);
        m.start("httpd").exits(0);
        let saw = fs::read_to_string(m.path("/run/guard-saw")).expect("it looked around");
        assert!(saw.starts_with("guard\n.\n--\n.\nnofile"), "{options:?}: {saw}");
    }
}

// ---- a reload ----------------------------------------------------------------------------------------

/// Like certbot: one more module, which creates one more lock than the table has room for.
const ONE_MORE_LOCK: &str = "a2enmod -q ssl >/dev/null";

#[test]
fn with_the_example_a_reload_that_would_end_a_running_httpd_is_refused_with_a_message() {
    let m = boot!("bookworm");
    m.install_guard();
    m.limits("250 32000 32 1");
    m.sh("systemctl restart apache2").exits(0);
    m.get(80).exits(0);
    let example = "/usr/share/doc/httpd-semguard/examples/reload-debian.conf";
    let vendor = m.show("apache2", "ExecReload");
    contains(&vendor, "/usr/sbin/apachectl graceful");

    // Without it, the server exits, although the reload seems to succeed.
    m.sh(ONE_MORE_LOCK).exits(0);
    m.sh("systemctl reload apache2");
    wait_until("the server is dead", || m.sh("pgrep -x apache2").code == Some(1));
    m.sh("a2dismod -q ssl >/dev/null; systemctl stop apache2");

    m.sh(&format!(
        "set -e; d=/etc/systemd/system/apache2.service.d; mkdir -p $d; \
         cp {example} $d/30-reload.conf; systemctl daemon-reload"
    ))
    .exits(0);
    m.start("apache2").exits(0);
    let main = m.show("apache2", "MainPID");
    m.get(80).exits(0);
    m.sh("systemctl reload apache2").exits(0);
    m.get(80).exits(0);

    m.sh(ONE_MORE_LOCK).exits(0);
    let before = mark(&m);
    m.sh("systemctl reload apache2").exits(1);
    let said = said_since(&m, &before, "apache2");
    contains(&said, "reload refused: httpd would not survive it; it keeps running unchanged");
    contains(&said, "Couldn't create the ssl-cache mutex");
    contains(&said, "  do:   ");
    assert_eq!(m.show("apache2", "MainPID"), main);
    assert_eq!(m.show("apache2", "ActiveState"), "active");
    m.get(80).exits(0);
    assert_eq!(m.sets_of(WWW).len(), 1);

    // A missing guard refuses nothing.
    m.limits("250 32000 32 8");
    m.sh(&format!("rm {PROGRAM}; systemctl reload apache2")).exits(0);
    wait_until("the lock of TLS is made", || m.sets_of(WWW).len() == 2);
    m.get(80).exits(0);
    assert_eq!(m.show("apache2", "MainPID"), main);
}
