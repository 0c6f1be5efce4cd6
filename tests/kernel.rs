//! The guard on a real kernel: real sets, real limits, real processes, in a namespace per test. The
//! processes are actors (tests/actor); tests/apache.rs has a real httpd.

mod common;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{Namespace, Run, STRANGER, WWW, wait_until};

/// Room for everything.
const ROOMY: &str = "250 32000 32 128";

/// An httpd started in the usual way: the launcher makes one set and ends, the leader makes another in
/// a session of its own, and one worker is running.
const HTTPD: &str = "make 1 33 detach make 1 33 fork { as 33 touch 1 stay worker } stay leader";

// The outage.

#[test]
fn the_lost_space_outage_is_diagnosed_and_cured() {
    require!();
    let ns = Namespace::new("25032000 32 512 512");
    let roots = ns.dead_actor("daemon", "key 0xa7 1 600 exit");
    for _ in 0..31 {
        ns.orphans(1, WWW);
    }
    // The start that failed: semget returns ENOSPC.
    ns.sh("ipcmk -S 1 2>&1").exits(1).prints("No space left on device");

    let check = ns.guard("check --user 33").exits(69);
    let check = check
        .logs("httpd would not start (it would log: (28)No space left on device: AH00023")
        .logs("SEMMNS, the maximum number of semaphores, is 32, and all 32 are in use")
        .logs("SEMMNI allows 512 semaphore sets")
        .does_not_log("SEMMNI, the maximum number of semaphore sets, is")
        .logs("25032000 looks like \"250 32000\" with the space missing")
        .logs("sysctl -w kernel.sem=\"250 32000 32 512\"")
        .logs("1 of root (0)")
        .logs("httpd-semguard guard");
    assert!(check.err.contains("31"), "{check}");
    assert_eq!(ns.ids().len(), 32, "a check removes nothing");

    let guard = ns.guard("guard --user 33").exits(0);
    assert_eq!(guard.err.matches("removed semaphore set").count(), 20, "{guard}");
    let guard = guard.logs("removed 11 more (-v lists them all)");
    assert!(guard.out.contains("removed 31 orphaned sets"), "{guard}");
    assert_eq!(ns.ids(), roots, "root's set stays, and no trial set is left");
    ns.guard("check --user 33").exits(0);
}

#[test]
fn a_table_full_of_another_users_used_sets_fails_and_names_the_holder() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    let holder = ns.actor("postgres", "as 1234 make 4 1234 stay holder");
    let before = ns.sets();
    let guard = ns.guard("guard --user 33").exits(69);
    guard
        .logs("(28)No space left on device")
        .logs("SEMMNI, the maximum number of semaphore sets, is 4, and all 4 are in use")
        .logs(&format!("4 of 1234, used by postgres {}", holder.pid("holder")))
        .does_not_log("SEMMNS, the maximum number of semaphores, is")
        .does_not_log("removed");
    assert_eq!(ns.sets(), before);
}

#[test]
fn room_for_fewer_sets_than_needed_fails_and_for_as_many_does_not() {
    require!();
    let ns = Namespace::new("250 32000 32 4");
    ns.dead_actor("other", "make 2 1234 exit");
    ns.guard("guard --user 33 --need 2").exits(0);
    ns.guard("guard --user 33 --need 3").exits(69).logs("httpd needs 3 semaphore sets");
    ns.guard("guard --user 33 --need 1 --min-free 1").exits(0);
    ns.guard("guard --user 33 --need 1 --min-free 2").exits(69).logs("--min-free 2");
    ns.guard("guard --user 33 --need 0").exits(0);
}

#[test]
fn a_full_table_does_not_stop_an_httpd_that_needs_no_set() {
    require!();
    let ns = Namespace::new("250 32000 32 1");
    ns.dead_actor("other", "make 1 1234 exit");
    ns.guard("guard --user 33").exits(69);
    ns.guard("guard --user 33 --need 0").exits(0);
}

#[test]
fn a_semmsl_of_zero_is_reported_with_the_error_that_httpd_gets() {
    require!();
    let ns = Namespace::new("0 32000 32 128");
    ns.guard("guard --user 33")
        .exits(69)
        .logs("(22)Invalid argument: AH00023")
        .logs("SEMMSL, the maximum number of semaphores in a set, is 0");
}

// Sets that are not httpd's.

#[test]
fn sets_of_php_of_other_users_and_of_root_are_never_touched() {
    require!();
    let ns = Namespace::new(ROOMY);
    let php = ns.dead_actor("php-fpm", "as 33 key 0x1234 3 666 exit")[0];
    let keyed = ns.dead_actor("daemon", "key 0x77 1 600 give 0 33 exit")[0];
    let several = ns.dead_actor("app", "as 33 key 0 3 600 exit")[0];
    let open = ns.dead_actor("app", "as 33 key 0 1 666 exit")[0];
    let given = ns.dead_actor("app", "as 1234 make 1 33 exit")[0];
    let strangers = ns.orphans(1, STRANGER)[0];
    let roots = ns.orphans(1, 0)[0];
    let orphan = ns.orphans(1, WWW)[0];
    let list = ns.guard("list --user 33").exits(0);
    for (id, why) in [
        (php, "not httpd's: it has the key 0x00001234; looks like PHP's sem_get()"),
        (keyed, "not httpd's: it has the key 0x00000077"),
        (several, "not httpd's: it has 3 semaphores"),
        (open, "not httpd's: its mode is 0666"),
        (given, "not httpd's: it was created by uid 1234"),
        (orphan, "no running process can use it"),
    ] {
        let verdict = list.verdict(id);
        assert!(verdict.contains(why), "{verdict}\n{list}");
    }
    let mut kept = vec![php, keyed, several, open, given, strangers, roots];
    kept.sort_unstable();
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), kept);
}

#[test]
fn every_guarded_user_is_looked_at_and_no_other() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, WWW);
    ns.orphans(3, STRANGER);
    let third = ns.orphans(1, 1235);
    ns.guard("guard --user 33 --user 1234").exits(0).prints("removed 5 orphaned sets");
    assert_eq!(ns.ids(), third);
}

#[test]
fn users_above_65535_are_seen_and_removed() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 4_000_000_000);
    // The same number in its low 16 bits: truncated to those, one would be taken for the other.
    let other = ns.orphans(1, 4_000_000_000 & 0xffff);
    ns.guard("guard --user 4000000000").exits(0).logs("of 4000000000, last pid");
    assert_eq!(ns.ids(), other);
}

#[test]
fn the_set_with_semid_zero_is_valid_and_removed() {
    require!();
    let ns = Namespace::fresh(ROOMY);
    assert_eq!(ns.orphans(1, WWW), [0]);
    ns.guard("guard --user 33").exits(0).logs("removed semaphore set 0 of ");
    assert_eq!(ns.ids(), []);
}

#[test]
fn gaps_in_the_table_hide_nothing_after_them() {
    require!();
    let ns = Namespace::new(ROOMY);
    let first = ns.dead_actor("other", "make 40 1234 exit");
    let last = ns.orphans(1, WWW);
    for id in &first[..39] {
        ns.sh(&format!("ipcrm -s {id}")).exits(0);
    }
    ns.guard("guard --user 33").exits(0).logs(&format!("removed semaphore set {}", last[0]));
    assert_eq!(ns.ids(), first[39..]);
}

// Running processes.

#[test]
fn sets_of_a_healthy_httpd_are_kept() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", HTTPD);
    let list = ns.guard("list --user 33").exits(0);
    let worker = format!("in use by httpd {}", httpd.pid("worker"));
    assert!(list.verdict(httpd.sets[1]).contains(&worker), "{list}");
    ns.guard("guard --user 33").exits(0).prints("2 kept").does_not_log("removed");
    assert_eq!(ns.ids(), httpd.sets);
}

#[test]
fn a_set_of_a_healthy_httpd_whose_launcher_is_dead_is_kept() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", "make 1 33 detach fork { as 33 stay worker } stay leader");
    let id = httpd.sets[0];
    assert!(!ns.lives(ns.semaphore(id).pid), "its last pid is dead");
    assert_eq!(ns.sets()[0].otime, 0, "it was never used");
    let why = format!("known to httpd {}", httpd.pid("leader"));
    let verdict = ns.guard("list --user 33").exits(0).verdict(id);
    assert!(verdict.contains(&why), "{verdict}");
    ns.guard("guard --user 33").exits(0).prints("1 kept");
    assert_eq!(ns.ids(), [id]);
}

#[test]
fn a_set_last_used_by_a_gone_worker_is_kept_while_its_leader_runs() {
    require!();
    let ns = Namespace::new(ROOMY);
    let script = "detach make 1 33 fork { as 33 touch 0 say gone } fork { as 33 stay worker } \
                  stay leader";
    let httpd = ns.actor("httpd", script);
    let gone = httpd.pid("gone");
    wait_until("the worker is gone", || !ns.lives(gone));
    assert_eq!(ns.semaphore(httpd.sets[0]).pid, gone);
    ns.guard("guard --user 33").exits(0).prints("1 kept");
    assert_eq!(ns.ids(), httpd.sets);
}

#[test]
fn a_dead_httpds_sets_are_removed_once_all_of_it_is_dead() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", HTTPD);
    httpd.kill("leader");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), httpd.sets, "a worker is still running");
    httpd.kill("worker");
    ns.guard("guard --user 33").exits(0).prints("removed 2 orphaned sets");
    assert_eq!(ns.ids(), []);
}

#[test]
fn of_two_instances_under_one_user_the_running_one_loses_nothing() {
    require!();
    let ns = Namespace::new(ROOMY);
    let (one, two) = (ns.actor("httpd", HTTPD), ns.actor("apache2", HTTPD));
    one.kill_all();
    ns.guard("guard --user 33").exits(0);
    for id in &two.sets {
        assert!(ns.ids().contains(id));
    }
    two.kill_all();
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), []);
}

#[test]
fn an_httpd_whose_executable_was_replaced_is_still_one() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", "make 1 33 detach stay leader");
    std::fs::remove_file(ns.path("/run/t/httpd")).expect("removed");
    let exe = ns.sh(&format!("readlink /proc/{}/exe", httpd.pid("leader"))).exits(0).out;
    assert_eq!(exe.trim_end(), "/run/t/httpd (deleted)");
    ns.guard("guard --user 33").exits(0).prints("1 kept");
    assert_eq!(ns.ids(), httpd.sets);
}

#[test]
fn a_locked_set_is_kept_even_if_no_holder_is_visible() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.dead_actor("other", "make 1 33 take 0 exit");
    assert_eq!(ns.semaphore(ids[0]).value, 0);
    let verdict = ns.guard("list --user 33").exits(0).verdict(ids[0]);
    assert!(verdict.contains("in use: locked"), "{verdict}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_dead_holders_lock_is_undone_and_keeps_nothing() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.dead_actor("httpd", "make 1 33 lock 0 exit");
    assert_eq!(ns.semaphore(ids[0]).value, 1);
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
}

#[test]
fn a_set_that_any_process_waits_for_is_kept() {
    require!();
    let ns = Namespace::new(ROOMY);
    let id = ns.orphans(1, WWW)[0];
    // A root program that is not an httpd and waits for zero changes neither value nor last pid.
    let _waiter = ns.actor("stranger", &format!("use {id} say waiting zero 0"));
    wait_until("it waits", || ns.semaphore(id).zero == 1);
    let verdict = ns.guard("list --user 33").exits(0).verdict(id);
    assert!(verdict.contains("in use: 1 waiting"), "{verdict}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), [id]);
}

#[test]
fn a_worker_that_waits_for_the_lock_is_named() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd =
        ns.actor("httpd", "detach make 1 33 lock 0 fork { as 33 say waiter lock 0 } stay leader");
    let id = httpd.sets[0];
    wait_until("it waits", || ns.semaphore(id).growing == 1);
    let verdict = ns.guard("list --user 33").exits(0).verdict(id);
    let why = format!("in use: httpd {} is waiting", httpd.pid("waiter"));
    assert!(verdict.contains(&why), "{verdict}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), [id]);
}

#[test]
fn a_running_last_pid_keeps_a_set_whatever_the_program() {
    require!();
    let ns = Namespace::new(ROOMY);
    let program = ns.actor("program", "make 1 33 stay maker");
    let verdict = ns.guard("list --user 33").exits(0).verdict(program.sets[0]);
    let why = format!("in use by program {}", program.pid("maker"));
    assert!(verdict.contains(&why), "{verdict}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), program.sets);
}

#[test]
fn a_zombie_keeps_nothing() {
    require!();
    let ns = Namespace::new(ROOMY);
    let parent = ns.actor("supervisor", "fork { make 1 33 touch 0 say zombie } neglect parent");
    let zombie = parent.pid("zombie");
    wait_until("it is a zombie", || !ns.lives(zombie));
    assert_eq!(ns.semaphore(parent.sets[0]).pid, zombie);
    assert!(ns.path(&format!("/proc/{zombie}")).exists(), "it has not been reaped");
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
}

#[test]
fn a_last_pid_reused_by_another_program_keeps_nothing() {
    require!();
    let ns = Namespace::new(ROOMY);
    let id = ns.orphans(1, WWW)[0];
    let pid = ns.semaphore(id).pid;
    // Times are whole seconds, with two seconds of slack.
    sleep(Duration::from_secs(4));
    let program = ns.actor_copy("program");
    let reuse = |exe: &str, verbs: &str| {
        let script = format!(
            "echo {} > /proc/sys/kernel/ns_last_pid; {exe} {verbs} stay x >/dev/null 2>&1 &",
            pid - 1
        );
        ns.sh(&script).exits(0);
        wait_until("it runs", || ns.lives(pid));
    };
    // There is no proof that an httpd does not know the set.
    reuse(&ns.actor_copy("httpd"), "");
    let verdict = ns.guard("list --user 33").exits(0).verdict(id);
    assert!(verdict.contains(&format!("in use by httpd {pid}")), "{verdict}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), [id]);
    ns.kill(pid);
    wait_until("it was reaped", || !ns.path(&format!("/proc/{pid}")).exists());
    // Nor that a program that may access the set does not.
    for verbs in ["", "as 33"] {
        reuse(&program, verbs);
        ns.guard("guard --user 33").exits(0);
        assert_eq!(ns.ids(), [id]);
        ns.kill(pid);
        wait_until("it was reaped", || !ns.path(&format!("/proc/{pid}")).exists());
    }
    reuse(&program, "as 1234");
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
}

#[test]
fn an_httpd_in_another_ipc_namespace_keeps_nothing() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, WWW);
    let elsewhere = ns.actor_under("unshare --ipc", "httpd", HTTPD);
    assert_eq!(ns.ids().len(), 1, "its sets are elsewhere");
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
    assert!(ns.lives(elsewhere.pid("leader")));
}

// Sets of an httpd that was not started by root.

#[test]
fn the_owner_may_guard_without_being_root() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.dead_actor("httpd", "as 33 make 2 33 exit");
    let other = ns.orphans(1, STRANGER);
    let as_owner = "setpriv --reuid 33 --regid 33 --clear-groups";
    ns.guard_under(as_owner, "guard --user 33").exits(0).prints("removed 2 orphaned sets");
    assert_eq!(ns.ids(), other);
}

#[test]
fn a_users_own_set_is_kept_while_any_process_of_the_user_knows_it() {
    require!();
    let ns = Namespace::new(ROOMY);
    let [own, forgotten] = ns.dead_actor("httpd", "as 33 make 2 33 exit")[..] else { panic!() };
    let roots = ns.orphans(1, WWW)[0];
    let program = ns.actor("program", &format!("use {own} use {roots} as 33 stay living"));
    let list = ns.guard("list --user 33").exits(0);
    let why = format!("known to program {}", program.pid("living"));
    assert!(list.verdict(own).contains(&why), "{list}");
    assert!(list.verdict(forgotten).starts_with("orphan"), "{list}");
    // What root made is in no other program's memory except by chance: this one is neither an httpd nor
    // the last pid.
    assert!(list.verdict(roots).starts_with("orphan"), "{list}");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), [own]);
    program.kill_all();
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), []);
}

// List.

#[test]
fn the_totals_of_list_match_ipcs() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(3, WWW);
    ns.dead_actor("php-fpm", "as 33 key 0x1234 3 666 exit");
    ns.orphans(2, STRANGER);
    let ipcs = ns.sh("ipcs -us").exits(0).out;
    let figure = |of: &str| -> String {
        let line = ipcs.lines().find(|l| l.starts_with(of)).expect("in ipcs");
        line.rsplit(' ').next().expect("a figure").to_owned()
    };
    let (sets, semaphores) = (figure("used arrays"), figure("allocated semaphores"));
    assert_eq!((sets.as_str(), semaphores.as_str()), ("6", "8"));
    let total = format!(
        "4 semaphore sets of the guarded users, 3 orphaned; in use in all: {sets} of 128 sets, {semaphores} of \
         32000 semaphores\n"
    );
    let list = ns.guard("list --user 33").exits(0);
    assert!(list.out.ends_with(&total), "{list}");
    assert_eq!(ns.ids().len(), 6, "list removes nothing");
}

#[test]
fn list_shows_the_evidence_of_each_set_in_aligned_columns() {
    require!();
    let ns = Namespace::new(ROOMY);
    let httpd = ns.actor("httpd", HTTPD);
    ns.orphans(1, 33);
    let list = ns.guard("list --user 33").exits(0);
    let header = list.out.lines().next().expect("a header");
    let columns =
        ["SEMID", "OWNER", "CREATOR", "AGE", "LASTPID", "VALUE", "WAITERS", "VERDICT", "WHY"];
    let words: Vec<&str> = header.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert_eq!(words, columns);
    let row = |id: i32| {
        list.out
            .lines()
            .find(|l| l.split_whitespace().next() == Some(&id.to_string()))
            .expect("a row")
    };
    let cell = |row: &str, column: &str| -> String {
        let from = header.find(column).expect("a column");
        row[from..].split("  ").next().unwrap_or_default().trim().to_owned()
    };
    let used = row(httpd.sets[1]);
    assert_eq!(cell(used, "LASTPID"), format!("{} httpd", httpd.pid("worker")));
    assert_eq!(cell(used, "CREATOR"), "root (0)");
    assert!(cell(used, "VERDICT").starts_with("keep"), "{used}");
    let dead = row(httpd.sets[0]);
    assert!(cell(dead, "LASTPID").ends_with("(dead)"), "{dead}");
    assert!(cell(dead, "AGE").ends_with(" s"), "{dead}");
}

// The kernel says no.

#[test]
fn a_kernel_without_semaphores_is_reported() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, WWW);
    let strace = "strace -f -o /dev/null -e inject=semctl,semget:error=ENOSYS";
    for command in ["guard", "check"] {
        ns.guard_under(strace, &format!("{command} --user 33"))
            .exits(69)
            .logs("(38)Function not implemented")
            .logs("CONFIG_SYSVIPC");
    }
    ns.guard_under(strace, "guard --user 33 --need 0").exits(0);
}

#[test]
fn a_refused_inspection_is_an_error_of_its_own_that_removes_nothing() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    let strace = "strace -f -o /dev/null -e inject=semctl:error=EPERM";
    for command in ["check", "list"] {
        ns.guard_under(strace, &format!("{command} --user 33")).exits(71).logs("EPERM");
    }
    // If a process may not initialise its set, httpd does not start: the trial shows that.
    ns.guard_under(strace, "guard --user 33").exits(69).logs("semctl(SETVAL)");
    let left = ns.ids();
    assert!(ids.iter().all(|id| left.contains(id)), "{left:?}");
    // Nor could it remove its own set; the next run does.
    assert_eq!(left.len(), 3);
    ns.guard("guard --user 33").exits(0).prints("removed 2").logs("the trial set of a guard");
    assert_eq!(ns.ids(), []);
}

#[test]
fn one_unimplemented_command_does_not_mean_a_kernel_without_semaphores() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, WWW);
    // The first call is IPC_INFO.
    let strace = "strace -f -o /dev/null -e inject=semctl:error=ENOSYS:when=1";
    ns.guard_under(strace, "check --user 33")
        .exits(71)
        .logs("semctl(IPC_INFO)")
        .does_not_log("CONFIG_SYSVIPC");
}

#[test]
fn whatever_error_sem_stat_any_returns_sem_stat_is_used_instead() {
    require!("strace");
    // One set at each of the first indices.
    let ns = Namespace::fresh(ROOMY);
    ns.orphans(3, WWW);
    let calls = semctl_calls(&ns, "guard --user 33 --dry-run");
    let any = |call: &String| call.contains("SEM_STAT_ANY");
    let first = calls.iter().position(any).expect("a call") + 1;
    let last = calls.iter().rposition(any).expect("a call") + 1;
    assert_eq!(last - first, 2, "three sets, three calls\n{calls:?}");
    let refused = |errno: &str, when: String| {
        let strace = format!("strace -f -o /dev/null -e inject=semctl:error={errno}:when={when}");
        ns.guard_under(&strace, "guard --user 33 --dry-run")
            .exits(0)
            .prints("would remove 3 orphaned sets");
    };
    // A kernel before 4.17 does not know the command.
    refused("EINVAL", format!("{first}..{last}"));
    // An old C library, filters, a security module; at the first set, and after one was shown.
    for errno in ["EFAULT", "ENOSYS", "EPERM", "EACCES", "EOPNOTSUPP"] {
        refused(errno, first.to_string());
        refused(errno, last.to_string());
    }
}

/// Behaves like glibc 2.25 to 2.32 (its bug 26637): `SEM_STAT_ANY` is passed to the kernel with a null
/// pointer. On request `syscall` does the same, for machines on which semctl(3) is not bypassed.
const OLD_GLIBC: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long (*next)(long, ...);

static long kernel(long number, long id, long at, long command, long argument)
{
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, id, at, command, argument);
}

int semctl(int id, int at, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return kernel(SYS_semctl, id, at, command, command == 20 ? 0 : argument);
}

long syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (!next)
        kernel(SYS_getpid, 0, 0, 0, 0);
    if (number == SYS_semctl && (int)c == 20 && getenv("OLD_GLIBC_EVERYWHERE"))
        d = 0;
    return next(number, a, b, c, d, e, f);
}
"#;

#[test]
fn an_old_c_library_hides_no_set() {
    require!("strace", "cc");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(3, WWW);
    ns.write("old.c", OLD_GLIBC);
    ns.sh("cc -shared -fPIC -o /run/t/old.so /run/t/old.c -ldl").exits(0);
    for everywhere in ["", "OLD_GLIBC_EVERYWHERE=1"] {
        let strace = format!("env LD_PRELOAD=/run/t/old.so {everywhere} strace -f -o /run/t/trace");
        ns.guard_under(&strace, "check --user 33")
            .exits(0)
            .prints("a dead httpd left 3 semaphore sets");
        let trace = std::fs::read_to_string(ns.path("/run/t/trace")).expect("a trace");
        let faults = trace.lines().filter(|l| l.contains("SEM_STAT_ANY") && l.contains("EFAULT"));
        // On these two architectures the library function is bypassed.
        let around = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        assert_eq!(faults.count() > 0, !around || !everywhere.is_empty(), "{trace}");
    }
    ns.guard_under("env LD_PRELOAD=/run/t/old.so OLD_GLIBC_EVERYWHERE=1", "guard --user 33")
        .exits(0)
        .prints("removed 3 orphaned sets");
    assert!(ids.iter().all(|id| !ns.ids().contains(id)), "{:?}", ns.ids());
}

#[test]
fn a_refused_trial_fails_even_if_there_is_room() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    for (errno, says) in
        [("EACCES", "(13)Permission denied"), ("ENOMEM", "(12)Cannot allocate memory")]
    {
        let strace = format!("strace -f -o /dev/null -e inject=semget:error={errno}");
        ns.guard_under(&strace, "guard --user 33")
            .exits(69)
            .logs(says)
            .logs(&format!("semget for a trial set fails: {errno}"))
            .logs("so they are not the cause");
    }
}

// The trial.

/// The semctl calls of a run, in order.
fn semctl_calls(ns: &Namespace, args: &str) -> Vec<String> {
    ns.guard_under("strace -f -qq -e trace=semctl -o /run/t/calls", args);
    let calls = std::fs::read_to_string(ns.path("/run/t/calls")).expect("a trace");
    // Other lines report that the reader of memory has ended.
    calls.lines().filter(|line| line.contains("semctl(")).map(str::to_owned).collect()
}

#[test]
fn a_trial_leaves_nothing_behind() {
    require!();
    let ns = Namespace::new("250 32000 32 2");
    for command in ["guard", "check", "guard --dry-run"] {
        ns.guard(&format!("{command} --user 33 -v"))
            .exits(0)
            .logs("trial: a set could be made and removed");
        assert_eq!(ns.ids(), []);
    }
}

#[test]
fn a_trial_that_was_killed_leaves_one_set_that_the_next_run_removes() {
    require!("strace");
    // Room for one: anything left behind would stop httpd.
    let ns = Namespace::new("250 32000 32 1");
    let kill = |on: &str, times_before: usize| {
        let strace = format!(
            "strace -f -o /dev/null -e inject=semctl:signal=KILL:when={}",
            times_before + 1
        );
        let run = ns.guard_under(&strace, "guard --user 33");
        assert_ne!(run.code, Some(0), "killed at {on}: {run}");
    };
    let calls = semctl_calls(&ns, "guard --user 33");
    for command in ["SETVAL", "IPC_SET", "IPC_RMID"] {
        let at = calls.iter().position(|c| c.contains(&format!(" {command}"))).expect(command);
        kill(command, at);
        let left = ns.sets();
        assert_eq!(left.len(), 1, "killed at {command}");
        // The next run is killed too, before it has removed anything.
        kill("the first call", 0);
        assert_eq!(ns.ids().len(), 1);
        ns.guard("guard --user 33").exits(0).logs("the trial set of a guard that was killed");
        assert_eq!(ns.ids(), []);
    }
}

#[test]
fn a_stranger_with_the_trials_key_is_left_alone_and_the_figures_decide() {
    require!();
    let ns = Namespace::new("250 32000 32 2");
    let ids = ns.dead_actor("stranger", "as 1234 key 0x53454d47 1 600 exit");
    ns.guard("guard --user 33 -v")
        .exits(0)
        .logs("trial: inconclusive, another program holds or took its key");
    ns.guard("guard --user 33 --need 2").exits(69);
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_trial_set_whose_maker_is_running_is_not_a_leftover() {
    require!();
    let ns = Namespace::new(ROOMY);
    let other = ns.actor("other-guard", "key 0x53454d47 1 600 stay trying");
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), other.sets);
}

#[test]
fn a_check_never_takes_the_last_place_and_leaves_leftovers_alone() {
    require!();
    let ns = Namespace::new("250 32000 32 1");
    ns.guard("check --user 33 -v").exits(0).logs("trial: none, it would take the last free slot");
    let ids = ns.dead_actor("guard", "key 0x53454d47 1 600 exit");
    ns.guard("check --user 33").exits(69);
    assert_eq!(ns.ids(), ids);
}

// How sets are removed.

#[test]
fn a_dry_run_says_what_it_would_do_but_does_not_do_it() {
    require!();
    let ns = Namespace::new("250 32000 32 2");
    let ids = ns.orphans(2, WWW);
    let before = ns.sets();
    let dry = ns.guard("guard --user 33 --dry-run").exits(0).prints("would remove 2 orphaned sets");
    for id in ids {
        assert!(dry.err.contains(&format!("would remove semaphore set {id} of ")), "{dry}");
    }
    ns.guard("check --user 33").exits(69).prints("a dead httpd left 2 semaphore sets");
    assert_eq!(ns.sets(), before);
}

#[test]
fn every_removal_is_logged_with_owner_last_pid_and_age() {
    require!();
    let ns = Namespace::new(ROOMY);
    let id = ns.orphans(1, STRANGER)[0];
    let pid = ns.semaphore(id).pid;
    ns.guard("guard --user 1234")
        .exits(0)
        .logs(&format!("removed semaphore set {id} of 1234, last pid {pid}, age "));
}

#[test]
fn orphans_are_removed_as_their_owner_without_capabilities() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let id = ns.orphans(1, WWW)[0];
    ns.guard_under(
        "strace -f -qq -e trace=semctl,setresuid,setreuid,setuid -o /run/t/calls",
        "guard --user 33",
    )
    .exits(0);
    let calls = std::fs::read_to_string(ns.path("/run/t/calls")).expect("a trace");
    let mut effective = "0".to_owned();
    let mut removed_as = None;
    for call in calls.lines() {
        if let Some((_, args)) = call.split_once("setresuid(") {
            effective = args.split(", ").nth(1).expect("the effective user").to_owned();
        }
        if call.contains(&format!("semctl({id}, 0, IPC_RMID")) {
            removed_as = Some(effective.clone());
        }
    }
    assert_eq!(removed_as.as_deref(), Some("33"), "{calls}");
    assert_eq!(effective, "0", "the way back\n{calls}");
}

#[test]
fn one_refused_removal_does_not_stop_the_rest() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(3, WWW);
    let first = ids[0];
    // The first IPC_RMID of a run removes the first orphan.
    let probe = Namespace::new(ROOMY);
    probe.orphans(3, WWW);
    let calls = semctl_calls(&probe, "guard --user 33");
    let at = calls.iter().position(|c| c.contains("IPC_RMID")).expect("a removal") + 1;
    let strace = format!("strace -f -o /dev/null -e inject=semctl:error=EPERM:when={at}");
    ns.guard_under(&strace, "guard --user 33")
        .exits(0)
        .logs("could not remove 1 semaphore set that a dead httpd left: EPERM ")
        .logs(&format!(" for {first}"))
        .prints("removed 2 orphaned sets");
    assert_eq!(ns.ids(), [first]);
}

#[test]
fn a_set_removed_meanwhile_by_another_process_is_no_failure() {
    require!("strace");
    let probe = Namespace::new(ROOMY);
    probe.orphans(2, WWW);
    let calls = semctl_calls(&probe, "guard --user 33");
    let at = calls.iter().position(|c| c.contains("IPC_RMID")).expect("a removal") + 1;
    for errno in ["EIDRM", "EINVAL"] {
        let ns = Namespace::new(ROOMY);
        ns.orphans(2, WWW);
        let strace = format!("strace -f -o /dev/null -e inject=semctl:error={errno}:when={at}");
        ns.guard_under(&strace, "guard --user 33").exits(0).does_not_log("could not");
    }
}

#[test]
fn two_guards_at_once_remove_each_set_once() {
    require!();
    let ns = Namespace::new("250 32000 32 400");
    ns.orphans(300, WWW);
    let start = || {
        let mut command = ns.guard_command("guard --user 33 -v");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    };
    let both = [start(), start(), start()].map(Run::end);
    let removed: usize = both.iter().map(|r| r.err.matches("removed semaphore set").count()).sum();
    assert_eq!(removed, 300);
    for run in both {
        run.exits(0).does_not_log("could not").does_not_log("continuing without");
    }
    assert_eq!(ns.ids(), []);
}

#[test]
fn a_guard_waits_for_the_lock_of_another() {
    require!("flock");
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, WWW);
    let mut other: Command = ns.command("flock");
    other.args(["/run/httpd-semguard.lock", "sh", "-c", "echo locked; cat"]);
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("flock runs");
    let mut word = [0; 7];
    let out = other.stdout.as_mut().expect("a pipe");
    std::io::Read::read_exact(out, &mut word).expect("locked");
    let mut guard = ns.guard_command("guard --user 33");
    let guard = guard.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // Long enough for a guard without the lock to finish; a slow one passes anyway.
    sleep(Duration::from_millis(300));
    assert_eq!(ns.ids(), ids);
    drop(other.stdin.take());
    other.wait().expect("waited");
    Run::end(guard).exits(0).prints("removed 1 orphaned set").does_not_log("continuing without");
}

// What the guard cannot see.

#[test]
fn it_works_if_proc_shows_only_processes() {
    require!();
    let ns = Namespace::new("250 32000 32 3");
    let bare = "unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc && \
                test ! -e /proc/stat && test ! -e /proc/sysvipc && exec \"$@\"' sh";
    ns.orphans(2, WWW);
    ns.guard_under(bare, "guard --user 33").exits(0).prints("removed 2 orphaned sets");
    let httpd = ns.actor("httpd", HTTPD);
    ns.guard_under(bare, "guard --user 33").exits(0).prints("2 kept");
    assert_eq!(ns.ids(), httpd.sets);
}

const HIDDEN: &str = "unshare --mount sh -c 'mount -t proc -o hidepid=2 proc /proc && \
                      exec \"$@\"' sh";
const BLIND: &str = "setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace";

#[test]
fn a_proc_that_hides_processes_keeps_every_set() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    let list = ns.guard_under(&format!("{HIDDEN} {BLIND}"), "list --user 33").exits(0);
    assert!(list.verdict(ids[0]).contains("/proc hides processes (hidepid)"), "{list}");
    ns.guard_under(&format!("{HIDDEN} {BLIND}"), "guard --user 33").exits(0);
    assert_eq!(ns.ids(), ids);
    // With the capability, nothing is hidden.
    ns.guard_under(HIDDEN, "guard --user 33").exits(0).prints("removed 2 orphaned sets");
}

#[test]
fn a_process_whose_executable_cannot_be_read_may_be_an_httpd() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, WWW);
    let _program = ns.actor("program", "as 33 stay living");
    let verdict = ns.guard_under(BLIND, "list --user 33").exits(0).verdict(ids[0]);
    let why = "permission to read /proc/PID/mem is missing (CAP_SYS_PTRACE)";
    assert!(verdict.contains("may be known to ") && verdict.contains(why), "{verdict}");
    ns.guard_under(BLIND, "guard --user 33").exits(0);
    assert_eq!(ns.ids(), ids);
    ns.guard("guard --user 33").exits(0).prints("removed 1 orphaned set");
}

#[test]
fn without_proc_every_set_is_kept() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(2, WWW);
    let without = "unshare --mount sh -c 'mount -t tmpfs none /proc && exec \"$@\"' sh";
    ns.guard_under(without, "guard --user 33").exits(0);
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_set_touched_in_an_unseen_pid_namespace_is_kept_unless_declared_absent() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, WWW);
    let inner = "unshare --pid --fork --mount-proc";
    let list = ns.guard_under(inner, "list --user 33").exits(0);
    assert!(list.verdict(ids[0]).contains("--private-ipc"), "{list}");
    ns.guard_under(inner, "guard --user 33").exits(0).logs("see --private-ipc");
    assert_eq!(ns.ids(), ids);
    ns.guard_under(inner, "guard --user 33 --private-ipc").exits(0).prints("removed 1 orphaned");
    assert_eq!(ns.ids(), []);
}

#[test]
fn the_proc_of_another_pid_namespace_keeps_every_set() {
    require!();
    let ns = Namespace::new(ROOMY);
    let ids = ns.orphans(1, WWW);
    // The guard is pid 1 of a new PID namespace, but sees the /proc of the old one, in which its pid
    // belongs to another process.
    let inner = "unshare --pid --fork";
    let list = ns.guard_under(inner, "list --user 33 --private-ipc").exits(0);
    let verdict = list.verdict(ids[0]);
    assert!(verdict.contains("/proc does not show this PID namespace"), "{verdict}");
    ns.guard_under(inner, "guard --user 33 --private-ipc")
        .exits(0)
        .logs("kept 1 semaphore set: cannot tell: /proc does not show this PID namespace");
    assert_eq!(ns.ids(), ids);
}
