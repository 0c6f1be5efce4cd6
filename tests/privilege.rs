//! Least privilege: what the guard may do at the moment it removes a set, and what becomes of a set
//! that changes hands between the verdict and the removal. The guard is held at that point by
//! strace(1), in a namespace per test.

mod common;

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{Namespace, Run, STRANGER, WWW, wait_until};
use nix::libc;

const ROOMY: &str = "250 32000 32 128";

/// A second guarded user.
const SECOND: u32 = 1235;

const GUARD: &str = "guard --user 33 --user 1235";

/// The rights of a held guard, from its /proc/PID/status.
#[derive(Debug)]
struct Rights {
    effective_user: u32,
    capabilities: u64,
}

/// A run of the guard under strace, held at one of its calls.
struct Held<'n> {
    ns: &'n Namespace,
    strace: Child,
    pid: i32,
}

impl<'n> Held<'n> {
    /// Held on entry to its `n`-th semctl, for longer than any test lasts.
    fn inside_semctl(ns: &'n Namespace, n: usize) -> Held<'n> {
        let strace = start(ns, &format!("semctl:delay_enter=600s:when={n}"));
        let inside = format!("{} ", libc::SYS_semctl);
        // The trace shows the call as soon as it is entered; /proc shows that it is still in it.
        wait_until("it is inside the call", || {
            trace(ns).lines().filter(|line| line.contains("semctl(")).count() >= n
                && guard_pid(ns)
                    .is_some_and(|pid| proc_file(ns, pid, "syscall").starts_with(&inside))
        });
        Held { ns, strace, pid: guard_pid(ns).expect("it runs") }
    }

    /// Stopped after its `n`-th call of this name.
    fn behind(ns: &'n Namespace, call: &str, n: usize) -> Held<'n> {
        let strace = start(ns, &format!("{call}:signal=STOP:when={n}"));
        wait_until("it is stopped", || trace(ns).contains("--- stopped by SIGSTOP ---"));
        Held { ns, strace, pid: guard_pid(ns).expect("it runs") }
    }

    fn rights(&self) -> Rights {
        let status = proc_file(self.ns, self.pid, "status");
        let field = |name: &str| -> Vec<String> {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).expect(name);
            line.split_whitespace().map(str::to_owned).collect()
        };
        Rights {
            effective_user: field("Uid:")[1].parse().expect("a number"),
            capabilities: u64::from_str_radix(&field("CapEff:")[0], 16).expect("a number"),
        }
    }

    /// Lets it run to its end.
    fn goes_on(self) -> Run {
        self.ns.sh(&format!("kill -CONT {}", self.pid)).exits(0);
        Run::end(self.strace)
    }
}

/// Starts the guard with this fault, and with a trace of calls of that name.
fn start(ns: &Namespace, fault: &str) -> Child {
    let guard = env!("CARGO_BIN_EXE_httpd-semguard");
    let call = fault.split(':').next().expect("a name");
    let mut sh = ns.command("sh");
    let args = format!("-f -o /run/t/trace -e trace={call} -e inject={fault}");
    let traced = format!("{} {guard} {GUARD} --no-ask", Namespace::strace(&args));
    sh.args(["-c", &format!("echo > /run/t/trace; exec {traced}")]);
    sh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
}

fn trace(ns: &Namespace) -> String {
    fs::read_to_string(ns.path("/run/t/trace")).unwrap_or_default().trim_start().to_owned()
}

/// The guard is the process that strace's trace starts with.
fn guard_pid(ns: &Namespace) -> Option<i32> {
    trace(ns).split_whitespace().next()?.parse().ok()
}

fn proc_file(ns: &Namespace, pid: i32, file: &str) -> String {
    fs::read_to_string(ns.path(&format!("/proc/{pid}/{file}"))).unwrap_or_default()
}

/// Two users' orphans, always the same.
fn world() -> Namespace {
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, WWW);
    ns.orphans(1, SECOND);
    ns.dead_actor("httpd", "as 1235 make 1 1235 exit");
    ns
}

/// The semctl calls of a plain run in such a world, and the effective user of each.
fn calls() -> Vec<(String, u32)> {
    let ns = world();
    let strace = Namespace::strace("-f -qq -o /run/t/trace -e trace=semctl,setresuid");
    ns.guard_under(&strace, GUARD).exits(0).prints("removed 4 orphaned sets");
    let mut user = 0;
    let mut calls = Vec::new();
    for line in trace(&ns).lines() {
        if let Some((_, ids)) = line.split_once("setresuid(-1, ") {
            user = ids.split(',').next().and_then(|id| id.parse().ok()).expect("a number");
        } else if line.contains("semctl(") {
            calls.push((line.to_owned(), user));
        }
    }
    calls
}

#[test]
fn a_set_is_removed_as_its_owner_without_any_capability() {
    require!("strace");
    let calls = calls();
    let mut owners = Vec::new();
    for (n, (call, user)) in calls.iter().enumerate() {
        if !call.contains("IPC_RMID") || *user == 0 {
            continue;
        }
        let ns = world();
        let held = Held::inside_semctl(&ns, n + 1);
        let rights = held.rights();
        assert_eq!((rights.effective_user, rights.capabilities), (*user, 0), "{call}: {rights:?}");
        owners.push(*user);
    }
    assert_eq!(owners, [WWW, WWW, SECOND, SECOND], "{calls:#?}");
}

#[test]
fn room_and_trial_are_handled_as_root_again() {
    require!("strace");
    let calls = calls();
    let first = calls.iter().rposition(|(_, user)| *user != 0).expect("a removal") + 1;
    let after = ["IPC_INFO", "SEM_INFO", "SETVAL", "IPC_SET", "IPC_RMID"];
    for command in after {
        let find = |(call, _): &(String, u32)| call.contains(&format!(" {command}"));
        let n = calls[first..].iter().position(find).expect(command) + first;
        let ns = world();
        let rights = Held::inside_semctl(&ns, n + 1).rights();
        assert_eq!(rights.effective_user, 0, "{command}");
        assert_ne!(rights.capabilities, 0, "{command}");
    }
}

#[test]
fn a_set_is_read_again_as_its_owner_too() {
    require!("strace");
    let calls = calls();
    for command in ["IPC_STAT", "GETNCNT", "GETPID"] {
        let find = |(call, user): &(String, u32)| call.contains(command) && *user == SECOND;
        let n = calls.iter().position(find).expect(command);
        let ns = world();
        let rights = Held::inside_semctl(&ns, n + 1).rights();
        assert_eq!((rights.effective_user, rights.capabilities), (SECOND, 0), "{command}");
    }
}

/// The number of the semctl that is the last look at the set that is removed first.
fn last_look() -> usize {
    let calls = calls();
    let removal = calls.iter().position(|(c, user)| c.contains("IPC_RMID") && *user == WWW);
    let n = removal.expect("a removal");
    assert!(calls[n - 1].0.contains("GETVAL"), "{calls:#?}");
    n
}

#[test]
fn the_kernel_refuses_to_remove_a_set_given_to_another_user_after_the_last_look() {
    require!("strace");
    let n = last_look();
    let ns = world();
    let ids = ns.ids();
    let held = Held::behind(&ns, "semctl", n);
    ns.dead_actor("root", &format!("use {} give 0 {STRANGER} exit", ids[0]));
    let run = held.goes_on().exits(0);
    assert_eq!(ns.ids(), ids[..1], "{run}");
    run.logs("could not remove 1 semaphore set that a dead httpd left")
        .logs(&format!("EPERM (Operation not permitted) for {}", ids[0]))
        .prints("removed 3 orphaned sets");
}

#[test]
fn the_kernel_refuses_to_remove_a_set_taken_over_by_root_after_the_last_look() {
    require!("strace");
    let n = last_look();
    let ns = world();
    let ids = ns.ids();
    let held = Held::behind(&ns, "semctl", n);
    ns.dead_actor("root", &format!("use {} give 0 0 exit", ids[0]));
    // Room for one, and that set stays: the forecast says so.
    ns.sh("echo 250 32000 32 1 > /proc/sys/kernel/sem").exits(0);
    let run = held.goes_on().exits(69);
    assert_eq!(ns.ids(), ids[..1], "{run}");
    run.logs("could not remove").logs("EPERM").logs("1 of root (0)");
}

// Between the verdict and the last look: the guard is stopped just after it has become the owner.

/// Does `act` between the verdict on two sets and the last look at them. Returns the sets and the run.
fn meanwhile(ns: &Namespace, act: impl FnOnce(&[i32])) -> (Vec<i32>, Run) {
    let ids = ns.orphans(2, WWW);
    let held = Held::behind(ns, "setresuid", 1);
    act(&ids);
    (ids, held.goes_on())
}

#[test]
fn a_set_that_is_used_after_its_verdict_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let (ids, run) = meanwhile(&ns, |ids| {
        ns.dead_actor("httpd", &format!("use {} as 33 touch 0 exit", ids[0]));
    });
    run.exits(0)
        .logs(&format!("kept semaphore set {} of ", ids[0]))
        .logs("it has changed in the meantime")
        .prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), ids[..1]);
}

#[test]
fn a_set_that_is_locked_or_waited_for_after_its_verdict_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let mut actors = Vec::new();
    let (ids, run) = meanwhile(&ns, |ids| {
        actors.push(ns.actor("httpd", &format!("use {} as 33 lock 0 stay holder", ids[0])));
        let waiter = format!("use {} as 33 say waiter zero 0", ids[1]);
        actors.push(ns.actor("other", &waiter));
        wait_until("it waits", || ns.semaphore(ids[1]).zero == 1);
    });
    run.exits(0).logs("it has changed in the meantime").does_not_log("removed");
    assert_eq!(ns.ids(), ids);
}

#[test]
fn a_set_that_becomes_another_users_after_its_verdict_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let (ids, run) = meanwhile(&ns, |ids| {
        ns.dead_actor("root", &format!("use {} give 0 {STRANGER} exit", ids[0]));
    });
    // The last look is made as the owner, but the set now belongs to another user.
    run.exits(0)
        .logs(&format!("EACCES (Permission denied) for {}", ids[0]))
        .prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), ids[..1]);
}

#[test]
fn a_set_that_is_reinitialised_after_its_verdict_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let (ids, run) = meanwhile(&ns, |ids| {
        // Times are whole seconds.
        sleep(Duration::from_millis(1100));
        // As when an httpd is given the set: neither value, waiters nor last pid show it.
        ns.dead_actor("root", &format!("use {} give 0 33 exit", ids[0]));
    });
    run.exits(0)
        .logs(&format!("kept semaphore set {} of ", ids[0]))
        .logs("it has changed in the meantime")
        .prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), ids[..1]);
}

#[test]
fn a_set_that_is_removed_after_its_verdict_is_no_failure() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let (_, run) = meanwhile(&ns, |ids| {
        ns.sh(&format!("ipcrm -s {}", ids[0])).exits(0);
    });
    run.exits(0).does_not_log("could not").prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), []);
}

#[test]
fn a_new_set_in_the_place_of_a_judged_one_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    let mut newcomer = Vec::new();
    let (ids, run) = meanwhile(&ns, |ids| {
        ns.sh(&format!("ipcrm -s {}", ids[0])).exits(0);
        // Until the kernel has come round to the same index (ipc/util.c, ipc_idr_alloc).
        let index = |id: i32| id & 0x7fff;
        while newcomer.is_empty() {
            let made = ns.orphans(16, WWW);
            for id in made {
                if index(id) == index(ids[0]) {
                    newcomer.push(id);
                } else {
                    ns.sh(&format!("ipcrm -s {id}")).exits(0);
                }
            }
        }
    });
    assert_ne!(newcomer[0], ids[0], "the index is the same, the semid is not");
    run.exits(0).prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), newcomer);
}

#[test]
fn a_new_set_even_with_the_semid_of_a_judged_one_stays() {
    require!("strace");
    let ns = Namespace::new(ROOMY);
    if !ns.path("/proc/sys/kernel/sem_next_id").exists() {
        return common::skip("this kernel was built without CONFIG_CHECKPOINT_RESTORE");
    }
    let (ids, run) = meanwhile(&ns, |ids| {
        let next = format!("ipcrm -s {0}; echo {0} > /proc/sys/kernel/sem_next_id", ids[0]);
        ns.sh(&next).exits(0);
        assert_eq!(ns.orphans(1, WWW), ids[..1]);
    });
    run.exits(0).logs("it has changed in the meantime").prints("removed 1 orphaned set");
    assert_eq!(ns.ids(), ids[..1]);
}

#[test]
fn who_looks_without_root_is_told_of_the_httpd_that_root_starts() {
    require!("apache2", "setpriv");
    let ns = Namespace::new("250 32000 32 6");
    ns.write(
        "httpd.conf",
        "ServerRoot /run/t\nServerName test\nErrorLog /dev/null\nUser www-data\nListen 127.0.0.1:8080\n\
         Listen 127.0.0.1:8081\nMutex sysvsem default\n\
         LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n\
         LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n",
    );
    ns.orphans(6, 33);
    let guard = ns.guard_copy();
    let by = |command: &str| {
        ns.sh(&format!(
            "setpriv --reuid 1234 --regid 1234 --clear-groups {guard} {command} \
             --httpd /usr/sbin/apache2 -- -f /run/t/httpd.conf"
        ))
    };
    by("check")
        .exits(69)
        .logs("6 semaphore sets of the guarded users could not be examined: run as root");
    by("list").exits(77).prints("6 semaphore sets of the guarded users, 0 orphaned");
    // A guard is for the httpd that its own user starts.
    by("guard -v").exits(69).logs("users: 1234 (httpd's configuration)");
}
