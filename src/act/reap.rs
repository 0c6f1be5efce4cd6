//! Removes orphans: as their owner and with no effective capability, so that the kernel itself refuses
//! anything that is not the owner's. Each is read again just before. Touches sysv and the effective
//! user.

use nix::errno::Errno;
use nix::unistd::{Uid, geteuid, seteuid};

use crate::act;
use crate::decide::verdict::in_use;
use crate::facts::event::Event;
use crate::facts::evidence::Probe;
use crate::facts::row::{Outcome, Row};
use crate::facts::set::SemId;
use crate::facts::verdict::Verdict;
use crate::look::{sysv, table};

/// Removes the orphans among `rows`, owner by owner, and records what became of each. One that turns
/// out to be in use gets a new verdict and is no longer an orphan. One failure does not stop the rest.
/// A dry run takes the same path and stops just short of the removal.
#[must_use]
pub fn reap(rows: &mut [Row], dry_run: bool) -> Vec<Event> {
    let mut owners: Vec<Uid> = Vec::new();
    for owner in rows.iter().filter(|row| row.is_orphan()).map(|row| row.set.uid) {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    let mut events = Vec::new();
    for owner in owners {
        let own = |row: &&mut Row| row.is_orphan() && row.set.uid == owner;
        let done = as_user(owner, || {
            for row in rows.iter_mut().filter(own) {
                row.outcome = remove(row, dry_run);
            }
        });
        match done {
            Ok(()) => {}
            Err(NotAs::Refused(errno)) => {
                let own = rows.iter_mut().filter(own);
                own.for_each(|row| row.outcome = Some(Outcome::Refused(errno)));
            }
            Err(NotAs::Stayed(errno)) => events.push(Event::StayedAs(owner, errno)),
        }
    }
    events
}

/// `None` if it is in use.
fn remove(orphan: &mut Row, dry_run: bool) -> Option<Outcome> {
    let id = orphan.set.id;
    let refused = |e| {
        let gone = matches!(e, Errno::EINVAL | Errno::EIDRM);
        if gone { Outcome::Gone } else { Outcome::Refused(e) }
    };
    let (set, now) = match sysv::set(id).and_then(|set| Ok((set, table::probe(id, true)?))) {
        Ok(now) => now,
        Err(e) => return Some(refused(e)),
    };
    let Probe::Told { last: before, lock: lock_before } = &mut orphan.evidence.probe else {
        return Some(Outcome::Changed);
    };
    // If it was not asked before whether the set is free, the rest shows whether that changed: a
    // process that locks, unlocks or sets it leaves its pid and the time (ipc/sem.c,
    // `perform_atomic_semop`, `semctl_setval`, `exit_sem`).
    let same = |now: &Probe| match now {
        Probe::Told { last, lock } => {
            last.number == before.number && (lock_before.is_none() || *lock_before == *lock)
        }
        Probe::NotAsked | Probe::Refused(_) => false,
    };
    if set != orphan.set || !same(&now) {
        return Some(Outcome::Changed);
    }
    if let Probe::Told { lock, .. } = now {
        *lock_before = lock;
    }
    if let Some(reason) = in_use(&orphan.evidence) {
        orphan.verdict = Verdict::Keep(reason);
        return None;
    }
    if dry_run {
        return Some(Outcome::WouldRemove);
    }
    Some(act::sysv::remove(id).map_or_else(refused, |()| Outcome::Removed))
}

/// Removes the trial set of a guard that was killed half way.
#[must_use]
pub fn leftover(id: SemId) -> Option<Event> {
    match act::sysv::remove(id) {
        Ok(()) => Some(Event::LeftoverRemoved(id)),
        Err(Errno::EINVAL | Errno::EIDRM) => None,
        Err(e) => Some(Event::LeftoverStays(id, e)),
    }
}

/// Why work was not done as another user.
enum NotAs {
    /// It was not started: this process is neither that user nor allowed to become it.
    Refused(Errno),
    /// It was done, but the way back was refused. This leaves the rest of the run with fewer rights,
    /// not more.
    Stayed(Errno),
}

/// Does `work` with the effective user `uid`. The kernel clears the effective capabilities when the
/// effective user changes from 0 (capabilities(7)), so semctl sees an owner and nothing more.
fn as_user(uid: Uid, work: impl FnOnce()) -> Result<(), NotAs> {
    let before = geteuid();
    if before == uid {
        work();
        return Ok(());
    }
    seteuid(uid).map_err(NotAs::Refused)?;
    work();
    seteuid(before).map_err(NotAs::Stayed)
}
