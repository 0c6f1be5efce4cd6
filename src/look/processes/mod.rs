//! The process table, read only as far as a verdict needs it: which processes are running, which of them
//! are httpd, whose they are, and in which IPC namespace. Touches /proc; decides nothing about sets.
//!
//! For every process, two things are read: /proc/PID/status, and the target of /proc/PID/exe. They
//! distinguish the many that matter to no set from the few that do.

mod apr;
mod name;
mod parse;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{Pid, Uid};

use crate::facts::process::{Incomplete, Kind, Named, Process};
use crate::facts::set::SemId;
use apr::Apr;
use parse::semop_argument;

pub use name::{is_httpd, names_of};
pub use parse::{Stat, Status, hides_processes, may_look_into_all, parse_stat, parse_status};

/// `PF_KTHREAD` (linux/sched.h), a flag of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;

/// How often the table is listed again for processes that started while it was read.
const PASSES: usize = 10;

/// What a [`Snapshot`] must contain besides every httpd.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Processes that can act as these users.
    pub uids: Vec<Uid>,
    /// These users made their sets themselves: then the users of each thread count, and so do root's
    /// processes, which can become any user.
    pub own_makers: Vec<Uid>,
    /// These processes, whoever owns them.
    pub pids: HashSet<i32>,
    /// Another name of httpd's executable.
    pub httpd: Option<PathBuf>,
}

/// One reading of the process table.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The running processes of interest, by PID.
    pub processes: Vec<Rc<Process>>,
    /// Set if the snapshot cannot be relied on.
    pub incomplete: Option<Incomplete>,
    /// Every PID that /proc listed, whatever it was; in order.
    listed: Vec<Pid>,
}

impl Snapshot {
    /// Reads the process table: every httpd, and what `interest` names, if it is running (a zombie holds
    /// nothing) in this IPC namespace; without this process itself.
    #[must_use]
    pub fn take(interest: &Interest) -> Snapshot {
        let mut reader = Reader::new(interest);
        let mut snapshot = Snapshot::default();
        // A process that was forked with a PID that the listing had already passed, by a parent that
        // exited before its own PID was reached, is in no single listing. Therefore the listing is
        // repeated until nothing of interest is new, and no new process had exited before it could be
        // looked at (it may have forked).
        for pass in 0..=PASSES {
            let Ok(mut fresh) = listing() else {
                reader.lost = true;
                break;
            };
            fresh.retain(|pid| !snapshot.has_listed(*pid));
            snapshot.listed.extend(&fresh);
            snapshot.listed.sort_unstable();
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
        if !snapshot.has_listed(own) || !is_own_proc(own) {
            snapshot.incomplete = Some(Incomplete::NoProc);
        } else if reader.lost {
            snapshot.incomplete = Some(Incomplete::Unreadable);
        } else if hides_processes(&text("/proc/self/mountinfo"))
            && !may_look_into_all(&text("/proc/self/status"), &text("/proc/self/uid_map"))
        {
            snapshot.incomplete = Some(Incomplete::HidePid);
        }
        // This process uses no set: a set with its PID was touched by another process, which is dead, or
        // by the program that executed this one (execve(2)), which no longer exists.
        reader.found.remove(&own.as_raw());
        for ancestor in reader.callers(own) {
            if let Some(process) = reader.found.get_mut(&ancestor) {
                process.called_us = true;
            }
        }
        snapshot.processes = reader.found.into_values().map(Rc::new).collect();
        snapshot.processes.sort_unstable_by_key(|p| p.named.pid);
        snapshot
    }

    /// The running process with this PID, if it is of interest.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Rc<Process>> {
        let place = self.processes.binary_search_by_key(&pid, |p| p.named.pid).ok()?;
        Some(&self.processes[place])
    }

    /// Whether a process with this PID exists that was not listed, because /proc hides it. A PID that now
    /// belongs to a thread, not to a process, does not count.
    #[must_use]
    pub fn hides(&self, pid: Pid) -> bool {
        !self.has_listed(pid) && exists(pid) && !is_thread(pid)
    }

    fn has_listed(&self, pid: Pid) -> bool {
        self.listed.binary_search(&pid).is_ok()
    }
}

/// Whether a process or thread with this PID exists; only ESRCH means that none does (kill(2)).
#[must_use]
pub fn exists(pid: Pid) -> bool {
    !matches!(nix::sys::signal::kill(pid, None), Err(Errno::ESRCH))
}

/// The sets on which threads of `among` are inside semop(2) (/proc/PID/task/TID/syscall, proc(5)), each
/// with the first such process; processes whose files cannot be read are left out.
#[must_use]
pub fn inside_semop<'a>(
    among: impl IntoIterator<Item = &'a Rc<Process>>,
) -> HashMap<SemId, Rc<Named>> {
    let mut inside = HashMap::new();
    for p in among {
        for task in threads(p.named.pid) {
            if let Some(id) = semop_argument(&text(&format!("{task}/syscall"))) {
                inside.entry(id).or_insert_with(|| p.named.clone());
            }
        }
    }
    inside
}

/// Whether the kernel reports last pids as PIDs in the namespace of those processes, which may be
/// different from this one: before Linux 4.17, it does not translate them (ipc/sem.c, `sempid`), and only
/// the initial namespace shows all processes.
#[must_use]
pub fn has_foreign_numbers(release: &str) -> bool {
    /// `PROC_PID_INIT_INO` (linux/proc_ns.h).
    const FIRST: &str = "pid:[4026531836]";
    let is_first = || fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns == Path::new(FIRST));
    !parse::is_at_least(release, (4, 17)) && !is_first()
}

/// A text file in /proc, in which names and mount points may contain any byte; empty if it does not exist.
fn text(path: &str) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// Whether /proc belongs to this PID namespace: it shows this process with its own PID, and with no other
/// one (`NSpid` in /proc/self/status lists the PIDs from the namespace of the mount inwards).
fn is_own_proc(own: Pid) -> bool {
    let by_link = fs::read_link("/proc/self").is_ok_and(|l| l == Path::new(&own.to_string()));
    let status = text("/proc/self/status");
    if status.is_empty() {
        return false;
    }
    let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    by_link && numbers.is_none_or(|n| n.split_ascii_whitespace().count() <= 1)
}

/// The PIDs that /proc lists.
fn listing() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|n| n.parse().ok()).map(Pid::from_raw));
    }
    Ok(pids)
}

/// The directories of a process's threads, as far as they can be listed.
fn threads(pid: Pid) -> Vec<String> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.filter_map(|t| Some(t.ok()?.path().to_str()?.to_owned())).collect()
}

/// The part of a file in /proc that fits into `buffer`; the rest of a longer file is not needed.
pub(super) fn front(path: impl AsRef<Path>, buffer: &mut [u8]) -> io::Result<&[u8]> {
    // The kernel returns the contents in one piece (fs/seq_file.c, `seq_read_iter`).
    let mut file = File::open(path)?;
    loop {
        match file.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|length| &buffer[..length]),
        }
    }
}

/// The path of a file, which replaces the previous one.
fn joined<'p>(path: &'p mut String, dir: &str, file: &str) -> &'p str {
    path.clear();
    path.push_str(dir);
    path.push_str(file);
    path
}

fn is_thread(pid: Pid) -> bool {
    text(&format!("/proc/{pid}/status"))
        .lines()
        .find_map(|l| l.strip_prefix("Tgid:"))
        .is_some_and(|t| t.trim() != pid.to_string())
}

/// It is no longer running.
struct Gone;

/// What is read about every process.
struct Seen {
    /// The directory of its files: /proc/PID, or that of a running thread if the first one has exited.
    dir: String,
    status: Status,
    /// Its executable.
    exe: io::Result<PathBuf>,
}

/// The state of one reading.
struct Reader<'a> {
    interest: &'a Interest,
    own_ipc: Option<PathBuf>,
    /// All processes seen, each with its parent.
    parents: Vec<(i32, i32)>,
    apr: Apr,
    /// Buffers for a path and the text of a file.
    path: String,
    buffer: Vec<u8>,
    found: HashMap<i32, Process>,
    lost: bool,
}

impl Reader<'_> {
    fn new(interest: &Interest) -> Reader<'_> {
        Reader {
            interest,
            own_ipc: fs::read_link("/proc/self/ns/ipc").ok(),
            parents: Vec::new(),
            apr: Apr::default(),
            path: String::new(),
            buffer: vec![0; 4096],
            found: HashMap::new(),
            lost: false,
        }
    }

    /// Keeps those of `fresh` that are running, of interest, and in this IPC namespace. False if one of
    /// them is no longer running.
    fn look_at_all(&mut self, fresh: &[Pid]) -> bool {
        let mut all_lived = true;
        let mut found = Vec::new();
        for pid in fresh {
            match self.look_at(*pid) {
                Ok(of_interest) => found.extend(of_interest),
                Err(Gone) => all_lived = false,
            }
        }
        let mut names = names_of(found.iter().map(|p| p.named.pid));
        for mut process in found {
            let pid = process.named.pid;
            if let Some(named) = names.remove(&pid) {
                process.named = Rc::new(named);
            }
            self.found.insert(pid.as_raw(), process);
        }
        all_lived
    }

    /// The process, if it is of interest.
    fn look_at(&mut self, pid: Pid) -> Result<Option<Process>, Gone> {
        let Some(Seen { dir, status, exe }) = self.see(pid)? else { return Ok(None) };
        let interest = self.interest;
        let guarded = status.uids.iter().any(|u| interest.uids.contains(u));
        let by_root = status.uids.iter().any(|u| u.is_root());
        let kind = match exe {
            Ok(exe) if is_httpd(&exe, interest.httpd.as_deref()) => Kind::Httpd,
            // An httpd with another name has APR in it. Its first process runs as root, and while it
            // starts or restarts, it has no workers yet.
            Ok(exe) if guarded || by_root => self.apr.kind(&dir, &exe, &status),
            Ok(_) => Kind::Other,
            Err(_) => Kind::Unreadable,
        };
        let mut uids = status.uids.to_vec();
        let own_made = !interest.own_makers.is_empty();
        let mut matters = kind != Kind::Other
            || guarded
            || interest.pids.contains(&pid.as_raw())
            || own_made && by_root;
        if (matters || own_made) && status.threads.is_none_or(|n| n > 1) {
            // Each thread has users of its own (credentials(7)).
            for thread in threads(pid) {
                uids.extend(self.status(&thread).iter().flat_map(|s| s.uids));
            }
            let can_use = |u: &Uid| u.is_root() || interest.own_makers.contains(u);
            matters |= own_made && uids.iter().any(can_use);
        }
        if !matters || !self.shares_ipc(pid) {
            return Ok(None);
        }
        let Some(stat) = self.stat(pid) else { return Err(self.lose(pid)) };
        uids.sort_unstable_by_key(|uid| uid.as_raw());
        uids.dedup();
        Ok(Some(Process {
            named: Rc::new(Named { pid, name: "?".into() }),
            uids,
            kind,
            start: stat.start,
            leads: stat.group == pid.as_raw() || stat.session == pid.as_raw(),
            called_us: false,
        }))
    }

    /// Reads what distinguishes processes; `None` for a kernel thread.
    fn see(&mut self, pid: Pid) -> Result<Option<Seen>, Gone> {
        let dir = format!("/proc/{pid}");
        let Some(status) = self.status(&dir) else { return Err(self.lose(pid)) };
        self.parents.push((pid.as_raw(), status.parent));
        let exe = fs::read_link(joined(&mut self.path, &dir, "/exe"));
        let is_none = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        if !status.ended && exe.is_ok() {
            return Ok(Some(Seen { dir, status, exe }));
        }
        let Some(stat) = self.stat(pid) else { return Err(self.lose(pid)) };
        if stat.flags & PF_KTHREAD != 0 {
            return Ok(None);
        }
        if !status.ended && !exe.as_ref().is_err_and(is_none) {
            return Ok(Some(Seen { dir, status, exe }));
        }
        if stat.threads <= 1 {
            return Err(Gone);
        }
        // Only its first thread has exited, and others are still running.
        for dir in threads(pid) {
            if let Some(status) = self.status(&dir).filter(|s| !s.ended) {
                let exe = fs::read_link(format!("{dir}/exe"));
                return Ok(Some(Seen { dir, status, exe }));
            }
        }
        Err(self.lose(pid))
    }

    fn status(&mut self, dir: &str) -> Option<Status> {
        // It fits into one page unless the process has very many groups; the important parts come first.
        parse_status(front(joined(&mut self.path, dir, "/status"), &mut self.buffer).ok()?)
    }

    fn stat(&mut self, pid: Pid) -> Option<Stat> {
        parse_stat(front(format!("/proc/{pid}/stat"), &mut self.buffer[..1024]).ok()?)
    }

    /// Whether the process, or any of its threads, is in this IPC namespace. If this cannot be read, it may be.
    fn shares_ipc(&self, pid: Pid) -> bool {
        let elsewhere = |dir: &str| {
            let ns = fs::read_link(format!("{dir}/ns/ipc"));
            ns.is_ok_and(|ns| self.own_ipc.as_ref().is_some_and(|own| *own != ns))
        };
        !elsewhere(&format!("/proc/{pid}")) || !threads(pid).iter().all(|t| elsewhere(t))
    }

    /// The ancestors of `pid`, as far as they were seen.
    fn callers(&self, pid: Pid) -> Vec<i32> {
        let mut line = Vec::new();
        let mut at = pid.as_raw();
        while let Some((_, parent)) = self.parents.iter().find(|(child, _)| *child == at) {
            if *parent == 0 || line.contains(parent) {
                break;
            }
            line.push(*parent);
            at = *parent;
        }
        line
    }

    /// A process that was listed and cannot be read has exited since; if it still exists, the table is
    /// incomplete.
    fn lose(&mut self, pid: Pid) -> Gone {
        let gone = fs::symlink_metadata(format!("/proc/{pid}"));
        self.lost |= !matches!(gone, Err(e) if e.kind() == io::ErrorKind::NotFound);
        Gone
    }
}
