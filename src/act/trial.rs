//! One real set, made and given away as httpd would, then removed: this shows what limits and counts
//! cannot (a security module, seccomp, lack of memory). Touches sysv, with signals blocked.

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::act::{signals, sysv};
use crate::facts::capacity::Capacity;
use crate::facts::need::Need;
use crate::facts::trial::{KEY, LOCKING, Trial};
use crate::facts::users::Guarded;

/// Tries a set of the guard's own for the first of the guarded users, if there is room for it and
/// anything to learn. `found` is the table as it was, `left` as it will be; a run that `removes` has
/// already made it so. With `locks`, the set is also locked, which an httpd without an accept mutex
/// does not need in order to start.
#[must_use]
pub fn run(
    users: &[Guarded],
    need: &Need,
    found: &Capacity,
    left: &Capacity,
    locks: bool,
    removes: bool,
) -> Trial {
    if need.at_most == 0 {
        return Trial::Skipped("httpd needs no semaphore set");
    }
    let now = if removes { left.room().sets } else { found.room().sets };
    if now < 1 || left.room().sets < need.at_least {
        return Trial::Skipped("no room for one");
    }
    // An httpd may be starting right now, so a run that only looks must not take the last place.
    if !removes && now < 2 {
        return Trial::Skipped("it would take the last free slot");
    }
    blind(users, need, locks)
}

/// The same for a run that may remove sets but could not read the table.
#[must_use]
pub fn blind(users: &[Guarded], need: &Need, locks: bool) -> Trial {
    if need.at_most == 0 {
        return Trial::Skipped("httpd needs no semaphore set");
    }
    if !geteuid().is_root() && !users.iter().any(|u| u.uid == geteuid()) {
        return Trial::Skipped("it would be made by neither root nor httpd's user");
    }
    // Signals are blocked so that none ends the run while the set exists.
    signals::held(|| make_and_remove(users.first(), locks))
}

/// Makes a set as httpd makes its mutexes (apr locks/unix/proc_mutex.c, `proc_mutex_sysv_create`), and
/// removes it. It is made for `user` if the caller is root and a user is known.
fn make_and_remove(user: Option<&Guarded>, locks: bool) -> Trial {
    let id = match sysv::create(KEY) {
        Ok(id) => id,
        Err(Errno::EEXIST) => return Trial::Disturbed,
        Err(e) => return Trial::Refused("semget", e),
    };
    let used = sysv::set_value(id, 1).map_err(|e| ("semctl(SETVAL)", e)).and_then(|()| match user
        .filter(|_| geteuid().is_root())
    {
        Some(user) => sysv::chown(id, user.uid, user.gid).map_err(|e| ("semctl(IPC_SET)", e)),
        None => Ok(()),
    });
    let used = used.and_then(|()| match locks {
        true => sysv::lock_and_unlock(id).map_err(|e| (LOCKING, e)),
        false => Ok(()),
    });
    let removed = sysv::remove(id).map_err(|e| ("semctl(IPC_RMID)", e));
    match used.and(removed) {
        Ok(()) => Trial::Passed,
        Err((_, Errno::EINVAL | Errno::EIDRM | Errno::EAGAIN)) => Trial::Disturbed,
        Err((call, e)) => Trial::Refused(call, e),
    }
}
