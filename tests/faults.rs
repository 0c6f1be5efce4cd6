//! Faults: each system call of a run fails in turn, and the run is killed at each in turn (strace(1),
//! `-e inject`). Whatever fails, no set of a running httpd is removed, no start is called fine for
//! which there is no room, and nothing hangs or panics; after a kill, the next run puts things right.
//!
//! By default a call fails once with one suitable error and once permanently; calls made very often are
//! sampled. `FAULTS=all` tries every suitable error. The memory of processes is read by a separate
//! process, whose calls are tried together with the guard's: the n-th of either.

mod common;

use std::collections::BTreeMap;
use std::fmt;

use common::{Actor, Namespace, Run};

/// The guard's trial key.
const TRIAL: i32 = httpd_semguard::facts::trial::KEY;

/// The guarded users: httpd's, and one whose httpd is not started by root.
const GUARDED: &str = "--user www-data --user second";

/// After this many seconds a run counts as hanging. The guard itself waits 5 seconds for its lock.
const DEADLINE: u32 = 20;

/// An httpd that has just started: one process, with the launcher's set and one of its own. It has no
/// worker, so overlooking this one process means taking both sets for orphans.
const HTTPD: &str = "make 1 33 detach make 1 33 stay leader";

/// The semid of the first orphan is this or slightly higher: a telling one.
const ORPHANS: i32 = 60 << 15;

/// A dump of an httpd that makes three sets.
const DUMP: &str = include_str!("dumps/prefork-sysvsem-2listen.txt");

/// The setting of a test.
struct World<'n> {
    ns: &'n Namespace,
    /// Kept running: the processes whose sets must stay.
    _living: Vec<Actor<'n>>,
    /// The sets that must stay.
    keep: Vec<i32>,
    /// What dead httpds leave behind: for each set, the script of an actor that makes it.
    orphans: &'static [&'static str],
    /// The most sets that the table can hold.
    limit: usize,
    /// The command line of the guard.
    guard: String,
    /// Whether the guard asks httpd: a lost answer proves nothing then.
    asks: bool,
    /// The exit code of a plain run.
    plain: i32,
    /// Whether calls made before the program itself runs are tried here too; they are the same
    /// everywhere.
    loader: bool,
}

/// A namespace that looks up users only in files, so that all calls are the guard's own.
fn namespace() -> Namespace {
    let ns = Namespace::new("250 32000 32 64");
    let users =
        ns.write("passwd", "root:x:0:0::/:\nwww-data:x:33:33::/:\nsecond:x:1235:1235::/:\n");
    let switch = ns.write("nsswitch", "passwd: files\nhosts: files\n");
    let bind =
        format!("mount --bind {users} /etc/passwd && mount --bind {switch} /etc/nsswitch.conf");
    ns.sh(&bind).exits(0);
    ns
}

/// Makes the next process get roughly this pid. In a listing of /proc this decides which processes come
/// before the guard and which after it.
fn next_pid(ns: &Namespace, number: u32) {
    ns.sh(&format!("echo {number} > /proc/sys/kernel/ns_last_pid")).exits(0);
}

impl<'n> World<'n> {
    /// With sets of strangers, and one of root's.
    fn new(ns: &'n Namespace) -> World<'n> {
        let stranger = ns.actor("postgres", "make 2 1234 stay holder");
        let mut keep = stranger.sets.clone();
        keep.extend(ns.dead_actor("daemon", "make 1 1234 make 1 0 exit"));
        World {
            ns,
            _living: vec![stranger],
            keep,
            orphans: &[],
            limit: 0,
            guard: format!("{} guard {GUARDED} --no-ask", env!("CARGO_BIN_EXE_httpd-semguard")),
            asks: false,
            plain: 0,
            loader: false,
        }
    }

    /// With a running httpd that has roughly this pid.
    fn living(mut self, exe: &str, script: &str, pid: u32) -> World<'n> {
        let now = self.ns.sh("cat /proc/sys/kernel/ns_last_pid").exits(0).out;
        next_pid(self.ns, pid);
        let httpd = self.ns.actor(exe, script);
        next_pid(self.ns, now.trim().parse().expect("a number"));
        self.keep.extend(&httpd.sets);
        self._living.push(httpd);
        self
    }

    /// With these orphans, and no room besides.
    fn full_with(mut self, orphans: &'static [&'static str]) -> World<'n> {
        self.orphans = orphans;
        self.limit = self.keep.len() + orphans.len();
        self.ns.sh(&format!("echo 250 32000 32 {} > /proc/sys/kernel/sem", self.limit)).exits(0);
        self.plain = if orphans.is_empty() { 69 } else { 0 };
        self.ns.actor_copy("httpd");
        self
    }

    /// With an httpd to ask.
    fn asking(mut self) -> World<'n> {
        let dump = self.ns.write("dump", DUMP);
        let control = self.ns.write("control", &format!("#!/bin/sh\nexec cat {dump}\n"));
        self.ns.sh(&format!("chmod 755 {control}")).exits(0);
        self.guard = format!(
            "{} guard --httpd {control} --ask-timeout 2",
            env!("CARGO_BIN_EXE_httpd-semguard")
        );
        self.asks = true;
        self
    }

    /// The calls of a plain run: for each name, the most that any one process makes, and how many of
    /// those come before the program itself runs.
    fn calls(&self) -> BTreeMap<String, Calls> {
        self.restored(&self.table());
        let (guard, code) = (&self.guard, self.plain);
        let strace = Namespace::strace("-f -qq -o /run/t/trace");
        let run = self.ns.sh(&format!("{strace} {guard}")).exits(code);
        let trace = std::fs::read_to_string(self.ns.path("/run/t/trace")).expect("a trace");
        let mut calls: BTreeMap<String, Calls> = BTreeMap::new();
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut running = false;
        let mut programs = 0;
        let guard = trace.split_whitespace().next();
        for line in trace.lines() {
            let Some((pid, call)) = line.split_once(' ') else { continue };
            let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
            if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                continue;
            }
            // The first thing that Rust's runtime does is check whether 0, 1 and 2 are open.
            running |= name == "poll" && arguments.starts_with("[{fd=0");
            let count = counts.entry((pid.into(), name.into())).or_default();
            *count += 1;
            let known = calls.entry(name.into()).or_default();
            known.total = known.total.max(*count);
            if Some(pid) == guard {
                known.own = *count;
            }
            if !running {
                known.loader = *count;
            }
            // The preceding program has moved this one into its IPC namespace.
            programs += usize::from(name == "execve");
            if programs < 2 || (programs == 2 && name == "execve") {
                known.before = *count;
            }
        }
        for known in calls.values_mut() {
            known.first = if self.loader { known.before + 1 } else { known.loader + 1 };
        }
        assert!(running && calls.contains_key("semctl"), "no trace: {run}");
        calls
    }

    /// The table as (semid, key), in order.
    fn table(&self) -> Vec<(i32, i32)> {
        parse_table(&self.ns.sh("cat /proc/sysvipc/sem").exits(0).out)
    }

    /// The shell commands that turn this table into the one that every run starts with. Semids are
    /// always the same (proc(5), /proc/sys/kernel/sem_next_id), so the same calls are made each time.
    /// Empty if nothing needs doing.
    fn restore(&self, table: &[(i32, i32)]) -> String {
        let first = self.keep.len();
        let others: Vec<i32> =
            table.iter().map(|(id, _)| *id).filter(|id| !self.keep.contains(id)).collect();
        let whole = others.len() == self.orphans.len() && trials(table) == 0;
        // At the indices after those of the sets that stay, which start at 1.
        let number = |n: usize| ORPHANS + (first + 1 + n) as i32;
        if whole && (0..self.orphans.len()).all(|n| others.contains(&number(n))) {
            return String::new();
        }
        let mut script = String::new();
        for id in others {
            script += &format!("ipcrm -s {id}; ");
        }
        for (n, orphan) in self.orphans.iter().enumerate() {
            script += &format!(
                "echo {} > /proc/sys/kernel/sem_next_id; /run/t/httpd {orphan} >/dev/null; ",
                number(n)
            );
        }
        script
    }

    fn restored(&self, table: &[(i32, i32)]) {
        self.ns.sh(&format!("{} true", self.restore(table))).exits(0);
    }

    /// Runs the guard with this fault, then, if requested, without one.
    fn run(&self, before: &[(i32, i32)], fault: &Fault, then_plain: bool) -> Outcome {
        let guard = &self.guard;
        let mut script = format!(
            "{} timeout -s KILL {DEADLINE} {strace} {guard}; \
             code=$?; echo; echo exit $code; cat /proc/sysvipc/sem;",
            self.restore(before),
            strace = Namespace::strace(&format!(
                "-f -qq -o /dev/null -e trace={} -e inject={fault}",
                fault.call
            )),
        );
        if then_plain {
            script += &format!(
                "echo then; timeout -s KILL {DEADLINE} {guard} 2>&1; code=$?; echo; \
                 echo exit $code; cat /proc/sysvipc/sem"
            );
        }
        let run = self.ns.sh(&script);
        let (first, then) = match run.out.split_once("\nthen\n") {
            Some((first, then)) => (first, Some(then)),
            None => (run.out.as_str(), None),
        };
        Outcome {
            code: exit_code(first).unwrap_or_else(|| panic!("{fault}: {run}")),
            table: parse_table(first),
            then: then.map(|t| (exit_code(t).unwrap_or(-1), parse_table(t))),
            run,
        }
    }
}

/// The calls of one name: how many there are, how many of those before the program itself runs, how
/// many before it is even loaded, and the first one to try.
#[derive(Default)]
struct Calls {
    total: usize,
    /// The guard's own calls, not those of its children.
    own: usize,
    before: usize,
    loader: usize,
    first: usize,
}

/// The result of a run with a fault.
struct Outcome {
    /// As reported by the shell: 128 plus the signal number if a signal ended it.
    code: i32,
    table: Vec<(i32, i32)>,
    then: Option<(i32, Vec<(i32, i32)>)>,
    run: Run,
}

fn exit_code(out: &str) -> Option<i32> {
    out.lines().rev().find_map(|l| l.strip_prefix("exit "))?.parse().ok()
}

fn parse_table(out: &str) -> Vec<(i32, i32)> {
    let rows = out.lines().skip_while(|l| !l.trim_start().starts_with("key")).skip(1);
    let mut table: Vec<(i32, i32)> = rows
        .map_while(|l| {
            let mut words = l.split_whitespace();
            let key = words.next()?.parse().ok()?;
            Some((words.next()?.parse().ok()?, key))
        })
        .collect();
    table.sort_unstable();
    table
}

/// One fault, in strace(1)'s notation.
struct Fault {
    call: String,
    what: String,
    when: String,
    loader: bool,
    /// It hits the guard itself.
    own: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:when={}", self.call, self.what, self.when)
    }
}

/// Calls that cannot fail as they are made here: according to their manual pages they always succeed,
/// or fail only for invalid arguments. The guard is killed at them, but they are not made to fail.
const SURE: [&str; 10] = [
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getpid",
    "getppid",
    "gettid",
    "set_tid_address",
    "rt_sigaction",
    "exit_group",
];

/// Calls that allocate memory. If that fails, Rust ends the program (SIGABRT), as glibc does.
const MEMORY: [&str; 6] = ["brk", "mmap", "munmap", "mremap", "mprotect", "madvise"];

/// Suitable errors for a call: those in its manual page, and those caused by a security module,
/// seccomp, or a lack of memory or file descriptors. Most likely first.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "openat" | "open" => &["EMFILE", "ENOMEM", "EACCES", "EINTR", "EIO", "ENFILE", "EPERM"],
        "read" | "pread64" => &["EIO", "EINTR", "ENOMEM", "EACCES", "EAGAIN"],
        "write" => &["EIO", "ENOSPC", "EINTR", "EAGAIN", "EPIPE"],
        "getdents64" => &["EIO", "ENOMEM", "EACCES", "EINVAL"],
        "semctl" => &["EPERM", "EINVAL", "ENOMEM", "EACCES", "EIDRM", "ENOSYS", "EINTR"],
        "semget" => &["ENOSPC", "ENOMEM", "EACCES", "EINVAL", "ENOSYS", "EPERM", "EEXIST"],
        "setresuid" => &["EPERM", "EAGAIN", "ENOMEM", "ENOSYS"],
        "kill" => &["EPERM", "EINVAL", "EACCES", "ENOSYS"],
        "flock" => &["EWOULDBLOCK", "EINTR", "ENOLCK", "EIO"],
        "readlink" | "readlinkat" => &["EACCES", "EPERM", "ENOMEM", "EIO"],
        "clone" | "clone3" | "vfork" | "fork" => &["EAGAIN", "ENOMEM", "EPERM", "ENOSYS"],
        "execve" => &["ENOENT", "EACCES", "ENOMEM", "EPERM", "EIO", "E2BIG"],
        "pipe2" | "socket" | "socketpair" | "dup2" | "dup3" => &["EMFILE", "ENFILE", "ENOMEM"],
        "poll" | "ppoll" => &["EINTR", "ENOMEM", "EINVAL"],
        "wait4" | "waitid" => &["EINTR", "ECHILD", "EINVAL"],
        _ if MEMORY.contains(&call) => &["ENOMEM"],
        // The guard writes no file other than its log; closing a file that was only read has no other
        // errors.
        "close" => &["EINTR"],
        "getrandom" => &["ENOSYS", "EINTR"],
        _ => &["EPERM", "EINVAL", "ENOMEM", "EIO", "ENOSYS"],
    }
}

/// Calls that are repeated in the same way for page after page, or for every signal.
const ALIKE: [&str; 2] = ["pread64", "rt_sigaction"];

/// Whether to try the n-th of such similar calls, and permanent failures from it on: each of the first
/// ones, then every fifth.
fn counts(n: usize, first: usize) -> bool {
    n < first + 30 || n % 5 == 0
}

/// Makes each call fail, once with a suitable error and from there on permanently.
fn failures(calls: &BTreeMap<String, Calls>) -> Vec<Fault> {
    let all = std::env::var("FAULTS").is_ok_and(|v| v == "all");
    let mut faults = Vec::new();
    for (call, Calls { total, own, loader, first, .. }) in calls {
        if SURE.contains(&call.as_str()) {
            continue;
        }
        for n in *first..=*total {
            let errors = errors(call);
            // A different one for each occurrence, so that over all calls of a name each gets its turn.
            let take = if all { errors.len() } else { 1 };
            let mut add = |errno: &str, when: String| {
                let (call, what) = (call.clone(), format!("error={errno}"));
                faults.push(Fault { call, what, when, loader: n <= *loader, own: n <= *own });
            };
            let counts = all || counts(n, *first);
            if !counts && ALIKE.contains(&call.as_str()) {
                continue;
            }
            for errno in errors.iter().cycle().skip(n % errors.len()).take(take) {
                add(errno, n.to_string());
            }
            if !counts {
                continue;
            }
            // A call that is always interrupted is retried for ever; no kernel does that.
            for errno in errors.iter().filter(|e| **e != "EINTR").take(take) {
                add(errno, format!("{n}+"));
            }
        }
    }
    faults
}

/// Kills the run at each call.
fn kills(calls: &BTreeMap<String, Calls>) -> Vec<Fault> {
    let at = |(call, c): (&String, &Calls)| -> Vec<Fault> {
        (c.first..=c.total)
            .filter(|n| !ALIKE.contains(&call.as_str()) || counts(*n, c.first))
            .map(|n| Fault {
                call: call.clone(),
                what: "signal=KILL".into(),
                when: n.to_string(),
                loader: n <= c.loader,
                own: n <= c.own,
            })
            .collect()
    };
    calls.iter().flat_map(at).collect()
}

/// What is wrong, with every fault that showed it.
#[derive(Default)]
struct Findings(BTreeMap<String, Vec<String>>);

impl Findings {
    fn add(&mut self, what: &str, fault: &Fault, outcome: &Outcome) {
        let list = self.0.entry(what.to_owned()).or_default();
        list.push(if list.len() < 2 {
            format!("{fault}\n{}", outcome.run)
        } else {
            fault.to_string()
        });
    }

    #[track_caller]
    fn none(self) {
        if self.0.is_empty() {
            return;
        }
        let mut text = String::new();
        for (what, where_) in &self.0 {
            text += &format!("== {what}: {} times\n{}\n", where_.len(), where_.join("\n"));
        }
        panic!("{text}");
    }
}

/// Whether all sets that must stay are in the table.
fn all_kept(world: &World<'_>, table: &[(i32, i32)]) -> bool {
    world.keep.iter().all(|id| table.iter().any(|(i, _)| i == id))
}

fn trials(table: &[(i32, i32)]) -> usize {
    table.iter().filter(|(_, key)| *key == TRIAL).count()
}

/// Figures for those who want to see them (`cargo test --test faults -- --nocapture`).
#[allow(clippy::print_stdout)]
fn say(figures: &str) {
    println!("{figures}");
}

/// What a test starts with.
type Build = fn(&Namespace) -> World<'_>;

/// Makes each call of a run fail in turn.
#[track_caller]
fn withstands_failures(build: Build) {
    let mut findings = Findings::default();
    let mut codes: BTreeMap<i32, usize> = BTreeMap::new();
    let faults = failures(&build(&namespace()).calls());
    let mut left = faults.iter().peekable();
    while left.peek().is_some() {
        let ns = namespace();
        let world = build(&ns);
        let mut table = world.table();
        for fault in &mut left {
            let o = world.run(&table, fault, false);
            *codes.entry(o.code).or_default() += 1;
            if o.code == 137 {
                findings.add("it hangs", fault, &o);
            }
            let memory = MEMORY.contains(&fault.call.as_str());
            let died = o.code > 128 || [70, 101].contains(&o.code);
            let panicked = o.run.err.contains("a bug in httpd-semguard");
            if (died && !memory && !fault.loader) || panicked {
                findings.add("it panics, or is killed by a signal", fault, &o);
            }
            // A lost answer from httpd proves nothing and so stops no start, but it is reported.
            let said = fault.call == "write" || o.run.err.contains("httpd may not start");
            if o.code == 0 && o.table.len() >= world.limit && !(world.asks && said) {
                findings.add("it calls a start fine for which there is no room", fault, &o);
            }
            if trials(&o.table) > 1 {
                findings.add("more than one trial set is left", fault, &o);
            }
            if !all_kept(&world, &o.table) {
                findings.add("a set that must stay was removed", fault, &o);
                break;
            }
            table = o.table;
        }
    }
    say(&format!("{} faults, exit codes {codes:?}", faults.len()));
    findings.none();
}

/// Kills a run at each call in turn.
#[track_caller]
fn withstands_kills(build: Build) {
    let mut findings = Findings::default();
    let mut trials_left = 0;
    let kills = kills(&build(&namespace()).calls());
    let mut left = kills.iter().peekable();
    while left.peek().is_some() {
        let ns = namespace();
        let world = build(&ns);
        let mut table = world.table();
        for kill in &mut left {
            let o = world.run(&table, kill, true);
            let (code, then) = o.then.clone().expect("it ran twice");
            // If a child was killed instead, the run got no answer (see above), or keeps the sets
            // because their memory was not read. Waiting for the reader of memory takes a varying
            // number of calls, so a later one may not come; and it is a matter of chance whether a wait
            // is interrupted and resumed (restart_syscall(2)).
            let waits = ["wait4", "waitid", "poll", "clock_nanosleep"].contains(&&*kill.call);
            let may_not_come = kill.call == "restart_syscall" || (waits && kill.when != "1");
            if o.code == 0 && kill.own && !world.asks && !may_not_come {
                findings.add("it was not killed, or was but exits 0", kill, &o);
            }
            trials_left += trials(&o.table);
            if trials(&o.table) > 1 {
                findings.add("more than one trial set is left", kill, &o);
            }
            if code != world.plain {
                findings.add("the next run has a different exit code", kill, &o);
            }
            if then.len() > world.keep.len() {
                findings.add("the next run leaves orphans or a trial set", kill, &o);
            }
            if o.run.out.contains("without the lock") {
                findings.add("the next run does not get the lock", kill, &o);
            }
            if !all_kept(&world, &o.table) || !all_kept(&world, &then) {
                findings.add("a set that must stay was removed", kill, &o);
                break;
            }
            table = then;
        }
    }
    say(&format!(
        "{} kills; {trials_left} left a trial set, which the next run removed",
        kills.len()
    ));
    findings.none();
}

/// Orphans of an httpd that was started by its own user: they are orphans at once, even if an httpd of
/// another user is running.
const SECONDS: [&str; 2] = ["as 1235 make 1 1235 exit"; 2];

/// Orphans of two users.
const OF_BOTH: [&str; 4] =
    ["make 1 33 exit", "make 1 1235 exit", "make 1 33 exit", "as 1235 make 1 1235 exit"];

/// A running httpd, which /proc lists after the guard.
fn living(ns: &Namespace) -> World<'_> {
    World::new(ns).living("httpd", HTTPD, 30_000).full_with(&SECONDS)
}

/// A running httpd under another name, recognised by the library that its worker has loaded.
fn renamed(ns: &Namespace) -> World<'_> {
    let script = "make 1 33 detach fork { as 33 stay worker } stay leader";
    World::new(ns).living("libapr-1.so", script, 30_000).full_with(&SECONDS)
}

/// Dead httpds only.
fn dead(ns: &Namespace) -> World<'_> {
    World { loader: true, ..World::new(ns).full_with(&OF_BOTH) }
}

/// Nothing to remove, and no room.
fn full(ns: &Namespace) -> World<'_> {
    World::new(ns).living("httpd", HTTPD, 30_000).full_with(&[])
}

/// The same, with an httpd to ask.
fn asked(ns: &Namespace) -> World<'_> {
    full(ns).asking()
}

#[test]
fn a_failing_call_costs_a_running_httpd_nothing() {
    require!("strace", "timeout");
    withstands_failures(living);
}

#[test]
fn a_failing_call_costs_an_httpd_under_another_name_nothing() {
    require!("strace", "timeout");
    withstands_failures(renamed);
}

#[test]
fn a_failing_call_among_orphans_never_makes_a_bad_start_look_fine() {
    require!("strace", "timeout");
    withstands_failures(dead);
}

#[test]
fn a_failing_call_on_a_full_table_never_makes_room() {
    require!("strace", "timeout");
    withstands_failures(full);
}

#[test]
fn a_failing_call_while_httpd_is_asked_causes_neither_an_answer_nor_a_hang() {
    require!("strace", "timeout");
    withstands_failures(asked);
}

#[test]
fn the_next_guard_recovers_from_one_killed_at_any_call_beside_a_running_httpd() {
    require!("strace", "timeout");
    withstands_kills(living);
}

#[test]
fn the_next_guard_recovers_from_one_killed_at_any_call_among_orphans() {
    require!("strace", "timeout");
    withstands_kills(dead);
}

#[test]
fn a_guard_killed_at_any_call_while_it_asks_changes_nothing() {
    require!("strace", "timeout");
    withstands_kills(asked);
}
