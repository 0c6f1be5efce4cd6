//! One set of a guarded user, from listing to report, and what became of the whole table.

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::facts::evidence::Evidence;
use crate::facts::process::Named;
use crate::facts::set::{Maker, SemId, SemSet};
use crate::facts::verdict::{Blind, Reason, Verdict};

/// One set of a guarded user, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The set as it was read.
    pub set: SemSet,
    /// What was found out about it.
    pub evidence: Evidence,
    /// The decision about it.
    pub verdict: Verdict,
    /// What became of it; `None` if it was not to be removed, or turned out to be in use.
    pub outcome: Option<Outcome>,
}

/// What became of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Removed.
    Removed,
    /// Already gone.
    Gone,
    /// It changed after it was judged: another process touched it, so it stays.
    Changed,
    /// The kernel refused.
    Refused(Errno),
    /// Dry run: it would have been removed.
    WouldRemove,
}

impl Row {
    /// A set about which nothing is known yet.
    #[must_use]
    pub fn listed(set: SemSet) -> Row {
        Row { set, evidence: Evidence::NONE, verdict: Verdict::Ask, outcome: None }
    }

    /// Whether it is to be removed.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.verdict == Verdict::Orphan
    }

    /// Whether the kernel denied this caller access to it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Keep(Reason::Blind(Blind::Refused(Errno::EACCES | Errno::EPERM)))
        )
    }

    /// Whether it is gone after the run; in a dry run, whether it would be.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Removed | Outcome::Gone | Outcome::WouldRemove))
    }
}

/// The httpd in question is running: what it will free before it starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its first process.
    pub leader: Named,
    /// Sets whose semids were found in its memory.
    pub surely: usize,
    /// Further sets that may be its own, because its memory could not be read in full.
    pub perhaps: usize,
}

/// Sets that stay only because the memory of a process could not be read in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// How many.
    pub sets: usize,
    /// The process that the first of them waits for.
    pub process: Named,
    /// How many of them wait for that process.
    pub of_process: usize,
}

/// The holder of a part of the table: an owner, and the program that made the sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner of the sets.
    pub uid: Uid,
    /// Which program seems to have made them.
    pub maker: Maker,
    /// The first of them.
    pub first: SemId,
    /// Its sets.
    pub sets: usize,
    /// The semaphores in them.
    pub semaphores: u64,
    /// A running process that touched one of them last, if visible.
    pub living: Option<Named>,
    /// Whether the last pid of any of them could not be read.
    pub unknown: bool,
}
