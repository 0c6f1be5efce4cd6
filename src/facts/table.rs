//! The semaphore table of a run: what was found, what is left, and the figures about it that every
//! report shows.

use nix::unistd::Uid;

use crate::facts::capacity::Capacity;
use crate::facts::process::Named;
use crate::facts::row::{Holder, Outcome, Row, Running, Undecided};
use crate::facts::set::{SemId, SemSet};
use crate::facts::verdict::{Reason, State, Verdict};
use crate::facts::world::World;

/// The semaphore table of a run.
#[derive(Clone, Debug)]
pub struct Table {
    /// Limits and usage as found.
    pub found: Capacity,
    /// Limits and usage that the forecast is for: after the removals; in a dry run, as they would be.
    pub left: Capacity,
    /// Sets that cannot be read at all.
    pub unreadable: usize,
    /// A trial set left behind by a guard that was killed.
    pub leftover: Option<SemId>,
    /// The guarded users' sets, by semid, each with what became of it.
    pub rows: Vec<Row>,
    /// The sets of all other users, if they were asked for; they are not judged.
    pub strangers: Vec<Row>,
    /// How many sets in httpd's form belong to users other than these and root.
    pub others: Vec<(Uid, usize)>,
    /// Root's sets, if root is not guarded: a module may leave its own sets to root.
    pub of_root: Vec<SemSet>,
    /// The highest semid of all sets; `None` if there are no sets.
    pub highest: Option<SemId>,
    /// The httpd in question, if it is running.
    pub running: Option<Running>,
    /// Who holds the table; empty if the forecast did not need to know.
    pub holders: Vec<Holder>,
    /// What the sets were judged by, and when.
    pub world: World,
}

/// How many sets there are of each class, in the order of [`State::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([usize; State::ALL.len()]);

impl Tally {
    /// The number of sets in one class.
    #[must_use]
    pub fn of(&self, state: State) -> usize {
        self.0[state as usize]
    }

    /// The number of sets that stay.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.0.iter().sum::<usize>() - self.of(State::Orphan)
    }
}

impl Table {
    /// How many orphans had this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == Some(outcome)).count()
    }

    /// The orphans, as judged.
    pub fn orphans(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_orphan())
    }

    /// The orphans that the kernel refused to remove.
    pub fn refused_removals(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.outcome, Some(Outcome::Refused(_))))
    }

    /// How many sets are left per owner and class.
    #[must_use]
    pub fn tallies(&self) -> Vec<(Uid, Tally)> {
        let mut tallies: Vec<(Uid, Tally)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.is_gone()) {
            let place = tallies.iter().position(|(uid, _)| *uid == row.set.uid);
            let place = place.unwrap_or_else(|| {
                tallies.push((row.set.uid, Tally::default()));
                tallies.len() - 1
            });
            tallies[place].1.0[row.verdict.state() as usize] += 1;
        }
        tallies
    }

    /// How many sets are left per class.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for (_, tally) in self.tallies() {
            for (sum, n) in sum.0.iter_mut().zip(tally.0) {
                *sum += n;
            }
        }
        sum
    }

    /// The number of guarded users' sets to which the kernel denied this caller access.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.rows.iter().filter(|row| row.is_refused()).count()
    }

    /// The number of all sets that this caller could not look at, whoever owns them.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.refused() + self.unreadable
    }

    /// The sets that stay only because the memory of a process could not be read in full.
    #[must_use]
    pub fn undecided(&self) -> Option<Undecided> {
        let of = |row: &Row| match &row.verdict {
            Verdict::Keep(Reason::MayBeKnownTo(p, _)) => Some(Named::clone(p)),
            _ => None,
        };
        let process = self.rows.iter().find_map(of)?;
        let all = || self.rows.iter().filter_map(of);
        let of_process = all().filter(|p| *p == process).count();
        Some(Undecided { sets: all().count(), process, of_process })
    }
}
