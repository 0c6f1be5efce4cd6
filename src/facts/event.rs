//! What happened in a run besides its result: whoever acts returns it, and only tell reports it.

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::facts::error::Error;
use crate::facts::process::Named;
use crate::facts::set::SemId;
use crate::facts::settings::{Complaint, Setting};

/// The file whose lock keeps two guards from running at the same time.
pub const LOCK_FILE: &str = "/run/httpd-semguard.lock";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lock that keeps two guards apart could not be taken; the run continued without it.
    WithoutLock(Errno),
    /// The table could not be looked at: this call was refused.
    TableUnreadable(&'static str, Errno),
    /// The trial set left behind by a killed guard was removed.
    LeftoverRemoved(SemId),
    /// It could not be removed.
    LeftoverStays(SemId, Errno),
    /// The kernel's numbering of sets was advanced, from the first number to the second.
    NumberingMovedOn(SemId, SemId),
    /// httpd may be running as this user, who is not guarded but has this many sets in httpd's form;
    /// and the guarded user was guessed.
    Unguarded(&'static str, usize),
    /// Switching back from this user failed: the rest of the run had fewer privileges.
    StayedAs(Uid, Errno),
    /// A setting, or a file of settings, that is not valid.
    SettingInDoubt(Complaint),
    /// A setting from a file takes effect in this run.
    SettingTaken(Setting),
    /// This httpd has an IPC namespace of its own, whose table was examined.
    TableOf(Named),
    /// This unit starts httpd in a new IPC namespace: the table of a new one was examined.
    TableOfUnit(String),
    /// This httpd or unit has an IPC namespace of its own, which could not be entered: what was examined
    /// is not httpd's table, and there is no forecast.
    TableOfNobody(String, Errno),
    /// It is not known whose sets to guard: none was examined.
    NobodyGuarded(Error),
    /// The table could not be read, and httpd may need room in it.
    TableUnknown(Error),
    /// What was learned from earlier starts could not be used, for this reason.
    StateUnused(&'static str),
    /// What this run showed could not be saved.
    StateNotKept(Errno),
}

impl Event {
    /// Whether it needs attention.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        use Event::{LeftoverRemoved, SettingTaken, TableOf, TableOfUnit};
        let is_news =
            matches!(self, LeftoverRemoved(_) | SettingTaken(_) | TableOf(_) | TableOfUnit(_));
        !is_news && !self.is_routine()
    }

    /// Whether it is of interest only with `-v`.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        use Event::{NumberingMovedOn, StateNotKept, StateUnused};
        matches!(self, NumberingMovedOn(..) | StateUnused(_) | StateNotKept(_))
    }
}
