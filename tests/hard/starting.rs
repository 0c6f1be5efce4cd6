//! An httpd that is stopped half way: during its start, during a restart, or for ever.

use std::fs;
use std::process::Child;

use crate::common::{Namespace, wait_until};
use crate::server::Apache;
use crate::table::Case;
use crate::{ROOMY, case};

/// Stops a starting httpd after each of its semget and semctl calls.
const STOP_AT_EACH: &str = "strace -f -qq -o /run/t/trace -e trace=semget,semctl \
                            -e inject=semget,semctl:signal=STOP";

/// An httpd that is run from stop to stop.
struct Stepped<'n> {
    ns: &'n Namespace,
    apache: Apache<'n>,
    tracer: Child,
    /// The stops so far, each with the call it came after.
    calls: Vec<String>,
}

impl<'n> Stepped<'n> {
    fn start(ns: &'n Namespace, apache: Apache<'n>) -> Stepped<'n> {
        let tracer = apache.begin_under(STOP_AT_EACH);
        Stepped { ns, apache, tracer, calls: Vec::new() }
    }

    /// The processes stopped since, each with the call after which it stopped.
    fn stopped(&self) -> Vec<(String, String)> {
        let trace = fs::read_to_string(self.ns.path("/run/t/trace")).unwrap_or_default();
        let lines: Vec<&str> = trace.lines().collect();
        let stop = |(i, line): (usize, &&str)| {
            let pid = line.split_once(' ').filter(|l| l.1.contains("stopped by SIGSTOP"))?.0;
            let own = |l: &&&str| {
                l.split_once(' ')
                    .is_some_and(|(p, call)| p == pid && call.trim_start().starts_with("sem"))
            };
            Some((pid.to_owned(), (*lines[..i].iter().rev().find(own)?).to_owned()))
        };
        lines.iter().enumerate().filter_map(stop).skip(self.calls.len()).collect()
    }

    /// Lets it continue until `done`, calling `at_stop` at each stop.
    fn step(&mut self, done: impl Fn(&Apache) -> bool, mut at_stop: impl FnMut(&str)) {
        loop {
            let mut stopped = Vec::new();
            let mut ended = false;
            wait_until("it stops or is done", || {
                stopped = self.stopped();
                ended = stopped.is_empty() && done(&self.apache);
                ended || !stopped.is_empty()
            });
            if ended {
                return;
            }
            for (pid, call) in stopped {
                at_stop(&call);
                self.calls.push(call);
                self.ns.sh(&format!("kill -CONT {pid}"));
            }
        }
    }

    /// Checks that it was stopped after each of these calls or semctl commands.
    #[track_caller]
    fn passed(&self, commands: &[&str]) {
        for word in commands {
            assert!(self.calls.iter().any(|c| c.contains(word)), "{word}: {:?}", self.calls);
        }
    }
}

impl Drop for Stepped<'_> {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}

fn is_up(apache: &Apache) -> bool {
    apache.log().contains("resuming normal operations")
}

/// Runs a guard at each stop of a start; all sets belong to the starting httpd.
fn guard_at_each_step(case: &mut Case, ns: &Namespace, apache: Apache, args: &str) {
    let mut stepped = Stepped::start(ns, apache);
    stepped.step(is_up, |call| {
        let alive = ns.ids();
        let guard = case.guard(ns, &alive, &[], || ns.guard(args));
        assert_eq!(guard.code, Some(0), "after {call}: {guard}");
    });
    stepped.passed(&["semget(", "SETVAL", "IPC_SET", "IPC_RMID"]);
    stepped.apache.comes_up();
    stepped.apache.serves();
    case.note(&format!("{} stops", stepped.calls.len()));
}

#[test]
fn a_guard_at_each_step_of_a_start_takes_nothing_from_it() {
    let mut case =
        case!("httpd stopped at each step of its start", "apache2", "curl", "openssl", "strace");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    guard_at_each_step(&mut case, &ns, apache, "guard --user 33");
}

#[test]
fn a_guard_at_each_step_of_a_graceful_restart_takes_nothing_from_it() {
    let mut case = case!(
        "httpd stopped at each step of a graceful restart",
        "apache2",
        "curl",
        "openssl",
        "strace"
    );
    let ns = Namespace::new(ROOMY);
    let mut stepped = Stepped::start(&ns, Apache::with_tls(&ns, "prefork", ""));
    stepped.step(is_up, |_| ());
    stepped.apache.comes_up();
    let in_start = stepped.calls.len();
    stepped.apache.control("graceful").exits(0);
    let restarted = |a: &Apache| a.log().matches("resuming normal operations").count() == 2;
    stepped.step(restarted, |call| {
        let alive = ns.ids();
        let guard = case.guard(&ns, &alive, &[], || ns.guard("guard --user 33"));
        assert_eq!(guard.code, Some(0), "after {call}: {guard}");
    });
    assert!(stepped.calls.len() > in_start, "{:?}", stepped.calls);
    stepped.passed(&["semget(", "SETVAL", "IPC_SET", "IPC_RMID"]);
    stepped.apache.serves();
    case.note(&format!("{} stops", stepped.calls.len() - in_start));
}

#[test]
fn a_guard_at_each_step_of_a_start_under_another_name_takes_nothing_from_it() {
    let mut case = case!(
        "httpd under another name, stopped at each step",
        "apache2",
        "curl",
        "openssl",
        "strace"
    );
    let ns = Namespace::new(ROOMY);
    let mut apache = Apache::with_tls(&ns, "prefork", "");
    ns.sh("cp /usr/sbin/apache2 /run/t/webd").exits(0);
    "/run/t/webd".clone_into(&mut apache.program);
    // It has no worker yet to be recognised by, but it contains APR.
    guard_at_each_step(&mut case, &ns, apache, "guard --user 33");
}

#[test]
fn a_set_left_by_an_httpd_that_died_before_giving_it_away_is_roots_and_stays() {
    let mut case = case!("httpd killed between semget and IPC_SET", "apache2", "openssl", "strace");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    // Killed on entry to SETVAL, to IPC_SET, and to the next semget.
    for call in
        ["semctl:signal=KILL:when=1", "semctl:signal=KILL:when=2", "semget:signal=KILL:when=2"]
    {
        let tracer = format!("strace -f -qq -o /run/t/trace -e inject={call}");
        apache.begin_under(&tracer).wait().expect("waited");
    }
    let sets = ns.sets();
    let given: Vec<i32> = sets.iter().filter(|s| s.uid == 33).map(|s| s.id).collect();
    assert_eq!((sets.len(), given.len()), (3, 1), "{sets:?}");
    case.guard(&ns, &[], &given, || ns.guard("guard --user 33")).exits(0);
}
