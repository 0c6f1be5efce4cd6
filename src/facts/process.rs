//! A living process, as far as a verdict needs it.

use std::fmt;
use std::rc::Rc;

use nix::unistd::{Pid, Uid};

use crate::facts::time::BootTicks;

/// A process as a message names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
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
    /// What cannot be read, and so might be an httpd.
    Unreadable,
}

/// A living process of this IPC namespace that matters to some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Number and name.
    pub named: Rc<Named>,
    /// The users it can act as: real, effective, saved and file-system user of any of its threads;
    /// empty where they could not be read.
    pub uids: Vec<Uid>,
    /// What runs in it.
    pub kind: Kind,
    /// When it was forked: told to people, and with the number what makes it this process and no
    /// other; nothing is judged by it.
    pub start: BootTicks,
    /// It leads its session or its process group, as the first process of an httpd does and none of
    /// its workers (httpd server/mpm/*, no setsid after the fork).
    pub leads: bool,
    /// The guard descends from it: it is systemd, a shell, apachectl.
    pub called_us: bool,
}

/// What makes a process this one, though its number may be given again.
pub type Identity = (Pid, BootTicks);

impl Process {
    /// What makes it this process and no other.
    #[must_use]
    pub fn identity(&self) -> Identity {
        (self.named.pid, self.start)
    }

    /// Whether it can act as `uid`; a process whose users are unknown might.
    #[must_use]
    pub fn may_act_as(&self, uid: Uid) -> bool {
        self.uids.is_empty() || self.uids.contains(&uid)
    }

    /// Whether it is an httpd, or might be one.
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

/// Why a reading of the process table is not the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// Nobody read it.
    NotRead,
    /// The own process is not in it, or not by its own number: /proc is not mounted, or is that
    /// of another PID namespace.
    NoProc,
    /// /proc hides other users' processes (`hidepid`), and `CAP_SYS_PTRACE` is missing.
    HidePid,
    /// A process that is there could not be read.
    Unreadable,
    /// New processes of interest came faster than the table could be read.
    Restless,
}
