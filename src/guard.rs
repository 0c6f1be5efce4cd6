//! The story of one run, in the order in which it happens: ask, look, judge, remove, count the room,
//! try, forecast. Whoever does a part of it speaks to nobody; the report has it all.

mod survey;
mod witness;

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::utsname::uname;
use nix::unistd::{Uid, geteuid};

use crate::act::{lock, numbering, reap, resources, trial};
use crate::cli::Options;
use crate::decide::demand;
use crate::decide::forecast::{Forecast, Input};
use crate::facts::capacity::Capacity;
use crate::facts::error::Error;
use crate::facts::event::Event;
use crate::facts::heard::Heard;
use crate::facts::printable::printable;
use crate::facts::request::{Command, Format};
use crate::facts::row::Outcome;
use crate::facts::set::SemId;
use crate::facts::settings::Complaint;
use crate::facts::table::Table;
use crate::facts::trial::Trial;
use crate::facts::users::{Guarded, Names, Source};
use crate::look::httpd::ask::Question;
use crate::look::{clock, httpd, namespace, sysv, table, users};
use crate::tell::report::{Report, View};

/// One run, from the options to the report.
///
/// # Errors
/// What keeps it from an answer: [`Error`].
pub fn run(options: &Options) -> Result<Report, Error> {
    let clock = clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?;
    let release = uname().map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into());
    let mut events = options.given.events.clone();

    // What httpd will make, and as whom.
    let given = given(options, &mut events);
    let heard = ask(options, &given);
    if options.command != Command::Guard {
        let control = heard.control();
        let enter = |control| namespace::enter(heard.pid_file(), control, options.httpd.as_deref());
        events.extend(control.and_then(enter));
    }
    let is_elsewhere = events.iter().any(|event| matches!(event, Event::TableOfNobody(..)));
    let (users, source) = match users::guarded(&given, heard.user(), heard.further_users()) {
        // Whom httpd runs as says nothing of whether it starts.
        Err(e) if options.command == Command::Guard && (given.is_empty() || is_silence(&e)) => {
            events.push(Event::NobodyGuarded(e));
            (Vec::new(), Source::Account)
        }
        answer => answer?,
    };
    let witness = witness::Witness::read(options, &heard, &mut events);
    let need = heard.need(options.need);
    let need = witness.as_ref().map_or_else(|| need.clone(), |w| w.need(need.clone()));

    // Every set of these users, and who could use it.
    if options.removes() {
        events.extend(lock::take());
    }
    let mark = witness.as_ref().and_then(witness::Witness::mark);
    let scope = survey::Scope::new(options, &users, &heard, mark, &release);
    let mut table = match survey::take(&scope, clock) {
        Ok(table) => Some(table),
        Err(Error::Kernel(_, Errno::ENOSYS)) if !sysv::built_in() => None,
        Err(Error::Kernel(call, e)) if need.at_most == 0 && options.command != Command::List => {
            events.push(Event::TableUnreadable(call, e));
            None
        }
        Err(e) if options.command == Command::Guard => {
            events.push(Event::TableUnknown(e));
            None
        }
        Err(e) => return Err(e),
    };
    // A user that was guessed may be the wrong one.
    if let (Some(table), Source::Account) = (&table, source) {
        let likely =
            |(uid, sets): &(Uid, usize)| Some(Event::Unguarded(users::likely(*uid)?, *sets));
        events.extend(table.others.iter().filter_map(likely));
    }
    if let Some(id) = options.explain.map(SemId) {
        let here = table.as_ref().is_some_and(|t| t.rows.iter().any(|row| row.set.id == id));
        let named = || users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        here.then_some(()).ok_or_else(|| Error::NoSuchSet(id, named()))?;
    }

    // What nobody who lives can use, goes.
    if let (Some(table), Command::Guard) = (&mut table, options.command) {
        events.extend(remove(table, options));
    }

    // Is there room for what httpd needs?
    if let (Some(table), true) = (&table, options.removes()) {
        events.extend(numbering::move_on(&need, &table.left));
    }
    let is_unknown = events.iter().any(|event| matches!(event, Event::TableUnknown(_)));
    let unknown = is_unknown.then_some(Capacity::UNKNOWN);
    let mut input = Input {
        capacity: table.as_ref().map(|t| t.left).or(unknown),
        need,
        running: table.as_ref().and_then(|t| t.running.clone()),
        min_free: options.min_free.into(),
        trial: Trial::Skipped("nothing is to be forecast"),
        locks: heard.locks(options.need),
        shortage: None,
        refused_directory: heard.mutex_directory(),
    };
    let mut forecast = None;
    if options.command != Command::List && !is_elsewhere {
        input.trial = match &table {
            Some(t) => {
                trial::run(&users, &input.need, &t.found, &t.left, input.locks, options.removes())
            }
            None if is_unknown && options.removes() => {
                trial::blind(&users, &input.need, input.locks)
            }
            None if is_unknown => Trial::Skipped("the table could not be read"),
            None => Trial::Skipped("there are no semaphores to try"),
        };
        let demand = heard.demand().zip(users.first());
        input.shortage = demand.and_then(|(demand, user)| resources::shortage(demand, user));
        forecast = Some(input.forecast());
    }
    if let (Some(table), Some(Forecast::AtRisk | Forecast::Fails(_))) = (&mut table, &forecast) {
        table.holders = table::holders();
    }

    // What this run shows of the next start, or notes before it.
    if let (Some(witness), Some(table)) = (&witness, &table) {
        events.extend(witness.keep(table, clock));
    }

    Ok(Report {
        command: options.command,
        dry_run: options.dry_run,
        strict: options.strict,
        by_root: geteuid().is_root(),
        time: clock.now,
        kernel: printable(&release),
        names: names(options, &users, table.as_ref()),
        users,
        source,
        heard,
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

/// Whether it is no answer, rather than one that was not hoped for.
fn is_silence(error: &Error) -> bool {
    matches!(error, Error::UserDatabase(..))
}

/// The users that were given. Where a variable gave them, one that cannot be guarded is left out: it
/// is no reason to stop a httpd.
fn given(options: &Options, events: &mut Vec<Event>) -> Vec<String> {
    let Some(setting) = &options.given.user else { return options.user.clone() };
    let (fit, errors) = users::sort_out(&options.user);
    let complaint = |e: Error| Complaint::User(setting.clone(), e.to_string());
    events.extend(errors.into_iter().map(complaint).map(Event::SettingInDoubt));
    fit
}

/// Asks httpd what it will make and whom it runs as, where there is reason to.
fn ask(options: &Options, given: &[String]) -> Heard {
    let only_users = options.command == Command::List;
    if options.no_ask || (only_users && !given.is_empty()) {
        return Heard::NotAsked;
    }
    let patience = Duration::from_secs(options.ask_timeout.into());
    let question = Question::new(options.httpd.clone(), options.httpd_args.clone(), patience);
    match httpd::ask(&question, demand::depends_on_build) {
        Ok(told) => Heard::Answered(Box::new(demand::answer(told, &options.httpd_args))),
        Err(why) => Heard::Refused(why),
    }
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
