//! What a run found and did, as one value; each format is a module of its own that writes it.

pub mod text;

use crate::capacity::Capacity;
use crate::cli::Command;
use crate::error::Exit;
use crate::forecast::{Forecast, Need};
use crate::httpd::ask::NoAnswer;
use crate::httpd::demand::Demand;
use crate::reap::Fate;
use crate::resources::Shortage;
use crate::survey::{Holder, Judged, Running};
use crate::trial::Trial;
use crate::users::{Guarded, Source};
use crate::verdict::World;

/// What a run found and did.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub command: Command,
    /// Nothing was to be removed.
    pub dry_run: bool,
    /// A start at risk counts as a failure.
    pub strict: bool,
    /// The guarded users.
    pub users: Vec<Guarded>,
    /// Where they came from.
    pub source: Source,
    /// The semaphore table; none on a kernel without System V semaphores.
    pub table: Option<Table>,
    /// What httpd needs.
    pub need: Need,
    /// The reserve asked for, in sets.
    pub min_free: i64,
    /// What httpd was asked and answered: the mutexes it will make.
    pub demand: Option<Demand>,
    /// Why httpd gave no answer, if it was asked and gave none.
    pub no_answer: Option<NoAnswer>,
    /// What is missing for mutexes that are no semaphore sets.
    pub shortage: Option<Shortage>,
    /// What the trial set showed.
    pub trial: Trial,
    /// What will happen when httpd is started.
    pub forecast: Forecast,
}

/// The semaphore table of a run.
#[derive(Clone, Debug)]
pub struct Table {
    /// Limits and usage as they were found.
    pub before: Capacity,
    /// Limits and usage that the forecast is for: after the removals, for a dry run as they
    /// would be.
    pub after: Capacity,
    /// Sets that cannot be read at all.
    pub unreadable: usize,
    /// The guarded users' sets, with their verdicts.
    pub judged: Vec<Judged>,
    /// The httpd in question, if it runs.
    pub running: Option<Running>,
    /// What became of the orphans.
    pub fates: Vec<Fate>,
    /// Who holds the table; empty where the forecast did not ask.
    pub holders: Vec<Holder>,
    /// What the sets were judged by, and when.
    pub world: World,
}

impl Table {
    /// How many orphans met this fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.fates.iter().filter(|f| **f == fate).count()
    }

    /// The orphans as they were judged.
    pub fn orphans(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|j| j.is_orphan())
    }

    /// Sets of the guarded users that the kernel did not let this caller look at.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.judged.iter().filter(|j| j.is_refused()).count() + self.unreadable
    }
}

impl Report {
    /// The exit code of the run.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let refused = self.table.as_ref().map_or(0, Table::refused);
        match (self.command, &self.forecast) {
            (Command::Guard | Command::Check, Forecast::Fails(_)) => Exit::Unavailable,
            (Command::Guard | Command::Check, Forecast::AtRisk) if self.strict => Exit::Unavailable,
            // A guard that may not look at the sets it is to guard was set up wrong. Root may
            // always look at what root made; a check promises nothing about the sets.
            (Command::Guard | Command::List, _)
                if refused > 0 && !nix::unistd::geteuid().is_root() =>
            {
                Exit::NoPermission
            }
            _ => Exit::Ok,
        }
    }
}
