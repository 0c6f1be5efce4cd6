//! Which httpd this is: its version and compile-time settings.

use std::fmt;

use super::mutex::Mechanism;

/// An httpd version, such as 2.4.71.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Parses "2.4.71 (Debian)" or "2.4.71".
    #[must_use]
    pub fn of(text: &str) -> Option<Version> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(|p| p.parse::<u32>().ok());
        Some(Version(parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
    }

    /// Whether this httpd is too old to print its configuration: 2.2 and earlier.
    #[must_use]
    pub fn is_22(self) -> bool {
        self < Version(2, 3, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What `httpd -V` reports about the build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Build {
    /// httpd's version.
    pub version: Option<Version>,
    /// The compiled-in MPM, in lower case; httpd 2.4 may load another one.
    pub mpm: Option<String>,
    /// APR's compiled-in default mechanism.
    pub default: Option<Mechanism>,
    /// `SINGLE_LISTEN_UNSERIALIZED_ACCEPT`: one listener needs no accept mutex.
    pub unserialized_single_listen: bool,
    /// `HTTPD_ROOT`.
    pub root: Option<String>,
    /// `SERVER_CONFIG_FILE`, relative to `root`.
    pub config_file: Option<String>,
    /// `DEFAULT_PIDLOG`, relative to `root`.
    pub pid_file: Option<String>,
    /// `DEFAULT_LOCKFILE`, httpd 2.2's accept lock, relative to `root`.
    pub lock_file: Option<String>,
    /// IPv4-mapped addresses are disabled, so a wildcard needs one listener per address family.
    pub splits_wildcard: bool,
}
