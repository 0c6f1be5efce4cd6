//! The report as metrics for Prometheus, in its text format: gauges of one run. One run cannot know
//! what a counter would need, such as all removals since the boot.

use std::io::{self, Write};

use crate::decide::forecast::Forecast;
use crate::facts::capacity::{Capacity, count};
use crate::facts::heard::{Heard, NoAnswer};
use crate::facts::request::{Command, Instance};
use crate::facts::row::{Outcome, Row};
use crate::facts::table::Table;
use crate::facts::time::WallTime;
use crate::facts::verdict::{Reason, State, Unread, Verdict};
use crate::tell::log::warnings;
use crate::tell::report::Report;

/// The possible results of asking httpd.
const ASKED: [&str; 4] = ["answered", "no_answer", "not_found", "not_asked"];

/// Why memory does not show whether a set is used: it could not be read in full, or reading it was
/// turned off.
const CAUSES: [&str; 2] = ["memory_unread", "memory_off"];

/// Writes the metrics.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut out = Exposition { out, instance: report.instance.as_ref() };
    run(report.time, true, &mut out)?;
    if let Some(table) = &report.table {
        sets(report, table, &mut out)?;
        capacity(table, &mut out)?;
    }
    out.family(
        "warnings",
        "Number of warnings in this run, which its log explains.",
        &single(count(warnings(report).len())),
    )?;
    let need = &report.input.need;
    out.family(
        "needed_sets",
        "Number of semaphore sets that httpd creates when it starts: at least, at most.",
        &[(vec![("bound", "at_least")], need.at_least), (vec![("bound", "at_most")], need.at_most)],
    )?;
    out.family(
        "httpd_asked",
        "Result of asking httpd which semaphore sets it needs: 1 for the state that applies, else 0.",
        &one_of(ASKED, asked(&report.heard)),
    )?;
    let Some(forecast) = &report.forecast else { return Ok(()) };
    out.family(
        "start_forecast",
        "Forecast for a start of httpd at this moment: 1 for the state that applies, else 0.",
        &one_of(Forecast::NAMES, forecast.name()),
    )
}

/// Writes the metrics of a run without a result.
///
/// # Errors
/// Those of the writer.
pub fn write_error(
    instance: Option<&Instance>,
    time: WallTime,
    out: &mut dyn Write,
) -> io::Result<()> {
    run(time, false, &mut Exposition { out, instance })
}

fn asked(heard: &Heard) -> &'static str {
    match heard {
        Heard::Answered(_) => "answered",
        Heard::Refused(NoAnswer::NotFound) => "not_found",
        Heard::Refused(_) => "no_answer",
        Heard::NotAsked => "not_asked",
    }
}

fn undecided_for(row: &Row) -> Option<&'static str> {
    match row.verdict {
        Verdict::Ask | Verdict::Keep(Reason::MayBeKnownTo(_, Unread::Part(_))) => Some(CAUSES[0]),
        Verdict::Keep(Reason::MayBeKnownTo(_, Unread::Off)) => Some(CAUSES[1]),
        Verdict::Keep(_) | Verdict::Orphan => None,
    }
}

fn run(time: WallTime, answered: bool, out: &mut Exposition) -> io::Result<()> {
    out.family(
        "build_info",
        "Version of httpd-semguard; the value is always 1.",
        &[(vec![("version", env!("CARGO_PKG_VERSION"))], 1)],
    )?;
    out.family(
        "last_run_timestamp_seconds",
        "Unix time of the run that wrote these metrics.",
        &single(time.0),
    )?;
    out.family(
        "last_run_success",
        "Whether that run reached an answer (1) or failed (0).",
        &single(answered.into()),
    )
}

fn sets(report: &Report, table: &Table, out: &mut Exposition) -> io::Result<()> {
    // By name, once each: two UIDs may have the same name, but two series must not have the same
    // labels. A user without sets gets zeros, so that a graph does not break off.
    let mut owners: Vec<String> = Vec::new();
    for owner in report.users.iter().map(|u| report.names.of(u.uid)) {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    let is_of = |uid, owner: &str| report.names.of(uid) == *owner;
    let tallies = table.tallies();
    let of_owner = |owner: &str, state| -> usize {
        let own = tallies.iter().filter(|(uid, _)| is_of(*uid, owner));
        own.map(|(_, tally)| tally.of(state)).sum()
    };
    let mut series = Vec::new();
    for owner in &owners {
        for state in State::ALL {
            let labels = vec![("owner", owner.as_str()), ("state", state.name())];
            series.push((labels, count(of_owner(owner, state))));
        }
    }
    out.family(
        "semaphore_sets",
        "Number of semaphore sets that belong to the guarded users, by owner and verdict.",
        &series,
    )?;
    let mut series = Vec::new();
    for owner in &owners {
        for cause in CAUSES {
            let rows = table.rows.iter().filter(|row| is_of(row.set.uid, owner));
            let number = rows.filter(|row| undecided_for(row) == Some(cause)).count();
            series.push((vec![("owner", owner.as_str()), ("cause", cause)], count(number)));
        }
    }
    out.family(
        "undecided_sets",
        "Number of semaphore sets that stay undecided, by owner and cause.",
        &series,
    )?;
    out.family(
        "unreadable_sets",
        "Number of semaphore sets that this run was not allowed to look at.",
        &single(count(table.unseen())),
    )?;
    if report.command != Command::Guard {
        return Ok(());
    }
    let of_owner = |owner: &str, is: fn(&Row) -> bool| {
        let own = table.orphans().filter(|row| is_of(row.set.uid, owner));
        own.filter(|row| is(row)).count()
    };
    let series = |is| -> Vec<Series> {
        let of = |owner: &String| count(of_owner(owner, is));
        owners.iter().map(|owner| (vec![("owner", owner.as_str())], of(owner))).collect()
    };
    let removed = series(|row| row.outcome == Some(Outcome::Removed));
    out.family(
        "removed_sets",
        "Number of orphaned semaphore sets that this run removed.",
        &removed,
    )?;
    let refused = series(|row| matches!(row.outcome, Some(Outcome::Refused(_))));
    out.family(
        "refused_sets",
        "Number of orphaned semaphore sets that this run could not remove.",
        &refused,
    )
}

fn capacity(table: &Table, out: &mut Exposition) -> io::Result<()> {
    let Capacity { limits, usage } = table.left;
    let limits = [
        ("semmsl", limits.semmsl),
        ("semmns", limits.semmns),
        ("semopm", limits.semopm),
        ("semmni", limits.semmni),
    ];
    out.family(
        "limit",
        "Limits from kernel.sem: semaphores per set, in total, operations per call, sets in total.",
        &limits.map(|(name, value)| (vec![("name", name)], value)),
    )?;
    let used = [("semmns", usage.semaphores), ("semmni", usage.sets)];
    out.family(
        "used",
        "Semaphores and semaphore sets in use in this IPC namespace, whoever owns them.",
        &used.map(|(name, value)| (vec![("name", name)], value)),
    )?;
    out.family(
        "free_sets",
        "Number of semaphore sets, of one semaphore each, that can still be created.",
        &single(table.left.room().sets),
    )
}

/// The labels of a series, and its value.
type Series<'a> = (Vec<(&'a str, &'a str)>, i64);

/// Where the metrics go, and the label that all their series have: each of several instances writes a
/// file of its own, and node_exporter accepts a series from one file only.
struct Exposition<'a> {
    out: &'a mut dyn Write,
    instance: Option<&'a Instance>,
}

impl Exposition<'_> {
    /// One metric with all its series.
    fn family(&mut self, name: &str, help: &str, series: &[Series]) -> io::Result<()> {
        let name = format!("httpd_semguard_{name}");
        writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} gauge")?;
        for (labels, value) in series {
            let instance = self.instance.map(|i| ("httpd", i.name()));
            let labels: Vec<String> =
                instance.iter().chain(labels).map(|(name, value)| pair(name, value)).collect();
            match labels.join(",") {
                labels if labels.is_empty() => writeln!(self.out, "{name} {value}")?,
                labels => writeln!(self.out, "{name}{{{labels}}} {value}")?,
            }
        }
        Ok(())
    }
}

/// A series without labels.
fn single(value: i64) -> [Series<'static>; 1] {
    [(Vec::new(), value)]
}

/// A series for each state: 1 for the one that applies, 0 for the others.
fn one_of<const N: usize>(states: [&'static str; N], is: &str) -> [Series<'static>; N] {
    states.map(|state| (vec![("state", state)], i64::from(state == is)))
}

/// A label with its value, in which backslashes, quotes and line breaks are escaped.
fn pair(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_contain_any_name() {
        assert_eq!(pair("owner", "a\"b\\c\nd"), "owner=\"a\\\"b\\\\c\\nd\"");
    }
}
