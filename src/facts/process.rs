//! A running process, as far as a verdict needs it.

use std::fmt;
use std::rc::Rc;

use nix::unistd::{Pid, Uid};

use crate::facts::time::BootTicks;

/// A process as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its pid.
    pub pid: Pid,
    /// Its command name (/proc/PID/comm), made printable.
    pub name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.pid)
    }
}

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An Apache httpd, by its executable's name or by the APR library in it.
    Httpd,
    /// Something else.
    Other,
    /// Unreadable, so it may be an httpd.
    Unreadable,
}

/// A running process of this IPC namespace that is relevant to some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Pid and name.
    pub named: Rc<Named>,
    /// The users it can act as: real, effective, saved and file-system uid of any of its threads; empty
    /// if they could not be read.
    pub uids: Vec<Uid>,
    /// What runs in it.
    pub kind: Kind,
    /// When it was forked. Shown to people and, with the pid, identifies this process; no verdict rests
    /// on it.
    pub start: BootTicks,
    /// It leads its session or process group, as an httpd's first process does and its workers do not
    /// (httpd server/mpm/*, no setsid after the fork).
    pub leads: bool,
    /// An ancestor of the guard, such as systemd, a shell or apachectl.
    pub called_us: bool,
}

/// Identifies a process even if its pid is reused.
pub type Identity = (Pid, BootTicks);

impl Process {
    /// Identifies this process even if its pid is reused.
    #[must_use]
    pub fn identity(&self) -> Identity {
        (self.named.pid, self.start)
    }

    /// Whether it can act as `uid`; true for a process whose uids are unknown.
    #[must_use]
    pub fn may_act_as(&self, uid: Uid) -> bool {
        self.uids.is_empty() || self.uids.contains(&uid)
    }

    /// Whether it is, or might be, an httpd.
    #[must_use]
    pub fn may_be_httpd(&self) -> bool {
        self.kind != Kind::Other
    }

    /// Whether it is the first process of an httpd.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.kind == Kind::Httpd && self.leads
    }
}

/// Why a reading of the process table is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// It was not read.
    NotRead,
    /// This process is missing from it, or has another pid in it: /proc is not mounted, or belongs to
    /// another PID namespace.
    NoProc,
    /// /proc hides other users' processes (`hidepid`), and `CAP_SYS_PTRACE` is missing.
    HidePid,
    /// A process that exists could not be read.
    Unreadable,
    /// New relevant processes kept appearing faster than the table could be read.
    Restless,
}
