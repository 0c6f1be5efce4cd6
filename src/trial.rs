//! One real set, made and given away as httpd would, then removed: what limits and counts cannot
//! show (a security module, seccomp, lack of memory) shows here. Touches sysv, with signals held.

use nix::errno::Errno;
use nix::unistd::{Pid, geteuid};

use crate::processes;
use crate::signals;
use crate::sysv::{self, SemId, SemSet};
use crate::users::Guarded;

/// The key of the trial set ("SEMG"): a set of the guard's own that a later run knows again,
/// should this one be killed half way.
pub const KEY: i32 = 0x5345_4d47;

/// What the trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// A set could be made, initialised, given away and removed.
    Passed,
    /// The kernel refused it, with this call and error: it will refuse httpd, too.
    Refused(&'static str, Errno),
    /// Somebody else holds the trial's key, or took the trial set away: nothing was learnt.
    Disturbed,
    /// Not tried, for this reason.
    Skipped(&'static str),
}

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

/// The identifier of a set that a killed guard left: with the trial's key, one semaphore, mode
/// 0600, made by this user, and touched last by nobody who lives.
#[must_use]
pub fn leftover(set: &SemSet) -> Option<SemId> {
    if set.key != KEY || set.nsems != 1 || set.mode != 0o600 || set.cuid != geteuid() {
        return None;
    }
    let last = sysv::last_pid(set.id).ok()?;
    let by_the_living = last > 0 && processes::name_of(Pid::from_raw(last)).is_some();
    (!by_the_living).then_some(set.id)
}
