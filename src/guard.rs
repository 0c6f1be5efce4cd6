//! The story of one run, in order: ask, look, judge, remove, count the room, try, forecast.
//! No part of it prints anything; everything goes into the report.

mod ask;
mod room;
mod survey;
mod witness;

use nix::sys::utsname::uname;
use nix::unistd::{Uid, geteuid};

use self::ask::Asked;
use crate::act::{lock, numbering, reap};
use crate::cli::Options;
use crate::decide::forecast::Forecast;
use crate::decide::maker::maker;
use crate::decide::remedies::without_sets;
use crate::facts::error::Error;
use crate::facts::event::Event;
use crate::facts::printable::printable;
use crate::facts::request::{Command, Format};
use crate::facts::row::Outcome;
use crate::facts::set::SemId;
use crate::facts::site::{Site, TableOf};
use crate::facts::table::Table;
use crate::facts::users::{Guarded, Names};
use crate::look::site::{Subject, site};
use crate::look::{clock, table, users};
use crate::tell::report::{Report, View};

/// One run, from the options to the report.
///
/// # Errors
/// Whatever keeps it from an answer: [`Error`].
pub fn run(options: &Options) -> Result<Report, Error> {
    let clock = clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?;
    let release = uname().map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into());
    let mut events = options.given.events.clone();

    // What httpd will make, as which user, and what its last starts showed.
    let asked = ask::ask(options, &mut events)?;

    // Every set of these users, and the processes that could use it.
    if options.removes() {
        events.extend(lock::take());
    }
    let mut table = survey::look(options, &asked, &release, clock, &mut events)?;

    // Removes the sets that no running process can use; httpd's next sets will get telling semids.
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
    let is_in_doubt = matches!(forecast, Some(Forecast::AtRisk | Forecast::Fails(_)));
    if let Some(table) = table.as_mut().filter(|_| is_in_doubt) {
        table.holders = table::holders(maker);
    }
    let site = is_in_doubt.then(|| look_around(options, &asked, table.as_ref(), &events));

    // Keeps what this run shows about the next start, or a note before it.
    if let (Some(witness), Some(table)) = (&asked.witness, &table) {
        events.extend(witness.keep(table, clock));
    }

    let by = geteuid();
    let names = names(options, &asked.users, table.as_ref(), is_in_doubt.then_some(by));
    Ok(Report {
        command: options.command,
        instance: options.instance.clone(),
        dry_run: options.dry_run,
        strict: options.strict,
        by_root: by.is_root(),
        time: clock.now,
        kernel: printable(&release),
        source: asked.source,
        heard: asked.heard,
        table,
        input,
        forecast,
        events,
        site,
        started_as: (is_in_doubt && !by.is_root()).then(|| names.of(by)),
        guard: options.guard_command(&asked.users),
        users: asked.users,
        reserve: options.given.min_free.clone(),
        names,
        view: View {
            orphans: options.orphans,
            all: options.all,
            sort: options.sort,
            explain: options.explain.map(SemId),
        },
    })
}

/// What this machine offers to make room. Asked only when a start is in doubt, since it runs
/// systemctl(1), and httpd's control program again.
fn look_around(options: &Options, asked: &Asked, table: Option<&Table>, events: &[Event]) -> Site {
    let subject = Subject {
        control: asked.heard.control(),
        instance: options.instance.as_ref(),
        running: table.and_then(|t| t.running.as_ref()).map(|r| r.leader.pid),
        in_doubt: table.and_then(Table::undecided).map(|u| u.process.pid),
        table: events.iter().fold(TableOf::Here, |table, event| match event {
            Event::TableOf(leader) => TableOf::Process(leader.pid),
            Event::TableOfUnit(_) => TableOf::NextStart,
            _ => table,
        }),
        directive: asked.heard.demand().and_then(without_sets).map(|(directive, ..)| directive),
    };
    site(&subject, &ask::question(options))
}

/// Removes the orphans and what a killed guard left behind; a dry run takes the same path but removes
/// nothing.
fn remove(table: &mut Table, options: &Options) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(id) = table.leftover.filter(|_| options.removes()) {
        events.extend(reap::leftover(id));
        table.rows.retain(|row| row.set.id != id);
    }
    events.extend(reap::reap(&mut table.rows, options.dry_run));
    table.left = if options.removes() {
        // The table could be read just before: a refusal now costs exact figures, but no start.
        let removed = table.count(Outcome::Removed);
        table::capacity().unwrap_or_else(|_| table.found.without(removed))
    } else if options.given.dry_run {
        // httpd starts anyway, and meets the table as it is.
        table.found
    } else {
        table.found.without(table.orphans().count())
    };
    events
}

/// The names of all users that the report mentions. Others are not looked up: a user database may be
/// slow, and httpd is waiting.
fn names(options: &Options, users: &[Guarded], table: Option<&Table>, by: Option<Uid>) -> Names {
    let mut names: Names = users.iter().map(|u| (u.uid, u.name.clone())).collect();
    let shows_sets = options.command == Command::List || options.format == Format::Json;
    let rows = table.filter(|_| shows_sets).into_iter();
    let rows = rows.flat_map(|t| t.rows.iter().chain(&t.strangers));
    let holders = table.into_iter().flat_map(|t| &t.holders).map(|h| h.uid);
    // At once, since the time that this may take is that of one lookup.
    let mentioned = rows.flat_map(|row| [row.set.uid, row.set.cuid]).chain(holders).chain(by);
    users::look_up(&mut names, mentioned);
    names
}
