//! A wall clock that was stepped while httpd runs: times are shown, and judge nothing.

use std::path::PathBuf;

use crate::common::Namespace;
use crate::server::{Apache, tempting};
use crate::{ROOMY, case};

/// The command line before a program that sees its wall clock stepped, by libfaketime, which Debian's
/// `faketime` loads.
fn stepped(step: &str) -> String {
    let library = || -> Option<PathBuf> {
        let dirs = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
        dirs.map(|d| d.path().join("faketime/libfaketime.so.1")).find(|p| p.exists())
    };
    let library = library().expect("faketime is installed");
    let still = "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1";
    format!("env LD_PRELOAD={} FAKETIME={step} {still}", library.display())
}

#[test]
fn a_stepped_clock_changes_no_verdict() {
    let mut case = case!("stepped clock", "apache2", "curl", "faketime", "openssl");
    let ns = Namespace::new(ROOMY);
    let seconds = |wrapper: &str| -> i64 {
        ns.sh(&format!("{wrapper} date +%s")).exits(0).out.trim().parse().expect("seconds")
    };
    // What is left of one, and one that lives: of prefork, whose workers use a set, and with one that
    // its dead launcher made and nobody ever used.
    let dead = Apache::another(&ns, "dead", 8180);
    let left = dead.start();
    dead.serves_plainly();
    dead.kill();
    let apache = Apache::with_tls(&ns, "prefork", "");
    let alive = apache.start();
    assert!(tempting(&ns).iter().any(|id| alive.contains(id)));
    let verdicts = |wrapper: &str| -> Vec<String> {
        let list = ns.guard_under(wrapper, "list --user 33").exits(0);
        let words = |id: &i32| list.verdict(*id).split_whitespace().next().map(str::to_owned);
        alive.iter().chain(&left).filter_map(words).collect()
    };
    let as_it_is = verdicts("");
    assert_eq!(as_it_is[..alive.len()], vec!["keep"; alive.len()]);
    assert_eq!(as_it_is[alive.len()..], vec!["orphan"; left.len()]);
    // Far and near: further than the uptime, past what any window could be, inside some.
    let steps = ["+10h", "-10h", "+20m", "-20m", "+3m", "-3m", "+40", "-40", "+10", "-10"];
    for step in steps {
        let off = seconds(&stepped(step)) - seconds("");
        assert!(off.abs() > 5, "the guard's clock is stepped by {step}, not by {off} s");
        assert_eq!(verdicts(&stepped(step)), as_it_is, "{step}");
    }
    let guard = || ns.guard_under(&stepped("-10h"), "guard --user 33");
    case.guard(&ns, &alive, &left, guard).exits(0);
    apache.serves();
    apache.kill();
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard_under(&stepped("+10h"), "guard --user 33")).exits(0);
}

/// Two sets of one launcher, 8 seconds apart, and a clock that was set back after the start: the older
/// set once "proved" the clock, by which the younger was none of the living one's. What holds them is
/// that their numbers stand in its memory (the verdict's last row).
#[test]
fn a_clock_set_back_between_two_sets_takes_neither() {
    let mut case = case!("clock set back between two sets of a launcher", "faketime");
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor(
        "httpd",
        "make 1 33 sleep 8000 make 1 33 detach fork { as 33 stay worker } stay leader",
    );
    for back in (28..=46).step_by(2) {
        let guard = || ns.guard_under(&stepped(&format!("-{back}")), "guard --user 33");
        case.guard(&ns, &httpd.sets, &[], guard).exits(0);
    }
    httpd.kill_all();
    case.guard(&ns, &[], &httpd.sets, || ns.guard("guard --user 33")).exits(0);
}
