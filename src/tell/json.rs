//! The report as one JSON document, as specified by packaging/schema/report-1.schema.json. The
//! structures here are that document: changing a name requires a new `SCHEMA_VERSION`.

mod answer;
mod sets;

use crate::decide::forecast::{Failure, Forecast};
use crate::facts::error::{Error, Exit};
use crate::facts::request::Command;
use crate::facts::row::Holder;
use crate::facts::time::{WallTime, rfc3339};
use crate::facts::users::Source;
use crate::tell::log::{message, warnings};
use crate::tell::report::Report;
use answer::{Httpd, Need, Room, Shortage, TrialResult, Words};
use nix::errno::Errno;
use nix::unistd::Uid;
use serde::Serialize;
use sets::{Counts, HolderRow, One, Running, Sets, StrangerRow, looks_like, one_by_one, strangers};
use std::io::{self, Write};

/// The version of the document's format; additions do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes the document.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write_document(&Document::of(report), out)
}

/// Writes the document of a run without a result.
///
/// # Errors
/// Those of the writer.
pub fn write_error(
    error: &Error,
    command: Command,
    time: WallTime,
    out: &mut dyn Write,
) -> io::Result<()> {
    let failure = ErrorDocument {
        schema_version: SCHEMA_VERSION,
        program: PROGRAM,
        command: command_name(command),
        time: Time::of(time),
        exit: Ending::of(error.exit()),
        error: Complaint { message: error.to_string(), hint: error.hint() },
    };
    write_document(&failure, out)
}

fn write_document(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    out.write_all(b"\n")
}

/// The command as it is typed.
fn command_name(command: Command) -> &'static str {
    match command {
        Command::Guard => "guard",
        Command::Check => "check",
        Command::List => "list",
    }
}

const PROGRAM: Program =
    Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

#[derive(Serialize)]
struct Program {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct ErrorDocument {
    schema_version: u32,
    program: Program,
    command: &'static str,
    time: Time,
    exit: Ending,
    error: Complaint,
}

#[derive(Serialize)]
struct Complaint {
    message: String,
    hint: String,
}

/// A point in time, twice; there is no text for years that RFC 3339 cannot express.
#[derive(Serialize)]
struct Time {
    rfc3339: Option<String>,
    seconds: i64,
}

impl Time {
    fn of(time: WallTime) -> Time {
        Time { rfc3339: rfc3339(time), seconds: time.0 }
    }
}

#[derive(Serialize)]
struct Ending {
    code: u8,
    meaning: &'static str,
}

impl Ending {
    fn of(exit: Exit) -> Ending {
        let meaning = Exit::ALL.iter().find(|(e, _)| *e == exit).map_or("", |(_, says)| says);
        Ending { code: exit as u8, meaning }
    }
}

#[derive(Serialize)]
struct Document<'r> {
    schema_version: u32,
    program: Program,
    command: &'static str,
    time: Time,
    exit: Ending,
    dry_run: bool,
    strict: bool,
    by_root: bool,
    kernel_release: &'r str,
    users_source: &'static str,
    users: Vec<Account>,
    httpd: Httpd,
    need: Need,
    trial: TrialResult,
    forecast: Option<&'static str>,
    failure: Option<&'static str>,
    message: Option<Words>,
    warnings: Vec<String>,
    shortage: Option<Shortage>,
    table_unread: bool,
    capacity: Option<Room>,
    running: Option<Running<'r>>,
    holders: Vec<HolderRow<'r>>,
    counts: Counts,
    #[serde(serialize_with = "one_by_one")]
    sets: Sets<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_sets: Option<Vec<StrangerRow<'r>>>,
}

impl<'r> Document<'r> {
    fn of(report: &'r Report) -> Document<'r> {
        let table = report.table.as_ref();
        let account = |uid| Account::of(uid, report);
        let holder = |h: &'r Holder| HolderRow {
            owner: account(h.uid),
            looks_like: looks_like(h.maker),
            sets: h.sets,
            semaphores: h.semaphores,
            living: h.living.as_ref().map(One::of),
            unknown: h.unknown,
        };
        Document {
            schema_version: SCHEMA_VERSION,
            program: PROGRAM,
            command: command_name(report.command),
            time: Time::of(report.time),
            exit: Ending::of(report.exit()),
            dry_run: report.dry_run,
            strict: report.strict,
            by_root: report.by_root,
            kernel_release: &report.kernel,
            users_source: match report.source {
                Source::Given => "option",
                Source::Httpd => "httpd",
                Source::Account => "account",
            },
            users: report.users.iter().map(|u| account(u.uid)).collect(),
            httpd: Httpd::of(report),
            need: Need::of(report),
            trial: TrialResult::of(report.input.trial),
            forecast: report.forecast.as_ref().map(Forecast::name),
            failure: match &report.forecast {
                Some(Forecast::Fails(failure)) => Some(Failure::name(failure)),
                _ => None,
            },
            message: message(report).map(Words::of),
            warnings: warnings(report),
            shortage: report.input.shortage.as_ref().map(Shortage::of),
            table_unread: report.table_unreadable(),
            capacity: table.map(|t| Room::of(t, report)),
            running: table.and_then(|t| t.running.as_ref()).map(|r| Running {
                leader: One::of(&r.leader),
                sets_surely: r.surely,
                sets_perhaps: r.perhaps,
            }),
            holders: table.map_or_else(Vec::new, |t| t.holders.iter().map(holder).collect()),
            counts: Counts::of(table),
            sets: Sets { report, table },
            other_sets: report.view.all.then(|| strangers(table, report)),
        }
    }
}

#[derive(Serialize)]
struct Account {
    uid: u32,
    name: Option<String>,
}

impl Account {
    fn of(uid: Uid, report: &Report) -> Account {
        let name = report.names.of(uid);
        Account { uid: uid.as_raw(), name: (name != uid.to_string()).then_some(name) }
    }
}

fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}
