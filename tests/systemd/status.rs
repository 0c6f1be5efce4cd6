//! What an administrator sees first, `systemctl status` in 80 columns, and what they type next.

use crate::machine::{Machine, wait_until};
use crate::{FILL, SMALL, contains};

/// `systemctl status` as shown by a terminal with 80 columns.
fn status(m: &Machine, unit: &str) -> String {
    let shown =
        format!("stty cols 80 rows 50; SYSTEMD_COLORS=0 systemctl --no-pager status {unit}");
    // Lines on a terminal end with a carriage return, too.
    m.sh(&format!("TERM=xterm script -qec '{shown}' /dev/null")).out.replace("\r\n", "\n")
}

/// A machine whose table has been filled by others, after a refused start.
fn refused(release: &str) -> Option<Machine> {
    let m = Machine::boot(release, "")?;
    m.install_guard();
    m.sh("systemctl stop apache2").exits(0);
    m.limits(SMALL);
    m.sh(FILL).exits(0);
    let run = m.start("apache2");
    assert_eq!(run.code, Some(1), "{run}");
    wait_until("it has given up", || m.show("apache2", "ActiveState") == "failed");
    Some(m)
}

#[test]
fn eighty_columns_of_status_show_the_cause_on_debian_12() {
    eighty_columns_of_status_show_the_cause("bookworm");
}

#[test]
fn eighty_columns_of_status_show_the_cause_on_debian_13() {
    eighty_columns_of_status_show_the_cause("trixie");
}

fn eighty_columns_of_status_show_the_cause(release: &str) {
    let Some(m) = refused(release) else { return };
    let shown = status(&m, "apache2");
    let cause = shown.lines().find(|line| line.contains("semaphore table full"));
    let cause = cause.unwrap_or_else(|| panic!("the cause is missing in\n{shown}"));
    assert!(cause.chars().count() <= 80, "{cause}");
}

/// The commands of the remedies in the journal of a refused start.
fn proposed(m: &Machine) -> Vec<String> {
    let journal = m.sh("journalctl --no-pager -o cat -u apache2").out;
    let command = |line: &str| {
        let text = line.strip_prefix("httpd-semguard: ").unwrap_or(line);
        let text = text.strip_prefix("            ")?;
        Some(text.trim_start().to_owned())
    };
    journal.lines().filter_map(command).collect()
}

#[test]
fn the_permanent_remedy_in_the_journal_gives_httpd_a_table_of_its_own() {
    let Some(m) = refused("bookworm") else { return };
    let commands = proposed(&m);
    let own = commands.iter().find(|command| command.contains("PrivateIPC=yes"));
    let own = own.unwrap_or_else(|| panic!("not proposed: {commands:?}"));
    contains(own, "/etc/systemd/system/apache2.service.d");
    m.sh(own).exits(0);
    let run = m.start("apache2");
    assert_eq!(run.code, Some(0), "{run}\n{}", m.journal("apache2"));
    m.get(80).exits(0);
}
