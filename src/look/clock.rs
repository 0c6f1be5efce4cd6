//! The clocks: reading them, and waiting.

use std::time::Duration;

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::facts::time::{BootTicks, Clock, WallTime};

/// Reads `CLOCK_REALTIME` and `CLOCK_BOOTTIME`. Does not need /proc/stat, which is missing in a unit
/// with `ProcSubset=pid`.
///
/// # Errors
/// Those of clock_gettime(2); in practice caused by a seccomp filter.
pub fn now() -> nix::Result<Clock> {
    let real = clock_gettime(ClockId::CLOCK_REALTIME)?;
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    let mut boot = real.tv_sec() - since_boot.tv_sec();
    if real.tv_nsec() < since_boot.tv_nsec() {
        boot -= 1;
    }
    Ok(Clock {
        now: WallTime(real.tv_sec()),
        boot: WallTime(boot),
        ticks_per_second: u64::try_from(ticks).unwrap_or(100).max(1),
    })
}

/// The time since boot, in the ticks of /proc/PID/stat (`CLOCK_BOOTTIME`).
///
/// # Errors
/// Those of clock_gettime(2).
pub fn since_boot(clock: &Clock) -> nix::Result<BootTicks> {
    let time = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    let ticks = time.as_nanos() * u128::from(clock.ticks_per_second) / 1_000_000_000;
    Ok(BootTicks(u64::try_from(ticks).unwrap_or(u64::MAX)))
}

/// Sleeps for about this long, or not at all if sleeping is refused (seccomp filter), in which case
/// `std::thread::sleep` would panic. Callers check the time themselves.
pub fn nap(duration: Duration) {
    let _ =
        clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::empty(), &duration.into());
}

#[cfg(test)]
mod tests {
    #[test]
    fn boot_is_before_now() {
        let clock = super::now().expect("clocks can be read");
        assert!(clock.boot < clock.now && clock.ticks_per_second > 0);
    }
}
