//! What a run found and did, as one value, and the figures that every format shows of it. Each
//! format is a module of its own that writes it; none of them looks at anything else.

use std::io::{self, Write};
use std::path::PathBuf;

use nix::unistd::Uid;

use crate::decide::forecast::Forecast;
use crate::decide::kernel_sem::{Oddity, oddity};
use crate::decide::verdict::World;
use crate::facts::capacity::Capacity;
use crate::facts::error::{Error, Exit};
use crate::facts::heard::NoAnswer;
use crate::facts::mutex::Demand;
use crate::facts::need::Need;
use crate::facts::request::{Command, Format, SortKey};
use crate::facts::row::{Fate, Holder, Judged, Running};
use crate::facts::set::SemId;
use crate::facts::shortage::Shortage;
use crate::facts::time::WallTime;
use crate::facts::trial::Trial;
use crate::facts::users::{Guarded, Names, Source};
use crate::facts::verdict::{Reason, State, Verdict};
use crate::tell::screen::Screen;
use crate::tell::{json, nagios, prometheus, text};

/// What a run found and did.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub command: Command,
    /// Nothing was to be removed.
    pub dry_run: bool,
    /// A start at risk counts as a failure.
    pub strict: bool,
    /// The run had root's rights, effective user 0.
    pub by_root: bool,
    /// When it was.
    pub time: WallTime,
    /// The kernel's release (uname(2)).
    pub kernel: String,
    /// The guarded users.
    pub users: Vec<Guarded>,
    /// Where they came from.
    pub source: Source,
    /// The names of all users that the report speaks of.
    pub names: Names,
    /// The semaphore table; none on a kernel without System V semaphores.
    pub table: Option<Table>,
    /// The kernel refused a look at the table, so there is none here.
    pub unread: bool,
    /// What httpd needs.
    pub need: Need,
    /// The reserve asked for, in sets.
    pub min_free: i64,
    /// The control program that answered for httpd.
    pub control: Option<PathBuf>,
    /// What it answered: the mutexes that httpd will make.
    pub demand: Option<Demand>,
    /// Why httpd gave no answer, if it was asked and gave none.
    pub no_answer: Option<NoAnswer>,
    /// What is missing for mutexes that are no semaphore sets.
    pub shortage: Option<Shortage>,
    /// What the trial set showed.
    pub trial: Trial,
    /// What will happen when httpd is started; none where nobody asked.
    pub forecast: Option<Forecast>,
    /// What `list` is to show.
    pub view: View,
}

/// Which sets `list` shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Orphans alone.
    pub orphans: bool,
    /// In this order.
    pub sort: SortKey,
    /// This one set alone, with its whole evidence.
    pub explain: Option<SemId>,
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
    /// What became of the orphans, ordered by identifier.
    pub fates: Vec<(SemId, Fate)>,
    /// Who holds the table; empty where the forecast did not ask.
    pub holders: Vec<Holder>,
    /// What the sets were judged by, and when.
    pub world: World,
}

/// How many sets there are of each class, in the order of [`State::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([usize; State::ALL.len()]);

impl Tally {
    /// The sets of one class.
    #[must_use]
    pub fn of(&self, state: State) -> usize {
        self.0[state as usize]
    }

    /// The sets that stay.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.0.iter().sum::<usize>() - self.of(State::Orphan)
    }
}

/// A limit of which more than [`FILLING`] is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// SEMMNI or SEMMNS.
    pub limit: crate::facts::capacity::Limit,
    /// Its value.
    pub most: i64,
    /// What is in use.
    pub used: i64,
}

/// Percent of a limit whose use deserves attention.
pub const FILLING: i64 = 80;

impl Table {
    /// How many orphans met this fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.fates.iter().filter(|(_, f)| *f == fate).count()
    }

    /// What became of a set, if it was an orphan and somebody was to remove it.
    #[must_use]
    pub fn fate(&self, set: &Judged) -> Option<Fate> {
        let place = self.fates.binary_search_by_key(&set.set.id, |(id, _)| *id).ok()?;
        Some(self.fates[place].1)
    }

    /// The orphans as they were judged.
    pub fn orphans(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|j| j.is_orphan())
    }

    /// The sets that are there when the run is over; for a dry run, that would be.
    pub fn left(&self) -> impl Iterator<Item = &Judged> {
        let gone = |j: &Judged| {
            matches!(self.fate(j), Some(Fate::Removed | Fate::Gone | Fate::WouldRemove))
        };
        self.judged.iter().filter(move |j| !gone(j))
    }

    /// How many sets are left of each owner and class.
    #[must_use]
    pub fn tallies(&self) -> Vec<(Uid, Tally)> {
        let mut tallies: Vec<(Uid, Tally)> = Vec::new();
        for j in self.left() {
            let place = tallies.iter().position(|(uid, _)| *uid == j.set.uid);
            let place = place.unwrap_or_else(|| {
                tallies.push((j.set.uid, Tally::default()));
                tallies.len() - 1
            });
            tallies[place].1.0[j.verdict.state() as usize] += 1;
        }
        tallies
    }

    /// How many sets are left of each class.
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

    /// Sets of the guarded users that the kernel did not let this caller look at.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.judged.iter().filter(|j| j.is_refused()).count()
    }

    /// All sets that this caller could not look at, whosever they are.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.refused() + self.unreadable
    }

    /// How many sets stay only because a living process may know them, and the first of those.
    #[must_use]
    pub fn undecided(&self) -> Option<(usize, String)> {
        let mut of = self.judged.iter().filter_map(|j| match &j.verdict {
            Verdict::Keep(Reason::MayBelongToHttpd(p) | Reason::MayBelongTo(p)) => Some(p),
            _ => None,
        });
        let first = of.next()?;
        Some((1 + of.count(), first.to_string()))
    }
}

impl Report {
    /// The exit code of the run.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let refused = self.table.as_ref().map_or(0, Table::refused);
        match (self.command, &self.forecast) {
            (_, Some(Forecast::Fails(_))) => Exit::Unavailable,
            (_, Some(Forecast::AtRisk)) if self.strict => Exit::Unavailable,
            // A guard that may not look at the sets it is to guard was set up wrong. Root may
            // always look at what root made; a check promises nothing about the sets.
            (Command::Guard | Command::List, _) if refused > 0 && !self.by_root => {
                Exit::NoPermission
            }
            _ => Exit::Ok,
        }
    }

    /// A limit that will soon be reached, where httpd depends on it.
    #[must_use]
    pub fn filling(&self) -> Option<Filling> {
        use crate::facts::capacity::Limit::{Semmni, Semmns};
        let Capacity { limits, usage } = &self.table.as_ref()?.after;
        let filling = |(limit, most, used): (_, i64, i64)| {
            let full = used.saturating_mul(100) > most.saturating_mul(FILLING);
            (self.need.at_most > 0 && full).then_some(Filling { limit, most, used })
        };
        let both = [(Semmni, limits.semmni, usage.sets), (Semmns, limits.semmns, usage.semaphores)];
        both.into_iter().find_map(filling)
    }

    /// What is odd about `kernel.sem`.
    #[must_use]
    pub fn oddity(&self) -> Option<Oddity> {
        oddity(&self.table.as_ref()?.after.limits)
    }

    /// Whether an odd `kernel.sem` matters: to a httpd that makes semaphore sets.
    #[must_use]
    pub fn matters_oddly(&self) -> bool {
        self.need.at_most > 0 && self.oddity().is_some()
    }

    /// "www-data (33)"; a user without a name is its number.
    #[must_use]
    pub fn user(&self, uid: Uid) -> String {
        self.names.with_number(uid)
    }

    /// Writes the report.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, format: Format, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => text::write(self, screen, out),
            Format::Json => json::write(self, out),
            Format::Nagios => nagios::write(self, out),
            Format::Prometheus => prometheus::write(self, out),
        }
    }
}

/// Writes what a run that found no answer has to say in this format: nothing as text, which is in
/// the log.
///
/// # Errors
/// Those of the writer.
pub fn write_error(
    error: &Error,
    command: Command,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    let time = crate::look::clock::now().map_or(WallTime(0), |clock| clock.now);
    match format {
        Format::Text => Ok(()),
        Format::Json => json::write_error(error, command, time, out),
        Format::Nagios => nagios::write_error(error, out),
        Format::Prometheus => prometheus::write_error(time, out),
    }
}
