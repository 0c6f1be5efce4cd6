//! The report for people: one line when all is well, three parts when it is not, a table for
//! `list`. Returns text; the caller writes it.

use std::fmt::Write;

use log::Level;

use super::{Report, Table};
use crate::capacity::{self, Capacity};
use crate::cli::Command;
use crate::clock::age;
use crate::forecast::{Forecast, NeedSource, sets};
use crate::httpd::demand::Row;
use crate::httpd::dump::Mechanism;
use crate::message::{self, Message, Situation};
use crate::reap::Fate;
use crate::survey::{Holder, Judged};
use crate::trial::Trial;
use crate::users::Names;
use crate::verdict::{Reason, Verdict};

/// A text report: what goes to standard output, and what must reach the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// For standard output; ends with a newline unless empty.
    pub out: String,
    /// For the log, each with its level.
    pub log: Vec<(Level, String)>,
}

/// The report in words.
#[must_use]
pub fn render(report: &Report) -> Text {
    let mut text = Text::default();
    let names = Names::default();
    if let Some(reason) = &report.no_answer {
        let assumed = match report.command {
            Command::List => String::new(),
            _ => format!("; taking it to need {}", report.need),
        };
        text.log.push((Level::Warn, format!("httpd was not heard: {reason}{assumed}")));
    }
    let Some(table) = &report.table else {
        if report.command == Command::List {
            text.out = "this kernel has no System V semaphores\n".into();
        } else {
            answer(&mut text, report, None, "");
        }
        return text;
    };
    details(&mut text, report, table, &names);
    if report.command == Command::List {
        text.out = list(table, &names);
    } else {
        let holders = holders(&table.holders, &names);
        answer(&mut text, report, Some(table), &holders);
        text.log.extend(doubt(table).map(|warning| (Level::Warn, warning)));
    }
    let refused = table.refused();
    if refused > 0 {
        text.log.push((
            Level::Warn,
            format!(
                "{} of the guarded users could not be looked at, and stay: run as root or as \
                 their owner",
                sets(count(refused))
            ),
        ));
    }
    text
}

fn answer(text: &mut Text, report: &Report, table: Option<&Table>, holders: &str) {
    let situation = situation(report, table, holders);
    match &report.forecast {
        Forecast::Fails(failure) => {
            text.log.push((Level::Error, join(&message::words(failure, &situation))));
        }
        Forecast::AtRisk => {
            let level = if report.strict { Level::Error } else { Level::Warn };
            text.log.push((level, join(&message::at_risk(&situation))));
        }
        Forecast::Starts => {
            if let Some((odd, sem)) =
                table.and_then(|t| Some((capacity::oddity(&t.after.limits)?, t.after.limits)))
            {
                text.log.push((Level::Warn, format!("kernel.sem is \"{sem}\": {odd}")));
            }
            if let Some(warning) = table.and_then(|t| last_places(report, t)) {
                text.log.push((Level::Warn, warning));
            }
            text.out = fine(report, table);
        }
    }
    let orphans = table.map_or(0, |t| t.orphans().count());
    if let (Command::Check, Some(table), 1..) = (report.command, table, orphans) {
        let then = table.before.without(orphans).room().sets;
        let _ = writeln!(
            text.out,
            "httpd-semguard guard would remove {} that a dead httpd left: {} could be made then",
            sets(count(orphans)),
            sets(then)
        );
    }
}

/// The one line of a good day.
fn fine(report: &Report, table: Option<&Table>) -> String {
    let mut line = String::from("httpd can start: ");
    if report.need.source == NeedSource::Unheard {
        line = "httpd's accept lock can be made; what more it needs is not known".into();
    } else if report.need.at_most == 0 {
        line.push_str("it makes no System V semaphore set");
    } else {
        let _ = write!(line, "it needs {}", report.need);
    }
    let Some(table) = table else {
        line.push_str("; this kernel has none\n");
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
    let kept = table.judged.iter().filter(|j| !j.is_orphan()).count();
    if kept > 0 {
        let _ = write!(line, "; {kept} kept");
        if let Some((undecided, who)) = undecided(table) {
            let _ = write!(line, " ({undecided} undecided while {who} lives)");
        }
    }
    line.push('\n');
    line
}

/// The number of sets that the binding limit allows in all.
fn size(capacity: &Capacity) -> i64 {
    capacity.limits.semmni.min(capacity.limits.semmns)
}

fn orphaned(n: usize) -> String {
    format!("{n} orphaned set{}", if n == 1 { "" } else { "s" })
}

/// With `-v`: how the answer was found.
fn details(text: &mut Text, report: &Report, table: &Table, names: &Names) {
    let mut say = |line: String| text.log.push((Level::Debug, line));
    if report.command != Command::List {
        for j in table.judged.iter().filter(|j| !j.is_orphan()) {
            say(format!("keeps set {} of {}: {}", j.set.id, names.of(j.set.uid), why(j)));
        }
        say(format!("need: {}", report.need));
        for row in report.demand.iter().flat_map(|d| &d.rows) {
            say(format!("need: {}", demanded(row)));
        }
        say(match report.trial {
            Trial::Passed => "trial: a set could be made and removed".into(),
            Trial::Refused(call, e) => format!("trial: {call} says {e:?}"),
            Trial::Disturbed => {
                "trial: another program holds or took its key; nothing was learnt".into()
            }
            Trial::Skipped(reason) => format!("trial: none, {reason}"),
        });
    }
}

/// "proxy: 1 by sysvsem (mod_proxy)".
fn demanded(row: &Row) -> String {
    let number = if row.least == row.most {
        row.most.to_string()
    } else {
        format!("{} to {}", row.least, row.most)
    };
    let mechanism = row.mechanism.map_or("an unknown mechanism", Mechanism::name);
    format!("{}: {number} by {mechanism} ({})", row.mutex, row.cause)
}

fn situation<'a>(report: &'a Report, table: Option<&'a Table>, holders: &'a str) -> Situation<'a> {
    Situation {
        capacity: table.map(|t| &t.after),
        need: &report.need,
        demand: report.demand.as_ref(),
        running: table.and_then(|t| t.running.as_ref()),
        shortage: report.shortage.as_ref(),
        min_free: report.min_free,
        holders,
        removable: match (report.command, table) {
            (Command::Check, Some(t)) => t.orphans().count(),
            _ => 0,
        },
        undecided: table.and_then(undecided),
    }
}

/// Sets that stay for want of sight, not because anybody is known to use them.
fn doubt(table: &Table) -> Option<String> {
    let blind = |j: &&Judged| {
        let unseen = matches!(j.verdict, Verdict::Keep(Reason::Blind(_) | Reason::Unseen));
        unseen && !j.is_refused()
    };
    let mut blind = table.judged.iter().filter(blind);
    let first = blind.next()?;
    Some(format!("keeps {}: {}", sets(count(1 + blind.count())), why(first)))
}

/// What is to be said before undecided sets fill the table: this start is fine, and if its httpd is
/// killed the next one is not.
fn last_places(report: &Report, table: &Table) -> Option<String> {
    let (count, who) = undecided(table)?;
    let left = table.after.room().sets - report.need.at_most;
    let starts = report.command == Command::Guard && table.running.is_none();
    (starts && left < report.need.at_least).then(|| {
        format!(
            "the next start is at risk: after this one {} can be made, and {count} stay undecided \
             while {who} lives: they go at a start with no httpd alive; or raise kernel.sem",
            sets(left.max(0))
        )
    })
}

/// How many sets stay only because a living process may know them, and the first of those.
fn undecided(table: &Table) -> Option<(usize, String)> {
    let mut of = table.judged.iter().filter_map(|j| match &j.verdict {
        Verdict::Keep(Reason::MayBelongToHttpd(p) | Reason::MayBelongTo(p)) => Some(p),
        _ => None,
    });
    let first = of.next()?;
    Some((1 + of.count(), first.to_string()))
}

fn join(message: &Message) -> String {
    message.lines().join("\n")
}

/// "postgres 14 (living, postgres 811), apache 2, root 1".
fn holders(holders: &[Holder], names: &Names) -> String {
    let words: Vec<String> = holders
        .iter()
        .map(|h| {
            let name = names.of(h.uid);
            match &h.living {
                Some(p) => format!("{name} {} (living, {p})", h.sets),
                None if h.unknown => format!("{name} {} (cannot be looked at)", h.sets),
                None => format!("{name} {}", h.sets),
            }
        })
        .collect();
    words.join(", ")
}

/// The reason of a verdict in words.
fn why(j: &Judged) -> String {
    match &j.verdict {
        Verdict::Orphan => "nobody who lives can know it".into(),
        Verdict::Keep(reason) => reason.to_string(),
    }
}

/// The table of `list`, and its totals, which are those of `ipcs -us`.
fn list(table: &Table, names: &Names) -> String {
    let header =
        ["semid", "owner", "creator", "age", "last pid", "value", "waiters", "verdict", "why"];
    let mut rows: Vec<[String; 9]> = vec![header.map(str::to_owned)];
    for j in &table.judged {
        let probe = j.evidence.probe.ok();
        let figure =
            |f: fn(crate::verdict::Probe) -> i32| probe.map_or("?".into(), |p| f(p).to_string());
        rows.push([
            j.set.id.to_string(),
            names.of(j.set.uid),
            names.of(j.set.cuid),
            age(table.world.clock.now.0 - j.set.ctime.0),
            match (&j.last, probe) {
                (Some(p), _) => format!("{} {}", p.pid, p.name),
                (None, Some(p)) if p.last_pid == 0 => "none seen".into(),
                (None, Some(p)) => format!("{} (dead)", p.last_pid),
                (None, None) => "?".into(),
            },
            figure(|p| p.value),
            figure(|p| p.waiters),
            if j.is_orphan() { "orphan" } else { "keep" }.into(),
            why(j),
        ]);
    }
    let mut out = columns(&rows);
    let u = &table.before.usage;
    let _ = writeln!(
        out,
        "{} of the guarded users, {} orphaned; in all {} of {} sets and {} of {} semaphores in use",
        sets(count(table.judged.len())),
        table.orphans().count(),
        u.sets,
        table.before.limits.semmni,
        u.semaphores,
        table.before.limits.semmns,
    );
    out
}

/// Rows as aligned columns; numbers to the right, the last column as long as it is.
fn columns(rows: &[[String; 9]]) -> String {
    const RIGHT: [usize; 3] = [0, 5, 6];
    let mut widths = [0; 9];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            let width = widths[i];
            let _ = match i {
                8 => write!(out, "{cell}"),
                _ if RIGHT.contains(&i) => write!(out, "{cell:>width$}  "),
                _ => write!(out, "{cell:<width$}  "),
            };
        }
        out.push('\n');
    }
    out
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
