//! What is asked of a run: the parts of the command line that several rooms need.

use std::str::FromStr;

use clap::ValueEnum;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Remove orphaned sets, then say whether httpd's locks can be made
    Guard,
    /// Say whether httpd's locks can be made now, and what guard would change; changes nothing
    Check,
    /// Show every set of the guarded users with its verdict and evidence
    List,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTo {
    /// The journal's form where standard error is the journal, else standard error; syslog where
    /// there is none
    Auto,
    /// Standard error
    Stderr,
    /// syslog (LOG_DAEMON), else standard error
    Syslog,
}

/// What a report is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Words for people
    Text,
    /// One JSON document
    Json,
    /// One line for Nagios and its like; exits 0, 1, 2 or 3
    Nagios,
    /// Metrics for Prometheus
    Prometheus,
}

/// What the sets of `list` are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// The identifier
    Semid,
    /// The owner, then the identifier
    Owner,
    /// The age, oldest first
    Age,
    /// The last pid, then the identifier
    Pid,
    /// Orphans first, then the identifier
    Verdict,
}

/// The name of one of several httpds: what stands behind the "@" in the name of its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The most bytes of a unit's name (systemd's basic/unit-name.h, `UNIT_NAME_MAX`).
    const MOST: usize = 255;

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = String;

    /// Takes what can stand in the name of a unit (basic/unit-name.c, `VALID_CHARS_WITH_AT`): so it
    /// can be a part of a file's name, too.
    ///
    /// # Errors
    /// That it cannot.
    fn from_str(name: &str) -> Result<Instance, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.is_empty() || name.len() > Instance::MOST || !name.chars().all(fits) {
            return Err("write the part after the @ in the name of its unit".into());
        }
        Ok(Instance(name.to_owned()))
    }
}
