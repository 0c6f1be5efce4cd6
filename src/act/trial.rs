//! One real set, made and given away as httpd would, then removed: what limits and counts cannot
//! show (a security module, seccomp, lack of memory) shows here. Touches sysv, with signals held.

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::act::{signals, sysv};
use crate::facts::trial::{KEY, Trial};
use crate::facts::users::Guarded;

/// Tries to make a set as httpd makes its mutexes (apr locks/unix/proc_mutex.c,
/// `proc_mutex_sysv_create`), for `user` where the caller is root, and removes it.
#[must_use]
pub fn run(user: &Guarded) -> Trial {
    // So that no signal ends the run while the set exists.
    signals::held(|| make_and_remove(user))
}

fn make_and_remove(user: &Guarded) -> Trial {
    let id = match sysv::create(KEY) {
        Ok(id) => id,
        Err(Errno::EEXIST) => return Trial::Disturbed,
        Err(e) => return Trial::Refused("semget", e),
    };
    let used = sysv::set_value(id, 1).map_err(|e| ("semctl(SETVAL)", e)).and_then(|()| {
        if geteuid().is_root() {
            sysv::give(id, user.uid, user.gid).map_err(|e| ("semctl(IPC_SET)", e))
        } else {
            Ok(())
        }
    });
    let removed = sysv::remove(id).map_err(|e| ("semctl(IPC_RMID)", e));
    match used.and(removed) {
        Ok(()) => Trial::Passed,
        Err((_, Errno::EINVAL | Errno::EIDRM)) => Trial::Disturbed,
        Err((call, e)) => Trial::Refused(call, e),
    }
}
