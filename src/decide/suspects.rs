//! Which processes could hold a set's semid, and what is to be searched for in their memory. Pure.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use nix::unistd::{Pid, Uid};

use crate::decide::verdict::mismatch;
use crate::facts::evidence::{Evidence, LastPid};
use crate::facts::memory::{Ask, Budget, Doubt, Extent, Request, Suspect, Words};
use crate::facts::process::{Kind, Process};
use crate::facts::row::Row;
use crate::facts::set::{SemId, SemSet};
use crate::facts::verdict::{Blind, Reason, Verdict};
use crate::facts::world::{Memory, World};

/// Whether a process is in question for sets made by `maker`. For every set, an httpd is. For a set
/// that its owner made, so is each process that can act as the owner, and root's processes, which can
/// become the owner, if the guard may read them.
fn is_in_question(maker: Maker, world: &World, p: &Process) -> bool {
    match maker {
        None => p.may_be_httpd(),
        Some(owner) => {
            let is_roots = p.may_act_as(Uid::from_raw(0));
            // A guard that is not root cannot read other users' programs. If those counted, no owner
            // could ever guard their own httpd.
            let others = world.by_root && (p.kind == Kind::Unreadable || is_roots);
            p.kind == Kind::Httpd || p.may_act_as(owner) || others
        }
    }
}

/// Who made a set: its owner, or root (`None`).
type Maker = Option<Uid>;

fn maker(set: &SemSet) -> Maker {
    (!set.cuid.is_root()).then_some(set.uid)
}

/// The uid by which makers are sorted.
fn raw(maker: Maker) -> Option<u32> {
    maker.map(Uid::as_raw)
}

/// The running processes in question for a set: those that could use it, and the process that now has
/// its last pid.
pub fn suspects<'w>(
    set: &SemSet,
    evidence: &'w Evidence,
    world: &'w World,
) -> impl Iterator<Item = &'w Rc<Process>> {
    let maker = maker(set);
    let toucher = evidence.last().and_then(LastPid::living).map(|p| p.named.pid);
    let is_one =
        move |p: &&Rc<Process>| is_in_question(maker, world, p) || Some(p.named.pid) == toucher;
    world.processes.iter().filter(is_one)
}

/// What has to be read to judge the sets on which only memory can decide, and to count those that the
/// `running` httpd holds, including those in `beside`. Processes already read are left out.
#[must_use]
pub fn request(
    rows: &[Row],
    world: &World,
    running: Option<&Process>,
    beside: &[SemId],
    budget: Budget,
    thorough: bool,
) -> Request {
    // Sets grouped by who made them, and those that concern only the running httpd. A process is
    // searched for everything that memory may have to decide in this run, not only for what it decides
    // now: those that hold or touched the other sets may be dead by the next look, and no process is
    // read twice.
    let mut groups: BTreeMap<Option<u32>, Group> = BTreeMap::new();
    for row in rows.iter().filter(|r| is_open(&r.verdict)) {
        let group = groups.entry(raw(maker(&row.set))).or_default();
        group.sets.push(row.set.id);
        group.asked |= row.verdict == Verdict::Ask;
        group.touchers.extend(row.evidence.last().and_then(LastPid::living).map(|p| p.named.pid));
    }
    let its_own = |r: &&Row| mismatch(&r.set).is_none() && r.evidence.last().is_some();
    let of_running = match running {
        Some(_) => {
            rows.iter().filter(its_own).map(|r| r.set.id).chain(beside.iter().copied()).collect()
        }
        None => Vec::new(),
    };
    let mut suspects: Vec<(u8, Suspect)> = Vec::new();
    for p in world.processes.iter().filter(|p| !was_read(p, world)) {
        let is_running = running.is_some_and(|r| r.identity() == p.identity());
        let (mut asks, mut asked) = (Vec::new(), false);
        let mut at = 4;
        for (number, (maker, group)) in groups.iter().enumerate() {
            let maker = maker.map(Uid::from_raw);
            let own = maker.is_some_and(|owner| p.may_act_as(owner));
            if is_in_question(maker, world, p) || group.touchers.contains(&p.named.pid) {
                let words = if own { Words::AnyLanguage } else { Words::Plain };
                asks.push(Ask { doubt: number, words });
                asked |= group.asked;
            }
            if own {
                at = 3;
            }
        }
        if is_running && !of_running.is_empty() {
            asks.push(Ask { doubt: groups.len(), words: Words::Plain });
            asked = true;
        }
        if asked {
            let place = match p {
                _ if is_running => 0,
                p if p.is_leader() => 1,
                p if p.may_be_httpd() => 2,
                _ => at,
            };
            suspects.push((place, Suspect { pid: p.named.pid, asks }));
        }
    }
    // The httpd in question, other httpds' first processes, further httpds, the owner's, root's.
    suspects.sort_by_key(|(place, _)| *place);
    let mut doubts: Vec<Doubt> = groups
        .into_iter()
        .map(|(maker, group)| Doubt { sets: group.sets, made_by_owner: maker.is_some() })
        .collect();
    doubts.push(Doubt { sets: of_running, made_by_owner: false });
    let suspects = suspects.into_iter().map(|(_, suspect)| suspect).collect();
    Request { doubts, suspects, budget, thorough }
}

/// Whether memory decides, or may do so once another process has ended: everything else that a verdict
/// rests on is read once per run.
fn is_open(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Ask | Verdict::Orphan => true,
        Verdict::Keep(reason) => match reason {
            Reason::LastPidLives(_) | Reason::KnownTo(_) | Reason::MayBeKnownTo(..) => true,
            Reason::Blind(blind) => !matches!(blind, Blind::Refused(_)),
            Reason::NotHttpds(_)
            | Reason::Waiters { .. }
            | Reason::Locked { .. }
            | Reason::Unseen
            | Reason::JustMade(_) => false,
        },
    }
}

/// Sets made by one user.
#[derive(Default)]
struct Group {
    sets: Vec<SemId>,
    /// Memory decides on one of them now.
    asked: bool,
    /// Processes that have the last pid of one of them.
    touchers: HashSet<Pid>,
}

/// Whether it is already known what a process holds, or known that this cannot be found out.
fn was_read(p: &Process, world: &World) -> bool {
    match &world.memory {
        Memory::NotRead => false,
        Memory::Off => true,
        Memory::Read(read) => {
            read.get(&p.identity()).is_some_and(|reading| reading.extent != Extent::Enough)
        }
    }
}
