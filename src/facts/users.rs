//! Whose sets are looked at, and what users are called.

use std::fmt;

use nix::unistd::{Gid, Uid};

use crate::facts::printable::printable;

/// A user whose sets the guard may remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Its uid.
    pub uid: Uid,
    /// Its primary group; the uid as a gid if the user has no account entry.
    pub gid: Gid,
    /// Its name, made printable; the uid if the user has no account entry.
    pub name: String,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.name == self.uid.to_string() { Ok(()) } else { write!(f, " ({})", self.uid) }
    }
}

/// Where the list of users came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line or the environment.
    Given,
    /// httpd's own configuration.
    Httpd,
    /// The first of `look::users::ACCOUNTS` that exists, in /etc/passwd or else elsewhere.
    Account,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Given => "--user",
            Source::Httpd => "httpd's configuration",
            Source::Account => "the distribution's account",
        })
    }
}

/// User names, looked up once and made printable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<(Uid, String)>);

impl Names {
    /// Records a user's name, made printable, unless one is known.
    pub fn add(&mut self, uid: Uid, name: &str) {
        if !self.knows(uid) {
            self.0.push((uid, printable(name)));
        }
    }

    /// Whether a name for this user is recorded.
    #[must_use]
    pub fn knows(&self, uid: Uid) -> bool {
        self.get(uid).is_some()
    }

    fn get(&self, uid: Uid) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == uid).map(|(_, name)| name.as_str())
    }

    /// The name of a user, or its uid if it has none.
    #[must_use]
    pub fn of(&self, uid: Uid) -> String {
        self.get(uid).map(str::to_owned).unwrap_or_else(|| uid.to_string())
    }

    /// "www-data (33)", or just the uid if there is no name.
    #[must_use]
    pub fn with_number(&self, uid: Uid) -> String {
        match self.get(uid) {
            Some(name) if name != uid.to_string() => format!("{name} ({uid})"),
            _ => uid.to_string(),
        }
    }
}

impl FromIterator<(Uid, String)> for Names {
    fn from_iter<I: IntoIterator<Item = (Uid, String)>>(names: I) -> Names {
        Names(names.into_iter().map(|(uid, name)| (uid, printable(&name))).collect())
    }
}
