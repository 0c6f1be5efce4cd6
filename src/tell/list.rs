//! The sets as a table for people, similar to lsipc(1), with the totals of `ipcs -us`.

use std::io::{self, Write};

use anstyle::Style;

use crate::decide::maker;
use crate::facts::capacity::count;
use crate::facts::evidence::{Lock, Who};
use crate::facts::need::sets;
use crate::facts::request::SortKey;
use crate::facts::row::Row;
use crate::facts::set::SemId;
use crate::facts::table::Table;
use crate::facts::time::age;
use crate::facts::verdict::State;
use crate::tell::report::Report;
use crate::tell::screen::{BAD, DOUBTFUL, GOOD, HEADING, QUIET, Screen, width};
use crate::tell::words::why;

const COLUMNS: usize = 9;
const HEADER: [&str; COLUMNS] =
    ["SEMID", "OWNER", "CREATOR", "AGE", "LASTPID", "VALUE", "WAITERS", "VERDICT", "WHY"];
/// Columns of numbers, which are right-aligned.
const NUMBERS: [usize; 3] = [0, 5, 6];
const VERDICT: usize = 7;
const WHY: usize = 8;
/// Columns that are left out on a narrow screen: `--explain` and JSON have them.
const SPARE: [usize; 3] = [2, 5, 6];
/// The minimum width of the WHY column.
const LEAST_WHY: usize = 24;
/// The indent of WHY on a line of its own, on an even narrower screen.
const OWN_LINE: usize = 4;

type Cells = [String; COLUMNS];

/// Which columns are shown, and how wide they are.
struct Layout {
    widths: [usize; COLUMNS],
    shown: Vec<usize>,
    /// The column where WHY begins; `None` if it has a line of its own.
    why: Option<usize>,
}

impl Layout {
    /// All columns, or as many as fit on the screen.
    fn new(widths: [usize; COLUMNS], screen: &Screen) -> Layout {
        let before_why = |columns: &[usize]| columns.iter().map(|c| widths[*c] + 2).sum::<usize>();
        let fits = |columns: &[usize]| {
            screen.width.is_none_or(|width| before_why(columns) + LEAST_WHY <= width)
        };
        let mut shown: Vec<usize> = (0..WHY).collect();
        if !fits(&shown) {
            shown.retain(|column| !SPARE.contains(column));
        }
        let why = fits(&shown).then(|| before_why(&shown));
        Layout { widths, shown, why }
    }
}

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
    // Other users' sets are sorted in among them.
    let (key, strangers) = (report.view.sort, &table.strangers);
    let mut all: Vec<(&Row, bool)> = shown.iter().map(|row| (*row, true)).collect();
    all.extend(strangers.iter().map(|row| (row, false)));
    all.sort_by_key(|(row, is_judged)| (!is_judged && key == SortKey::Verdict, place(row, key)));
    // Built twice, once for the widths: 32,768 rows at once would take many megabytes.
    let mut widths = HEADER.map(width);
    for (row, is_judged) in &all {
        for (widest, cell) in widths.iter_mut().zip(cells(row, *is_judged, report, table)) {
            *widest = (*widest).max(width(&cell));
        }
    }
    let layout = Layout::new(widths, screen);
    if !all.is_empty() {
        line(&HEADER.map(str::to_owned), &layout, |_| HEADING, screen, out)?;
    }
    for (row, is_judged) in &all {
        let style = match row.verdict.state() {
            _ if !is_judged => QUIET,
            State::Orphan => DOUBTFUL,
            State::InUse => GOOD,
            State::Unknown => BAD,
            State::Undecided | State::NotHttpd => QUIET,
        };
        let style = |column| if column == VERDICT { style } else { Style::new() };
        line(&cells(row, *is_judged, report, table), &layout, style, screen, out)?;
    }
    let u = &table.found.usage;
    let totals = format!(
        "{} of the guarded users, {} orphaned; in use in all: {} of {} sets, {} of {} semaphores",
        sets(count(table.rows.len())),
        table.orphans().count(),
        u.sets,
        table.found.limits.semmni,
        u.semaphores,
        table.found.limits.semmns,
    );
    writeln!(out, "{}", screen.wrap(&totals, 0, 2))
}

/// The requested sets, in the requested order.
#[must_use]
pub fn shown<'t>(report: &Report, table: &'t Table) -> Vec<&'t Row> {
    let view = &report.view;
    let mut shown: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| row.is_orphan() || !view.orphans)
        .filter(|row| view.explain.is_none_or(|id| row.set.id == id))
        .collect();
    shown.sort_unstable_by_key(|row| place(row, view.sort));
    shown
}

/// The position of a set in this order.
fn place(row: &Row, sort: SortKey) -> (i64, SemId) {
    let first = match sort {
        SortKey::Semid => 0,
        SortKey::Owner => i64::from(row.set.uid.as_raw()),
        SortKey::Age => row.set.ctime.0,
        SortKey::Pid => i64::from(row.evidence.last().map_or(-1, |last| last.number)),
        SortKey::Verdict => row.verdict.state() as i64,
    };
    (first, row.set.id)
}

fn cells(row: &Row, is_judged: bool, report: &Report, table: &Table) -> Cells {
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
        if is_judged { row.verdict.word().into() } else { "-".into() },
        if is_judged { why_and_whose(row) } else { not_guarded(row) },
    ]
}

/// The reason for a verdict; for a set that is not httpd's, also whose it seems to be.
fn why_and_whose(row: &Row) -> String {
    let why = why(&row.verdict);
    let is_foreign = row.verdict.state() == State::NotHttpd;
    match maker::seems(maker::maker(&row.set)).filter(|_| is_foreign) {
        Some(seems) => format!("{why}; {seems}"),
        None => why,
    }
}

/// Why a set has no verdict.
fn not_guarded(row: &Row) -> String {
    let user = if row.set.uid.is_root() { "root's sets are never removed" } else { "not guarded" };
    match maker::seems(maker::maker(&row.set)) {
        Some(seems) => format!("{user}: {seems}"),
        None => user.to_owned(),
    }
}

/// One row as aligned columns, with WHY wrapped at the width of the screen.
fn line(
    row: &Cells,
    layout: &Layout,
    style: impl Fn(usize) -> Style,
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let last = layout.shown.last().copied();
    for column in &layout.shown {
        let cell = &row[*column];
        let blank = " ".repeat(layout.widths[*column] - width(cell));
        let cell = screen.paint(style(*column), cell);
        match NUMBERS.contains(column) {
            true => write!(out, "{blank}{cell}  ")?,
            false if layout.why.is_none() && last == Some(*column) => write!(out, "{cell}")?,
            false => write!(out, "{cell}{blank}  ")?,
        }
    }
    let (start, before) = match layout.why {
        Some(start) => (start, String::new()),
        None => (OWN_LINE, format!("\n{}", " ".repeat(OWN_LINE))),
    };
    let why = screen.paint(style(WHY), &screen.wrap(&row[WHY], start, start));
    writeln!(out, "{before}{why}")
}
