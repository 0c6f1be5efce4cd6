//! What came of asking httpd.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Build;
use super::dump::{Dump, Host};
use super::mutex::Demand;
use super::need::Need;
use crate::facts::printable::printable;

/// The most that httpd may print, in bytes: a thousand virtual hosts take some megabytes.
pub const MOST_SAID: usize = 32 << 20;

/// httpd's answer, or what is known in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was not asked: there was no reason to, or it was not to be.
    NotAsked,
    /// It was asked, and gave no answer.
    Refused(NoAnswer),
    /// It answered.
    Answered(Box<Answer>),
}

impl Heard {
    /// The answer, if there is one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Heard::Answered(answer) => Some(answer),
            Heard::NotAsked | Heard::Refused(_) => None,
        }
    }

    /// Why there is none, if it was asked for one.
    #[must_use]
    pub fn no_answer(&self) -> Option<&NoAnswer> {
        match self {
            Heard::Refused(why) => Some(why),
            Heard::NotAsked | Heard::Answered(_) => None,
        }
    }

    /// The mutexes that httpd will make, if it said so.
    #[must_use]
    pub fn demand(&self) -> Option<&Demand> {
        self.answer().map(|a| &a.demand)
    }

    /// How many semaphore sets that are; a figure that was `given` by hand comes first.
    #[must_use]
    pub fn need(&self, given: Option<u32>) -> Need {
        match (given, self) {
            (Some(sets), _) => Need::given(sets),
            (None, Heard::Answered(answer)) => Need::asked(&answer.demand),
            (None, Heard::Refused(_)) => Need::unheard(),
            (None, Heard::NotAsked) => Need::assumed(),
        }
    }

    /// Whether it surely locks a semaphore set as soon as it serves: without an answer, where an
    /// accept lock is what is assumed of it; a figure that was `given` by hand says nothing of it.
    #[must_use]
    pub fn locks(&self, given: Option<u32>) -> bool {
        match self {
            Heard::Answered(answer) => answer.locks,
            Heard::NotAsked | Heard::Refused(_) => given.is_none(),
        }
    }

    /// The number of the user that its workers run as.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        self.answer().and_then(|a| a.user.as_ref()).map(|(_, uid)| *uid)
    }

    /// Further users whose processes share its mutexes, by name or "#" and number.
    #[must_use]
    pub fn further_users(&self) -> &[String] {
        self.answer().map_or(&[], |a| &a.further_users)
    }

    /// Where it writes its number when it runs.
    #[must_use]
    pub fn pid_file(&self) -> Option<&Path> {
        self.answer().and_then(|a| a.pid_file.as_deref())
    }

    /// The control program that answered.
    #[must_use]
    pub fn control(&self) -> Option<&Path> {
        self.answer().map(|a| a.control.as_path())
    }

    /// The argument of a `Mutex` directive whose directory it refuses.
    #[must_use]
    pub fn mutex_directory(&self) -> Option<String> {
        self.no_answer().and_then(NoAnswer::mutex_directory)
    }
}

/// httpd's own words, as they were read.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who was asked.
    pub control: PathBuf,
    /// Its configuration.
    pub dump: Dump,
    /// How it was built, if it said so.
    pub build: Option<Build>,
    /// The machine that it will run on.
    pub host: Host,
    /// The modules that are not httpd's own, and what they take from libraries; none: nothing that
    /// makes locks.
    pub foreign: Vec<(String, Option<Import>)>,
    /// The server's own file and those of its modules, as far as they were found.
    pub files: Vec<FileId>,
}

/// A file as it is: whoever replaces or changes it makes another one of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Its name.
    pub path: PathBuf,
    /// Its file system and its place there.
    pub place: (u64, u64),
    /// Its size in bytes.
    pub size: u64,
    /// Its last change (`st_ctime`, which nobody can set), in seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// What a module takes from libraries that makes locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Import {
    /// semget(2).
    Semget,
    /// APR's mutexes between processes.
    AprMutex,
    /// Its file was not found, or could not be read.
    Unread,
}

/// What httpd said, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who was asked.
    pub control: PathBuf,
    /// The mutexes it will make.
    pub demand: Demand,
    /// The user that its workers run as: name and number.
    pub user: Option<(String, u32)>,
    /// Further users whose processes share mutexes, by name or "#" and number.
    pub further_users: Vec<String>,
    /// Where it writes its number when it runs.
    pub pid_file: Option<PathBuf>,
    /// Whether it printed its configuration (mod_info could be loaded).
    pub has_config: bool,
    /// Whether it surely locks a semaphore set as soon as it serves.
    pub locks: bool,
    /// What tells this answer from any other; none: not all of it is known.
    pub digest: Option<u64>,
}

/// Why httpd gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// None of the usual control programs is here.
    NotFound,
    /// The control program is not an absolute path.
    NotAbsolute(PathBuf),
    /// The control program cannot be run.
    NotRun(PathBuf, String),
    /// It took longer than it may.
    TimedOut(PathBuf, Duration),
    /// It printed more than it may.
    TooMuch(PathBuf),
    /// It ended badly, and said this.
    Refused(PathBuf, String),
    /// It answered with something that is not the answer.
    Garbage(PathBuf),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NotFound => f.write_str("no httpd was found (see --httpd)"),
            NoAnswer::NotAbsolute(p) => write!(f, "--httpd {} is not an absolute path", show(p)),
            NoAnswer::NotRun(p, e) => write!(f, "{} cannot be run: {e}", show(p)),
            NoAnswer::TimedOut(p, t) => {
                write!(f, "{} did not answer within {} s", show(p), t.as_secs())
            }
            NoAnswer::TooMuch(p) => {
                write!(f, "{} printed more than {} MiB", show(p), MOST_SAID >> 20)
            }
            NoAnswer::Refused(p, said) => write!(f, "{} says: {said}", show(p)),
            NoAnswer::Garbage(p) => write!(f, "{} gave an answer that is not httpd's", show(p)),
        }
    }
}

impl NoAnswer {
    /// The argument of a `Mutex` directive whose directory httpd refuses (server/util_mutex.c):
    /// the one complaint about a configuration that is about a lock.
    #[must_use]
    pub fn mutex_directory(&self) -> Option<String> {
        let NoAnswer::Refused(_, said) = self else { return None };
        let (_, rest) = said.split_once("Invalid Mutex directory in argument ")?;
        rest.split_whitespace().next().map(str::to_owned)
    }
}

fn show(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
