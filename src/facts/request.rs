//! What a run is asked to do: the parts of the command line that several folders need.

use std::str::FromStr;

use clap::ValueEnum;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Remove orphaned sets, then report whether httpd can create its locks
    Guard,
    /// Report whether httpd can create its locks now, and what guard would remove; changes nothing
    Check,
    /// Show every set of the guarded users, with the verdict on it and the reason
    List,
}

/// Where messages are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTo {
    /// Standard error, with priorities if that is the journal; syslog if it is closed
    Auto,
    /// Standard error
    Stderr,
    /// syslog (LOG_DAEMON); standard error if no syslog daemon is listening
    Syslog,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    Text,
    /// One JSON document
    Json,
    /// One line for Nagios, Icinga and similar systems; exit code 0, 1, 2 or 3
    Nagios,
    /// Metrics for Prometheus
    Prometheus,
}

/// What the sets of `list` are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// The ID of the set
    Semid,
    /// The owner, then the ID
    Owner,
    /// The age, oldest first
    Age,
    /// The PID that last touched the set, then the ID
    Pid,
    /// The verdict, orphaned sets first, then the ID
    Verdict,
}

/// The name of one of several instances of httpd: what follows the "@" in the name of its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The maximum length of a unit's name, in bytes (systemd's basic/unit-name.h, `UNIT_NAME_MAX`).
    const MOST: usize = 255;

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = String;

    /// Accepts what is valid in the name of a unit (basic/unit-name.c, `VALID_CHARS_WITH_AT`), and
    /// can therefore be part of a file name, too.
    ///
    /// # Errors
    /// If the name is not valid.
    fn from_str(name: &str) -> Result<Instance, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.is_empty() || name.len() > Instance::MOST || !name.chars().all(fits) {
            return Err("write the part after the @ in the name of its unit".into());
        }
        Ok(Instance(name.to_owned()))
    }
}
