//! The cross-process mutexes that httpd makes: by which mechanism, how many, when.

use super::printable::printable;

/// How a cross-process mutex is made (apr apr_lock.h, `apr_lockmech_e`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// System V semaphore set.
    SysVSem,
    /// POSIX semaphore, a file in /dev/shm.
    PosixSem,
    /// Process-shared pthread mutex.
    Pthread,
    /// fcntl(2) lock on a file.
    Fcntl,
    /// flock(2) lock on a file.
    Flock,
    /// No mutex at all.
    None,
}

impl Mechanism {
    /// Its name in the `Mutex` directive.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::SysVSem => "sysvsem",
            Mechanism::PosixSem => "posixsem",
            Mechanism::Pthread => "pthread",
            Mechanism::Fcntl => "fcntl",
            Mechanism::Flock => "flock",
            Mechanism::None => "none",
        }
    }

    /// The mechanism with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Mechanism> {
        [
            Mechanism::SysVSem,
            Mechanism::PosixSem,
            Mechanism::Pthread,
            Mechanism::Fcntl,
            Mechanism::Flock,
            Mechanism::None,
        ]
        .into_iter()
        .find(|m| m.name() == name)
    }
}

/// In which of httpd's two passes over its configuration a mutex is made. The launcher runs the first
/// pass; httpd detaches at the start of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Passes {
    /// In both: the one from the first pass is only a trial and is freed.
    Both,
    /// In the first, and never freed (process pool).
    Kept,
    /// Only in the second.
    Second,
}

/// At which point of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// When logs and listeners are opened.
    OpenLogs,
    /// In the modules' post_config hooks, in hook order.
    PostConfig,
    /// When the MPM starts running, after everything else.
    Run,
}

/// What httpd logs when it cannot make a mutex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// 2.4's line, the same for every type (server/util_mutex.c, AH00023).
    Ah00023,
    /// 2.2 prefork's line: the file, whatever the mechanism, and the mechanism's number.
    AcceptLock {
        /// The file, without the pid at its end; worker names none.
        file: Option<String>,
        /// `apr_lockmech_e`.
        mechanism: u32,
    },
    /// The line of 2.2's mod_ssl.
    SslMutex {
        /// The file, if one was configured.
        file: Option<String>,
    },
    /// The line of 2.2's mod_rewrite.
    RewriteLock {
        /// The file.
        file: String,
    },
    /// Nothing about the mutex (2.2's mod_ldap): just "Configuration Failed".
    ConfigurationFailed,
}

/// The mutexes of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutexes {
    /// The type's name, as in `Mutex` and AH00023.
    pub mutex: String,
    /// How they are made; `None` if unknown.
    pub mechanism: Option<Mechanism>,
    /// The directory, for mechanisms that lock files.
    pub dir: String,
    /// At least this many are made, and httpd dies without them.
    pub least: u32,
    /// At most this many.
    pub most: u32,
    /// The directive or module that requires them.
    pub cause: String,
    /// In which pass.
    pub passes: Passes,
    /// What httpd logs if they cannot be made.
    pub words: LogLine,
}

impl Mutexes {
    /// httpd's own log line for the failure, which follows the error number and text.
    #[must_use]
    pub fn line(&self) -> String {
        let line = line(&self.words, &self.mutex);
        match (&self.words, self.mechanism) {
            (LogLine::Ah00023, Some(Mechanism::Fcntl | Mechanism::Flock)) => {
                let dir = printable(&self.dir);
                format!("{line} (file {}/{}.PID)", dir.trim_end_matches('/'), self.mutex)
            }
            _ => line,
        }
    }
}

fn line(words: &LogLine, mutex: &str) -> String {
    match words {
        LogLine::Ah00023 => format!("AH00023: Couldn't create the {mutex} mutex"),
        LogLine::AcceptLock { file: Some(file), mechanism } => {
            format!("Couldn't create accept lock ({file}.PID) ({mechanism})")
        }
        LogLine::AcceptLock { file: None, .. } => "Couldn't create accept lock".into(),
        LogLine::SslMutex { file: Some(file) } => {
            format!("Cannot create SSLMutex with file `{file}'")
        }
        LogLine::SslMutex { file: None } => "Cannot create SSLMutex".into(),
        LogLine::RewriteLock { file } => {
            format!("mod_rewrite: Parent could not create RewriteLock file {file}")
        }
        LogLine::ConfigurationFailed => "Configuration Failed".into(),
    }
}

/// Every mutex that httpd will make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// One row per type that makes any, in the order in which httpd makes them.
    pub rows: Vec<Mutexes>,
}

/// Where a start would fail for lack of room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The mutex type that would fail.
    pub mutex: String,
    /// What httpd logs then, after the error number and text.
    pub line: String,
    /// In the second pass: httpd has detached, and its launcher has exited successfully.
    pub detached: bool,
}

impl Break {
    /// Assumed for an httpd that gave no answer: a 2.4 without its accept mutex.
    #[must_use]
    pub fn of_2_4s_accept_mutex() -> Break {
        let mutex = "mpm-accept".to_owned();
        Break { line: line(&LogLine::Ah00023, &mutex), mutex, detached: false }
    }
}

impl Break {
    /// All known mutexes can be made, but there are others.
    #[must_use]
    pub fn at_an_unknown_one() -> Break {
        let mutex = "one that its configuration does not show".to_owned();
        let line = "one more lock than its configuration shows".to_owned();
        Break { line, mutex, detached: false }
    }
}

impl Demand {
    /// Rows that are, or may be, made by `mechanism`.
    pub fn by(&self, mechanism: Mechanism) -> impl Iterator<Item = &Mutexes> {
        self.rows.iter().filter(move |r| r.mechanism.is_none_or(|m| m == mechanism))
    }

    /// System V semaphore sets: the minimum and the maximum.
    #[must_use]
    pub fn sets(&self) -> (i64, i64) {
        let sure = self.rows.iter().filter(|r| r.mechanism == Some(Mechanism::SysVSem));
        let least = sure.map(|r| i64::from(r.least)).sum();
        let most = self.by(Mechanism::SysVSem).map(|r| i64::from(r.most)).sum();
        (least, most)
    }

    /// The semaphore set at which a start with room for `room` sets fails.
    #[must_use]
    pub fn breaks_off(&self, room: i64) -> Option<Break> {
        let walk = |mut sum: i64, detached: bool, passes: [Passes; 2]| {
            self.by(Mechanism::SysVSem).filter(|r| passes.contains(&r.passes)).find_map(|row| {
                sum += i64::from(row.most);
                let broken = || Break { mutex: row.mutex.clone(), line: row.line(), detached };
                (sum > room).then(broken)
            })
        };
        let kept = self.by(Mechanism::SysVSem).filter(|r| r.passes == Passes::Kept);
        let kept = kept.map(|r| i64::from(r.most)).sum();
        walk(0, false, [Passes::Both, Passes::Kept])
            .or_else(|| walk(kept, true, [Passes::Both, Passes::Second]))
    }

    /// The minimum number of shared memory files that httpd makes besides its mutexes: for each balancer
    /// and for the server that has them (modules/proxy/mod_proxy_balancer.c), for mod_ssl's and other
    /// caches.
    #[must_use]
    pub fn shared_memory(&self) -> u32 {
        let of = |row: &Mutexes| match &row.mutex[..] {
            "proxy-balancer-shm" if row.least > 0 => row.least + 1,
            "ssl-cache" | "ssl-stapling" | "authn-socache" | "cache-socache" => row.least,
            _ => 0,
        };
        self.rows.iter().map(of).fold(0, u32::saturating_add)
    }

    /// What httpd logs when it cannot take the lock around accept(), if that is certainly a semaphore
    /// set. Without this lock nothing is served.
    #[must_use]
    pub fn grabs(&self) -> Option<&'static str> {
        let surely = |row: &&Mutexes| row.mechanism == Some(Mechanism::SysVSem) && row.least > 0;
        self.rows.iter().filter(surely).find_map(|row| match (&row.words, &row.mutex[..]) {
            (LogLine::AcceptLock { .. }, _) => Some("couldn't grab the accept mutex"),
            (_, "mpm-accept") if row.cause.starts_with("mpm_worker") => Some(
                "AH00272: apr_proc_mutex_lock failed. Attempting to shutdown process gracefully.",
            ),
            (_, "mpm-accept") => Some("AH00144: couldn't grab the accept mutex"),
            _ => None,
        })
    }

    /// The rows in doubt: more may be made than are certain.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Mutexes> {
        self.by(Mechanism::SysVSem).filter(|r| r.mechanism.is_none() || r.least < r.most)
    }
}
