//! What is asked of a run: the parts of the command line that several rooms need.

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
