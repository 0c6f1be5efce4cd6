//! Which IPC namespace to look at: that of the httpd in question. Touches /proc, systemctl(1), and this
//! process's own IPC namespace; the system stays as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Pid;

use crate::facts::error::errno;
use crate::facts::event::Event;
use crate::facts::request::Instance;
use crate::look::processes::{is_httpd, names_of};
use crate::look::{pid_file, unit};

/// Goes to httpd's semaphore table: enters the IPC namespace of the running httpd or, if a unit with
/// PrivateIPC= will start it, a new one, as that start will. `None` if it is the current namespace.
#[must_use]
pub fn enter(
    pid_file: Option<&Path>,
    control: &Path,
    asked: Option<&Path>,
    instance: Option<&Instance>,
) -> Option<Event> {
    let running = pid_file.and_then(pid_file::number).filter(|pid| exists(*pid));
    match running.map(|pid| (pid, namespace(pid), fs::read_link(exe(pid)))) {
        Some((pid, Ok(theirs), Ok(exe))) if is_httpd(&exe, asked) => {
            if fs::read_link("/proc/self/ns/ipc").is_ok_and(|own| own == theirs) {
                return None;
            }
            let who = names_of([pid]).remove(&pid)?;
            let file = File::open(format!("/proc/{pid}/ns/ipc")).map_err(|e| errno(&e));
            let entered = file.and_then(|file| setns(file, CloneFlags::CLONE_NEWIPC));
            Some(match entered {
                Ok(()) => Event::TableOf(who),
                Err(e) => Event::TableOfNobody(who.to_string(), e),
            })
        }
        // A caller that may not look at it asks systemd.
        Some((pid, Err(e @ (Errno::EACCES | Errno::EPERM)), _)) => {
            let unit = unit::of(pid)?;
            unit::has_private_ipc(&unit).then_some(Event::TableOfNobody(unit, e))
        }
        // It is dead, or its pid has been reused.
        Some(_) | None => of_unit(&unit::of_control(control, instance)),
    }
}

/// Enters a new namespace, if the unit gets one of its own for each start.
fn of_unit(unit: &str) -> Option<Event> {
    unit::has_private_ipc(unit).then(|| match unshare(CloneFlags::CLONE_NEWIPC) {
        Ok(()) => Event::TableOfUnit(unit.to_owned()),
        Err(e) => Event::TableOfNobody(unit.to_owned(), e),
    })
}

fn exe(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn namespace(pid: Pid) -> Result<PathBuf, Errno> {
    fs::read_link(format!("/proc/{pid}/ns/ipc")).map_err(|e| errno(&e))
}
