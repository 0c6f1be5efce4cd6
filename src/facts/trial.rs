//! The result of the trial set.

use nix::errno::Errno;

/// The key of the trial set ("SEMG"): a later run recognises the set by it if this run is killed half
/// way.
pub const KEY: i32 = 0x5345_4d47;

/// What the trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// A set could be made, initialised, given away and removed.
    Passed,
    /// The kernel refused this call with this error: it will refuse httpd too.
    Refused(&'static str, Errno),
    /// Another process holds the trial's key, or removed the trial set: nothing was learnt.
    Disturbed,
    /// Not tried, for this reason.
    Skipped(&'static str),
}

/// The system call that locks and unlocks.
pub const LOCKING: &str = "semop";
