//! The process table, read once, and only as far as a verdict needs it: who lives, who is httpd,
//! since when, in which IPC namespace. Touches /proc; decides nothing about sets.
//!
//! Of every process, two things are read: /proc/PID/status and where /proc/PID/exe points. They
//! tell the many that matter to no set from the few that do, which sysinfo then describes.

use crate::facts::process::{Incomplete, Kind, Named, Process};

mod parse;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};
pub use parse::{Stat, Status, hides_processes, may_look_into_all, parse_stat, parse_status};
use parse::{names_apr, semop_argument};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::facts::printable::printable;
use crate::facts::set::SemId;
use crate::facts::time::Clock;

/// Programs that have APR in them and run beside httpd, or for long, and make no mutex between
/// processes: httpd's own helpers, Subversion's server, a Java machine with Tomcat's library.
const USE_APR_OTHERWISE: [&[u8]; 4] = [b"rotatelogs", b"htcacheclean", b"svnserve", b"java"];

/// `PF_KTHREAD` (linux/sched.h), a flag of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;

/// How often the table is listed again for processes that were born during the reading.
const PASSES: usize = 10;

/// One reading of the process table.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The living processes of interest, by number.
    pub processes: Vec<Rc<Process>>,
    /// Every number that /proc listed, whatever it was.
    listed: HashSet<i32, Scatter>,
    /// Set where the reading cannot be relied on.
    pub incomplete: Option<Incomplete>,
}

/// Hashes process numbers, which nobody can choose freely.
type Scatter = BuildHasherDefault<Scattered>;

#[derive(Default)]
struct Scattered(u64);

impl Hasher for Scattered {
    fn write_i32(&mut self, number: i32) {
        self.0 = u64::from(number.unsigned_abs());
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(257).wrapping_add(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): the table uses both
        // ends of it.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
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
    let bytes = undeleted(exe);
    if asked.is_some_and(|asked| asked == Path::new(std::ffi::OsStr::from_bytes(bytes))) {
        return true;
    }
    const NAMES: [&[u8]; 7] = [
        b"httpd",
        b"httpd.prefork",
        b"httpd.worker",
        b"httpd.event",
        b"httpd-prefork",
        b"httpd-worker",
        b"httpd-event",
    ];
    let name = last_part(bytes);
    // Of thousands of processes, nearly all are told apart by the first letters.
    name == b"apache2"
        || name.starts_with(b"httpd") && (NAMES.contains(&name) || name.starts_with(b"httpd2"))
}

/// The path of an executable without what the kernel adds once the file was replaced.
fn undeleted(exe: &Path) -> &[u8] {
    let bytes = exe.as_os_str().as_bytes();
    bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)
}

/// A path's last part.
fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

impl Snapshot {
    /// Reads the process table: every httpd, and what `interest` names, as far as it lives (a
    /// zombie holds nothing) in this IPC namespace; without this process itself.
    #[must_use]
    pub fn take(interest: &Interest, clock: &Clock) -> Snapshot {
        // sysinfo would keep a file open per process.
        sysinfo::set_open_files_limit(0);
        let mut reader = Reader {
            system: None,
            interest,
            clock,
            own_ipc: fs::read_link("/proc/self/ns/ipc").ok(),
            seen: HashMap::default(),
            maps_apr: HashMap::new(),
            buffer: vec![0; 1 << 16],
            of_interest: HashMap::new(),
            found: HashMap::new(),
            lost: false,
        };
        let mut snapshot = Snapshot::default();
        // A process that was forked into a number already passed, by a parent that ended before
        // its own was reached, is in no single listing: list until nothing of interest is new, and
        // nothing new was gone before it could be looked at (it may have forked on).
        for pass in 0..=PASSES {
            let Ok(mut fresh) = listing() else {
                reader.lost = true;
                break;
            };
            fresh.retain(|pid| snapshot.listed.insert(pid.as_raw()));
            let found_before = reader.found.len();
            let all_lived = reader.look_at_all(&fresh);
            let nothing_new = reader.found.len() == found_before;
            if pass > 0 && nothing_new && all_lived {
                break;
            }
            if pass == PASSES {
                snapshot.incomplete = Some(Incomplete::Restless);
            }
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
        // This process uses no set: one that bears its number was touched by another, who is dead, or
        // by the program that became this one (execve(2)), and is no more.
        reader.found.remove(&own.as_raw());
        for ancestor in reader.lineage(own) {
            if let Some(process) = reader.found.get_mut(&ancestor.as_raw()) {
                process.called_us = true;
            }
        }
        snapshot.processes = reader.found.into_values().map(Rc::new).collect();
        snapshot.processes.sort_unstable_by_key(|p| p.named.pid);
        snapshot
    }

    /// The living process of this number, if it is one of interest.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Rc<Process>> {
        let place = self.processes.binary_search_by_key(&pid, |p| p.named.pid).ok()?;
        Some(&self.processes[place])
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

/// The sets on which threads of `among` are inside semop(2) (/proc/PID/task/TID/syscall, proc(5)),
/// each with the first such process; without those whose files cannot be read.
#[must_use]
pub fn inside_semop<'a>(
    among: impl IntoIterator<Item = &'a Rc<Process>>,
) -> HashMap<SemId, Rc<Named>> {
    let mut inside = HashMap::new();
    for p in among {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", p.named.pid)) else { continue };
        for task in tasks.filter_map(Result::ok) {
            let line = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            if let Some(id) = semop_argument(&line) {
                inside.entry(id).or_insert_with(|| p.named.clone());
            }
        }
    }
    inside
}

/// A number of a process as sysinfo has it.
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
fn listing() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|n| n.parse().ok()).map(Pid::from_raw));
    }
    Ok(pids)
}

fn stat(pid: Pid) -> Option<Stat> {
    let mut buffer = [0; 1024];
    front(&format!("/proc/{pid}/stat"), &mut buffer).ok().and_then(parse_stat)
}

/// What is read of a file of /proc that fits in `buffer`; the rest of a longer one is not needed.
fn front<'b>(path: &str, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    // What the kernel has to tell comes in one piece (fs/seq_file.c, `seq_read_iter`).
    let mut file = File::open(path)?;
    loop {
        match file.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|length| &buffer[..length]),
        }
    }
}

fn is_thread(pid: Pid) -> bool {
    text(&format!("/proc/{pid}/status"))
        .lines()
        .find_map(|l| l.strip_prefix("Tgid:"))
        .is_some_and(|t| t.trim() != pid.to_string())
}

/// What was read of a process, of whatever kind.
#[derive(Clone, Copy)]
struct Seen {
    status: Status,
    exe: Exe,
}

/// What /proc/PID/exe points to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exe {
    /// A httpd.
    Httpd,
    /// Another program.
    Other,
    /// One of [`USE_APR_OTHERWISE`].
    KnownOther,
    /// Nothing: a kernel thread, a zombie, or about to be one.
    None,
    /// It cannot be read.
    Unreadable,
}

/// The state of one reading.
struct Reader<'a> {
    /// Made when it is needed: it begins by reading /proc/stat.
    system: Option<System>,
    interest: &'a Interest,
    clock: &'a Clock,
    own_ipc: Option<std::path::PathBuf>,
    seen: HashMap<i32, Seen, Scatter>,
    maps_apr: HashMap<i32, Option<bool>>,
    buffer: Vec<u8>,
    /// The processes of this pass that are of interest.
    of_interest: HashMap<i32, Kind>,
    found: HashMap<i32, Process>,
    lost: bool,
}

impl Reader<'_> {
    /// Keeps those of `fresh` that live, are of interest, and are in this IPC namespace. False: one
    /// of them lives no more.
    fn look_at_all(&mut self, fresh: &[Pid]) -> bool {
        let mut all_lived = true;
        // All of them first, for the ancestors of any.
        let mut read = Vec::with_capacity(fresh.len());
        for pid in fresh {
            match self.read(*pid) {
                Some(seen) => {
                    self.seen.insert(pid.as_raw(), seen);
                    read.push((*pid, seen));
                }
                None => all_lived &= self.lose(*pid),
            }
        }
        for (pid, seen) in read {
            all_lived &= self.look_at(pid, seen);
        }
        if self.of_interest.is_empty() {
            return all_lived;
        }
        let of_interest = std::mem::take(&mut self.of_interest);
        let kind = ProcessRefreshKind::nothing().with_user(UpdateKind::Always).without_tasks();
        let numbers: Vec<sysinfo::Pid> =
            of_interest.keys().map(|pid| theirs(Pid::from_raw(*pid))).collect();
        let mut system = self.system.take().unwrap_or_default();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&numbers), false, kind);
        for (pid, kind) in of_interest {
            let pid = Pid::from_raw(pid);
            all_lived &= match system.process(theirs(pid)) {
                Some(p) => self.keep(pid, p, kind),
                None => self.lose(pid),
            };
        }
        self.system = Some(system);
        all_lived
    }

    /// Reads what every process is told by; none: it cannot be read.
    fn read(&mut self, pid: Pid) -> Option<Seen> {
        // The lines that matter come first; how many groups it has, on a later one, matters not.
        let status = front(&format!("/proc/{pid}/status"), &mut self.buffer[..1024]).ok()?;
        let status = parse_status(status)?;
        let exe = match fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(exe) if is_httpd(&exe, self.interest.httpd.as_deref()) => Exe::Httpd,
            Ok(exe) if USE_APR_OTHERWISE.contains(&last_part(undeleted(&exe))) => Exe::KnownOther,
            Ok(_) => Exe::Other,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Exe::None,
            Err(_) => Exe::Unreadable,
        };
        Some(Seen { status, exe })
    }

    /// `pid` and its ancestors, as the table has them.
    fn lineage(&self, pid: Pid) -> Vec<Pid> {
        let mut line = vec![pid];
        let mut at = pid;
        while let Some(seen) = self.seen.get(&at.as_raw()) {
            at = Pid::from_raw(seen.status.parent);
            if seen.status.parent == 0 || line.contains(&at) {
                break;
            }
            line.push(at);
        }
        line
    }

    /// Notes the process if it lives and is of interest. False: it lives no more.
    fn look_at(&mut self, pid: Pid, Seen { status, exe }: Seen) -> bool {
        if status.ended || matches!(exe, Exe::None | Exe::Unreadable) {
            let Some(stat) = stat(pid) else { return self.lose(pid) };
            if stat.flags & PF_KTHREAD != 0 {
                return true;
            }
            // Unless its first thread alone has ended, and others live on.
            if (status.ended || exe == Exe::None) && stat.threads <= 1 {
                return false;
            }
        }
        let mut kind = match exe {
            Exe::Httpd => Kind::Httpd,
            Exe::Other | Exe::KnownOther => Kind::Other,
            Exe::None | Exe::Unreadable => Kind::Unreadable,
        };
        let guarded = status.uids.iter().any(|u| self.interest.uids.contains(u));
        let by_root = status.uids.iter().any(|u| u.is_root());
        if (guarded || by_root) && exe == Exe::Other {
            // A httpd under another name: look for APR in it, and in those that a worker descends
            // from. Its leader runs as root, and in its start and restart it has no worker yet.
            for one in if guarded { self.lineage(pid) } else { vec![pid] } {
                if self.seen.get(&one.as_raw()).is_some_and(|s| s.exe == Exe::KnownOther) {
                    continue;
                }
                match self.maps_apr(one) {
                    Some(true) if one == pid => kind = Kind::Httpd,
                    // An ancestor of a guarded process that has APR in it counts as a httpd.
                    Some(true) if self.seen.contains_key(&one.as_raw()) => {
                        self.of_interest.insert(one.as_raw(), Kind::Httpd);
                    }
                    None if one == pid => kind = Kind::Unreadable,
                    // Where even the executable cannot be read, it counts as a httpd by itself.
                    None => self.lost |= self.has_executable(one),
                    Some(_) => {}
                }
            }
        }
        if kind != Kind::Other || guarded || self.interest.pids.contains(&pid.as_raw()) {
            self.of_interest
                .entry(pid.as_raw())
                .and_modify(|k| {
                    if *k != Kind::Httpd {
                        *k = kind;
                    }
                })
                .or_insert(kind);
        }
        true
    }

    /// Keeps a process of interest if it lives and is in this IPC namespace. False: it lives no
    /// more.
    fn keep(&mut self, pid: Pid, p: &sysinfo::Process, kind: Kind) -> bool {
        let named = Named { pid, name: printable(&p.name().to_string_lossy()) };
        let parent = p.parent().map(|pid| Pid::from_raw(pid.as_u32() as i32));
        let uids = [p.user_id(), p.effective_user_id()];
        let uids = uids.into_iter().flatten().map(|u| Uid::from_raw(**u)).collect();
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
            called_us: false,
            named: Rc::new(named),
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

    /// Whether the executable of the process could be read.
    fn has_executable(&self, pid: Pid) -> bool {
        let seen = self.seen.get(&pid.as_raw());
        seen.is_some_and(|s| !matches!(s.exe, Exe::None | Exe::Unreadable))
    }

    /// Whether the process has the APR library in its memory; none: that cannot be read.
    fn maps_apr(&mut self, pid: Pid) -> Option<bool> {
        if let Some(known) = self.maps_apr.get(&pid.as_raw()) {
            return *known;
        }
        let maps = File::open(format!("/proc/{pid}/maps"));
        let found = match maps.and_then(|file| names_apr(file, &mut self.buffer)) {
            Ok(found) => Some(found),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Some(false),
            Err(e) if e.raw_os_error() == Some(Errno::ESRCH as i32) => Some(false),
            Err(_) => None,
        };
        self.maps_apr.insert(pid.as_raw(), found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
