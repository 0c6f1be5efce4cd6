//! The sets as a table for people, in the way of lsipc(1), and the totals of `ipcs -us`.

use std::io::{self, Write};

use anstyle::Style;

use crate::facts::evidence::{Lock, Who};
use crate::facts::need::sets;
use crate::facts::request::SortKey;
use crate::facts::row::Row;
use crate::facts::table::Table;
use crate::facts::time::age;
use crate::facts::verdict::State;
use crate::tell::log::count;
use crate::tell::report::Report;
use crate::tell::screen::{BAD, DOUBTFUL, GOOD, HEADING, QUIET, Screen, width};
use crate::tell::words::why;

const COLUMNS: usize = 9;
const HEADER: [&str; COLUMNS] =
    ["SEMID", "OWNER", "CREATOR", "AGE", "LASTPID", "VALUE", "WAITERS", "VERDICT", "WHY"];
/// Columns of numbers, which stand to the right.
const NUMBERS: [usize; 3] = [0, 5, 6];
const VERDICT: usize = 7;
const WHY: usize = 8;

type Cells = [String; COLUMNS];

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
    for row in &shown {
        for (widest, cell) in widths.iter_mut().zip(cells(row, report, table)) {
            *widest = (*widest).max(width(&cell));
        }
    }
    if !shown.is_empty() {
        line(&HEADER.map(str::to_owned), &widths, |_| HEADING, screen, out)?;
    }
    for row in &shown {
        let style = match row.verdict.state() {
            State::Orphan => DOUBTFUL,
            State::InUse => GOOD,
            State::Unknown => BAD,
            State::Undecided | State::NotHttpd => QUIET,
        };
        let style = |column| if column == VERDICT { style } else { Style::new() };
        line(&cells(row, report, table), &widths, style, screen, out)?;
    }
    let u = &table.found.usage;
    writeln!(
        out,
        "{} of the guarded users, {} orphaned; in all {} of {} sets and {} of {} semaphores in use",
        sets(count(table.rows.len())),
        table.orphans().count(),
        u.sets,
        table.found.limits.semmni,
        u.semaphores,
        table.found.limits.semmns,
    )
}

/// The sets that were asked for, in the order that was asked for.
#[must_use]
pub fn shown<'t>(report: &Report, table: &'t Table) -> Vec<&'t Row> {
    let view = &report.view;
    let mut shown: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| row.is_orphan() || !view.orphans)
        .filter(|row| view.explain.is_none_or(|id| row.set.id == id))
        .collect();
    shown.sort_unstable_by_key(|row| {
        let first = match view.sort {
            SortKey::Semid => 0,
            SortKey::Owner => i64::from(row.set.uid.as_raw()),
            SortKey::Age => row.set.ctime.0,
            SortKey::Pid => i64::from(row.evidence.last().map_or(-1, |last| last.number)),
            SortKey::Verdict => row.verdict.state() as i64,
        };
        (first, row.set.id)
    });
    shown
}

fn cells(row: &Row, report: &Report, table: &Table) -> Cells {
    let figure = |f: fn(Lock) -> i32| row.evidence.lock().map_or("?".into(), |l| f(l).to_string());
    [
        row.set.id.to_string(),
        report.user(row.set.uid),
        report.user(row.set.cuid),
        age(table.world.clock.now.0 - row.set.ctime.0),
        match row.evidence.last() {
            None => "?".into(),
            Some(last) if last.number == 0 => "none seen".into(),
            Some(last) => match &last.who {
                Who::Living(p) => format!("{} {}", p.named.pid, p.named.name),
                Who::Hidden => format!("{} (hidden)", last.number),
                Who::Nobody => format!("{} (dead)", last.number),
                Who::NotLookedUp => last.number.to_string(),
            },
        },
        figure(|l| l.value),
        figure(|l| l.waiters),
        row.verdict.word().into(),
        why(&row.verdict),
    ]
}

/// One row as aligned columns, the last one as long as it is, or as the screen is wide.
fn line(
    row: &Cells,
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
