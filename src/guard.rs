//! The story of one run, in the order in which it happens: ask, look, judge, remove, count the room,
//! try, forecast. Whoever does a part of it speaks to nobody; the report has it all.

mod ask;
mod room;
mod survey;
mod witness;

use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::act::{lock, numbering, reap};
use crate::cli::Options;
use crate::decide::forecast::Forecast;
use crate::facts::error::Error;
use crate::facts::event::Event;
use crate::facts::printable::printable;
use crate::facts::request::{Command, Format};
use crate::facts::row::Outcome;
use crate::facts::set::SemId;
use crate::facts::table::Table;
use crate::facts::users::{Guarded, Names};
use crate::look::{clock, table, users};
use crate::tell::report::{Report, View};

/// One run, from the options to the report.
///
/// # Errors
/// What keeps it from an answer: [`Error`].
pub fn run(options: &Options) -> Result<Report, Error> {
    let clock = clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?;
    let release = uname().map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into());
    let mut events = options.given.events.clone();

    // What httpd will make, as whom, and what its last starts showed.
    let asked = ask::ask(options, &mut events)?;

    // Every set of these users, and who could use it.
    if options.removes() {
        events.extend(lock::take());
    }
    let mut table = survey::look(options, &asked, &release, clock, &mut events)?;

    // What nobody who lives can use, goes; what httpd makes next gets a number that tells.
    if let (Some(table), Command::Guard) = (&mut table, options.command) {
        events.extend(remove(table, options));
        if options.removes() {
            events.extend(numbering::move_on(&asked.need, &table.left));
        }
    }

    // Is there room for what httpd needs?
    let mut input = room::input(options, &asked, table.as_ref(), &events);
    let mut forecast = None;
    if room::is_asked_for(options, &events) {
        room::try_out(&mut input, options, &asked, table.as_ref());
        forecast = Some(input.forecast());
    }
    if let (Some(table), Some(Forecast::AtRisk | Forecast::Fails(_))) = (&mut table, &forecast) {
        table.holders = table::holders();
    }

    // What this run shows of the next start, or notes before it.
    if let (Some(witness), Some(table)) = (&asked.witness, &table) {
        events.extend(witness.keep(table, clock));
    }

    Ok(Report {
        command: options.command,
        instance: options.instance.clone(),
        dry_run: options.dry_run,
        strict: options.strict,
        by_root: geteuid().is_root(),
        time: clock.now,
        kernel: printable(&release),
        names: names(options, &asked.users, table.as_ref()),
        users: asked.users,
        source: asked.source,
        heard: asked.heard,
        table,
        input,
        forecast,
        events,
        view: View {
            orphans: options.orphans,
            sort: options.sort,
            explain: options.explain.map(SemId),
        },
    })
}

/// Removes the orphans and what a killed guard left; a dry run goes the same way and removes nothing.
fn remove(table: &mut Table, options: &Options) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(id) = table.leftover.filter(|_| options.removes()) {
        events.extend(reap::leftover(id));
        table.rows.retain(|row| row.set.id != id);
    }
    events.extend(reap::reap(&mut table.rows, options.dry_run));
    table.left = if options.removes() {
        // It could be read just before: a refusal costs exact figures, and no start.
        let removed = table.count(Outcome::Removed);
        table::capacity().unwrap_or_else(|_| table.found.without(removed))
    } else if options.given.dry_run {
        // httpd starts all the same, and into the table as it is.
        table.found
    } else {
        table.found.without(table.orphans().count())
    };
    events
}

/// The names of everybody whom the report speaks of. Nobody is looked up who is not spoken of: a
/// user database may be far away, and httpd waits.
fn names(options: &Options, users: &[Guarded], table: Option<&Table>) -> Names {
    let mut names: Names = users.iter().map(|u| (u.uid, u.name.clone())).collect();
    let Some(table) = table else { return names };
    if options.command == Command::List || options.format == Format::Json {
        users::look_up(&mut names, table.rows.iter().map(|row| row.set.cuid));
    }
    users::look_up(&mut names, table.holders.iter().map(|h| h.uid));
    names
}
