//! What happened in a run beside its answer: whoever acts returns it, and tell alone says it.

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::facts::error::Error;
use crate::facts::process::Named;
use crate::facts::set::SemId;
use crate::facts::settings::{Complaint, Setting};

/// The file whose lock keeps two guards from overlapping.
pub const LOCK_FILE: &str = "/run/httpd-semguard.lock";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lock that keeps two guards apart could not be had; the run went on without it.
    WithoutLock(Errno),
    /// The table could not be looked at: this call was refused.
    TableUnreadable(&'static str, Errno),
    /// The trial set that a killed guard left was removed.
    LeftoverRemoved(SemId),
    /// It could not be removed.
    LeftoverStays(SemId, Errno),
    /// The kernel's numbering of sets was moved on, from the one number to the other.
    NumberingMovedOn(SemId, SemId),
    /// An httpd may well run as this user, who is not guarded and has so many sets of httpd's form; and
    /// who is guarded was guessed.
    Unguarded(&'static str, usize),
    /// The way back from this user was refused: the rest of the run had fewer rights.
    StayedAs(Uid, Errno),
    /// A setting, or a file of them, that is not understood.
    SettingInDoubt(Complaint),
    /// A setting of a file counts for this run.
    SettingTaken(Setting),
    /// This httpd has an IPC namespace of its own, whose table was looked at.
    TableOf(Named),
    /// This unit starts httpd in a new IPC namespace: the table of a new one was looked at.
    TableOfUnit(String),
    /// This httpd or unit has an IPC namespace of its own, which could not be entered: what was looked at
    /// is not httpd's table, and nothing is forecast.
    TableOfNobody(String, Errno),
    /// It is not known whose sets are to be guarded: none was looked at.
    NobodyGuarded(Error),
    /// The table could not be read, and httpd may need a place in it.
    TableUnknown(Error),
    /// What is kept of earlier starts could not be used, for this reason.
    StateUnused(&'static str),
    /// What this run showed could not be kept.
    StateNotKept(Errno),
}

impl Event {
    /// Whether it deserves attention.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        use Event::{LeftoverRemoved, SettingTaken, TableOf, TableOfUnit};
        let is_news =
            matches!(self, LeftoverRemoved(_) | SettingTaken(_) | TableOf(_) | TableOfUnit(_));
        !is_news && !self.is_routine()
    }

    /// Whether it is only for whoever wants to know all.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        use Event::{NumberingMovedOn, StateNotKept, StateUnused};
        matches!(self, NumberingMovedOn(..) | StateUnused(_) | StateNotKept(_))
    }
}
