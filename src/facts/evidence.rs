//! What was found out about one set beyond its `semid_ds`.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::facts::process::{Named, Process};

/// What was asked of one set beyond its `semid_ds`, all of its first semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `GETPID`.
    pub last_pid: i32,
    /// Whether it is free; none: that is asked just before the removal, when the answer counts.
    pub lock: Option<Lock>,
}

/// Whether a semaphore is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `GETVAL`.
    pub value: i32,
    /// `GETNCNT` plus `GETZCNT`.
    pub waiters: i32,
}

/// Why there is no [`Probe`] of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprobed {
    /// Nobody asked: its form alone says that it is not httpd's, which keeps it.
    NotAsked,
    /// The kernel refused.
    Refused(Errno),
}

/// What is known of the process that a set's last pid names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastPid {
    /// `GETPID` said 0: none, or one of a PID namespace that cannot be seen from here.
    Unseen,
    /// No such process lives in this IPC namespace.
    Dead(Pid),
    /// It lives.
    Living(Rc<Process>),
    /// It exists, but /proc does not show it.
    Hidden(Pid),
    /// Nobody asked: the set is kept for what it is, or could not be probed.
    NotAsked,
}

/// The evidence on one set.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The probe, or why there is none.
    pub probe: Result<Probe, Unprobed>,
    /// Whom the last pid names.
    pub last_pid: LastPid,
    /// A process seen inside semop(2) on the set.
    pub inside: Option<Rc<Named>>,
}
