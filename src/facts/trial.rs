//! What the trial set showed.

use nix::errno::Errno;

/// The key of the trial set ("SEMG"): a set of the guard's own that a later run knows again,
/// should this one be killed half way.
pub const KEY: i32 = 0x5345_4d47;

/// What the trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// A set could be made, initialised, given away and removed.
    Passed,
    /// The kernel refused it, with this call and error: it will refuse httpd, too.
    Refused(&'static str, Errno),
    /// Somebody else holds the trial's key, or took the trial set away: nothing was learnt.
    Disturbed,
    /// Not tried, for this reason.
    Skipped(&'static str),
}

/// The call that locks and unlocks.
pub const LOCKING: &str = "semop";
