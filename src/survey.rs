//! Joins semaphore sets with evidence: asks the kernel for the sets, /proc for the processes that
//! could know them, and has each judged. Touches sysv and processes; changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};

use crate::capacity::Capacity;
use crate::clock::{Clock, WallTime};
use crate::error::Error;
use crate::processes::{self, Interest, Kind, Named, Snapshot};
use crate::sysv::{self, SemSet};
use crate::verdict::{self, Doubt, Evidence, LastPid, Probe, Reason, Verdict, World};

/// What a survey is about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The users whose sets are judged.
    pub uids: Vec<Uid>,
    /// No process outside this PID namespace shares the sets.
    pub private_ipc: bool,
    /// A further path of httpd's executable.
    pub httpd: Option<PathBuf>,
    /// Where the httpd in question writes its number when it runs.
    pub pid_file: Option<PathBuf>,
}

/// The httpd in question is running: what it will give back before it starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its first process.
    pub leader: Named,
    /// Sets that surely are its own.
    pub surely: usize,
    /// Further sets that may be.
    pub perhaps: usize,
}

/// One set of a guarded user, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The set as it was read.
    pub set: SemSet,
    /// What was found out about it.
    pub evidence: Evidence,
    /// What is to become of it.
    pub verdict: Verdict,
    /// The process of its last pid, where one of that number lives.
    pub last: Option<Named>,
}

impl Judged {
    /// Whether it is to be removed.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.verdict == Verdict::Orphan
    }

    /// Whether the kernel refused this caller a look at it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(
            &self.verdict,
            Verdict::Keep(Reason::Blind(Doubt::Refused(Errno::EACCES | Errno::EPERM)))
        )
    }
}

/// The table of this IPC namespace, with the guarded users' sets judged.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Limits and usage when it began.
    pub capacity: Capacity,
    /// Sets that an old kernel does not show to this caller.
    pub unreadable: usize,
    /// The guarded users' sets, by identifier.
    pub judged: Vec<Judged>,
    /// The httpd in question, if it runs.
    pub running: Option<Running>,
    /// What the sets were judged by: the living processes of interest, and the clocks.
    pub world: World,
}

/// Limits and usage as they are now.
///
/// # Errors
/// [`Error::Kernel`]; its errno is `ENOSYS` on a kernel without `CONFIG_SYSVIPC`.
pub fn capacity() -> Result<Capacity, Error> {
    let limits = sysv::limits().map_err(|e| Error::Kernel("semctl(IPC_INFO)", e))?;
    let usage = sysv::usage().map_err(|e| Error::Kernel("semctl(SEM_INFO)", e))?;
    Ok(Capacity { limits, usage })
}

/// Takes the survey: sets first, then their evidence, then the processes. A process that can know
/// one of the sets read is alive from then until the processes are read, itself or its children.
///
/// # Errors
/// [`Error::Kernel`].
pub fn take(scope: &Scope) -> Result<Survey, Error> {
    let capacity = capacity()?;
    let clock = Clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?;
    let table = sysv::table().map_err(|e| Error::Kernel("semctl(SEM_STAT_ANY)", e))?;
    let asked: Vec<(SemSet, Result<Probe, Errno>)> = table
        .sets
        .iter()
        .filter(|s| scope.uids.contains(&s.uid))
        .map(|s| (*s, probe(s)))
        // It vanished: not ours to judge any more.
        .filter(|(_, p)| !matches!(p, Err(Errno::EINVAL | Errno::EIDRM)))
        .collect();
    let in_question = |(set, probe): &&(SemSet, Result<Probe, Errno>)| {
        verdict::mismatch(set).is_none() && probe.is_ok()
    };
    let snapshot = if asked.iter().any(|a| in_question(&a)) {
        let interest = Interest {
            uids: scope.uids.clone(),
            pids: asked.iter().filter_map(|(_, p)| p.ok()).map(|p| p.last_pid).collect(),
            httpd: scope.httpd.clone(),
        };
        Some(Snapshot::take(&interest, &clock))
    } else {
        None
    };
    let evidence = evidence(asked, snapshot.as_ref());
    let snapshot = snapshot.unwrap_or_default();
    let leader = scope.pid_file.as_deref().and_then(|file| running(file, &snapshot));
    let mut world = World::new(snapshot.processes, clock);
    world.incomplete = snapshot.incomplete;
    world.private_ipc = scope.private_ipc;
    verdict::settle_clock(&mut world, &table.sets, evidence.iter().map(|(s, e)| (s, e)));
    let running = leader.map(|leader| running_sets(leader, &evidence, &world));
    let judged = evidence
        .into_iter()
        .map(|(set, evidence)| {
            let verdict = verdict::judge(&set, &evidence, &world);
            let last = last_named(&evidence);
            Judged { set, evidence, verdict, last }
        })
        .collect();
    Ok(Survey { capacity, unreadable: table.unreadable, judged, running, world })
}

/// The httpd whose number a PidFile holds, if it lives, leads its instance, and is older than the
/// file: a younger one has got the number later.
fn running(file: &Path, snapshot: &Snapshot) -> Option<Named> {
    let text = fs::read_to_string(file).ok()?;
    let written = WallTime(fs::metadata(file).ok()?.mtime());
    let process = snapshot.get(Pid::from_raw(text.trim().parse().ok()?))?;
    let started_before = process.start <= written.plus(verdict::SLACK);
    (verdict::is_leader(process) && started_before).then(|| process.named.clone())
}

fn running_sets(leader: Named, evidence: &[(SemSet, Evidence)], world: &World) -> Running {
    let mut running = Running { leader, surely: 0, perhaps: 0 };
    for (set, evidence) in evidence {
        match verdict::belongs(set, evidence, world, running.leader.pid) {
            Some(true) => running.surely += 1,
            None => running.perhaps += 1,
            Some(false) => {}
        }
    }
    running
}

/// Asks the kernel for what `semid_ds` does not tell.
///
/// # Errors
/// `EINVAL`, `EIDRM`: the set is gone; `EACCES`: the caller may not ask.
pub fn probe(set: &SemSet) -> Result<Probe, Errno> {
    let (growing, zero) = sysv::waiters(set.id)?;
    Ok(Probe {
        last_pid: sysv::last_pid(set.id)?,
        value: sysv::value(set.id)?,
        waiters: growing.saturating_add(zero),
    })
}

fn evidence(
    asked: Vec<(SemSet, Result<Probe, Errno>)>,
    snapshot: Option<&Snapshot>,
) -> Vec<(SemSet, Evidence)> {
    let of = |(set, probe): (SemSet, Result<Probe, Errno>)| {
        let last_pid = match (probe, snapshot) {
            (Ok(p), Some(snapshot)) => last_pid(p.last_pid, snapshot),
            // Decided by what it is, not by who used it.
            _ => LastPid::NotAsked,
        };
        let waited_for = probe.is_ok_and(|p| p.waiters > 0);
        let inside = match snapshot {
            Some(s) if waited_for => {
                let httpds = s.processes.iter().filter(|p| p.kind == Kind::Httpd);
                processes::inside_semop(set.id, httpds).map(|p| p.named.clone())
            }
            _ => None,
        };
        (set, Evidence { probe, last_pid, inside })
    };
    asked.into_iter().map(of).collect()
}

fn last_pid(number: i32, snapshot: &Snapshot) -> LastPid {
    let pid = Pid::from_raw(number);
    match snapshot.get(pid) {
        _ if number == 0 => LastPid::Unseen,
        Some(p) => LastPid::Living(p.clone()),
        None if snapshot.hides(pid) => LastPid::Hidden(pid),
        None => LastPid::Dead(pid),
    }
}

fn last_named(evidence: &Evidence) -> Option<Named> {
    match (&evidence.last_pid, evidence.probe) {
        (LastPid::Living(p), _) => Some(p.named.clone()),
        (LastPid::NotAsked, Ok(p)) if p.last_pid > 0 => {
            processes::name_of(Pid::from_raw(p.last_pid))
        }
        _ => None,
    }
}

/// Who holds a part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner of the sets.
    pub uid: Uid,
    /// Its sets.
    pub sets: usize,
    /// The semaphores in them.
    pub semaphores: u64,
    /// A living process that touched one of them last, where that can be seen.
    pub living: Option<Named>,
    /// Whether any of them could not be asked for its last pid.
    pub unknown: bool,
}

/// Who holds the table, most sets first.
#[must_use]
pub fn holders(table: &[SemSet]) -> Vec<Holder> {
    let mut by_owner: BTreeMap<u32, Holder> = BTreeMap::new();
    let mut dead: HashSet<i32> = HashSet::new();
    for set in table {
        let holder = by_owner.entry(set.uid.as_raw()).or_insert_with(|| Holder {
            uid: set.uid,
            sets: 0,
            semaphores: 0,
            living: None,
            unknown: false,
        });
        holder.sets += 1;
        holder.semaphores += set.nsems;
        if holder.living.is_some() {
            continue;
        }
        match sysv::last_pid(set.id) {
            Ok(pid) if pid > 0 && !dead.contains(&pid) => {
                holder.living = processes::name_of(Pid::from_raw(pid));
                if holder.living.is_none() {
                    dead.insert(pid);
                }
            }
            Ok(_) => {}
            Err(Errno::EACCES) => holder.unknown = true,
            Err(_) => {}
        }
    }
    let mut holders: Vec<Holder> = by_owner.into_values().collect();
    holders.sort_by_key(|h| std::cmp::Reverse(h.sets));
    holders
}
