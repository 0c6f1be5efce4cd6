//! Everything that is known of one set, rule by rule as `verdict` asked, and how to remove it by
//! hand, for those who know better.

use std::io::{self, Write};

use crate::decide::verdict::{LAUNCH_WINDOW, Standing, is_leader, standings};
use crate::facts::evidence::LastPid;
use crate::facts::process::{Kind, Process};
use crate::facts::row::Judged;
use crate::facts::set::SemId;
use crate::facts::time::{WallTime, age, rfc3339};
use crate::facts::verdict::{Mismatch, Reason, Verdict};
use crate::tell::list::last_pid;
use crate::tell::log::why;
use crate::tell::report::{Report, Table};
use crate::tell::screen::{DOUBTFUL, GOOD, HEADING, Screen};

/// Writes the evidence on a set.
///
/// # Errors
/// Those of the writer.
pub fn write(
    j: &Judged,
    report: &Report,
    table: &Table,
    screen: &Screen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let id = j.set.id;
    let (style, verdict) = match &j.verdict {
        Verdict::Orphan => (DOUBTFUL, "orphan"),
        Verdict::Keep(_) => (GOOD, "keep"),
    };
    let title = format!("semaphore set {id} of {}: ", report.user(j.set.uid));
    writeln!(out, "{}{}", screen.paint(HEADING, &title), screen.paint(style, verdict))?;
    for (number, sentence) in evidence(j, report, table).iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, screen.wrap(sentence, 5))?;
    }
    writeln!(out, "{} {}", screen.paint(HEADING, "so:"), screen.wrap(&conclusion(j), 4))?;
    writeln!(out, "{} {}", screen.paint(HEADING, "by hand:"), by_hand(id))?;
    writeln!(
        out,
        "  {}",
        screen.wrap(
            "Nothing brings it back. A process that still uses it fails at its next semop(2); a \
             httpd then logs AH00144, and its workers die.",
            2
        )
    )
}

/// The command that removes a set whatever this program thinks of it.
#[must_use]
pub fn by_hand(id: SemId) -> String {
    format!("ipcrm -s {id}")
}

/// What follows from the evidence.
#[must_use]
pub fn conclusion(j: &Judged) -> String {
    match &j.verdict {
        Verdict::Orphan => "nobody who lives can know it. httpd-semguard guard removes it.".into(),
        Verdict::Keep(_) => format!("it stays. Why: {}.", why(j)),
    }
}

/// The evidence as sentences, in the order of the verdict table, down to the row that decided.
#[must_use]
pub fn evidence(j: &Judged, report: &Report, table: &Table) -> Vec<String> {
    let now = table.world.clock.now;
    let mut said = vec![form(j, report), times(j, now)];
    let decided = match &j.verdict {
        Verdict::Orphan => 6,
        Verdict::Keep(reason) => match reason {
            Reason::NotHttpds(_) => 0,
            Reason::Blind(_) => 1,
            Reason::Waiters { .. } | Reason::Locked { .. } => 2,
            Reason::Unseen => 3,
            Reason::LastPidLives(_) => 4,
            Reason::MayBelongToHttpd(_) | Reason::MayBelongTo(_) => 5,
        },
    };
    if decided >= 1 {
        said.push(sight(j));
    }
    if decided >= 2 {
        said.extend(use_now(j));
    }
    if decided >= 3 {
        said.push(last_user(j, now));
    }
    if decided >= 5 {
        said.extend(who_may_know(j, table));
    }
    said
}

/// The first row: does it look like a mutex of httpd's?
fn form(j: &Judged, report: &Report) -> String {
    let creator = report.user(j.set.cuid);
    match crate::decide::verdict::mismatch(&j.set) {
        None => format!(
            "It looks like a mutex of httpd's: no key, one semaphore, mode 0600, made by {creator}."
        ),
        Some(Mismatch::Creator(_)) => format!(
            "It is no mutex of httpd's: {creator} made it, who is neither root nor its owner."
        ),
        Some(m) => format!("It is no mutex of httpd's: {m}. It was made by {creator}."),
    }
}

fn times(j: &Judged, now: WallTime) -> String {
    let used = match j.set.otime {
        None => "It was never used: no semop(2) and no undo.".to_owned(),
        Some(otime) => format!("It was last used {}.", ago(otime, now)),
    };
    format!("It was made, or last set up, {}. {used}", ago(j.set.ctime, now))
}

fn ago(time: WallTime, now: WallTime) -> String {
    let at = rfc3339(time).unwrap_or_else(|| format!("second {}", time.0));
    format!("{} ago ({at})", age(now.0 - time.0))
}

/// The second row: was enough seen?
fn sight(j: &Judged) -> String {
    match &j.verdict {
        Verdict::Keep(Reason::Blind(doubt)) => format!("Not enough can be seen: {doubt}."),
        _ => "The kernel told its value, and /proc showed all processes that matter.".into(),
    }
}

/// The third row: is it in use at this moment?
fn use_now(j: &Judged) -> Option<String> {
    let lock = j.evidence.probe.ok()?.lock?;
    let locked = if lock.value == 0 { "It is locked (value 0)" } else { "It is not locked" };
    let waiting = match (lock.waiters, &j.evidence.inside) {
        (0, None) => "nobody waits for it".to_owned(),
        (n, None) => format!("{n} wait for it"),
        (n, Some(p)) => format!("{} wait for it, {p} among them", n.max(1)),
    };
    Some(format!("{locked}, and {waiting}."))
}

/// The fourth and fifth row: who touched it last?
fn last_user(j: &Judged, now: WallTime) -> String {
    match &j.evidence.last_pid {
        LastPid::Unseen => {
            "Nobody is known to have touched it last: it was a process of another PID \
                            namespace, or none."
                .into()
        }
        LastPid::Dead(pid) => format!(
            "Process {pid} touched it last, and lives no more. (That alone proves nothing: a \
             healthy httpd has sets whose maker is dead.)"
        ),
        LastPid::Living(p) => {
            let since = format!("{}, which lives since {}", p.named, ago(p.start, now));
            match &j.verdict {
                Verdict::Keep(Reason::LastPidLives(_)) => {
                    format!("It was touched last by {since}.")
                }
                _ => format!(
                    "Its last pid now is {since}: a later process with the same number, for it may \
                     not touch the set."
                ),
            }
        }
        LastPid::Hidden(pid) => format!("Process {pid} touched it last; /proc hides it."),
        LastPid::NotAsked => match last_pid(j) {
            Some(pid) => format!("Process {pid} touched it last."),
            None => "Who touched it last is not known.".into(),
        },
    }
}

/// The last rows: everybody who could know it, and why he does or does not.
fn who_may_know(j: &Judged, table: &Table) -> Vec<String> {
    let now = table.world.clock.now;
    let standings = standings(&j.set, &table.world);
    let whom = if j.set.cuid.is_root() { "httpd" } else { "process of its owner" };
    let mut said = Vec::new();
    let mut forked = 0;
    for (process, standing) in &standings {
        match standing {
            Standing::NotInQuestion => {}
            Standing::ForkedBy(_) => forked += 1,
            standing => said.push(stands(process, standing, now)),
        }
    }
    if said.is_empty() {
        return vec![format!("No {whom} lives that could know it.")];
    }
    match forked {
        0 => {}
        1 => {
            said.push("One more was forked by a httpd named here, and knows nothing beyond.".into())
        }
        n => said
            .push(format!("{n} more were forked by a httpd named here, and know nothing beyond.")),
    }
    said
}

fn stands(process: &Process, standing: &Standing, now: WallTime) -> String {
    let kind = match (process.kind, is_leader(process)) {
        (Kind::Httpd, true) => "leads a httpd",
        (Kind::Httpd, false) => "is a httpd that leads nothing, as a worker without its parent",
        (Kind::Other, _) => "runs as its owner",
        (Kind::Unreadable, _) => "runs what cannot be read, perhaps a httpd",
    };
    let who = format!("{} {kind}, since {}", process.named, ago(process.start, now));
    let hours = LAUNCH_WINDOW / 3600;
    match standing {
        Standing::Unbounded => format!("{who}. It may know the set: nothing bounds what it knows."),
        Standing::ClockStepped => {
            format!("{who}. It may know the set: the clock was set since, so no time counts.")
        }
        Standing::InTime => format!("{who}. It may know the set: its times allow it."),
        Standing::TooYoung => {
            format!(
                "{who}. It does not know the set, which was made more than {hours} hours before."
            )
        }
        Standing::MadeByAnother => format!(
            "{who}. It does not know the set, which was made later, by another, and never used."
        ),
        Standing::NotInQuestion | Standing::ForkedBy(_) => who,
    }
}
