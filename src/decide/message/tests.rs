//! Each message is complete in itself.

use std::sync::OnceLock;

use nix::errno::Errno;

use super::*;
use crate::decide::forecast::Failure;
use crate::decide::forecast::Input;
use crate::decide::forecast::tests::{capacity, input, lacking, need};
use crate::facts::capacity::{Capacity, Limit, Limits, Usage};
use crate::facts::mutex::{Demand, LogLine, Mechanism, Mutexes, Passes};
use crate::facts::site::GuardCommand;
use crate::facts::trial::Trial;

fn situation(input: &Input) -> Situation<'_> {
    static GUARD: OnceLock<GuardCommand> = OnceLock::new();
    Situation {
        input,
        demand: None,
        holders: "14 of postgres (26), used by postgres 811; 1 of root (0)",
        strangers: &[],
        has_others: false,
        removable: 0,
        guard: GUARD.get_or_init(GuardCommand::default),
        undecided: None,
        site: None,
        reserve: None,
        started_as: None,
    }
}

/// The whole text of a message.
fn in_full(message: &Message) -> String {
    let remedies = message.remedies.iter().map(Remedy::in_line);
    let parts = std::iter::once(message.headline()).chain(message.why.iter().cloned());
    parts.chain(remedies).collect::<Vec<_>>().join("\n")
}

fn said(failure: &Failure, s: &Situation<'_>) -> String {
    in_full(&words(failure, s))
}

#[test]
fn a_full_table_is_reported_in_httpds_words_with_limit_holders_and_commands() {
    let full = input(capacity(15, 15), need(1, 1));
    let text = said(&Failure::NoRoom(Limit::Semmni), &situation(&full));
    for part in [
        "semaphore table full: httpd would not start (it would log: (28)No space left on device: AH00023: \
         Couldn't create the mpm-accept mutex)",
        "SEMMNI, the maximum number of semaphore sets, is 15, and all 15 are in use (this is not about disk space)",
        "14 of postgres (26), used by postgres 811; 1 of root (0)",
        "sysctl -w kernel.sem=\"250 32000 32 128\"",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_failure_after_detaching_says_that_apachectl_reports_success() {
    let row = |mutex: &str| Mutexes {
        mutex: mutex.into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 1,
        most: 1,
        cause: "a module".into(),
        passes: if mutex == "proxy" { Passes::Both } else { Passes::Second },
        words: LogLine::Ah00023,
    };
    let demand = Demand { rows: vec![row("proxy"), row("watchdog-callback")] };
    let one_free = input(capacity(10, 9), need(2, 2));
    let s = Situation { demand: Some(&demand), ..situation(&one_free) };
    let text = said(&Failure::NoRoom(Limit::Semmni), &s);
    assert!(text.contains("Couldn't create the watchdog-callback mutex"), "{text}");
    assert!(text.contains("reports success"), "{text}");
    let full = input(capacity(10, 10), need(2, 2));
    let s = Situation { input: &full, ..s };
    let text = said(&Failure::NoRoom(Limit::Semmni), &s);
    assert!(text.contains("Couldn't create the proxy mutex") && !text.contains("reports success"));
}

#[test]
fn a_start_at_risk_names_the_mutexes_in_doubt() {
    let row = Mutexes {
        mutex: "wsgi".into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 0,
        most: 2,
        cause: "WSGIDaemonProcess with several processes".into(),
        passes: Passes::Second,
        words: LogLine::Ah00023,
    };
    let demand = Demand { rows: vec![row] };
    let one_free = input(capacity(10, 9), need(0, 2));
    let s = Situation { demand: Some(&demand), ..situation(&one_free) };
    let text = in_full(&at_risk(&s));
    assert!(text.starts_with("semaphore table nearly full: httpd may not start"), "{text}");
    assert!(text.contains("in doubt: wsgi, 0 to 2 (WSGIDaemonProcess"), "{text}");
}

#[test]
fn a_full_lock_directory_is_distinguished_from_a_full_table() {
    let input = input(capacity(10, 0), need(0, 0));
    let text = said(&Failure::Resource(lacking(true)), &situation(&input));
    for part in [
        "(28)No space left on device: AH00023: Couldn't create the proxy mutex (file /run/locks/proxy.PID)",
        "a lock file in /run/locks (mechanism fcntl), not as a semaphore set",
        "had room for 1 of the 2 needed",
        "df -i /run/locks",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains("SEMMNI"), "{text}");
}

#[test]
fn a_missing_kernel_option_is_named() {
    let input = input(capacity(0, 0), need(1, 1));
    let text = said(&Failure::NoSysvIpc, &situation(&input));
    assert!(text.contains("(38)Function not implemented") && text.contains("CONFIG_SYSVIPC"));
}

#[test]
fn a_semmsl_that_is_too_low_is_an_invalid_argument() {
    let table = Capacity {
        limits: Limits { semmsl: 0, semmns: 32_000, semopm: 32, semmni: 10 },
        usage: Usage::default(),
    };
    let input = input(table, need(1, 1));
    let text = said(&Failure::NoRoom(Limit::Semmsl), &situation(&input));
    assert!(text.contains("(22)Invalid argument") && text.contains("SEMMSL"), "{text}");
}

#[test]
fn room_that_no_limit_can_provide_is_not_proposed() {
    let input = input(capacity(128, 0), need(40_000, 40_000));
    let text = said(&Failure::NoRoom(Limit::Semmni), &situation(&input));
    assert!(text.contains("no kernel.sem has room for 40000 more") && !text.contains("sysctl"));
}

#[test]
fn every_failure_has_all_three_parts() {
    let input = input(capacity(10, 10), need(1, 1));
    for failure in [
        Failure::NoRoom(Limit::Semmsl),
        Failure::NoRoom(Limit::Semmns),
        Failure::NoRoom(Limit::Semmni),
        Failure::Reserve,
        Failure::Refused("semget", Errno::EPERM),
        Failure::Refused("semget", Errno::ENOMEM),
        Failure::NoSysvIpc,
        Failure::Resource(lacking(true)),
        Failure::MutexDirectory("file:/x".into()),
    ] {
        let message = words(&failure, &situation(&input));
        let headline = message.headline();
        let (cause, rest) = headline.split_once(": ").expect("a cause");
        assert!(cause.len() <= 33, "systemctl status cuts it: {cause}");
        assert!(rest.starts_with("httpd would"), "{failure:?}: {rest}");
        assert!(!message.why.is_empty() && !message.remedies.is_empty(), "{failure:?}");
    }
}

#[test]
fn a_refused_trial_is_named_if_a_set_may_be_needed() {
    let perhaps = input(capacity(10, 0), need(0, 1));
    let refused = Input { trial: Trial::Refused("semget", Errno::EPERM), ..perhaps.clone() };
    let text = in_full(&at_risk(&situation(&refused)));
    for part in ["semget refused (EPERM): httpd may not start", "not certain", "SystemCallFilter="]
    {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains("sysctl"), "{text}");
    let text = in_full(&at_risk(&situation(&Input { capacity: None, ..perhaps })));
    assert!(
        text.contains("(38)Function not implemented") && text.contains("CONFIG_SYSVIPC"),
        "{text}"
    );
}
