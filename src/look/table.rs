//! The semaphore table as reported by the kernel: the guarded users' sets with what was asked about
//! each, and who holds the rest. Touches the kernel through sysv; changes nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use nix::errno::Errno;
use nix::unistd::{Pid, Uid, geteuid};

use crate::facts::capacity::Capacity;
use crate::facts::error::Error;
use crate::facts::evidence::{LastPid, Lock, Probe, Who};
use crate::facts::process::Kind;
use crate::facts::row::{Holder, Row};
use crate::facts::set::{Maker, SemId, SemSet};
use crate::facts::trial::KEY;
use crate::look::processes::{self, Snapshot};
use crate::look::sysv;

/// How much is asked about a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything about every set, for display.
    All,
    /// The same, and of the sets of other users, too.
    Everybody,
    /// What its verdict depends on; nothing about a set that is not in httpd's form.
    Verdict,
    /// The same, but not whether it is free: that is asked when an orphan is removed.
    Removal,
}

/// The table as found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Limits and usage when reading started.
    pub capacity: Capacity,
    /// Sets that an old kernel does not show to this caller.
    pub unreadable: usize,
    /// A trial set left behind by a guard that was killed.
    pub leftover: Option<SemId>,
    /// The sets of the guarded users, by semid.
    pub rows: Vec<Row>,
    /// The other users' sets ([`Depth::Everybody`]), which are not judged.
    pub strangers: Vec<Row>,
    /// How many sets in httpd's form belong to other users, not counting root.
    pub others: Vec<(Uid, usize)>,
    /// Root's sets, if root is not among the guarded users.
    pub of_root: Vec<SemSet>,
    /// The highest semid of all.
    pub highest: Option<SemId>,
}

/// Limits and usage as they are now.
///
/// # Errors
/// [`Error::Kernel`].
pub fn capacity() -> Result<Capacity, Error> {
    let limits = sysv::limits().map_err(|e| Error::Kernel("semctl(IPC_INFO)", e))?;
    let usage = sysv::usage().map_err(|e| Error::Kernel("semctl(SEM_INFO)", e))?;
    Ok(Capacity { limits, usage })
}

/// Reads the table: the sets of these users, and what is asked about those that look like httpd's
/// according to `is_httpds`, or (`Depth::All`, `Depth::Everybody`) about all of them.
///
/// # Errors
/// [`Error::Kernel`].
pub fn read(
    uids: &[Uid],
    depth: Depth,
    is_httpds: impl Fn(&SemSet) -> bool,
) -> Result<Found, Error> {
    let capacity = capacity()?;
    let mut rows: Vec<Row> = Vec::new();
    let mut strangers: Vec<Row> = Vec::new();
    let shows_all = matches!(depth, Depth::All | Depth::Everybody);
    let mut of_trial = None;
    let mut others: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut of_root, mut highest) = (Vec::new(), None);
    let unreadable = sysv::each(|set| {
        highest = highest.max(Some(set.id));
        if set.key == KEY {
            of_trial = Some(set);
        }
        if uids.contains(&set.uid) {
            rows.push(Row::listed(set));
            return;
        }
        if depth == Depth::Everybody {
            strangers.push(Row::listed(set));
        }
        if set.uid.is_root() {
            of_root.push(set);
        } else if is_httpds(&set) {
            *others.entry(set.uid.as_raw()).or_default() += 1;
        }
    })
    .map_err(|e| Error::Kernel("semctl(SEM_STAT_ANY)", e))?;
    let ask = |row: &mut Row| {
        if !shows_all && !is_httpds(&row.set) {
            return true;
        }
        match probe(row.set.id, depth != Depth::Removal) {
            // It vanished, so there is nothing to judge any more.
            Err(Errno::EINVAL | Errno::EIDRM) => return false,
            Err(errno) => row.evidence.probe = Probe::Refused(errno),
            Ok(told) => row.evidence.probe = told,
        }
        true
    };
    for list in [&mut rows, &mut strangers] {
        list.sort_unstable_by_key(|row| row.set.id);
        list.dedup_by_key(|row| row.set.id);
        list.retain_mut(ask);
    }
    let leftover = of_trial.as_ref().and_then(leftover);
    let others = others.into_iter().map(|(uid, n)| (Uid::from_raw(uid), n)).collect();
    Ok(Found { capacity, unreadable, leftover, rows, strangers, others, of_root, highest })
}

/// Asks the kernel for what `semid_ds` does not contain.
///
/// # Errors
/// `EINVAL`, `EIDRM`: the set is gone; `EACCES`: the caller may not ask.
pub fn probe(id: SemId, with_lock: bool) -> Result<Probe, Errno> {
    let last = LastPid { number: sysv::last_pid(id)?, who: Who::NotLookedUp };
    let lock = if with_lock { Some(lock(id)?) } else { None };
    Ok(Probe::Told { last, lock })
}

fn lock(id: SemId) -> Result<Lock, Errno> {
    let (growing, zero) = sysv::waiters(id)?;
    Ok(Lock { waiters: growing.saturating_add(zero), value: sysv::value(id)? })
}

/// The pids that touched the sets last, where the kernel reported them.
pub fn last_pids(rows: &[Row]) -> impl Iterator<Item = i32> {
    rows.iter().filter_map(|row| row.evidence.last()).map(|last| last.number).filter(|n| *n > 0)
}

/// Records, for each set that was asked about, who touched it last and who is waiting for it, as far as
/// the snapshot of the processes shows.
pub fn look_up(rows: &mut [Row], snapshot: &Snapshot) {
    let httpds = || snapshot.processes.iter().filter(|p| p.kind == Kind::Httpd);
    let mut inside = None;
    // One httpd makes many sets, mostly next to each other.
    let mut before = (0, Who::Nobody);
    for row in rows {
        let Probe::Told { last, lock } = &mut row.evidence.probe else { continue };
        if last.number != before.0 {
            before = (last.number, who(Pid::from_raw(last.number), snapshot));
        }
        last.who = before.1.clone();
        if lock.is_some_and(|l| l.waiters > 0) {
            let inside = inside.get_or_insert_with(|| processes::inside_semop(httpds()));
            row.evidence.inside = inside.get(&row.set.id).cloned();
        }
    }
}

fn who(pid: Pid, snapshot: &Snapshot) -> Who {
    match snapshot.get(pid) {
        // For kill(2) it would mean this process's own group.
        _ if pid.as_raw() <= 0 => Who::Nobody,
        Some(process) => Who::Living(process.clone()),
        None if snapshot.hides(pid) => Who::Hidden,
        None => Who::Nobody,
    }
}

/// The semid of a set left behind by a guard that was killed: with the trial's key, one semaphore, mode
/// 0600, made by this user, and last touched by no running process.
fn leftover(set: &SemSet) -> Option<SemId> {
    if set.key != KEY || set.nsems != 1 || set.mode != 0o600 || set.cuid != geteuid() {
        return None;
    }
    let last = sysv::last_pid(set.id).ok()?;
    let by_the_living = last > 0 && processes::exists(Pid::from_raw(last));
    (!by_the_living).then_some(set.id)
}

/// Who holds the table, most sets first, as far as it can be read: one holder for each owner and each
/// program that seems to have made sets.
#[must_use]
pub fn holders(maker: impl Fn(&SemSet) -> Maker) -> Vec<Holder> {
    let mut holders: HashMap<(u32, Maker), (Holder, Vec<Pid>)> = HashMap::new();
    // Anything unreadable was already reported when the table was read.
    let _ = sysv::each(|set| {
        let maker = maker(&set);
        let (holder, touchers) = holders.entry((set.uid.as_raw(), maker)).or_insert_with(|| {
            let (sets, semaphores, first) = (0, 0, set.id);
            let (living, unknown) = (None, false);
            let uid = set.uid;
            (Holder { uid, maker, first, sets, semaphores, living, unknown }, Vec::new())
        });
        holder.sets += 1;
        holder.semaphores += set.nsems;
        holder.first = holder.first.min(set.id);
        match sysv::last_pid(set.id) {
            Ok(pid) if pid > 0 => touchers.push(Pid::from_raw(pid)),
            Err(Errno::EACCES) => holder.unknown = true,
            Ok(_) | Err(_) => {}
        }
    });
    let named = |(mut holder, touchers): (Holder, Vec<Pid>)| {
        let living = touchers.iter().copied().find(|pid| processes::exists(*pid));
        holder.living = living.and_then(|pid| processes::names_of([pid]).remove(&pid));
        holder
    };
    let mut holders: Vec<Holder> = holders.into_values().map(named).collect();
    holders.sort_unstable_by_key(|h| (Reverse(h.sets), h.uid.as_raw(), h.maker));
    holders
}
