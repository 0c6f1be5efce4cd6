//! Whether the limits in `kernel.sem` can be intended, and which limits are sufficient. Pure: limits in,
//! limits out.

use std::fmt;

use crate::facts::capacity::{Capacity, IPCMNI, Limits};

/// A value of `kernel.sem` that cannot be intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Two numbers were written without the space between them, and every later number moved one place
    /// to the left.
    LostSpace {
        /// The number as written.
        joined: i64,
        /// The two numbers that were most likely meant.
        meant: (i64, i64),
    },
    /// SEMMSL is 0 or less: no set can be made at all.
    NoSets,
    /// SEMMSL is larger than SEMMNS: no set of that size can ever be made.
    SetLargerThanAll,
    /// SEMMNS is smaller than SEMMNI: the number of sets can never be reached.
    FewerSemaphoresThanSets,
}

/// What is odd about the limits; the first oddity found explains the others.
#[must_use]
pub fn oddity(limits: &Limits) -> Option<Oddity> {
    if limits.semmsl < 1 {
        return Some(Oddity::NoSets);
    }
    if limits.semmsl > limits.semmns {
        return Some(match split(limits) {
            Some(meant) => Oddity::LostSpace { joined: limits.semmsl, meant },
            None => Oddity::SetLargerThanAll,
        });
    }
    (limits.semmns < limits.semmni).then_some(Oddity::FewerSemaphoresThanSets)
}

/// Common values for SEMMSL (kernel defaults, manuals of databases).
const USUAL_SEMMSL: [i64; 14] =
    [250, 256, 500, 1250, 100, 128, 512, 1000, 1024, 2000, 2048, 4096, 5010, 32_000];

/// "25032000" as (250, 32000): the one split whose first part is a common SEMMSL and whose second part
/// can be a SEMMNS for the other numbers, which are now one place too far to the left.
fn split(limits: &Limits) -> Option<(i64, i64)> {
    let digits = limits.semmsl.to_string();
    USUAL_SEMMSL.into_iter().find_map(|semmsl| {
        let back = digits.strip_prefix(&semmsl.to_string())?;
        let semmns: i64 = back.parse().ok()?;
        // The number in the place of SEMMNS must be valid as SEMOPM, the one in that of SEMOPM as SEMMNI.
        let moved = (1..=IPCMNI).contains(&limits.semmns) && (1..=IPCMNI).contains(&limits.semopm);
        let plausible =
            moved && !back.starts_with('0') && semmns >= semmsl && semmns >= limits.semopm;
        plausible.then_some((semmsl, semmns))
    })
}

/// The minimum number of sets in a proposed `kernel.sem`: the default of kernels before 3.19.
const FEWEST: i64 = 128;

/// How much room a proposed limit leaves at least, in addition to what is needed.
const HEADROOM: i64 = 16;

/// What replaces limits that are 0: the defaults of the same kernels (include/uapi/linux/sem.h).
const USUAL: Limits = Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni: FEWEST };

/// The highest value that the kernel accepts for SEMMNS, an int.
const MOST_SEMMNS: i64 = i32::MAX as i64;

/// A `kernel.sem` with room for `more` further sets and some headroom. Limits are only raised, except
/// that a lost space is put back.
#[must_use]
pub fn better(capacity: &Capacity, more: i64) -> Limits {
    let meant = match (oddity(&capacity.limits), capacity.limits) {
        // The number in the place of SEMMNS was meant as SEMOPM, the one in that of SEMOPM as SEMMNI;
        // the fourth number was not set and kept its previous value.
        (Some(Oddity::LostSpace { meant: (semmsl, semmns), .. }), now) => {
            Limits { semmsl, semmns, semopm: now.semmns, semmni: now.semopm }
        }
        (_, now) => now,
    };
    let (sets, semaphores) = (capacity.usage.sets, capacity.usage.semaphores);
    let grown = |limit: i64, used: i64| match used.saturating_add(more) {
        wanted if wanted.saturating_add(HEADROOM.max(more)) <= limit => limit,
        wanted => limit.max(wanted).saturating_mul(2).max(FEWEST),
    };
    let semmni = grown(meant.semmni, sets).min(IPCMNI.max(capacity.limits.semmni));
    let or_usual = |limit: i64, usual: i64| if limit < 1 { usual } else { limit };
    let semmsl = or_usual(meant.semmsl, USUAL.semmsl);
    let semmns = grown(or_usual(meant.semmns, USUAL.semmns), semaphores);
    let semmns = semmns.max(semmni).max(semmsl).min(MOST_SEMMNS);
    let semopm = or_usual(meant.semopm, USUAL.semopm);
    Limits { semmsl, semmns, semopm, semmni }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Oddity::LostSpace { joined, meant: (a, b) } => {
                write!(f, "SEMMSL {joined} looks like \"{a} {b}\" with the space missing")
            }
            Oddity::NoSets => f.write_str("with SEMMSL below 1 no set can be made at all"),
            Oddity::SetLargerThanAll => {
                f.write_str("SEMMSL is larger than SEMMNS, which cannot be intended")
            }
            Oddity::FewerSemaphoresThanSets => {
                f.write_str("SEMMNS is smaller than SEMMNI, so SEMMNI can never be reached")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::capacity::tests::{capacity, limits};

    #[test]
    fn a_semmsl_of_zero_is_odd_because_no_set_can_be_made() {
        assert_eq!(oddity(&limits(0, 32_000, 32, 128)), Some(Oddity::NoSets));
    }

    #[test]
    fn a_lost_space_is_recognized_and_put_back() {
        let sem = limits(25_032_000, 32, 512, 512);
        let meant = (250, 32_000);
        assert_eq!(oddity(&sem), Some(Oddity::LostSpace { joined: 25_032_000, meant }));
        assert_eq!(better(&capacity(sem, 32, 32), 1).to_string(), "250 32000 32 512");
    }

    #[test]
    fn default_limits_are_not_odd() {
        for good in [
            limits(250, 32_000, 32, 128),
            limits(32_000, 1_024_000_000, 500, 32_000),
            limits(250, 256_000, 100, 1_024),
            limits(250, 32_000, 32, 6),
        ] {
            assert_eq!(oddity(&good), None, "{good}");
        }
    }

    #[test]
    fn limits_that_cannot_be_intended_are_named() {
        assert_eq!(oddity(&limits(300, 100, 32, 50)), Some(Oddity::SetLargerThanAll));
        assert_eq!(oddity(&limits(50, 100, 32, 128)), Some(Oddity::FewerSemaphoresThanSets));
    }

    fn lost_space(limits: &Limits) -> bool {
        matches!(oddity(limits), Some(Oddity::LostSpace { .. }))
    }

    #[test]
    fn limits_of_zero_become_common_ones() {
        let zeros = capacity(limits(0, 0, 0, 0), 0, 0);
        assert_eq!(better(&zeros, 1).to_string(), "250 32000 32 128");
        let no_sets = capacity(limits(250, 32_000, 32, 0), 40, 40);
        assert_eq!(better(&no_sets, 2).to_string(), "250 32000 32 128");
    }

    proptest! {
        #[test]
        fn proposed_limits_have_the_requested_room(
            semmsl in -1i64..70_000_000, semmns in 0i64..2_000_000_000,
            semopm in 0i64..1_000, semmni in 0i64..=IPCMNI,
            sets in 0i64..20_000, more in 1i64..100,
        ) {
            let now = capacity(limits(semmsl, semmns, semopm, semmni), sets, sets);
            let proposed = better(&now, more);
            let then = Capacity { limits: proposed, ..now };
            prop_assert!(then.room().sets >= more, "{} -> {}", now.limits, proposed);
            // Never only the last place, except at the kernel's own maximum.
            let free = then.room().sets - more;
            prop_assert!(free >= HEADROOM || proposed.semmni == IPCMNI, "{} -> {}", now.limits, proposed);
            let worse = proposed.semmni < now.limits.semmni && !lost_space(&now.limits);
            prop_assert!(!worse, "{} -> {}", now.limits, proposed);
            prop_assert_eq!(oddity(&proposed), None);
        }
    }
}
