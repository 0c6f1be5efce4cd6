//! The process table, read once, and only as far as a verdict needs it: who lives, who is httpd,
//! since when, in which IPC namespace. Touches /proc; decides nothing about sets.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};
use sysinfo::{
    ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, ThreadKind, UpdateKind,
};

use crate::clock::{BootTicks, Clock, WallTime};
use crate::printable::printable;
use crate::sysv::SemId;

/// `CAP_SYS_PTRACE` (linux/capability.h): reading another user's /proc/PID/exe and ns.
const CAP_SYS_PTRACE: u32 = 19;

/// Programs that have APR in them and run beside httpd, or for long, and make no mutex between
/// processes: httpd's own helpers, Subversion's server, a Java machine with Tomcat's library.
const USE_APR_OTHERWISE: [&str; 4] = ["rotatelogs", "htcacheclean", "svnserve", "java"];

/// How often the table is listed again for processes that were born during the reading.
const PASSES: usize = 10;

/// A process as a message names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub pid: Pid,
    /// Its command name (/proc/PID/comm), made printable.
    pub name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.pid)
    }
}

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An Apache httpd, by its executable's name or by the APR library in it.
    Httpd,
    /// Something else.
    Other,
    /// Its executable cannot be read: it might be a httpd.
    Unreadable,
}

/// A living process of this IPC namespace that matters to some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Number and name.
    pub named: Named,
    /// Its parent, if it has one in this PID namespace.
    pub parent: Option<Pid>,
    /// Real and effective user; empty where they could not be read.
    pub uids: Vec<Uid>,
    /// What runs in it.
    pub kind: Kind,
    /// When it was forked.
    pub start: WallTime,
    /// It leads its session or its process group. A worker of httpd never does: it inherits both
    /// (httpd server/mpm/*, no setsid after the fork; the leader calls it in apr_proc_detach).
    pub leads: bool,
}

impl Process {
    /// Whether it runs as `uid`; a process whose users are unknown might.
    #[must_use]
    pub fn may_run_as(&self, uid: Uid) -> bool {
        self.uids.is_empty() || self.uids.contains(&uid)
    }
}

/// Why a reading of the process table is not the whole truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The own process is not in it, or not by its own number: /proc is not mounted, or is that
    /// of another PID namespace.
    NoProc,
    /// /proc hides other users' processes (`hidepid`), and `CAP_SYS_PTRACE` is missing.
    HidePid,
    /// A process that is there could not be read.
    Unreadable,
    /// New processes of interest came faster than the table could be read.
    Restless,
}

/// One reading of the process table.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The living processes of interest, by number.
    pub processes: Vec<Process>,
    /// Every number that /proc listed, whatever it was.
    listed: HashSet<i32>,
    /// Set where the reading cannot be relied on.
    pub incomplete: Option<Incomplete>,
}

/// What a [`Snapshot`] has to hold beside every httpd.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Processes of these users.
    pub uids: Vec<Uid>,
    /// These processes.
    pub pids: HashSet<i32>,
    /// A further name of httpd's executable.
    pub httpd: Option<std::path::PathBuf>,
}

/// Whether an executable of this path is a httpd. A trailing " (deleted)", which the kernel adds
/// once a package upgrade has replaced the file, is no part of the name.
#[must_use]
pub fn is_httpd(exe: &Path, asked: Option<&Path>) -> bool {
    let bytes = exe.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
    if asked == Some(path) {
        return true;
    }
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    const NAMES: [&[u8]; 8] = [
        b"httpd",
        b"apache2",
        b"httpd.prefork",
        b"httpd.worker",
        b"httpd.event",
        b"httpd-prefork",
        b"httpd-worker",
        b"httpd-event",
    ];
    NAMES.contains(&name) || name.starts_with(b"httpd2")
}

/// The fields of /proc/PID/stat that sysinfo does not hand on (proc(5); kernel fs/proc/array.c,
/// `do_task_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process group (field 5).
    pub group: i32,
    /// Session (field 6).
    pub session: i32,
    /// Threads (field 20); a process that only waits to be reaped has at most one.
    pub threads: i64,
    /// Start (field 22).
    pub start: BootTicks,
}

/// Parses one line of /proc/PID/stat. The name in it may hold any byte, parentheses and spaces
/// included: the fields begin after the last ")".
#[must_use]
pub fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(&line[end + 1..]).ok()?;
    // `rest` begins with field 3, the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start: BootTicks(fields.get(19)?.parse().ok()?),
    })
}

/// Whether the options of a /proc mount hide other users' processes (proc(5), `hidepid`).
/// `mountinfo` is the text of /proc/self/mountinfo; the mount made last is the one in sight.
#[must_use]
pub fn hides_processes(mountinfo: &str) -> bool {
    // A table without a /proc is no table of mounts at all.
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

/// Whether this process may look into every other one: `CAP_SYS_PTRACE` in effect, in the
/// initial user namespace. `status` and `uid_map` are the texts of /proc/self/….
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

impl Snapshot {
    /// Reads the process table: every httpd, and what `interest` names, as far as it lives (a
    /// zombie holds nothing) in this IPC namespace; without this process and its ancestors
    /// (systemd, a shell, apachectl), unless one of them is a httpd.
    #[must_use]
    pub fn take(interest: &Interest, clock: &Clock) -> Snapshot {
        // sysinfo would keep a file open per process.
        sysinfo::set_open_files_limit(0);
        let mut reader = Reader {
            system: System::new(),
            interest,
            clock,
            own_ipc: fs::read_link("/proc/self/ns/ipc").ok(),
            httpd_maps: HashMap::new(),
            found: HashMap::new(),
            lost: false,
        };
        let mut snapshot = Snapshot::default();
        let kind = ProcessRefreshKind::nothing()
            .with_user(UpdateKind::OnlyIfNotSet)
            .with_exe(UpdateKind::OnlyIfNotSet)
            .without_tasks();
        reader.system.refresh_processes_specifics(ProcessesToUpdate::All, false, kind);
        let mut fresh: Vec<sysinfo::Pid> = reader.system.processes().keys().copied().collect();
        // A process that was forked into a number already passed, by a parent that ended before
        // its own was reached, is in no single listing: list until nothing of interest is new, and
        // nothing new was gone before it could be looked at (it may have forked on).
        for pass in 0..=PASSES {
            snapshot.listed.extend(fresh.iter().map(|p| ours(*p).as_raw()));
            let found_before = reader.found.len();
            let mut all_lived = true;
            for pid in &fresh {
                all_lived &= reader.look_at(*pid);
            }
            let nothing_new = reader.found.len() == found_before;
            if pass > 0 && nothing_new && all_lived {
                break;
            }
            if pass == PASSES {
                snapshot.incomplete = Some(Incomplete::Restless);
                break;
            }
            let Ok(listed) = listing() else {
                reader.lost = true;
                break;
            };
            fresh = listed;
            fresh.retain(|p| !snapshot.listed.contains(&ours(*p).as_raw()));
            reader.system.refresh_processes_specifics(ProcessesToUpdate::Some(&fresh), false, kind);
        }
        let own = nix::unistd::getpid();
        if !snapshot.listed.contains(&own.as_raw()) || !is_own_proc(own) {
            snapshot.incomplete = Some(Incomplete::NoProc);
        } else if reader.lost {
            snapshot.incomplete = Some(Incomplete::Unreadable);
        } else if hides_processes(&text("/proc/self/mountinfo"))
            && !may_look_into_all(&text("/proc/self/status"), &text("/proc/self/uid_map"))
        {
            snapshot.incomplete = Some(Incomplete::HidePid);
        }
        for ancestor in reader.lineage(own) {
            if reader.found.get(&ancestor.as_raw()).is_some_and(|p| p.kind != Kind::Httpd) {
                reader.found.remove(&ancestor.as_raw());
            }
        }
        snapshot.processes = reader.found.into_values().collect();
        snapshot.processes.sort_unstable_by_key(|p| p.named.pid);
        snapshot
    }

    /// The living process of this number, if it is one of interest.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Process> {
        self.processes.iter().find(|p| p.named.pid == pid)
    }

    /// Whether a process of this number exists that the table did not list: /proc hides it.
    /// A number that now is a thread's, not a process's, does not count.
    #[must_use]
    pub fn hides(&self, pid: Pid) -> bool {
        !self.listed.contains(&pid.as_raw()) && exists(pid) && !is_thread(pid)
    }
}

/// Whether a process or thread of this number exists; only ESRCH means that none does (kill(2)).
#[must_use]
pub fn exists(pid: Pid) -> bool {
    !matches!(nix::sys::signal::kill(pid, None), Err(Errno::ESRCH))
}

/// Number and name of a living process, for a message; none if it is dead or hidden.
#[must_use]
pub fn name_of(pid: Pid) -> Option<Named> {
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = printable(&String::from_utf8_lossy(comm.trim_ascii_end()));
    Some(Named { pid, name })
}

/// The first of `among` that has a thread inside semop(2) on `id` (/proc/PID/task/TID/syscall,
/// proc(5)); none where the file cannot be read.
#[must_use]
pub fn inside_semop<'a>(
    id: SemId,
    among: impl IntoIterator<Item = &'a Process>,
) -> Option<&'a Process> {
    among.into_iter().find(|p| {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", p.named.pid)) else { return false };
        tasks.filter_map(Result::ok).any(|t| {
            fs::read_to_string(t.path().join("syscall"))
                .is_ok_and(|s| semop_argument(&s) == Some(id))
        })
    })
}

/// The set that a line of /proc/PID/syscall says its thread is waiting for.
fn semop_argument(line: &str) -> Option<SemId> {
    #[cfg(target_pointer_width = "64")]
    const CALLS: [i64; 2] = [nix::libc::SYS_semop, nix::libc::SYS_semtimedop];
    #[cfg(not(target_pointer_width = "64"))]
    const CALLS: [i64; 0] = [];
    let mut words = line.split_ascii_whitespace();
    let call: i64 = words.next()?.parse().ok()?;
    let id = i64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    CALLS.contains(&call).then(|| i32::try_from(id).ok().map(SemId)).flatten()
}

/// sysinfo's number of a process as nix's; the kernel's largest is 2^22 (`PID_MAX_LIMIT`).
fn ours(pid: sysinfo::Pid) -> Pid {
    Pid::from_raw(pid.as_u32() as i32)
}

fn theirs(pid: Pid) -> sysinfo::Pid {
    sysinfo::Pid::from_u32(pid.as_raw() as u32)
}

/// A text of /proc, in which names and mount points may hold any byte.
fn text(path: &str) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// Whether /proc speaks of this PID namespace: it knows this process by its own number, and by no
/// further one (`NSpid` of /proc/self/status lists the numbers from the namespace of the mount
/// inwards).
fn is_own_proc(own: Pid) -> bool {
    let by_link = fs::read_link("/proc/self").is_ok_and(|l| l == Path::new(&own.to_string()));
    let status = text("/proc/self/status");
    if status.is_empty() {
        return false;
    }
    let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    by_link && numbers.is_none_or(|n| n.split_ascii_whitespace().count() <= 1)
}

/// The numbers that /proc lists.
fn listing() -> io::Result<Vec<sysinfo::Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok());
        pids.extend(pid.map(sysinfo::Pid::from_u32));
    }
    Ok(pids)
}

fn stat(pid: Pid) -> Option<Stat> {
    fs::read(format!("/proc/{pid}/stat")).ok().and_then(|line| parse_stat(&line))
}

fn is_thread(pid: Pid) -> bool {
    text(&format!("/proc/{pid}/status"))
        .lines()
        .find_map(|l| l.strip_prefix("Tgid:"))
        .is_some_and(|t| t.trim() != pid.to_string())
}

/// The state of one reading.
struct Reader<'a> {
    system: System,
    interest: &'a Interest,
    clock: &'a Clock,
    own_ipc: Option<std::path::PathBuf>,
    httpd_maps: HashMap<i32, Option<bool>>,
    found: HashMap<i32, Process>,
    lost: bool,
}

impl Reader<'_> {
    /// `pid` and its ancestors, as the table has them.
    fn lineage(&self, pid: Pid) -> Vec<Pid> {
        let mut line = vec![pid];
        let mut at = theirs(pid);
        while let Some(parent) = self.system.process(at).and_then(sysinfo::Process::parent) {
            let pid = ours(parent);
            if line.contains(&pid) {
                break;
            }
            line.push(pid);
            at = parent;
        }
        line
    }

    /// Keeps the process if it lives, is of interest, and is in this IPC namespace. False: it lives
    /// no more.
    fn look_at(&mut self, key: sysinfo::Pid) -> bool {
        let pid = ours(key);
        let Some(p) = self.system.process(key) else { return self.lose(pid) };
        if p.thread_kind() == Some(ThreadKind::Kernel) {
            return true;
        }
        let uids: Vec<Uid> = [p.user_id(), p.effective_user_id()]
            .into_iter()
            .flatten()
            .map(|u| Uid::from_raw(**u))
            .collect();
        let guarded = uids.is_empty() || uids.iter().any(|u| self.interest.uids.contains(u));
        let mut kind = match p.exe() {
            Some(exe) if is_httpd(exe, self.interest.httpd.as_deref()) => Kind::Httpd,
            Some(exe) if !exe.as_os_str().is_empty() => Kind::Other,
            _ => match fs::read_link(format!("/proc/{pid}/exe")) {
                Ok(exe) if is_httpd(&exe, self.interest.httpd.as_deref()) => Kind::Httpd,
                Ok(_) => Kind::Other,
                // No memory any more: a zombie, or about to be one.
                Err(e) if e.kind() == io::ErrorKind::NotFound => match stat(pid) {
                    Some(s) if s.threads > 1 => Kind::Unreadable,
                    Some(_) => return false,
                    None => return self.lose(pid),
                },
                Err(_) => Kind::Unreadable,
            },
        };
        if matches!(p.status(), ProcessStatus::Zombie | ProcessStatus::Dead) {
            match stat(pid) {
                // Its first thread has ended, others live on.
                Some(s) if s.threads > 1 => {}
                Some(_) => return false,
                None => return self.lose(pid),
            }
        }
        let parent = p.parent().map(ours);
        let name = printable(&p.name().to_string_lossy());
        let by_root = uids.iter().any(|u| u.is_root());
        if (guarded || by_root) && kind == Kind::Other && !self.is_known_other(pid) {
            // A httpd under another name: look for APR in it, and in those that a worker descends
            // from. Its leader runs as root, and in its start and restart it has no worker yet.
            for one in if guarded { self.lineage(pid) } else { vec![pid] } {
                match self.maps_apr(one) {
                    Some(true) if one == pid => kind = Kind::Httpd,
                    Some(true) => self.keep_renamed_leader(one),
                    None if one == pid => kind = Kind::Unreadable,
                    // Where even the executable cannot be read, it counts as a httpd by itself.
                    None => self.lost |= self.has_executable(one),
                    Some(false) => {}
                }
            }
        }
        if kind == Kind::Other && !guarded && !self.interest.pids.contains(&pid.as_raw()) {
            return true;
        }
        self.keep(Named { pid, name }, parent, uids, kind)
    }

    /// An ancestor of a guarded process that has APR in it counts as a httpd.
    fn keep_renamed_leader(&mut self, pid: Pid) {
        let Some(p) = self.system.process(theirs(pid)) else {
            return;
        };
        let parent = p.parent().map(ours);
        let name = printable(&p.name().to_string_lossy());
        let uids = [p.user_id(), p.effective_user_id()];
        let uids = uids.into_iter().flatten().map(|u| Uid::from_raw(**u)).collect();
        self.keep(Named { pid, name }, parent, uids, Kind::Httpd);
    }

    /// False: it lives no more.
    fn keep(&mut self, named: Named, parent: Option<Pid>, uids: Vec<Uid>, kind: Kind) -> bool {
        let pid = named.pid;
        match fs::read_link(format!("/proc/{pid}/ns/ipc")) {
            Ok(ns) if self.own_ipc.as_ref().is_some_and(|own| *own != ns) => return true,
            _ => {}
        }
        let Some(stat) = stat(pid) else { return self.lose(pid) };
        let process = Process {
            parent,
            uids,
            kind,
            start: self.clock.at(stat.start),
            leads: stat.group == pid.as_raw() || stat.session == pid.as_raw(),
            named,
        };
        self.found.insert(pid.as_raw(), process);
        true
    }

    /// A process that was listed and cannot be read has ended since; one that is still there makes
    /// the table incomplete. False, as for whatever lives no more.
    fn lose(&mut self, pid: Pid) -> bool {
        let gone = fs::symlink_metadata(format!("/proc/{pid}"));
        self.lost |= !matches!(gone, Err(e) if e.kind() == io::ErrorKind::NotFound);
        false
    }

    /// Whether the process is one of the programs with APR in them that make no such mutex.
    fn is_known_other(&self, pid: Pid) -> bool {
        let exe = self.system.process(theirs(pid)).and_then(sysinfo::Process::exe);
        exe.and_then(Path::file_name)
            .is_some_and(|name| USE_APR_OTHERWISE.iter().any(|o| name == *o))
    }

    /// Whether the executable of the process could be read.
    fn has_executable(&self, pid: Pid) -> bool {
        let exe = self.system.process(theirs(pid)).and_then(sysinfo::Process::exe);
        exe.is_some_and(|exe| !exe.as_os_str().is_empty())
    }

    /// Whether the process has the APR library in its memory; none: that cannot be read.
    fn maps_apr(&mut self, pid: Pid) -> Option<bool> {
        *self.httpd_maps.entry(pid.as_raw()).or_insert_with(|| {
            match fs::read(format!("/proc/{pid}/maps")) {
                Ok(maps) => {
                    Some(maps.windows(10).any(|w| w == b"/libapr-1." || w == b"/libapr-2."))
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => Some(false),
                Err(e) if e.raw_os_error() == Some(Errno::ESRCH as i32) => Some(false),
                Err(_) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn httpd_is_known_by_its_executable() {
        for yes in [
            "/usr/sbin/httpd",
            "/usr/sbin/apache2",
            "/usr/sbin/apache2 (deleted)",
            "/usr/sbin/httpd.worker",
            "/usr/sbin/httpd-event",
            "/usr/sbin/httpd-prefork (deleted)",
            "/usr/sbin/httpd2-prefork",
            "/opt/web/bin/httpd",
        ] {
            assert!(is_httpd(Path::new(yes), None), "{yes}");
        }
        for no in [
            "/usr/sbin/httpd-semguard",
            "/usr/sbin/php-fpm8.2",
            "/usr/bin/apache2ctl",
            "",
            "/",
            "/x/httpd/y",
        ] {
            assert!(!is_httpd(Path::new(no), None), "{no}");
        }
    }

    #[test]
    fn the_httpd_that_was_asked_is_one_whatever_its_name() {
        let asked = Path::new("/opt/web/bin/webserver");
        assert!(is_httpd(asked, Some(asked)));
        assert!(is_httpd(Path::new("/opt/web/bin/webserver (deleted)"), Some(asked)));
        assert!(!is_httpd(Path::new("/bin/webserver"), Some(asked)));
    }

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_shift_the_fields() {
        let line = b"42 (a) S 1 (\n) S 1 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 777 1 2";
        assert_eq!(
            parse_stat(line),
            Some(Stat { group: 40, session: 39, threads: 9, start: BootTicks(777) })
        );
        assert_eq!(parse_stat(b"42 (short) S 1 2"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn the_own_stat_parses() {
        let own = parse_stat(&fs::read("/proc/self/stat").expect("own stat")).expect("parses");
        assert!(own.threads >= 1 && own.start.0 > 0);
    }

    #[test]
    fn hidepid_is_read_from_the_mount_in_sight() {
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
    fn looking_into_all_takes_the_capability_and_the_first_user_namespace() {
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
        }
        #[test]
        fn no_mountinfo_panics(s: String) {
            let _ = hides_processes(&s);
        }
    }
}
