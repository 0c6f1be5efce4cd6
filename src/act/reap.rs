//! Removes orphans: one guard at a time, as their owner and with no capability in effect, so that
//! the kernel itself refuses whatever is not the owner's; each is read again just before. Touches
//! sysv, the effective user and the lock file.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use log::warn;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::{Uid, geteuid, seteuid};

use crate::act;
use crate::decide::verdict;
use crate::facts::evidence::Probe;
use crate::facts::row::{Fate, Judged};
use crate::facts::verdict::Verdict;
use crate::look::clock::nap;
use crate::look::{survey, sysv};

/// The file whose lock keeps two guards from overlapping.
pub const LOCK_FILE: &str = "/run/httpd-semguard.lock";

/// How long a guard waits for another one.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock of [`LOCK_FILE`] (no link, and no pipe that would hold up its opening), waiting a
/// few seconds for another guard. The lock ends with the process, however that ends (flock(2)).
///
/// # Errors
/// Those of open(2); `WouldBlock` if another guard still holds it.
pub fn lock() -> io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(LOCK_FILE)?;
    let began = Instant::now();
    let mut file = file;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                // Never given up: nix's Flock would panic if the kernel refused the unlocking.
                std::mem::forget(lock);
                return Ok(());
            }
            Err((f, Errno::EWOULDBLOCK | Errno::EINTR)) if began.elapsed() < LOCK_PATIENCE => {
                file = f;
                nap(Duration::from_millis(20));
            }
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}

/// Removes the orphans among `judged`, owner by owner, and returns what became of each, by its
/// place; one that proves to be in use is judged anew, and is none any more. One failure does not
/// stop the rest. A dry run takes the same way and stops short of the removal.
#[must_use]
pub fn reap(judged: &mut [Judged], dry_run: bool) -> Vec<(usize, Fate)> {
    let mut owners: Vec<Uid> = Vec::new();
    for owner in judged.iter().filter(|j| j.is_orphan()).map(|j| j.set.uid) {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    let mut fates = Vec::new();
    for owner in owners {
        let own = |j: &Judged| j.is_orphan() && j.set.uid == owner;
        let refused = as_user(owner, || {
            for (place, orphan) in judged.iter_mut().enumerate().filter(|(_, j)| own(j)) {
                fates.extend(remove(orphan, dry_run).map(|fate| (place, fate)));
            }
        });
        if let Err(errno) = refused {
            let own = judged.iter().enumerate().filter(|(_, j)| own(j));
            fates.extend(own.map(|(place, _)| (place, Fate::Refused(errno))));
        }
    }
    fates
}

/// None: it is in use.
fn remove(orphan: &mut Judged, dry_run: bool) -> Option<Fate> {
    let id = orphan.set.id;
    let gone = |e| matches!(e, Errno::EINVAL | Errno::EIDRM);
    let refused = |e| if gone(e) { Fate::Gone } else { Fate::Refused(e) };
    let (set, probe) = match sysv::set(id).and_then(|set| Ok((set, survey::probe(id)?))) {
        Ok(now) => now,
        Err(e) => return Some(refused(e)),
    };
    // Where nobody asked before whether it is free, the rest tells whether that changed: who locks,
    // frees or sets it leaves its number and the time (ipc/sem.c, `perform_atomic_semop`,
    // `semctl_setval`, `exit_sem`).
    let same = |before: Probe| {
        before.last_pid == probe.last_pid && (before.lock.is_none() || before.lock == probe.lock)
    };
    if set != orphan.set || !orphan.evidence.probe.is_ok_and(same) {
        return Some(Fate::Changed);
    }
    orphan.evidence.probe = Ok(probe);
    if let Some(reason) = verdict::in_use(probe, &orphan.evidence) {
        orphan.verdict = Verdict::Keep(reason);
        return None;
    }
    if dry_run {
        return Some(Fate::WouldRemove);
    }
    Some(act::sysv::remove(id).map_or_else(refused, |()| Fate::Removed))
}

/// Does `work` with the effective user `uid`. The kernel clears the effective capabilities when
/// the effective user leaves 0 (capabilities(7)), so that semctl sees an owner and nothing more.
///
/// # Errors
/// `EPERM`: neither this user nor allowed to become it.
/// A way back that is refused leaves the rest of the run with fewer rights, not with more.
fn as_user<T>(uid: Uid, work: impl FnOnce() -> T) -> nix::Result<T> {
    let before = geteuid();
    if before == uid {
        return Ok(work());
    }
    seteuid(uid)?;
    let result = work();
    if let Err(e) = seteuid(before) {
        warn!("going on as uid {uid}: setresuid says {e:?} to the way back");
    }
    Ok(result)
}
