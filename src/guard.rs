//! The story of one run: look, judge, remove, count the room, try, forecast. Everything happens in
//! the order in which it stands here.

use log::{debug, info, warn};
use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::cli::{Command, Options};
use crate::clock::age;
use crate::error::Error;
use crate::forecast::{Failure, Forecast, Need, forecast};
use crate::reap::{self, Fate};
use crate::report::{Report, Table};
use crate::survey::{self, Judged, Scope, Survey};
use crate::sysv;
use crate::trial::{self, Trial};
use crate::users::{self, Guarded};

/// One run, from the options to the report.
///
/// # Errors
/// What keeps it from an answer: [`Error`].
pub fn run(options: &Options) -> Result<Report, Error> {
    let (users, source) = users::guarded(&options.user)?;
    let named: Vec<String> = users.iter().map(ToString::to_string).collect();
    debug!("users: {} ({source})", named.join(", "));
    let scope = Scope {
        uids: users.iter().map(|u| u.uid).collect(),
        private_ipc: options.private_ipc,
        httpd: None,
    };
    let need = options.need.map_or_else(Need::assumed, Need::given);
    let mut report = Report {
        command: options.command,
        dry_run: options.dry_run,
        strict: options.strict,
        users,
        source,
        table: None,
        need,
        min_free: options.min_free.into(),
        trial: Trial::Skipped("there are no semaphores to try"),
        forecast: Forecast::Starts,
    };
    let removes = options.command == Command::Guard && !options.dry_run;

    let _lock = removes.then(take_lock).flatten();
    if removes {
        remove_leftover_trial()?;
    }
    let survey = match survey::take(&scope) {
        Ok(survey) => survey,
        Err(Error::Kernel(_, Errno::ENOSYS)) => {
            if report.need.at_least > 0 {
                report.forecast = Forecast::Fails(Failure::NoSysvIpc);
            }
            return Ok(report);
        }
        Err(e) => return Err(e),
    };
    let (l, u) = (&survey.capacity.limits, &survey.capacity.usage);
    debug!("found: {} sets with {} semaphores; kernel.sem is \"{l}\"", u.sets, u.semaphores);
    let fates = match options.command {
        Command::Guard => remove_orphans(&survey, &report.users, options.dry_run),
        Command::Check | Command::List => Vec::new(),
    };
    let after = match (removes, options.dry_run) {
        (true, _) => survey::capacity()?,
        (false, true) => {
            survey.capacity.without(survey.judged.iter().filter(|j| j.is_orphan()).count())
        }
        (false, false) => survey.capacity,
    };
    if options.command != Command::List {
        report.trial = try_one(&report, &survey, after.room().sets);
        report.forecast = forecast(&after, &report.need, report.min_free, report.trial);
    }
    let holders = match report.forecast {
        Forecast::Starts => Vec::new(),
        _ => survey::holders(&sysv::table().map(|t| t.sets).unwrap_or_default()),
    };
    report.table = Some(Table {
        before: survey.capacity,
        after,
        all: survey.table,
        unreadable: survey.unreadable,
        judged: survey.judged,
        fates,
        holders,
        clock: survey.clock,
    });
    Ok(report)
}

fn take_lock() -> Option<impl Sized> {
    match reap::lock() {
        Ok(lock) => Some(lock),
        Err(e) => {
            warn!("going on without the lock {}: {e}", reap::LOCK_FILE);
            None
        }
    }
}

/// Removes the trial set of a guard that was killed half way.
fn remove_leftover_trial() -> Result<(), Error> {
    let table = match sysv::table() {
        Ok(table) => table,
        Err(Errno::ENOSYS) => return Ok(()),
        Err(e) => return Err(Error::Kernel("semctl(SEM_STAT_ANY)", e)),
    };
    if let Some(id) = trial::leftover(&table.sets) {
        match sysv::remove(id) {
            Ok(()) => info!("removed set {id}, the trial set of a guard that was killed"),
            Err(Errno::EINVAL | Errno::EIDRM) => {}
            Err(e) => warn!("the trial set {id} of a killed guard stays: IPC_RMID says {e:?}"),
        }
    }
    Ok(())
}

/// Removes the orphans, and logs each; a dry run goes the same way.
fn remove_orphans(survey: &Survey, users: &[Guarded], dry_run: bool) -> Vec<Fate> {
    let mut fates = Vec::new();
    for (judged, fate) in reap::reap(&survey.judged, dry_run) {
        let what = describe(judged, survey, users);
        match fate {
            Fate::Removed => info!("removed {what}"),
            Fate::WouldRemove => info!("would remove {what}"),
            Fate::Gone => debug!("already gone: {what}"),
            Fate::Changed => info!("keeps {what}: it changed after it was judged"),
            Fate::Refused(e) => warn!("could not remove {what}: {e:?} ({})", e.desc()),
        }
        fates.push(fate);
    }
    fates
}

fn describe(judged: &Judged, survey: &Survey, users: &[Guarded]) -> String {
    let set = &judged.set;
    let pid = judged.evidence.probe.map_or(0, |p| p.last_pid);
    format!(
        "semaphore set {} of {}, last pid {pid}, age {}",
        set.id,
        users.iter().find(|u| u.uid == set.uid).map_or_else(String::new, ToString::to_string),
        age(survey.clock.now.0 - set.ctime.0)
    )
}

/// Tries a set of the guard's own, where there is room for it and it can teach something.
fn try_one(report: &Report, survey: &Survey, room: i64) -> Trial {
    if report.need.at_most == 0 {
        return Trial::Skipped("httpd needs no semaphore set");
    }
    if room < report.need.at_least {
        return Trial::Skipped("the limits leave too little room anyway");
    }
    let now = if report.dry_run || report.command == Command::Check {
        survey.capacity.room().sets
    } else {
        room
    };
    if now < 1 {
        return Trial::Skipped("there is no room for it before the removals");
    }
    // Beside a httpd that may be starting at this moment, a check takes no last place.
    if report.command == Command::Check && now < 2 {
        return Trial::Skipped("it would take the last place");
    }
    if !geteuid().is_root() && !report.users.iter().any(|u| u.uid == geteuid()) {
        return Trial::Skipped("neither root nor httpd's user makes it");
    }
    match report.users.first() {
        Some(user) => trial::run(user),
        None => Trial::Skipped("there is no user to give it to"),
    }
}
