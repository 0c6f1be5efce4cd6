//! Any evidence on any set: `judge` and `settle_clock` are total, and an orphan has nobody alive
//! who could know it. The rules are told here a second time, from the side of the living.

use std::rc::Rc;

use httpd_semguard::decide::verdict;
use httpd_semguard::decide::verdict::World;
use httpd_semguard::facts::evidence::{Evidence, LastPid, Lock, Probe, Unprobed};
use httpd_semguard::facts::printable::printable;
use httpd_semguard::facts::process::{Incomplete, Kind, Named, Process};
use httpd_semguard::facts::set::{SemId, SemSet};
use httpd_semguard::facts::time::{Clock, WallTime};
use httpd_semguard::facts::verdict::{Doubt, Reason, Verdict};
use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid};

use super::bytes::Bytes;

const NOW: i64 = 1_700_000_000;

/// A process that no other one calls its parent.
const NEWCOMER: i32 = 4_000_000;

/// Seconds apart that make a difference somewhere, and their neighbours.
const APART: [i64; 19] =
    [-1_000, -604, -603, -602, -601, -600, -33, -32, -31, -30, -3, -2, -1, 0, 1, 2, 3, 31, 1_000];

/// What is judged.
#[derive(Clone, Debug)]
pub struct Case {
    pub set: SemSet,
    pub evidence: Evidence,
    pub processes: Vec<Process>,
    pub incomplete: Option<Incomplete>,
    pub stepped: bool,
    pub confirmed: Vec<(Pid, SemId)>,
    pub private_ipc: bool,
    /// Further sets for `settle_clock`.
    pub others: Vec<(SemSet, Evidence)>,
}

impl Case {
    /// A case out of any bytes; most have the fingerprint of APR's mutexes.
    pub fn new(data: &[u8]) -> Case {
        let mut bytes = Bytes(data);
        let set = set(&mut bytes);
        let count = bytes.u8() % 7;
        let processes: Vec<Process> =
            (0..count).map(|n| process(&mut bytes, i32::from(n) + 2)).collect();
        let evidence = evidence(&mut bytes, &processes);
        let mut confirmed = Vec::new();
        for p in &processes {
            if bytes.bool() {
                confirmed.push((p.named.pid, SemId(i32::from(bytes.u8() % 8))));
            }
        }
        let others = (0..bytes.u8() % 4)
            .map(|_| (self::set(&mut bytes), self::evidence(&mut bytes, &processes)))
            .collect();
        let incomplete = bytes.rarely(12).then(|| {
            bytes.one_of(&[Incomplete::NoProc, Incomplete::HidePid, Incomplete::Restless])
        });
        let stepped = bytes.rarely(6);
        let private_ipc = bytes.bool();
        Case { set, evidence, processes, incomplete, stepped, confirmed, private_ipc, others }
    }

    fn world(&self) -> World {
        let clock =
            Clock { now: WallTime(NOW), boot: WallTime(NOW - 100_000), ticks_per_second: 100 };
        let mut world = World::new(self.processes.iter().cloned().map(Rc::new).collect(), clock);
        world.incomplete = self.incomplete.clone();
        world.stepped = self.stepped;
        world.confirmed = self.confirmed.clone();
        world.private_ipc = self.private_ipc;
        world
    }

    pub fn verdict(&self) -> Verdict {
        verdict::judge(&self.set, &self.evidence, &self.world())
    }

    fn is_kept(&self) -> bool {
        self.verdict() != Verdict::Orphan
    }
}

pub fn judge(data: &[u8]) {
    let case = Case::new(data);
    match case.verdict() {
        Verdict::Orphan => {
            nobody_can_know_it(&case);
            doubts_keep_it(&case);
        }
        Verdict::Keep(reason) => {
            reason_is_told_in_one_line(&reason);
            doubts_keep_it(&case);
        }
    }
    with_nobody_alive_it_goes(&case);

    let table: Vec<SemSet> =
        case.others.iter().map(|(s, _)| *s).chain(std::iter::once(case.set)).collect();
    let judged = case.others.iter().map(|(s, e)| (s, e));
    let mut world = case.world();
    verdict::settle_clock(
        &mut world,
        table.iter().collect(),
        judged.chain(std::iter::once((&case.set, &case.evidence))),
    );
    let settled = Case { stepped: world.stepped, confirmed: world.confirmed, ..case };
    for (pid, id) in &settled.confirmed {
        let of = |p: &&Process| p.named.pid == *pid;
        let p = settled.processes.iter().find(of).expect("a living process");
        assert!(p.kind == Kind::Httpd && p.leads, "{p:?}");
        let witness = |s: &SemSet| {
            s.id == *id
                && s.ctime >= p.start.plus(-verdict::SLACK)
                && s.ctime <= p.start.plus(verdict::START_WINDOW)
        };
        assert!(table.iter().any(witness), "{pid} is confirmed by nothing");
    }
    if table.iter().any(|s| s.ctime > WallTime(NOW + verdict::SLACK)) {
        assert!(settled.stepped, "a set of tomorrow proves a stepped clock");
    }
    if !settled.is_kept() {
        nobody_can_know_it(&settled);
    }
}

/// What an orphan is, told from the side of those who live.
fn nobody_can_know_it(case: &Case) {
    let Case { set, evidence, .. } = case;
    assert_eq!((set.key, set.nsems, set.mode), (0, 1, 0o600), "not httpd's: {case:?}");
    assert!(set.cuid.is_root() || set.cuid == set.uid, "a stranger's: {case:?}");
    let probe = evidence.probe.expect("it was probed");
    assert!(probe.lock.is_none_or(|l| l.value != 0 && l.waiters <= 0), "{case:?}");
    assert!(evidence.inside.is_none(), "{case:?}");
    assert_eq!(case.incomplete, None, "{case:?}");
    let latest = set.otime.map_or(set.ctime, |o| o.max(set.ctime));
    match &evidence.last_pid {
        LastPid::Dead(_) => {}
        LastPid::Unseen => assert!(case.private_ipc, "{case:?}"),
        LastPid::Living(p) => {
            let later = p.start > latest.plus(verdict::SLACK);
            let may_not = !p.may_run_as(set.uid) && !p.may_run_as(Uid::from_raw(0));
            assert!(p.kind == Kind::Other && !case.stepped && later && may_not, "{case:?}");
        }
        LastPid::Hidden(_) | LastPid::NotAsked => panic!("nobody knows of its last pid: {case:?}"),
    }
    for p in &case.processes {
        let concerned = match p.kind {
            _ if !set.cuid.is_root() => p.may_run_as(set.uid),
            Kind::Httpd | Kind::Unreadable => true,
            Kind::Other => false,
        };
        assert!(!concerned || is_excluded(p, case), "{} may know it: {case:?}", p.named);
    }
}

/// Whether the times of a httpd's leader, proved to be of one clock with the set's, say that none
/// of that instance ever knew it.
fn is_excluded(p: &Process, case: &Case) -> bool {
    let Case { set, processes, .. } = case;
    let mut at = p;
    // Up to the one that was forked by no living httpd, or made itself a leader.
    while !at.leads {
        let forked_it = |q: &&Process| {
            q.kind == Kind::Httpd
                && at.parent == Some(q.named.pid)
                && (q.start, q.named.pid) < (at.start, at.named.pid)
        };
        match processes.iter().find(forked_it) {
            Some(parent) if set.cuid.is_root() || parent.may_run_as(set.uid) => at = parent,
            _ => return false,
        }
    }
    let proofs = case.confirmed.iter().filter(|(leader, _)| *leader == at.named.pid);
    let Some(first) = proofs.map(|(_, id)| *id).min() else { return false };
    let on_one_clock = !case.stepped;
    let before_its_launcher = set.ctime < at.start.plus(-86_400 - 2);
    let after_its_start =
        set.otime.is_none() && set.id > first && set.ctime > at.start.plus(30 + 2);
    p.kind == Kind::Httpd
        && at.kind == Kind::Httpd
        && on_one_clock
        && (before_its_launcher || after_its_start)
}

/// No further doubt turns what is kept into an orphan; most keep an orphan, too.
fn doubts_keep_it(case: &Case) {
    let kept = case.is_kept();
    let with = |change: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        other.is_kept()
    };
    let with_probe = |change: &dyn Fn(&mut Probe)| {
        with(&|c| {
            if let Ok(probe) = &mut c.evidence.probe {
                change(probe);
            }
        })
    };
    assert!(with_probe(&|p| p.lock = Some(Lock { value: 0, waiters: 0 })));
    assert!(with_probe(&|p| p.lock = Some(Lock { value: 1, waiters: 1 })));
    assert!(with(&|c| c.evidence.probe = Err(Unprobed::Refused(Errno::EACCES))));
    assert!(with(&|c| c.evidence.inside = Some(named(9))));
    assert!(with(&|c| c.evidence.last_pid = LastPid::Hidden(Pid::from_raw(9))));
    assert!(with(&|c| c.incomplete = Some(Incomplete::Restless)));
    let newcomer = |kind, uids: Vec<Uid>| {
        move |c: &mut Case| {
            let start = WallTime(NOW - 700);
            let named = named(NEWCOMER);
            let parent = Some(Pid::from_raw(1));
            let uids = uids.clone();
            let p = Process { named, parent, uids, kind, start, leads: true, called_us: false };
            c.processes.push(p);
        }
    };
    // Unconfirmed, or of unknown users: it may know everything.
    assert!(with(&newcomer(Kind::Httpd, Vec::new())));
    assert!(with(&newcomer(Kind::Unreadable, vec![case.set.uid])));
    if case.set.cuid.is_root() {
        assert!(with(&newcomer(Kind::Httpd, vec![Uid::from_raw(0)])));
    } else {
        assert!(with(&newcomer(Kind::Other, vec![case.set.uid])));
    }
    if !kept {
        return;
    }
    assert!(with(&|c| c.stepped = true));
    assert!(with(&|c| c.confirmed.clear()));
    assert!(with(&|c| c.private_ipc = false));
    assert!(with(&newcomer(Kind::Other, vec![Uid::from_raw(0)])));
}

/// The other side of the promise: what is free, of httpd's form, and known to nobody goes.
fn with_nobody_alive_it_goes(case: &Case) {
    let Ok(probe) = case.evidence.probe else { return };
    let mut alone = case.clone();
    alone.processes.clear();
    alone.incomplete = None;
    alone.evidence.inside = None;
    alone.evidence.last_pid = LastPid::Dead(Pid::from_raw(9));
    let free = probe.lock.is_none_or(|l| l.value > 0 && l.waiters == 0);
    if verdict::mismatch(&case.set).is_none() && free {
        assert!(!alone.is_kept(), "{alone:?}");
    }
}

fn reason_is_told_in_one_line(reason: &Reason) {
    let told = reason.to_string();
    assert!(super::is_plain(&told) && !told.is_empty(), "{told:?}");
    if let Reason::Blind(Doubt::Refused(e)) = reason {
        assert!(told.contains(&format!("{e:?}")));
    }
}

fn time(bytes: &mut Bytes) -> WallTime {
    match bytes.u8() % 16 {
        15 => WallTime(bytes.i64()),
        14 => WallTime(NOW + i64::from(bytes.i32() % 200_000)),
        _ => WallTime(NOW - 2_000 + bytes.one_of(&APART)),
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
        id: SemId(7),
        key: if bytes.rarely(16) { bytes.i32() } else { 0 },
        nsems: if bytes.rarely(16) { bytes.u8().into() } else { 1 },
        mode: if bytes.rarely(16) { u32::from(bytes.u8()) } else { 0o600 },
        uid,
        gid: Gid::from_raw(48),
        cuid: if bytes.rarely(16) { self::uid(bytes) } else { creator },
        cgid: Gid::from_raw(0),
        ctime: time(bytes),
        otime: bytes.bool().then(|| time(bytes)),
    }
}

fn process(bytes: &mut Bytes, pid: i32) -> Process {
    let name: String = (0..bytes.u8() % 3).map(|_| char::from(bytes.u8())).collect();
    Process {
        // As the process table hands them on.
        named: Named { pid: Pid::from_raw(pid), name: printable(&name) }.into(),
        parent: bytes.bool().then(|| Pid::from_raw(1 + i32::from(bytes.u8() % 9))),
        uids: (0..bytes.u8() % 3).map(|_| uid(bytes)).collect(),
        kind: bytes.one_of(&[Kind::Httpd, Kind::Httpd, Kind::Other, Kind::Other, Kind::Unreadable]),
        start: time(bytes),
        leads: bytes.bool(),
        called_us: false,
    }
}

fn evidence(bytes: &mut Bytes, processes: &[Process]) -> Evidence {
    let last_pid = bytes.u8().into();
    let lock = Lock {
        value: if bytes.rarely(8) { bytes.one_of(&[0, 0, 2, 32_767]) } else { 1 },
        waiters: if bytes.rarely(8) { bytes.i32() & i32::MAX } else { 0 },
    };
    let probe = Probe { last_pid, lock: (!bytes.rarely(8)).then_some(lock) };
    let some = Pid::from_raw(i32::from(bytes.u8()) + 2);
    let last_pid = match bytes.u8() % 8 {
        0..=2 => LastPid::Dead(some),
        3 => LastPid::Unseen,
        4..=6 => match processes.iter().find(|p| p.named.pid.as_raw() >= some.as_raw() % 9) {
            Some(p) => LastPid::Living(p.clone().into()),
            None => LastPid::Dead(some),
        },
        _ if bytes.bool() => LastPid::Hidden(some),
        _ => LastPid::NotAsked,
    };
    let refused = bytes.rarely(12);
    Evidence {
        probe: if refused { Err(Unprobed::Refused(Errno::EACCES)) } else { Ok(probe) },
        last_pid,
        inside: bytes.rarely(16).then(|| named(3)),
    }
}
