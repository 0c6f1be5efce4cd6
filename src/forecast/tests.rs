//! The forecast's table, and that its words stand alone.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::httpd::demand::Row;
use crate::sysv::{Limits, Usage};

fn capacity(semmni: i64, sets: i64) -> Capacity {
    Capacity {
        limits: Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni },
        usage: Usage { sets, semaphores: sets },
    }
}

fn need(at_least: i64, at_most: i64) -> Need {
    Need { at_least, at_most, source: NeedSource::Asked }
}

fn outlook<'a>(capacity: &'a Capacity, need: &'a Need) -> Outlook<'a> {
    Outlook { capacity: Some(capacity), need, min_free: 0, trial: Trial::Passed, shortage: None }
}

fn of(room: i64, least: i64, most: i64) -> Forecast {
    forecast(&outlook(&capacity(100, 100 - room), &need(least, most)))
}

fn lacking(certain: bool) -> Shortage {
    Shortage {
        mutex: "proxy".into(),
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
fn a_shortage_elsewhere_fails_where_it_is_certain() {
    let (table, none) = (capacity(10, 0), need(0, 0));
    let of = |shortage: &Shortage| {
        forecast(&Outlook { shortage: Some(shortage), ..outlook(&table, &none) })
    };
    let certain = lacking(true);
    assert_eq!(of(&certain), Forecast::Fails(Failure::Resource(certain.clone())));
    assert_eq!(of(&lacking(false)), Forecast::AtRisk);
}

fn situation<'a>(capacity: &'a Capacity, need: &'a Need) -> Situation<'a> {
    Situation {
        capacity: Some(capacity),
        need,
        demand: None,
        min_free: 0,
        shortage: None,
        holders: "postgres 14 (living, postgres 811), root 1",
        removable: 0,
        undecided: None,
    }
}

fn said(failure: &Failure, s: &Situation<'_>) -> String {
    words(failure, s).lines().join("\n")
}

#[test]
fn a_full_table_is_said_in_httpds_words_with_limit_holders_and_what_to_type() {
    let (table, one) = (capacity(15, 15), need(1, 1));
    let text = said(&Failure::NoRoom(Limit::Semmni), &situation(&table, &one));
    for part in [
        "httpd would not start: (28)No space left on device: AH00023: Couldn't create the mpm-accept mutex",
        "SEMMNI, the number of semaphore sets, is 15 and 15 are in use (this is not about disk space)",
        "postgres 14 (living, postgres 811), root 1",
        "sysctl -w kernel.sem=\"250 32000 32 30\"",
        "/etc/sysctl.d/",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn orphans_and_undecided_sets_come_before_the_sysctl() {
    let (table, one) = (capacity(15, 15), need(1, 1));
    let s = Situation {
        removable: 3,
        undecided: Some((2, "httpd 77".into())),
        ..situation(&table, &one)
    };
    let todo = words(&Failure::NoRoom(Limit::Semmni), &s).todo;
    assert!(todo[0].starts_with("httpd-semguard guard") && todo[0].contains("3 semaphore sets"));
    assert!(todo[1].contains("httpd 77") && todo[1].contains("2 of the sets"));
    assert!(todo[2].starts_with("sysctl"));
}

#[test]
fn a_failure_after_the_detaching_says_that_apachectl_will_not_tell() {
    let row = |mutex: &str| Row {
        mutex: mutex.into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 1,
        most: 1,
        cause: "a module".into(),
    };
    let demand = Demand { rows: vec![row("proxy"), row("watchdog-callback")] };
    let (table, two) = (capacity(10, 9), need(2, 2));
    let s = Situation { demand: Some(&demand), ..situation(&table, &two) };
    let text = said(&Failure::NoRoom(Limit::Semmni), &s);
    assert!(text.contains("Couldn't create the watchdog-callback mutex"), "{text}");
    assert!(text.contains("reports success"), "{text}");
    let full = capacity(10, 10);
    let s = Situation { capacity: Some(&full), ..s };
    let text = said(&Failure::NoRoom(Limit::Semmni), &s);
    assert!(text.contains("Couldn't create the proxy mutex") && !text.contains("reports success"));
}

#[test]
fn a_start_at_risk_names_the_mutexes_in_doubt() {
    let row = Row {
        mutex: "wsgi".into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 0,
        most: 2,
        cause: "WSGIDaemonProcess with several processes".into(),
    };
    let demand = Demand { rows: vec![row] };
    let (table, some) = (capacity(10, 9), need(0, 2));
    let s = Situation { demand: Some(&demand), ..situation(&table, &some) };
    let text = at_risk(&s).lines().join("\n");
    assert!(text.starts_with("httpd may not start"), "{text}");
    assert!(text.contains("in doubt: wsgi, 0 to 2 (WSGIDaemonProcess"), "{text}");
}

#[test]
fn a_full_lock_directory_is_told_from_a_full_table() {
    let (table, none) = (capacity(10, 0), need(0, 0));
    let shortage = lacking(true);
    let s = Situation { shortage: Some(&shortage), ..situation(&table, &none) };
    let text = said(&Failure::Resource(shortage.clone()), &s);
    for part in [
        "(28)No space left on device: AH00023: Couldn't create the proxy mutex (file /run/locks/proxy.PID)",
        "a lock file in /run/locks (mechanism fcntl), not as a semaphore set",
        "took 1 of the 2 needed",
        "df -i /run/locks",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains("SEMMNI"), "{text}");
}

#[test]
fn a_missing_kernel_option_is_named() {
    let (table, one) = (capacity(0, 0), need(1, 1));
    let text = said(&Failure::NoSysvIpc, &situation(&table, &one));
    assert!(text.contains("(38)Function not implemented") && text.contains("CONFIG_SYSVIPC"));
}

#[test]
fn too_low_a_semmsl_is_an_invalid_argument() {
    let table = Capacity {
        limits: Limits { semmsl: 0, semmns: 32_000, semopm: 32, semmni: 10 },
        usage: Usage::default(),
    };
    let text = said(&Failure::NoRoom(Limit::Semmsl), &situation(&table, &need(1, 1)));
    assert!(text.contains("(22)Invalid argument") && text.contains("SEMMSL"), "{text}");
}

#[test]
fn what_no_limit_can_give_is_not_proposed() {
    let (table, many) = (capacity(128, 0), need(40_000, 40_000));
    let text = said(&Failure::NoRoom(Limit::Semmni), &situation(&table, &many));
    assert!(text.contains("no kernel.sem has room for 40000 more") && !text.contains("sysctl"));
}

#[test]
fn every_failure_has_all_three_parts() {
    let (table, one) = (capacity(10, 10), need(1, 1));
    let shortage = lacking(true);
    let s = Situation { shortage: Some(&shortage), ..situation(&table, &one) };
    for failure in [
        Failure::NoRoom(Limit::Semmsl),
        Failure::NoRoom(Limit::Semmns),
        Failure::NoRoom(Limit::Semmni),
        Failure::Reserve,
        Failure::Refused("semget", Errno::EPERM),
        Failure::Refused("semget", Errno::ENOMEM),
        Failure::NoSysvIpc,
        Failure::Resource(shortage.clone()),
        Failure::MutexDirectory("file:/x".into()),
    ] {
        let message = words(&failure, &s);
        assert!(message.headline.starts_with("httpd would"), "{failure:?}");
        assert!(!message.why.is_empty() && !message.todo.is_empty(), "{failure:?}");
    }
}

proptest! {
    #[test]
    fn more_room_is_never_worse(room in 0i64..50, least in 0i64..20, more in 0i64..20) {
        let rank = |f: &Forecast| match f {
            Forecast::Starts => 2,
            Forecast::AtRisk => 1,
            Forecast::Fails(_) => 0,
        };
        let (now, then) = (of(room, least, least + more), of(room + 1, least, least + more));
        prop_assert!(rank(&then) >= rank(&now));
    }
}
