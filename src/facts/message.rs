//! A message as a value: what is wrong, why, what to do. Never a text that somebody takes apart again.

use std::fmt;

/// A message in three parts, complete by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What is wrong or would happen.
    pub headline: String,
    /// Why, with figures and holders.
    pub why: Vec<String>,
    /// What to do, the least harmful first.
    pub remedies: Vec<Remedy>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// What can be typed as it stands; none: it takes a person.
    pub command: Option<String>,
    /// What it does, or what is to be done; may be empty.
    pub remark: String,
}

impl Remedy {
    /// A command, and what it does.
    #[must_use]
    pub fn command(command: impl Into<String>, remark: impl Into<String>) -> Remedy {
        Remedy { command: Some(command.into()), remark: remark.into() }
    }

    /// Something that cannot be typed as it stands.
    #[must_use]
    pub fn advice(remark: impl Into<String>) -> Remedy {
        Remedy { command: None, remark: remark.into() }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) if self.remark.is_empty() => f.write_str(command),
            Some(command) => write!(f, "{command}      {}", self.remark),
            None => f.write_str(&self.remark),
        }
    }
}
