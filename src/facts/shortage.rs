//! What is missing for a mutex that is not a semaphore set.

use std::path::PathBuf;

use nix::errno::Errno;

use super::mutex::Mechanism;

/// A mutex that cannot be made for lack of something other than a semaphore set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The mutex type that will fail first.
    pub mutex: String,
    /// What httpd logs then, after the error number and text.
    pub line: String,
    /// How it would be made.
    pub mechanism: Mechanism,
    /// The directory or device that fails.
    pub path: PathBuf,
    /// The error that httpd will get.
    pub errno: Errno,
    /// How many of them could be made.
    pub made: u32,
    /// How many are needed.
    pub needed: u32,
    /// Whether httpd is certain to need that many.
    pub certain: bool,
}
