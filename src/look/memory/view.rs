//! Opens the memory of a process through any of its threads that still shows it. Touches /proc.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::parse::{self, Mapping, Object, Stat};
use crate::facts::memory::{Extent, Gap, ProcFile};
use crate::look::clock::nap;
use crate::look::processes::front;

/// How often a running process that shows no memory is looked at again, one millisecond apart: it is in
/// the middle of an execve(2), or exiting.
const ATTEMPTS: u32 = 50;

/// The memory of a process at the time when this was opened. All files refer to the memory that it had
/// then: if it executes another program, they continue to refer to the old one.
pub(super) struct View {
    /// The contents of memory, by address.
    pub mem: File,
    /// Which pages exist.
    pub pagemap: File,
    /// Its mappings.
    pub mappings: Vec<Mapping>,
    /// The contents of /proc/PID/stat just before.
    pub stat: Stat,
    /// The directory of the mapped files; `None` if opened through a thread, which has no such directory.
    pub map_files: Option<PathBuf>,
}

/// The errno of a failure; for an error of this program's own, that of an unknown format.
pub(super) fn errno(e: &io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EBADMSG, Errno::from_raw)
}

impl View {
    /// Opens the memory of a process.
    ///
    /// # Errors
    /// [`Extent::Gone`]; [`Extent::Full`] for a kernel thread, which has no memory; otherwise, why it
    /// cannot be read.
    pub(super) fn open(pid: Pid, known: &mut HashSet<Object>) -> Result<View, Extent> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                nap(Duration::from_millis(1));
            }
            let stat = life(pid)?;
            let process = PathBuf::from(format!("/proc/{pid}"));
            let mut refused = None;
            // Listed only if the process itself shows nothing.
            let threads = std::iter::once_with(|| threads(pid).unwrap_or_default()).flatten();
            for (at, base) in [process].into_iter().chain(threads).enumerate() {
                match View::of(&base, stat, known) {
                    Ok(Some(view)) if at == 0 => {
                        return Ok(View { map_files: Some(base.join("map_files")), ..view });
                    }
                    Ok(Some(view)) => return Ok(view),
                    Ok(None) => {}
                    Err(gap) => {
                        refused = Some(gap);
                        break;
                    }
                }
            }
            if let Some(gap) = refused {
                life(pid)?;
                return Err(Extent::Part(gap));
            }
        }
        life(pid)?;
        Err(Extent::Part(Gap::NoMemory))
    }

    /// Through one thread; `None` if it shows no memory.
    fn of(base: &Path, stat: Stat, known: &mut HashSet<Object>) -> Result<Option<View>, Gap> {
        let gone = |e: &io::Error| matches!(errno(e), Errno::ENOENT | Errno::ESRCH);
        let open = |file: ProcFile| match File::open(base.join(file.to_string())) {
            Ok(opened) => Ok(Some(opened)),
            Err(e) if gone(&e) => Ok(None),
            Err(e) => Err(Gap::Refused(file, errno(&e))),
        };
        let list = |file: File| match parse::mappings(BufReader::with_capacity(1 << 16, file)) {
            Ok(Some(mappings)) => Ok(mappings),
            Ok(None) => Err(Gap::Refused(ProcFile::Maps, Errno::EBADMSG)),
            Err(e) if gone(&e) => Ok(Vec::new()),
            Err(e) => Err(Gap::Refused(ProcFile::Maps, errno(&e))),
        };
        let Some(mem) = open(ProcFile::Mem)? else { return Ok(None) };
        let Some(maps) = open(ProcFile::Maps)? else { return Ok(None) };
        let mut mappings = list(maps)?;
        if parse::needs_smaps(&mappings, known) {
            match File::open(base.join("smaps")) {
                Ok(smaps) => mappings = list(smaps)?,
                Err(e) if gone(&e) => return Ok(None),
                Err(e) => return Err(Gap::Refused(ProcFile::Maps, errno(&e))),
            }
            let memory = mappings.iter().filter(|m| !m.device_memory && m.object.inode != 0);
            known.extend(memory.map(|m| parse::place(&m.object, &m.range)));
        }
        let Some(pagemap) = open(ProcFile::Pagemap)? else { return Ok(None) };
        let view = View { mem, pagemap, mappings, stat, map_files: None };
        let shows = !view.mappings.is_empty() && !view.is_over();
        Ok(shows.then_some(view))
    }

    /// Whether this memory no longer exists, because the process has exited or executed another program.
    /// Reading such memory returns 0 bytes at any address (fs/proc/base.c, `mem_rw`).
    pub(super) fn is_over(&self) -> bool {
        loop {
            match self.mem.read_at(&mut [0], 0) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return matches!(read, Ok(0)),
            }
        }
    }
}

/// The state of a running process.
///
/// # Errors
/// Those of [`View::open`].
fn life(pid: Pid) -> Result<Stat, Extent> {
    let stat = |path: &Path| {
        let mut buffer = [0; 1024];
        front(path.join("stat"), &mut buffer).map(parse::stat)
    };
    match stat(Path::new(&format!("/proc/{pid}"))) {
        Ok(read) => match read {
            Some(stat) if stat.kernel_thread => Err(Extent::Full),
            Some(first) if first.ended => {
                let others = threads(pid).unwrap_or_default();
                let lives =
                    |path: &PathBuf| stat(path).is_ok_and(|read| read.is_none_or(|s| !s.ended));
                if others.iter().any(lives) { Ok(first) } else { Err(Extent::Gone) }
            }
            Some(stat) => Ok(stat),
            None => Err(Extent::Part(Gap::Refused(ProcFile::Maps, Errno::EBADMSG))),
        },
        // With hidepid, it may exist nevertheless; only ESRCH means that it does not (kill(2)).
        Err(e) => match nix::sys::signal::kill(pid, None) {
            Err(Errno::ESRCH) => Err(Extent::Gone),
            _ => Err(Extent::Part(Gap::Refused(ProcFile::Maps, errno(&e)))),
        },
    }
}

/// The directories of a process's threads.
fn threads(pid: Pid) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(format!("/proc/{pid}/task"))?.map(|entry| entry.map(|e| e.path())).collect()
}
