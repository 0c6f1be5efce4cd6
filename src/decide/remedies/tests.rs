//! A remedy that is said to be a solution is one, and harmful ones come last.

use std::path::PathBuf;

use nix::unistd::Pid;
use proptest::prelude::*;

use super::*;
use crate::decide::forecast::tests::{capacity, input, need};
use crate::facts::message::Remedy;
use crate::facts::mutex::{Demand, Passes};
use crate::facts::process::Named;
use crate::facts::row::Undecided;
use crate::facts::site::GuardCommand;

/// A machine on which `kernel.sem` is set here at boot.
fn site(lasting: Lasting) -> Site {
    let sysctl = Sysctl::Here { has_program: true, lasting };
    Site { sysctl, table: TableOf::Here, unit: None, unit_in_doubt: None, directive: None }
}

fn of_new_file() -> Site {
    site(Lasting { new: Some("/etc/sysctl.d/99-httpd-semguard.conf".into()), ..Lasting::default() })
}

fn with<'a>(input: &'a Input, site: &'a Site, guard: &'a GuardCommand) -> Situation<'a> {
    Situation {
        input,
        demand: None,
        holders: "",
        strangers: &[],
        has_others: false,
        removable: 0,
        guard,
        undecided: None,
        site: Some(site),
        reserve: None,
        started_as: None,
    }
}

fn commands(remedies: &[Remedy]) -> Vec<&str> {
    remedies.iter().filter_map(|r| r.command.as_deref()).collect()
}

#[test]
fn the_least_harmful_comes_first_and_stopping_a_server_last() {
    let (full, mut site) = (input(capacity(15, 15), need(1, 1)), of_new_file());
    site.unit_in_doubt = Some("apache2@shop.service".into());
    let guard = GuardCommand::default();
    let process = Named { pid: Pid::from_raw(77), name: "httpd".into() };
    let undecided = Undecided { sets: 2, process, of_process: 2 };
    let s = Situation { removable: 3, undecided: Some(&undecided), ..with(&full, &site, &guard) };
    assert_eq!(
        commands(&remedies(&s)),
        [
            "httpd-semguard guard",
            "sysctl -w kernel.sem=\"250 32000 32 128\"",
            "echo 'kernel.sem = 250 32000 32 128' > /etc/sysctl.d/99-httpd-semguard.conf && sysctl -p \
             /etc/sysctl.d/99-httpd-semguard.conf",
            "httpd-semguard list",
            "systemctl stop apache2@shop.service; httpd-semguard guard; systemctl start \
             apache2@shop.service",
        ]
    );
    // If its sets would not be enough even if all were orphans, there is no reason to stop a server.
    let much = input(capacity(15, 15), need(9, 9));
    let s = Situation { input: &much, ..s };
    assert!(commands(&remedies(&s)).iter().all(|c| !c.contains("systemctl stop")));
}

#[test]
fn orphans_that_do_not_make_enough_room_are_said_not_to() {
    let (full, site, guard) =
        (input(capacity(15, 15), need(4, 4)), of_new_file(), GuardCommand::default());
    let first = |removable| {
        let s = Situation { removable, ..with(&full, &site, &guard) };
        remedies(&s).swap_remove(0)
    };
    assert!(!first(3).cures && first(3).remark.ends_with("which alone is not enough"));
    assert!(first(4).cures && first(4).remark.ends_with("that a dead httpd left"));
}

#[test]
fn the_files_that_set_it_at_boot_are_named_and_changed() {
    let (full, guard) = (input(capacity(15, 15), need(1, 1)), GuardCommand::default());
    let of = |lasting| {
        let site = site(lasting);
        remedies(&with(&full, &site, &guard)).swap_remove(1)
    };
    let edited =
        of(Lasting { edit: vec![("/etc/sysctl.d/50-my db.conf".into(), 3)], ..Lasting::default() });
    assert_eq!(
        edited.command.as_deref(),
        Some(
            "sed -i '3s/.*/kernel.sem = 250 32000 32 128/' \
             '/etc/sysctl.d/50-my db.conf' && sysctl -w kernel.sem=\"250 32000 32 128\""
        )
    );
    assert!(
        edited.remark.contains("line 3 of /etc/sysctl.d/50-my db.conf sets kernel.sem at boot")
    );
    let classic = vec![(PathBuf::from("/etc/sysctl.conf"), 9)];
    let both = of(Lasting {
        edit: classic,
        new: Some("/etc/sysctl.d/99-x.conf".into()),
        needs_folder: true,
    });
    let command = both.command.expect("a command");
    assert!(command.contains("/etc/sysctl.conf") && command.contains("> /etc/sysctl.d/99-x.conf"));
    assert!(command.contains("mkdir -p /etc/sysctl.d && echo"), "{command}");
}

#[test]
fn in_a_container_the_message_says_what_to_do_outside() {
    let (full, guard) = (input(capacity(15, 15), need(1, 1)), GuardCommand::default());
    let closed = Site { sysctl: Sysctl::Outside, ..of_new_file() };
    let said = remedies(&with(&full, &closed, &guard));
    assert!(said[0].remark.contains("outside this container"), "{said:?}");
    assert!(said[0].remark.contains("--sysctl kernel.sem=\"250 32000 32 128\""), "{said:?}");
    assert_eq!(commands(&said), ["sysctl -w kernel.sem=\"250 32000 32 128\""]);
    assert!(said[2].remark.starts_with("on the host"), "{said:?}");
}

#[test]
fn commands_for_another_namespace_enter_it() {
    let (full, guard) = (input(capacity(15, 15), need(1, 1)), GuardCommand::default());
    let there = Site { table: TableOf::Process(Pid::from_raw(4711)), ..of_new_file() };
    let s = Situation { removable: 2, ..with(&full, &there, &guard) };
    assert_eq!(
        commands(&remedies(&s)),
        [
            "nsenter -t 4711 -i httpd-semguard guard",
            "nsenter -t 4711 -i sysctl -w kernel.sem=\"250 32000 32 128\""
        ]
    );
}

#[test]
fn without_sysctl_the_file_in_proc_is_written() {
    let (full, guard) = (input(capacity(15, 15), need(1, 1)), GuardCommand::default());
    let bare = Site {
        sysctl: Sysctl::Here { has_program: false, lasting: Lasting::default() },
        ..of_new_file()
    };
    let said = remedies(&with(&full, &bare, &guard));
    assert_eq!(
        said[0].command.as_deref(),
        Some("sh -c 'echo \"250 32000 32 128\" > /proc/sys/kernel/sem'")
    );
}

#[test]
fn permanent_solutions_are_named_where_they_are_available() {
    let (full, guard) = (input(capacity(15, 15), need(1, 1)), GuardCommand::default());
    let row = |mutex: &str, words| Mutexes {
        mutex: mutex.into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 1,
        most: 1,
        cause: "a test".into(),
        passes: Passes::Second,
        words,
    };
    let accept_lock = || LogLine::AcceptLock { file: None, mechanism: 2 };
    const MUTEX: Option<&str> = Some("Mutex pthread default");
    for (rows, directive, want, cures) in [
        (vec![row("mpm-accept", LogLine::Ah00023)], MUTEX, Some("no semaphore set"), true),
        (vec![row("mpm-accept", LogLine::Ah00023)], None, None, false),
        (
            vec![row("mpm-accept", LogLine::Ah00023), row("wsgi", LogLine::Ah00023)],
            MUTEX,
            Some("its other locks still need sets"),
            false,
        ),
        (vec![row("wsgi", LogLine::Ah00023)], None, None, false),
        (
            vec![row("AcceptMutex", accept_lock())],
            Some("AcceptMutex pthread"),
            Some("any \"AcceptMutex sysvsem\""),
            true,
        ),
    ] {
        let (demand, site) = (Demand { rows }, Site { directive, ..of_new_file() });
        let s = Situation { demand: Some(&demand), ..with(&full, &site, &guard) };
        let said = remedies(&s);
        let pthread = said.iter().find(|r| r.remark.contains("pthread"));
        match want {
            Some(want) => assert!(pthread.is_some_and(|r| r.remark.contains(want)), "{said:?}"),
            None => assert_eq!(pthread, None),
        }
        assert_eq!(pthread.is_some_and(|r| r.cures), cures, "{said:?}");
    }
    let unit = Site { unit: Some("apache2.service".into()), ..of_new_file() };
    let said = remedies(&with(&full, &unit, &guard));
    let own =
        said.iter().find(|r| r.command.as_ref().is_some_and(|c| c.contains("PrivateIPC=yes")));
    assert!(own.is_some_and(|r| r.cures), "{said:?}");
}

/// What one of these commands changes in a table: the model that the claims are checked against.
fn done(command: &str, now: Capacity, removable: usize) -> Option<Capacity> {
    if command.starts_with("httpd-semguard guard") {
        return Some(now.without(removable));
    }
    let numbers = |text: &str| {
        let sem: Vec<i64> = text.split(' ').filter_map(|n| n.parse().ok()).collect();
        let [semmsl, semmns, semopm, semmni] = sem[..] else { return None };
        Some(Limits { semmsl, semmns, semopm, semmni })
    };
    let (_, rest) =
        command.split_once("kernel.sem=\"").or_else(|| command.split_once("kernel.sem = "))?;
    Some(now.with_limits(numbers(rest.split(['"', '\'']).next()?)?))
}

proptest! {
    #[test]
    fn claimed_solutions_work_and_there_is_one(
        semmsl in 0i64..3, semmns in 0i64..60, semopm in 0i64..2, semmni in 0i64..60,
        used in 0i64..60, removable in 0usize..40, least in 0i64..6, more in 0i64..4,
        min_free in prop_oneof![Just(0i64), 1i64..40], spoilt in 0u8..8,
    ) {
        let limits = match spoilt {
            0 => Limits { semmsl: 25_032_000, semmns: 32, semopm: 512, semmni: 512 },
            _ => Limits { semmsl: semmsl * 125, semmns, semopm: semopm * 32, semmni },
        };
        let removable = removable.min(usize::try_from(used).unwrap_or(0));
        let now = Capacity { limits, usage: Usage { sets: used, semaphores: used } };
        let trial = match limits.semopm {
            0 => Trial::Refused(LOCKING, Errno::E2BIG),
            _ => Trial::Passed,
        };
        let input = Input { min_free, trial, ..input(now, need(least, least + more)) };
        prop_assume!(input.forecast() != Forecast::Starts);
        let (site, guard) = (of_new_file(), GuardCommand::default());
        let s = Situation { removable, ..with(&input, &site, &guard) };
        let said = remedies(&s);
        prop_assert!(said.iter().any(|remedy| remedy.cures), "{said:?}");
        for remedy in &said {
            let Some(then) = remedy.command.as_ref().and_then(|c| done(c, now, removable)) else {
                continue;
            };
            let starts = cures(&input, then);
            prop_assert_eq!(remedy.cures, starts, "{:?}", remedy);
            prop_assert!(remedy.cures || remedy.remark.contains("not enough"), "{remedy:?}");
        }
        let limited = kernel_sem::better(&now, least + more + min_free);
        prop_assert!(now.with_limits(limited).room().sets > least + more + min_free);
    }
}
