//! The result of asking httpd.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Build;
use super::dump::{Dump, Host};
use super::mutex::Demand;
use super::need::Need;
use crate::facts::printable::printable;

/// The most output accepted from httpd, in bytes: a thousand virtual hosts take some megabytes.
pub const MOST_SAID: usize = 32 << 20;

/// httpd's answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// httpd was not asked: there was no need to, or asking was turned off.
    NotAsked,
    /// httpd was asked and gave no answer.
    Refused(NoAnswer),
    /// httpd answered.
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

    /// Why there is no answer, if httpd was asked.
    #[must_use]
    pub fn no_answer(&self) -> Option<&NoAnswer> {
        match self {
            Heard::Refused(why) => Some(why),
            Heard::NotAsked | Heard::Answered(_) => None,
        }
    }

    /// The mutexes that httpd will make, if it answered.
    #[must_use]
    pub fn demand(&self) -> Option<&Demand> {
        self.answer().map(|a| &a.demand)
    }

    /// How many semaphore sets httpd needs; a `given` figure takes precedence.
    #[must_use]
    pub fn need(&self, given: Option<u32>) -> Need {
        match (given, self) {
            (Some(sets), _) => Need::given(sets),
            (None, Heard::Answered(answer)) => Need::asked(&answer.demand),
            (None, Heard::Refused(_)) => Need::unheard(),
            (None, Heard::NotAsked) => Need::assumed(),
        }
    }

    /// Whether httpd is certain to lock a semaphore set as soon as it serves requests. Without an
    /// answer, this holds if an accept lock is assumed; a `given` figure says nothing about it.
    #[must_use]
    pub fn locks(&self, given: Option<u32>) -> bool {
        match self {
            Heard::Answered(answer) => answer.locks,
            Heard::NotAsked | Heard::Refused(_) => given.is_none(),
        }
    }

    /// The uid that its workers run as.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        self.answer().and_then(|a| a.user.as_ref()).map(|(_, uid)| *uid)
    }

    /// Other users whose processes share its mutexes, by name or as "#" and uid.
    #[must_use]
    pub fn further_users(&self) -> &[String] {
        self.answer().map_or(&[], |a| &a.further_users)
    }

    /// The uid of its workers if root starts it and the caller is another user.
    #[must_use]
    pub fn user_of_root(&self) -> Option<u32> {
        self.answer().and_then(|a| a.user_of_root.as_ref()).map(|(_, uid)| *uid)
    }

    /// The file that a running httpd writes its pid to.
    #[must_use]
    pub fn pid_file(&self) -> Option<&Path> {
        self.answer().and_then(|a| a.pid_file.as_deref())
    }

    /// The control program that answered.
    #[must_use]
    pub fn control(&self) -> Option<&Path> {
        self.answer().map(|a| a.control.as_path())
    }

    /// The argument of a `Mutex` directive whose directory httpd rejects.
    #[must_use]
    pub fn mutex_directory(&self) -> Option<String> {
        self.no_answer().and_then(NoAnswer::mutex_directory)
    }
}

/// httpd's own output, as read.
#[derive(Clone, Debug)]
pub struct Told {
    /// The control program that was asked.
    pub control: PathBuf,
    /// Its configuration.
    pub dump: Dump,
    /// How it was built, if it reported that.
    pub build: Option<Build>,
    /// The machine that it will run on.
    pub host: Host,
    /// The modules that are not httpd's own, and the lock-making functions that each imports; `None` if
    /// it imports none.
    pub foreign: Vec<(String, Option<Import>)>,
    /// The server binary and its modules' files, as far as they were found.
    pub files: Vec<FileId>,
}

/// The identity of a file: replacing or changing the file changes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Its path.
    pub path: PathBuf,
    /// Its device and inode number.
    pub place: (u64, u64),
    /// Its size in bytes.
    pub size: u64,
    /// Its last change (`st_ctime`, which cannot be set), in seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// A library function that makes locks, as imported by a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Import {
    /// semget(2).
    Semget,
    /// APR's cross-process mutexes.
    AprMutex,
    /// The module's file was not found, or could not be read.
    Unread,
}

/// What httpd reported, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The control program that was asked.
    pub control: PathBuf,
    /// The mutexes it will make.
    pub demand: Demand,
    /// The user that its workers run as: name and uid.
    pub user: Option<(String, u32)>,
    /// Other users whose processes share mutexes, by name or as "#" and uid.
    pub further_users: Vec<String>,
    /// The user of its workers if root starts it, if the caller is not root and `user` is therefore another.
    pub user_of_root: Option<(String, u32)>,
    /// The file that it writes its pid to.
    pub pid_file: Option<PathBuf>,
    /// Whether it printed its configuration (mod_info could be loaded).
    pub has_config: bool,
    /// Whether it is certain to lock a semaphore set as soon as it serves requests.
    pub locks: bool,
    /// A digest that distinguishes this answer from any other; `None` if parts of the answer are
    /// missing.
    pub digest: Option<u64>,
}

/// Why httpd gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// None of the usual control programs exists.
    NotFound,
    /// The control program is not an absolute path.
    NotAbsolute(PathBuf),
    /// The control program could not be run.
    NotRun(PathBuf, String),
    /// It took longer than allowed.
    TimedOut(PathBuf, Duration),
    /// It printed more than allowed.
    TooMuch(PathBuf),
    /// It failed with this message.
    Refused(PathBuf, String),
    /// Its output is not an answer.
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
    /// The argument of a `Mutex` directive whose directory httpd rejects (server/util_mutex.c): the
    /// only configuration error that concerns a lock.
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
