//! What a run found and did, as one value, and the figures that every format shows. Each format is a
//! module of its own that writes this value and uses nothing else.

use std::io::{self, Write};

use nix::unistd::Uid;

use crate::decide::forecast::{Forecast, Input};
use crate::decide::kernel_sem::{Oddity, oddity};
use crate::facts::capacity::Limit::{Semmni, Semmns};
use crate::facts::capacity::{Capacity, Limit};
use crate::facts::error::{Error, Exit};
use crate::facts::event::Event;
use crate::facts::heard::Heard;
use crate::facts::request::{Command, Format, Instance, SortKey};
use crate::facts::set::SemId;
use crate::facts::settings::Setting;
use crate::facts::site::{GuardCommand, Site};
use crate::facts::table::Table;
use crate::facts::time::WallTime;
use crate::facts::users::{Guarded, Names, Source};
use crate::tell::screen::Screen;
use crate::tell::{json, nagios, prometheus, text};

/// What a run found and did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command.
    pub command: Command,
    /// The instance of httpd that it is about, if one was named.
    pub instance: Option<Instance>,
    /// It was a dry run.
    pub dry_run: bool,
    /// A start at risk counts as a failure.
    pub strict: bool,
    /// The effective user was root.
    pub by_root: bool,
    /// When it took place.
    pub time: WallTime,
    /// The kernel's release (uname(2)).
    pub kernel: String,
    /// The guarded users.
    pub users: Vec<Guarded>,
    /// Where they came from.
    pub source: Source,
    /// The names of all users mentioned in the report.
    pub names: Names,
    /// What httpd said it will make.
    pub heard: Heard,
    /// The semaphore table; `None` on a kernel without System V semaphores, or if the table could not
    /// be looked at, which is an event.
    pub table: Option<Table>,
    /// What the forecast was made from.
    pub input: Input,
    /// What will happen when httpd is started; `None` if no forecast was requested.
    pub forecast: Option<Forecast>,
    /// What happened besides that.
    pub events: Vec<Event>,
    /// What this machine offers to make room; `None` if nothing was in doubt.
    pub site: Option<Site>,
    /// The user that httpd is started as, namely the one of this run, if the start is in doubt and
    /// that user is not root.
    pub started_as: Option<String>,
    /// The command that removes the orphans counted by this report.
    pub guard: GuardCommand,
    /// The setting that demands a reserve; `None` if it was given on the command line, or not at all.
    pub reserve: Option<Setting>,
    /// What `list` shows.
    pub view: View,
}

/// Which sets `list` shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Only orphans.
    pub orphans: bool,
    /// The sets of all users.
    pub all: bool,
    /// In this order.
    pub sort: SortKey,
    /// Only this set, with everything that is known about it.
    pub explain: Option<SemId>,
}

/// A limit of which more than [`FILLING`] percent is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// SEMMNI or SEMMNS.
    pub limit: Limit,
    /// Its value.
    pub most: i64,
    /// How much of it is in use.
    pub used: i64,
}

/// Usage of a limit, in percent, above which it needs attention.
pub const FILLING: i64 = 80;

impl Report {
    /// The exit code of the run.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let refused = self.table.as_ref().map_or(0, Table::refused);
        match (self.command, &self.forecast) {
            (_, Some(Forecast::Fails(_))) => Exit::Unavailable,
            (_, Some(Forecast::AtRisk)) if self.strict => Exit::Unavailable,
            // A guard without permission to look at the sets it guards was set up wrongly. Root is
            // always allowed to look; a check promises nothing about the sets.
            (Command::Guard | Command::List, _) if refused > 0 && !self.by_root => {
                Exit::NoPermission
            }
            _ => Exit::Ok,
        }
    }

    /// A limit that will soon be reached, if httpd depends on it.
    #[must_use]
    pub fn filling(&self) -> Option<Filling> {
        let Capacity { limits, usage } = &self.table.as_ref()?.left;
        let filling = |(limit, most, used): (_, i64, i64)| {
            let full = used.saturating_mul(100) > most.saturating_mul(FILLING);
            (self.input.need.at_most > 0 && full).then_some(Filling { limit, most, used })
        };
        let both = [(Semmni, limits.semmni, usage.sets), (Semmns, limits.semmns, usage.semaphores)];
        both.into_iter().find_map(filling)
    }

    /// Whether the forecast counts the orphans, although a guard would remove them: for a check, and
    /// for a dry run after which httpd is started in any case.
    #[must_use]
    pub fn is_for_the_table_as_it_is(&self) -> bool {
        let is_found = |table: &Table| table.left == table.found;
        match self.command {
            Command::Check => true,
            Command::Guard => self.dry_run && self.table.as_ref().is_some_and(is_found),
            Command::List => false,
        }
    }

    /// Whether the kernel refused access to the table.
    #[must_use]
    pub fn table_unreadable(&self) -> bool {
        let unread = |e: &Event| matches!(e, Event::TableUnreadable(..) | Event::TableUnknown(_));
        self.events.iter().any(unread)
    }

    /// Whether something went wrong that the forecast does not show: an orphan that could not be
    /// removed, or a lock file that could not be locked.
    #[must_use]
    pub fn has_trouble(&self) -> bool {
        let refused = |table: &Table| table.refused_removals().next().is_some();
        self.events.iter().any(|event| event.is_warning())
            || self.table.as_ref().is_some_and(refused)
    }

    /// What is odd about `kernel.sem`, if anything.
    #[must_use]
    pub fn oddity(&self) -> Option<Oddity> {
        oddity(&self.table.as_ref()?.left.limits)
    }

    /// Whether an odd `kernel.sem` matters: only if httpd makes semaphore sets.
    #[must_use]
    pub fn matters_oddly(&self) -> bool {
        self.input.need.at_most > 0 && self.oddity().is_some()
    }

    /// "www-data (33)"; for a user without a name, only the UID.
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

/// Writes the report of a run without a result in this format: as text nothing, because the log has
/// it.
///
/// # Errors
/// Those of the writer.
pub fn write_error(
    error: &Error,
    command: Command,
    instance: Option<&Instance>,
    time: WallTime,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Text => Ok(()),
        Format::Json => json::write_error(error, command, time, out),
        Format::Nagios => nagios::write_error(error, out),
        Format::Prometheus => prometheus::write_error(instance, time, out),
    }
}
