//! What a running httpd shows about the need of the next start. Pure.
//!
//! Memory tells what it holds. That this is due to a configuration is concluded only from what leaves
//! no alternative: the same answer was noted just before its start, no process had its pid then, every
//! set that it holds is newer than all that existed, and it has not been reloaded since. What two such
//! starts agree on counts as known. A single one only widens a need.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::decide::verdict::{is_no_doubt, mismatch};
use crate::facts::dump::Mutex;
use crate::facts::heard::Told;
use crate::facts::memory::{Extent, Reading};
use crate::facts::need::{Need, NeedSource};
use crate::facts::process::Process;
use crate::facts::set::{SemId, SemSet, TELLING};
use crate::facts::state::{Instance, Learnt, Note, State};
use crate::facts::table::Table;
use crate::facts::time::{BootTicks, Clock};
use crate::facts::world::Memory;

/// The longest time between a note and the start that it is for, in seconds: a unit starts httpd as
/// soon as the guard has finished.
pub const SOON: u64 = 60;

/// The digest of an answer: of everything that the need depends on, as far as it can be known. `None`
/// if httpd did not print its configuration, so that a change to it would go unnoticed.
///
/// The user is left out: `User` is one of the directives, and httpd reports another user to a caller
/// that is not root.
#[must_use]
pub fn digest(told: &Told, args: &[OsString]) -> Option<u64> {
    let Told { control, dump, build, host, foreign, files } = told;
    if !dump.has_config {
        return None;
    }
    // These come from hashes, in a different order each time.
    let mut mutexes: Vec<&Mutex> = dump.mutexes.iter().collect();
    mutexes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut addresses: Vec<_> = host.addresses.iter().collect();
    addresses.sort();
    // Its keys never change. A compiler with another algorithm merely forgets what was learnt.
    let mut hasher = DefaultHasher::new();
    (control, args, build, files, foreign).hash(&mut hasher);
    (&dump.server_root, &dump.pid_file, mutexes, &dump.modules).hash(&mut hasher);
    (&dump.directives, host.cores, addresses).hash(&mut hasher);
    Some(hasher.finish())
}

/// What is known from starts of this httpd with this answer.
#[must_use]
pub fn learnt(state: &State, pid_file: &str, answer: u64) -> Option<Learnt> {
    state.get(pid_file).filter(|i| i.answer == answer)?.learnt
}

/// The need according to httpd's answer and to what its starts showed. Two starts that agree settle
/// what the answer leaves open, and know more than the table. One start shows that the need may be
/// higher. Fewer sets than the answer's minimum have never been observed; in that case what the starts
/// showed is ignored.
#[must_use]
pub fn need(asked: Need, learnt: Option<Learnt>) -> Need {
    let Some(learnt) = learnt.filter(|_| asked.source == NeedSource::Asked) else { return asked };
    let sets = i64::from(learnt.sets);
    if sets < asked.at_least || (asked.at_least == asked.at_most && sets == asked.at_most) {
        return asked;
    }
    let source = NeedSource::Learnt(learnt);
    match learnt.is_certain() {
        true => Need { at_least: sets, at_most: sets, source },
        false => Need { at_most: asked.at_most.max(sets), at_least: asked.at_least, source },
    }
}

/// What was seen of the httpd that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No process has the pid in its PidFile.
    Nobody,
    /// A process has it, but nothing more could be found out.
    Somebody,
    /// It is running.
    Running(Start),
}

/// The start of a running httpd, compared with the note before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// When its first process started.
    pub began: BootTicks,
    /// How often it was reloaded, if known.
    pub generation: Option<u32>,
    /// What it holds.
    pub holding: Holding,
}

/// What a running httpd holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Exactly this many sets, all of them newer than the note.
    Exactly(u32),
    /// It cannot be determined this time.
    Unsure,
    /// Something other than its start made, or may have made, some of them.
    Mixed,
}

/// Which of the table's sets `leader` holds, given that the highest semid was `mark` before its start.
#[must_use]
pub fn holding(table: &Table, leader: &Process, mark: i32) -> Holding {
    let world = &table.world;
    if world.incomplete.is_some() || table.unreadable > 0 {
        return Holding::Unsure;
    }
    let reading = match &world.memory {
        Memory::Read(read) => read.get(&leader.identity()),
        Memory::NotRead | Memory::Off => None,
    };
    let has_another =
        world.processes.iter().any(|p| p.is_leader() && p.identity() != leader.identity());
    let sets = table.rows.iter().map(|row| &row.set).chain(&table.of_root);
    let mut count = 0;
    for set in sets {
        let is_new = set.id.0 > mark;
        match holds(reading, leader, set) {
            // Older than the start, or semids have wrapped around.
            Some(true) if !is_new => return Holding::Mixed,
            // Such a number occurs in any process by chance.
            Some(true) if set.id.0 < TELLING => return Holding::Mixed,
            Some(true) => count += 1,
            _ if !is_new => {}
            // From another httpd's start. A set that was not made by root was not made by a launcher.
            Some(false) if set.cuid.is_root() && has_another => {}
            // Perhaps made by its workers, or made and forgotten.
            Some(false) => return Holding::Mixed,
            None => return Holding::Unsure,
        }
    }
    Holding::Exactly(count)
}

/// Whether a process holds a set, if that is known.
fn holds(reading: Option<&Reading>, leader: &Process, set: &SemSet) -> Option<bool> {
    // Not searched for, because it is not in APR's form.
    if mismatch(set).is_some() {
        return Some(false);
    }
    let reading = reading?;
    match reading.extent {
        _ if reading.holds.binary_search(&set.id).is_ok() => Some(true),
        Extent::Full => Some(false),
        Extent::Part(gap) if is_no_doubt(set, leader, gap) => Some(false),
        Extent::Part(_) | Extent::Enough | Extent::Gone => None,
    }
}

/// Root's sets that a running httpd may hold in addition to its user's: a module may leave its own to
/// root.
#[must_use]
pub fn beside(of_root: &[SemSet], mark: i32) -> Vec<SemId> {
    let may_be = |set: &&SemSet| set.id.0 > mark && mismatch(set).is_none();
    of_root.iter().filter(may_be).map(|set| set.id).collect()
}

/// One run, as far as it concerns what is kept.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// httpd's PidFile.
    pub pid_file: &'a str,
    /// The digest of its answer.
    pub answer: u64,
    /// The run comes just before a start, and is not just a check.
    pub is_guard: bool,
    /// The highest semid of all sets; `None` if there are no sets.
    pub highest: Option<SemId>,
    /// When the run ends.
    pub ends: BootTicks,
    /// The clocks.
    pub clock: Clock,
    /// What was seen.
    pub seen: Seen,
}

/// What is kept after a run.
#[must_use]
pub fn after(state: &State, run: &Run<'_>) -> State {
    let known = state.get(run.pid_file);
    let same = known.filter(|i| i.answer == run.answer);
    match &run.seen {
        Seen::Somebody => state.clone(),
        // A check that gets another answer need not be about the httpd that will be started.
        Seen::Nobody if known.is_some() && same.is_none() && !run.is_guard => state.clone(),
        Seen::Nobody => state.with(Instance {
            pid_file: run.pid_file.to_owned(),
            answer: run.answer,
            note: Some(Note {
                mark: run.highest.map_or(-1, |id| id.0),
                ticks: run.ends.0,
                time: run.clock.now.0,
            }),
            learnt: same.and_then(|i| i.learnt),
        }),
        Seen::Running(start) => {
            let Some((known, note)) = same.and_then(|i| Some((i, i.note?))) else {
                return state.clone();
            };
            if start.holding == Holding::Unsure {
                return state.clone();
            }
            // Each start is looked at once, the first time: whatever the result, the note has served
            // its purpose.
            let learnt = shows(&note, start, run.clock).map_or(known.learnt, |sets| {
                let before = known.learnt.filter(|l| l.sets == sets).map_or(0, |l| l.starts);
                Some(Learnt { sets, starts: before.saturating_add(1) })
            });
            state.with(Instance { note: None, learnt, ..known.clone() })
        }
    }
}

/// How many sets a start made; `None` if what is held need not come from that start alone.
fn shows(note: &Note, start: &Start, clock: Clock) -> Option<u32> {
    let soon = SOON.saturating_mul(clock.ticks_per_second);
    let in_time = (note.ticks..=note.ticks.saturating_add(soon)).contains(&start.began.0);
    // The same boot: ticks start again with each.
    let apart = clock.at(start.began).0.abs_diff(note.time);
    match start.holding {
        Holding::Exactly(sets) if in_time && apart <= SOON && start.generation == Some(0) => {
            Some(sets)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
