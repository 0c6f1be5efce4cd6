//! Joins semaphore sets with evidence: asks the kernel for the sets, /proc for the processes that
//! could know them, and has each judged. Touches sysv and processes; changes nothing.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{Pid, Uid, geteuid};

use crate::decide::verdict;
use crate::decide::verdict::{Span, World};
use crate::facts::capacity::Capacity;
use crate::facts::error::Error;
use crate::facts::evidence::{Evidence, LastPid, Lock, Probe, Unprobed};
use crate::facts::process::{Kind, Named, Process};
use crate::facts::row::{Holder, Judged, Running};
use crate::facts::set::{SemId, SemSet};
use crate::facts::time::WallTime;
use crate::facts::trial::KEY;
use crate::look::processes::{Interest, Snapshot};
use crate::look::{processes, sysv};

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
    /// How much is asked of a set.
    pub questions: Questions,
}

/// How much is asked of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Questions {
    /// Everything, of every set: to be shown.
    All,
    /// What its verdict depends on.
    #[default]
    Verdict,
    /// The same, but not whether an orphan is free: whoever removes it asks that.
    Removal,
}

/// The table of this IPC namespace, with the guarded users' sets judged.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Limits and usage when it began.
    pub capacity: Capacity,
    /// Sets that an old kernel does not show to this caller.
    pub unreadable: usize,
    /// The trial set that a killed guard left.
    pub leftover: Option<SemId>,
    /// The guarded users' sets, by identifier.
    pub judged: Vec<Judged>,
    /// The httpd in question, if it runs.
    pub running: Option<Running>,
    /// What the sets were judged by: the living processes of interest, and the clocks.
    pub world: World,
}

/// Whether the verdict on a set depends on what lives.
fn in_question(judged: &Judged) -> bool {
    verdict::mismatch(&judged.set).is_none() && judged.evidence.probe.is_ok()
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

/// Takes the survey: sets first, then their evidence, then the processes. A process that can know
/// one of the sets read is alive from then until the processes are read, itself or its children.
///
/// # Errors
/// [`Error::Kernel`].
pub fn take(scope: &Scope) -> Result<Survey, Error> {
    let capacity = capacity()?;
    let clock = crate::look::clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?;
    let mut judged: Vec<Judged> = Vec::new();
    let mut span = Span::default();
    let mut of_trial = None;
    let unreadable = sysv::each(|set| {
        span.add(&set);
        if set.key == KEY {
            of_trial = Some(set);
        }
        if scope.uids.contains(&set.uid) {
            judged.push(Judged::nothing_known(set));
        }
    })
    .map_err(|e| Error::Kernel("semctl(SEM_STAT_ANY)", e))?;
    judged.sort_unstable_by_key(|j| j.set.id);
    judged.dedup_by_key(|j| j.set.id);
    judged.retain_mut(|j| probe_into(j, scope.questions));
    let snapshot = if judged.iter().any(in_question) {
        // One httpd made many sets, mostly next to each other.
        let mut pids: Vec<i32> =
            judged.iter().filter_map(|j| j.evidence.probe.ok()).map(|p| p.last_pid).collect();
        pids.dedup();
        let interest = Interest {
            uids: scope.uids.clone(),
            pids: pids.into_iter().collect(),
            httpd: scope.httpd.clone(),
        };
        let snapshot = Snapshot::take(&interest, &clock);
        look_up(&mut judged, &snapshot);
        snapshot
    } else {
        Snapshot::default()
    };
    let mut inside = Inside::of(&snapshot);
    for j in &mut judged {
        inside.look_up(j);
    }
    let leader = scope.pid_file.as_deref().and_then(|file| running(file, &snapshot));
    let mut world = World::new(snapshot.processes, clock);
    world.incomplete = snapshot.incomplete;
    world.private_ipc = scope.private_ipc;
    verdict::settle_clock(&mut world, span, judged.iter().map(|j| (&j.set, &j.evidence)));
    for j in &mut judged {
        j.verdict = verdict::judge(&j.set, &j.evidence, &world);
        let unasked = j.evidence.probe.is_ok_and(|p| p.lock.is_none());
        // Another row may hold before the one that keeps it.
        if unasked && !j.is_orphan() && complete(j) {
            inside.look_up(j);
            j.verdict = verdict::judge(&j.set, &j.evidence, &world);
        }
        j.last = last_named(&j.evidence);
    }
    Ok(Survey {
        capacity,
        unreadable,
        leftover: of_trial.as_ref().and_then(leftover),
        running: leader.map(|leader| running_sets(leader, &judged, &world)),
        judged,
        world,
    })
}

/// The httpd whose number a PidFile holds, if it lives, leads its instance, and is older than the
/// file: a younger one has got the number later.
fn running(file: &Path, snapshot: &Snapshot) -> Option<Named> {
    let text = fs::read_to_string(file).ok()?;
    let written = WallTime(fs::metadata(file).ok()?.mtime());
    let process = snapshot.get(Pid::from_raw(text.trim().parse().ok()?))?;
    let started_before = process.start <= written.plus(verdict::SLACK);
    (verdict::is_leader(process) && started_before).then(|| Named::clone(&process.named))
}

fn running_sets(leader: Named, judged: &[Judged], world: &World) -> Running {
    let mut running = Running { leader, surely: 0, perhaps: 0 };
    for j in judged {
        match verdict::belongs(&j.set, &j.evidence, world, running.leader.pid) {
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
pub fn probe(id: SemId) -> Result<Probe, Errno> {
    Ok(Probe { last_pid: sysv::last_pid(id)?, lock: Some(lock(id)?) })
}

fn lock(id: SemId) -> Result<Lock, Errno> {
    let (growing, zero) = sysv::waiters(id)?;
    Ok(Lock { waiters: growing.saturating_add(zero), value: sysv::value(id)? })
}

/// Probes a set as far as the questions go. False: it vanished, and is not ours to judge any more.
fn probe_into(judged: &mut Judged, questions: Questions) -> bool {
    let id = judged.set.id;
    let foreign = verdict::mismatch(&judged.set).is_some();
    let probe = match questions {
        Questions::Verdict | Questions::Removal if foreign => return true,
        Questions::All | Questions::Verdict => probe(id),
        Questions::Removal => sysv::last_pid(id).map(|last_pid| Probe { last_pid, lock: None }),
    };
    judged.evidence.probe = match probe {
        Err(Errno::EINVAL | Errno::EIDRM) => return false,
        probe => probe.map_err(Unprobed::Refused),
    };
    true
}

/// Asks a set that was asked for its last pid alone whether it is free. False: there is no answer.
fn complete(judged: &mut Judged) -> bool {
    let lock = lock(judged.set.id).ok();
    if let Ok(probe) = &mut judged.evidence.probe {
        probe.lock = lock;
    }
    lock.is_some()
}

/// Looks up the last pids of the sets that were probed.
fn look_up(judged: &mut [Judged], snapshot: &Snapshot) {
    let mut before = (0, LastPid::Unseen);
    for j in judged {
        let Ok(probe) = j.evidence.probe else { continue };
        if probe.last_pid != before.0 {
            before = (probe.last_pid, last_pid(probe.last_pid, snapshot));
        }
        j.evidence.last_pid = before.1.clone();
    }
}

/// The httpds inside semop(2), looked for when the first set is waited for.
struct Inside {
    httpds: Vec<Rc<Process>>,
    found: Option<HashMap<SemId, Rc<Named>>>,
}

impl Inside {
    fn of(snapshot: &Snapshot) -> Inside {
        let httpds = snapshot.processes.iter().filter(|p| p.kind == Kind::Httpd);
        Inside { httpds: httpds.cloned().collect(), found: None }
    }

    fn look_up(&mut self, judged: &mut Judged) {
        let lock = judged.evidence.probe.ok().and_then(|p| p.lock);
        if lock.is_some_and(|l| l.waiters > 0) {
            let found = self.found.get_or_insert_with(|| processes::inside_semop(&self.httpds));
            judged.evidence.inside = found.get(&judged.set.id).cloned();
        }
    }
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

fn last_named(evidence: &Evidence) -> Option<Rc<Named>> {
    match (&evidence.last_pid, evidence.probe) {
        (LastPid::Living(p), _) => Some(p.named.clone()),
        (LastPid::NotAsked, Ok(p)) if p.last_pid > 0 => {
            processes::name_of(Pid::from_raw(p.last_pid)).map(Rc::new)
        }
        _ => None,
    }
}

/// Who holds the table, most sets first; as far as it can be read.
#[must_use]
pub fn holders() -> Vec<Holder> {
    let mut by_owner: HashMap<u32, Holder> = HashMap::new();
    let mut dead: HashSet<i32> = HashSet::new();
    // What cannot be read, the survey has complained of.
    let _ = sysv::each(|set| {
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
            return;
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
    });
    let mut holders: Vec<Holder> = by_owner.into_values().collect();
    holders.sort_unstable_by_key(|h| (Reverse(h.sets), h.uid.as_raw()));
    holders
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
