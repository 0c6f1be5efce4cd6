//! The words for a verdict: in short, the reason to keep a set. Pure.

use std::fmt;

use crate::facts::process::Incomplete;
use crate::facts::verdict::{Blind, Mismatch, Reason, Unread, Verdict};

/// The reason for a verdict, in words.
#[must_use]
pub fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Orphan => "no running process can use it".into(),
        Verdict::Ask => "undecided: processes start faster than their memory can be read".into(),
        Verdict::Keep(reason) => reason.to_string(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Key(key) => write!(f, "it has the key 0x{key:08x}"),
            Mismatch::Nsems(n) => write!(f, "it has {n} semaphores"),
            Mismatch::Mode(m) => write!(f, "its mode is {m:04o}"),
            Mismatch::Creator(uid) => write!(f, "it was created by uid {uid}"),
        }
    }
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blind::Refused(e) => {
                write!(f, "semctl(GETPID) failed with {e:?}: run as root or as the owner")
            }
            Blind::Processes(Incomplete::NotRead) => f.write_str("no process was examined"),
            Blind::Processes(Incomplete::NoProc) => {
                f.write_str("/proc does not show this PID namespace")
            }
            Blind::Processes(Incomplete::HidePid) => {
                f.write_str("/proc hides processes (hidepid) and CAP_SYS_PTRACE is missing")
            }
            Blind::Processes(Incomplete::Unreadable) => {
                f.write_str("a process in /proc could not be read")
            }
            Blind::Processes(Incomplete::Restless) => {
                f.write_str("processes start faster than /proc can be read")
            }
            Blind::HiddenPid(pid) => write!(f, "process {pid} exists but /proc does not show it"),
        }
    }
}

impl fmt::Display for Unread {
    /// What follows the name of a process that may know a set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Off => f.write_str("reading memory is switched off (--no-memory)"),
            Unread::Part(gap) => gap.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotHttpds(m) => write!(f, "not httpd's: {m}"),
            Reason::Blind(blind) => write!(f, "cannot tell: {blind}"),
            Reason::Waiters { count: 0 | 1, by: Some(p) } => write!(f, "in use: {p} is waiting"),
            Reason::Waiters { count, by: Some(p) } => {
                write!(f, "in use: {count} waiting, {p} among them")
            }
            Reason::Waiters { count, by: None } => write!(f, "in use: {count} waiting"),
            Reason::Locked { by: Some(p) } => write!(f, "in use: locked by {p}"),
            Reason::Locked { by: None } => f.write_str("in use: locked"),
            Reason::Unseen => f.write_str(
                "last touched from a PID namespace that cannot be seen here (see --private-ipc)",
            ),
            Reason::JustMade(p) => write!(f, "just created, perhaps by {p}"),
            Reason::LastPidLives(p) => write!(f, "in use by {p}"),
            Reason::KnownTo(p) => write!(f, "known to {p}"),
            Reason::MayBeKnownTo(p, unread) => write!(f, "may be known to {p}: {unread}"),
        }
    }
}
