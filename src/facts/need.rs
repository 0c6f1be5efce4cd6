//! How many semaphore sets httpd needs, and how that is known.

use std::fmt;

use super::mutex::Demand;
use super::state::Learnt;

/// How many semaphore sets httpd will make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// At least this many.
    pub at_least: i64,
    /// At most this many.
    pub at_most: i64,
    /// Where the figures come from.
    pub source: NeedSource,
}

/// Where a need comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedSource {
    /// Asking httpd was turned off: one accept lock by System V semaphore is assumed.
    Assumed,
    /// httpd was asked and gave no answer: the same, but not certain.
    Unheard,
    /// `--need`.
    Given,
    /// httpd's own configuration.
    Asked,
    /// The same, together with what its earlier starts showed.
    Learnt(Learnt),
}

impl Need {
    /// Assumed when httpd gave no answer: it may need an accept lock. Nothing is proved in that case,
    /// so this alone never fails a start.
    #[must_use]
    pub fn unheard() -> Need {
        Need { at_least: 0, at_most: 1, source: NeedSource::Unheard }
    }

    /// Assumed when httpd is not asked: the accept lock.
    #[must_use]
    pub fn assumed() -> Need {
        Need { at_least: 1, at_most: 1, source: NeedSource::Assumed }
    }

    /// What httpd's own configuration requires.
    #[must_use]
    pub fn asked(demand: &Demand) -> Need {
        let (at_least, at_most) = demand.sets();
        Need { at_least, at_most, source: NeedSource::Asked }
    }

    /// The administrator's figure.
    #[must_use]
    pub fn given(sets: u32) -> Need {
        Need { at_least: sets.into(), at_most: sets.into(), source: NeedSource::Given }
    }
}

impl Need {
    /// "2 semaphore sets", "0 to 1 semaphore sets".
    #[must_use]
    pub fn figures(&self) -> String {
        if self.at_least == self.at_most {
            sets(self.at_least)
        } else {
            format!("{} to {} semaphore sets", self.at_least, self.at_most)
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.figures())?;
        f.write_str(match self.source {
            NeedSource::Learnt(_) if self.at_least == self.at_most => ", as at its last starts",
            NeedSource::Learnt(learnt) => {
                return write!(f, " ({} at its last start)", learnt.sets);
            }
            NeedSource::Assumed => " (assumed: the accept lock)",
            NeedSource::Unheard => " (assumed: at most the accept lock)",
            NeedSource::Given => " (--need)",
            NeedSource::Asked => "",
        })
    }
}

/// "1 set", "2 sets".
#[must_use]
pub fn sets(count: i64) -> String {
    format!("{count} semaphore set{}", if count == 1 { "" } else { "s" })
}
