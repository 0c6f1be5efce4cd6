//! What must reach the log, whatever format the report is written in: what fails, what is in
//! doubt, what deserves attention; with `-v`, how the answer was found.

use log::Level;

use crate::decide::forecast::{Failure, Forecast};
use crate::decide::message;
use crate::decide::message::{Message, Situation};
use crate::facts::mutex::Mechanism;
use crate::facts::mutex::Row;
use crate::facts::need::sets;
use crate::facts::request::Command;
use crate::facts::row::{Holder, Judged};
use crate::facts::trial::Trial;
use crate::facts::verdict::{Reason, Verdict};
use crate::tell::report::{Filling, Report, Table};

/// How many owners are named of those who hold the table.
const MOST_HOLDERS: usize = 6;

/// The entries for the log, each with its level; a message of several lines is one of them.
#[must_use]
pub fn lines(report: &Report, verbose: bool) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    if let Some(reason) = unheard(report) {
        let assumed = match report.command {
            Command::List => String::new(),
            _ => format!("; taking it to need {}", report.need),
        };
        lines.push((Level::Warn, format!("{reason}{assumed}")));
    }
    if let (true, Some(table)) = (verbose, &report.table) {
        lines.extend(details(report, table));
    }
    if let Some(message) = message(report) {
        let level = match report.forecast {
            Some(Forecast::AtRisk) if !report.strict => Level::Warn,
            _ => Level::Error,
        };
        lines.push((level, message.lines().join("\n")));
    }
    lines.extend(warnings(report).into_iter().map(|warning| (Level::Warn, warning)));
    lines
}

/// The message of a start that fails or is at risk.
#[must_use]
pub fn message(report: &Report) -> Option<Message> {
    let table = report.table.as_ref();
    let holders = table.map_or_else(String::new, |t| holders(&t.holders, report));
    let situation = Situation {
        capacity: table.map(|t| &t.after),
        need: &report.need,
        demand: report.demand.as_ref(),
        running: table.and_then(|t| t.running.as_ref()),
        shortage: report.shortage.as_ref(),
        min_free: report.min_free,
        trial: report.trial,
        holders: &holders,
        removable: match (report.command, table) {
            (Command::Check, Some(t)) => t.orphans().count(),
            _ => 0,
        },
        undecided: table.and_then(Table::undecided),
    };
    match report.forecast.as_ref()? {
        Forecast::Fails(failure) => Some(message::words(failure, &situation)),
        Forecast::AtRisk => Some(message::at_risk(&situation)),
        Forecast::Starts => None,
    }
}

/// Why httpd gave no answer, unless that is the very thing that the forecast says.
#[must_use]
pub fn unheard(report: &Report) -> Option<String> {
    let said = matches!(report.forecast, Some(Forecast::Fails(Failure::MutexDirectory(_))));
    let reason = report.no_answer.as_ref().filter(|_| !said)?;
    Some(format!("httpd was not heard: {reason}"))
}

/// What deserves attention beside the forecast.
#[must_use]
pub fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(table) = &report.table else { return warnings };
    if report.forecast == Some(Forecast::Starts) {
        if let Some(odd) = report.oddity().filter(|_| report.matters_oddly()) {
            warnings.push(format!("kernel.sem is \"{}\": {odd}", table.after.limits));
        }
        warnings.extend(report.filling().map(filling));
        warnings.extend(last_places(report, table));
    }
    if report.forecast.is_some() {
        warnings.extend(doubt(table));
    }
    let refused = table.refused();
    if refused > 0 {
        warnings.push(format!(
            "{} of the guarded users could not be looked at, and stay: run as root or as their \
             owner",
            sets(count(refused))
        ));
    }
    if table.unreadable > 0 {
        warnings.push(format!(
            "{} could not be read, and whose they are is not known: run as root",
            sets(count(table.unreadable))
        ));
    }
    warnings
}

/// With `-v`: how the answer was found.
fn details(report: &Report, table: &Table) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    if report.forecast.is_none() {
        return lines;
    }
    let mut say = |line: String| lines.push((Level::Debug, line));
    for j in table.judged.iter().filter(|j| !j.is_orphan()) {
        say(format!("keeps set {} of {}: {}", j.set.id, report.user(j.set.uid), why(j)));
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
    lines
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

/// A limit that will soon be reached.
fn filling(f: Filling) -> String {
    let what = match f.limit {
        crate::facts::capacity::Limit::Semmns => "semaphores in all sets",
        _ => "semaphore sets",
    };
    let percent = f.used.saturating_mul(100) / f.most.max(1);
    format!(
        "the table is filling: {} of {} {what} are in use ({percent} %, {}): ipcs -s shows whose, \
         sysctl kernel.sem the limits",
        f.used, f.most, f.limit
    )
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
    let (count, who) = table.undecided()?;
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

/// "14 of postgres (26), used by postgres 811; 1 of root (0)".
fn holders(holders: &[Holder], report: &Report) -> String {
    let words = holders.iter().take(MOST_HOLDERS).map(|h| {
        let owner = report.user(h.uid);
        match &h.living {
            Some(p) => format!("{} of {owner}, used by {p}", h.sets),
            None if h.unknown => format!("{} of {owner}, who cannot be looked at", h.sets),
            None => format!("{} of {owner}", h.sets),
        }
    });
    let mut words: Vec<String> = words.collect();
    if holders.len() > MOST_HOLDERS {
        words.push(format!("and {} more owners", holders.len() - MOST_HOLDERS));
    }
    words.join("; ")
}

/// The reason of a verdict in words.
#[must_use]
pub fn why(j: &Judged) -> String {
    match &j.verdict {
        Verdict::Orphan => "nobody who lives can know it".into(),
        Verdict::Keep(reason) => reason.to_string(),
    }
}

/// A number of things as a signed figure, like all others.
#[must_use]
pub fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
