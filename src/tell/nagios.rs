//! The report as one line for Nagios, Icinga and similar systems, following the Monitoring Plugins'
//! guidelines: a status, text, and performance data with thresholds.

use std::io::{self, Write};

use crate::decide::forecast::Forecast;
use crate::facts::capacity::{Capacity, count};
use crate::facts::error::{Error, Exit};
use crate::facts::need::NeedSource;
use crate::facts::request::Command;
use crate::facts::table::Table;
use crate::facts::verdict::State;
use crate::tell::log::{message, unheard, warnings};
use crate::tell::report::{FILLING, Report};
use crate::tell::text;

/// The exit codes of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All is well.
    Ok = 0,
    /// Something needs attention.
    Warning = 1,
    /// httpd would not start.
    Critical = 2,
    /// There is no result.
    Unknown = 3,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Critical => "CRITICAL",
            Status::Unknown => "UNKNOWN",
        }
    }
}

impl From<Status> for std::process::ExitCode {
    fn from(status: Status) -> Self {
        std::process::ExitCode::from(status as u8)
    }
}

/// The status that follows from the report.
#[must_use]
pub fn status(report: &Report) -> Status {
    match report.exit() {
        // Only a list has no forecast by design.
        Exit::Ok if report.forecast.is_none() => Status::Unknown,
        Exit::Unavailable => Status::Critical,
        Exit::Ok if report.forecast == Some(Forecast::AtRisk) => Status::Warning,
        Exit::Ok if report.filling().is_some() || report.matters_oddly() => Status::Warning,
        Exit::Ok if report.has_trouble() => Status::Warning,
        // A configuration that httpd rejects needs attention, whatever its locks need.
        Exit::Ok if report.input.need.source == NeedSource::Unheard => Status::Warning,
        Exit::Ok => Status::Ok,
        _ => Status::Unknown,
    }
}

/// Writes the line.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut parts: Vec<String> = Vec::new();
    let message = message(report);
    let starts = message.is_none();
    match message {
        Some(message) => {
            parts.push(message.headline());
            parts.extend(message.why.into_iter().next());
            parts
                .extend(message.remedies.first().map(|remedy| format!("do: {}", remedy.in_line())));
        }
        None if report.forecast.is_none() => {}
        None => {
            let (can, rest) = text::fine(report, report.table.as_ref());
            parts.push(format!("{can}{rest}"));
        }
    }
    parts.extend(warnings(report));
    parts.extend(unheard(report));
    let orphans = report.table.as_ref().map_or(0, |t| t.orphans().count());
    if report.command == Command::Check && orphans > 0 && starts && report.forecast.is_some() {
        parts.push(format!("{orphans} orphaned: \"{}\" removes them", report.guard));
    }
    let line = line(status(report), &parts.join("; "));
    match &report.table {
        Some(table) => writeln!(out, "{line} | {}", figures(report, table).join(" ")),
        None => writeln!(out, "{line}"),
    }
}

/// Writes the line of a run without a result.
///
/// # Errors
/// Those of the writer.
pub fn write_error(error: &Error, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", line(Status::Unknown, &format!("{error}; do: {}", error.hint())))
}

/// The line without performance data. The first "|" would begin that data, and a line break the long
/// text.
#[must_use]
pub fn line(status: Status, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    format!("SEMGUARD {} - {}", status.name(), words.join(" ").replace('|', "\\u{7c}"))
}

/// "'sets'=31;409;511;0;512": value, warning above, critical above, minimum, maximum.
fn figures(report: &Report, table: &Table) -> Vec<String> {
    let Capacity { limits, usage } = table.left;
    let (required, returned) = report.input.required();
    let returned = count(returned);
    let of = |name: &str, used: i64, most: i64| {
        let critical =
            (required > 0).then(|| most.saturating_sub(required).saturating_add(returned).max(0));
        let warning = (report.input.need.at_most > 0).then(|| most.saturating_mul(FILLING) / 100);
        let shown = |threshold: Option<i64>| threshold.map_or(String::new(), |t| t.to_string());
        format!("'{name}'={used};{};{};0;{most}", shown(warning), shown(critical))
    };
    let tally = table.tally();
    vec![
        of("sets", usage.sets, limits.semmni),
        of("semaphores", usage.semaphores, limits.semmns),
        format!("'orphans'={};;;0", tally.of(State::Orphan)),
        format!("'kept'={};;;0", tally.kept()),
        format!("'free'={};;;0", table.left.room().sets),
    ]
}
