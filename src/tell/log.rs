//! The log, as one of the formats: what happened, what fails, what is in doubt, what deserves
//! attention; with `-v`, how the answer was found.

use log::Level;

use crate::decide::forecast::{Failure, Forecast};
use crate::decide::message::{self, Situation};
use crate::facts::capacity::Limit;
use crate::facts::error::strerror;
use crate::facts::event::{Event, LOCK_FILE};
use crate::facts::message::Message;
use crate::facts::mutex::{self, Mechanism};
use crate::facts::need::sets;
use crate::facts::request::Command;
use crate::facts::row::{Holder, Outcome, Row};
use crate::facts::table::Table;
use crate::facts::time::age;
use crate::facts::trial::Trial;
use crate::facts::users::Source;
use crate::facts::verdict::{Reason, Verdict};
use crate::tell::report::{Filling, Report};
use crate::tell::words::why;

/// How many owners are named of those who hold the table.
const MOST_HOLDERS: usize = 6;

/// Removed sets that the log names one by one: a journal that got 32,000 lines at once would drop
/// most of them.
const MOST_NAMED: usize = 20;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One line.
    Line(String),
    /// A message of several.
    Message(Message),
}

impl Entry {
    /// The lines of the entry, as every log takes them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Entry::Line(line) => vec![line.clone()],
            Entry::Message(message) => lines(message),
        }
    }
}

/// The parts of a message behind its headline: each with its label, and whether it may be typed.
#[must_use]
pub fn parts(message: &Message) -> Vec<(&'static str, bool, String)> {
    let mut parts = Vec::new();
    for (i, why) in message.why.iter().enumerate() {
        parts.push((if i == 0 { "why:" } else { "" }, false, why.clone()));
    }
    for (i, remedy) in message.remedies.iter().enumerate() {
        parts.push((if i == 0 { "do:" } else { "" }, true, remedy.to_string()));
    }
    parts
}

/// The lines of a message.
#[must_use]
pub fn lines(message: &Message) -> Vec<String> {
    let parts = parts(message).into_iter();
    let behind = parts.map(|(label, _, text)| format!("  {label:<5} {text}"));
    std::iter::once(message.headline.clone()).chain(behind).collect()
}

/// The entries for the log, each with its level.
#[must_use]
pub fn entries(report: &Report, verbose: bool) -> Vec<(Level, Entry)> {
    let mut entries = Vec::new();
    let mut say = |level, line: String| entries.push((level, Entry::Line(line)));
    if verbose {
        found(report).into_iter().for_each(|line| say(Level::Debug, line));
    }
    for event in report.events.iter().filter(|event| !event.is_warning()) {
        say(if is_detail(event, report) { Level::Debug } else { Level::Info }, happened(event));
    }
    if let Some(table) = &report.table {
        removals(report, table, verbose).into_iter().for_each(|(level, line)| say(level, line));
    }
    if let Some(reason) = unheard(report) {
        let assumed = match report.command {
            Command::List => String::new(),
            _ => format!("; taking it to need {}", report.input.need),
        };
        let users: Vec<String> = report.users.iter().map(ToString::to_string).collect();
        let whose = match report.source {
            Source::Account => {
                format!(
                    "; looking after {}, {} (--user names another)",
                    users.join(", "),
                    report.source
                )
            }
            Source::Given | Source::Httpd => String::new(),
        };
        say(Level::Warn, format!("{reason}{assumed}{whose}"));
    }
    if let (true, Some(table)) = (verbose, &report.table) {
        details(report, table).into_iter().for_each(|line| say(Level::Debug, line));
    }
    if let Some(message) = message(report) {
        let level = match report.forecast {
            Some(Forecast::AtRisk) if !report.strict => Level::Warn,
            _ => Level::Error,
        };
        entries.push((level, Entry::Message(message)));
    }
    entries.extend(warnings(report).into_iter().map(|line| (Level::Warn, Entry::Line(line))));
    entries
}

/// Whether it is only for whoever wants to know all. A healthy start has one line, whatever its
/// settings are; who looks is told what the answer goes by.
fn is_detail(event: &Event, report: &Report) -> bool {
    let is_start = report.command == Command::Guard && !report.dry_run;
    event.is_routine() || (is_start && matches!(event, Event::SettingTaken(_)))
}

/// The entries for what happened in a run that has found no answer.
#[must_use]
pub fn of_events(events: &[Event]) -> Vec<(Level, Entry)> {
    let level = |event: &Event| if event.is_warning() { Level::Warn } else { Level::Info };
    events.iter().map(|event| (level(event), Entry::Line(happened(event)))).collect()
}

/// The message of a start that fails or is at risk.
#[must_use]
pub fn message(report: &Report) -> Option<Message> {
    let table = report.table.as_ref();
    let holders = table.map_or_else(String::new, |t| holders(&t.holders, report));
    let situation = Situation {
        input: &report.input,
        demand: report.heard.demand(),
        holders: &holders,
        removable: match table {
            Some(t) if report.is_for_the_table_as_it_is() => t.orphans().count(),
            _ => 0,
        },
        undecided: table.and_then(Table::undecided),
    };
    match report.forecast.as_ref()? {
        Forecast::Fails(failure) => Some(message::words(failure, &situation)),
        Forecast::AtRisk => Some(message::at_risk(&situation)),
        Forecast::Starts => None,
    }
}

/// Why httpd gave no answer, unless that is the very thing that the forecast says.
#[must_use]
pub fn unheard(report: &Report) -> Option<String> {
    let said = matches!(report.forecast, Some(Forecast::Fails(Failure::MutexDirectory(_))));
    let reason = report.heard.no_answer().filter(|_| !said)?;
    Some(format!("httpd was not heard: {reason}"))
}

/// What deserves attention beside the forecast.
#[must_use]
pub fn warnings(report: &Report) -> Vec<String> {
    let events = report.events.iter().filter(|event| event.is_warning());
    let mut warnings: Vec<String> = events.map(happened).collect();
    let Some(table) = &report.table else { return warnings };
    warnings.extend(refused_removals(table));
    if report.forecast == Some(Forecast::Starts) {
        if let Some(odd) = report.oddity().filter(|_| report.matters_oddly()) {
            warnings.push(format!("kernel.sem is \"{}\": {odd}", table.left.limits));
        }
        warnings.extend(report.filling().map(filling));
        warnings.extend(last_places(report, table));
    }
    if report.forecast.is_some() {
        warnings.extend(doubt(table));
    }
    let refused = table.refused();
    if refused > 0 {
        warnings.push(format!(
            "{} of the guarded users could not be looked at, and stay: run as root or as their \
             owner",
            sets(count(refused))
        ));
    }
    if table.unreadable > 0 {
        warnings.push(format!(
            "{} could not be read, and whose they are is not known: run as root",
            sets(count(table.unreadable))
        ));
    }
    warnings
}

/// What happened beside the answer.
fn happened(event: &Event) -> String {
    let because = |e| format!("{e:?} ({})", strerror(e));
    match *event {
        Event::WithoutLock(e) => format!(
            "going on without the lock {LOCK_FILE}: {}; another guard may run at this time",
            because(e)
        ),
        Event::TableUnreadable(call, e) => format!(
            "{call}: {}; httpd makes no semaphore set, so its start does not depend on it",
            because(e)
        ),
        Event::LeftoverRemoved(id) => {
            format!("removed set {id}, the trial set of a guard that was killed")
        }
        Event::LeftoverStays(id, e) => {
            format!("the trial set {id} of a killed guard stays: IPC_RMID says {}", because(e))
        }
        Event::Unguarded(name, n) => format!(
            "{} of httpd's form are {name}'s, whose sets are not looked at: if httpd runs as {name}, \
             give --user {name}",
            sets(count(n))
        ),
        Event::NumberingMovedOn(from, to) => format!(
            "moved the kernel's numbering of sets on, from {from} to {to}: larger numbers tell more"
        ),
        Event::StayedAs(uid, e) => {
            format!("going on as uid {uid}: setresuid says {} to the way back", because(e))
        }
        Event::SettingInDoubt(ref complaint) => complaint.to_string(),
        Event::SettingTaken(ref setting) => format!("goes by {setting}"),
        Event::TableOf(ref who) => {
            format!("{who} has an IPC namespace of its own: this is about the table there")
        }
        Event::TableOfUnit(ref unit) => format!(
            "{unit} starts httpd in an IPC namespace of its own (PrivateIPC=): this is about a new one"
        ),
        Event::TableOfNobody(ref who, e) => format!(
            "{who} has an IPC namespace of its own, which cannot be looked into from here ({}): this \
             table is not its, and what it would meet at a start is not known; a check of root's, \
             outside of a sandbox, can look",
            because(e)
        ),
        Event::NobodyGuarded(ref e) => format!("{e}: {}; no set was looked at", e.hint()),
        Event::TableUnknown(ref e) => {
            format!("{e}: {}; whether there is room is not known", e.hint())
        }
        Event::StateUnused(why) => format!("what was learnt of earlier starts is not used: {why}"),
        Event::StateNotKept(e) => {
            format!("what this run showed of httpd's starts is not kept: {}", because(e))
        }
    }
}

/// Orphans that could not be removed.
fn refused_removals(table: &Table) -> Option<String> {
    let mut refused = table.refused_removals();
    let first = refused.next()?;
    let Some(Outcome::Refused(e)) = first.outcome else { return None };
    Some(format!(
        "could not remove {} that a dead httpd left: {e:?} ({}) for {}",
        sets(count(1 + refused.count())),
        strerror(e),
        first.set.id
    ))
}

/// What was removed, or would be; with `-v` whatever became of an orphan.
fn removals(report: &Report, table: &Table, verbose: bool) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    let mut done = 0;
    for row in &table.rows {
        let Some(outcome) = row.outcome else { continue };
        let pid = row.evidence.last().map_or(0, |last| last.number);
        let old = age(table.world.clock.now.0 - row.set.ctime.0);
        let owner = report.user(row.set.uid);
        let what = format!("semaphore set {} of {owner}, last pid {pid}, age {old}", row.set.id);
        match outcome {
            Outcome::Removed | Outcome::WouldRemove => {
                done += 1;
                let verb = verb(outcome);
                if verbose || done <= MOST_NAMED {
                    lines.push((Level::Info, format!("{verb} {what}")));
                }
            }
            Outcome::Changed => {
                lines.push((Level::Info, format!("keeps {what}: it changed after it was judged")));
            }
            Outcome::Gone => lines.push((Level::Debug, format!("already gone: {what}"))),
            Outcome::Refused(e) => {
                let line = format!("could not remove {what}: {e:?} ({})", strerror(e));
                lines.push((Level::Debug, line));
            }
        }
    }
    if done > MOST_NAMED && !verbose {
        let verb = verb(if report.dry_run { Outcome::WouldRemove } else { Outcome::Removed });
        lines.push((Level::Info, format!("{verb} {} more (-v names each)", done - MOST_NAMED)));
    }
    lines
}

fn verb(outcome: Outcome) -> &'static str {
    if outcome == Outcome::WouldRemove { "would remove" } else { "removed" }
}

/// With `-v`: what was asked, and what was found.
fn found(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let users: Vec<String> = report.users.iter().map(ToString::to_string).collect();
    lines.push(format!("users: {} ({})", users.join(", "), report.source));
    if let Some(answer) = report.heard.answer() {
        lines.push(format!("asked: {}", answer.control.display()));
        if !answer.has_config {
            lines.push("it could not load mod_info, so its directives are not known".into());
        }
    }
    if let Some(table) = &report.table {
        let (limits, usage) = (&table.found.limits, &table.found.usage);
        lines.push(format!(
            "found: {} sets with {} semaphores; kernel.sem is \"{limits}\"",
            usage.sets, usage.semaphores
        ));
    }
    lines
}

/// With `-v`: how the answer was found.
fn details(report: &Report, table: &Table) -> Vec<String> {
    if report.forecast.is_none() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for row in table.rows.iter().filter(|row| !row.is_orphan()) {
        let owner = report.user(row.set.uid);
        lines.push(format!("keeps set {} of {owner}: {}", row.set.id, why(&row.verdict)));
    }
    lines.push(format!("need: {}", report.input.need));
    for row in report.heard.demand().iter().flat_map(|d| &d.rows) {
        lines.push(format!("need: {}", demanded(row)));
    }
    lines.push(match report.input.trial {
        Trial::Passed => "trial: a set could be made and removed".into(),
        Trial::Refused(call, e) => format!("trial: {call} says {e:?}"),
        Trial::Disturbed => {
            "trial: another program holds or took its key; nothing was learnt".into()
        }
        Trial::Skipped(reason) => format!("trial: none, {reason}"),
    });
    lines
}

/// "proxy: 1 by sysvsem (mod_proxy)".
fn demanded(row: &mutex::Mutexes) -> String {
    let number = if row.least == row.most {
        row.most.to_string()
    } else {
        format!("{} to {}", row.least, row.most)
    };
    let mechanism = row.mechanism.map_or("an unknown mechanism", Mechanism::name);
    format!("{}: {number} by {mechanism} ({})", row.mutex, row.cause)
}

/// A limit that will soon be reached.
fn filling(f: Filling) -> String {
    let what = match f.limit {
        Limit::Semmns => "semaphores in all sets",
        _ => "semaphore sets",
    };
    let percent = f.used.saturating_mul(100) / f.most.max(1);
    format!(
        "the table is filling: {} of {} {what} are in use ({percent} %, {}): ipcs -s shows whose, \
         sysctl kernel.sem the limits",
        f.used, f.most, f.limit
    )
}

/// Sets that stay for want of sight, not because anybody is known to use them.
fn doubt(table: &Table) -> Option<String> {
    let blind = |row: &&Row| {
        let unseen = matches!(row.verdict, Verdict::Keep(Reason::Blind(_) | Reason::Unseen));
        unseen && !row.is_refused()
    };
    let mut blind = table.rows.iter().filter(blind);
    let first = blind.next()?;
    Some(format!("keeps {}: {}", sets(count(1 + blind.count())), why(&first.verdict)))
}

/// What is to be said before undecided sets fill the table: this start is fine, and if its httpd is
/// killed the next one is not.
fn last_places(report: &Report, table: &Table) -> Option<String> {
    let (count, who) = table.undecided()?;
    let need = &report.input.need;
    let left = table.left.room().sets - need.at_most;
    let starts = report.command == Command::Guard && table.running.is_none();
    (starts && left < need.at_least).then(|| {
        format!(
            "the next start is at risk: after this one {} can be made, and {count} stay undecided \
             while {who} lives, whose memory could not be read in full: raise kernel.sem, or see \
             \"httpd-semguard list\"",
            sets(left.max(0))
        )
    })
}

/// "14 of postgres (26), used by postgres 811; 1 of root (0)".
fn holders(holders: &[Holder], report: &Report) -> String {
    let words = holders.iter().take(MOST_HOLDERS).map(|h| {
        let owner = report.user(h.uid);
        match &h.living {
            Some(p) => format!("{} of {owner}, used by {p}", h.sets),
            None if h.unknown => format!("{} of {owner}, who cannot be looked at", h.sets),
            None => format!("{} of {owner}", h.sets),
        }
    });
    let mut words: Vec<String> = words.collect();
    if holders.len() > MOST_HOLDERS {
        words.push(format!("and {} more owners", holders.len() - MOST_HOLDERS));
    }
    words.join("; ")
}

/// A number of things as a signed figure, like all others.
#[must_use]
pub fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
