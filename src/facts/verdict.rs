//! What is to become of a set, and why: the rows of the verdict table. The rules are in
//! decide/verdict.rs, the wording in tell/words.rs.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::facts::memory::Gap;
use crate::facts::process::{Incomplete, Named};

/// What is to become of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Only the memory of running processes can tell; until it has been read, the set stays.
    Ask,
    /// No running process can use it. Whether it is free is checked once more before it is removed.
    Orphan,
    /// It stays.
    Keep(Reason),
}

/// Why a set stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not look like an httpd mutex.
    NotHttpds(Mismatch),
    /// Too little could be seen to judge it.
    Blind(Blind),
    /// Threads are waiting for it, or one is inside semop(2) on it.
    Waiters {
        /// How many.
        count: i32,
        /// One of them, if known.
        by: Option<Rc<Named>>,
    },
    /// It is locked: value 0, which an undo at the holder's death would have raised.
    Locked {
        /// The holder, if known.
        by: Option<Rc<Named>>,
    },
    /// Last touched from a PID namespace that cannot be seen from here, or never touched.
    Unseen,
    /// It has not been set up yet, and this process may be about to do so: the semid may still be only
    /// in a register.
    JustMade(Rc<Named>),
    /// The process that touched it last is still running, and may access it.
    LastPidLives(Rc<Named>),
    /// Its semid was found in the memory of this running process.
    KnownTo(Rc<Named>),
    /// This running process may hold its semid: its memory could not be read in full.
    MayBeKnownTo(Rc<Named>, Unread),
}

/// Why the memory of a process gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Reading it was turned off (`--no-memory`).
    Off,
    /// It was not read in full.
    Part(Gap),
}

/// The part of APR's form (apr locks/unix/proc_mutex.c, httpd os/unix/unixd.c) that a set lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has a key; httpd's are private.
    Key(i32),
    /// It has this many semaphores; httpd's have one.
    Nsems(u64),
    /// It has this mode; httpd's is 0600.
    Mode(u32),
    /// It was made by this user, who is neither root nor its owner.
    Creator(Uid),
}

/// What could not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// The kernel refused to report the set's last pid, value or waiters.
    Refused(Errno),
    /// The process table is not complete.
    Processes(Incomplete),
    /// The last pid exists, but /proc does not show it.
    HiddenPid(i32),
}

/// A verdict in one word: the classes that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No running process can use it.
    Orphan,
    /// A process uses it, or can.
    InUse,
    /// It stays as long as a process is running whose memory could not be read in full.
    Undecided,
    /// It does not look like an httpd mutex.
    NotHttpd,
    /// Too little could be seen to judge it.
    Unknown,
}

impl State {
    /// All of them, orphans first.
    pub const ALL: [State; 5] =
        [State::Orphan, State::InUse, State::Undecided, State::NotHttpd, State::Unknown];

    /// Its name in machine-readable reports.
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
            Verdict::Ask => State::Undecided,
            Verdict::Keep(reason) => match reason {
                Reason::Waiters { .. }
                | Reason::Locked { .. }
                | Reason::JustMade(_)
                | Reason::LastPidLives(_)
                | Reason::KnownTo(_) => State::InUse,
                Reason::MayBeKnownTo(..) => State::Undecided,
                Reason::NotHttpds(_) => State::NotHttpd,
                Reason::Blind(_) | Reason::Unseen => State::Unknown,
            },
        }
    }

    /// The word for it in every report: what happens to the set.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if *self == Verdict::Orphan { "orphan" } else { "keep" }
    }
}
