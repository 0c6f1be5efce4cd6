//! What is to become of a set, and why.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};

use crate::facts::process::{Incomplete, Named};

/// What is to become of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody who lives can know it. Where nobody asked whether it is free, that is done before
    /// it is removed.
    Orphan,
    /// It stays.
    Keep(Reason),
}

/// What a verdict comes to, in one word: the classes that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nobody who lives can know it.
    Orphan,
    /// Somebody uses it.
    InUse,
    /// It stays while one lives who may know it.
    Undecided,
    /// It does not look like a mutex of httpd's.
    NotHttpd,
    /// Too little could be seen to judge it.
    Unknown,
}

impl State {
    /// All of them, orphans first.
    pub const ALL: [State; 5] =
        [State::Orphan, State::InUse, State::Undecided, State::NotHttpd, State::Unknown];

    /// The word for it in reports for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Orphan => "orphan",
            State::InUse => "in_use",
            State::Undecided => "undecided",
            State::NotHttpd => "not_httpd",
            State::Unknown => "unknown",
        }
    }
}

impl Verdict {
    /// The class of this verdict.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Verdict::Orphan => State::Orphan,
            Verdict::Keep(reason) => match reason {
                Reason::Waiters { .. } | Reason::Locked { .. } | Reason::LastPidLives(_) => {
                    State::InUse
                }
                Reason::MayBelongToHttpd(_) | Reason::MayBelongTo(_) => State::Undecided,
                Reason::NotHttpds(_) => State::NotHttpd,
                Reason::Blind(_) | Reason::Unseen => State::Unknown,
            },
        }
    }
}

/// Why a set stays: the rows of the verdict table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not look like a mutex of httpd's.
    NotHttpds(Mismatch),
    /// Not enough could be seen to judge it.
    Blind(Doubt),
    /// Threads wait for it, or one is inside semop(2) on it.
    Waiters {
        /// How many.
        count: i32,
        /// One of them, where known.
        by: Option<Rc<Named>>,
    },
    /// It is locked: value 0, which an undo at the holder's death would have raised.
    Locked {
        /// The holder, where known.
        by: Option<Rc<Named>>,
    },
    /// Last touched from a PID namespace that cannot be seen from here.
    Unseen,
    /// The process that touched it last lives.
    LastPidLives(Rc<Named>),
    /// A living httpd may have made or inherited it.
    MayBelongToHttpd(Rc<Named>),
    /// A living process of its owner may have made it.
    MayBelongTo(Rc<Named>),
}

/// The part of the APR fingerprint (apr locks/unix/proc_mutex.c, httpd os/unix/unixd.c) that a
/// set lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has a key; httpd's are private.
    Key(i32),
    /// It has this many semaphores; httpd's have one.
    Nsems(u64),
    /// Its mode is this; httpd's is 0600.
    Mode(u32),
    /// It was made by this user, neither root nor its owner.
    Creator(Uid),
}

/// What could not be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The kernel refused to tell the set's last pid, value or waiters.
    Refused(Errno),
    /// The process table is not complete.
    Processes(Incomplete),
    /// The last pid exists, but /proc does not show it.
    HiddenPid(Pid),
    /// The executable of this process cannot be read: it might be a httpd.
    Executable(Rc<Named>),
}
