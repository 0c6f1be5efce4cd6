//! The report for people on standard output: one line if all is well; problems go to the log (`log`).
//! `list` has modules of its own.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::decide::forecast::Forecast;
use crate::facts::capacity::{Capacity, count};
use crate::facts::need::{NeedSource, sets};
use crate::facts::request::Command;
use crate::facts::row::{Outcome, Undecided};
use crate::facts::table::Table;
use crate::facts::verdict::State;
use crate::tell::report::Report;
use crate::tell::screen::{GOOD, Screen};
use crate::tell::{explain, list};

/// Writes the report as text.
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
            return shown
                .iter()
                .try_for_each(|row| explain::write(row, report, table, screen, out));
        }
        (Some(table), Command::List) => return list::write(report, table, screen, out),
        (table, _) => table.as_ref(),
    };
    if report.forecast == Some(Forecast::Starts) {
        let (can, rest) = fine(report, table);
        let line = screen.wrap(&format!("{can}{rest}"), 0, 2);
        // The first part is never wrapped: it is shorter than the narrowest screen that is wrapped to.
        let line = match line.strip_prefix(can) {
            Some(rest) => format!("{}{rest}", screen.paint(GOOD, can)),
            None => line,
        };
        writeln!(out, "{line}")?;
    }
    let orphans = table.map_or(0, |t| t.orphans().count());
    if let (true, Some(table), 1..) = (report.is_for_the_table_as_it_is(), table, orphans) {
        let then = table.found.without(orphans).room().sets;
        let line = format!(
            "a dead httpd left {}; removing them would leave room for {}:",
            sets(count(orphans)),
            sets(then)
        );
        // A command to be pasted, so never wrapped.
        writeln!(out, "{}\n    {}", screen.wrap(&line, 0, 2), report.guard)?;
    }
    Ok(())
}

/// The line for a run in which all is well: that the locks can be made, and the rest of it.
#[must_use]
pub fn fine(report: &Report, table: Option<&Table>) -> (&'static str, String) {
    let need = &report.input.need;
    let (can, mut line) = if need.source == NeedSource::Unheard {
        ("httpd's accept lock can be made; what else it needs is unknown", String::new())
    } else if need.at_most == 0 {
        ("httpd's locks can be made", ": it needs no semaphore set".to_owned())
    } else {
        ("httpd's locks can be made", format!(": it needs {need}"))
    };
    let Some(table) = table else {
        line.push_str(if report.table_unreadable() {
            "; the semaphore table could not be read"
        } else {
            "; this kernel has no System V semaphores"
        });
        return (can, line);
    };
    let _ = write!(line, "; {} of {} free", table.left.room().sets, size(&table.left));
    if let Some(r) = table.running.as_ref().filter(|r| r.surely + r.perhaps > 0) {
        let up_to = if r.perhaps > 0 { "up to " } else { "" };
        let count = r.surely + r.perhaps;
        let _ = write!(line, ", {up_to}{count} in use by the running httpd ({})", r.leader);
    }
    let removed = table.count(Outcome::Removed);
    let would = table.count(Outcome::WouldRemove);
    if removed > 0 {
        let _ = write!(line, "; removed {}", orphaned(removed));
    }
    if would > 0 {
        let _ = write!(line, "; would remove {}", orphaned(would));
    }
    let kept = table.tally().kept();
    if kept > 0 {
        let _ = write!(line, "; {kept} kept");
        let foreign = table.tally().of(State::NotHttpd);
        let mut notes = Vec::new();
        if foreign > 0 {
            notes.push(format!("{foreign} not httpd's"));
        }
        if let Some(Undecided { sets, process, .. }) = table.undecided() {
            notes.push(format!("{sets} undecided while {process} runs"));
        }
        if !notes.is_empty() {
            let _ = write!(line, " ({})", notes.join(", "));
        }
    }
    (can, line)
}

/// The total number of sets that the binding limit allows.
fn size(capacity: &Capacity) -> i64 {
    capacity.limits.semmni.min(capacity.limits.semmns)
}

fn orphaned(n: usize) -> String {
    format!("{n} orphaned set{}", if n == 1 { "" } else { "s" })
}
