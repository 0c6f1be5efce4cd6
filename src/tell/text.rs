//! The report for people on standard output: one line when all is well; what is not goes to the
//! log (`log`). `list` has modules of its own.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::decide::forecast::Forecast;
use crate::facts::capacity::Capacity;
use crate::facts::need::{NeedSource, sets};
use crate::facts::request::Command;
use crate::facts::row::Fate;
use crate::tell::log::count;
use crate::tell::report::{Report, Table};
use crate::tell::screen::{GOOD, Screen};
use crate::tell::{explain, list};

/// Writes the report in words.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let table = match (&report.table, report.command) {
        (None, Command::List) => {
            return writeln!(out, "this kernel has no System V semaphores");
        }
        (Some(table), Command::List) if report.view.explain.is_some() => {
            let shown = list::shown(report, table);
            return shown.iter().try_for_each(|j| explain::write(j, report, table, screen, out));
        }
        (Some(table), Command::List) => return list::write(report, table, screen, out),
        (table, _) => table.as_ref(),
    };
    if report.forecast == Some(Forecast::Starts) {
        let line = fine(report, table);
        let (can, rest) = line.split_once(':').unwrap_or((&line, ""));
        writeln!(
            out,
            "{}{}{rest}",
            screen.paint(GOOD, can),
            if rest.is_empty() { "" } else { ":" }
        )?;
    }
    let orphans = table.map_or(0, |t| t.orphans().count());
    if let (Command::Check, Some(table), 1..) = (report.command, table, orphans) {
        let then = table.before.without(orphans).room().sets;
        writeln!(
            out,
            "httpd-semguard guard would remove {} that a dead httpd left: {} could be made then",
            sets(count(orphans)),
            sets(then)
        )?;
    }
    Ok(())
}

/// The one line of a good day.
#[must_use]
pub fn fine(report: &Report, table: Option<&Table>) -> String {
    let mut line = String::from("httpd can start: ");
    if report.need.source == NeedSource::Unheard {
        line = "httpd's accept lock can be made; what more it needs is not known".into();
    } else if report.need.at_most == 0 {
        line.push_str("it makes no System V semaphore set");
    } else {
        let _ = write!(line, "it needs {}", report.need);
    }
    let Some(table) = table else {
        line.push_str(if report.unread {
            "; the table of sets could not be read"
        } else {
            "; this kernel has none"
        });
        return line;
    };
    let _ = write!(line, "; {} of {} free", table.after.room().sets, size(&table.after));
    if let Some(r) = table.running.as_ref().filter(|r| r.surely + r.perhaps > 0) {
        let _ = write!(line, ", {} held by itself ({})", r.surely + r.perhaps, r.leader);
    }
    let removed = table.count(Fate::Removed);
    let would = table.count(Fate::WouldRemove);
    if removed > 0 {
        let _ = write!(line, "; removed {}", orphaned(removed));
    }
    if would > 0 {
        let _ = write!(line, "; would remove {}", orphaned(would));
    }
    let kept = table.tally().kept();
    if kept > 0 {
        let _ = write!(line, "; {kept} kept");
        if let Some((undecided, who)) = table.undecided() {
            let _ = write!(line, " ({undecided} undecided while {who} lives)");
        }
    }
    line
}

/// The number of sets that the binding limit allows in all.
fn size(capacity: &Capacity) -> i64 {
    capacity.limits.semmni.min(capacity.limits.semmns)
}

fn orphaned(n: usize) -> String {
    format!("{n} orphaned set{}", if n == 1 { "" } else { "s" })
}
