//! The parts of the document about the sets, and about who holds them or may know them.

use super::{Account, Time, errno_name};
use crate::decide::maker::maker;
use crate::facts::evidence::{Probe, Who};
use crate::facts::process::Named;
use crate::facts::row::{Outcome, Row};
use crate::facts::set::Maker;
use crate::facts::table::Table;
use crate::facts::verdict::{Reason, State, Verdict};
use crate::tell::report::Report;
use crate::tell::words::why;
use crate::tell::{explain, list};
use serde::{Serialize, Serializer};

/// A process.
#[derive(Serialize)]
pub(super) struct One<'r> {
    pub(super) pid: i32,
    pub(super) name: &'r str,
}

impl<'r> One<'r> {
    pub(super) fn of(named: &'r Named) -> One<'r> {
        One { pid: named.pid.as_raw(), name: &named.name }
    }
}

#[derive(Serialize)]
pub(super) struct Running<'r> {
    pub(super) leader: One<'r>,
    pub(super) sets_surely: usize,
    pub(super) sets_perhaps: usize,
}

#[derive(Serialize)]
pub(super) struct HolderRow<'r> {
    pub(super) owner: Account,
    pub(super) looks_like: &'static str,
    pub(super) sets: usize,
    pub(super) semaphores: u64,
    pub(super) living: Option<One<'r>>,
    pub(super) unknown: bool,
}

/// The guarded users' sets: how they were judged, what was done, and how many of each class are left.
#[derive(Serialize)]
pub(super) struct Counts {
    pub(super) judged: usize,
    pub(super) orphans: usize,
    pub(super) kept: usize,
    pub(super) removed: usize,
    pub(super) would_remove: usize,
    pub(super) refused: usize,
    pub(super) unreadable: usize,
    pub(super) left: Left,
}

#[derive(Serialize)]
pub(super) struct Left {
    pub(super) orphan: usize,
    pub(super) in_use: usize,
    pub(super) undecided: usize,
    pub(super) not_httpd: usize,
    pub(super) unknown: usize,
}

impl Counts {
    pub(super) fn of(table: Option<&Table>) -> Counts {
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

/// The sets, each built only when it is written: 32,768 at once would take many megabytes.
pub(super) struct Sets<'r> {
    pub(super) report: &'r Report,
    pub(super) table: Option<&'r Table>,
}

pub(super) fn one_by_one<S: Serializer>(sets: &Sets<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = sets.table.map_or_else(Vec::new, |t| list::shown(sets.report, t));
    let rows = shown.into_iter().zip(sets.table.into_iter().cycle());
    serializer.collect_seq(rows.map(|(j, table)| SetRow::of(j, table, sets.report)))
}

#[derive(Serialize)]
pub(super) struct SetRow<'r> {
    pub(super) semid: i32,
    pub(super) key: i32,
    pub(super) semaphores: u64,
    pub(super) mode: String,
    pub(super) owner: Account,
    pub(super) group: u32,
    pub(super) creator: Account,
    pub(super) creator_group: u32,
    pub(super) changed: Time,
    pub(super) last_semop: Option<Time>,
    pub(super) last_pid: Option<LastUser<'r>>,
    pub(super) value: Option<i32>,
    pub(super) waiters: Option<i32>,
    pub(super) probe_error: Option<String>,
    pub(super) verdict: &'static str,
    pub(super) state: &'static str,
    pub(super) reason: Option<ReasonRow<'r>>,
    pub(super) action: &'static str,
    pub(super) action_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explanation: Option<Explanation>,
}

impl<'r> SetRow<'r> {
    pub(super) fn of(row: &'r Row, table: &'r Table, report: &Report) -> SetRow<'r> {
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
                conclusion: explain::conclusion(row, report),
                by_hand: explain::by_hand(id),
            }),
        }
    }
}

/// The word for the program that seems to have made a set.
pub(super) fn looks_like(maker: Maker) -> &'static str {
    match maker {
        Maker::Httpd => "httpd",
        Maker::HttpdOrRoot => "httpd_or_root",
        Maker::Php => "php",
        Maker::Postgres => "postgresql",
        Maker::Other => "other",
    }
}

/// The sets of users who are not guarded.
pub(super) fn strangers<'r>(table: Option<&'r Table>, report: &Report) -> Vec<StrangerRow<'r>> {
    let rows = table.map_or(&[][..], |table| &table.strangers);
    let stranger = |row: &'r Row| StrangerRow {
        semid: row.set.id.0,
        key: row.set.key,
        semaphores: row.set.nsems,
        mode: format!("{:04o}", row.set.mode),
        owner: Account::of(row.set.uid, report),
        creator: Account::of(row.set.cuid, report),
        changed: Time::of(row.set.ctime),
        last_semop: row.set.otime.map(Time::of),
        last_pid: LastUser::of(row),
        looks_like: looks_like(maker(&row.set)),
    };
    rows.iter().map(stranger).collect()
}

#[derive(Serialize)]
pub(super) struct StrangerRow<'r> {
    pub(super) semid: i32,
    pub(super) key: i32,
    pub(super) semaphores: u64,
    pub(super) mode: String,
    pub(super) owner: Account,
    pub(super) creator: Account,
    pub(super) changed: Time,
    pub(super) last_semop: Option<Time>,
    pub(super) last_pid: Option<LastUser<'r>>,
    pub(super) looks_like: &'static str,
}

#[derive(Serialize)]
pub(super) struct LastUser<'r> {
    pub(super) pid: i32,
    pub(super) state: &'static str,
    pub(super) name: Option<&'r str>,
}

impl<'r> LastUser<'r> {
    pub(super) fn of(row: &'r Row) -> Option<LastUser<'r>> {
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
pub(super) struct ReasonRow<'r> {
    pub(super) code: &'static str,
    pub(super) text: String,
    pub(super) process: Option<One<'r>>,
}

impl<'r> ReasonRow<'r> {
    pub(super) fn of(verdict: &'r Verdict) -> ReasonRow<'r> {
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
pub(super) struct Explanation {
    pub(super) evidence: Vec<String>,
    pub(super) conclusion: String,
    pub(super) by_hand: String,
}
