//! What was found out about one set beyond its `semid_ds`.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::facts::process::{Named, Process};

/// What the kernel answered about a set's first semaphore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nobody asked: its form alone says that it is not httpd's.
    NotAsked,
    /// The kernel refused.
    Refused(Errno),
    /// It told.
    Told {
        /// The process of the last semop(2), `SETVAL` or undo (`GETPID`).
        last: LastPid,
        /// Whether it is free; none: nobody asked yet. Whoever removes it asks.
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

/// The process that touched a set last: its number, and who bears that number now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPid {
    /// As `GETPID` has it; 0: none, or one of a PID namespace that cannot be seen from here.
    pub number: i32,
    /// Who bears it.
    pub who: Who,
}

/// Who bears a process number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody looked.
    NotLookedUp,
    /// No process in this IPC namespace.
    Nobody,
    /// This one.
    Living(Rc<Process>),
    /// One that /proc does not show.
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
    /// Nothing: nobody looked yet.
    pub const NONE: Evidence = Evidence { probe: Probe::NotAsked, inside: None };

    /// The process that touched it last, as far as the kernel told.
    #[must_use]
    pub fn last(&self) -> Option<&LastPid> {
        match &self.probe {
            Probe::Told { last, .. } => Some(last),
            Probe::NotAsked | Probe::Refused(_) => None,
        }
    }

    /// Whether it is free, as far as anybody asked.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        match self.probe {
            Probe::Told { lock, .. } => lock,
            Probe::NotAsked | Probe::Refused(_) => None,
        }
    }
}

impl LastPid {
    /// The living process of this number.
    #[must_use]
    pub fn living(&self) -> Option<&Rc<Process>> {
        match &self.who {
            Who::Living(process) => Some(process),
            Who::NotLookedUp | Who::Nobody | Who::Hidden => None,
        }
    }

    /// The number, where it is one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        (self.number > 0).then(|| Pid::from_raw(self.number))
    }
}
