//! The story of one run: look, judge, remove, count the room, try, forecast. Everything happens in
//! the order in which it stands here.

use std::path::Path;
use std::time::Duration;

use log::{Level, debug, info, log_enabled, warn};
use nix::errno::Errno;
use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::act::resources;
use crate::act::{reap, trial};
use crate::cli::Options;
use crate::decide::demand;
use crate::decide::forecast::{Failure, Forecast, Outlook, forecast};
use crate::facts::capacity::Capacity;
use crate::facts::error::{Error, strerror};
use crate::facts::heard::Heard;
use crate::facts::need::Need;
use crate::facts::printable::printable;
use crate::facts::request::{Command, Format};
use crate::facts::row::{Fate, Judged, Running};
use crate::facts::set::SemId;
use crate::facts::time::age;
use crate::facts::trial::Trial;
use crate::facts::users::{Guarded, Names};
use crate::look::httpd::ask::Question;
use crate::look::survey::{Questions, Scope, Survey};
use crate::look::{httpd, survey, sysv, users};
use crate::tell::report::{Report, Table, View};

/// Removed sets that the log names one by one.
const MOST_NAMED: usize = 20;

/// One run, from the options to the report.
///
/// # Errors
/// What keeps it from an answer: [`Error`].
pub fn run(options: &Options) -> Result<Report, Error> {
    let time = crate::look::clock::now().map_err(|e| Error::Kernel("clock_gettime", e))?.now;
    let heard = ask_httpd(options);
    let (users, source) = users::guarded(&options.user, heard.user(), heard.further_users())?;
    let named: Vec<String> = users.iter().map(ToString::to_string).collect();
    debug!("users: {} ({source})", named.join(", "));
    let need = heard.need(options.need);

    let removes = options.command == Command::Guard && !options.dry_run;
    if removes {
        take_lock();
    }
    let scope = Scope {
        uids: users.iter().map(|u| u.uid).collect(),
        private_ipc: options.private_ipc,
        httpd: options.httpd.clone(),
        pid_file: heard.pid_file().map(Path::to_path_buf),
        questions: match options.command {
            Command::List => Questions::All,
            Command::Guard if removes => Questions::Removal,
            _ => Questions::Verdict,
        },
    };
    let mut unread = false;
    let mut survey = match survey::take(&scope) {
        Ok(survey) => Some(survey),
        Err(Error::Kernel(_, Errno::ENOSYS)) if !sysv::built_in() => None,
        Err(e) if need.at_most == 0 && options.command != Command::List => {
            warn!("{e}; httpd makes no semaphore set, so its start does not depend on it");
            unread = true;
            None
        }
        Err(e) => return Err(e),
    };
    if let Some(id) = options.explain.map(SemId) {
        let here = |s: &Survey| s.judged.iter().any(|j| j.set.id == id);
        survey.as_ref().filter(|s| here(s)).ok_or(Error::NoSuchSet(id, named.join(", ")))?;
    }
    if let Some(Survey { capacity: Capacity { limits, usage }, .. }) = &survey {
        let (sets, semaphores) = (usage.sets, usage.semaphores);
        debug!("found: {sets} sets with {semaphores} semaphores; kernel.sem is \"{limits}\"");
    }
    if let (true, Some(survey)) = (removes, &mut survey) {
        remove_leftover_trial(survey);
    }
    let fates = match (&mut survey, options.command) {
        (Some(survey), Command::Guard) => remove_orphans(survey, &users, options.dry_run),
        _ => Vec::new(),
    };
    let after = match &survey {
        Some(_) if removes => Some(survey::capacity()?),
        Some(survey) if options.dry_run => {
            let orphans = survey.judged.iter().filter(|j| j.is_orphan()).count();
            Some(survey.capacity.without(orphans))
        }
        Some(survey) => Some(survey.capacity),
        None => None,
    };

    let mut trial = Trial::Skipped("nothing is to be forecast");
    let mut shortage = None;
    let mut prospect = None;
    if options.command != Command::List {
        trial = try_one(options, &users, &need, survey.as_ref(), after.as_ref());
        shortage =
            heard.demand().zip(users.first()).and_then(|(d, user)| resources::shortage(d, user));
        let running = survey.as_ref().and_then(|s| s.running.as_ref());
        prospect = Some(match heard.mutex_directory() {
            Some(argument) => Forecast::Fails(Failure::MutexDirectory(argument)),
            None => forecast(&Outlook {
                capacity: after.as_ref(),
                need: &need,
                returned: Running::returned(running),
                min_free: options.min_free.into(),
                trial,
                shortage: shortage.as_ref(),
            }),
        });
    }
    let holders = match prospect {
        None | Some(Forecast::Starts) => Vec::new(),
        Some(_) => survey::holders(),
    };
    let table = survey.zip(after).map(|(survey, after)| Table {
        before: survey.capacity,
        after,
        unreadable: survey.unreadable,
        judged: survey.judged,
        running: survey.running,
        fates,
        holders,
        world: survey.world,
    });
    Ok(Report {
        command: options.command,
        dry_run: options.dry_run,
        strict: options.strict,
        by_root: geteuid().is_root(),
        time,
        kernel: uname()
            .map_or_else(|_| String::new(), |u| printable(&u.release().to_string_lossy())),
        names: names(options, &users, table.as_ref()),
        users,
        source,
        table,
        unread,
        need,
        min_free: options.min_free.into(),
        demand: heard.demand().cloned(),
        control: heard.control().map(Path::to_path_buf),
        no_answer: heard.no_answer().cloned(),
        shortage,
        trial,
        forecast: prospect,
        view: View {
            orphans: options.orphans,
            sort: options.sort,
            explain: options.explain.map(SemId),
        },
    })
}

/// Asks httpd what it will make and whom it runs as, where there is reason to.
fn ask_httpd(options: &Options) -> Heard {
    let only_users = options.command == Command::List;
    if options.no_ask || (only_users && !options.user.is_empty()) {
        return Heard::NotAsked;
    }
    let patience = Duration::from_secs(options.ask_timeout.into());
    let question = Question::new(options.httpd.clone(), options.httpd_args.clone(), patience);
    let heard = match httpd::ask(&question, demand::depends_on_build) {
        Ok(told) => Heard::Answered(Box::new(demand::answer(told))),
        Err(why) => Heard::Refused(why),
    };
    if let Some(a) = heard.answer() {
        debug!("asked: {}", a.control.display());
        if !a.has_config {
            debug!("it could not load mod_info, so its directives are not known");
        }
    }
    heard
}

fn take_lock() {
    if let Err(e) = reap::lock() {
        let errno = Errno::from_raw(e.raw_os_error().unwrap_or(0));
        warn!(
            "going on without the lock {}: {errno:?} ({}); another guard may run at this time",
            reap::LOCK_FILE,
            strerror(errno)
        );
    }
}

/// Removes the trial set of a guard that was killed half way. (The capacity that the forecast is
/// for is read afterwards.)
fn remove_leftover_trial(survey: &mut Survey) {
    let Some(id) = survey.leftover else { return };
    match crate::act::sysv::remove(id) {
        Ok(()) => info!("removed set {id}, the trial set of a guard that was killed"),
        Err(Errno::EINVAL | Errno::EIDRM) => {}
        Err(e) => {
            return warn!("the trial set {id} of a killed guard stays: IPC_RMID says {e:?}");
        }
    }
    survey.judged.retain(|j| j.set.id != id);
}

/// Removes the orphans, and logs each; a dry run goes the same way.
fn remove_orphans(survey: &mut Survey, users: &[Guarded], dry_run: bool) -> Vec<(SemId, Fate)> {
    let mut fates = Vec::new();
    // A journal that got 32,000 lines at once would drop most of them.
    let (mut done, mut refused) = (0, 0);
    let all = log_enabled!(Level::Debug);
    for (place, fate) in reap::reap(&mut survey.judged, dry_run) {
        let judged = &survey.judged[place];
        fates.push((judged.set.id, fate));
        match fate {
            Fate::Removed | Fate::WouldRemove => done += 1,
            Fate::Refused(_) => refused += 1,
            Fate::Gone | Fate::Changed => {}
        }
        let named =
            all || if matches!(fate, Fate::Refused(_)) { refused } else { done } <= MOST_NAMED;
        if !named {
            continue;
        }
        let what = describe(judged, survey, users);
        match fate {
            Fate::Removed => info!("removed {what}"),
            Fate::WouldRemove => info!("would remove {what}"),
            Fate::Gone => debug!("already gone: {what}"),
            Fate::Changed => info!("keeps {what}: it changed after it was judged"),
            Fate::Refused(e) => warn!("could not remove {what}: {e:?} ({})", strerror(e)),
        }
    }
    if done > MOST_NAMED && !all {
        let what = if dry_run { "would remove" } else { "removed" };
        info!("{what} {} more (-v names each)", done - MOST_NAMED);
    }
    if refused > MOST_NAMED && !all {
        warn!("could not remove {} more (-v names each)", refused - MOST_NAMED);
    }
    fates.sort_unstable_by_key(|(id, _)| *id);
    fates
}

/// The names of everybody whom the report speaks of. Nobody is looked up who is not spoken of: a
/// user database may be far away, and httpd waits.
fn names(options: &Options, users: &[Guarded], table: Option<&Table>) -> Names {
    let mut names: Names = users.iter().map(|u| (u.uid, u.name.clone())).collect();
    let Some(table) = table else { return names };
    if options.command == Command::List || options.format == Format::Json {
        users::look_up(&mut names, table.judged.iter().map(|j| j.set.cuid));
    }
    users::look_up(&mut names, table.holders.iter().map(|h| h.uid));
    names
}

fn describe(judged: &Judged, survey: &Survey, users: &[Guarded]) -> String {
    let set = &judged.set;
    let pid = judged.evidence.probe.map_or(0, |p| p.last_pid);
    format!(
        "semaphore set {} of {}, last pid {pid}, age {}",
        set.id,
        users.iter().find(|u| u.uid == set.uid).map_or_else(String::new, ToString::to_string),
        age(survey.world.clock.now.0 - set.ctime.0)
    )
}

/// Tries a set of the guard's own, where there is room for it and it can teach something.
fn try_one(
    options: &Options,
    users: &[Guarded],
    need: &Need,
    survey: Option<&Survey>,
    after: Option<&Capacity>,
) -> Trial {
    let (Some(survey), Some(after), Some(user)) = (survey, after, users.first()) else {
        return Trial::Skipped("there are no semaphores to try");
    };
    if need.at_most == 0 {
        return Trial::Skipped("httpd makes no semaphore set");
    }
    let changes = options.command == Command::Guard && !options.dry_run;
    let now = if changes { after.room().sets } else { survey.capacity.room().sets };
    if now < 1 || after.room().sets < need.at_least {
        return Trial::Skipped("there is no room for one");
    }
    // Beside a httpd that may be starting at this moment, nobody who only looks takes the last
    // place.
    if !changes && now < 2 {
        return Trial::Skipped("it would take the last place");
    }
    if !geteuid().is_root() && !users.iter().any(|u| u.uid == geteuid()) {
        return Trial::Skipped("neither root nor httpd's user makes it");
    }
    trial::run(user)
}
