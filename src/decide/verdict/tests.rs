//! Every row of the table, from a set that is an orphan but for one fact.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid};
use proptest::prelude::*;

use super::*;
use crate::decide::verdict::{LAUNCH_WINDOW, SLACK, START_WINDOW, World};
use crate::facts::evidence::{Evidence, LastPid, Lock, Probe, Unprobed};
use crate::facts::process::{Incomplete, Kind, Named, Process};
use crate::facts::set::{SemId, SemSet};
use crate::facts::time::{Clock, WallTime};
use crate::facts::verdict::{Doubt, Mismatch, Reason, Verdict};

const NOW: i64 = 10_000_000;
const BOOT: i64 = 5_000_000;
const APACHE: u32 = 48;

const FREE: Option<Lock> = Some(Lock { value: 1, waiters: 0 });

fn set() -> SemSet {
    SemSet {
        id: SemId(7),
        key: 0,
        nsems: 1,
        mode: 0o600,
        uid: Uid::from_raw(APACHE),
        gid: Gid::from_raw(APACHE),
        cuid: Uid::from_raw(0),
        cgid: Gid::from_raw(0),
        ctime: WallTime(NOW - 500_000),
        otime: Some(WallTime(NOW - 400_000)),
    }
}

/// A set of a httpd that was not started by root.
fn private_set() -> SemSet {
    SemSet { cuid: Uid::from_raw(APACHE), ..set() }
}

fn dead() -> Evidence {
    Evidence {
        probe: Ok(Probe { last_pid: 300, lock: FREE }),
        last_pid: LastPid::Dead(Pid::from_raw(300)),
        inside: None,
    }
}

fn touched_by(p: Process) -> Evidence {
    Evidence {
        probe: Ok(Probe { last_pid: p.named.pid.as_raw(), lock: FREE }),
        last_pid: LastPid::Living(p.into()),
        inside: None,
    }
}

fn process(pid: i32, kind: Kind, start: i64) -> Process {
    Process {
        named: Named { pid: Pid::from_raw(pid), name: "p".into() }.into(),
        parent: Some(Pid::from_raw(1)),
        uids: vec![Uid::from_raw(0)],
        kind,
        start: WallTime(start),
        leads: false,
        called_us: false,
    }
}

fn leader(pid: i32, start: i64) -> Process {
    Process { leads: true, ..process(pid, Kind::Httpd, start) }
}

fn worker_of(parent: i32, pid: i32, start: i64) -> Process {
    Process {
        parent: Some(Pid::from_raw(parent)),
        uids: vec![Uid::from_raw(APACHE)],
        ..process(pid, Kind::Httpd, start)
    }
}

fn of_user(pid: i32, kind: Kind, start: i64) -> Process {
    Process { uids: vec![Uid::from_raw(APACHE)], ..process(pid, kind, start) }
}

fn world(processes: Vec<Process>) -> World {
    let clock = Clock { now: WallTime(NOW), boot: WallTime(BOOT), ticks_per_second: 100 };
    World::new(processes.into_iter().map(Rc::new).collect(), clock)
}

/// A world in which a set proves the start times of the processes named.
fn confirmed(processes: Vec<Process>) -> World {
    let confirmed = processes.iter().map(|p| (p.named.pid, SemId(1))).collect();
    World { confirmed, ..world(processes) }
}

fn kept(verdict: &Verdict) -> &Reason {
    match verdict {
        Verdict::Keep(reason) => reason,
        Verdict::Orphan => panic!("an orphan"),
    }
}

#[test]
fn what_nobody_alive_can_know_is_an_orphan() {
    assert_eq!(judge(&set(), &dead(), &world(vec![])), Verdict::Orphan);
    assert_eq!(judge(&private_set(), &dead(), &world(vec![])), Verdict::Orphan);
}

#[test]
fn what_lacks_the_fingerprint_is_not_httpds() {
    let other = Uid::from_raw(1000);
    for (set, want) in [
        (SemSet { key: 0xa7, ..set() }, Mismatch::Key(0xa7)),
        (SemSet { nsems: 3, ..set() }, Mismatch::Nsems(3)),
        (SemSet { mode: 0o666, ..set() }, Mismatch::Mode(0o666)),
        (SemSet { cuid: other, ..set() }, Mismatch::Creator(other)),
    ] {
        assert_eq!(kept(&judge(&set, &dead(), &world(vec![]))), &Reason::NotHttpds(want));
    }
}

#[test]
fn what_the_kernel_refuses_to_tell_is_kept_with_the_errno() {
    let evidence = Evidence { probe: Err(Unprobed::Refused(Errno::EACCES)), ..dead() };
    let verdict = judge(&set(), &evidence, &world(vec![]));
    assert_eq!(kept(&verdict), &Reason::Blind(Doubt::Refused(Errno::EACCES)));
}

#[test]
fn an_incomplete_process_table_keeps_everything() {
    for incomplete in
        [Incomplete::NoProc, Incomplete::HidePid, Incomplete::Unreadable, Incomplete::Restless]
    {
        let world = World { incomplete: Some(incomplete.clone()), ..world(vec![]) };
        for set in [set(), private_set()] {
            let verdict = judge(&set, &dead(), &world);
            assert_eq!(kept(&verdict), &Reason::Blind(Doubt::Processes(incomplete.clone())));
        }
    }
}

#[test]
fn a_last_pid_that_proc_hides_keeps_the_set() {
    let pid = Pid::from_raw(300);
    let evidence = Evidence { last_pid: LastPid::Hidden(pid), ..dead() };
    let verdict = judge(&set(), &evidence, &world(vec![]));
    assert_eq!(kept(&verdict), &Reason::Blind(Doubt::HiddenPid(pid)));
}

#[test]
fn a_process_with_an_unreadable_executable_might_be_httpd() {
    let p = process(9, Kind::Unreadable, NOW);
    let world = confirmed(vec![p.clone()]);
    let verdict = judge(&set(), &dead(), &world);
    assert_eq!(kept(&verdict), &Reason::Blind(Doubt::Executable(p.named)));
    // It cannot have made what its owner made, unless it runs as the owner.
    assert_eq!(judge(&private_set(), &dead(), &world), Verdict::Orphan);
}

#[test]
fn a_waiter_keeps_the_set() {
    let probe =
        Probe { lock: Some(Lock { value: 1, waiters: 2 }), ..dead().probe.expect("probed") };
    let evidence = Evidence { probe: Ok(probe), ..dead() };
    let verdict = judge(&set(), &evidence, &world(vec![]));
    assert_eq!(kept(&verdict), &Reason::Waiters { count: 2, by: None });
}

#[test]
fn what_was_not_asked_is_kept() {
    let evidence = Evidence { probe: Err(Unprobed::NotAsked), ..dead() };
    assert!(matches!(kept(&judge(&set(), &evidence, &world(vec![]))), Reason::Blind(_)));
}

#[test]
fn a_process_inside_semop_keeps_the_set_even_if_the_count_came_too_early() {
    let named = Rc::new(Named { pid: Pid::from_raw(5), name: "httpd".into() });
    let evidence = Evidence { inside: Some(named.clone()), ..dead() };
    let verdict = judge(&set(), &evidence, &world(vec![]));
    assert_eq!(kept(&verdict), &Reason::Waiters { count: 1, by: Some(named) });
}

#[test]
fn a_locked_set_is_kept() {
    let probe =
        Probe { lock: Some(Lock { value: 0, waiters: 0 }), ..dead().probe.expect("probed") };
    let evidence = Evidence { probe: Ok(probe), ..dead() };
    assert_eq!(kept(&judge(&set(), &evidence, &world(vec![]))), &Reason::Locked { by: None });
}

#[test]
fn a_last_pid_of_zero_is_somebody_unseen_unless_the_namespace_is_declared_private() {
    let probe = Probe { last_pid: 0, ..dead().probe.expect("probed") };
    let evidence = Evidence { probe: Ok(probe), last_pid: LastPid::Unseen, ..dead() };
    assert_eq!(kept(&judge(&set(), &evidence, &world(vec![]))), &Reason::Unseen);
    let private = World { private_ipc: true, ..world(vec![]) };
    assert_eq!(judge(&set(), &evidence, &private), Verdict::Orphan);
}

#[test]
fn a_living_last_pid_keeps_the_set() {
    let p = process(300, Kind::Other, NOW - 900_000);
    let verdict = judge(&set(), &touched_by(p.clone()), &world(vec![]));
    assert_eq!(kept(&verdict), &Reason::LastPidLives(p.named));
}

#[test]
fn a_last_pid_that_a_stranger_got_later_is_a_recycled_number() {
    // The set was last touched at NOW - 400000.
    let judged = |uid: u32, start| {
        let p = Process { uids: vec![Uid::from_raw(uid)], ..process(300, Kind::Other, start) };
        judge(&set(), &touched_by(p), &world(vec![]))
    };
    let later = NOW - 400_000 + SLACK + 1;
    assert_eq!(judged(1234, later), Verdict::Orphan);
    assert!(matches!(kept(&judged(1234, later - 1)), Reason::LastPidLives(_)));
    // One that may touch the set may have done so, on a clock that stood elsewhere.
    for uid in [0, APACHE] {
        assert!(matches!(kept(&judged(uid, later)), Reason::LastPidLives(_)));
    }
}

#[test]
fn a_number_recycled_by_another_httpd_keeps_the_set() {
    let p = leader(300, NOW - 10);
    let verdict = judge(&set(), &touched_by(p.clone()), &confirmed(vec![p.clone()]));
    assert_eq!(kept(&verdict), &Reason::LastPidLives(p.named));
}

#[test]
fn on_a_stepped_clock_no_number_counts_as_recycled() {
    let p = process(300, Kind::Other, NOW - 10);
    let stepped = World { stepped: true, ..world(vec![]) };
    let verdict = judge(&set(), &touched_by(p.clone()), &stepped);
    assert_eq!(kept(&verdict), &Reason::LastPidLives(p.named));
}

#[test]
fn a_living_httpd_keeps_what_root_made() {
    for p in [leader(10, NOW - 900_000), process(10, Kind::Httpd, NOW - 900_000)] {
        let verdict = judge(&set(), &dead(), &world(vec![p.clone()]));
        assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(p.named));
    }
}

#[test]
fn php_fpm_under_the_same_user_does_not_keep_what_root_made() {
    let fpm = of_user(10, Kind::Other, NOW - 900_000);
    assert_eq!(judge(&set(), &dead(), &world(vec![fpm])), Verdict::Orphan);
}

#[test]
fn any_living_process_of_the_owner_keeps_what_the_owner_made() {
    let fpm = of_user(10, Kind::Other, NOW - 10);
    let verdict = judge(&private_set(), &dead(), &confirmed(vec![fpm.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongTo(fpm.named));
    let nameless = Process { uids: vec![], ..process(11, Kind::Other, NOW - 10) };
    let verdict = judge(&private_set(), &dead(), &world(vec![nameless.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongTo(nameless.named));
}

#[test]
fn a_stranger_does_not_keep_what_the_owner_made() {
    let stranger = process(10, Kind::Other, NOW - 900_000);
    assert_eq!(judge(&private_set(), &dead(), &world(vec![stranger])), Verdict::Orphan);
}

#[test]
fn a_worker_keeps_what_it_or_a_sibling_made_though_its_leader_runs_as_root() {
    let (l, w) = (leader(10, NOW - 100), worker_of(10, 11, NOW - 50));
    let verdict = judge(&private_set(), &dead(), &confirmed(vec![l, w.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongTo(w.named));
}

#[test]
fn a_leader_does_not_know_what_is_older_than_its_launcher_could_make() {
    // The set was made at NOW - 500000.
    let edge = NOW - 500_000 + LAUNCH_WINDOW + SLACK;
    let verdict = judge(&set(), &dead(), &confirmed(vec![leader(10, edge + 1)]));
    assert_eq!(verdict, Verdict::Orphan);
    let verdict = judge(&set(), &dead(), &confirmed(vec![leader(10, edge)]));
    assert!(matches!(kept(&verdict), Reason::MayBelongToHttpd(_)));
}

#[test]
fn a_leader_did_not_make_a_later_set_that_was_never_used_and_whose_toucher_is_dead() {
    let never_used = SemSet { otime: None, ..set() };
    let edge = NOW - 500_000 - START_WINDOW - SLACK;
    let at = |set: &SemSet, start| judge(set, &dead(), &confirmed(vec![leader(10, start)]));
    assert_eq!(at(&never_used, edge - 1), Verdict::Orphan);
    // One that is no younger than the leader's own first set may be its launcher's.
    let launchers = SemSet { id: SemId(1), ..never_used };
    assert!(matches!(kept(&at(&launchers, edge - 1)), Reason::MayBelongToHttpd(_)));
    // Within its start it may be its launcher's.
    assert!(matches!(kept(&at(&never_used, edge)), Reason::MayBelongToHttpd(_)));
    // Once used, its user may have been a worker that is dead by now.
    assert!(matches!(kept(&at(&set(), edge - 1)), Reason::MayBelongToHttpd(_)));
}

#[test]
fn a_leader_whose_clock_no_set_confirms_may_know_everything() {
    let young = leader(10, NOW - 10);
    let verdict = judge(&set(), &dead(), &world(vec![young.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(young.named.clone()));
    let stepped = World { stepped: true, ..confirmed(vec![young.clone()]) };
    assert_eq!(kept(&judge(&set(), &dead(), &stepped)), &Reason::MayBelongToHttpd(young.named));
}

#[test]
fn a_worker_that_lost_its_leader_may_know_everything() {
    for start in [NOW - 900_000, NOW - 10] {
        let orphaned = worker_of(1, 11, start);
        let verdict = judge(&set(), &dead(), &confirmed(vec![orphaned.clone()]));
        assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(orphaned.named));
    }
}

#[test]
fn a_worker_of_a_living_leader_knows_no_more_than_that() {
    let young = vec![leader(10, NOW - 10), worker_of(10, 11, NOW - 5)];
    assert_eq!(judge(&set(), &dead(), &confirmed(young)), Verdict::Orphan);
}

/// A script under one httpd has started another one.
#[test]
fn an_instance_that_a_httpd_started_is_no_worker_of_it() {
    let old = leader(10, NOW - 800_000);
    let inner = Process { parent: Some(Pid::from_raw(10)), ..leader(11, NOW - 499_999) };
    // Made by the inner one's launcher, too late for the old one's.
    let never_used = SemSet { otime: None, ..set() };
    let verdict = judge(&never_used, &dead(), &confirmed(vec![old, inner.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(inner.named));
}

#[test]
fn a_parent_that_is_younger_than_its_child_is_another_one_with_its_number() {
    let (child, young) = (worker_of(10, 11, NOW - 900_000), leader(10, NOW - 10));
    let verdict = judge(&set(), &dead(), &confirmed(vec![young, child.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(child.named));
}

#[test]
fn of_two_instances_one_undecided_is_enough_to_keep() {
    let (young, old) = (leader(10, NOW - 10), leader(20, NOW - 900_000));
    let verdict = judge(&set(), &dead(), &confirmed(vec![young, old.clone()]));
    assert_eq!(kept(&verdict), &Reason::MayBelongToHttpd(old.named));
}

#[test]
fn a_httpd_that_leads_nothing_is_no_leader() {
    let w = world(vec![leader(10, 0), process(11, Kind::Httpd, 0), worker_of(10, 12, 0)]);
    let leaders: Vec<i32> =
        w.processes.iter().filter(|p| is_leader(p)).map(|p| p.named.pid.as_raw()).collect();
    assert_eq!(leaders, [10]);
}

mod clock {
    use super::*;

    fn settled(processes: Vec<Process>, table: &[(SemSet, Evidence)]) -> World {
        let mut world = world(processes);
        let span = table.iter().map(|(s, _)| s).collect();
        settle_clock(&mut world, span, table.iter().map(|(s, e)| (s, e)));
        world
    }

    fn made_at(ctime: i64) -> SemSet {
        SemSet { ctime: WallTime(ctime), otime: Some(WallTime(ctime.max(NOW - 60))), ..set() }
    }

    #[test]
    fn a_set_that_a_leader_surely_made_at_its_start_confirms_it() {
        let (l, w) = (leader(10, NOW - 1_000), worker_of(10, 11, NOW - 999));
        for toucher in [l.clone(), w.clone()] {
            for at in [NOW - 1_000 - SLACK, NOW - 1_000, NOW - 1_000 + START_WINDOW] {
                let world = settled(
                    vec![l.clone(), w.clone()],
                    &[(made_at(at), touched_by(toucher.clone()))],
                );
                assert_eq!(world.confirmed, [(l.named.pid, SemId(7))], "{at}");
                assert!(!world.stepped);
            }
        }
    }

    #[test]
    fn a_set_made_later_confirms_nothing() {
        let l = leader(10, NOW - 1_000);
        let made = made_at(NOW - 1_000 + START_WINDOW + 1);
        assert!(settled(vec![l.clone()], &[(made, touched_by(l))]).confirmed.is_empty());
    }

    #[test]
    fn a_set_whose_last_pid_is_dead_or_recycled_confirms_nothing() {
        let l = leader(10, NOW - 1_000);
        assert!(settled(vec![l.clone()], &[(made_at(NOW - 1_000), dead())]).confirmed.is_empty());
        let late = worker_of(10, 11, NOW - 10);
        let early = SemSet { otime: None, ..made_at(NOW - 1_000) };
        let world = settled(vec![l, late.clone()], &[(early, touched_by(late))]);
        assert!(world.confirmed.is_empty());
    }

    #[test]
    fn a_set_that_is_surely_a_leaders_but_too_old_for_it_shows_a_stepped_clock() {
        let l = leader(10, NOW - 1_000);
        let edge = NOW - 1_000 - LAUNCH_WINDOW - SLACK;
        let stepped =
            |at| settled(vec![l.clone()], &[(made_at(at), touched_by(l.clone()))]).stepped;
        assert!(stepped(edge - 1));
        assert!(!stepped(edge));
    }

    #[test]
    fn a_set_of_tomorrow_or_of_before_the_boot_shows_a_stepped_clock() {
        let stepped = |set| settled(vec![], &[(set, dead())]).stepped;
        assert!(stepped(SemSet { ctime: WallTime(NOW + SLACK + 1), ..set() }));
        assert!(stepped(SemSet { otime: Some(WallTime(NOW + SLACK + 1)), ..set() }));
        assert!(stepped(SemSet { ctime: WallTime(BOOT - SLACK - 1), ..set() }));
        assert!(!stepped(SemSet { ctime: WallTime(BOOT - SLACK), ..set() }));
        assert!(!stepped(set()));
    }

    /// A virtual machine was paused for ten hours and its clock then set: the leader seems to
    /// have started ten hours after it made its sets.
    #[test]
    fn after_a_pause_of_the_machine_a_living_leaders_unused_set_is_kept() {
        let l = leader(10, NOW - 1_000);
        let unused = SemSet { otime: None, ..made_at(NOW - 1_000 - 360_000) };
        let world = settled(vec![l.clone()], &[(unused, dead())]);
        assert_eq!(kept(&judge(&unused, &dead(), &world)), &Reason::MayBelongToHttpd(l.named));
    }
}

fn any_process() -> impl Strategy<Value = Process> {
    (
        1i32..40,
        0i32..40,
        prop::sample::select(vec![Kind::Httpd, Kind::Other, Kind::Unreadable]),
        BOOT..NOW,
        any::<bool>(),
        prop::collection::vec(prop::sample::select(vec![0u32, APACHE, 33]), 0..3),
    )
        .prop_map(|(pid, parent, kind, start, leads, uids)| Process {
            parent: (parent > 0).then(|| Pid::from_raw(parent)),
            leads,
            uids: uids.into_iter().map(Uid::from_raw).collect(),
            ..process(pid, kind, start)
        })
}

fn any_set() -> impl Strategy<Value = SemSet> {
    let times = (BOOT - 10..NOW + 10, prop::option::of(BOOT - 10..NOW + 10));
    (prop::bool::weighted(0.1), 1u64..3, prop::sample::select(vec![0u32, APACHE, 33]), times)
        .prop_map(|(keyed, nsems, cuid, (ctime, otime))| SemSet {
            key: i32::from(keyed),
            nsems,
            cuid: Uid::from_raw(cuid),
            ctime: WallTime(ctime),
            otime: otime.map(WallTime),
            ..set()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever else is true: without a trusted clock, a living httpd keeps what root made, and
    /// a living process of the owner keeps what the owner made.
    #[test]
    fn no_living_suspect_no_orphan(
        set in any_set(),
        processes in prop::collection::vec(any_process(), 1..6),
        value in 0i32..2,
    ) {
        let evidence = Evidence {
            probe: Ok(Probe { last_pid: 300, lock: Some(Lock { value, waiters: 0 }) }),
            ..dead()
        };
        let world = world(processes);
        let suspect = world.processes.iter().any(|p| {
            if set.cuid.is_root() { p.kind != Kind::Other } else { p.may_run_as(set.uid) }
        });
        let verdict = judge(&set, &evidence, &world);
        prop_assert!(!suspect || verdict != Verdict::Orphan);
        prop_assert!(value != 0 || verdict != Verdict::Orphan);
        prop_assert!(mismatch(&set).is_none() || verdict != Verdict::Orphan);
    }

    /// More evidence of life never turns a kept set into an orphan.
    #[test]
    fn one_more_living_process_never_makes_an_orphan(
        set in any_set(),
        processes in prop::collection::vec(any_process(), 0..5),
        more in any_process(),
    ) {
        let before = judge(&set, &dead(), &world(processes.clone()));
        let mut grown = processes;
        if grown.iter().all(|p| p.named.pid != more.named.pid) {
            grown.push(more);
        }
        let after = judge(&set, &dead(), &world(grown));
        prop_assert!(before == Verdict::Orphan || after != Verdict::Orphan);
    }
}

#[test]
fn who_called_the_guard_keeps_no_set_of_the_owner_unless_it_might_be_a_httpd() {
    let caller = |kind| Process { called_us: true, ..of_user(900, kind, NOW - 600_000) };
    let verdict = |p: Process| judge(&private_set(), &dead(), &world(vec![p]));
    assert_eq!(verdict(caller(Kind::Other)), Verdict::Orphan);
    for kind in [Kind::Httpd, Kind::Unreadable] {
        assert!(matches!(kept(&verdict(caller(kind))), Reason::MayBelongTo(_)), "{kind:?}");
    }
    let other = Process { called_us: false, ..caller(Kind::Other) };
    assert!(matches!(kept(&verdict(other)), Reason::MayBelongTo(_)));
    // What it touched last is its own.
    let evidence = touched_by(caller(Kind::Other));
    let verdict = judge(&private_set(), &evidence, &world(vec![caller(Kind::Other)]));
    assert!(matches!(kept(&verdict), Reason::LastPidLives(_)));
}
