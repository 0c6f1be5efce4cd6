//! How much room is left for semaphore sets and which limit is reached first.
//! Pure: limits and usage in, figures out.

use std::fmt;

/// The most sets that a kernel allows without `ipcmni_extend` (ipc/util.h, `IPCMNI`).
pub const IPCMNI: i64 = 32_768;

/// One of the three limits that semget(2) checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Semaphores in one set.
    Semmsl,
    /// Semaphores in all sets.
    Semmns,
    /// Sets.
    Semmni,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Semmsl => "SEMMSL",
            Limit::Semmns => "SEMMNS",
            Limit::Semmni => "SEMMNI",
        })
    }
}

/// Limits and usage of one IPC namespace at one point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The limits.
    pub limits: Limits,
    /// What is in use.
    pub usage: Usage,
}

/// How many more sets of one semaphore can be made, and which limit decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Sets; never negative.
    pub sets: i64,
    /// The limit that is reached first, in the kernel's order (ipc/sem.c, `ksys_semget` and
    /// `newary`): SEMMSL, SEMMNS, SEMMNI.
    pub binding: Limit,
}

impl Capacity {
    /// A table that could not be read: neither its limits nor its usage are known.
    pub const UNKNOWN: Capacity = Capacity {
        limits: Limits { semmsl: i64::MAX, semmns: i64::MAX, semopm: i64::MAX, semmni: i64::MAX },
        usage: Usage { sets: 0, semaphores: 0 },
    };

    /// Room for sets of one semaphore each, which is what httpd makes.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.limits.semmsl < 1 {
            return Room { sets: 0, binding: Limit::Semmsl };
        }
        let by_semaphores = (self.limits.semmns - self.usage.semaphores).max(0);
        let by_sets = (self.limits.semmni - self.usage.sets).max(0);
        if by_semaphores <= by_sets {
            Room { sets: by_semaphores, binding: Limit::Semmns }
        } else {
            Room { sets: by_sets, binding: Limit::Semmni }
        }
    }

    /// The same table under other limits.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Capacity {
        Capacity { limits, ..*self }
    }

    /// The same table without `count` sets of one semaphore each.
    #[must_use]
    pub fn without(&self, count: usize) -> Capacity {
        let count = self::count(count);
        let usage = Usage {
            sets: (self.usage.sets - count).max(0),
            semaphores: (self.usage.semaphores - count).max(0),
        };
        Capacity { usage, ..*self }
    }
}

/// A number of things as a signed figure, as limits and usage are.
#[must_use]
pub fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The limits of this IPC namespace (`kernel.sem`; sysctl(8), ipc/sem.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Semaphores in one set.
    pub semmsl: i64,
    /// Semaphores in all sets.
    pub semmns: i64,
    /// Operations in one semop(2).
    pub semopm: i64,
    /// Sets.
    pub semmni: i64,
}

impl fmt::Display for Limits {
    /// The four numbers in the order of `kernel.sem`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.semmsl, self.semmns, self.semopm, self.semmni)
    }
}

/// What is in use in this IPC namespace (`SEM_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Sets in use (`semusz`).
    pub sets: i64,
    /// Semaphores in use (`semaem`).
    pub semaphores: i64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn limits(semmsl: i64, semmns: i64, semopm: i64, semmni: i64) -> Limits {
        Limits { semmsl, semmns, semopm, semmni }
    }

    pub(crate) fn capacity(limits: Limits, sets: i64, semaphores: i64) -> Capacity {
        Capacity { limits, usage: Usage { sets, semaphores } }
    }

    #[test]
    fn semmns_binds_in_the_lost_space_outage_though_semmni_is_far_off() {
        let seed = capacity(limits(25_032_000, 32, 512, 512), 32, 32);
        assert_eq!(seed.room(), Room { sets: 0, binding: Limit::Semmns });
        assert_eq!(seed.without(31).room(), Room { sets: 31, binding: Limit::Semmns });
    }

    #[test]
    fn semmni_binds_when_it_is_reached_first() {
        let c = capacity(limits(250, 32_000, 32, 8), 6, 6);
        assert_eq!(c.room(), Room { sets: 2, binding: Limit::Semmni });
    }

    #[test]
    fn when_both_are_reached_the_kernel_reports_semmns_first() {
        let c = capacity(limits(250, 8, 32, 8), 8, 8);
        assert_eq!(c.room(), Room { sets: 0, binding: Limit::Semmns });
    }

    #[test]
    fn limits_below_usage_leave_no_room_not_negative_room() {
        assert_eq!(capacity(limits(250, 4, 32, 2), 9, 40).room().sets, 0);
    }

    #[test]
    fn semmsl_of_0_leaves_no_room() {
        let c = capacity(limits(0, 32_000, 32, 128), 0, 0);
        assert_eq!(c.room(), Room { sets: 0, binding: Limit::Semmsl });
    }
}
