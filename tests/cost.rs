//! What a run costs, counted in system calls instead of time: a maximum for each additional set and each
//! additional process. Every figure is the difference between two runs that differ only in that, so the
//! constant costs cancel out. docs/performance.md has the times.

mod common;

use std::collections::BTreeMap;

use common::{Namespace, STRANGER, WWW};

const ROOMY: &str = "250 32000 32 500";

/// How many more there are in the second of two runs.
const MORE: usize = 50;

/// The one-off cost that is allowed for all of them together.
const ONE_IN_ALL: f64 = 1.0 / MORE as f64;

/// System calls by name.
type Calls = BTreeMap<String, f64>;

/// The calls of one run of the guard inside.
fn calls(ns: &Namespace, args: &str) -> BTreeMap<String, usize> {
    let guard = env!("CARGO_BIN_EXE_httpd-semguard");
    // Looking up a user without an entry costs the same in every run.
    ns.sh(&format!("strace -f -qq -o /run/t/trace {guard} {args} --no-ask --user 33")).exits(0);
    let trace = std::fs::read_to_string(ns.path("/run/t/trace")).expect("a trace");
    let mut calls = BTreeMap::new();
    for line in trace.lines() {
        let Some((_, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        // The end of a call that was interrupted by the output of another process.
        if name.starts_with('<') {
            continue;
        }
        // "semctl IPC_STAT"
        let command = ["IPC_", "SEM_", "GET"].iter().find_map(|c| {
            let mut words = arguments.split([' ', ',', ')']);
            words.find(|word| word.starts_with(c))
        });
        let name = match (name, command) {
            ("semctl", Some(command)) => format!("semctl {command}"),
            _ => name.to_owned(),
        };
        *calls.entry(name).or_default() += 1;
    }
    calls
}

/// The cost of each additional one: the calls with [`MORE`] of them, minus those without. A listing is
/// read in large pieces, and memory is allocated in large pieces, so neither is a cost of a single one;
/// and in debug builds, the standard library checks each file before it closes it.
fn each(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) -> Calls {
    let pieces = ["getdents64", "brk", "mmap", "munmap", "mremap", "madvise", "fcntl"];
    after
        .iter()
        .filter(|(name, _)| !pieces.contains(&name.as_str()))
        .map(|(name, n)| {
            let without = before.get(name).copied().unwrap_or_default();
            (name.clone(), (*n as f64 - without as f64) / MORE as f64)
        })
        .filter(|(_, n)| *n > 0.0)
        .collect()
}

/// Fails unless each additional one costs at most this many calls with these names, and no others.
#[track_caller]
fn at_most(cost: &Calls, bounds: &[(&str, f64)]) {
    for (name, n) in cost {
        let bound = bounds.iter().find(|(b, _)| b == name).map_or(0.0, |b| b.1);
        assert!(
            *n <= bound,
            "{name}: {n} for each additional one, instead of at most {bound}\n{cost:#?}"
        );
    }
}

/// The cost of each of the [`MORE`] things that `add` adds at once.
fn cost(args: &str, first: impl Fn(&Namespace), add: impl Fn(&Namespace)) -> Calls {
    let (ns, with_more) = (Namespace::new(ROOMY), Namespace::new(ROOMY));
    first(&ns);
    first(&with_more);
    add(&with_more);
    each(&calls(&ns, args), &calls(&with_more, args))
}

/// A set that must be decided, so that the processes are read in both runs.
fn an_orphan(ns: &Namespace) {
    ns.orphans(1, WWW);
}

#[test]
fn an_orphan_is_looked_at_twice_and_removed() {
    require!("strace");
    let cost = cost("guard -q", an_orphan, |ns| {
        ns.orphans(MORE, WWW);
    });
    // Listed, and queried for its last PID; then, as its owner, read again, queried for its whole state,
    // and removed. All of them have the same last PID.
    at_most(
        &cost,
        &[
            ("semctl SEM_STAT_ANY", 1.0),
            ("semctl GETPID", 2.0),
            ("semctl IPC_STAT", 1.0),
            ("semctl GETNCNT", 1.0),
            ("semctl GETZCNT", 1.0),
            ("semctl GETVAL", 1.0),
            ("semctl IPC_RMID", 1.0),
            ("kill", ONE_IN_ALL),
        ],
    );
    assert!(cost["semctl IPC_RMID"] >= 1.0, "nothing was removed\n{cost:#?}");
}

#[test]
fn an_orphan_with_a_last_pid_of_its_own_costs_one_more_call() {
    require!("strace");
    let cost = cost("guard -q --dry-run", an_orphan, |ns| {
        for _ in 0..MORE {
            ns.orphans(1, WWW);
        }
    });
    assert!(cost["kill"] <= 1.0, "{cost:#?}");
}

#[test]
fn a_check_queries_each_orphan_once() {
    require!("strace");
    let cost = cost("check -q", an_orphan, |ns| {
        ns.orphans(MORE, WWW);
    });
    at_most(
        &cost,
        &[
            ("semctl SEM_STAT_ANY", 1.0),
            ("semctl GETPID", 1.0),
            ("semctl GETNCNT", 1.0),
            ("semctl GETZCNT", 1.0),
            ("semctl GETVAL", 1.0),
            ("kill", ONE_IN_ALL),
        ],
    );
}

#[test]
fn a_set_that_is_kept_is_queried_once() {
    require!("strace");
    let (ns, with_more) = (Namespace::new(ROOMY), Namespace::new(ROOMY));
    let _one = ns.actor("httpd", "make 1 33 stay leader");
    let many = with_more.actor("httpd", &format!("make {} 33 stay leader", 1 + MORE));
    let cost = each(&calls(&ns, "guard -q"), &calls(&with_more, "guard -q"));
    assert_eq!(with_more.ids(), many.sets, "not all are kept");
    at_most(
        &cost,
        &[
            ("semctl SEM_STAT_ANY", 1.0),
            ("semctl GETPID", 1.0),
            ("semctl GETNCNT", 1.0),
            ("semctl GETZCNT", 1.0),
            ("semctl GETVAL", 1.0),
        ],
    );
}

#[test]
fn a_guarded_users_set_that_does_not_look_like_httpds_is_only_listed() {
    require!("strace");
    // For the first of them, the name of their owner is looked up.
    let first = |ns: &Namespace| {
        an_orphan(ns);
        ns.dead_actor("php", "as 33 key 0 3 600 exit");
    };
    for command in ["guard -q", "check -q"] {
        let cost = cost(command, first, |ns| {
            ns.dead_actor("php", &format!("as 33 {} exit", "key 0 3 600 ".repeat(MORE)));
        });
        at_most(&cost, &[("semctl SEM_STAT_ANY", 1.0)]);
    }
}

#[test]
fn another_users_set_is_only_listed() {
    require!("strace");
    for command in ["guard -q", "check -q", "list"] {
        let cost = cost(command, an_orphan, |ns| {
            ns.orphans(MORE, STRANGER);
        });
        at_most(&cost, &[("semctl SEM_STAT_ANY", 1.0)]);
    }
}

#[test]
fn no_process_is_read_unless_a_set_requires_it() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    ns.orphans(3, STRANGER);
    ns.dead_actor("php", "as 33 key 0x1234 3 666 exit");
    let calls = calls(&ns, "guard -q");
    assert_eq!(calls.get("getdents64"), None, "/proc was listed\n{calls:#?}");
    assert_eq!(calls.get("readlink"), None, "a process was looked at\n{calls:#?}");
}

/// The cost of each additional process of this kind, with a set that requires reading it.
fn process(wrapper: &str, script: &str) -> Calls {
    let ns = Namespace::new(ROOMY);
    an_orphan(&ns);
    let before = calls(&ns, "check -q");
    let crowd = format!("{} stay parent", format!("fork {{ {script} stay child }} ").repeat(MORE));
    let _crowd = ns.actor_under(wrapper, "program", &crowd);
    each(&before, &calls(&ns, "check -q"))
}

#[test]
fn a_process_of_another_user_costs_its_status_and_its_executable() {
    require!("strace");
    // There are 51 more: their parent as well, which belongs to root.
    let one = 1.0 + ONE_IN_ALL;
    at_most(
        &process("setpriv --reuid 1234 --clear-groups", ""),
        &[("openat", one), ("read", one), ("close", one), ("readlink", one)],
    );
}

#[test]
fn a_process_of_root_also_costs_a_look_at_its_file() {
    require!("strace");
    let one = 1.0 + ONE_IN_ALL;
    // The maps and header of a program are read once for all processes with the same code in them.
    let (with_maps, pieces) = (one + 2.0 * ONE_IN_ALL, 4.0 * ONE_IN_ALL);
    at_most(
        &process("", ""),
        &[
            ("openat", with_maps),
            ("read", one + pieces),
            ("close", with_maps),
            ("readlink", one),
            ("statx", with_maps),
            ("lseek", ONE_IN_ALL),
        ],
    );
}

#[test]
fn a_process_of_httpds_user_costs_what_it_takes_to_tell_whether_it_may_know_a_set() {
    require!("strace");
    // Its status, executable, maps, IPC namespace and stat, and what sysinfo reads.
    let cost = process("", "as 33");
    let total: f64 = cost.values().sum();
    assert!(total <= 28.0, "{total} calls\n{cost:#?}");
    assert!(cost["readlink"] <= 2.0 + 2.0 * ONE_IN_ALL, "{cost:#?}");
    assert!(cost["openat"] <= 5.0 + 5.0 * ONE_IN_ALL, "{cost:#?}");
}

#[test]
fn a_worker_whose_memory_is_read_costs_a_look_at_its_page_tables() {
    require!("strace");
    let cost = |workers: usize| {
        let ns = Namespace::new(ROOMY);
        // A semid that can be recognized in memory, and that no process holds.
        ns.dead_actor("httpd", "number 700000 make 1 33 exit");
        let crowd = format!("{} stay leader", "fork { stay worker } ".repeat(workers));
        let _httpd = ns.actor("httpd", &crowd);
        let calls = calls(&ns, "guard -q --dry-run");
        assert!(calls["pread64"] > 10, "no memory was read\n{calls:#?}");
        calls
    };
    let cost = each(&cost(1), &cost(1 + MORE));
    // Before and after its memory is read: its status and its stat, and once more for its name. For each
    // of the two passes: its stat, mem, maps and pagemap.
    let files = 2.0 * (1.0 + 2.0) + 2.0 * 4.0;
    let noise = 10.0 * ONE_IN_ALL;
    at_most(
        &cost,
        &[
            ("openat", files + noise),
            ("read", files + 1.0 + noise),
            ("close", files + 1.0 + noise),
            ("readlink", 4.0),
            // sysinfo's, for the files that it reads.
            ("statx", 2.0),
            ("lseek", 4.0),
            // What exists of each mapping; for shared pages, whether their first owner still has them.
            ("pread64", 60.0),
            // The end of one process together with the start of the next.
            ("write", 1.0 + noise),
            ("poll", 1.0 + noise),
            ("prlimit64", 1.0),
            ("clock_nanosleep", noise),
            ("restart_syscall", noise),
            ("wait4", noise),
        ],
    );
}
