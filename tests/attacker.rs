//! What an attacker with the rights of httpd's user can do to the guard: keep it from removing sets,
//! fill the table, waste its time. What they can never do: make it remove sets that are not theirs,
//! falsify its answer, delay it for ever, or write into its log. In a namespace per test.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Namespace, Run, STRANGER, WWW, wait_until};

const ROOMY: &str = "250 32000 32 128";

/// A command prefix that turns root into httpd's user.
const AS_WWW: &str = "setpriv --reuid 33 --regid 33 --clear-groups";

/// A run that must end: an attack may cost seconds, but no more.
fn guard_in_time(ns: &Namespace, args: &str) -> Run {
    let run = ns.guard_under("timeout -s KILL 60", args);
    assert_ne!(run.code, Some(137), "it hangs: {run}");
    run
}

/// An ongoing attack; whatever it has started ends with the namespace.
struct Attack(Child);

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a shell script inside the namespace as httpd's user.
#[must_use]
fn attack(ns: &Namespace, script: &str) -> Attack {
    let mut sh = ns.command("sh");
    sh.args(["-c", &format!("exec {AS_WWW} sh -c '{script}'")]);
    Attack(sh.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"))
}

/// A copy, under this name, of another program on this machine.
fn copy_as(ns: &Namespace, program: &str, name: &str) -> String {
    let copy = format!("/run/t/{name}");
    ns.sh(&format!("cp \"$(readlink -f \"$(command -v {program})\")\" {copy}")).exits(0);
    copy
}

// The table.

#[test]
fn the_user_filling_the_table_is_named_and_nothing_else_happens() {
    require!();
    let ns = Namespace::new("250 32000 32 16");
    let httpds = ns.actor("httpd", "make 2 33 detach stay leader");
    let strangers = ns.orphans(2, STRANGER);
    let evil = ns.actor("evil", "as 33 make 12 33 stay evil");
    let before = ns.ids();
    let run = ns.guard("guard --user 33").exits(69).does_not_log("removed");
    run.logs("SEMMNI, the maximum number of semaphore sets, is 16, and all 16 are in use")
        .logs("14 of www-data (33), used by ")
        .logs("would not start");
    assert_eq!(ns.ids(), before);
    assert_eq!((httpds.sets.len(), strangers.len()), (2, 2));
    // Once it is gone, its sets are removed; httpd's stay.
    evil.kill_all();
    ns.guard("guard --user 33").exits(0).prints("removed 12 orphaned sets");
    assert_eq!(ns.ids().len(), 4);
}

#[test]
fn a_sole_filler_is_named_with_its_process() {
    require!();
    let ns = Namespace::new("250 32000 32 8");
    let evil = ns.actor("evil", "as 33 make 8 33 stay evil");
    let who = format!("8 of www-data (33), used by evil {}", evil.pid("evil"));
    ns.guard("guard --user 33").exits(69).logs(&who);
    assert_eq!(ns.ids(), evil.sets);
}

#[test]
fn few_sets_with_many_semaphores_fill_the_table_too() {
    require!();
    let ns = Namespace::new("250 1000 32 128");
    let _evil =
        ns.actor("evil", "as 33 key 0 250 600 key 0 250 600 key 0 250 600 key 0 250 600 stay evil");
    ns.guard("guard --user 33")
        .exits(69)
        .logs("SEMMNS, the maximum number of semaphores, is 1000, and all 1000 are in use")
        .logs("4 of www-data (33), used by evil");
    assert_eq!(ns.ids().len(), 4);
}

#[test]
fn locking_a_dead_httpds_sets_keeps_them_and_nothing_more() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let ids = ns.orphans(4, WWW);
    let evil = ns.actor("evil", &format!("use {} as 33 lock 0 stay evil", ids[0]));
    ns.guard("guard --user 33").exits(0).prints("removed 3 orphaned sets");
    assert_eq!(ns.ids(), ids[..1]);
    evil.kill_all();
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
}

#[test]
fn a_set_given_to_a_guarded_user_is_no_orphan() {
    require!();
    let ns = Namespace::new(ROOMY);
    let handed = ns.dead_actor("evil", "as 33 make 1 33 give 0 1235 exit");
    let list = ns.guard("list --user 1235").exits(0);
    assert!(list.verdict(handed[0]).contains("not httpd's: it was created by uid 33"), "{list}");
    ns.guard("guard --user 1235").exits(0);
    assert_eq!(ns.ids(), handed);
}

// The trial.

#[test]
fn a_stranger_with_the_trial_key_prevents_the_trial_and_nothing_else() {
    require!();
    let key = httpd_semguard::facts::trial::KEY;
    let ns = Namespace::new("250 32000 32 4");
    let evil = ns.actor("evil", &format!("as 33 key {key} 1 600 stay evil"));
    ns.orphans(3, WWW);
    let run = ns.guard("guard --user 33 -v").exits(0).prints("removed 3 orphaned sets");
    run.logs("trial: inconclusive, another program holds or took its key")
        .logs("it has the key 0x53454d47");
    assert_eq!(ns.ids(), evil.sets);
    // The figures decide.
    ns.guard("guard --user 33 --need 3").exits(0);
    ns.guard("guard --user 33 --need 4").exits(69);
    // Even after its death the set is not the guard's: it was not made by root.
    evil.kill_all();
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), evil.sets);
}

#[test]
fn a_set_with_the_trial_key_is_not_taken_for_a_leftover_whatever_it_looks_like() {
    require!();
    let key = httpd_semguard::facts::trial::KEY;
    for script in [
        format!("as 33 key {key} 1 600 exit"),
        format!("as 33 key {key} 1 600 give 0 0 exit"),
        format!("as 33 key {key} 2 600 exit"),
        format!("as 33 key {key} 1 666 exit"),
    ] {
        let ns = Namespace::new(ROOMY);
        let ids = ns.dead_actor("evil", &script);
        ns.guard("guard --user 33 -v").exits(0).logs("trial: inconclusive").does_not_log("removed");
        assert_eq!(ns.ids(), ids, "{script}");
    }
}

// The lock file.

#[test]
fn the_lock_file_is_roots_alone() {
    require!("flock");
    let ns = Namespace::new(ROOMY);
    ns.guard("guard --user 33").exits(0);
    let mode = fs::metadata(ns.path("/run/httpd-semguard.lock")).expect("made").permissions();
    assert_eq!(mode.mode() & 0o7777, 0o600);
    let run = ns.sh(&format!("{AS_WWW} flock -n /run/httpd-semguard.lock true 2>&1"));
    assert!(run.code != Some(0) && run.out.contains("Permission denied"), "{run}");
    let run = ns.sh(&format!("{AS_WWW} ln -sf /run/t/x /run/httpd-semguard.lock 2>&1"));
    assert!(run.code != Some(0), "{run}");
}

#[test]
fn a_lock_held_by_another_root_program_delays_but_stops_nothing() {
    require!("flock", "timeout");
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, WWW);
    let held = "flock /run/httpd-semguard.lock sh -c \"echo held; exec sleep 600\" \
                >/run/t/held 2>&1 &";
    ns.sh(held).exits(0);
    wait_until("it is held", || {
        fs::read_to_string(ns.path("/run/t/held")).is_ok_and(|t| t == "held\n")
    });
    let began = Instant::now();
    guard_in_time(&ns, "guard --user 33")
        .exits(0)
        .logs("continuing without the lock /run/httpd-semguard.lock")
        .prints("removed 2 orphaned sets");
    let took = began.elapsed();
    assert!((4..30).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_link_in_place_of_the_lock_file_is_not_followed() {
    require!();
    let ns = Namespace::new(ROOMY);
    let precious = ns.write("precious", "precious\n");
    for target in [precious.as_str(), "/run/t/not-there", "/proc/sys/kernel/sem"] {
        ns.orphans(1, WWW);
        ns.sh(&format!("ln -sfn {target} /run/httpd-semguard.lock")).exits(0);
        ns.guard("guard --user 33")
            .exits(0)
            .logs("continuing without the lock")
            .prints("removed 1");
        assert!(!ns.path("/run/t/not-there").exists());
        assert_eq!(fs::read_to_string(ns.path(&precious)).expect("there"), "precious\n");
    }
}

/// Makes a set the way `maker` does, and runs the guard as user 33 from there; prints its output, then
/// whether the set still exists.
fn guard_called_by_the_maker(ns: &Namespace, maker: &str) -> Run {
    let guard = ns.guard_copy();
    ns.command("perl")
        .arg("-e")
        .arg(format!(
            "{maker} $| = 1; system('{guard}', qw(guard --user 33 --no-ask)); \
             system('{guard}', qw(list --user 33 --no-ask --explain), $id); \
             print semctl($id, 0, 12, 0) ? 'it is there' : \"gone: $!\", \"\\n\";"
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Run::end)
        .expect("perl runs")
}

#[test]
fn a_caller_of_the_guard_keeps_the_sets_it_uses() {
    require!("perl");
    let make = "$id = semget(0, 1, 01600); semctl($id, 0, 16, 1);";
    let give = "semctl($id, 0, 1, pack('iIIIISSx80', 0, 33, 33, 0, 0, 0600, 0));";
    let make_by_child =
        "$id = semget(0, 1, 01600); unless (fork) { semctl($id, 0, 16, 1); exit } wait;";
    let become_www = "$( = $) = 33; $< = $> = 33;";
    for maker in [
        // Its own set, as a program of the web user.
        format!("{become_www} {make}"),
        // A set that root made for it, as for an httpd worker: its executable cannot be read then.
        format!("{make} {give} {become_www}"),
        // The same as root, to whom nothing is unreadable.
        format!("{make} {give}"),
        // Its own set, last touched by its dead child: only the semid in the caller's memory protects
        // it.
        format!("{become_www} {make_by_child}"),
        // Made by root while it temporarily was the owner.
        format!("$> = 33; {make_by_child} $> = 0;"),
    ] {
        let ns = Namespace::new(ROOMY);
        let run = guard_called_by_the_maker(&ns, &maker);
        assert!(run.out.ends_with("it is there\n"), "{maker}: {run}");
        run.does_not_log("removed").prints(": keep\n");
        // The caller is gone now, and with it the reason to keep the set.
        ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
    }
}

#[test]
fn a_set_of_the_program_that_became_the_guard_belongs_to_no_process() {
    require!("perl");
    let ns = Namespace::new(ROOMY);
    let guard = ns.guard_copy();
    let script = format!(
        "$id = semget(0, 1, 01600); semctl($id, 0, 16, 1); \
         semctl($id, 0, 1, pack('iIIIISSx80', 0, 33, 33, 0, 0, 0600, 0)); \
         exec('{guard}', qw(guard --user 33 --no-ask));"
    );
    let run = Run::of(ns.command("perl").arg("-e").arg(script)).exits(0);
    run.prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), [0; 0]);
}

// Names.

/// Names that would break a line, control a terminal, or end the name field of /proc/PID/stat early; in
/// printf(1) syntax, at most 15 bytes (`TASK_COMM_LEN`).
const NAMES: [&str; 10] = [
    r"a\nb: orphan",
    r"\033[31mred",
    r"x) R 1 1 1 (",
    r"\377\376\200",
    r"\033]0;t\007",
    r"tab\tcr\rbs\b",
    r"\342\200\256rtl",
    r"\302\233 31m  x",
    r#"a|b="c" 9;;"#,
    r#"\\",x="{}"#,
];

/// Whether a text contains nothing that a terminal or a log would take for more than a character.
fn is_harmless(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    text.lines().all(|line| {
        !line.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200e}'))
    })
}

#[test]
fn a_process_name_writes_no_line_and_controls_no_terminal() {
    require!();
    // The number of lines that a well-behaved name results in.
    let lines = |name: &str, holder: &str| -> (usize, usize, Vec<u8>) {
        let ns = Namespace::new("250 32000 32 3");
        let program = ns.actor_copy("actor");
        let start = format!(
            "cd /run/t; n=$(printf '{name}.'); n=${{n%.}}; cp {program} \"./$n\"; \
             \"./$n\" {holder} stay x > said 2>&1 &"
        );
        ns.sh(&start).exits(0);
        let said = || fs::read_to_string(ns.path("/run/t/said")).unwrap_or_default();
        wait_until("it runs", || said().contains("x "));
        let ids = ns.ids();
        assert_eq!(ids.len(), 3, "{}", said());
        let mut all = Vec::new();
        let mut count = |args: &str, code: i32| {
            let output = ns.guard_command(args).stdin(Stdio::null()).output().expect("it runs");
            assert_eq!(output.status.code(), Some(code), "{args}");
            for stream in [&output.stdout, &output.stderr] {
                assert!(is_harmless(stream), "{}", String::from_utf8_lossy(stream));
                all.extend_from_slice(stream);
            }
            let ours = output.stderr.split(|b| *b == b'\n').filter(|l| !l.is_empty());
            assert!(ours.clone().all(|l| l.starts_with(b"httpd-semguard: ")));
            output.stdout.iter().chain(&output.stderr).filter(|b| **b == b'\n').count()
        };
        let counts = (count("list --user 33", 0), count("guard --user 33 -v", 69));
        for format in ["json", "prometheus"] {
            count(&format!("check --user 33 --format {format}"), 69);
        }
        assert_eq!(count("check --user 33 --format nagios", 2), 1, "a plugin prints one line");
        assert_eq!(ns.ids(), ids);
        let plugin = all.split(|b| *b == b'\n').rfind(|l| l.starts_with(b"SEMGUARD"));
        let bars = plugin.expect("a line").iter().filter(|b| **b == b'|').count();
        assert_eq!(bars, 1, "a single bar, before the figures");
        (counts.0, counts.1, all)
    };
    // Sets that look like httpd's, then sets of another program: each time the table's only holder.
    for holder in ["as 33 make 3 33", "as 33 key 0 1 666 key 0 1 666 key 0 1 666"] {
        let (list, guard, _) = lines("plain", holder);
        for name in NAMES {
            let (l, g, all) = lines(name, holder);
            assert_eq!((l, g), (list, guard), "{name}: {}", String::from_utf8_lossy(&all));
        }
    }
}

#[test]
fn an_account_name_writes_no_line_and_controls_no_terminal() {
    require!();
    let ns = Namespace::new(ROOMY);
    let passwd = ns.write("passwd", "root:x:0:0::/:\nev\x1b[31m\ril:x:33:33::/:/bin/sh\n");
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    ns.orphans(1, WWW);
    ns.dead_actor("evil", "as 33 key 0x77 1 600 exit");
    for args in [
        "list --user 33",
        "list --user 33 --format json",
        "check --user 33 --need 128",
        "check --user 33 --format nagios",
        "check --user 33 --format prometheus",
        "check --user 33 --format json",
        "guard --user 33 -v",
    ] {
        let output = ns.guard_command(args).output().expect("it runs");
        for stream in [output.stdout, output.stderr] {
            assert!(is_harmless(&stream), "{args}: {}", String::from_utf8_lossy(&stream));
        }
    }
}

#[test]
fn a_process_named_httpd_that_holds_every_semid_keeps_the_sets_and_is_named() {
    require!("timeout");
    let ns = Namespace::new("250 32000 32 4");
    let ids = ns.orphans(4, WWW);
    let numbers: String = ids.iter().map(|id| format!("use {id} ")).collect();
    let evil = ns.actor("httpd.worker", &format!("{numbers} as 33 stay evil"));
    let run = ns.guard("guard --user 33").exits(69).does_not_log("removed semaphore set");
    run.logs("SEMMNI, the maximum number of semaphore sets, is 4, and all 4 are in use");
    assert_eq!(ns.ids(), ids);
    let list = ns.guard("list --user 33").exits(0);
    let why = format!("known to httpd.worker {}", evil.pid("evil"));
    assert!(ids.iter().all(|id| list.verdict(*id).contains(&why)), "{list}");
    evil.kill_all();
    ns.guard("guard --user 33").exits(0).prints("removed 4 orphaned sets");
}

#[test]
fn a_process_named_httpd_that_knows_no_set_keeps_none() {
    require!("timeout");
    let ns = Namespace::new("250 32000 32 4");
    ns.orphans(4, WWW);
    let sleep = copy_as(&ns, "sleep", "httpd.worker");
    let _attack = attack(&ns, &format!("exec {sleep} 600"));
    wait_until("it runs", || ns.sh("pidof httpd.worker").code == Some(0));
    ns.guard("guard --user 33").exits(0).prints("removed 4 orphaned sets");
}

#[test]
fn a_thousand_processes_named_httpd_cost_seconds() {
    require!("timeout", "perl");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(50, WWW);
    let perl = copy_as(&ns, "perl", "httpd");
    // They know one of the sets.
    let known = ids[7];
    let storm = format!("my \\$known = {known}; for (1..999) {{ fork or last }} sleep 600");
    let _attack = attack(&ns, &format!("exec {perl} -e \"{storm}\""));
    let count = || {
        let out = ns.sh("pidof httpd | wc -w").out;
        out.trim().parse::<usize>().unwrap_or(0)
    };
    wait_until("they run", || count() >= 1000);
    guard_in_time(&ns, "guard --user 33").exits(0).prints("removed 49 orphaned sets; 1 kept");
    assert_eq!(ns.ids(), [known]);
    ns.sh("kill -KILL $(pidof httpd)").exits(0);
    wait_until("they are dead", || count() == 0);
    guard_in_time(&ns, "guard --user 33").exits(0).prints("removed 1 orphaned set");
}

// Storms.

/// Sets that must survive every storm: a running httpd's, a stranger's, root's.
fn sets_to_keep(ns: &Namespace) -> Vec<i32> {
    let mut keep = ns.orphans(2, STRANGER);
    keep.extend(ns.orphans(1, 0));
    keep
}

/// Runs the guard over and over for some seconds.
fn for_some_seconds(mut run: impl FnMut()) -> usize {
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < Duration::from_secs(4) || runs < 3 {
        run();
        runs += 1;
    }
    runs
}

#[test]
fn thousands_of_short_lived_sets_take_no_other_with_them() {
    require!("perl", "timeout");
    let ns = Namespace::new("250 32000 32 512");
    let mut keep = sets_to_keep(&ns);
    let httpd =
        ns.actor("httpd", "make 1 33 detach make 1 33 fork { as 33 touch 1 stay w } stay l");
    keep.extend(&httpd.sets);
    // Made, used with and without undo, given away, left behind by forks, removed; at random.
    let _attack = attack(
        &ns,
        "exec perl -e \"use strict; my @s; while (1) { my \\$r = int rand 6; \
         if (\\$r < 3) { my \\$i = semget(0, 1, 0600 | 01000); \
           if (defined \\$i) { push @s, \\$i; semctl(\\$i, 0, 16, 1) } } \
         elsif (\\$r == 3 && @s) { semop(\\$s[rand @s], pack(\\\"s!3\\\", 0, 1, 0)) } \
         elsif (\\$r == 4 && @s > 100) { if (!fork) { exit } wait } \
         elsif (@s > 60) { semctl(splice(@s, rand @s, 1), 0, 0, 0) } }\"",
    );
    wait_until("it rages", || ns.ids().len() > keep.len());
    for_some_seconds(|| {
        let run = guard_in_time(&ns, "guard --user 33");
        assert!(matches!(run.code, Some(0 | 69)), "{run}");
        let ids = ns.ids();
        assert!(keep.iter().all(|id| ids.contains(id)), "{run}");
        assert!(!run.err.contains("could not remove"), "{run}");
    });
    let list = guard_in_time(&ns, "list --user 33");
    assert_eq!(list.code, Some(0), "{list}");
}

#[test]
fn a_fork_storm_delays_no_run_and_costs_no_running_httpd_its_sets() {
    require!("perl", "timeout");
    let ns = Namespace::new(ROOMY);
    let mut keep = sets_to_keep(&ns);
    let httpd = ns.actor("httpd", "make 1 33 detach make 1 33 stay leader");
    keep.extend(&httpd.sets);
    let last = || -> i64 {
        ns.sh("cat /proc/sys/kernel/ns_last_pid").exits(0).out.trim().parse().expect("a number")
    };
    let calm = last();
    // One keeps replacing itself with its own child, one always has a child: no pid lasts.
    let _attack = attack(&ns, "exec perl -e \"while (1) { if (fork) { exit } }\"");
    let _another = attack(&ns, "exec perl -e \"while (1) { if (!fork) { exit } wait }\"");
    wait_until("it rages", || last() > calm + 1000);
    let runs = for_some_seconds(|| {
        let run = guard_in_time(&ns, "guard --user 33").exits(0);
        let ids = ns.ids();
        assert!(keep.iter().all(|id| ids.contains(id)), "{run}");
    });
    assert!(runs >= 3);
}

#[test]
fn a_storm_of_processes_named_httpd_keeps_sets_but_does_not_hang_the_guard() {
    require!("perl", "timeout");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(20, WWW);
    let perl = copy_as(&ns, "perl", "httpd");
    // Whichever process it is at a given moment knows the first ten.
    let known = &ids[..10];
    let list: Vec<String> = known.iter().map(ToString::to_string).collect();
    let storm = format!("my @known = ({}); while (1) {{ if (fork) {{ exit }} }}", list.join(", "));
    let _attack = attack(&ns, &format!("exec {perl} -e \"{storm}\""));
    wait_until("it rages", || ns.sh("pidof httpd").code == Some(0));
    for_some_seconds(|| {
        let run = guard_in_time(&ns, "guard --user 33").exits(0);
        let left = ns.ids();
        assert!(known.iter().all(|id| left.contains(id)), "{left:?} of {known:?}: {run}");
    });
}

#[test]
fn thousands_of_zombies_keep_nothing_and_delay_nothing() {
    require!("perl", "timeout");
    let ns = Namespace::new(ROOMY);
    ns.orphans(5, WWW);
    let perl = copy_as(&ns, "perl", "httpd");
    let program = copy_as(&ns, "perl", "program");
    // Zombies of a program that once was an httpd: forked under that name, and never reaped.
    let _attack = attack(
        &ns,
        &format!("exec {perl} -e \"for (1..1000) {{ fork or exit }} exec qw({program} -e sleep)\""),
    );
    let zombies = || {
        let count = ns.sh("cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") Z \"").out;
        count.trim().parse::<usize>().unwrap_or(0)
    };
    wait_until("they are zombies", || zombies() >= 1000);
    guard_in_time(&ns, "guard --user 33").exits(0).prints("removed 5 orphaned sets");
}

// The question to httpd.

#[test]
fn httpd_is_not_searched_for_where_others_can_write() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, WWW);
    let evil = "#!/bin/sh\ntouch /run/t/ran\necho 'User: name=\"root\" id=0'\n";
    for name in ["httpd", "apachectl", "apache2ctl", "apache2"] {
        let path = ns.write(name, evil);
        ns.sh(&format!("chmod 755 {path}")).exits(0);
    }
    let mut guard = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    guard.args(["guard", "--user", "33"]).env("PATH", "/run/t:/usr/bin:/bin").current_dir("/");
    Run::of(&mut guard);
    let mut guard = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    guard.args(["guard", "--user", "33", "--httpd", "httpd"]).env("PATH", "/run/t:/usr/bin:/bin");
    Run::of(&mut guard).logs("--httpd httpd is not an absolute path");
    assert!(!ns.path("/run/t/ran").exists());
}
