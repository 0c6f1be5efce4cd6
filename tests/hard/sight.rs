//! A guard that cannot see or do everything keeps what it cannot judge, and names what it lacks.

use crate::common::{Namespace, Run};
use crate::server::{AS_WWW, Apache};
use crate::table::Case;
use crate::{ROOMY, case};

/// A guard under `wrapper` beside a living httpd, then after its end. If it `sees`, the orphans
/// go; if not, it keeps them, and says `lacks`. Last comes a guard with all rights.
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

/// The wrapper that takes capabilities away.
fn without(capability: &str) -> String {
    format!("setpriv --bounding-set=-{capability} --inh-caps=-{capability}")
}

/// The wrapper that mounts /proc with this option.
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
fn a_proc_of_processes_alone_is_enough() {
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
fn without_cap_setuid_nothing_is_removed_in_anothers_name() {
    let case = case!("no CAP_SETUID", "apache2", "curl", "openssl", "pgrep");
    under(case, &without("setuid"), false, "could not remove semaphore set");
}

#[test]
fn a_guard_in_a_user_namespace_removes_nothing_of_others() {
    let mut case = case!("guard in a user namespace", "apache2", "curl", "openssl", "pgrep");
    let ns = Namespace::new(ROOMY);
    let apache = Apache::with_tls(&ns, "prefork", "");
    apache.start();
    // The owner of all is `nobody` in there, whoever it is outside.
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
