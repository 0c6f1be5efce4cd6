//! The log, as one of the formats: what happened, what fails, what is in doubt, and what needs
//! attention; with `-v`, also how the result was reached.

use log::Level;

use crate::decide::forecast::{Failure, Forecast};
use crate::decide::situation::Situation;
use crate::decide::{maker, message};
use crate::facts::capacity::{Limit, count};
use crate::facts::error::strerror;
use crate::facts::event::{Event, LOCK_FILE};
use crate::facts::message::Message;
use crate::facts::mutex::{self, Mechanism};
use crate::facts::need::sets;
use crate::facts::request::Command;
use crate::facts::row::{Holder, Outcome, Row, Undecided};
use crate::facts::set::Maker;
use crate::facts::table::Table;
use crate::facts::time::age;
use crate::facts::trial::Trial;
use crate::facts::users::Source;
use crate::facts::verdict::{Reason, Verdict};
use crate::tell::report::{Filling, Report};
use crate::tell::words::why;

/// How many owners of sets in the table are named.
const MOST_HOLDERS: usize = 6;

/// `systemctl status` shows ten lines, of which three are systemd's own.
const MOST_OF_A_TAIL: usize = 7;

/// How many owners of sets that are not httpd's are named.
const MOST_STRANGERS: usize = 4;

/// How many removed sets are logged individually: the journal would drop most of 32,000 lines that
/// arrive at once.
const MOST_NAMED: usize = 20;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One line.
    Line(String),
    /// A message of several lines.
    Message(Message),
}

impl Entry {
    /// The lines of the entry, as they go to every log.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Entry::Line(line) => vec![line.clone()],
            Entry::Message(message) => lines(message),
        }
    }
}

/// A line of a message, below its headline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part that begins here, "why:" or "do:"; otherwise empty.
    pub label: &'static str,
    /// The line.
    pub text: String,
    /// It can be pasted as it stands, so it is never wrapped; it is indented further.
    pub is_command: bool,
}

impl Part {
    /// What precedes the text: the label, or as many spaces.
    #[must_use]
    pub fn margin(&self) -> String {
        format!("  {:<5} {}", self.label, if self.is_command { "    " } else { "" })
    }
}

/// The lines of a message below its headline.
#[must_use]
pub fn parts(message: &Message) -> Vec<Part> {
    let mut parts = Vec::new();
    for (i, why) in message.why.iter().enumerate() {
        let label = if i == 0 { "why:" } else { "" };
        parts.push(Part { label, text: why.clone(), is_command: false });
    }
    for (i, remedy) in message.remedies.iter().enumerate() {
        let mut label = if i == 0 { "do:" } else { "" };
        if !remedy.remark.is_empty() {
            let colon = if remedy.command.is_some() { ":" } else { "" };
            let text = format!("{}{colon}", remedy.remark);
            parts.push(Part { label, text, is_command: false });
            label = "";
        }
        parts.extend(remedy.command.iter().map(|command| {
            let text = command.clone();
            Part { label, text, is_command: true }
        }));
    }
    parts
}

/// The lines of an entry, of which only the last ones may be seen: `systemctl status` shows ten lines,
/// and systemd's own lines about a failed start come after these. A message that is too long for that
/// repeats at its end what is wrong.
#[must_use]
pub fn lines_for_a_tail(entry: &Entry) -> Vec<String> {
    let mut lines = entry.lines();
    if let Entry::Message(message) = entry {
        if lines.len() > MOST_OF_A_TAIL {
            lines.push(message.brief.clone());
        }
    }
    lines
}

/// The lines of a message.
#[must_use]
pub fn lines(message: &Message) -> Vec<String> {
    let below = parts(message).into_iter().map(|part| format!("{}{}", part.margin(), part.text));
    std::iter::once(message.headline()).chain(below).collect()
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
            _ => format!("; assuming it needs {}", report.input.need.figures()),
        };
        let users: Vec<String> = report.users.iter().map(ToString::to_string).collect();
        let whose = match report.source {
            Source::Account => format!(
                "; guarding {} ({}; use --user to name another)",
                users.join(", "),
                report.source
            ),
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

/// Whether it is logged only with `-v`. A healthy start logs one line, whatever its settings are;
/// `check` and `list` also name the settings that take effect.
fn is_detail(event: &Event, report: &Report) -> bool {
    let is_start = report.command == Command::Guard && !report.dry_run;
    event.is_routine() || (is_start && matches!(event, Event::SettingTaken(_)))
}

/// The entries for what happened in a run without a result.
#[must_use]
pub fn of_events(events: &[Event]) -> Vec<(Level, Entry)> {
    let level = |event: &Event| if event.is_warning() { Level::Warn } else { Level::Info };
    events.iter().map(|event| (level(event), Entry::Line(happened(event)))).collect()
}

/// The message for a start that fails or is at risk.
#[must_use]
pub fn message(report: &Report) -> Option<Message> {
    let table = report.table.as_ref();
    let holders_in_words = table.map_or_else(String::new, |t| holders(&t.holders, report));
    let strangers = table.map_or_else(Vec::new, |t| strangers(&t.holders, report));
    let undecided = table.and_then(Table::undecided);
    let situation = Situation {
        input: &report.input,
        demand: report.heard.demand(),
        holders: &holders_in_words,
        strangers: &strangers,
        has_others: table.is_some_and(|t| has_others(&t.holders, report)),
        removable: match table {
            Some(t) if report.is_for_the_table_as_it_is() => t.orphans().count(),
            _ => 0,
        },
        guard: &report.guard,
        undecided: undecided.as_ref(),
        site: report.site.as_ref(),
        reserve: report.reserve.as_ref(),
        started_as: report.started_as.as_deref(),
    };
    match report.forecast.as_ref()? {
        Forecast::Fails(failure) => Some(message::words(failure, &situation)),
        Forecast::AtRisk => Some(message::at_risk(&situation)),
        Forecast::Starts => None,
    }
}

/// Why httpd gave no answer, unless the forecast says so already.
#[must_use]
pub fn unheard(report: &Report) -> Option<String> {
    let said = matches!(report.forecast, Some(Forecast::Fails(Failure::MutexDirectory(_))));
    let reason = report.heard.no_answer().filter(|_| !said)?;
    Some(format!("could not ask httpd what it needs: {reason}"))
}

/// What needs attention besides the forecast.
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
            "{} of the guarded users could not be examined: run as root or as the owner",
            sets(count(refused))
        ));
    }
    if table.unreadable > 0 {
        warnings.push(format!(
            "{} could not be read, and their owners are unknown: run as root",
            sets(count(table.unreadable))
        ));
    }
    warnings
}

/// What happened besides the result.
fn happened(event: &Event) -> String {
    let because = |e| format!("{e:?} ({})", strerror(e));
    match *event {
        Event::WithoutLock(e) => format!(
            "continuing without the lock {LOCK_FILE}: {}; another guard may be running",
            because(e)
        ),
        Event::TableUnreadable(call, e) => format!(
            "{call}: {}; httpd needs no semaphore set, so its start does not depend on it",
            because(e)
        ),
        Event::LeftoverRemoved(id) => {
            format!("removed set {id}, the trial set of a guard that was killed")
        }
        Event::LeftoverStays(id, e) => {
            format!(
                "could not remove {id}, the trial set of a guard that was killed: {}",
                because(e)
            )
        }
        Event::Unguarded(name, n) => format!(
            "{} of {name} look like httpd's, and {name} is not guarded: if httpd runs as {name}, use \
             --user {name}",
            sets(count(n))
        ),
        Event::NumberingMovedOn(from, to) => format!(
            "advanced the kernel's numbering of semaphore sets from {from} to {to}, since small numbers occur in \
             every process's memory"
        ),
        Event::StayedAs(uid, e) => {
            format!("continuing as uid {uid}: setresuid failed: {}", because(e))
        }
        Event::SettingInDoubt(ref complaint) => complaint.to_string(),
        Event::SettingTaken(ref setting) => format!("using {setting}"),
        Event::TableOf(ref who) => {
            format!("{who} has its own IPC namespace: examining the semaphore table there")
        }
        Event::TableOfUnit(ref unit) => format!(
            "{unit} starts httpd in its own IPC namespace (PrivateIPC=): examining the semaphore table of a \
             new one"
        ),
        Event::TableOfNobody(ref who, e) => format!(
            "{who} has its own IPC namespace, which cannot be entered from here ({}): the semaphore table \
             seen here is another one, and whether httpd would start is unknown; run the check as root, \
             outside any sandbox",
            because(e)
        ),
        Event::NobodyGuarded(ref e) => format!("{e}: {}; no set was examined", e.hint()),
        Event::TableUnknown(ref e) => {
            format!("{e}: {}; whether there is room is unknown", e.hint())
        }
        Event::StateUnused(why) => {
            format!("ignoring what earlier starts showed of httpd's need: {why}")
        }
        Event::StateNotKept(e) => {
            format!("what this run showed of httpd's need could not be saved: {}", because(e))
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

/// What was removed, or would be; with `-v`, what became of every orphan.
fn removals(report: &Report, table: &Table, verbose: bool) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    let mut done = 0;
    for row in &table.rows {
        let Some(outcome) = row.outcome else { continue };
        // Only built for sets that are named: there may be 32,000.
        let what = || {
            let pid = row.evidence.last().map_or(0, |last| last.number);
            let old = age(table.world.clock.now.0 - row.set.ctime.0);
            let owner = report.user(row.set.uid);
            format!("semaphore set {} of {owner}, last pid {pid}, age {old}", row.set.id)
        };
        match outcome {
            Outcome::Removed | Outcome::WouldRemove => {
                done += 1;
                if verbose || done <= MOST_NAMED {
                    lines.push((Level::Info, format!("{} {}", verb(outcome), what())));
                }
            }
            Outcome::Changed => {
                lines.push((
                    Level::Info,
                    format!("kept {}: it has changed in the meantime", what()),
                ));
            }
            Outcome::Gone if verbose => {
                lines.push((Level::Debug, format!("already gone: {}", what())));
            }
            Outcome::Refused(e) if verbose => {
                let line = format!("could not remove {}: {e:?} ({})", what(), strerror(e));
                lines.push((Level::Debug, line));
            }
            Outcome::Gone | Outcome::Refused(_) => {}
        }
    }
    if done > MOST_NAMED && !verbose {
        let verb = verb(if report.dry_run { Outcome::WouldRemove } else { Outcome::Removed });
        lines.push((Level::Info, format!("{verb} {} more (-v lists them all)", done - MOST_NAMED)));
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
            lines.push("it could not load mod_info, so its directives are unknown".into());
        }
    }
    if let Some(table) = &report.table {
        let (limits, usage) = (&table.found.limits, &table.found.usage);
        lines.push(format!(
            "found: {} with {} semaphores; kernel.sem is \"{limits}\"",
            sets(usage.sets),
            usage.semaphores
        ));
    }
    lines
}

/// With `-v`: how the result was reached.
fn details(report: &Report, table: &Table) -> Vec<String> {
    if report.forecast.is_none() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    // The outcome of an orphan, if there is one, has already been logged.
    for row in table.rows.iter().filter(|row| row.outcome.is_none()) {
        let owner = report.user(row.set.uid);
        let what = if row.is_orphan() { "orphaned set" } else { "kept set" };
        lines.push(format!("{what} {} of {owner}: {}", row.set.id, why(&row.verdict)));
    }
    lines.push(format!("need: {}", report.input.need));
    for row in report.heard.demand().iter().flat_map(|d| &d.rows) {
        lines.push(format!("need: {}", demanded(row)));
    }
    lines.push(match report.input.trial {
        Trial::Passed => "trial: a set could be made and removed".into(),
        Trial::Refused(call, e) => format!("trial: {call} failed: {e:?}"),
        Trial::Disturbed => "trial: inconclusive, another program holds or took its key".into(),
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
    let is = if f.used < f.most { "filling up" } else { "full" };
    format!(
        "the semaphore table is {is}: {} of {} {what} are in use ({percent}%, {}): \
         \"httpd-semguard list --all\" shows the owners, \"sysctl kernel.sem\" the limits",
        f.used, f.most, f.limit
    )
}

/// Sets that are kept because too little can be seen, not because anybody is known to use them.
fn doubt(table: &Table) -> Option<String> {
    let blind = |row: &&Row| {
        let unseen = matches!(row.verdict, Verdict::Keep(Reason::Blind(_) | Reason::Unseen));
        unseen && !row.is_refused()
    };
    let mut blind = table.rows.iter().filter(blind);
    let first = blind.next()?;
    Some(format!("kept {}: {}", sets(count(1 + blind.count())), why(&first.verdict)))
}

/// A warning before undecided sets fill the table: this start succeeds, but if the httpd it starts is
/// killed, the next one may not.
fn last_places(report: &Report, table: &Table) -> Option<String> {
    let Undecided { sets: undecided, process, .. } = table.undecided()?;
    let need = &report.input.need;
    let left = table.left.room().sets - need.at_most;
    let starts = report.command == Command::Guard && table.running.is_none();
    (starts && left < need.at_least).then(|| {
        format!(
            "the next start is at risk: after this one {} can be made, and {undecided} stay undecided while \
             {process} runs, whose memory could not be read in full: raise kernel.sem, or see \
             \"httpd-semguard list\"",
            sets(left.max(0))
        )
    })
}

/// Whether the table holds sets that are not httpd's, or belong to users who are not guarded.
fn has_others(holders: &[Holder], report: &Report) -> bool {
    let is_guarded = |h: &Holder| report.users.iter().any(|user| user.uid == h.uid);
    holders.iter().any(|h| !is_guarded(h) || h.maker != Maker::Httpd)
}

/// The sets that are not httpd's: whose they are, as far as their form tells, and how to remove them.
fn strangers(holders: &[Holder], report: &Report) -> Vec<String> {
    let words = |h: &Holder| {
        maker::words(h.maker, count(h.sets), &report.user(h.uid), h.first, h.living.is_some())
    };
    holders.iter().filter_map(words).take(MOST_STRANGERS).collect()
}

/// "14 of postgres (26), used by postgres 811; 1 of root (0)".
fn holders(holders: &[Holder], report: &Report) -> String {
    let words = holders.iter().take(MOST_HOLDERS).map(|h| {
        let owner = report.user(h.uid);
        match &h.living {
            Some(p) => format!("{} of {owner}, used by {p}", h.sets),
            None if h.unknown => format!("{} of {owner}, not accessible", h.sets),
            None => format!("{} of {owner}", h.sets),
        }
    });
    let mut words: Vec<String> = words.collect();
    if holders.len() > MOST_HOLDERS {
        words.push(format!("and {} more owners", holders.len() - MOST_HOLDERS));
    }
    words.join("; ")
}
