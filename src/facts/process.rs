//! A living process, as far as a verdict needs it.

use std::fmt;
use std::rc::Rc;

use nix::unistd::{Pid, Uid};

use crate::facts::time::WallTime;

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
    /// Its executable cannot be read: it might be a httpd.
    Unreadable,
}

/// A living process of this IPC namespace that matters to some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Number and name.
    pub named: Rc<Named>,
    /// Its parent, if it has one in this PID namespace.
    pub parent: Option<Pid>,
    /// Real and effective user; empty where they could not be read.
    pub uids: Vec<Uid>,
    /// What runs in it.
    pub kind: Kind,
    /// When it was forked.
    pub start: WallTime,
    /// It leads its session or its process group. A worker of httpd never does: it inherits both
    /// (httpd server/mpm/*, no setsid after the fork; the leader calls it in apr_proc_detach).
    pub leads: bool,
    /// This process descends from it: it is systemd, a shell, apachectl.
    pub called_us: bool,
}

impl Process {
    /// Whether it runs as `uid`; a process whose users are unknown might.
    #[must_use]
    pub fn may_run_as(&self, uid: Uid) -> bool {
        self.uids.is_empty() || self.uids.contains(&uid)
    }
}

/// Why a reading of the process table is not the whole truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
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
