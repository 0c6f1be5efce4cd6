//! The package in its place: on a booted Debian with its own System V IPC namespace and small limits,
//! with Debian's own httpd, its units and whatever options they ship. Each test has a machine of its
//! own.

#[path = "../common/mod.rs"]
mod common;

mod machine;

use common::WWW;
use machine::{Machine, wait_until};

/// How often a httpd can be killed before the table is full, nobody else being there.
const SEMMNI: usize = 6;

const SMALL: &str = "250 32000 32 6";

/// What httpd logs when it finds no room.
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

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "not there: {part}\n{text}");
}

/// Kills all of httpd and starts it, SEMMNI + 5 times. It starts each time, and the journal names
/// each set that was removed.
#[track_caller]
fn starts_after_every_kill(m: &Machine, unit: &str) {
    for time in 1..=SEMMNI + 5 {
        let left = m.sets_of(WWW);
        assert_eq!(left.len(), 1, "kill {time}: the accept lock of the living httpd");
        m.kill(unit);
        let run = m.start(unit);
        assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal(unit));
        m.get(80).exits(0);
        let journal = m.journal(unit);
        for id in left {
            contains(&journal, &format!("removed semaphore set {id} of www-data (33), last pid "));
        }
    }
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
        .prints("ExecStartPre=/usr/sbin/httpd-semguard guard\n");
    assert_eq!(m.show("apache2", "NeedDaemonReload"), "no");
    for unit in ["apache2.service", "apache2@shop.service"] {
        let run = m.sh(&format!("systemd-analyze verify {unit}")).exits(0);
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{unit}");
    }

    m.sh("systemctl restart apache2").exits(0);
    contains(&m.journal("apache2"), "httpd can start: it needs 1 semaphore set");
}

// ---- httpd is killed -----------------------------------------------------------------------------

#[test]
fn without_the_package_a_httpd_that_is_killed_often_enough_never_starts_again() {
    let m = boot!("bookworm");
    m.limits(SMALL);
    for time in 1..SEMMNI {
        m.kill("apache2");
        let run = m.start("apache2");
        assert_eq!(run.code, Some(0), "start {time}: {run}\n{}", m.journal("apache2"));
    }
    assert_eq!(m.sets_of(WWW).len(), SEMMNI, "all but the last are leaked");
    m.kill("apache2");
    wait_until("it has given up", || m.show("apache2", "ActiveState") == "failed");
    let run = m.start("apache2");
    let journal = m.journal("apache2");
    assert_eq!(run.code, Some(1), "{run}\n{journal}");
    contains(&journal, REFUSED);
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

/// What the units of a newer Debian set: neither /proc/stat nor /proc/sysvipc can be read there.
#[test]
fn a_killed_httpd_starts_every_time_where_its_unit_hides_most_of_proc() {
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

// ---- no room -------------------------------------------------------------------------------------

#[test]
fn in_a_table_that_another_user_filled_systemctl_status_says_why_and_what_to_do() {
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
        .prints("ExecStartPre=/usr/sbin/httpd-semguard guard (code=exited, status=69)")
        .prints("Control process exited, code=exited, status=69/UNAVAILABLE")
        .prints(&format!("httpd would not start: {REFUSED}"))
        .prints("  why:  SEMMNI")
        .prints("6 are in use")
        .prints("games 6")
        .prints("  do:   ");
    let errors = m.sh("journalctl -b -o cat -p err -t httpd-semguard").exits(0).out;
    for part in [REFUSED, "  why:  SEMMNI", "  do:   "] {
        contains(&errors, part);
    }

    let own = m.sh("ipcs -s | awk '$3 == \"games\" { print $2; exit }'").exits(0).out;
    m.sh(&format!("ipcrm -s {own}")).exits(0);
    m.start("apache2").exits(0);
    m.get(80).exits(0);
}
