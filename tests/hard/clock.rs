//! A wall clock that is stepped while httpd runs: times are shown, but decide nothing.

use std::path::PathBuf;

use crate::common::Namespace;
use crate::server::{Apache, tempting};
use crate::{ROOMY, case};

/// A command prefix that makes a program see a stepped wall clock, through libfaketime, which Debian's
/// `faketime` loads.
fn stepped(step: &str) -> String {
    let library = || -> Option<PathBuf> {
        let dirs = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
        dirs.map(|d| d.path().join("faketime/libfaketime.so.1")).find(|p| p.exists())
    };
    let library = library().expect("libfaketime is installed");
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
    // The remains of a dead httpd, and a running one with prefork: its workers use one set, and another
    // was made by its dead launcher and never used.
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
    // Large and small steps: beyond the uptime, beyond any plausible window, within one.
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

/// Rules based on time removed these sets of running httpds once their minute of waiting was over. What
/// protects all of them is that their semids are in the memory of a running httpd (the verdict's last
/// row).
///
/// Two sets of one launcher, 8 seconds apart, and a clock that was set back after the start: the older
/// set, which a worker uses, "proved" the clock right, and by that clock no running process had made
/// the younger set.
///
/// A worker of an httpd that its user started (mod_perl) makes a set for itself half a minute after the
/// start, and one of its own children touches it last: the leader, which was consulted on behalf of all
/// workers, could not have made it.
#[test]
fn no_time_between_a_set_and_a_start_takes_the_set() {
    let mut back = case!("clock set back between two sets of a launcher", "faketime");
    let mut late = case!("a worker's own set, last touched by its dead child");
    let ns = Namespace::new(ROOMY);
    let launcher =
        "make 1 33 sleep 8000 make 1 33 detach fork { as 33 touch 0 stay worker } stay leader";
    let httpd = ns.actor("httpd", launcher);
    let other = Namespace::new(ROOMY);
    let worker = "as 33 detach make 1 33 touch 0 \
                  fork { sleep 35000 get fork { set 1 } sleep 300 stay worker } stay leader";
    // Takes about as long as the clock is then set back, so hardly any set has a time in the future.
    let late_httpd = other.actor("httpd", worker);
    assert_eq!(late_httpd.sets.len(), 2);
    assert!(!other.lives(other.semaphore(late_httpd.sets[1]).pid), "its last pid is dead");
    for seconds in (28..=38).step_by(2) {
        let guard = || ns.guard_under(&stepped(&format!("-{seconds}")), "guard --user 33");
        back.guard(&ns, &httpd.sets, &[], guard).exits(0);
    }
    late.guard(&other, &late_httpd.sets, &[], || other.guard("guard --user 33")).exits(0);
    httpd.kill_all();
    back.guard(&ns, &[], &httpd.sets, || ns.guard("guard --user 33")).exits(0);
    late_httpd.kill_all();
    late.guard(&other, &[], &late_httpd.sets, || other.guard("guard --user 33")).exits(0);
}
