//! What was found out about one set beyond its `semid_ds`.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::facts::process::{Named, Process};

/// The kernel's answer about a set's first semaphore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Not asked: its form alone shows that it is not httpd's.
    NotAsked,
    /// The kernel refused.
    Refused(Errno),
    /// The kernel answered.
    Told {
        /// The process of the last semop(2), `SETVAL` or undo (`GETPID`).
        last: LastPid,
        /// Whether it is free; `None` if not asked yet. Whoever removes the set asks.
        lock: Option<Lock>,
    },
}

/// Whether a semaphore is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `GETVAL`.
    pub value: i32,
    /// `GETNCNT` plus `GETZCNT`.
    pub waiters: i32,
}

/// The process that touched a set last: its pid, and which process has that pid now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPid {
    /// What `GETPID` returned; 0 for none, or for a process in a PID namespace that cannot be seen from
    /// here.
    pub number: i32,
    /// The process that has this pid now.
    pub who: Who,
}

/// Which process has a given pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Not looked up.
    NotLookedUp,
    /// No process in this IPC namespace.
    Nobody,
    /// This one.
    Living(Rc<Process>),
    /// A process that /proc does not show.
    Hidden,
}

/// The evidence on one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What the kernel answered.
    pub probe: Probe,
    /// A process seen inside semop(2) on the set.
    pub inside: Option<Rc<Named>>,
}

impl Evidence {
    /// No evidence yet.
    pub const NONE: Evidence = Evidence { probe: Probe::NotAsked, inside: None };

    /// The process that touched the set last, as far as the kernel reported it.
    #[must_use]
    pub fn last(&self) -> Option<&LastPid> {
        match &self.probe {
            Probe::Told { last, .. } => Some(last),
            Probe::NotAsked | Probe::Refused(_) => None,
        }
    }

    /// Whether the semaphore is free, as far as it was asked.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        match self.probe {
            Probe::Told { lock, .. } => lock,
            Probe::NotAsked | Probe::Refused(_) => None,
        }
    }
}

impl LastPid {
    /// The running process with this pid.
    #[must_use]
    pub fn living(&self) -> Option<&Rc<Process>> {
        match &self.who {
            Who::Living(process) => Some(process),
            Who::NotLookedUp | Who::Nobody | Who::Hidden => None,
        }
    }

    /// The pid, if the number is one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        (self.number > 0).then(|| Pid::from_raw(self.number))
    }
}
