//! Whether httpd's locks can be made: room × need → a forecast. Pure; `message` has the words.

use nix::errno::Errno;

use crate::facts::capacity::{Capacity, Limit};
use crate::facts::need::Need;
use crate::facts::shortage::Shortage;
use crate::facts::trial::Trial;

/// What will happen when httpd is started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Its locks can be made.
    Starts,
    /// There is room for what it needs at least, not for what it may need.
    AtRisk,
    /// It will fail.
    Fails(Failure),
}

/// Why it will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This limit leaves too little room.
    NoRoom(Limit),
    /// It would start, but leave less room than `--min-free` asks for.
    Reserve,
    /// The kernel refused a trial set, with this call and error.
    Refused(&'static str, Errno),
    /// The kernel has no System V semaphores.
    NoSysvIpc,
    /// A mutex of another mechanism cannot be made.
    Resource(Shortage),
    /// httpd refuses the directory that this argument of `Mutex` names.
    MutexDirectory(String),
}

/// What a forecast is made from.
#[derive(Clone, Copy, Debug)]
pub struct Outlook<'a> {
    /// The table; none on a kernel without System V semaphores.
    pub capacity: Option<&'a Capacity>,
    /// What httpd needs.
    pub need: &'a Need,
    /// Sets that httpd, where it runs, surely and perhaps gives back before it starts again.
    pub returned: (usize, usize),
    /// Sets that must be left afterwards.
    pub min_free: i64,
    /// What the trial set showed.
    pub trial: Trial,
    /// What is missing for mutexes of other mechanisms.
    pub shortage: Option<&'a Shortage>,
}

/// The forecast. Room for what httpd may need at most: it starts. Room for less than it needs at
/// least: it fails. A trial that was refused says the same of any need; one that taught nothing
/// says nothing.
#[must_use]
pub fn forecast(o: &Outlook<'_>) -> Forecast {
    let need = o.need;
    let mut at_risk = false;
    match o.capacity {
        None if need.at_least > 0 => return Forecast::Fails(Failure::NoSysvIpc),
        None => at_risk |= need.at_most > 0,
        Some(capacity) => {
            let surely = capacity.without(o.returned.0).room();
            let perhaps = capacity.without(o.returned.0 + o.returned.1).room();
            if perhaps.sets < need.at_least {
                return Forecast::Fails(Failure::NoRoom(perhaps.binding));
            }
            if let (Trial::Refused(call, errno), true) = (o.trial, need.at_least > 0) {
                return Forecast::Fails(Failure::Refused(call, errno));
            }
            at_risk |= matches!(o.trial, Trial::Refused(..)) && need.at_most > 0;
            at_risk |= surely.sets < need.at_most;
            // Who asks for a reserve asks to be sure of it.
            if o.min_free > 0 && surely.sets - need.at_most < o.min_free {
                return Forecast::Fails(Failure::Reserve);
            }
        }
    }
    match o.shortage {
        Some(shortage) if shortage.certain => Forecast::Fails(Failure::Resource(shortage.clone())),
        Some(_) => Forecast::AtRisk,
        None if at_risk => Forecast::AtRisk,
        None => Forecast::Starts,
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
}

#[cfg(test)]
pub(crate) mod tests;
