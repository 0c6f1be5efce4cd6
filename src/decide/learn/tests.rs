//! Individual rules, and random histories in a small world of their own: starts, kills, reloads,
//! changes to the configuration, other processes that make sets.

use std::collections::HashMap;
use std::rc::Rc;

use nix::unistd::{Gid, Pid, Uid};
use proptest::prelude::*;

use super::*;
use crate::facts::capacity::{Capacity, Limits, Usage};
use crate::facts::process::{Incomplete, Kind, Named};
use crate::facts::row::Row;
use crate::facts::time::WallTime;
use crate::facts::world::World;

const PID_FILE: &str = "/run/httpd.pid";
const TICKS: u64 = 100;
const LEADER: i32 = 500;
const ANOTHER: i32 = 600;

fn asked(at_least: i64, at_most: i64) -> Need {
    Need { at_least, at_most, source: NeedSource::Asked }
}

fn range(need: &Need) -> (i64, i64) {
    (need.at_least, need.at_most)
}

fn shown(sets: u32, starts: u32) -> Option<Learnt> {
    Some(Learnt { sets, starts })
}

#[test]
fn one_start_only_widens_what_two_settle() {
    // In doubt; more than the table knows of; nothing in doubt.
    for (asked, sets, after_one, after_two) in [
        (asked(1, 9), 4, (1, 9), (4, 4)),
        (asked(1, 9), 1, (1, 9), (1, 1)),
        (asked(1, 2), 6, (1, 6), (6, 6)),
        (asked(2, 2), 6, (2, 6), (6, 6)),
        (asked(0, 0), 3, (0, 3), (3, 3)),
        (asked(3, 3), 3, (3, 3), (3, 3)),
    ] {
        assert_eq!(range(&need(asked.clone(), shown(sets, 1))), after_one, "{asked}");
        assert_eq!(range(&need(asked.clone(), shown(sets, 2))), after_two, "{asked}");
    }
}

#[test]
fn fewer_sets_than_the_answers_minimum_are_not_believed() {
    for starts in [1, 2, 9] {
        assert_eq!(need(asked(3, 8), shown(2, starts)), asked(3, 8));
    }
}

#[test]
fn only_httpds_own_answer_is_refined() {
    for other in [Need::given(2), Need::assumed(), Need::unheard()] {
        assert_eq!(need(other.clone(), shown(6, 2)), other);
    }
    assert_eq!(need(asked(1, 9), None), asked(1, 9));
}

#[test]
fn a_need_says_what_starts_showed() {
    let words = |starts| need(asked(1, 2), shown(6, starts)).to_string();
    assert_eq!(words(1), "1 to 6 semaphore sets (6 at its last start)");
    assert_eq!(words(2), "6 semaphore sets, as at its last starts");
}

fn set(id: i32, creator: u32) -> SemSet {
    SemSet {
        id: SemId(id),
        key: 0,
        nsems: 1,
        mode: 0o600,
        uid: Uid::from_raw(33),
        gid: Gid::from_raw(33),
        cuid: Uid::from_raw(creator),
        cgid: Gid::from_raw(creator),
        ctime: WallTime(0),
        otime: None,
    }
}

fn process(pid: i32, began: u64) -> Rc<Process> {
    Rc::new(Process {
        named: Named { pid: Pid::from_raw(pid), name: "httpd".into() }.into(),
        uids: vec![Uid::from_raw(0)],
        kind: Kind::Httpd,
        start: BootTicks(began),
        leads: true,
        called_us: false,
    })
}

fn clock(now: i64, boot: i64) -> Clock {
    Clock { now: WallTime(now), boot: WallTime(boot), ticks_per_second: TICKS }
}

/// A table with these sets of the guarded user, in a world of these processes, whose leader holds some
/// of the sets.
fn table(sets: &[SemSet], processes: &[Rc<Process>], holds: &[i32], extent: Extent) -> Table {
    let limits = Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni: 128 };
    let capacity = Capacity { limits, usage: Usage::default() };
    let mut holds: Vec<SemId> = holds.iter().copied().map(SemId).collect();
    holds.sort_unstable();
    let leader = processes.iter().find(|p| p.named.pid.as_raw() == LEADER);
    let readings = leader.map(|p| (p.identity(), Reading { pid: p.named.pid, holds, extent }));
    let mut world = World::unseen(clock(0, 0));
    world.incomplete = None;
    world.processes = processes.to_vec();
    world.memory = Memory::Read(readings.into_iter().collect::<HashMap<_, _>>());
    Table {
        found: capacity,
        left: capacity,
        unreadable: 0,
        leftover: None,
        rows: sets.iter().copied().map(Row::listed).collect(),
        of_root: Vec::new(),
        strangers: Vec::new(),
        others: Vec::new(),
        highest: sets.iter().map(|s| s.id).max(),
        running: None,
        holders: Vec::new(),
        world,
    }
}

const MARK: i32 = TELLING + 10;
const NEW: [i32; 3] = [MARK + 1, MARK + 2, MARK + 3];

fn new_sets() -> Vec<SemSet> {
    NEW.iter().map(|id| set(*id, 0)).collect()
}

#[test]
fn a_leaders_sets_are_counted_if_all_of_them_are_new() {
    let leader = process(LEADER, 7);
    let holding = |table: &Table| holding(table, &leader, MARK);
    let processes = [leader.clone()];
    let mut t = table(&new_sets(), &processes, &NEW, Extent::Full);
    assert_eq!(holding(&t), Holding::Exactly(3));
    // A module that leaves its set to root.
    t.of_root.push(SemSet { uid: Uid::from_raw(0), ..set(MARK + 9, 0) });
    assert_eq!(holding(&t), Holding::Mixed, "root's, and no process knows it");
    let holds = [&NEW[..], &[MARK + 9]].concat();
    let of_root = std::mem::take(&mut t.of_root);
    t = Table { of_root, ..table(&new_sets(), &processes, &holds, Extent::Full) };
    assert_eq!(holding(&t), Holding::Exactly(4));
    // Older sets do not matter unless the leader holds one.
    let older = [new_sets(), vec![set(MARK, 0), set(5, 33)]].concat();
    assert_eq!(holding(&table(&older, &processes, &NEW, Extent::Full)), Holding::Exactly(3));
    let holds = [&NEW[..], &[MARK]].concat();
    assert_eq!(holding(&table(&older, &processes, &holds, Extent::Full)), Holding::Mixed);
    // Small numbers are everywhere.
    let small = table(&[set(40, 0)], &processes, &[40], Extent::Full);
    assert_eq!(super::holding(&small, &leader, 12), Holding::Mixed);
    // No sets at all.
    assert_eq!(holding(&table(&[], &processes, &[], Extent::Full)), Holding::Exactly(0));
}

#[test]
fn a_set_possibly_made_by_the_start_but_not_held_spoils_the_count() {
    let leader = process(LEADER, 7);
    let alone = [leader.clone()];
    let beside = [leader.clone(), process(ANOTHER, 3)];
    let with = |more: SemSet| [new_sets(), vec![more]].concat();
    let of = |sets: &[SemSet], processes: &[Rc<Process>]| {
        holding(&table(sets, processes, &NEW, Extent::Full), &leader, MARK)
    };
    let by_root = with(set(MARK + 9, 0));
    assert_eq!(of(&by_root, &alone), Holding::Mixed, "made and forgotten");
    assert_eq!(of(&by_root, &beside), Holding::Exactly(3), "another httpd's");
    assert_eq!(of(&with(set(MARK + 9, 33)), &beside), Holding::Mixed, "a worker's");
    let keyed = with(SemSet { key: 7, ..set(MARK + 9, 33) });
    assert_eq!(of(&keyed, &alone), Holding::Mixed, "a module's own");
}

#[test]
fn nothing_unseen_is_counted() {
    let leader = process(LEADER, 7);
    let processes = [leader.clone()];
    for extent in [Extent::Enough, Extent::Gone] {
        let t = table(&new_sets(), &processes, &NEW[..2], extent);
        assert_eq!(holding(&t, &leader, MARK), Holding::Unsure, "{extent:?}");
    }
    let mut t = table(&new_sets(), &processes, &NEW, Extent::Full);
    t.world.incomplete = Some(Incomplete::Restless);
    assert_eq!(holding(&t, &leader, MARK), Holding::Unsure);
    t.world.incomplete = None;
    t.unreadable = 1;
    assert_eq!(holding(&t, &leader, MARK), Holding::Unsure);
    t.unreadable = 0;
    t.world.memory = Memory::Off;
    assert_eq!(holding(&t, &leader, MARK), Holding::Unsure);
}

fn noted(answer: u64, ticks: u64, learnt: Option<Learnt>) -> State {
    let note = Note { mark: MARK, ticks, time: 1_000 + (ticks / TICKS) as i64 };
    State::default().with(Instance { pid_file: PID_FILE.into(), answer, note: Some(note), learnt })
}

fn run(answer: u64, seen: Seen) -> Run<'static> {
    Run {
        pid_file: PID_FILE,
        answer,
        is_guard: false,
        highest: Some(SemId(MARK)),
        ends: BootTicks(99_999),
        clock: clock(2_000, 1_000),
        seen,
    }
}

fn start(began: u64, generation: Option<u32>, holding: Holding) -> Seen {
    Seen::Running(Start { began: BootTicks(began), generation, holding })
}

fn learns(state: &State, run: &Run<'_>) -> Option<Learnt> {
    learnt(&after(state, run), PID_FILE, 7)
}

#[test]
fn a_start_just_after_its_note_shows_its_need() {
    let three = Holding::Exactly(3);
    let fine = run(7, start(510, Some(0), three));
    assert_eq!(learns(&noted(7, 500, None), &fine), shown(3, 1));
    assert_eq!(learns(&noted(7, 500, shown(3, 1)), &fine), shown(3, 2));
    assert_eq!(learns(&noted(7, 500, shown(4, 2)), &fine), shown(3, 1), "they disagree");
    assert_eq!(after(&noted(7, 500, None), &fine).instances[0].note, None, "once");

    for (what, run) in [
        ("it was reloaded", run(7, start(510, Some(1), three))),
        ("whether it was reloaded is not known", run(7, start(510, None, three))),
        ("it is older than the note", run(7, start(499, Some(0), three))),
        ("somebody else started it, later", run(7, start(501 + SOON * TICKS, Some(0), three))),
        ("another boot", Run { clock: clock(9_000, 8_000), ..fine.clone() }),
        ("not its own alone", run(7, start(510, Some(0), Holding::Mixed))),
    ] {
        let state = after(&noted(7, 500, shown(3, 1)), &run);
        assert_eq!(learnt(&state, PID_FILE, 7), shown(3, 1), "{what}");
        assert_eq!(state.instances[0].note, None, "{what}: a later look would learn nothing more");
    }
    for (what, run) in [
        ("another answer", run(8, start(510, Some(0), three))),
        ("seen badly", run(7, start(510, Some(0), Holding::Unsure))),
        ("somebody bears its number", run(7, Seen::Somebody)),
    ] {
        let before = noted(7, 500, shown(3, 1));
        assert_eq!(after(&before, &run), before, "{what}");
    }
    let other = Run { pid_file: "/run/other.pid", ..fine };
    assert_eq!(learns(&noted(7, 500, shown(3, 1)), &other), shown(3, 1));
}

#[test]
fn a_note_is_made_if_no_httpd_runs_and_another_answer_discards_what_was_learnt() {
    let guard = Run { is_guard: true, ..run(7, Seen::Nobody) };
    let state = after(&State::default(), &guard);
    let note = Some(Note { mark: MARK, ticks: 99_999, time: 2_000 });
    assert_eq!(state.instances[0].note, note);
    let known = noted(7, 500, shown(3, 2));
    assert_eq!(learns(&known, &guard), shown(3, 2));
    assert_eq!(after(&known, &guard).instances[0].note, note, "the newest wins");
    let changed = after(&known, &Run { answer: 8, ..guard.clone() });
    assert_eq!(learnt(&changed, PID_FILE, 8), None);
    assert_eq!(learns(&changed, &guard), None, "even if it is changed back");
    // A check, perhaps with other arguments, discards nothing.
    assert_eq!(after(&known, &run(8, Seen::Nobody)), known);
    let empty = Run { highest: None, ..guard };
    assert_eq!(after(&known, &empty).instances[0].note.map(|n| n.mark), Some(-1));
}

/// What happens in a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The configuration on disk becomes this one.
    Edit(usize),
    /// httpd is started by its unit, so a guard runs first.
    Start,
    /// httpd is started by hand.
    StartByHand,
    /// A guard runs, but nothing is started.
    Guard,
    /// httpd is killed and leaves its sets behind.
    Kill,
    /// It stops and removes its sets.
    Stop,
    /// It rereads its configuration.
    Reload,
    /// Root runs a check.
    Check,
    /// Root runs a check that cannot see everything.
    CheckBadly,
    /// Another httpd starts and makes sets.
    Another,
    /// A worker makes a set.
    Worker,
    /// The machine is rebooted.
    Boot,
    /// The clock is stepped.
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..CONFIGS.len()).prop_map(Step::Edit),
        6 => Just(Step::Start),
        1 => Just(Step::StartByHand),
        1 => Just(Step::Guard),
        3 => Just(Step::Kill),
        1 => Just(Step::Stop),
        2 => Just(Step::Reload),
        5 => Just(Step::Check),
        1 => Just(Step::CheckBadly),
        1 => Just(Step::Another),
        1 => Just(Step::Worker),
        1 => Just(Step::Boot),
        1 => (-5_000..5_000_i64).prop_map(Step::Clock),
    ]
}

/// Configurations: what the table knows about each, and what it really needs.
const CONFIGS: [((i64, i64), u32); 5] =
    [((1, 9), 4), ((1, 9), 1), ((2, 2), 2), ((2, 2), 5), ((0, 8), 0)];

struct Httpd {
    process: Rc<Process>,
    generation: u32,
    sets: Vec<i32>,
}

/// A machine with one httpd, which leaks one set with each reload.
struct Machine {
    disk: usize,
    state: State,
    httpd: Option<Httpd>,
    another: Option<Rc<Process>>,
    sets: Vec<SemSet>,
    next: i32,
    ticks: u64,
    boot: i64,
    was_certain: usize,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            disk: 0,
            state: State::default(),
            httpd: None,
            another: None,
            sets: Vec::new(),
            next: TELLING,
            ticks: 1_000,
            boot: 1_000_000,
            was_certain: 0,
        }
    }

    fn make(&mut self, count: u32, creator: u32) -> Vec<i32> {
        let ids: Vec<i32> = (self.next..).take(count as usize).collect();
        self.sets.extend(ids.iter().map(|id| set(*id, creator)));
        self.next += count as i32;
        ids
    }

    fn run(&mut self, is_guard: bool, extent: Extent) {
        let processes: Vec<_> =
            self.httpd.iter().map(|h| &h.process).chain(&self.another).cloned().collect();
        let holds = self.httpd.as_ref().map_or(&[][..], |h| &h.sets);
        let table = table(&self.sets, &processes, holds, extent);
        let mark = self.state.get(PID_FILE).filter(|i| i.answer == self.disk as u64);
        let mark = mark.and_then(|i| i.note).map(|n| n.mark);
        let seen = match (&self.httpd, mark) {
            (None, _) => Seen::Nobody,
            (Some(_), None) => Seen::Somebody,
            (Some(httpd), Some(mark)) => Seen::Running(Start {
                began: httpd.process.start,
                generation: Some(httpd.generation),
                holding: holding(&table, &httpd.process, mark),
            }),
        };
        let run = Run {
            pid_file: PID_FILE,
            answer: self.disk as u64,
            is_guard,
            highest: table.highest,
            ends: BootTicks(self.ticks),
            clock: clock(self.boot + (self.ticks / TICKS) as i64, self.boot),
            seen,
        };
        self.state = after(&self.state, &run);
        if is_guard && self.httpd.is_none() && self.another.is_none() {
            self.sets.clear();
        }
    }

    fn start(&mut self) {
        if self.httpd.is_none() {
            let sets = self.make(CONFIGS[self.disk].1, 0);
            self.ticks += 1;
            let process = process(LEADER, self.ticks);
            self.httpd = Some(Httpd { process, generation: 0, sets });
        }
    }

    fn step(&mut self, step: Step) {
        self.ticks += 2 * SOON * TICKS;
        match step {
            Step::Edit(config) => self.disk = config,
            Step::Start => {
                self.run(true, Extent::Full);
                self.start();
            }
            Step::StartByHand => self.start(),
            Step::Guard => self.run(true, Extent::Full),
            Step::Kill => self.httpd = None,
            Step::Stop => {
                let own = self.httpd.take().map_or(Vec::new(), |h| h.sets);
                self.sets.retain(|s| !own.contains(&s.id.0));
            }
            Step::Reload => {
                if let Some(mut httpd) = self.httpd.take() {
                    self.sets.retain(|s| !httpd.sets.contains(&s.id.0));
                    httpd.generation += 1;
                    httpd.sets = self.make(CONFIGS[self.disk].1 + httpd.generation, 0);
                    self.httpd = Some(httpd);
                }
            }
            Step::Check => self.run(false, Extent::Full),
            Step::CheckBadly => self.run(false, Extent::Gone),
            Step::Another => {
                self.make(2, 0);
                self.another = Some(process(ANOTHER, self.ticks));
            }
            Step::Worker => {
                self.make(1, 33);
            }
            Step::Boot => {
                (self.httpd, self.another) = (None, None);
                self.sets.clear();
                self.boot += (self.ticks / TICKS) as i64;
                (self.next, self.ticks) = (TELLING, 1_000);
            }
            Step::Clock(seconds) => self.boot += seconds,
        }
    }

    /// Whatever the configuration is now, no start that would succeed is stopped, and none that would
    /// fail is called fine, apart from what the table alone gets wrong.
    fn holds(&mut self) {
        let ((least, most), truth) = CONFIGS[self.disk];
        let truth = i64::from(truth);
        let learnt = learnt(&self.state, PID_FILE, self.disk as u64);
        let need = need(asked(least, most), learnt);
        assert!(need.at_least <= truth, "a false stop: {need} of {truth}");
        assert!(need.at_most >= truth.min(most), "a false fine: {need} of {truth}");
        if let NeedSource::Learnt(l) = need.source {
            assert_eq!(i64::from(l.sets), truth, "{need}");
            assert!(!l.is_certain() || (need.at_least, need.at_most) == (truth, truth));
            self.was_certain += usize::from(l.is_certain());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_history_teaches_a_wrong_need(steps in prop::collection::vec(step(), 1..60)) {
        let mut machine = Machine::new();
        for step in steps {
            machine.step(step);
            machine.holds();
        }
    }
}

/// Makes sure that the histories exercise something.
#[test]
fn alternating_starts_and_checks_teach_the_need() {
    for (config, (_, truth)) in CONFIGS.iter().enumerate() {
        let mut machine = Machine::new();
        machine.step(Step::Edit(config));
        for _ in 0..2 {
            for step in [Step::Start, Step::Check, Step::Kill] {
                machine.step(step);
                machine.holds();
            }
        }
        assert_eq!(learnt(&machine.state, PID_FILE, config as u64), shown(*truth, 2), "{config}");
        assert!(machine.was_certain > 0 || config == 2, "{config}");
    }
}

#[test]
fn another_httpds_start_neither_teaches_about_this_one_nor_interferes() {
    let mut machine = Machine::new();
    for step in [Step::Another, Step::Start, Step::Another, Step::Check] {
        machine.step(step);
    }
    assert_eq!(learnt(&machine.state, PID_FILE, 0), shown(4, 1));
}
