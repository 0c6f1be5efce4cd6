//! Every row of the table, starting from a set that is an orphan but for one fact.

use std::collections::HashMap;
use std::time::Duration;

use nix::unistd::{Gid, Pid};

use super::*;
use crate::decide::suspects::request;
use crate::facts::evidence::Lock;
use crate::facts::memory::{Budget, ProcFile, Reading, Suspect};
use crate::facts::process::Named;
use crate::facts::row::Row as SetRow;
use crate::facts::set::SemId;
use crate::facts::time::{BootTicks, Clock, WallTime};

const APACHE: u32 = 48;
const STRANGER: u32 = 1000;
const FREE: Option<Lock> = Some(Lock { value: 1, waiters: 0 });

fn uid(number: u32) -> Uid {
    Uid::from_raw(number)
}

fn set() -> SemSet {
    SemSet {
        id: SemId(700_007),
        key: 0,
        nsems: 1,
        mode: 0o600,
        uid: uid(APACHE),
        gid: Gid::from_raw(APACHE),
        cuid: uid(0),
        cgid: Gid::from_raw(0),
        ctime: WallTime(9_500_000),
        otime: Some(WallTime(9_600_000)),
    }
}

/// A set of an httpd that was not started by root.
fn private_set() -> SemSet {
    SemSet { cuid: uid(APACHE), ..set() }
}

fn evidence(number: i32, who: Who, lock: Option<Lock>) -> Evidence {
    Evidence { probe: Probe::Told { last: LastPid { number, who }, lock }, inside: None }
}

fn dead() -> Evidence {
    evidence(300, Who::Nobody, FREE)
}

fn touched_by(p: &Rc<Process>) -> Evidence {
    evidence(p.named.pid.as_raw(), Who::Living(p.clone()), FREE)
}

fn process(pid: i32, kind: Kind, uids: &[u32]) -> Rc<Process> {
    Rc::new(Process {
        named: Named { pid: Pid::from_raw(pid), name: "p".into() }.into(),
        uids: uids.iter().copied().map(uid).collect(),
        kind,
        start: BootTicks(1_000),
        leads: false,
        called_us: false,
    })
}

/// A world of processes whose memory has not been read.
fn unread(processes: &[&Rc<Process>]) -> World {
    let clock =
        Clock { now: WallTime(10_000_000), boot: WallTime(5_000_000), ticks_per_second: 100 };
    World {
        processes: processes.iter().copied().cloned().collect(),
        incomplete: None,
        by_root: true,
        ..World::unseen(clock)
    }
}

/// A world in which each process was read to this extent and holds these semids.
fn read(processes: &[(&Rc<Process>, Extent, &[i32])]) -> World {
    let mut world = unread(&processes.iter().map(|(p, ..)| *p).collect::<Vec<_>>());
    let reading = |(p, extent, holds): &(&Rc<Process>, Extent, &[i32])| {
        let holds = holds.iter().copied().map(SemId).collect();
        (p.identity(), Reading { pid: p.named.pid, holds, extent: *extent })
    };
    world.memory = Memory::Read(processes.iter().map(reading).collect::<HashMap<_, _>>());
    world
}

fn keeps(reason: Reason) -> Verdict {
    Verdict::Keep(reason)
}

#[test]
fn a_set_that_no_running_process_holds_is_an_orphan() {
    for set in [set(), private_set()] {
        assert_eq!(judge(&set, &dead(), &unread(&[])), Verdict::Orphan);
    }
    let httpd = process(77, Kind::Httpd, &[0]);
    assert_eq!(judge(&set(), &dead(), &read(&[(&httpd, Extent::Full, &[1])])), Verdict::Orphan);
    assert_eq!(judge(&set(), &dead(), &read(&[(&httpd, Extent::Gone, &[])])), Verdict::Orphan);
}

#[test]
fn a_set_without_aprs_form_is_not_httpds() {
    let other = uid(STRANGER);
    for (set, want) in [
        (SemSet { key: 0xa7, ..set() }, Mismatch::Key(0xa7)),
        (SemSet { nsems: 3, ..set() }, Mismatch::Nsems(3)),
        (SemSet { mode: 0o666, ..set() }, Mismatch::Mode(0o666)),
        (SemSet { cuid: other, ..set() }, Mismatch::Creator(other)),
    ] {
        assert_eq!(judge(&set, &dead(), &unread(&[])), keeps(Reason::NotHttpds(want)));
    }
}

#[test]
fn anything_unseen_keeps_the_set_and_is_reported() {
    let blind = |evidence: &Evidence, world: &World, blind| {
        for set in [set(), private_set()] {
            assert_eq!(judge(&set, evidence, world), keeps(Reason::Blind(blind)));
        }
    };
    let refused = Evidence { probe: Probe::Refused(Errno::EACCES), inside: None };
    blind(&refused, &unread(&[]), Blind::Refused(Errno::EACCES));
    blind(&Evidence::NONE, &unread(&[]), Blind::Processes(Incomplete::NotRead));
    let unlooked = evidence(300, Who::NotLookedUp, FREE);
    blind(&unlooked, &unread(&[]), Blind::Processes(Incomplete::NotRead));
    blind(&evidence(300, Who::Hidden, FREE), &unread(&[]), Blind::HiddenPid(300));
    for incomplete in [
        Incomplete::NotRead,
        Incomplete::NoProc,
        Incomplete::HidePid,
        Incomplete::Unreadable,
        Incomplete::Restless,
    ] {
        let world = World { incomplete: Some(incomplete), ..unread(&[]) };
        blind(&dead(), &world, Blind::Processes(incomplete));
    }
}

#[test]
fn a_waiter_keeps_the_set() {
    let waited = evidence(300, Who::Nobody, Some(Lock { value: 1, waiters: 2 }));
    let verdict = judge(&set(), &waited, &unread(&[]));
    assert_eq!(verdict, keeps(Reason::Waiters { count: 2, by: None }));
}

#[test]
fn a_process_inside_semop_keeps_the_set_even_if_the_count_came_too_early() {
    let by = process(78, Kind::Httpd, &[APACHE]).named.clone();
    let inside = Evidence { inside: Some(by.clone()), ..dead() };
    let verdict = judge(&set(), &inside, &unread(&[]));
    assert_eq!(verdict, keeps(Reason::Waiters { count: 1, by: Some(by) }));
}

#[test]
fn a_locked_set_is_kept() {
    let locked = evidence(300, Who::Nobody, Some(Lock { value: 0, waiters: 0 }));
    assert_eq!(judge(&set(), &locked, &unread(&[])), keeps(Reason::Locked { by: None }));
}

#[test]
fn a_set_last_touched_by_no_visible_process_is_kept() {
    let unseen = evidence(0, Who::Nobody, FREE);
    assert_eq!(judge(&set(), &unseen, &unread(&[])), keeps(Reason::Unseen));
}

#[test]
fn with_nothing_out_of_sight_a_set_not_yet_set_up_is_kept_while_an_httpd_runs() {
    let unseen = evidence(0, Who::Nobody, FREE);
    let private = |world| World { private_ipc: true, ..world };
    assert_eq!(judge(&set(), &unseen, &private(unread(&[]))), Verdict::Orphan);
    let httpd = process(77, Kind::Httpd, &[0]);
    let world = private(read(&[(&httpd, Extent::Full, &[])]));
    assert_eq!(judge(&set(), &unseen, &world), keeps(Reason::JustMade(httpd.named.clone())));
}

#[test]
fn on_a_kernel_that_does_not_translate_a_dead_last_pid_is_out_of_sight() {
    let foreign = |world| World { foreign_numbers: true, ..world };
    assert_eq!(judge(&set(), &dead(), &foreign(unread(&[]))), keeps(Reason::Unseen));
    // So is the pid of a process that may not access the set.
    let stranger = process(300, Kind::Other, &[STRANGER]);
    let verdict = judge(&set(), &touched_by(&stranger), &foreign(unread(&[&stranger])));
    assert_eq!(verdict, keeps(Reason::Unseen));
    let private = World { private_ipc: true, ..foreign(unread(&[])) };
    assert_eq!(judge(&set(), &dead(), &private), Verdict::Orphan);
}

#[test]
fn a_running_last_pid_that_may_access_the_set_keeps_it() {
    for p in [
        process(300, Kind::Httpd, &[STRANGER]),
        process(300, Kind::Other, &[APACHE]),
        process(300, Kind::Other, &[STRANGER, 0]),
        process(300, Kind::Unreadable, &[STRANGER]),
        process(300, Kind::Other, &[]),
    ] {
        let verdict = judge(&set(), &touched_by(&p), &read(&[(&p, Extent::Full, &[])]));
        assert_eq!(verdict, keeps(Reason::LastPidLives(p.named.clone())), "{p:?}");
    }
}

#[test]
fn a_last_pid_that_may_not_access_the_set_keeps_it_only_if_it_holds_the_semid() {
    let p = process(300, Kind::Other, &[STRANGER]);
    let touched = touched_by(&p);
    assert_eq!(judge(&set(), &touched, &unread(&[&p])), Verdict::Ask);
    assert_eq!(judge(&set(), &touched, &read(&[(&p, Extent::Full, &[])])), Verdict::Orphan);
    let verdict = judge(&set(), &touched, &read(&[(&p, Extent::Full, &[700_007])]));
    assert_eq!(verdict, keeps(Reason::KnownTo(p.named.clone())));
}

#[test]
fn only_processes_in_question_are_asked() {
    let by_root = |p: &Rc<Process>| judge(&set(), &dead(), &unread(&[p])) == Verdict::Ask;
    let by_owner = |p: &Rc<Process>| judge(&private_set(), &dead(), &unread(&[p])) == Verdict::Ask;
    for (kind, uids, of_roots, of_owners) in [
        (Kind::Httpd, &[0][..], true, true),
        (Kind::Httpd, &[STRANGER], true, true),
        (Kind::Unreadable, &[STRANGER], true, true),
        (Kind::Other, &[APACHE], false, true),
        (Kind::Other, &[STRANGER, APACHE], false, true),
        (Kind::Other, &[0], false, true),
        (Kind::Other, &[], false, true),
        (Kind::Other, &[STRANGER], false, false),
    ] {
        let p = process(77, kind, uids);
        assert_eq!((by_root(&p), by_owner(&p)), (of_roots, of_owners), "{p:?}");
    }
    // A guard that is not root cannot read root's processes, nor tell other users' httpds from their
    // other programs: a documented limit.
    for p in [process(77, Kind::Other, &[0]), process(77, Kind::Unreadable, &[0])] {
        let by_owner = World { by_root: false, ..unread(&[&p]) };
        assert_eq!(judge(&private_set(), &dead(), &by_owner), Verdict::Orphan, "{p:?}");
        assert_eq!(judge(&set(), &dead(), &by_owner) == Verdict::Ask, p.may_be_httpd(), "{p:?}");
    }
    let own = process(77, Kind::Unreadable, &[APACHE]);
    let by_owner = World { by_root: false, ..unread(&[&own]) };
    assert_eq!(judge(&private_set(), &dead(), &by_owner), Verdict::Ask);
}

#[test]
fn the_semid_in_the_memory_of_a_process_in_question_keeps_the_set() {
    let leader = process(77, Kind::Httpd, &[0]);
    let worker = process(78, Kind::Httpd, &[APACHE]);
    let world = read(&[(&leader, Extent::Full, &[]), (&worker, Extent::Full, &[5, 700_007])]);
    for set in [set(), private_set()] {
        let verdict = judge(&set, &dead(), &world);
        assert_eq!(verdict, keeps(Reason::KnownTo(worker.named.clone())));
    }
    // Even if the rest of its memory was not read, and before any doubt about another process.
    let gap = Extent::Part(Gap::Budget);
    let world = read(&[(&leader, gap, &[]), (&worker, gap, &[700_007])]);
    let verdict = judge(&set(), &dead(), &world);
    assert_eq!(verdict, keeps(Reason::KnownTo(worker.named.clone())));
}

#[test]
fn incompletely_read_memory_keeps_the_set_and_says_why() {
    let httpd = process(77, Kind::Httpd, &[0]);
    let may = |unread| keeps(Reason::MayBeKnownTo(httpd.named.clone(), unread));
    for gap in [
        Gap::Refused(ProcFile::Mem, Errno::EACCES),
        Gap::Unreadable(Errno::EIO),
        Gap::NoMemory,
        Gap::Restless,
        Gap::HeldUp,
        Gap::Budget,
        Gap::NoReader(Errno::ENOENT),
        Gap::ReaderDied,
    ] {
        let world = read(&[(&httpd, Extent::Part(gap), &[])]);
        for set in [set(), private_set()] {
            assert_eq!(judge(&set, &dead(), &world), may(Unread::Part(gap)));
        }
    }
    let off = World { memory: Memory::Off, ..unread(&[&httpd]) };
    assert_eq!(judge(&set(), &dead(), &off), may(Unread::Off));
}

#[test]
fn unseen_shared_memory_is_no_doubt_about_a_set_that_root_made() {
    let httpd = process(77, Kind::Httpd, &[0]);
    let world = read(&[(&httpd, Extent::Part(Gap::SharedUnseen), &[])]);
    assert_eq!(judge(&set(), &dead(), &world), Verdict::Orphan);
    let unread = Unread::Part(Gap::SharedUnseen);
    let verdict = judge(&private_set(), &dead(), &world);
    assert_eq!(verdict, keeps(Reason::MayBeKnownTo(httpd.named.clone(), unread)));
}

#[test]
fn an_unreadable_caller_is_left_out_unless_it_may_be_an_httpd() {
    let gap = Extent::Part(Gap::Refused(ProcFile::Mem, Errno::EACCES));
    let judged = |p: Process| {
        let p = Rc::new(p);
        judge(&private_set(), &dead(), &read(&[(&p, gap, &[])]))
    };
    let shell = Process::clone(&process(77, Kind::Other, &[APACHE]));
    assert_eq!(judged(Process { called_us: true, ..shell.clone() }), Verdict::Orphan);
    assert!(matches!(judged(shell.clone()), Verdict::Keep(Reason::MayBeKnownTo(..))));
    for kind in [Kind::Httpd, Kind::Unreadable] {
        let caller = Process { called_us: true, kind, ..shell.clone() };
        assert!(matches!(judged(caller), Verdict::Keep(Reason::MayBeKnownTo(..))));
    }
    // One that can be read is in question like any other.
    let p = Rc::new(Process { called_us: true, ..shell });
    let world = read(&[(&p, Extent::Full, &[700_007])]);
    assert_eq!(judge(&private_set(), &dead(), &world), keeps(Reason::KnownTo(p.named.clone())));
}

#[test]
fn unread_processes_are_asked_for() {
    let (first, second) = (process(77, Kind::Httpd, &[0]), process(78, Kind::Httpd, &[0]));
    let mut world = read(&[(&first, Extent::Full, &[])]);
    world.processes.push(second.clone());
    assert_eq!(judge(&set(), &dead(), &world), Verdict::Ask, "it came later");
    // Another process with the pid of one that was read.
    let later = Rc::new(Process { start: BootTicks(2_000), ..Process::clone(&first) });
    world.processes = vec![later];
    assert_eq!(judge(&set(), &dead(), &world), Verdict::Ask);
    let world = read(&[(&first, Extent::Enough, &[])]);
    assert_eq!(judge(&set(), &dead(), &world), Verdict::Ask, "it was read for other sets only");
}

#[test]
fn the_trace_ends_with_the_row_that_decided() {
    let httpd = process(77, Kind::Httpd, &[0]);
    let of = |set: &SemSet, evidence: &Evidence, world: &World| trace(set, evidence, world);
    assert_eq!(of(&SemSet { key: 1, ..set() }, &dead(), &unread(&[])), [Step::Form]);
    assert_eq!(of(&set(), &Evidence::NONE, &unread(&[])), [Step::Form, Step::Sight]);
    let all = [Step::Form, Step::Sight, Step::Use, Step::OutOfSight, Step::LastPid, Step::Memory];
    assert_eq!(of(&set(), &dead(), &unread(&[&httpd])), all);
    assert_eq!(of(&set(), &dead(), &unread(&[])), all, "an orphan passed them all");
    assert_eq!(of(&set(), &touched_by(&httpd), &unread(&[&httpd])), all[..5]);
}

#[test]
fn a_running_httpds_sets_are_known_from_its_memory() {
    let leader = process(77, Kind::Httpd, &[0]);
    let of = |evidence: &Evidence, extent, holds: &[i32]| {
        belongs(&set(), evidence, &read(&[(&leader, extent, holds)]), &leader)
    };
    assert_eq!(of(&dead(), Extent::Full, &[700_007]), Some(true));
    assert_eq!(of(&dead(), Extent::Full, &[]), Some(false));
    assert_eq!(of(&dead(), Extent::Part(Gap::Budget), &[]), None);
    assert_eq!(of(&dead(), Extent::Part(Gap::Budget), &[700_007]), Some(true));
    assert_eq!(of(&Evidence::NONE, Extent::Full, &[700_007]), Some(false));
    assert_eq!(belongs(&set(), &dead(), &unread(&[&leader]), &leader), None);
    // A small number is in every memory: the set may be one that a dead httpd left.
    let small = SemSet { id: SemId(3), ..set() };
    let world = read(&[(&leader, Extent::Full, &[3])]);
    assert_eq!(belongs(&small, &dead(), &world, &leader), None);
}

/// A process that was read in full is not read again: anything that it was not searched for would seem
/// unknown to it.
#[test]
fn a_process_that_is_read_is_searched_for_all_that_memory_may_have_to_decide() {
    let row = |id, evidence, verdict| {
        let set = SemSet { id: SemId(id), ..set() };
        SetRow { evidence, verdict, ..SetRow::listed(set) }
    };
    let (holder, other) = (process(50, Kind::Httpd, &[0]), process(51, Kind::Httpd, &[0]));
    let known = keeps(Reason::KnownTo(holder.named.clone()));
    let touched = keeps(Reason::LastPidLives(holder.named.clone()));
    let rows = [
        row(700_007, dead(), Verdict::Ask),
        row(700_008, dead(), known.clone()),
        row(700_009, touched_by(&holder), touched),
        row(700_010, dead(), keeps(Reason::Locked { by: None })),
    ];
    let mut world = read(&[(&holder, Extent::Full, &[700_008])]);
    world.processes.push(other.clone());
    let budget = Budget { time: Duration::from_secs(1), bytes: 1 };
    let asked = request(&rows, &world, None, &[], budget, false);
    let of = |suspect: &Suspect| {
        let sets = suspect.asks.iter().flat_map(|a| asked.doubts[a.doubt].sets.clone());
        (suspect.pid, sets.collect::<Vec<_>>())
    };
    let open = vec![SemId(700_007), SemId(700_008), SemId(700_009)];
    assert_eq!(asked.suspects.iter().map(of).collect::<Vec<_>>(), [(other.named.pid, open)]);
    // But no process is read if memory decides nothing.
    let rows = [row(700_008, dead(), known)];
    assert!(request(&rows, &world, None, &[], budget, false).suspects.is_empty());
}
