//! A model test of the first promise: random worlds of processes that do or do not behave like httpd.
//! Guards run at random moments, several at once, while everything else goes on. Any process that knows
//! a set holds its semid in memory: httpd and its workers in the course of their work, keepers in one
//! place and nowhere else. The test knows which processes know which set, and checks after every run:
//! no set with a running knower was removed, nor any that is not httpd's or belongs to another user; if
//! no process is in question, no orphan is left; and of all sets with a telling semid that no process
//! knows, at least 98 of 100 are gone after a guard that could read everything.
//!
//! `make torture RUNS=20000 SEED=7` runs it for any length. A failure prints the seed and the shortest
//! history found.

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code, reason = "tests/memory uses the rest")]
#[path = "../memory/holder.rs"]
mod holder;

mod act;
mod keeper;
mod nest;
mod random;
mod step;
mod tally;
mod world;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::Namespace;
use random::Random;
use step::Step;
use tally::Tally;
use world::{Judge, World, Wrong};

/// Guard runs in `make check`.
const RUNS: usize = 2_000;

/// Guard runs in one world.
const RUNS_PER_WORLD: usize = 60;

/// How long to look for a shorter history.
const SHRINKING: Duration = Duration::from_secs(150);

/// More than enough steps to show what is wrong with a careless guard.
const MOST_STEPS: usize = 12;

/// A world's limits and everything that is to happen in it.
#[derive(Clone, Debug)]
struct History {
    semmni: usize,
    steps: Vec<Step>,
}

impl History {
    /// The history generated from a seed.
    fn of(seed: u64) -> History {
        let mut r = Random::new(seed);
        let semmni = [10, 24, 64][r.below(3)];
        let mut steps = Vec::new();
        while count(&steps) < RUNS_PER_WORLD {
            steps.push(Step::random(&mut r));
        }
        History { semmni, steps }
    }
}

fn count(steps: &[Step]) -> usize {
    steps.iter().filter(|s| s.runs_a_guard()).count()
}

/// What went wrong, where, and what had happened before.
#[derive(Clone, Debug)]
struct Failure {
    wrong: Wrong,
    /// After how many steps.
    after: usize,
    log: Vec<String>,
}

/// Plays a history in a world of its own.
fn play(history: &History, judge: Judge) -> (Tally, Option<Failure>) {
    let namespace = Namespace::new(&format!("250 32000 32 {}", history.semmni));
    let mut world = World::new(&namespace, judge, history.semmni);
    world.tally.worlds = 1;
    let mut failure = None;
    for (i, step) in history.steps.iter().enumerate() {
        let last = i + 1 == history.steps.len();
        let done = world.act(*step).and_then(|()| if last { world.join() } else { Ok(()) });
        if let Err(wrong) = done {
            failure = Some(Failure { wrong, after: i + 1, log: world.log.clone() });
            break;
        }
    }
    (world.tally, failure)
}

/// Whether a history fails; one in which guards run concurrently need not fail each time.
fn fails(history: &History, judge: Judge) -> Option<Failure> {
    let races = history.steps.iter().any(|s| matches!(s, Step::GuardBeside(_)));
    (0..if races { 3 } else { 1 }).find_map(|_| play(history, judge).1)
}

/// Looks for a shorter history that fails, by leaving out ever smaller parts.
fn shrink(mut history: History, mut failure: Failure, judge: Judge) -> (History, Failure) {
    let until = Instant::now() + SHRINKING;
    history.steps.truncate(failure.after);
    let mut part = history.steps.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < history.steps.len() {
            if Instant::now() > until {
                return (history, failure);
            }
            let mut less = history.clone();
            less.steps.drain(at..(at + part).min(less.steps.len()));
            match fails(&less, judge) {
                Some(found) => {
                    less.steps.truncate(found.after);
                    (history, failure, shorter) = (less, found, true);
                }
                None => at += part,
            }
        }
        if part > 1 || !shorter {
            part /= 2;
        }
    }
    (history, failure)
}

/// Plays worlds until this many guard runs are done, or one fails.
fn run(seed: u64, runs: usize, judge: Judge) -> (Tally, Option<Found>) {
    let total = Mutex::new(Tally::default());
    let failed: Mutex<Option<(u64, History, Failure)>> = Mutex::new(None);
    let over = AtomicBool::new(false);
    let worlds = runs.div_ceil(RUNS_PER_WORLD);
    let next = AtomicUsize::new(0);
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= worlds {
                break;
            }
            let seed = Random::new(seed.wrapping_add(n as u64)).next();
            let history = History::of(seed);
            let (tally, failure) = play(&history, judge);
            total.lock().expect("not poisoned").add(&tally);
            if let Some(failure) = failure {
                over.store(true, Ordering::Relaxed);
                failed.lock().expect("not poisoned").get_or_insert((seed, history, failure));
            }
        }
    };
    thread::scope(|scope| {
        // They spend more time waiting than computing.
        let workers = 3 * thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("not poisoned").map(|(seed, history, failure)| {
        let (history, failure) = shrink(history, failure, judge);
        Found { seed, history, failure }
    });
    (total.into_inner().expect("not poisoned"), failed)
}

/// The shortest failing history found.
#[derive(Clone, Debug)]
struct Found {
    seed: u64,
    history: History,
    failure: Failure,
}

fn tell(found: &Found) -> String {
    let Found { seed, history, failure } = found;
    let mut text = format!(
        "\nmodel: in the world of seed {seed}, with room for {} sets, it went wrong:\n  {}\nThe \
         shortest history found, {} steps:\n",
        history.semmni,
        failure.wrong.0,
        history.steps.len()
    );
    for step in &history.steps {
        let _ = writeln!(text, "  {step:?}");
    }
    text += "What happened in it:\n";
    for line in &failure.log {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .filter(|v| !v.is_empty())
        .map(|v| v.parse().unwrap_or_else(|_| panic!("{variable}={v}: not a number")))
}

#[test]
fn no_history_makes_the_guard_remove_a_known_set_or_leave_an_orphan() {
    require!();
    let seed = number("MODEL_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64 >> 20
    });
    let runs = number("MODEL_RUNS").map_or(RUNS, |n| n as usize);
    let began = Instant::now();
    let _ = writeln!(io::stderr(), "model: MODEL_SEED={seed} MODEL_RUNS={runs}");
    let (tally, failed) = run(seed, runs, Judge::Guard);
    let _ = writeln!(io::stderr(), "{tally}\n{:.0} s", began.elapsed().as_secs_f64());
    if let Some(found) = failed {
        panic!("MODEL_SEED={seed} MODEL_RUNS={runs}{}", tell(&found));
    }
    let (due, gone) = (tally.due, tally.gone);
    assert!(gone * 100 >= due * 98, "of {due} sets that no process knew, {gone} are gone");
    assert!(runs < 1_000 || due * 20 >= runs, "{due} sets in {runs} runs are too few to tell");
}

/// Checks that a faulty judge is caught within 600 runs, whatever the seed, and for the expected
/// reason. For at least one of three seeds its history has to become short enough to read. (If guards
/// run concurrently, a shorter history need not fail each time.)
#[track_caller]
fn is_caught(judge: Judge, because: &str) {
    require!();
    let mut told = String::new();
    for seed in [1, 1_001, 2_001] {
        let (tally, failed) = run(seed, 600, judge);
        let found = failed.unwrap_or_else(|| panic!("{judge:?} passed {} runs", tally.runs));
        assert!(found.failure.wrong.0.contains(because), "{}", tell(&found));
        if found.history.steps.len() <= MOST_STEPS {
            return;
        }
        told += &tell(&found);
    }
    panic!("{told}");
}

#[test]
fn the_model_catches_a_guard_that_trusts_the_last_pid() {
    is_caught(Judge::TrustsLastPid, "removed while known to");
}

#[test]
fn the_model_catches_a_guard_that_removes_every_set() {
    is_caught(Judge::RemovesEvery, "removed");
}

#[test]
fn the_model_catches_a_guard_that_removes_nothing() {
    is_caught(Judge::Sleeps, "is left");
}
