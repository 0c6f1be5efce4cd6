//! Whether a semaphore set is an orphan: every rule, in one table. Pure: it reads no clock, no
//! /proc, no environment; the survey brings the evidence.
//!
//! Any doubt keeps the set. The kernel keeps no creator (ipc/sem.c), and a healthy httpd owns sets
//! whose last pid is dead: so a set is an orphan only when *nobody who lives could know it*.

use std::collections::HashMap;
use std::rc::Rc;

use nix::unistd::{Pid, Uid};

use crate::facts::evidence::{Evidence, LastPid, Probe, Unprobed};
use crate::facts::process::{Incomplete, Kind, Named, Process};
use crate::facts::set::{SemId, SemSet};
use crate::facts::time::{Clock, WallTime};
use crate::facts::verdict::{Doubt, Mismatch, Reason, Verdict};

/// Seconds by which two times may differ for rounding alone: both are cut to whole seconds.
pub const SLACK: i64 = 2;

/// Seconds before a leader's fork in which its launcher may have made sets for it. The launcher
/// creates the mutexes of the first pass and then detaches; a pass phrase may be typed in between,
/// by somebody who has to be woken first.
pub const LAUNCH_WINDOW: i64 = 86_400;

/// Seconds after its fork within which a leader's second pass makes its sets: a set that surely
/// is the leader's and bears such a time proves that the clock was not stepped since.
pub const START_WINDOW: i64 = 30;

/// The evidence that all sets share.
#[derive(Clone, Debug)]
pub struct World {
    /// The living processes of interest in this IPC namespace.
    processes: Vec<Rc<Process>>,
    /// Their places, by number.
    places: HashMap<Pid, usize>,
    /// For each of them, the place of the living httpd that forked it.
    forked_by: Vec<Option<usize>>,
    /// The places of those that are, or might be, httpds and that no other one such forked.
    httpds: Vec<usize>,
    /// The first whose executable cannot be read.
    unreadable: Option<usize>,
    /// Why the process table cannot be relied on, if so.
    pub incomplete: Option<Incomplete>,
    /// When all this was read.
    pub clock: Clock,
    /// Sets that prove that the wall clock was stepped since they were stamped.
    pub stepped: bool,
    /// Leaders whose start is proved to lie on the same clock as the present one, each with a set
    /// that proves it.
    pub confirmed: Vec<(Pid, SemId)>,
    /// `--private-ipc`: no process outside this PID namespace shares the sets.
    pub private_ipc: bool,
}

impl World {
    /// A world of these living processes, on a clock of which nothing is known yet.
    #[must_use]
    pub fn new(processes: Vec<Rc<Process>>, clock: Clock) -> World {
        let places: HashMap<Pid, usize> =
            processes.iter().enumerate().map(|(i, p)| (p.named.pid, i)).collect();
        let forked_by: Vec<Option<usize>> = processes
            .iter()
            .map(|p| {
                // One that leads its session or group is no worker, but an instance of its own.
                let parent = *places.get(&p.parent.filter(|_| !p.leads)?)?;
                let q = &processes[parent];
                // One that is younger than its child has taken the number of the real parent
                // while the table was being read.
                let older = (q.start, q.named.pid) < (p.start, p.named.pid);
                (q.kind == Kind::Httpd && older).then_some(parent)
            })
            .collect();
        let mut world = World {
            httpds: Vec::new(),
            unreadable: processes.iter().position(|p| p.kind == Kind::Unreadable),
            processes,
            places,
            forked_by,
            incomplete: None,
            clock,
            stepped: false,
            confirmed: Vec::new(),
            private_ipc: false,
        };
        world.httpds = asked(&world, is_or_might_be_httpd).collect();
        world
    }

    /// The living processes of interest.
    #[must_use]
    pub fn processes(&self) -> &[Rc<Process>] {
        &self.processes
    }
}

/// The verdict on one set. The first row that holds decides.
#[must_use]
pub fn judge(set: &SemSet, evidence: &Evidence, world: &World) -> Verdict {
    match keep(set, evidence, world) {
        Some(reason) => Verdict::Keep(reason),
        None => Verdict::Orphan,
    }
}

fn keep(set: &SemSet, evidence: &Evidence, world: &World) -> Option<Reason> {
    // Not httpd's.
    if let Some(m) = mismatch(set) {
        return Some(Reason::NotHttpds(m));
    }
    // Blind.
    let probe = match evidence.probe {
        Ok(probe) => probe,
        Err(Unprobed::Refused(errno)) => return Some(Reason::Blind(Doubt::Refused(errno))),
        // Nobody looked at it.
        Err(Unprobed::NotAsked) => {
            return Some(Reason::Blind(Doubt::Processes(Incomplete::NoProc)));
        }
    };
    if let Some(i) = &world.incomplete {
        return Some(Reason::Blind(Doubt::Processes(i.clone())));
    }
    match evidence.last_pid {
        LastPid::Hidden(pid) => return Some(Reason::Blind(Doubt::HiddenPid(pid))),
        // Nobody looked at the process table for it.
        LastPid::NotAsked => return Some(Reason::Blind(Doubt::Processes(Incomplete::NoProc))),
        _ => {}
    }
    if let (true, Some(place)) = (set.cuid.is_root(), world.unreadable) {
        let named = world.processes[place].named.clone();
        return Some(Reason::Blind(Doubt::Executable(named)));
    }
    if let Some(reason) = in_use(probe, evidence) {
        return Some(reason);
    }
    // Touched last by somebody who lives, or who cannot be seen.
    if evidence.last_pid == LastPid::Unseen && !world.private_ipc {
        return Some(Reason::Unseen);
    }
    match &evidence.last_pid {
        LastPid::Living(p) if !is_recycled(p, set, world) => {
            return Some(Reason::LastPidLives(p.named.clone()));
        }
        _ => {}
    }
    // Known to somebody who lives.
    let reason = if set.cuid.is_root() { Reason::MayBelongToHttpd } else { Reason::MayBelongTo };
    holder(set, world).map(reason)
}

/// Whether a set is in use at this moment, as far as that was asked.
#[must_use]
pub fn in_use(probe: Probe, evidence: &Evidence) -> Option<Reason> {
    let waiters = probe.lock.map_or(0, |l| l.waiters);
    if waiters > 0 || evidence.inside.is_some() {
        return Some(Reason::Waiters { count: waiters.max(1), by: evidence.inside.clone() });
    }
    if probe.lock.is_some_and(|l| l.value == 0) {
        let by = match &evidence.last_pid {
            LastPid::Living(p) => Some(p.named.clone()),
            _ => None,
        };
        return Some(Reason::Locked { by });
    }
    None
}

/// What keeps `set` from being a mutex of APR's: key 0, one semaphore, mode 0600, made by root or
/// by its owner.
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

/// The later of the set's two times.
fn last_activity(set: &SemSet) -> WallTime {
    set.otime.map_or(set.ctime, |o| o.max(set.ctime))
}

/// Whether the living process of the set's last pid provably is another one that got the number
/// later: by the times, and because it may not touch the set at all. (The times alone prove
/// nothing on a clock that was stepped unnoticed.) Never for what may be a httpd.
fn is_recycled(p: &Process, set: &SemSet, world: &World) -> bool {
    let later = !world.stepped && p.start > last_activity(set).plus(SLACK);
    let may_touch = p.may_run_as(set.uid) || p.may_run_as(Uid::from_raw(0));
    p.kind == Kind::Other && later && !may_touch
}

/// Which processes are in question for a set: every httpd for one that root made, every process of
/// its owner for one that its owner made; but not those that called the guard, unless they are, or
/// might be, a httpd: a shell that starts the owner's httpd may run as the owner, too.
fn in_question(set: &SemSet) -> impl Fn(&Process) -> bool {
    let SemSet { uid, cuid, .. } = *set;
    move |p| {
        if cuid.is_root() {
            is_or_might_be_httpd(p)
        } else {
            p.may_run_as(uid) && (is_or_might_be_httpd(p) || !p.called_us)
        }
    }
}

fn is_or_might_be_httpd(p: &Process) -> bool {
    p.kind != Kind::Other
}

/// The httpd that forked this httpd: this one knows nothing that the other does not. None if that
/// one is not in question.
fn asked_instead(
    place: usize,
    in_question: impl Fn(&Process) -> bool,
    world: &World,
) -> Option<&Process> {
    let forker = &world.processes[world.forked_by[place]?];
    (world.processes[place].kind == Kind::Httpd && in_question(forker)).then_some(forker)
}

/// The places of the processes in question that are asked themselves.
fn asked(world: &World, in_question: impl Fn(&Process) -> bool) -> impl Iterator<Item = usize> {
    (0..world.processes.len()).filter(move |place| {
        in_question(&world.processes[*place])
            && asked_instead(*place, &in_question, world).is_none()
    })
}

/// The first of the processes in question that may know the set.
fn holder(set: &SemSet, world: &World) -> Option<Rc<Named>> {
    let knows = |place: &usize| may_know(*place, set, world);
    let place = if set.cuid.is_root() {
        world.httpds.iter().copied().find(knows)
    } else {
        asked(world, in_question(set)).find(knows)
    };
    place.map(|place| world.processes[place].named.clone())
}

/// Whether a process may know the set: see [`standing`].
fn may_know(place: usize, set: &SemSet, world: &World) -> bool {
    !matches!(standing(place, set, world), Standing::TooYoung | Standing::MadeByAnother)
}

/// How a process stands to a set that has come down the table as far as the last rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is of no kind that could know the set.
    NotInQuestion,
    /// A httpd forked by this one, which is asked instead.
    ForkedBy(Rc<Named>),
    /// It may know the set: nothing bounds what it knows.
    Unbounded,
    /// It may know the set: the clock was stepped since some of the sets were stamped.
    ClockStepped,
    /// It may know the set: it is old enough to have made or inherited it.
    InTime,
    /// It does not: the set is older than any that its launcher may have made for it.
    TooYoung,
    /// It does not: the set was made well after its start, never used, and not by it.
    MadeByAnother,
}

/// How a process stands to the set by its times. It may know the set, unless it is a confirmed
/// leader whose times exclude that.
///
/// A leader forked at T knows sets from [`LAUNCH_WINDOW`] before T (its launcher made some) onward.
/// Of sets made after T it made those itself, and so is the last pid of those that were never used
/// (no otime): one that has come this far down the table has a dead last pid, and another maker.
///
/// A worker that has lost its leader may know everything that was made before it, and nothing
/// proves on which clock: it keeps every set. So does what cannot be told apart from one.
fn standing(place: usize, set: &SemSet, world: &World) -> Standing {
    let p = &world.processes[place];
    let proofs = world.confirmed.iter().filter(|(leader, _)| *leader == p.named.pid);
    let Some(proof) = proofs.map(|(_, id)| *id).min().filter(|_| is_leader(p)) else {
        return Standing::Unbounded;
    };
    if world.stepped {
        return Standing::ClockStepped;
    }
    // Identifiers grow in the order of creation (ipc/util.c, `ipc_idr_alloc`), whatever the clock
    // says: what the launcher made is older than what the leader made at its start.
    let later = set.id > proof && set.ctime > p.start.plus(START_WINDOW + SLACK);
    if set.ctime < p.start.plus(-LAUNCH_WINDOW - SLACK) {
        Standing::TooYoung
    } else if set.otime.is_none() && later {
        Standing::MadeByAnother
    } else {
        Standing::InTime
    }
}

/// Every living process of the survey, and how it stands to the set: what the last two rows of the
/// table were decided by.
#[must_use]
pub fn standings<'w>(set: &SemSet, world: &'w World) -> Vec<(&'w Process, Standing)> {
    let in_question = in_question(set);
    let of = |(place, process): (usize, &'w Process)| {
        let standing = if !in_question(process) {
            Standing::NotInQuestion
        } else {
            match asked_instead(place, &in_question, world) {
                Some(forker) => Standing::ForkedBy(forker.named.clone()),
                None => standing(place, set, world),
            }
        };
        (process, standing)
    };
    world.processes.iter().map(Rc::as_ref).enumerate().map(of).collect()
}

/// A httpd that leads its session or process group is the parent of an instance. (A worker that
/// lost its parent leads neither; nor does a httpd started from a script without job control: that
/// one counts as a worker, which keeps more.)
#[must_use]
pub fn is_leader(p: &Process) -> bool {
    p.kind == Kind::Httpd && p.leads
}

/// The place of the first httpd of the instance that a living process belongs to.
fn instance_of(pid: Pid, world: &World) -> Option<usize> {
    let mut at = *world.places.get(&pid)?;
    // It ends: each is older than the one it forked.
    while let Some(parent) = world.forked_by[at] {
        at = parent;
    }
    Some(at)
}

/// Whether a set belongs to the instance that `leader` leads: surely, surely not, or (none) perhaps.
#[must_use]
pub fn belongs(set: &SemSet, evidence: &Evidence, world: &World, leader: Pid) -> Option<bool> {
    if mismatch(set).is_some() || evidence.probe.is_err() {
        return Some(false);
    }
    let instance = match &evidence.last_pid {
        LastPid::Living(p) if p.kind == Kind::Httpd => instance_of(p.named.pid, world),
        _ => None,
    };
    if let Some(place) = instance {
        return Some(world.processes[place].named.pid == leader);
    }
    match world.places.get(&leader) {
        Some(place) if may_know(*place, set, world) => None,
        _ => Some(false),
    }
}

/// The earliest and the latest time that any set of a table bears; none: there is no set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(Option<(WallTime, WallTime)>);

impl Span {
    /// Takes in the times of one more set.
    pub fn add(&mut self, set: &SemSet) {
        let (from, to) = self.0.unwrap_or((set.ctime, set.ctime));
        self.0 = Some((from.min(set.ctime), to.max(last_activity(set))));
    }
}

impl<'a> FromIterator<&'a SemSet> for Span {
    fn from_iter<T: IntoIterator<Item = &'a SemSet>>(sets: T) -> Span {
        let mut span = Span::default();
        sets.into_iter().for_each(|set| span.add(set));
        span
    }
}

/// Fills in what the sets' own times say of the clock: whether it was stepped since some of them
/// were stamped (`table`: all sets), and for which leaders a set proves that it was not.
///
/// A process start is counted from boot and carried to the wall clock *as it is now*; a set bears
/// the wall clock *as it was*. A machine whose clock was stepped in between (a paused virtual
/// machine, a late first NTP step) makes a living leader's sets look too old or too new for it. So
/// the times of a leader count only if one of its own sets confirms them.
pub fn settle_clock<'a>(
    world: &mut World,
    table: Span,
    judged: impl IntoIterator<Item = (&'a SemSet, &'a Evidence)>,
) {
    let (now, boot) = (world.clock.now, world.clock.boot);
    // No set survives a reboot, and none is stamped tomorrow.
    let mut stepped =
        table.0.is_some_and(|(from, to)| to > now.plus(SLACK) || from < boot.plus(-SLACK));
    let mut confirmed = Vec::new();
    for (set, evidence) in judged {
        let LastPid::Living(p) = &evidence.last_pid else { continue };
        let surely_theirs = mismatch(set).is_none()
            && p.kind == Kind::Httpd
            && p.start <= last_activity(set).plus(SLACK);
        let leader = match instance_of(p.named.pid, world) {
            Some(place) if surely_theirs && is_leader(&world.processes[place]) => {
                &world.processes[place]
            }
            _ => continue,
        };
        if set.ctime < leader.start.plus(-LAUNCH_WINDOW - SLACK) {
            stepped = true;
        }
        let window = leader.start.plus(-SLACK)..=leader.start.plus(START_WINDOW);
        if window.contains(&set.ctime) {
            confirmed.push((leader.named.pid, set.id));
        }
    }
    world.stepped = stepped;
    world.confirmed = confirmed;
}

#[cfg(test)]
mod tests;
