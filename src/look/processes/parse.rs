//! Parses files in /proc. Pure: texts and readers in, fields out.

use std::collections::BTreeSet;

use nix::unistd::Uid;

use crate::facts::set::SemId;
use crate::facts::time::BootTicks;

/// `CAP_SYS_PTRACE` (linux/capability.h): reading another user's /proc/PID/exe and ns.
const CAP_SYS_PTRACE: u32 = 19;

/// The fields of /proc/PID/stat that sysinfo does not provide (proc(5); kernel fs/proc/array.c,
/// `do_task_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process group (field 5).
    pub group: i32,
    /// Session (field 6).
    pub session: i32,
    /// The kernel's flags (field 9).
    pub flags: u64,
    /// Threads (field 20); a process that is only waiting to be reaped has at most one.
    pub threads: i64,
    /// Start (field 22).
    pub start: BootTicks,
}

/// Parses one line of /proc/PID/stat. The name in it may contain any byte, including parentheses and
/// spaces: the fields begin after the last ")".
#[must_use]
pub fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|b| *b == b')')?;
    // `fields` begins with field 3, the state.
    let mut fields = std::str::from_utf8(&line[end + 1..]).ok()?.split_ascii_whitespace();
    Some(Stat {
        group: fields.nth(2)?.parse().ok()?,
        session: fields.next()?.parse().ok()?,
        flags: fields.nth(2)?.parse().ok()?,
        threads: fields.nth(10)?.parse().ok()?,
        start: BootTicks(fields.nth(1)?.parse().ok()?),
    })
}

/// The fields of /proc/PID/status that show whether a process matters (proc(5); kernel
/// fs/proc/array.c, `proc_pid_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its first thread has exited.
    pub ended: bool,
    /// Its parent; 0 if that is not in this PID namespace.
    pub parent: i32,
    /// Its real, effective, saved and file-system user.
    pub uids: [Uid; 4],
    /// How many threads it has, if the text went that far.
    pub threads: Option<u64>,
    /// Kilobytes of code in its executable and in its libraries, if the text went that far.
    pub code: Option<(u64, u64)>,
}

/// Parses the beginning of /proc/PID/status, which must include the line "Uid:". The name before it is
/// escaped, so it contains no line break.
#[must_use]
pub fn parse_status(text: &[u8]) -> Option<Status> {
    let (mut ended, mut parent, mut uids) = (None, None, None);
    let (mut threads, mut own, mut libraries) = (None, None, None);
    let mut rest = text;
    // A number at the end of the text may be truncated.
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let value = || std::str::from_utf8(&line[colon + 1..]).ok();
        let number = || value()?.split_ascii_whitespace().next()?.parse::<u64>().ok();
        match &line[..colon] {
            b"State" => ended = Some(value()?.trim_start().starts_with(['Z', 'X'])),
            b"PPid" => parent = Some(value()?.trim().parse().ok()?),
            b"Uid" => {
                let four = value()?.split_ascii_whitespace();
                let mut four = four.map(|n| n.parse().map(Uid::from_raw));
                let mut next = || four.next()?.ok();
                uids = Some([next()?, next()?, next()?, next()?]);
            }
            b"VmExe" => own = number(),
            b"VmLib" => libraries = number(),
            b"Threads" => {
                threads = number();
                // The rest is of no interest, and as long as everything before it.
                if uids.is_some() {
                    break;
                }
            }
            _ => {}
        }
    }
    let code = own.zip(libraries);
    Some(Status { ended: ended?, parent: parent?, uids: uids?, threads, code })
}

/// Whether a kernel with this release ("6.1.0-18-amd64") is at least this version. An unknown format
/// counts as an old kernel.
pub(super) fn is_at_least(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok);
    next().zip(next()).is_some_and(|found| found >= version)
}

/// Whether the options of the mount on /proc hide other users' processes (proc(5), `hidepid`).
/// `mountinfo` is the text of /proc/self/mountinfo; the last mount is the visible one.
#[must_use]
pub fn hides_processes(mountinfo: &str) -> bool {
    // A list of mounts without /proc is not valid.
    let mut hidden = true;
    for line in mountinfo.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        if front.split(' ').nth(4) != Some("/proc") {
            continue;
        }
        let options = back.split(' ').nth(2).unwrap_or_default();
        hidden = options
            .split(',')
            .filter_map(|o| o.strip_prefix("hidepid="))
            .any(|v| !matches!(v, "0" | "off"));
    }
    hidden
}

/// Whether this process may look into every other one: it has `CAP_SYS_PTRACE` in effect, in the initial
/// user namespace. `status` and `uid_map` are the texts of /proc/self/….
#[must_use]
pub fn may_look_into_all(status: &str, uid_map: &str) -> bool {
    let effective = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|v| u64::from_str_radix(v.trim(), 16).ok())
        .unwrap_or(0);
    let initial = uid_map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    effective & (1 << CAP_SYS_PTRACE) != 0 && initial
}

/// The set that a line of /proc/PID/syscall says its thread is waiting for.
pub(super) fn semop_argument(line: &str) -> Option<SemId> {
    #[cfg(target_pointer_width = "64")]
    const CALLS: [i64; 2] = [nix::libc::SYS_semop, nix::libc::SYS_semtimedop];
    #[cfg(not(target_pointer_width = "64"))]
    const CALLS: [i64; 0] = [];
    let mut words = line.split_ascii_whitespace();
    let call: i64 = words.next()?.parse().ok()?;
    let id = i64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    CALLS.contains(&call).then(|| i32::try_from(id).ok().map(SemId)).flatten()
}

/// Whether /proc/PID/maps names the APR library.
pub(super) fn names_apr(maps: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"/libapr-1.", b"/libapr-2."];
    let mut rest = maps;
    while let Some(at) = rest.iter().position(|b| *b == b'/') {
        rest = &rest[at..];
        if NAMES.iter().any(|name| rest.starts_with(name)) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The files in /proc/PID/maps with a name given by NFS: they were removed or replaced on this host while
/// they were open (kernel fs/nfs/unlink.c, `nfs_sillyrename`).
pub(super) fn silly_names(maps: &[u8]) -> BTreeSet<&[u8]> {
    let path = |line| {
        let at = <[u8]>::iter(line).position(|b| *b == b'/')?;
        let path = &line[at..];
        let last = path.rsplit(|b| *b == b'/').next()?;
        last.starts_with(b".nfs").then_some(path)
    };
    maps.split(|b| *b == b'\n').filter_map(path).collect()
}

/// Whether a file beginning with `front` is a program for which the kernel loads an interpreter, the C
/// library's loader (elf(5), `PT_INTERP`). It is running, so its fields are in the machine's own format.
pub(super) fn has_interpreter(front: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let at = |place: usize, width: usize| -> Option<usize> {
        let bytes = front.get(place..place.checked_add(width)?)?;
        let mut padded = [0; 8];
        if cfg!(target_endian = "little") {
            padded[..width].copy_from_slice(bytes);
            usize::try_from(u64::from_le_bytes(padded)).ok()
        } else {
            padded[8 - width..].copy_from_slice(bytes);
            usize::try_from(u64::from_be_bytes(padded)).ok()
        }
    };
    if !front.starts_with(b"\x7fELF") {
        return false;
    }
    // For 32 or 64 bits: offset of the program headers, size of one, and their number.
    let headers = match front.get(4) {
        Some(1) => (at(28, 4), at(42, 2), at(44, 2)),
        Some(2) => (at(32, 8), at(54, 2), at(56, 2)),
        _ => return false,
    };
    let (Some(start), Some(size), Some(count)) = headers else { return false };
    (0..count).any(|i| {
        let place = size.checked_mul(i).and_then(|o| o.checked_add(start));
        place.and_then(|place| at(place, 4)) == Some(PT_INTERP as usize)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_shift_the_fields() {
        let line = b"42 (a) S 1 (\n) S 1 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 777 1 2";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                group: 40,
                session: 39,
                flags: 4_194_304,
                threads: 9,
                start: BootTicks(777)
            })
        );
        assert_eq!(parse_stat(b"42 (short) S 1 2"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn the_processs_own_stat_can_be_parsed() {
        let own = parse_stat(&fs::read("/proc/self/stat").expect("own stat")).expect("parses");
        assert!(own.threads >= 1 && own.start.0 > 0);
    }

    #[test]
    fn a_status_contains_state_parent_users_threads_and_code() {
        let text = b"Name:\ta\\nUid: 9\nState:\tS (sleeping)\nTgid:\t42\nPid:\t42\nPPid:\t7\n\
                     TracerPid:\t0\nUid:\t33\t4000000000\t0\t34\nGid:\t1\t2\t3\t4\nFDSize:\t64\n\
                     VmExe:\t     704 kB\nVmLib:\t    9216 kB\nThreads:\t3\nSigQ:\t0/1\n";
        let whole = Status {
            ended: false,
            parent: 7,
            uids: [33, 4_000_000_000, 0, 34].map(Uid::from_raw),
            threads: Some(3),
            code: Some((704, 9216)),
        };
        assert_eq!(parse_status(text), Some(whole));
        let cut = text.windows(3).position(|w| w == b"16 ").expect("there");
        assert_eq!(parse_status(&text[..cut]), Some(Status { threads: None, code: None, ..whole }));
        for state in ["Z (zombie)", "X (dead)"] {
            let text = format!("Name:\tx\nState:\t{state}\nPPid:\t1\nUid:\t0\t0\t0\t0\n");
            assert!(parse_status(text.as_bytes()).is_some_and(|s| s.ended), "{state}");
        }
        for cut in ["", "Name:\tx\nState:\tS\nPPid:\t1\nUid:\t33\t33\t33\t3", "Uid:\t0\t0\t0\t0\n"]
        {
            assert_eq!(parse_status(cut.as_bytes()), None, "{cut:?}");
        }
    }

    #[test]
    fn the_processs_own_status_can_be_parsed() {
        let own = parse_status(&fs::read("/proc/self/status").expect("own status"));
        let own = own.expect("parses");
        assert!(!own.ended && own.parent == nix::unistd::getppid().as_raw());
        assert_eq!(own.uids[..2], [nix::unistd::getuid(), nix::unistd::geteuid()]);
        assert!(own.threads >= Some(1) && own.code.is_some_and(|(exe, _)| exe > 0), "{own:?}");
    }

    #[test]
    fn apr_is_recognized_by_the_name_of_its_library() {
        let with = b"7f00-7f10 r--p 0 08:01 7 /lib/libapr-1.so.0.7.2\n7f10-7f20 rw-p 0 00:00 0\n";
        assert!(names_apr(with));
        assert!(!names_apr(b"7f00-7f10 r--p 0 08:01 7 /lib/libaprutil-1.so.0\n"));
        assert!(!names_apr(b""));
    }

    #[test]
    fn files_renamed_by_nfs_are_recognized_by_their_names() {
        let maps = b"7f00-7f10 r-xp 0 00:2a 7 /opt/lib/.nfs0000000000c2f1a600000001\n\
                     7f20-7f30 r--p 0 00:2a 7 /opt/lib/.nfs0000000000c2f1a600000001\n\
                     7f40-7f50 r--p 0 00:2a 8 /opt/.nfs/libc.so.6\n7f60-7f70 rw-p 0 00:00 0 [heap]\n";
        let file: &[u8] = b"/opt/lib/.nfs0000000000c2f1a600000001";
        assert_eq!(silly_names(maps).into_iter().collect::<Vec<_>>(), [file]);
    }

    #[test]
    fn kernel_versions_are_compared_by_release() {
        for (release, new) in [
            ("3.10.0-1160.el7.x86_64", false),
            ("4.14.355-275.amzn2", false),
            ("4.17.0", true),
            ("4.18.0-553.el8", true),
            ("6.1.0-18-amd64", true),
            ("10.0", true),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(is_at_least(release, (4, 17)), new, "{release}");
        }
    }

    #[test]
    fn hidepid_is_read_from_the_visible_mount() {
        let open = "22 1 0:20 / /proc rw,nosuid - proc proc rw\n";
        let hidden = "99 22 0:55 / /proc rw - proc proc rw,hidepid=invisible,subset=pid\n";
        assert!(!hides_processes(open));
        assert!(hides_processes(hidden));
        assert!(hides_processes(&format!("{open}{hidden}")));
        assert!(!hides_processes(&format!("{hidden}{open}")));
        assert!(hides_processes("1 2 0:3 / /proc rw - proc proc rw,hidepid=2\n"));
        assert!(!hides_processes("1 2 0:3 / /proc rw - proc proc rw,hidepid=0\n"));
        let elsewhere = "1 2 0:3 / /mnt/proc rw - proc proc rw,hidepid=2\n";
        assert!(!hides_processes(&format!("{open}{elsewhere}")));
        assert!(hides_processes(""), "what cannot be read may hide anything");
    }

    #[test]
    fn looking_into_all_processes_needs_the_capability_and_the_initial_user_namespace() {
        let all = "Name:\tx\nCapEff:\t000001ffffffffff\n";
        let none = "CapEff:\t0000000000000000\n";
        let map = "         0          0 4294967295\n";
        assert!(may_look_into_all(all, map));
        assert!(!may_look_into_all(none, map));
        assert!(!may_look_into_all(all, "0 1000 1\n"));
        assert!(!may_look_into_all("CapEff:\t000001fffff7ffff\n", map));
        assert!(!may_look_into_all("", ""));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_thread_inside_semop_names_its_set() {
        assert_eq!(
            semop_argument("220 0x8003 0x7f 0x1 0x0 0x0 0x0 0x7f 0x7f\n"),
            Some(SemId(32_771))
        );
        assert_eq!(semop_argument("65 0x0 0x7f 0x1"), Some(SemId(0)));
        assert_eq!(semop_argument("7 0x8003 0x7f"), None);
        assert_eq!(semop_argument("running\n"), None);
        assert_eq!(semop_argument("-1 0x7f 0x7f"), None);
    }

    proptest! {
        #[test]
        fn no_stat_line_panics(line: Vec<u8>) {
            let _ = parse_stat(&line);
            let _ = parse_status(&line);
            let _ = silly_names(&line);
            let _ = has_interpreter(&[b"\x7fELF\x02".as_slice(), &line].concat());
        }
        #[test]
        fn no_mountinfo_panics(s: String) {
            let _ = hides_processes(&s);
        }
    }
}
