//! How often a running httpd was reloaded: the generation in its scoreboard. Touches /proc.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::unistd::Pid;

/// APR stores the size of anonymous shared memory in front of it (shmem/unix/shm.c, `apr_shm_create`).
/// The scoreboard starts with two limits, the generation and a time in microseconds
/// (include/scoreboard.h, `global_score`, since 2.4.1). httpd 2.2 has a different number in third
/// place, so it looks as if it had been reloaded.
const BYTES: usize = 8 + 4 + 4 + 4 + 4 + 8;

/// Plausible start times of an httpd, in microseconds since 1970: 2001 to 2286.
const TIMES: std::ops::Range<i64> = 1_000_000_000_000_000..10_000_000_000_000_000;

/// The generation of the httpd with this first process: 0 until its first reload, graceful or not
/// (server/mpm: `my_generation`). `None` if it cannot be determined, for example with a
/// `ScoreBoardFile`.
#[must_use]
pub fn of(leader: Pid) -> Option<u32> {
    let proc = Path::new("/proc").join(leader.to_string());
    let maps = fs::read_to_string(proc.join("maps")).ok()?;
    let memory = File::open(proc.join("mem")).ok()?;
    let mut found = maps.lines().filter_map(shared).filter_map(|(start, length)| {
        let mut bytes = [0; BYTES];
        memory.read_exact_at(&mut bytes, start).ok()?;
        scoreboard(&bytes, length)
    });
    let generation = found.next()?;
    // If two candidates look like a scoreboard, neither can be trusted.
    found.next().is_none().then_some(generation)
}

/// The start and length of anonymous shared memory (kernel mm/shmem.c, `shmem_zero_setup`), if a line
/// of maps shows some.
fn shared(line: &str) -> Option<(u64, u64)> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (mode, file) = (words.next()?, words.nth(3)?.trim_start());
    if mode != "rw-s" || file != "/dev/zero (deleted)" {
        return None;
    }
    let start = u64::from_str_radix(start, 16).ok()?;
    Some((start, u64::from_str_radix(end, 16).ok()?.checked_sub(start)?))
}

/// The generation, if these are the first bytes of a scoreboard for which `length` bytes are mapped.
fn scoreboard(bytes: &[u8; BYTES], length: u64) -> Option<u32> {
    let int = |at: usize| i32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
    let long = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let size = u64::try_from(long(0)).ok()?;
    let limits = 1..=1_000_000;
    let is_one = size <= length
        && limits.contains(&int(8))
        && limits.contains(&int(12))
        && TIMES.contains(&long(24));
    is_one.then(|| u32::try_from(int(16)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of an event MPM's scoreboard after two reloads.
    fn begins(limit: i32, time: i64) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&344_768_i64.to_ne_bytes());
        for (at, number) in [(8, limit), (12, 64), (16, 2)] {
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes[24..].copy_from_slice(&time.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_scoreboard_is_recognised_by_its_size_limits_and_time() {
        let time = 1_795_825_728_000_000;
        assert_eq!(scoreboard(&begins(16, time), 348_160), Some(2));
        assert_eq!(scoreboard(&begins(16, time), 344_064), None);
        assert_eq!(scoreboard(&begins(0, time), 348_160), None);
        assert_eq!(scoreboard(&begins(16, 3_184), 348_160), None);
    }

    #[test]
    fn shared_memory_is_found_in_the_maps() {
        let line = "7fb55782e000-7fb557883000 rw-s 00000000 00:01 71088                      /dev/zero (deleted)";
        assert_eq!(shared(line), Some((0x7fb5_5782_e000, 0x55000)));
        for other in [
            line.replace("rw-s", "rw-p"),
            line.replace("/dev/zero (deleted)", "/run/board"),
            line[..40].to_owned(),
            String::new(),
        ] {
            assert_eq!(shared(&other), None, "{other}");
        }
    }

    #[test]
    fn a_process_without_a_scoreboard_has_no_generation() {
        assert_eq!(of(Pid::this()), None);
    }
}
