//! A guard that cannot see or do everything keeps what it cannot judge, and names what it lacks.

use std::process::Stdio;

use crate::common::{Namespace, Run, wait_until};
use crate::server::{AS_WWW, Apache};
use crate::table::Case;
use crate::{ROOMY, case};

/// Runs a guard under `wrapper` beside a running httpd, then after its end. If it `sees`, the orphans
/// go; if not, it keeps them and reports that it `lacks` something. Finally runs a guard with all
/// rights.
#[track_caller]
fn under(mut case: Case, wrapper: &str, sees: bool, lacks: &str) {
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    let sets = apache.start();
    let guard = || ns.guard_under(wrapper, "guard --user 33 -v");
    case.guard(&ns, &sets, &[], guard).exits(0);
    apache.serves();
    apache.kill();
    let sets = ns.ids();
    let due = if sees { &sets[..] } else { &[] };
    let run = case.guard(&ns, &[], due, guard).exits(0);
    assert!(run.err.contains(lacks), "{lacks} is not named:\n{run}");
    if !sees {
        case.guard(&ns, &[], &sets, || ns.guard("guard --user 33")).exits(0);
    }
}

/// The command prefix that drops this capability.
fn without(capability: &str) -> String {
    format!("setpriv --bounding-set=-{capability} --inh-caps=-{capability}")
}

/// The command prefix that mounts /proc with this option.
fn proc_with(option: &str) -> String {
    format!("unshare --mount sh -c 'mount -t proc -o {option} proc /proc && exec \"$@\"' sh")
}

#[test]
fn hidepid_hides_nothing_from_root() {
    let case = case!("hidepid", "apache2", "curl", "openssl", "pgrep");
    under(case, &proc_with("hidepid=2"), true, "");
}

#[test]
fn hidepid_without_the_capability_keeps_every_set() {
    let case = case!("hidepid, no CAP_SYS_PTRACE", "apache2", "curl", "openssl", "pgrep");
    let wrapper = format!("{} {}", proc_with("hidepid=2"), without("sys_ptrace"));
    under(case, &wrapper, false, "(hidepid) and CAP_SYS_PTRACE is missing");
}

#[test]
fn a_proc_with_only_processes_is_enough() {
    let case = case!("ProcSubset=pid", "apache2", "curl", "openssl", "pgrep");
    under(case, &proc_with("subset=pid"), true, "");
}

#[test]
fn without_cap_sys_ptrace_every_set_is_kept() {
    let case = case!("no CAP_SYS_PTRACE", "apache2", "curl", "openssl", "pgrep");
    under(
        case,
        &without("sys_ptrace"),
        false,
        "permission to read /proc/PID/mem is missing (CAP_SYS_PTRACE)",
    );
}

#[test]
fn without_cap_ipc_owner_the_orphans_go() {
    let case = case!("no CAP_IPC_OWNER", "apache2", "curl", "openssl", "pgrep");
    under(case, &without("ipc_owner"), true, "");
}

#[test]
fn without_cap_sys_admin_the_orphans_go() {
    let case = case!("no CAP_SYS_ADMIN", "apache2", "curl", "openssl", "pgrep");
    under(case, &without("sys_admin"), true, "");
}

#[test]
fn without_cap_setuid_no_other_users_set_is_removed() {
    let case = case!("no CAP_SETUID", "apache2", "curl", "openssl", "pgrep");
    under(case, &without("setuid"), false, "could not remove semaphore set");
}

#[test]
fn a_guard_in_a_user_namespace_removes_no_other_users_sets() {
    let mut case = case!("guard in a user namespace", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    apache.start();
    // Inside, all of them belong to `nobody`, whoever owns them outside.
    let as_root = "unshare --user --map-root-user";
    let as_user = format!("{AS_WWW} unshare --user --map-user=33 --map-group=33");
    let guards: [&dyn Fn() -> Run; 4] = [
        &|| ns.guard_under(as_root, "guard --user 33 --need 0"),
        &|| ns.guard_under(as_root, "guard --user 65534 --need 0"),
        &|| ns.guard_under(&as_user, "guard --user 33 --need 0"),
        &|| ns.guard_under(&as_user, "guard --user 65534 --need 0"),
    ];
    for guard in guards {
        let alive = ns.ids();
        case.guard(&ns, &alive, &[], guard).exits(0);
    }
    apache.serves();
    apache.kill();
    for guard in guards {
        case.guard(&ns, &[], &[], guard).exits(0);
    }
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

// A single process that cannot be seen. Simulated by strace(1), or by a mount over its files.

/// Checks the verdict on an orphan while `wrapper` hides something from the guard; without the wrapper,
/// the orphan goes.
#[track_caller]
fn keeps_an_orphan(case: &mut Case, ns: &Namespace, wrapper: &str, why: &str) {
    let orphan = ns.orphans(1, 33);
    let list = ns.guard_under(wrapper, "list --user 33").exits(0);
    assert!(list.verdict(orphan[0]).contains(why), "{why}: {list}");
    case.guard(ns, &[], &[], || ns.guard_under(wrapper, "guard --user 33")).exits(0);
    case.guard(ns, &[], &orphan, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn a_last_pid_that_exists_but_is_not_listed_is_not_dead() {
    let mut case = case!("last pid that /proc does not list", "strace");
    let ns = Namespace::new(ROOMY);
    // Only ESRCH means that it does not exist.
    for answer in ["error=EPERM", "retval=0"] {
        let hidden = Namespace::strace(&format!("-f -o /dev/null -e inject=kill:{answer}:when=1+"));
        keeps_an_orphan(&mut case, &ns, &hidden, "/proc does not show");
    }
}

#[test]
fn an_existing_process_that_cannot_be_read_makes_the_list_incomplete() {
    let mut case = case!("process whose files cannot be read");
    let ns = Namespace::new(ROOMY);
    let other = ns.actor("other", "as 1234 stay other");
    let over = format!(
        "unshare --mount sh -c 'mount -t tmpfs none /proc/{} && exec \"$@\"' sh",
        other.pid("other")
    );
    keeps_an_orphan(&mut case, &ns, &over, "cannot tell");
}

/// It is then unknown what runs in it, so it may be an httpd.
#[test]
fn a_process_whose_maps_cannot_be_read_may_be_an_httpd() {
    let mut case = case!("process whose maps cannot be read", "strace");
    let ns = Namespace::new(ROOMY);
    let other = ns.actor("webd", "stay other");
    let maps = format!("/proc/{}/maps", other.pid("other"));
    let strace = Namespace::strace(&format!(
        "-f -o /dev/null -P {maps} -e trace=openat -e inject=openat:error=EACCES"
    ));
    let why = format!("may be known to webd {}", other.pid("other"));
    keeps_an_orphan(&mut case, &ns, &strace, &why);
}

// Memory that may not be read.

/// The command prefix under which this file of these processes cannot be opened.
fn refused(file: &str, pids: &[i32], errno: &str) -> String {
    let paths: String = pids.iter().map(|pid| format!("-P /proc/{pid}/{file} ")).collect();
    Namespace::strace(&format!(
        "-f -o /dev/null {paths} -e trace=openat -e inject=openat:error={errno}"
    ))
}

/// Yama's ptrace_scope 3 denies access to the memory of any process, even to root; 1 denies it to an
/// owner without CAP_SYS_PTRACE, except for the owner's own children. (A real ptrace_scope of 3 could
/// not be undone.)
#[test]
fn if_yama_or_a_security_module_denies_access_to_memory_every_set_stays() {
    let mut case = case!("memory that the guard may not read", "strace");
    let ns = Namespace::new(ROOMY);
    let of_root = ns.actor("httpd", "make 1 33 detach fork { as 33 stay worker } stay leader");
    let own = ns.actor("httpd", "as 33 make 1 33 detach fork { stay worker } stay leader");
    let mut dead = ns.orphans(1, 33);
    dead.extend(ns.dead_actor("httpd", "as 33 make 1 33 exit"));
    let alive = [&of_root.sets[..], &own.sets].concat();
    let mut pids: Vec<i32> =
        of_root.pids.values().chain(own.pids.values()).flatten().copied().collect();
    pids.push(1);
    let missing = "permission to read /proc/PID/mem is missing (CAP_SYS_PTRACE)";
    for (file, errno, says) in [
        ("mem", "EPERM", missing),
        ("mem", "EACCES", missing),
        ("pagemap", "EPERM", "permission to read /proc/PID/pagemap is missing (CAP_SYS_PTRACE)"),
        ("mem", "EIO", "/proc/PID/mem: EIO"),
    ] {
        let wrapper = refused(file, &pids, errno);
        let guard = || ns.guard_under(&wrapper, "guard -v --user 33");
        let run = case.guard(&ns, &alive, &[], guard).exits(0);
        assert!(run.err.contains("may be known to httpd ") && run.err.contains(says), "{run}");
    }
    // The owner's guard, looking at the owner's processes.
    let by_owner = format!(
        "{AS_WWW} strace -f -o /dev/null {} -e trace=openat \
         -e inject=openat:error=EACCES",
        own.pids.values().flatten().map(|pid| format!("-P /proc/{pid}/mem ")).collect::<String>()
    );
    let run =
        case.guard(&ns, &alive, &[], || ns.guard_under(&by_owner, "guard -v --user 33")).exits(0);
    assert!(run.err.contains(missing), "{run}");
    case.guard(&ns, &alive, &dead, || ns.guard("guard --user 33")).exits(0);
}

#[test]
fn without_cap_sys_admin_unseen_shared_memory_casts_doubt_only_on_an_owners_set() {
    let mut case = case!("no CAP_SYS_ADMIN, an owner's sets", "perl");
    let ns = Namespace::new(ROOMY);
    let _own = ns.actor("program", "as 33 stay other");
    let of_root = ns.orphans(1, 33);
    let of_owner = ns.dead_actor("httpd", "as 33 make 1 33 exit");
    let wrapper = without("sys_admin");
    let run = ns.guard_under(&wrapper, "guard -v --user 33").exits(0);
    let left = ns.ids();
    assert!(!left.contains(&of_root[0]), "{run}");
    let named = run.err.contains("its shared memory cannot be seen (CAP_SYS_ADMIN)");
    assert_eq!(left.contains(&of_owner[0]), named, "kept with a reason, or gone: {run}");
    case.guard(&ns, &[], &left, || ns.guard("guard --user 33")).exits(0);
}

/// Text does not count as a number: otherwise a log or a listing would keep every set for ever.
#[test]
fn an_orphan_that_was_listed_on_a_terminal_and_in_a_log_still_goes() {
    let mut case = case!("an orphan listed on a terminal and in a log", "script");
    let ns = Namespace::new(ROOMY);
    let orphans = [ns.orphans(1, 33), ns.dead_actor("httpd", "as 33 make 1 33 exit")].concat();
    let guard = ns.guard_copy();
    // The terminal program, a shell that has the whole listing in a variable, and a program that
    // follows the log keep running as the owner, who could use the set that the owner made.
    let shell = format!(
        "for n in 1 2 3; do {guard} list --user 33 --no-ask; done; \
         all=$({guard} list --user 33 --no-ask); {guard} check -v --user 33 --no-ask 2>&1; \
         echo ready: ${{#all}}; read wait; echo $all"
    );
    ns.sh("touch /run/t/typescript && chmod 666 /run/t/typescript").exits(0);
    let mut script = ns.command("setpriv");
    script.args([
        "--reuid",
        "33",
        "--regid",
        "33",
        "--clear-groups",
        "script",
        "-qf",
        "-c",
        &shell,
    ]);
    script.arg("/run/t/typescript").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = script.spawn().expect("script runs");
    let said = || std::fs::read_to_string(ns.path("/run/t/typescript")).unwrap_or_default();
    // Its first line contains the whole command.
    wait_until("it has listed them", || said().matches("ready: ").count() > 1);
    let number = orphans[0].to_string();
    assert!(said().matches(&number).count() >= 4, "{}", said());
    case.guard(&ns, &[], &orphans, || ns.guard("guard --user 33")).exits(0);
    let _ = script.kill();
    let _ = script.wait();
}
