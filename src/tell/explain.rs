//! Everything that is known about one set, row by row of the verdict table up to the one that decided,
//! and how to remove the set by hand, for those who know better.

use std::io::{self, Write};

use nix::unistd::Pid;

use crate::decide::suspects::suspects;
use crate::decide::verdict::{Step, mismatch, trace};
use crate::facts::evidence::Who;
use crate::facts::memory::Extent;
use crate::facts::process::{Kind, Process};
use crate::facts::row::Row;
use crate::facts::set::SemId;
use crate::facts::table::Table;
use crate::facts::time::{WallTime, age, rfc3339};
use crate::facts::verdict::{Mismatch, Reason, Unread, Verdict};
use crate::facts::world::{Memory, World};
use crate::tell::report::Report;
use crate::tell::screen::{DOUBTFUL, GOOD, HEADING, Screen};
use crate::tell::words::why;

/// Writes the evidence on a set.
///
/// # Errors
/// Those of the writer.
pub fn write(
    row: &Row,
    report: &Report,
    table: &Table,
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let id = row.set.id;
    let style = if row.is_orphan() { DOUBTFUL } else { GOOD };
    let title = format!("semaphore set {id} of {}: ", report.user(row.set.uid));
    let word = row.verdict.word();
    writeln!(out, "{}{}", screen.paint(HEADING, &title), screen.paint(style, word))?;
    for (number, sentence) in evidence(row, report, table).iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, screen.wrap(sentence, 5, 5))?;
    }
    writeln!(
        out,
        "{} {}",
        screen.paint(HEADING, "so:"),
        screen.wrap(&conclusion(row, report), 4, 4)
    )?;
    writeln!(out, "{} {}", screen.paint(HEADING, "by hand:"), by_hand(id))?;
    writeln!(
        out,
        "  {}",
        screen.wrap(
            "This cannot be undone. A process that still uses it fails at its next semop(2): \
             httpd then logs AH00144, and its workers die.",
            2,
            2
        )
    )
}

/// The command that removes a set regardless of its verdict.
#[must_use]
pub fn by_hand(id: SemId) -> String {
    format!("ipcrm -s {id}")
}

/// What follows from the evidence.
#[must_use]
pub fn conclusion(row: &Row, report: &Report) -> String {
    let why = why(&row.verdict);
    if row.is_orphan() {
        format!("{why}. \"{}\" removes it.", report.guard)
    } else {
        format!("it stays ({why}).")
    }
}

/// The evidence as sentences: a few for each row of the verdict table that was applied to the set.
#[must_use]
pub fn evidence(row: &Row, report: &Report, table: &Table) -> Vec<String> {
    let world = &table.world;
    let now = world.clock.now;
    let mut said = Vec::new();
    for step in trace(&row.set, &row.evidence, world) {
        match step {
            Step::Form => said.extend([form(row, report), times(row, now)]),
            Step::Sight => said.push(sight(row)),
            Step::Use => said.extend(use_now(row)),
            Step::OutOfSight => said.extend(out_of_sight(row)),
            Step::LastPid => said.extend(last_user(row, world)),
            Step::Memory => said.extend(who_may_know(row, world)),
        }
    }
    said
}

/// Does it look like one of httpd's mutexes?
fn form(row: &Row, report: &Report) -> String {
    let creator = report.user(row.set.cuid);
    match mismatch(&row.set) {
        None => format!(
            "It looks like one of httpd's mutexes: no key, one semaphore, mode 0600, created by {creator}."
        ),
        Some(Mismatch::Creator(_)) => format!(
            "It is not one of httpd's mutexes: it was created by {creator}, who is neither root nor its owner."
        ),
        Some(m) => format!("It is not one of httpd's mutexes: {m}. It was created by {creator}."),
    }
}

fn times(row: &Row, now: WallTime) -> String {
    let used = match row.set.otime {
        None => "It was never used.".to_owned(),
        Some(otime) => format!("It was last used {}.", ago(otime, now)),
    };
    format!("It was created or last set up {}. {used}", ago(row.set.ctime, now))
}

fn ago(time: WallTime, now: WallTime) -> String {
    let at = rfc3339(time).unwrap_or_else(|| format!("second {}", time.0));
    format!("{} ago ({at})", age(now.0 - time.0))
}

/// Could enough be seen?
fn sight(row: &Row) -> String {
    match &row.verdict {
        Verdict::Keep(Reason::Blind(blind)) => format!("Not enough could be seen: {blind}."),
        _ => "The kernel gave access to it, and /proc showed all processes that matter.".into(),
    }
}

/// Is it in use right now?
fn use_now(row: &Row) -> Option<String> {
    let lock = row.evidence.lock()?;
    let locked = if lock.value == 0 { "It is locked (value 0)" } else { "It is not locked" };
    let waiting = match (lock.waiters, &row.evidence.inside) {
        (0, None) => "no process is waiting for it".to_owned(),
        (1, None) => "1 process is waiting for it".to_owned(),
        (n, None) => format!("{n} processes are waiting for it"),
        (0 | 1, Some(p)) => format!("{p} is waiting for it"),
        (n, Some(p)) => format!("{n} processes are waiting for it, {p} among them"),
    };
    Some(format!("{locked}, and {waiting}."))
}

/// Was it last touched by a process out of sight?
fn out_of_sight(row: &Row) -> Option<String> {
    let last = row.evidence.last()?;
    if last.number == 0 {
        return Some(
            "The process that used it last is in another PID namespace, or there was none.".into(),
        );
    }
    let unseen = row.verdict == Verdict::Keep(Reason::Unseen);
    unseen.then(|| {
        format!(
            "Its last pid, {}, may belong to another PID namespace: this kernel does not translate it, \
             and this is not the initial namespace.",
            last.number
        )
    })
}

/// Is the process that touched it last still running?
fn last_user(row: &Row, world: &World) -> Option<String> {
    let last = row.evidence.last().filter(|last| last.number > 0)?;
    let pid = Pid::from_raw(last.number);
    Some(match &last.who {
        Who::Nobody => format!(
            "Process {pid} used it last and has exited. (That alone proves nothing: a \
             healthy httpd has sets whose creator has exited.)"
        ),
        Who::Living(p) => {
            let since = format!("{}, which started {}", p.named, since(p, world));
            match &row.verdict {
                Verdict::Keep(Reason::LastPidLives(_)) => {
                    format!("It was used last by {since}.")
                }
                _ => format!(
                    "Its last pid now belongs to {since}: another process with the same number, since it may \
                     not use the set."
                ),
            }
        }
        Who::Hidden | Who::NotLookedUp => format!("Process {pid} used it last."),
    })
}

fn since(p: &Process, world: &World) -> String {
    ago(world.clock.at(p.start), world.clock.now)
}

/// Every process that could know the set, and whether the set's ID is in its memory.
fn who_may_know(row: &Row, world: &World) -> Vec<String> {
    let said: Vec<String> =
        suspects(&row.set, &row.evidence, world).map(|p| knows(p, row, world)).collect();
    if !said.is_empty() {
        return said;
    }
    let whom = if row.set.cuid.is_root() { "httpd" } else { "process of its owner" };
    vec![format!("No {whom} is running that could use it.")]
}

fn knows(p: &Process, row: &Row, world: &World) -> String {
    let kind = match p.kind {
        Kind::Httpd if p.is_leader() => "is the parent process of an httpd",
        Kind::Httpd => "is one of httpd's processes",
        Kind::Other if p.uids.contains(&row.set.uid) => "runs as its owner",
        Kind::Other if p.uids.iter().any(|u| u.is_root()) => {
            "runs as root and could become its owner"
        }
        Kind::Other => "has its last pid",
        Kind::Unreadable => "runs a program that cannot be read, perhaps httpd",
    };
    let who = format!("{} {kind} and started {}.", p.named, since(p, world));
    let reading = match &world.memory {
        Memory::NotRead => None,
        Memory::Off => return format!("{who} It may use the set: {}.", Unread::Off),
        Memory::Read(read) => read.get(&p.identity()),
    };
    let Some(reading) = reading else {
        return format!("{who} It may use the set: its memory was not read.");
    };
    if reading.holds.binary_search(&row.set.id).is_ok() {
        return format!("{who} It can use the set: the number {} is in its memory.", row.set.id);
    }
    match reading.extent {
        Extent::Full => format!("{who} The number is not in its memory."),
        Extent::Gone => format!("{who} It has exited since."),
        Extent::Enough => {
            format!(
                "{who} Its memory was not read to the end: another process is known to have the number."
            )
        }
        Extent::Part(gap) => {
            let named = matches!(&row.verdict, Verdict::Keep(Reason::MayBeKnownTo(q, _)) if **q == *p.named);
            let doubt = if named {
                "It may use the set: "
            } else {
                "The number was not found in what could be read: "
            };
            format!("{who} {doubt}{gap}.")
        }
    }
}
