//! Whether a semaphore set is an orphan: every rule, in one table. Pure: it reads no clock, no /proc
//! and no environment; look supplies the evidence.
//!
//! This is conservative garbage collection. A private set can be used only by its semid, so any process
//! that can use it holds that number. A semid found nowhere in the memory of the running processes in
//! question is in use by none of them. Any doubt keeps the set.

use std::rc::Rc;

use crate::decide::suspects::suspects;
use crate::facts::evidence::{Evidence, LastPid, Probe, Who};
use crate::facts::memory::{Extent, Gap};
use crate::facts::process::{Incomplete, Kind, Process};
use crate::facts::set::{SemSet, TELLING};
use crate::facts::verdict::{Blind, Mismatch, Reason, Unread, Verdict};
use crate::facts::world::{Memory, World};
use nix::errno::Errno;
use nix::unistd::Uid;

/// The verdict on one set. The first row that applies decides.
#[must_use]
pub fn judge(set: &SemSet, evidence: &Evidence, world: &World) -> Verdict {
    let case = Case { set, evidence, world };
    TABLE.iter().find_map(|(_, rule)| rule(&case)).unwrap_or(Verdict::Orphan)
}

/// The rows of the table that were applied to a set: those that it passed, and the one that decided.
#[must_use]
pub fn trace(set: &SemSet, evidence: &Evidence, world: &World) -> Vec<Step> {
    let case = Case { set, evidence, world };
    let decided = TABLE.iter().position(|(_, rule)| rule(&case).is_some());
    TABLE.iter().take(decided.map_or(TABLE.len(), |at| at + 1)).map(|(row, _)| *row).collect()
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Does it look like an httpd mutex?
    Form,
    /// Could enough be seen?
    Sight,
    /// Is it in use right now?
    Use,
    /// Was it last touched by a process out of sight?
    OutOfSight,
    /// Is the process that touched it last still running?
    LastPid,
    /// Is its semid in the memory of a running process?
    Memory,
}

/// What a rule looks at.
struct Case<'a> {
    set: &'a SemSet,
    evidence: &'a Evidence,
    world: &'a World,
}

/// A rule's verdict; `None` passes the set on to the next rule.
type Rule = fn(&Case<'_>) -> Option<Verdict>;

/// The table.
const TABLE: [(Step, Rule); 6] = [
    (Step::Form, |c| mismatch(c.set).map(Reason::NotHttpds).map(Verdict::Keep)),
    (Step::Sight, |c| sight(c).map(Reason::Blind).map(Verdict::Keep)),
    (Step::Use, |c| in_use(c.evidence).map(Verdict::Keep)),
    (Step::OutOfSight, |c| out_of_sight(c).then_some(Verdict::Keep(Reason::Unseen))),
    (Step::LastPid, |c| last_pid_is_running(c).map(Verdict::Keep)),
    (Step::Memory, memory),
];

/// Why `set` cannot be an APR mutex, which has key 0, one semaphore and mode 0600, and was made by root
/// or by its owner.
#[must_use]
pub fn mismatch(set: &SemSet) -> Option<Mismatch> {
    if set.key != 0 {
        Some(Mismatch::Key(set.key))
    } else if set.nsems != 1 {
        Some(Mismatch::Nsems(set.nsems))
    } else if set.mode != 0o600 {
        Some(Mismatch::Mode(set.mode))
    } else if !set.cuid.is_root() && set.cuid != set.uid {
        Some(Mismatch::Creator(set.cuid))
    } else {
        None
    }
}

/// What could not be seen.
fn sight(c: &Case<'_>) -> Option<Blind> {
    let last = match &c.evidence.probe {
        Probe::Told { last, .. } => last,
        Probe::Refused(errno) => return Some(Blind::Refused(*errno)),
        Probe::NotAsked => return Some(Blind::Processes(Incomplete::NotRead)),
    };
    if let Some(incomplete) = c.world.incomplete {
        return Some(Blind::Processes(incomplete));
    }
    match last.who {
        Who::Hidden => Some(Blind::HiddenPid(last.number)),
        Who::NotLookedUp => Some(Blind::Processes(Incomplete::NotRead)),
        Who::Nobody | Who::Living(_) => None,
    }
}

/// Whether a set is in use right now, as far as the kernel was asked.
#[must_use]
pub fn in_use(evidence: &Evidence) -> Option<Reason> {
    let waiters = evidence.lock().map_or(0, |l| l.waiters);
    if waiters > 0 || evidence.inside.is_some() {
        return Some(Reason::Waiters { count: waiters.max(1), by: evidence.inside.clone() });
    }
    if evidence.lock().is_some_and(|l| l.value == 0) {
        let by = evidence.last().and_then(LastPid::living).map(|p| p.named.clone());
        return Some(Reason::Locked { by });
    }
    None
}

/// Whether the process that touched it last may be one that cannot be seen from here.
fn out_of_sight(c: &Case<'_>) -> bool {
    let Some(last) = c.evidence.last() else { return true };
    // A pid from another PID namespace means nothing here, even if a process has it.
    let foreign = c.world.foreign_numbers && toucher(c).is_none();
    (last.number == 0 || foreign) && !c.world.private_ipc
}

/// The running process with the last pid, if it may access the set at all. One that may not was given
/// the pid later.
fn toucher<'a>(c: &Case<'a>) -> Option<&'a Rc<Process>> {
    let may_touch = |p: &&Rc<Process>| {
        p.may_be_httpd() || p.may_act_as(c.set.uid) || p.may_act_as(Uid::from_raw(0))
    };
    c.evidence.last().and_then(LastPid::living).filter(may_touch)
}

fn last_pid_is_running(c: &Case<'_>) -> Option<Reason> {
    toucher(c).map(|p| Reason::LastPidLives(p.named.clone()))
}

/// The last row: does any process hold the semid?
fn memory(c: &Case<'_>) -> Option<Verdict> {
    let keep = |reason| Some(Verdict::Keep(reason));
    let first = suspects(c.set, c.evidence, c.world).next()?;
    if c.evidence.last().is_some_and(|last| last.number == 0) {
        // Between semget(2) and SETVAL.
        return keep(Reason::JustMade(first.named.clone()));
    }
    let read = match &c.world.memory {
        Memory::NotRead => return Some(Verdict::Ask),
        Memory::Off => return keep(Reason::MayBeKnownTo(first.named.clone(), Unread::Off)),
        Memory::Read(read) => read,
    };
    let reading = |p: &Process| read.get(&p.identity());
    let holds =
        |p: &&Rc<Process>| reading(p).is_some_and(|r| r.holds.binary_search(&c.set.id).is_ok());
    if let Some(holder) = suspects(c.set, c.evidence, c.world).find(holds) {
        return keep(Reason::KnownTo(holder.named.clone()));
    }
    suspects(c.set, c.evidence, c.world).find_map(|p| match reading(p).map(|r| r.extent) {
        Some(Extent::Full | Extent::Gone) => None,
        Some(Extent::Part(gap)) if is_no_doubt(c.set, p, gap) => None,
        Some(Extent::Part(gap)) => {
            Some(Verdict::Keep(Reason::MayBeKnownTo(p.named.clone(), Unread::Part(gap))))
        }
        Some(Extent::Enough) | None => Some(Verdict::Ask),
    })
}

/// Whether a process cannot know a set even though this part of its memory was not read.
pub(super) fn is_no_doubt(set: &SemSet, p: &Process, gap: Gap) -> bool {
    match gap {
        // APR keeps semids in private memory (apr locks/unix/proc_mutex.c).
        Gap::SharedUnseen => set.cuid.is_root(),
        // A shell that calls the guard and is not an httpd. Only root may read its caller (Yama's
        // ptrace_scope 1); if this counted as doubt, an owner could never remove a set.
        Gap::Refused(_, Errno::EACCES | Errno::EPERM) => p.called_us && p.kind == Kind::Other,
        _ => false,
    }
}

/// Whether `leader`, the first process of a running httpd, holds a set; `None` if that is uncertain.
#[must_use]
pub fn belongs(set: &SemSet, evidence: &Evidence, world: &World, leader: &Process) -> Option<bool> {
    let told = matches!(evidence.probe, Probe::Told { .. });
    if mismatch(set).is_some() || !told {
        return Some(false);
    }
    let Memory::Read(read) = &world.memory else { return None };
    let reading = read.get(&leader.identity())?;
    match reading.extent {
        // A small number may be in its memory by chance: the set may be a dead server's.
        _ if reading.holds.binary_search(&set.id).is_ok() => (set.id.0 >= TELLING).then_some(true),
        Extent::Full | Extent::Gone => Some(false),
        Extent::Part(gap) if is_no_doubt(set, leader, gap) => Some(false),
        Extent::Part(_) | Extent::Enough => None,
    }
}

#[cfg(test)]
mod tests;
