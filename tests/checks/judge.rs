//! Arbitrary evidence on arbitrary sets: `judge` is total, and no running process can use an orphan.
//! The rules are stated here a second time, from the point of view of the running processes.

use std::rc::Rc;

use httpd_semguard::decide::verdict::{self, mismatch};
use httpd_semguard::facts::evidence::{Evidence, LastPid, Lock, Probe, Who};
use httpd_semguard::facts::memory::{Extent, Gap, ProcFile, Reading};
use httpd_semguard::facts::printable::printable;
use httpd_semguard::facts::process::{Incomplete, Kind, Named, Process};
use httpd_semguard::facts::set::{SemId, SemSet};
use httpd_semguard::facts::time::{BootTicks, Clock, WallTime};
use httpd_semguard::facts::verdict::{Blind, Reason, Verdict};
use httpd_semguard::facts::world::{Memory, World};
use httpd_semguard::tell::words::why;
use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid};

use super::bytes::Bytes;

/// The set that is judged.
const ID: SemId = SemId(700_007);

/// A process that is not among those of a case.
const NEWCOMER: i32 = 4_000_000;

/// What is judged.
#[derive(Clone, Debug)]
pub struct Case {
    pub set: SemSet,
    pub evidence: Evidence,
    /// The running processes, and what was read of each; `None` if nothing was.
    pub processes: Vec<(Process, Option<Reading>)>,
    pub incomplete: Option<Incomplete>,
    pub foreign_numbers: bool,
    pub private_ipc: bool,
    pub by_root: bool,
    pub memory_off: bool,
}

impl Case {
    /// Makes a case from arbitrary bytes; most have the form of APR's mutexes.
    pub fn new(data: &[u8]) -> Case {
        let mut bytes = Bytes(data);
        let set = set(&mut bytes);
        let count = bytes.u8() % 5;
        let one = |n: u8| {
            let p = process(&mut bytes, i32::from(n) + 2);
            let reading = reading(&mut bytes, &p);
            (p, reading)
        };
        let processes: Vec<_> = (0..count).map(one).collect();
        let evidence = evidence(&mut bytes, &processes);
        let incomplete = bytes.rarely(12).then(|| {
            bytes.one_of(&[Incomplete::NoProc, Incomplete::HidePid, Incomplete::Restless])
        });
        Case {
            set,
            evidence,
            processes,
            incomplete,
            foreign_numbers: bytes.rarely(8),
            private_ipc: bytes.bool(),
            by_root: !bytes.rarely(4),
            memory_off: bytes.rarely(8),
        }
    }

    fn world(&self) -> World {
        let (now, boot) = (WallTime(10_000_000), WallTime(5_000_000));
        let clock = Clock { now, boot, ticks_per_second: 100 };
        let readings = self
            .processes
            .iter()
            .filter_map(|(p, reading)| reading.clone().map(|reading| (p.identity(), reading)));
        World {
            processes: self.processes.iter().map(|(p, _)| Rc::new(p.clone())).collect(),
            incomplete: self.incomplete,
            foreign_numbers: self.foreign_numbers,
            private_ipc: self.private_ipc,
            by_root: self.by_root,
            memory: if self.memory_off { Memory::Off } else { Memory::Read(readings.collect()) },
            ..World::unseen(clock)
        }
    }

    pub fn verdict(&self) -> Verdict {
        verdict::judge(&self.set, &self.evidence, &self.world())
    }

    fn is_kept(&self) -> bool {
        self.verdict() != Verdict::Orphan
    }

    /// Whether a running process could use the set, if it held its semid.
    fn could_use(&self, p: &Process) -> bool {
        let acts_as = |uid| p.uids.is_empty() || p.uids.contains(&uid);
        let owner_made = self.set.cuid != Uid::from_raw(0);
        p.kind == Kind::Httpd
            || p.kind == Kind::Unreadable && (self.by_root || !owner_made)
            || owner_made && acts_as(self.set.uid)
            || owner_made && self.by_root && acts_as(Uid::from_raw(0))
            || self.evidence.last().is_some_and(|last| last.number == p.named.pid.as_raw())
    }
}

pub fn judge(data: &[u8]) {
    let case = Case::new(data);
    let verdict = case.verdict();
    if verdict == Verdict::Orphan {
        no_process_can_use_it(&case);
    }
    doubts_keep_it(&case);
    without_processes_it_goes(&case);
    is_reported_in_one_line(&verdict);
    let trace = verdict::trace(&case.set, &case.evidence, &case.world());
    assert_eq!(trace.first(), Some(&verdict::Step::Form));
    assert_eq!(trace.len() == 1, matches!(verdict, Verdict::Keep(Reason::NotHttpds(_))));
}

/// What must be true of an orphan.
fn no_process_can_use_it(case: &Case) {
    assert_eq!(mismatch(&case.set), None);
    assert_eq!(case.incomplete, None);
    assert_eq!(case.evidence.inside, None);
    let Probe::Told { last, lock } = &case.evidence.probe else { panic!("{case:?}") };
    assert!(lock.is_none_or(|l| l.value != 0 && l.waiters <= 0), "{case:?}");
    assert!(!matches!(last.who, Who::Hidden | Who::NotLookedUp), "{case:?}");
    assert!(last.number != 0 || case.private_ipc, "{case:?}");
    assert!(!case.foreign_numbers || case.private_ipc, "{case:?}");
    let living: Vec<_> = case.processes.iter().filter(|(p, _)| case.could_use(p)).collect();
    assert!(living.is_empty() || !case.memory_off, "{case:?}");
    assert!(living.is_empty() || last.number != 0, "{case:?}");
    for (p, reading) in living {
        let reading = reading.as_ref().unwrap_or_else(|| panic!("{p:?} was not read: {case:?}"));
        assert!(!reading.holds.contains(&ID), "{p:?} holds it: {case:?}");
        let caller = p.called_us && p.kind == Kind::Other;
        match reading.extent {
            Extent::Full | Extent::Gone => {}
            Extent::Part(Gap::SharedUnseen) => assert!(case.set.cuid.is_root(), "{case:?}"),
            Extent::Part(Gap::Refused(..)) => assert!(caller, "{case:?}"),
            Extent::Part(_) | Extent::Enough => panic!("{p:?} was not read in full: {case:?}"),
        }
    }
}

/// With one more fact that suggests a running user, no orphan remains an orphan.
fn doubts_keep_it(case: &Case) {
    let with = |change: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        other.is_kept()
    };
    let with_lock = |lock| {
        with(&|c| {
            if let Probe::Told { lock: was, .. } = &mut c.evidence.probe {
                *was = Some(lock);
            }
        })
    };
    assert!(with_lock(Lock { value: 0, waiters: 0 }));
    assert!(with_lock(Lock { value: 1, waiters: 1 }));
    assert!(with(&|c| c.evidence.probe = Probe::Refused(Errno::EACCES)));
    assert!(with(&|c| c.evidence.inside = Some(named(9))));
    assert!(with(&|c| c.incomplete = Some(Incomplete::Restless)));
    let newcomer = |kind, uids: Vec<Uid>, reading: Option<(Extent, bool)>| {
        move |c: &mut Case| {
            let p = Process {
                named: named(NEWCOMER),
                uids: uids.clone(),
                kind,
                start: BootTicks(1),
                leads: true,
                called_us: false,
            };
            let reading = reading.map(|(extent, holds)| Reading {
                pid: p.named.pid,
                holds: if holds { vec![ID] } else { Vec::new() },
                extent,
            });
            c.processes.push((p, reading));
        }
    };
    // Unread, read in part, or read and found to hold it.
    for reading in [None, Some((Extent::Part(Gap::Budget), false)), Some((Extent::Full, true))] {
        assert!(with(&newcomer(Kind::Httpd, vec![Uid::from_raw(0)], reading)));
        assert!(with(&newcomer(Kind::Unreadable, Vec::new(), reading)));
        if !case.set.cuid.is_root() {
            assert!(with(&newcomer(Kind::Other, vec![case.set.uid], reading)));
        }
    }
    // A process that could not use it proves nothing, whatever its memory contains.
    let stranger = newcomer(Kind::Other, vec![Uid::from_raw(77)], Some((Extent::Full, true)));
    assert_eq!(with(&stranger), case.is_kept());
}

/// The other side of the promise: a set that is free, in httpd's form and known to no process goes.
fn without_processes_it_goes(case: &Case) {
    let Probe::Told { lock, .. } = &case.evidence.probe else { return };
    let mut alone = case.clone();
    alone.processes.clear();
    alone.incomplete = None;
    alone.foreign_numbers = false;
    alone.evidence.inside = None;
    let last = LastPid { number: 9, who: Who::Nobody };
    alone.evidence.probe = Probe::Told { last, lock: *lock };
    let free = lock.is_none_or(|l| l.value > 0 && l.waiters == 0);
    if mismatch(&case.set).is_none() && free {
        assert!(!alone.is_kept(), "{alone:?}");
    }
}

fn is_reported_in_one_line(verdict: &Verdict) {
    let told = why(verdict);
    assert!(super::is_plain(&told) && !told.is_empty(), "{told:?}");
    if let Verdict::Keep(Reason::Blind(Blind::Refused(e))) = verdict {
        assert!(told.contains(&format!("{e:?}")));
    }
}

fn uid(bytes: &mut Bytes) -> Uid {
    Uid::from_raw(bytes.one_of(&[48, 0, 33]))
}

fn named(pid: i32) -> Rc<Named> {
    Named { pid: Pid::from_raw(pid), name: "p".into() }.into()
}

fn set(bytes: &mut Bytes) -> SemSet {
    let uid = Uid::from_raw(bytes.one_of(&[48, 48, 48, 33]));
    let creator = bytes.one_of(&[Uid::from_raw(0), uid, Uid::from_raw(0), uid]);
    SemSet {
        id: ID,
        key: if bytes.rarely(16) { bytes.i32() } else { 0 },
        nsems: if bytes.rarely(16) { bytes.u8().into() } else { 1 },
        mode: if bytes.rarely(16) { u32::from(bytes.u8()) } else { 0o600 },
        uid,
        gid: Gid::from_raw(48),
        cuid: if bytes.rarely(16) { self::uid(bytes) } else { creator },
        cgid: Gid::from_raw(0),
        ctime: WallTime(bytes.i64()),
        otime: bytes.bool().then(|| WallTime(bytes.i64())),
    }
}

fn process(bytes: &mut Bytes, pid: i32) -> Process {
    let name: String = (0..bytes.u8() % 3).map(|_| char::from(bytes.u8())).collect();
    Process {
        // As the process table passes them on.
        named: Named { pid: Pid::from_raw(pid), name: printable(&name) }.into(),
        uids: (0..bytes.u8() % 3).map(|_| uid(bytes)).collect(),
        kind: bytes.one_of(&[Kind::Httpd, Kind::Httpd, Kind::Other, Kind::Other, Kind::Unreadable]),
        start: BootTicks(bytes.u8().into()),
        leads: bytes.bool(),
        called_us: bytes.rarely(8),
    }
}

fn reading(bytes: &mut Bytes, p: &Process) -> Option<Reading> {
    const GAPS: [Gap; 4] = [
        Gap::SharedUnseen,
        Gap::Budget,
        Gap::Refused(ProcFile::Mem, Errno::EACCES),
        Gap::Unreadable(Errno::EIO),
    ];
    let extent = match bytes.u8() % 8 {
        0 => return None,
        1 => Extent::Part(bytes.one_of(&GAPS)),
        2 => bytes.one_of(&[Extent::Enough, Extent::Gone]),
        _ => Extent::Full,
    };
    let holds = if bytes.rarely(6) { vec![SemId(3), ID] } else { vec![SemId(3)] };
    Some(Reading { pid: p.named.pid, holds, extent })
}

fn evidence(bytes: &mut Bytes, processes: &[(Process, Option<Reading>)]) -> Evidence {
    let lock = Lock {
        value: if bytes.rarely(8) { bytes.one_of(&[0, 0, 2, 32_767]) } else { 1 },
        waiters: if bytes.rarely(8) { bytes.i32() & i32::MAX } else { 0 },
    };
    let number = i32::from(bytes.u8()) + 100;
    let last = match bytes.u8() % 8 {
        0..=2 => LastPid { number, who: Who::Nobody },
        3 => LastPid { number: 0, who: Who::Nobody },
        4..=6 => match processes.get(usize::from(bytes.u8()) % processes.len().max(1)) {
            Some((p, _)) => {
                LastPid { number: p.named.pid.as_raw(), who: Who::Living(p.clone().into()) }
            }
            None => LastPid { number, who: Who::Nobody },
        },
        _ => LastPid { number, who: bytes.one_of(&[Who::Hidden, Who::NotLookedUp]) },
    };
    let told = Probe::Told { last, lock: (!bytes.rarely(8)).then_some(lock) };
    let refused = bytes.rarely(12);
    Evidence {
        probe: if refused { Probe::Refused(Errno::EACCES) } else { told },
        inside: bytes.rarely(16).then(|| named(3)),
    }
}
