//! Whether httpd's locks can be made: room × need → a forecast. Pure; `message` has the words.

use nix::errno::Errno;

use crate::facts::capacity::{Capacity, Limit, Room};
use crate::facts::need::Need;
use crate::facts::row::Running;
use crate::facts::shortage::Shortage;
use crate::facts::trial::{LOCKING, Trial};

/// What will happen if httpd is started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Its locks can be made.
    Starts,
    /// There is room for the least it needs, but not for the most it may need.
    AtRisk,
    /// It will fail.
    Fails(Failure),
}

/// Why it will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This limit leaves too little room.
    NoRoom(Limit),
    /// It would start, but leave less room than `--min-free` requires.
    Reserve,
    /// The kernel refused a trial set, with this call and error.
    Refused(&'static str, Errno),
    /// The kernel has no System V semaphores.
    NoSysvIpc,
    /// A mutex of another mechanism cannot be made.
    Resource(Shortage),
    /// httpd rejects the directory named in this argument of `Mutex`.
    MutexDirectory(String),
}

/// What a forecast is made from.
#[derive(Clone, Debug)]
pub struct Input {
    /// The table it is for: [`Capacity::UNKNOWN`] if access to it was refused and it matters; `None` if
    /// it is not needed, or the kernel has none.
    pub capacity: Option<Capacity>,
    /// What httpd needs.
    pub need: Need,
    /// The httpd in question, if it is running: it frees its sets before it starts again.
    pub running: Option<Running>,
    /// How many more sets must be possible afterwards.
    pub min_free: i64,
    /// What the trial set showed.
    pub trial: Trial,
    /// Whether httpd is certain to lock a semaphore set as soon as it serves requests.
    pub locks: bool,
    /// What is missing for mutexes of other mechanisms.
    pub shortage: Option<Shortage>,
    /// The argument of a `Mutex` directive whose directory httpd rejects.
    pub refused_directory: Option<String>,
}

impl Input {
    /// The room once httpd, if it is running, has freed its own sets: surely, and perhaps; `None`
    /// without a table.
    #[must_use]
    pub fn room(&self) -> Option<(Room, Room)> {
        let capacity = self.capacity?;
        let (surely, perhaps) = self.running.as_ref().map_or((0, 0), |r| (r.surely, r.perhaps));
        Some((capacity.without(surely).room(), capacity.without(surely + perhaps).room()))
    }

    /// The room without which the start fails, and how many of the sets that httpd frees count towards
    /// it. A reserve that is demanded must be certain.
    #[must_use]
    pub fn required(&self) -> (i64, usize) {
        let (surely, perhaps) = self.running.as_ref().map_or((0, 0), |r| (r.surely, r.perhaps));
        match self.min_free {
            0 => (self.need.at_least, surely + perhaps),
            reserve => (self.need.at_most + reserve, surely),
        }
    }

    /// The forecast. With room for the most that httpd may need, it starts. With less room than the
    /// least it needs, it fails. A refused trial means failure for any need; an inconclusive one has no
    /// influence.
    #[must_use]
    pub fn forecast(&self) -> Forecast {
        if let Some(argument) = &self.refused_directory {
            return Forecast::Fails(Failure::MutexDirectory(argument.clone()));
        }
        let need = &self.need;
        let mut at_risk = false;
        match (self.capacity, self.room()) {
            (Some(Capacity::UNKNOWN), _) => {
                if let (Trial::Refused(call, errno), true) = (self.trial, need.at_least > 0) {
                    return Forecast::Fails(Failure::Refused(call, errno));
                }
                // A trial that passed has shown that there is room for one.
                at_risk |= need.at_most > i64::from(self.trial == Trial::Passed);
            }
            (Some(capacity), Some((surely, perhaps))) => {
                if perhaps.sets < need.at_least {
                    return Forecast::Fails(Failure::NoRoom(perhaps.binding));
                }
                if self.locks && capacity.limits.semopm < 1 && need.at_least > 0 {
                    return Forecast::Fails(Failure::Refused(LOCKING, Errno::E2BIG));
                }
                if let (Trial::Refused(call, errno), true) = (self.trial, need.at_least > 0) {
                    return Forecast::Fails(Failure::Refused(call, errno));
                }
                let (required, returned) = self.required();
                if capacity.without(returned).room().sets < required {
                    return Forecast::Fails(Failure::Reserve);
                }
                at_risk |= matches!(self.trial, Trial::Refused(..)) && need.at_most > 0;
                at_risk |= surely.sets < need.at_most;
            }
            _ if need.at_least > 0 => return Forecast::Fails(Failure::NoSysvIpc),
            _ => at_risk |= need.at_most > 0,
        }
        match &self.shortage {
            Some(shortage) if shortage.certain => {
                Forecast::Fails(Failure::Resource(shortage.clone()))
            }
            Some(_) => Forecast::AtRisk,
            None if at_risk => Forecast::AtRisk,
            None => Forecast::Starts,
        }
    }
}

impl Forecast {
    /// The names of the three in reports for programs.
    pub const NAMES: [&'static str; 3] = ["starts", "at_risk", "fails"];

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let [starts, at_risk, fails] = Forecast::NAMES;
        match self {
            Forecast::Starts => starts,
            Forecast::AtRisk => at_risk,
            Forecast::Fails(_) => fails,
        }
    }
}

impl Failure {
    /// The error that httpd will get.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Failure::NoRoom(Limit::Semmsl) => Some(Errno::EINVAL),
            Failure::NoRoom(_) => Some(Errno::ENOSPC),
            Failure::Refused(_, e) => Some(*e),
            Failure::NoSysvIpc => Some(Errno::ENOSYS),
            Failure::Resource(shortage) => Some(shortage.errno),
            Failure::Reserve | Failure::MutexDirectory(_) => None,
        }
    }

    /// Its name in reports for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Failure::NoRoom(_) => "no_room",
            Failure::Reserve => "reserve",
            Failure::Refused(..) => "refused",
            Failure::NoSysvIpc => "no_sysv_ipc",
            Failure::Resource(_) => "resource",
            Failure::MutexDirectory(_) => "mutex_directory",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
