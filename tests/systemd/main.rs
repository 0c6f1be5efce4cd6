//! The installed package: on a booted Debian with its own System V IPC namespace and small limits, with
//! Debian's own httpd, its units and the options they come with. Each test has a machine of its own.

#[path = "../common/mod.rs"]
mod common;

mod machine;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::WWW;
use machine::{Machine, deb, wait_until};

/// How often httpd can be killed before the table is full, if nobody else uses it.
const SEMMNI: usize = 6;

const SMALL: &str = "250 32000 32 6";

/// Leaves no room for httpd's sets in the table.
const FILL: &str = "for i in 1 2 3 4 5 6; do \
    setpriv --reuid games --regid games --clear-groups ipcmk -S 1; done";

/// What httpd logs if there is no room.
const REFUSED: &str = "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex";

macro_rules! boot {
    ($release:expr) => {
        boot!($release, "")
    };
    ($release:expr, $set_up:expr) => {
        match Machine::boot($release, $set_up) {
            Some(machine) => machine,
            None => return,
        }
    };
}

mod forgiving;
mod metrics;
mod status;

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "missing: {part}\n{text}");
}

/// Kills all processes of httpd and starts it, SEMMNI + 5 times. It starts each time, and the journal
/// names each set that was removed.
#[track_caller]
fn starts_after_every_kill(m: &Machine, unit: &str) {
    for time in 1..=SEMMNI + 5 {
        // It creates its lock after it has detached; if it serves requests, it has one.
        m.get(80).exits(0);
        let left = m.sets_of(WWW);
        assert_eq!(left.len(), 1, "kill {time}: not just the accept lock of the running httpd");
        m.kill(unit);
        let run = m.start(unit);
        assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal(unit));
        let journal = m.journal(unit);
        for id in left {
            contains(&journal, &format!("removed semaphore set {id} of www-data (33), last pid "));
        }
    }
    m.get(80).exits(0);
}

// ---- the package ---------------------------------------------------------------------------------

#[test]
fn installed_on_debian_12_it_guards_the_next_start_and_leaves_a_running_httpd_alone() {
    is_installed_beside_a_running_httpd("bookworm");
}

#[test]
fn installed_on_debian_13_it_guards_the_next_start_and_leaves_a_running_httpd_alone() {
    is_installed_beside_a_running_httpd("trixie");
}

fn is_installed_beside_a_running_httpd(release: &str) {
    let m = boot!(release);
    let main = m.show("apache2", "MainPID");
    m.get(80).exits(0);

    m.install_guard();
    assert_eq!(m.show("apache2", "MainPID"), main, "httpd was restarted");
    m.get(80).exits(0);
    m.sh("systemctl cat apache2")
        .exits(0)
        .prints("/lib/systemd/system/apache2.service.d/20-semguard.conf\n")
        .prints("ExecStartPre=/bin/sh -c 'trap \"\" XFSZ; /usr/sbin/httpd-semguard guard; ");
    assert_eq!(m.show("apache2", "NeedDaemonReload"), "no");
    for unit in ["apache2.service", "apache2@shop.service"] {
        let run = m.sh(&format!("systemd-analyze verify {unit}")).exits(0);
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{unit}");
    }

    m.sh("systemctl restart apache2").exits(0);
    contains(&m.journal("apache2"), "httpd's locks can be made: it needs 1 semaphore set");
}

// ---- httpd is killed -----------------------------------------------------------------------------

#[test]
fn without_the_package_an_httpd_that_is_killed_often_enough_never_starts_again() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    for time in 1..SEMMNI {
        m.get(80).exits(0);
        m.kill("apache2");
        let run = m.start("apache2");
        assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal("apache2"));
    }
    m.get(80).exits(0);
    assert_eq!(m.sets_of(WWW).len(), SEMMNI, "not all sets were left behind");
    m.kill("apache2");
    wait_until("it has given up", || m.show("apache2", "ActiveState") == "failed");
    let run = m.start("apache2");
    let journal = m.journal("apache2");
    assert_eq!(run.code, Some(1), "{run}\n{journal}");
    contains(&journal, REFUSED);

    // Installed now, the package says what is left to do, which solves the problem.
    let says = "httpd-semguard: httpd has failed and is not running; to start it: ";
    let told = m.install_guard().out;
    let command = told.lines().find_map(|l| l.strip_prefix(says));
    assert_eq!(command, Some("systemctl start apache2"), "{told}");
    m.sh(command.expect("a command")).exits(0);
    m.get(80).exits(0);
    assert!(!m.install_guard().out.contains(says), "httpd is running");
}

#[test]
fn a_killed_httpd_starts_every_time_on_debian_12_and_the_journal_names_each_removed_set() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    m.install_guard();
    starts_after_every_kill(&m, "apache2");
}

#[test]
fn a_killed_httpd_starts_every_time_on_debian_13_and_the_journal_names_each_removed_set() {
    let m = boot!("trixie");
    m.limits(SMALL);
    m.install_guard();
    starts_after_every_kill(&m, "apache2");
}

/// The settings of units in a newer Debian: neither /proc/stat nor /proc/sysvipc can be read.
#[test]
fn a_killed_httpd_starts_every_time_if_its_unit_hides_most_of_proc() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    m.install_guard();
    m.drop_in(
        "apache2.service",
        "[Service]\nProcSubset=pid\nProtectProc=invisible\nProtectKernelTunables=yes\n",
    );
    m.sh("systemctl restart apache2").exits(0);
    let hidden = "nsenter -m -t $(systemctl show --value -p MainPID apache2) ls /proc/stat";
    m.sh(hidden).exits(2);
    starts_after_every_kill(&m, "apache2");
}

#[test]
fn an_httpd_that_systemd_restarts_recovers_by_itself_from_every_kill() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    m.install_guard();
    m.drop_in(
        "apache2.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=1\n",
    );
    for time in 1..=SEMMNI + 2 {
        m.kill("apache2");
        wait_until("httpd runs again", || {
            let state = m.show("apache2", "ActiveState");
            assert_ne!(state, "failed", "kill {time}: {}", m.journal("apache2"));
            state == "active" && m.show("apache2", "NRestarts") == time.to_string()
        });
        m.get(80).exits(0);
        assert_eq!(m.sets_of(WWW).len(), 1, "{}", m.journal("apache2"));
    }
}

// ---- two instances -------------------------------------------------------------------------------

/// Two instances, created as in Debian's own example: a listens on 8001 and 8002, b on 8003 and 8004.
fn set_up_instances(m: &Machine) {
    m.sh("set -e; systemctl disable --now apache2; cd /usr/share/doc/apache2/examples
          sh setup-instance a; printf 'Listen 8001\nListen 8002\n' >/etc/apache2-a/ports.conf
          sh setup-instance b; printf 'Listen 8003\nListen 8004\n' >/etc/apache2-b/ports.conf")
        .exits(0);
}

/// Does something while b serves one request after another, none of which may fail.
fn while_b_serves(m: &Machine, what: impl FnOnce()) {
    struct Raise<'a>(&'a AtomicBool);
    impl Drop for Raise<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                m.get(8003 + served % 2).exits(0);
                served += 1;
            }
            served
        });
        let raised_even_by_a_panic = Raise(&over);
        what();
        drop(raised_even_by_a_panic);
        client.join().expect("every request was served")
    });
    assert!(served > 10, "only {served} requests");
}

/// The sets left by the killed instance are in nobody's memory, although its sibling is running, so they
/// are removed before each start. Only those found by coincidence are kept, a handful in total.
#[test]
fn next_to_a_running_sibling_a_killed_instance_starts_every_time() {
    const HANDFUL: usize = 2;
    let m = boot!("bookworm");
    m.install_guard();
    set_up_instances(&m);
    m.limits(SMALL);
    m.start("apache2@b").exits(0);
    m.get(8003).exits(0);
    let of_b = m.sets_of(WWW);
    assert_eq!(of_b.len(), 1);
    m.start("apache2@a").exits(0);

    while_b_serves(&m, || {
        for time in 1..=SEMMNI + 5 {
            m.get(8001).exits(0);
            m.kill("apache2@a");
            let run = m.start("apache2@a");
            assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal("apache2@a"));
            let sets = m.sets_of(WWW);
            assert!(of_b.is_subset(&sets), "{sets:?}");
            assert!(sets.len() <= 2 + HANDFUL, "{sets:?}\n{}", m.journal("apache2@a"));
        }
    });
    let journal = m.journal("apache2@a");
    let removed = journal.matches("removed semaphore set").count();
    assert!(removed >= SEMMNI + 5 - HANDFUL, "{removed}: {journal}");
    assert!(!journal.contains("undecided"), "{journal}");
    for port in 8001..=8004 {
        m.get(port).exits(0);
    }
}

/// The solution that needs no guard, as in the package's example.
#[test]
fn with_private_ipc_a_killed_instance_starts_every_time_and_leaves_nothing() {
    let m = boot!("bookworm");
    m.install_guard();
    set_up_instances(&m);
    m.limits(SMALL);
    m.sh("set -e; cd /etc/systemd/system; mkdir -p apache2@.service.d
          cp /usr/share/doc/httpd-semguard/examples/10-private-ipc.conf apache2@.service.d
          systemctl daemon-reload; systemctl start apache2@a apache2@b")
        .exits(0);
    while_b_serves(&m, || {
        for time in 1..=SEMMNI + 5 {
            m.kill("apache2@a");
            let run = m.start("apache2@a");
            assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal("apache2@a"));
            m.get(8001).exits(0);
            assert_eq!(m.sets_of(WWW).len(), 0, "the sets are visible outside");
            let inside = "nsenter --ipc -t $(systemctl show --value -p MainPID apache2@a) ipcs -s";
            let sets = m.sh(inside).exits(0).out;
            assert_eq!(
                sets.matches("www-data").count(),
                1,
                "inside, not just the set of the running one:\n{sets}"
            );
        }
    });
    let journal = m.journal("apache2@a");
    assert!(!journal.contains("removed semaphore set"), "{journal}");

    // A check examines the table that httpd has, however full this one is.
    m.sh(FILL).exits(0);
    let check = m.sh("APACHE_CONFDIR=/etc/apache2-a httpd-semguard check").exits(0);
    contains(&check.err, "has its own IPC namespace: examining the semaphore table there");
    m.sh("httpd-semguard check").exits(69);
    m.drop_in("apache2.service", "[Service]\nPrivateIPC=yes\n");
    let check = m.sh("httpd-semguard check").exits(0);
    contains(&check.err, "apache2.service starts httpd in its own IPC namespace");
    m.start("apache2").exits(0);
}

// ---- no room -------------------------------------------------------------------------------------

#[test]
fn if_another_user_filled_the_table_systemctl_status_says_why_and_what_to_do() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    m.install_guard();
    m.sh("systemctl stop apache2").exits(0);
    for _ in 0..SEMMNI {
        m.sh("setpriv --reuid games --regid games --clear-groups ipcmk -S 1").exits(0);
    }

    m.start("apache2").exits(1);
    m.sh("journalctl --sync; systemctl status apache2")
        .exits(3)
        .prints("ExecStartPre=/bin/sh -c trap \"\" XFSZ; /usr/sbin/httpd-semguard guard; ")
        .prints(" (code=exited, status=69)")
        .prints("Control process exited, code=exited, status=69/UNAVAILABLE")
        // It shows ten lines: the last ones of the message, which ends with the cause.
        .prints("httpd-semguard: semaphore table full: httpd would not start\n");
    let errors = m.sh("journalctl -b -o cat -p err -u apache2").exits(0).out;
    for part in
        [REFUSED, "6 of games (5)", "httpd-semguard:   why:  SEMMNI", "httpd-semguard:   do:   "]
    {
        contains(&errors, part);
    }

    let own = m.sh("ipcs -s | awk '$3 == \"games\" { print $2; exit }'").exits(0).out;
    m.sh(&format!("ipcrm -s {own}")).exits(0);
    m.start("apache2").exits(0);
    m.get(80).exits(0);
}

// ---- the package, later --------------------------------------------------------------------------

const REINSTALL: &str = "apt-get update && apt-get -y install --reinstall apache2";

#[test]
fn after_an_upgrade_of_httpd_the_administrator_is_told_if_it_would_not_start() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    m.install_guard();
    let run = m.sh(REINSTALL).exits(0);
    assert!(!run.out.contains("httpd-semguard: "), "{run}");
    m.sh("grep -q ' trigproc httpd-semguard' /var/log/dpkg.log").exits(0);
    m.get(80).exits(0);

    m.sh("systemctl stop apache2").exits(0);
    for _ in 0..SEMMNI {
        m.sh("setpriv --reuid games --regid games --clear-groups ipcmk -S 1").exits(0);
    }
    m.sh(REINSTALL).exits(0).prints("httpd would not start now").prints(REFUSED);
    m.sh("dpkg --audit").exits(0).prints("");
}

#[test]
fn an_upgrade_keeps_edited_settings_and_a_purge_leaves_no_files() {
    // Files that belong to no package: logs, records of dpkg and systemd, and what httpd writes.
    const FILES: &str = "find / -xdev ! -path '/var/log/*' ! -path '/var/lib/dpkg/*' \
        ! -path '/root/*' ! -path '/tmp*' ! -path '/var/tmp*' ! -path '/var/lib/systemd/*' \
        ! -path '/var/cache/*' | sort; ls -d /run/*semguard*";
    let m = boot!("bookworm");
    m.limits(SMALL);
    let before = m.sh(FILES).out;
    m.install_guard();

    let edited = "echo 'HTTPD_SEMGUARD_MIN_FREE=2' >>/etc/default/httpd-semguard";
    m.sh(edited).exits(0);
    m.copy_in(&deb("+1"), "/root/later.deb");
    m.sh("dpkg -i /root/later.deb").exits(0);
    m.sh("dpkg-query -W -f '${Version}' httpd-semguard").prints("+1");
    m.sh("tail -n 1 /etc/default/httpd-semguard").prints("HTTPD_SEMGUARD_MIN_FREE=2\n");
    m.sh("systemctl restart apache2").exits(0);

    m.sh("dpkg -r httpd-semguard").exits(0);
    m.sh("cat /etc/default/httpd-semguard").exits(0).prints("HTTPD_SEMGUARD_MIN_FREE=2\n");
    let cat = m.sh("systemctl cat apache2").exits(0);
    assert!(!cat.out.contains("semguard"), "{cat}");
    m.sh("systemctl restart apache2").exits(0);
    m.get(80).exits(0);

    m.sh("dpkg -P httpd-semguard").exits(0);
    let after = m.sh(FILES).out;
    let left: Vec<&str> = after.lines().filter(|l| !before.lines().any(|b| b == *l)).collect();
    assert_eq!(left, [""; 0]);
}
