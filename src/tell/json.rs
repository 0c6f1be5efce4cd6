//! The report as one JSON document, of the form that packaging/schema/report-1.schema.json lays
//! down. The structures here are that form: a name that changes is a new `SCHEMA_VERSION`.

use std::io::{self, Write};

use nix::errno::Errno;
use nix::unistd::Uid;
use serde::{Serialize, Serializer};

use crate::decide::forecast::{Failure, Forecast};
use crate::facts::capacity::{Capacity, Limit};
use crate::facts::error::{Error, Exit};
use crate::facts::evidence::{Probe, Who};
use crate::facts::message::Message;
use crate::facts::mutex::{self, Mechanism};
use crate::facts::need::NeedSource;
use crate::facts::printable::printable;
use crate::facts::process::Named;
use crate::facts::request::Command;
use crate::facts::row::{Holder, Outcome, Row};
use crate::facts::table::Table;
use crate::facts::time::{WallTime, rfc3339};
use crate::facts::trial::Trial;
use crate::facts::users::Source;
use crate::facts::verdict::{Reason, State, Verdict};
use crate::tell::log::{message, warnings};
use crate::tell::report::Report;
use crate::tell::words::why;
use crate::tell::{explain, list};

/// The version of the document's form; additions leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes the document.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write_document(&Document::of(report), out)
}

/// Writes the document of a run that found no answer.
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

/// The words of the command line.
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

/// A moment, twice; no text for years that RFC 3339 cannot write.
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
}

impl<'r> Document<'r> {
    fn of(report: &'r Report) -> Document<'r> {
        let table = report.table.as_ref();
        let account = |uid| Account::of(uid, report);
        let holder = |h: &'r Holder| HolderRow {
            owner: account(h.uid),
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

/// What httpd was asked; neither control program nor error: it was not asked.
#[derive(Serialize)]
struct Httpd {
    control: Option<String>,
    error: Option<String>,
    mutexes: Option<Vec<Mutex>>,
}

impl Httpd {
    fn of(report: &Report) -> Httpd {
        let heard = &report.heard;
        Httpd {
            control: heard.control().map(|path| printable(&path.to_string_lossy())),
            error: heard.no_answer().map(ToString::to_string),
            mutexes: heard.demand().map(|d| d.rows.iter().map(Mutex::of).collect()),
        }
    }
}

#[derive(Serialize)]
struct Mutex {
    mutex: String,
    mechanism: Option<&'static str>,
    at_least: u32,
    at_most: u32,
    cause: String,
}

impl Mutex {
    fn of(row: &mutex::Row) -> Mutex {
        Mutex {
            mutex: row.mutex.clone(),
            mechanism: row.mechanism.map(Mechanism::name),
            at_least: row.least,
            at_most: row.most,
            cause: row.cause.clone(),
        }
    }
}

#[derive(Serialize)]
struct Need {
    at_least: i64,
    at_most: i64,
    source: &'static str,
    min_free: i64,
}

impl Need {
    fn of(report: &Report) -> Need {
        Need {
            at_least: report.input.need.at_least,
            at_most: report.input.need.at_most,
            source: match report.input.need.source {
                NeedSource::Assumed => "assumed",
                NeedSource::Unheard => "not_heard",
                NeedSource::Given => "option",
                NeedSource::Asked => "httpd",
                NeedSource::Learnt(_) => "learnt",
            },
            min_free: report.input.min_free,
        }
    }
}

#[derive(Serialize)]
struct TrialResult {
    result: &'static str,
    call: Option<&'static str>,
    errno: Option<String>,
    reason: Option<&'static str>,
}

impl TrialResult {
    fn of(trial: Trial) -> TrialResult {
        let (result, call, errno, reason) = match trial {
            Trial::Passed => ("passed", None, None, None),
            Trial::Refused(call, e) => ("refused", Some(call), Some(e), None),
            Trial::Disturbed => ("disturbed", None, None, None),
            Trial::Skipped(reason) => ("skipped", None, None, Some(reason)),
        };
        TrialResult { result, call, errno: errno.map(errno_name), reason }
    }
}

#[derive(Serialize)]
struct Words {
    headline: String,
    why: Vec<String>,
    #[serde(rename = "do")]
    todo: Vec<String>,
}

impl Words {
    fn of(message: Message) -> Words {
        let todo = message.remedies.iter().map(ToString::to_string).collect();
        Words { headline: message.headline, why: message.why, todo }
    }
}

#[derive(Serialize)]
struct Shortage {
    mutex: String,
    mechanism: &'static str,
    path: String,
    errno: String,
    made: u32,
    needed: u32,
    certain: bool,
}

impl Shortage {
    fn of(s: &crate::facts::shortage::Shortage) -> Shortage {
        Shortage {
            mutex: s.mutex.clone(),
            mechanism: s.mechanism.name(),
            path: printable(&s.path.to_string_lossy()),
            errno: errno_name(s.errno),
            made: s.made,
            needed: s.needed,
            certain: s.certain,
        }
    }
}

#[derive(Serialize)]
struct Room {
    limits: Limits,
    before: Used,
    after: Used,
    binding_limit: String,
    oddity: Option<String>,
}

impl Room {
    fn of(table: &Table, report: &Report) -> Room {
        let l = table.left.limits;
        Room {
            limits: Limits {
                semmsl: l.semmsl,
                semmns: l.semmns,
                semopm: l.semopm,
                semmni: l.semmni,
            },
            before: Used::of(&table.found),
            after: Used::of(&table.left),
            binding_limit: match table.left.room().binding {
                Limit::Semmsl => "semmsl",
                Limit::Semmns => "semmns",
                Limit::Semmni => "semmni",
            }
            .into(),
            oddity: report.oddity().map(|o| o.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Limits {
    semmsl: i64,
    semmns: i64,
    semopm: i64,
    semmni: i64,
}

#[derive(Serialize)]
struct Used {
    sets: i64,
    semaphores: i64,
    free_sets: i64,
}

impl Used {
    fn of(capacity: &Capacity) -> Used {
        Used {
            sets: capacity.usage.sets,
            semaphores: capacity.usage.semaphores,
            free_sets: capacity.room().sets,
        }
    }
}

/// A process.
#[derive(Serialize)]
struct One<'r> {
    pid: i32,
    name: &'r str,
}

impl<'r> One<'r> {
    fn of(named: &'r Named) -> One<'r> {
        One { pid: named.pid.as_raw(), name: &named.name }
    }
}

#[derive(Serialize)]
struct Running<'r> {
    leader: One<'r>,
    sets_surely: usize,
    sets_perhaps: usize,
}

#[derive(Serialize)]
struct HolderRow<'r> {
    owner: Account,
    sets: usize,
    semaphores: u64,
    living: Option<One<'r>>,
    unknown: bool,
}

/// The guarded users' sets: how they were judged, what was done, what is left of each class.
#[derive(Serialize)]
struct Counts {
    judged: usize,
    orphans: usize,
    kept: usize,
    removed: usize,
    would_remove: usize,
    refused: usize,
    unreadable: usize,
    left: Left,
}

#[derive(Serialize)]
struct Left {
    orphan: usize,
    in_use: usize,
    undecided: usize,
    not_httpd: usize,
    unknown: usize,
}

impl Counts {
    fn of(table: Option<&Table>) -> Counts {
        let tally = table.map(Table::tally).unwrap_or_default();
        let count = |outcome| table.map_or(0, |t| t.count(outcome));
        Counts {
            judged: table.map_or(0, |t| t.rows.len()),
            orphans: table.map_or(0, |t| t.orphans().count()),
            kept: tally.kept(),
            removed: count(Outcome::Removed),
            would_remove: count(Outcome::WouldRemove),
            refused: table.map_or(0, |t| t.refused_removals().count()),
            unreadable: table.map_or(0, Table::unseen),
            left: Left {
                orphan: tally.of(State::Orphan),
                in_use: tally.of(State::InUse),
                undecided: tally.of(State::Undecided),
                not_httpd: tally.of(State::NotHttpd),
                unknown: tally.of(State::Unknown),
            },
        }
    }
}

/// The sets, each made when it is written: 32,768 at one time would be many megabytes.
struct Sets<'r> {
    report: &'r Report,
    table: Option<&'r Table>,
}

fn one_by_one<S: Serializer>(sets: &Sets<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = sets.table.map_or_else(Vec::new, |t| list::shown(sets.report, t));
    let rows = shown.into_iter().zip(sets.table.into_iter().cycle());
    serializer.collect_seq(rows.map(|(j, table)| SetRow::of(j, table, sets.report)))
}

#[derive(Serialize)]
struct SetRow<'r> {
    semid: i32,
    key: i32,
    semaphores: u64,
    mode: String,
    owner: Account,
    group: u32,
    creator: Account,
    creator_group: u32,
    changed: Time,
    last_semop: Option<Time>,
    last_pid: Option<LastUser<'r>>,
    value: Option<i32>,
    waiters: Option<i32>,
    probe_error: Option<String>,
    verdict: &'static str,
    state: &'static str,
    reason: Option<ReasonRow<'r>>,
    action: &'static str,
    action_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

impl<'r> SetRow<'r> {
    fn of(row: &'r Row, table: &'r Table, report: &Report) -> SetRow<'r> {
        let lock = row.evidence.lock();
        let (action, action_error) = match row.outcome {
            None => ("none", None),
            Some(Outcome::Removed) => ("removed", None),
            Some(Outcome::WouldRemove) => ("would_remove", None),
            Some(Outcome::Gone) => ("already_gone", None),
            Some(Outcome::Changed) => ("changed_and_kept", None),
            Some(Outcome::Refused(e)) => ("refused", Some(errno_name(e))),
        };
        SetRow {
            semid: row.set.id.0,
            key: row.set.key,
            semaphores: row.set.nsems,
            mode: format!("{:04o}", row.set.mode),
            owner: Account::of(row.set.uid, report),
            group: row.set.gid.as_raw(),
            creator: Account::of(row.set.cuid, report),
            creator_group: row.set.cgid.as_raw(),
            changed: Time::of(row.set.ctime),
            last_semop: row.set.otime.map(Time::of),
            last_pid: LastUser::of(row),
            value: lock.map(|l| l.value),
            waiters: lock.map(|l| l.waiters),
            probe_error: match row.evidence.probe {
                Probe::Refused(e) => Some(errno_name(e)),
                Probe::NotAsked | Probe::Told { .. } => None,
            },
            verdict: row.verdict.word(),
            state: row.verdict.state().name(),
            reason: match &row.verdict {
                Verdict::Orphan => None,
                verdict => Some(ReasonRow::of(verdict)),
            },
            action,
            action_error,
            explanation: report.view.explain.map(|id| Explanation {
                evidence: explain::evidence(row, report, table),
                conclusion: explain::conclusion(row),
                by_hand: explain::by_hand(id),
            }),
        }
    }
}

#[derive(Serialize)]
struct LastUser<'r> {
    pid: i32,
    state: &'static str,
    name: Option<&'r str>,
}

impl<'r> LastUser<'r> {
    fn of(row: &'r Row) -> Option<LastUser<'r>> {
        let last = row.evidence.last()?;
        let state = match last.who {
            _ if last.number == 0 => "unseen",
            Who::Living(_) => "living",
            Who::Hidden => "hidden",
            Who::Nobody => "dead",
            Who::NotLookedUp => "not_asked",
        };
        Some(LastUser { pid: last.number, state, name: last.living().map(|p| &*p.named.name) })
    }
}

#[derive(Serialize)]
struct ReasonRow<'r> {
    code: &'static str,
    text: String,
    process: Option<One<'r>>,
}

impl<'r> ReasonRow<'r> {
    fn of(verdict: &'r Verdict) -> ReasonRow<'r> {
        let (code, process) = match verdict {
            Verdict::Orphan | Verdict::Ask => ("not_decided", None),
            Verdict::Keep(reason) => match reason {
                Reason::NotHttpds(_) => ("not_httpds", None),
                Reason::Blind(_) => ("blind", None),
                Reason::Waiters { by, .. } => ("waited_for", by.as_ref()),
                Reason::Locked { by } => ("locked", by.as_ref()),
                Reason::Unseen => ("last_pid_unseen", None),
                Reason::JustMade(p) => ("just_made", Some(p)),
                Reason::LastPidLives(p) => ("last_pid_lives", Some(p)),
                Reason::KnownTo(p) => ("known_to_process", Some(p)),
                Reason::MayBeKnownTo(p, _) => ("may_be_known_to_process", Some(p)),
            },
        };
        ReasonRow { code, text: why(verdict), process: process.map(|p| One::of(p)) }
    }
}

#[derive(Serialize)]
struct Explanation {
    evidence: Vec<String>,
    conclusion: String,
    by_hand: String,
}

fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}
