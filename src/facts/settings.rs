//! Settings from outside the command line: where one was found, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::facts::error::strerror;
use crate::facts::printable::printable;

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable.
    Environment,
    /// A file and line number, counted from 1.
    File(PathBuf, usize),
}

impl Origin {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Origin::Environment => None,
            Origin::File(file, _) => Some(file),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment => f.write_str("environment"),
            Origin::File(file, line) => {
                write!(f, "{}:{line}", printable(&file.to_string_lossy()))
            }
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: String,
    /// Its value; anything that is not UTF-8 was replaced.
    pub value: String,
    /// Where it was found.
    pub origin: Origin,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (printable(&self.name), printable(&self.value));
        write!(f, "{name}=\"{value}\" ({})", self.origin)
    }
}

/// Why a settings file is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// open(2) or read(2) failed.
    Refused(Errno),
    /// A directory, pipe or device, which could block a start for ever.
    NoFile,
    /// It is larger than [`MOST_SETTINGS`].
    TooLarge,
    /// It contains a NUL, or a setting that is not UTF-8; systemd ignores such a file too.
    NoText,
}

/// The most that is read of a settings file, in bytes: the limit of systemd 219.
pub const MOST_SETTINGS: u64 = 4 << 20;

/// What is wrong with settings; none of it ends a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// This value is invalid, and why; the default is used.
    Value(Setting, String),
    /// There is no such variable; perhaps this one was meant.
    Name(Setting, Option<String>),
    /// systemd would not set a variable from this line.
    Line(Origin, String),
    /// An older systemd (before 254, or before 247) reads this line differently.
    Version(Origin),
    /// One of the users that it names cannot be guarded, and why; the run continues without that user.
    User(Setting, String),
    /// The whole file is ignored.
    Unread(PathBuf, Unread),
}

impl Complaint {
    /// The file it concerns, if any.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Complaint::Value(setting, _)
            | Complaint::Name(setting, _)
            | Complaint::User(setting, _) => setting.origin.file(),
            Complaint::Line(origin, _) | Complaint::Version(origin) => origin.file(),
            Complaint::Unread(file, _) => Some(file),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Value(setting, why) => {
                write!(f, "{setting} has no effect: {why}")?;
                match setting.value.contains(" #") || setting.value.contains(" ;") {
                    true => f.write_str("; a comment needs a line of its own"),
                    false => Ok(()),
                }
            }
            Complaint::Name(setting, meant) => {
                write!(f, "{setting} has no effect: there is no such setting")?;
                meant.as_ref().map_or(Ok(()), |meant| write!(f, "; did you mean {meant}?"))
            }
            Complaint::Line(origin, text) => {
                let text = printable(text);
                write!(f, "\"{text}\" ({origin}) has no effect: it is not NAME=VALUE")
            }
            Complaint::Version(origin) => write!(
                f,
                "{origin}: older versions of systemd read this differently (a backslash within \
                 quotes, or at the end of a comment above)"
            ),
            Complaint::User(setting, why) => write!(f, "{setting}: user ignored: {why}"),
            Complaint::Unread(file, why) => {
                let file = printable(&file.to_string_lossy());
                write!(f, "no setting in {file} has any effect: ")?;
                match why {
                    Unread::Refused(e) => write!(f, "{e:?} ({})", strerror(*e)),
                    Unread::NoFile => f.write_str("it is not a regular file"),
                    Unread::TooLarge => {
                        write!(f, "it is larger than {} MiB", MOST_SETTINGS >> 20)
                    }
                    Unread::NoText => {
                        f.write_str("it is not UTF-8 text, and systemd would refuse it")
                    }
                }
            }
        }
    }
}
