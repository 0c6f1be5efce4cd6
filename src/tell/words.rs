//! The words for a reason to keep a set. Pure.

use std::fmt;

use crate::facts::process::Incomplete;
use crate::facts::verdict::{Doubt, Mismatch, Reason};

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Key(key) => write!(f, "it has the key 0x{key:08x}"),
            Mismatch::Nsems(n) => write!(f, "it has {n} semaphores"),
            Mismatch::Mode(m) => write!(f, "its mode is {m:04o}"),
            Mismatch::Creator(uid) => write!(f, "uid {uid} made it"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Refused(e) => {
                write!(f, "semctl(GETPID) says {e:?}: run as root or as the owner")
            }
            Doubt::Processes(Incomplete::NoProc) => {
                f.write_str("/proc does not show this PID namespace")
            }
            Doubt::Processes(Incomplete::HidePid) => {
                f.write_str("/proc hides processes (hidepid) and CAP_SYS_PTRACE is missing")
            }
            Doubt::Processes(Incomplete::Unreadable) => {
                f.write_str("a process in /proc could not be read")
            }
            Doubt::Processes(Incomplete::Restless) => {
                f.write_str("processes start faster than /proc can be read")
            }
            Doubt::HiddenPid(pid) => write!(f, "process {pid} exists but /proc does not show it"),
            Doubt::Executable(p) => write!(
                f,
                "{p} might be a httpd: its executable cannot be read without CAP_SYS_PTRACE"
            ),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotHttpds(m) => write!(f, "not httpd's: {m}"),
            Reason::Blind(d) => write!(f, "cannot tell: {d}"),
            Reason::Waiters { count, by: Some(p) } => {
                write!(f, "in use: {count} waiting, {p} among them")
            }
            Reason::Waiters { count, by: None } => write!(f, "in use: {count} waiting"),
            Reason::Locked { by: Some(p) } => write!(f, "in use: locked by {p}"),
            Reason::Locked { by: None } => f.write_str("in use: locked"),
            Reason::Unseen => f.write_str(
                "last touched from a PID namespace that cannot be seen here (see --private-ipc)",
            ),
            Reason::LastPidLives(p) => write!(f, "in use by {p}"),
            Reason::MayBelongToHttpd(p) => write!(f, "may belong to httpd: {p}"),
            Reason::MayBelongTo(p) => write!(f, "may belong to {p}"),
        }
    }
}
