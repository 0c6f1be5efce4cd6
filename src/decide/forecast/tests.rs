//! The forecast's table.

use std::path::PathBuf;

use nix::errno::Errno;
use proptest::prelude::*;

use super::*;
use crate::decide::forecast::{Failure, Forecast, Outlook};
use crate::facts::capacity::{Capacity, Limit, Limits, Usage};
use crate::facts::mutex::Mechanism;
use crate::facts::need::{Need, NeedSource};
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

fn outlook<'a>(capacity: &'a Capacity, need: &'a Need) -> Outlook<'a> {
    Outlook {
        capacity: Some(capacity),
        need,
        returned: (0, 0),
        min_free: 0,
        trial: Trial::Passed,
        shortage: None,
    }
}

fn of(room: i64, least: i64, most: i64) -> Forecast {
    forecast(&outlook(&capacity(100, 100 - room), &need(least, most)))
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
fn room_for_the_most_starts_less_than_the_least_fails_between_is_at_risk() {
    assert_eq!(of(4, 2, 4), Forecast::Starts);
    assert_eq!(of(3, 2, 4), Forecast::AtRisk);
    assert_eq!(of(2, 2, 4), Forecast::AtRisk);
    assert_eq!(of(1, 2, 4), Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
}

#[test]
fn a_httpd_that_makes_no_set_starts_on_a_full_table_and_without_any_table() {
    assert_eq!(of(0, 0, 0), Forecast::Starts);
    let (table, none) = (capacity(0, 0), need(0, 0));
    let without = Outlook { capacity: None, ..outlook(&table, &none) };
    assert_eq!(forecast(&without), Forecast::Starts);
}

#[test]
fn a_kernel_without_semaphores_fails_whoever_needs_one_and_puts_the_rest_at_risk() {
    let table = capacity(0, 0);
    let (one, maybe) = (need(1, 1), need(0, 1));
    let without = |need| Outlook { capacity: None, ..outlook(&table, need) };
    assert_eq!(forecast(&without(&one)), Forecast::Fails(Failure::NoSysvIpc));
    assert_eq!(forecast(&without(&maybe)), Forecast::AtRisk);
}

#[test]
fn a_refused_trial_fails_what_surely_needs_a_set() {
    let table = capacity(100, 0);
    let refused = Trial::Refused("semget", Errno::EPERM);
    let of = |need: &Need| forecast(&Outlook { trial: refused, ..outlook(&table, need) });
    assert_eq!(of(&need(1, 1)), Forecast::Fails(Failure::Refused("semget", Errno::EPERM)));
    assert_eq!(of(&need(0, 1)), Forecast::AtRisk);
    assert_eq!(of(&need(0, 0)), Forecast::Starts);
}

#[test]
fn a_trial_that_taught_nothing_says_nothing() {
    let (table, one) = (capacity(100, 0), need(1, 1));
    for trial in [Trial::Disturbed, Trial::Skipped("for a test")] {
        assert_eq!(forecast(&Outlook { trial, ..outlook(&table, &one) }), Forecast::Starts);
    }
}

#[test]
fn a_reserve_is_what_must_be_left_after_the_start() {
    let (table, two) = (capacity(10, 5), need(2, 2));
    let of = |min_free| forecast(&Outlook { min_free, ..outlook(&table, &two) });
    assert_eq!(of(3), Forecast::Starts);
    assert_eq!(of(4), Forecast::Fails(Failure::Reserve));
}

#[test]
fn a_httpd_that_runs_gives_its_own_sets_back_before_it_starts_again() {
    let (full, three) = (capacity(10, 10), need(3, 3));
    let of = |returned| forecast(&Outlook { returned, ..outlook(&full, &three) });
    assert_eq!(of((3, 0)), Forecast::Starts);
    assert_eq!(of((2, 1)), Forecast::AtRisk);
    assert_eq!(of((2, 0)), Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
    // Limits that were lowered below the usage are not made up for so soon.
    let over = capacity(4, 10);
    let lowered = forecast(&Outlook { returned: (7, 0), ..outlook(&over, &three) });
    assert_eq!(lowered, Forecast::Fails(Failure::NoRoom(Limit::Semmni)));
}

#[test]
fn a_shortage_elsewhere_fails_where_it_is_certain() {
    let (table, none) = (capacity(10, 0), need(0, 0));
    let of = |shortage: &Shortage| {
        forecast(&Outlook { shortage: Some(shortage), ..outlook(&table, &none) })
    };
    let certain = lacking(true);
    assert_eq!(of(&certain), Forecast::Fails(Failure::Resource(certain.clone())));
    assert_eq!(of(&lacking(false)), Forecast::AtRisk);
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
            let (capacity, need) = (capacity(100, 100 - room), need(least, least + more));
            forecast(&Outlook { min_free, ..outlook(&capacity, &need) })
        };
        let (now, then) = (with(room), with(room + 1));
        prop_assert!(rank(&then) >= rank(&now));
    }
}
