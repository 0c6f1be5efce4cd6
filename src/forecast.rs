//! Whether httpd's locks can be made: room × need → a forecast, and the words for it. Pure.

use std::fmt;

use nix::errno::Errno;

use crate::capacity::{self, Capacity, Limit};
use crate::trial::Trial;

/// How many semaphore sets httpd will make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// At least so many.
    pub at_least: i64,
    /// At most so many.
    pub at_most: i64,
    /// Where the figures come from.
    pub source: NeedSource,
}

/// Where a need comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedSource {
    /// Nothing is known: one accept lock by System V semaphore.
    Assumed,
    /// `--need`.
    Given,
}

impl Need {
    /// What is assumed where nothing is known: the accept lock.
    #[must_use]
    pub fn assumed() -> Need {
        Need { at_least: 1, at_most: 1, source: NeedSource::Assumed }
    }

    /// The administrator's figure.
    #[must_use]
    pub fn given(sets: u32) -> Need {
        Need { at_least: sets.into(), at_most: sets.into(), source: NeedSource::Given }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at_least == self.at_most {
            f.write_str(&sets(self.at_least))?;
        } else {
            write!(f, "{} to {}", self.at_least, sets(self.at_most))?;
        }
        f.write_str(match self.source {
            NeedSource::Assumed => " (assumed: the accept lock)",
            NeedSource::Given => " (--need)",
        })
    }
}

/// "1 set", "2 sets".
#[must_use]
pub fn sets(count: i64) -> String {
    format!("{count} semaphore set{}", if count == 1 { "" } else { "s" })
}

/// What will happen when httpd is started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Its locks can be made.
    Starts,
    /// There is room for what it needs at least, not for what it may need.
    AtRisk,
    /// It will fail.
    Fails(Failure),
}

/// Why it will fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This limit leaves too little room.
    NoRoom(Limit),
    /// It would start, but leave less room than `--min-free` asks for.
    Reserve,
    /// The kernel refused a trial set, with this call and error.
    Refused(&'static str, Errno),
    /// The kernel has no System V semaphores.
    NoSysvIpc,
}

/// The forecast. Room for what httpd may need at most: it starts. Room for less than it needs at
/// least: it fails. Only a refused trial overrules that; one that taught nothing does not.
#[must_use]
pub fn forecast(capacity: &Capacity, need: &Need, min_free: i64, trial: Trial) -> Forecast {
    let room = capacity.room();
    if need.at_most == 0 {
        return Forecast::Starts;
    }
    if room.sets < need.at_least {
        return Forecast::Fails(Failure::NoRoom(room.binding));
    }
    if let Trial::Refused(call, errno) = trial {
        return Forecast::Fails(Failure::Refused(call, errno));
    }
    if room.sets < need.at_most {
        return Forecast::AtRisk;
    }
    if room.sets - need.at_most < min_free {
        return Forecast::Fails(Failure::Reserve);
    }
    Forecast::Starts
}

impl Failure {
    /// The error that httpd will get.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Failure::NoRoom(Limit::Semmsl) => Some(Errno::EINVAL),
            Failure::NoRoom(_) => Some(Errno::ENOSPC),
            Failure::Refused(_, e) => Some(*e),
            Failure::NoSysvIpc => Some(Errno::ENOSYS),
            Failure::Reserve => None,
        }
    }
}

/// The line that httpd 2.4 writes to its ErrorLog when it cannot make its accept mutex
/// (server/util_mutex.c, AH00023).
#[must_use]
pub fn httpds_line(errno: Errno) -> String {
    format!("({}){}: AH00023: Couldn't create the mpm-accept mutex", errno as i32, errno.desc())
}

/// A message in three parts, complete by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What would happen, in httpd's own words.
    pub headline: String,
    /// Why, with figures and holders.
    pub why: Vec<String>,
    /// What to type.
    pub todo: Vec<String>,
}

impl Message {
    /// The lines of the message.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline.clone()];
        for (label, part) in [("why:", &self.why), ("do:", &self.todo)] {
            for (i, line) in part.iter().enumerate() {
                lines.push(format!("  {:<5} {line}", if i == 0 { label } else { "" }));
            }
        }
        lines
    }
}

/// What the words for a forecast are made of.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The table the forecast is for; none on a kernel without semaphores.
    pub capacity: Option<&'a Capacity>,
    /// What httpd needs.
    pub need: &'a Need,
    /// The reserve that was asked for.
    pub min_free: i64,
    /// Who holds the table, in words.
    pub holders: &'a str,
    /// How many sets a `guard` would remove now.
    pub removable: usize,
    /// How many sets stay only because a living process may know them, and which one.
    pub undecided: Option<(usize, String)>,
}

/// The words for a start at risk: how much room is missing.
#[must_use]
pub fn at_risk(s: &Situation<'_>) -> Message {
    let free = s.capacity.map_or(0, |c| c.room().sets);
    Message {
        headline: format!("httpd may not start: it needs {}, and {free} can be made", s.need),
        why: why_no_room(s),
        todo: remedies(s),
    }
}

/// The words for a failure.
#[must_use]
pub fn words(failure: &Failure, s: &Situation<'_>) -> Message {
    let headline = match failure.errno() {
        Some(errno) => format!("httpd would not start: {}", httpds_line(errno)),
        None => format!(
            "httpd would start, but leave less room than asked for (--min-free {})",
            s.min_free
        ),
    };
    let (why, todo) = match failure {
        Failure::NoRoom(_) | Failure::Reserve => (why_no_room(s), remedies(s)),
        Failure::Refused(call, errno) => why_refused(call, *errno, s),
        Failure::NoSysvIpc => (
            vec!["this kernel has no System V semaphores: it was built without CONFIG_SYSVIPC".into()],
            vec![
                "run a kernel with CONFIG_SYSVIPC=y".into(),
                "or, on httpd 2.4, \"Mutex pthread default\" (or \"Mutex fcntl:/run/httpd default\") \
                 in its configuration"
                    .into(),
            ],
        ),
    };
    Message { headline, why, todo }
}

fn why_refused(call: &str, errno: Errno, s: &Situation<'_>) -> (Vec<String>, Vec<String>) {
    let mut why = vec![format!("{call} for a trial set says {errno:?} ({})", errno.desc())];
    if let Some(c) = s.capacity {
        why.push(format!(
            "the limits leave room for {}, so they are not the cause",
            sets(c.room().sets)
        ));
    }
    let todo = match errno {
        Errno::ENOMEM => "free memory: the kernel has none for a semaphore set",
        Errno::ENOSPC => "look again: something filled the table at this moment (ipcs -s -u)",
        _ => {
            "allow semget and semctl: look for SystemCallFilter= in httpd's unit, and for denials \
             of a security module (ausearch -m AVC, dmesg)"
        }
    };
    (why, vec![todo.into()])
}

fn why_no_room(s: &Situation<'_>) -> Vec<String> {
    let Some(c) = s.capacity else { return Vec::new() };
    let (l, u) = (&c.limits, &c.usage);
    let semmns = format!(
        "SEMMNS, the system-wide number of semaphores, is {} and {} are in use",
        l.semmns, u.semaphores
    );
    let semmni =
        format!("SEMMNI, the number of semaphore sets, is {} and {} are in use", l.semmni, u.sets);
    let disk = "(this is not about disk space)";
    let mut why = match c.room().binding {
        Limit::Semmsl => {
            vec![format!("SEMMSL, the number of semaphores in a set, is {}", l.semmsl)]
        }
        Limit::Semmns => vec![
            format!("{semmns} {disk}"),
            format!("SEMMNI allows {} sets; {} in use: {}", l.semmni, u.sets, s.holders),
        ],
        Limit::Semmni => vec![
            format!("{semmni} {disk}: {}", s.holders),
            format!("SEMMNS allows {} semaphores; {} in use", l.semmns, u.semaphores),
        ],
    };
    if let Some(odd) = capacity::oddity(l) {
        why.push(format!("kernel.sem is \"{l}\": {odd}"));
    }
    if s.need.at_most > 1 || c.room().sets > 0 {
        why.push(format!("httpd needs {}; {} can be made", s.need, c.room().sets));
    }
    why
}

fn remedies(s: &Situation<'_>) -> Vec<String> {
    let Some(c) = s.capacity else { return Vec::new() };
    let mut todo = Vec::new();
    let missing = s.need.at_most + s.min_free;
    if s.removable > 0 {
        todo.push(format!(
            "httpd-semguard guard      removes {} that a dead httpd left",
            sets(i64::try_from(s.removable).unwrap_or(i64::MAX))
        ));
    }
    if let Some((count, who)) = &s.undecided {
        todo.push(format!(
            "stop {who}, then httpd-semguard guard: {count} of the sets may be its own, \
             and cannot be told from orphans while it lives"
        ));
    }
    todo.push(format!(
        "sysctl -w kernel.sem=\"{}\"      and the same line in /etc/sysctl.d/",
        capacity::better(c, missing)
    ));
    todo
}
