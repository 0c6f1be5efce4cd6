//! Times: one clock for all of them, in wall-clock seconds, as the kernel stamps semaphore sets.
//! Arithmetic only; look/clock.rs reads the clocks.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whole seconds since 1970 on the wall clock (`CLOCK_REALTIME`), as in `sem_ctime` and `sem_otime`
/// (ipc/sem.c, `ktime_get_real_seconds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

impl WallTime {
    /// This time plus `seconds` (negative: earlier).
    #[must_use]
    pub fn plus(self, seconds: i64) -> WallTime {
        WallTime(self.0.saturating_add(seconds))
    }
}

/// Clock ticks since boot (`starttime` in /proc/PID/stat, proc(5); based on `CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTicks(pub u64);

/// One reading of the clocks, enough to put process starts and semaphore times on one time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall-clock time of the reading.
    pub now: WallTime,
    /// Wall-clock time of the boot, according to the current wall clock: stepping the clock moves it.
    pub boot: WallTime,
    /// Ticks per second (`sysconf(_SC_CLK_TCK)`).
    pub ticks_per_second: u64,
}

impl Clock {
    /// The wall-clock second at which a process with start time `ticks` started.
    #[must_use]
    pub fn at(&self, ticks: BootTicks) -> WallTime {
        let seconds = i64::try_from(ticks.0 / self.ticks_per_second).unwrap_or(i64::MAX);
        self.boot.plus(seconds)
    }
}

/// An age for people, in its two largest units: "3 d 4 h", "12 s".
#[must_use]
pub fn age(seconds: i64) -> String {
    let s = seconds.max(0);
    let (d, h, m) = (s / 86_400, s % 86_400 / 3_600, s % 3_600 / 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, _) => format!("{m} min"),
        (0, _, 0) => format!("{h} h"),
        (0, _, _) => format!("{h} h {m} min"),
        (_, 0, _) => format!("{d} d"),
        _ => format!("{d} d {h} h"),
    }
}

/// A time in RFC 3339 format, in UTC: "2026-11-21T10:00:00Z". `None` for years that it cannot express
/// (before 0 and after 9999).
#[must_use]
pub fn rfc3339(time: WallTime) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(time.0).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_boot_plus_ticks() {
        let c = Clock { now: WallTime(2_000), boot: WallTime(1_000), ticks_per_second: 100 };
        assert_eq!(c.at(BootTicks(4_250)), WallTime(1_042));
        assert_eq!(c.at(BootTicks(u64::MAX)), WallTime(1_000 + (u64::MAX / 100) as i64));
    }

    #[test]
    fn times_are_written_in_utc() {
        let written = |seconds| rfc3339(WallTime(seconds));
        assert_eq!(written(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(written(1_542_802_501).as_deref(), Some("2018-11-21T12:15:01Z"));
        assert_eq!(written(i64::MAX), None);
        assert_eq!(written(i64::MIN), None);
    }

    #[test]
    fn ages_read_as_people_say_them() {
        for (s, want) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (3_660, "1 h 1 min"),
            (86_400, "1 d"),
            (86_400 * 3 + 4 * 3_600, "3 d 4 h"),
        ] {
            assert_eq!(age(s), want);
        }
    }
}
