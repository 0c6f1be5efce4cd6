//! The sets as a table for people, in the way of lsipc(1), and the totals of `ipcs -us`.

use std::io::{self, Write};

use anstyle::Style;
use nix::unistd::Pid;

use crate::facts::evidence::{LastPid, Lock};
use crate::facts::need::sets;
use crate::facts::request::SortKey;
use crate::facts::row::Judged;
use crate::facts::time::age;
use crate::facts::verdict::State;
use crate::tell::log::{count, why};
use crate::tell::report::{Report, Table};
use crate::tell::screen::{BAD, DOUBTFUL, GOOD, HEADING, QUIET, Screen, width};

const COLUMNS: usize = 9;
const HEADER: [&str; COLUMNS] =
    ["SEMID", "OWNER", "CREATOR", "AGE", "LASTPID", "VALUE", "WAITERS", "VERDICT", "WHY"];
/// Columns of numbers, which stand to the right.
const NUMBERS: [usize; 3] = [0, 5, 6];
const VERDICT: usize = 7;
const WHY: usize = 8;

type Row = [String; COLUMNS];

/// Writes the table.
///
/// # Errors
/// Those of the writer.
pub fn write(
    report: &Report,
    table: &Table,
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = shown(report, table);
    // Made twice, once for the widths: 32,768 rows at one time would be many megabytes.
    let mut widths = HEADER.map(width);
    for j in &shown {
        for (widest, cell) in widths.iter_mut().zip(row(j, report, table)) {
            *widest = (*widest).max(width(&cell));
        }
    }
    if !shown.is_empty() {
        line(&HEADER.map(str::to_owned), &widths, |_| HEADING, screen, out)?;
    }
    for j in &shown {
        let style = match j.verdict.state() {
            State::Orphan => DOUBTFUL,
            State::InUse => GOOD,
            State::Unknown => BAD,
            State::Undecided | State::NotHttpd => QUIET,
        };
        let style = |column| if column == VERDICT { style } else { Style::new() };
        line(&row(j, report, table), &widths, style, screen, out)?;
    }
    let u = &table.before.usage;
    writeln!(
        out,
        "{} of the guarded users, {} orphaned; in all {} of {} sets and {} of {} semaphores in use",
        sets(count(table.judged.len())),
        table.orphans().count(),
        u.sets,
        table.before.limits.semmni,
        u.semaphores,
        table.before.limits.semmns,
    )
}

/// The sets that were asked for, in the order that was asked for.
#[must_use]
pub fn shown<'t>(report: &Report, table: &'t Table) -> Vec<&'t Judged> {
    let view = &report.view;
    let mut shown: Vec<&Judged> = table
        .judged
        .iter()
        .filter(|j| j.is_orphan() || !view.orphans)
        .filter(|j| view.explain.is_none_or(|id| j.set.id == id))
        .collect();
    shown.sort_unstable_by_key(|j| {
        let first = match view.sort {
            SortKey::Semid => 0,
            SortKey::Owner => i64::from(j.set.uid.as_raw()),
            SortKey::Age => j.set.ctime.0,
            SortKey::Pid => i64::from(last_pid(j).map_or(-1, Pid::as_raw)),
            SortKey::Verdict => j.verdict.state() as i64,
        };
        (first, j.set.id)
    });
    shown
}

/// The last pid, where it was asked for.
#[must_use]
pub fn last_pid(j: &Judged) -> Option<Pid> {
    j.evidence.probe.ok().map(|p| Pid::from_raw(p.last_pid))
}

fn row(j: &Judged, report: &Report, table: &Table) -> Row {
    let lock = j.evidence.probe.ok().and_then(|p| p.lock);
    let figure = |f: fn(Lock) -> i32| lock.map_or("?".into(), |l| f(l).to_string());
    [
        j.set.id.to_string(),
        report.user(j.set.uid),
        report.user(j.set.cuid),
        age(table.world.clock.now.0 - j.set.ctime.0),
        match (&j.last, &j.evidence.last_pid, last_pid(j)) {
            (Some(p), _, _) => format!("{} {}", p.pid, p.name),
            (None, _, None) => "?".into(),
            (None, _, Some(pid)) if pid.as_raw() == 0 => "none seen".into(),
            (None, LastPid::Hidden(_), Some(pid)) => format!("{pid} (hidden)"),
            (None, _, Some(pid)) => format!("{pid} (dead)"),
        },
        figure(|l| l.value),
        figure(|l| l.waiters),
        if j.is_orphan() { "orphan" } else { "keep" }.into(),
        why(j),
    ]
}

/// One row as aligned columns, the last one as long as it is, or as the screen is wide.
fn line(
    row: &Row,
    widths: &[usize; COLUMNS],
    style: impl Fn(usize) -> Style,
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (column, cell) in row.iter().enumerate() {
        if column == WHY {
            let indent = widths[..WHY].iter().map(|w| w + 2).sum();
            let wrapped = screen.wrap(cell, indent);
            return writeln!(out, "{}", screen.paint(style(column), &wrapped));
        }
        let blank = " ".repeat(widths[column] - width(cell));
        let cell = screen.paint(style(column), cell);
        if NUMBERS.contains(&column) {
            write!(out, "{blank}{cell}  ")?;
        } else {
            write!(out, "{cell}{blank}  ")?;
        }
    }
    Ok(())
}
