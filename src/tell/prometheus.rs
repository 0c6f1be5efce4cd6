//! The report as metrics for Prometheus, in its text format: gauges of one run. What a counter
//! would need, such as all removals since the boot, one run cannot know.

use std::io::{self, Write};

use crate::decide::forecast::Forecast;
use crate::facts::capacity::{Capacity, count};
use crate::facts::request::Command;
use crate::facts::row::{Outcome, Row};
use crate::facts::table::Table;
use crate::facts::time::WallTime;
use crate::facts::verdict::State;
use crate::tell::log::warnings;
use crate::tell::report::Report;

/// Writes the metrics.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    run(report.time, true, out)?;
    if let Some(table) = &report.table {
        sets(report, table, out)?;
        capacity(table, out)?;
    }
    family(
        "warnings",
        "Things that deserve attention beside the forecast: the log names them.",
        &single(count(warnings(report).len())),
        out,
    )?;
    let need = &report.input.need;
    family(
        "needed_sets",
        "Semaphore sets that httpd makes when it starts, at least and at most.",
        &[(label("bound", "at_least"), need.at_least), (label("bound", "at_most"), need.at_most)],
        out,
    )?;
    family(
        "httpd_answered",
        "1 if httpd said what it will make, 0 if it was not asked or gave no answer.",
        &single(report.heard.answer().is_some().into()),
        out,
    )?;
    let Some(forecast) = &report.forecast else { return Ok(()) };
    let is = Forecast::NAMES.map(|name| (label("state", name), i64::from(name == forecast.name())));
    family(
        "start_forecast",
        "1 for what would happen to httpd's locks if it were started now, 0 for the others.",
        &is,
        out,
    )
}

/// Writes the metrics of a run that found no answer.
///
/// # Errors
/// Those of the writer.
pub fn write_error(time: WallTime, out: &mut dyn Write) -> io::Result<()> {
    run(time, false, out)
}

fn run(time: WallTime, answered: bool, out: &mut dyn Write) -> io::Result<()> {
    family(
        "build_info",
        "1, with the version of httpd-semguard.",
        &[(label("version", env!("CARGO_PKG_VERSION")), 1)],
        out,
    )?;
    family("last_run_timestamp_seconds", "When these figures were taken.", &single(time.0), out)?;
    family(
        "last_run_success",
        "1 if that run found an answer, 0 if it could not look.",
        &single(answered.into()),
        out,
    )
}

fn sets(report: &Report, table: &Table, out: &mut dyn Write) -> io::Result<()> {
    // By name, once each: two numbers may bear one name, and two series must not bear one label. A
    // user without a set has its zeros, so that a graph does not break off.
    let mut owners: Vec<String> = Vec::new();
    for owner in report.users.iter().map(|u| report.names.of(u.uid)) {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    let is_of = |uid, owner: &String| report.names.of(uid) == *owner;
    let tallies = table.tallies();
    let of_owner = |owner: &String, state| -> usize {
        let own = tallies.iter().filter(|(uid, _)| is_of(*uid, owner));
        own.map(|(_, tally)| tally.of(state)).sum()
    };
    let mut series = Vec::new();
    for owner in &owners {
        for state in State::ALL {
            let labels = format!("{},{}", pair("owner", owner), pair("state", state.name()));
            series.push((format!("{{{labels}}}"), count(of_owner(owner, state))));
        }
    }
    family(
        "semaphore_sets",
        "Semaphore sets of the guarded users, by owner and by what is known of them.",
        &series,
        out,
    )?;
    family(
        "unreadable_sets",
        "Sets that this run was not allowed to look at.",
        &single(count(table.unseen())),
        out,
    )?;
    if report.command != Command::Guard {
        return Ok(());
    }
    let of_owner = |owner: &String, is: fn(&Row) -> bool| {
        let own = table.orphans().filter(|row| is_of(row.set.uid, owner));
        own.filter(|row| is(row)).count()
    };
    let series = |is| -> Vec<(String, i64)> {
        owners.iter().map(|owner| (label("owner", owner), count(of_owner(owner, is)))).collect()
    };
    let removed = series(|row| row.outcome == Some(Outcome::Removed));
    family("removed_sets", "Orphaned sets that this run removed.", &removed, out)?;
    let refused = series(|row| matches!(row.outcome, Some(Outcome::Refused(_))));
    family("refused_sets", "Orphaned sets that this run could not remove.", &refused, out)
}

fn capacity(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let Capacity { limits, usage } = table.left;
    let limits = [
        ("semmsl", limits.semmsl),
        ("semmns", limits.semmns),
        ("semopm", limits.semopm),
        ("semmni", limits.semmni),
    ];
    family(
        "limit",
        "The limits of kernel.sem: semaphores in a set, in all sets, operations, sets.",
        &limits.map(|(name, value)| (label("name", name), value)),
        out,
    )?;
    let used = [("semmns", usage.semaphores), ("semmni", usage.sets)];
    family(
        "used",
        "What is in use of them in this IPC namespace, by whomever.",
        &used.map(|(name, value)| (label("name", name), value)),
        out,
    )?;
    family(
        "free_sets",
        "Sets of one semaphore that can still be made.",
        &single(table.left.room().sets),
        out,
    )
}

/// One metric with all its series: their labels, and their values.
fn family(name: &str, help: &str, series: &[(String, i64)], out: &mut dyn Write) -> io::Result<()> {
    let name = format!("httpd_semguard_{name}");
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")?;
    for (labels, value) in series {
        writeln!(out, "{name}{labels} {value}")?;
    }
    Ok(())
}

/// A series without labels.
fn single(value: i64) -> [(String, i64); 1] {
    [(String::new(), value)]
}

fn label(name: &str, value: &str) -> String {
    format!("{{{}}}", pair(name, value))
}

/// A label with its value, in which backslash, quote and line break are escaped.
fn pair(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_name() {
        assert_eq!(label("owner", "a\"b\\c\nd"), "{owner=\"a\\\"b\\\\c\\nd\"}");
    }
}
