//! One set of a guarded user from being listed to being told.

use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::facts::evidence::{Evidence, LastPid, Unprobed};
use crate::facts::process::{Incomplete, Named};
use crate::facts::set::SemSet;
use crate::facts::verdict::{Doubt, Reason, Verdict};

/// The httpd in question is running: what it will give back before it starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its first process.
    pub leader: Named,
    /// Sets that surely are its own.
    pub surely: usize,
    /// Further sets that may be.
    pub perhaps: usize,
}

impl Running {
    /// Sets that it gives back when it stops: surely, and perhaps in addition; none where no httpd
    /// runs.
    #[must_use]
    pub fn returned(running: Option<&Running>) -> (usize, usize) {
        running.map_or((0, 0), |r| (r.surely, r.perhaps))
    }
}

/// One set of a guarded user, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The set as it was read.
    pub set: SemSet,
    /// What was found out about it.
    pub evidence: Evidence,
    /// What is to become of it.
    pub verdict: Verdict,
    /// The process of its last pid, where one of that number lives.
    pub last: Option<Rc<Named>>,
}

impl Judged {
    /// A set of which nothing is known yet, and which stays as long as that is so.
    #[must_use]
    pub fn nothing_known(set: SemSet) -> Judged {
        let nobody_looked = Doubt::Processes(Incomplete::NoProc);
        Judged {
            set,
            evidence: Evidence {
                probe: Err(Unprobed::NotAsked),
                last_pid: LastPid::NotAsked,
                inside: None,
            },
            verdict: Verdict::Keep(Reason::Blind(nobody_looked)),
            last: None,
        }
    }

    /// Whether it is to be removed.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.verdict == Verdict::Orphan
    }

    /// Whether the kernel refused this caller a look at it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(
            &self.verdict,
            Verdict::Keep(Reason::Blind(Doubt::Refused(Errno::EACCES | Errno::EPERM)))
        )
    }
}

/// Who holds a part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner of the sets.
    pub uid: Uid,
    /// Its sets.
    pub sets: usize,
    /// The semaphores in them.
    pub semaphores: u64,
    /// A living process that touched one of them last, where that can be seen.
    pub living: Option<Named>,
    /// Whether any of them could not be asked for its last pid.
    pub unknown: bool,
}

/// What became of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Removed.
    Removed,
    /// It was gone already.
    Gone,
    /// It is not as it was judged: somebody touched it, so it stays.
    Changed,
    /// The kernel refused.
    Refused(Errno),
    /// A dry run: it would have been removed.
    WouldRemove,
}
