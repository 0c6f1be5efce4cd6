//! The forecast's table.

use std::path::PathBuf;

use nix::errno::Errno;
use proptest::prelude::*;

use crate::decide::forecast::{Failure, Forecast, Input};
use crate::facts::capacity::{Capacity, Limit, Limits, Usage};
use crate::facts::mutex::Mechanism;
use crate::facts::need::{Need, NeedSource};
use crate::facts::process::Named;
use crate::facts::row::Running;
use crate::facts::shortage::Shortage;
use crate::facts::trial::Trial;

pub(crate) fn capacity(semmni: i64, sets: i64) -> Capacity {
    Capacity {
        limits: Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni },
        usage: Usage { sets, semaphores: sets },
    }
}

pub(crate) fn need(at_least: i64, at_most: i64) -> Need {
    Need { at_least, at_most, source: NeedSource::Asked }
}

/// What a forecast is made from if nothing is unusual.
pub(crate) fn input(capacity: Capacity, need: Need) -> Input {
    Input {
        capacity: Some(capacity),
        need,
        running: None,
        min_free: 0,
        trial: Trial::Passed,
        locks: true,
        shortage: None,
        refused_directory: None,
    }
}

fn running(surely: usize, perhaps: usize) -> Running {
    let leader = Named { pid: nix::unistd::Pid::from_raw(77), name: "httpd".into() };
    Running { leader, surely, perhaps }
}

fn of(room: i64, least: i64, most: i64) -> Forecast {
    input(capacity(100, 100 - room), need(least, most)).forecast()
}

pub(crate) fn lacking(certain: bool) -> Shortage {
    Shortage {
        mutex: "proxy".into(),
        line: "AH00023: Couldn't create the proxy mutex (file /run/locks/proxy.PID)".into(),
        mechanism: Mechanism::Fcntl,
        path: PathBuf::from("/run/locks"),
        errno: Errno::ENOSPC,
        made: 1,
        needed: 2,
        certain,
    }
}

#[test]
fn room_for_the_most_starts_less_than_the_least_fails_and_between_is_at_risk() {
    assert_eq!(of(4, 2, 4), Forecast::Starts);
    assert_eq!(of(3, 2, 4), Forecast::AtRisk);
    assert_eq!(of(2, 2, 4), Forecast::AtRisk);
    assert_eq!(of(1, 2, 4), Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
}

#[test]
fn httpd_without_sets_starts_on_a_full_table_and_without_any_table() {
    assert_eq!(of(0, 0, 0), Forecast::Starts);
    let without = Input { capacity: None, ..input(capacity(0, 0), need(0, 0)) };
    assert_eq!(without.forecast(), Forecast::Starts);
}

#[test]
fn without_semaphores_in_the_kernel_a_certain_need_fails_and_a_possible_one_is_at_risk() {
    let without = |need| Input { capacity: None, ..input(capacity(0, 0), need) };
    assert_eq!(without(need(1, 1)).forecast(), Forecast::Fails(Failure::NoSysvIpc));
    assert_eq!(without(need(0, 1)).forecast(), Forecast::AtRisk);
}

#[test]
fn a_refused_trial_fails_a_start_that_certainly_needs_a_set() {
    let trial = Trial::Refused("semget", Errno::EPERM);
    let of = |need| Input { trial, ..input(capacity(100, 0), need) }.forecast();
    assert_eq!(of(need(1, 1)), Forecast::Fails(Failure::Refused("semget", Errno::EPERM)));
    assert_eq!(of(need(0, 1)), Forecast::AtRisk);
    assert_eq!(of(need(0, 0)), Forecast::Starts);
}

#[test]
fn with_a_semopm_of_zero_httpd_fails_only_if_it_locks_at_once() {
    let limits = Limits { semopm: 0, ..capacity(10, 0).limits };
    let table = Capacity { limits, ..capacity(10, 0) };
    let of = |need, locks| Input { locks, ..input(table, need) }.forecast();
    let refused = Failure::Refused("semop", Errno::E2BIG);
    assert_eq!(of(need(1, 1), true), Forecast::Fails(refused));
    assert_eq!(of(need(1, 1), false), Forecast::Starts);
    assert_eq!(of(need(0, 0), true), Forecast::Starts);
}

#[test]
fn an_inconclusive_trial_has_no_influence() {
    for trial in [Trial::Disturbed, Trial::Skipped("for a test")] {
        let input = Input { trial, ..input(capacity(100, 0), need(1, 1)) };
        assert_eq!(input.forecast(), Forecast::Starts);
    }
}

#[test]
fn a_reserve_must_be_left_after_the_start() {
    let of = |min_free| Input { min_free, ..input(capacity(10, 5), need(2, 2)) }.forecast();
    assert_eq!(of(3), Forecast::Starts);
    assert_eq!(of(4), Forecast::Fails(Failure::Reserve));
}

#[test]
fn a_running_httpd_frees_its_own_sets_before_it_starts_again() {
    let of = |capacity, surely, perhaps| {
        let running = Some(running(surely, perhaps));
        Input { running, ..input(capacity, need(3, 3)) }.forecast()
    };
    let full = capacity(10, 10);
    assert_eq!(of(full, 3, 0), Forecast::Starts);
    assert_eq!(of(full, 2, 1), Forecast::AtRisk);
    assert_eq!(of(full, 2, 0), Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
    // If limits were lowered below the usage, freeing a few sets does not make room yet.
    assert_eq!(of(capacity(4, 10), 7, 0), Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
}

#[test]
fn a_shortage_elsewhere_fails_if_it_is_certain() {
    let of = |shortage| {
        Input { shortage: Some(shortage), ..input(capacity(10, 0), need(0, 0)) }.forecast()
    };
    let certain = lacking(true);
    assert_eq!(of(certain.clone()), Forecast::Fails(Failure::Resource(certain)));
    assert_eq!(of(lacking(false)), Forecast::AtRisk);
}

proptest! {
    #[test]
    fn more_room_is_never_worse(
        room in 0i64..50, least in 0i64..20, more in 0i64..20, min_free in 0i64..20,
    ) {
        let rank = |f: &Forecast| match f {
            Forecast::Starts => 2,
            Forecast::AtRisk => 1,
            Forecast::Fails(_) => 0,
        };
        let with = |room: i64| {
            let input = input(capacity(100, 100 - room), need(least, least + more));
            Input { min_free, ..input }.forecast()
        };
        let (now, then) = (with(room), with(room + 1));
        prop_assert!(rank(&then) >= rank(&now));
    }
}
