//! From which IPC namespace to look: that of the httpd in question. Touches /proc, systemctl(1), and
//! which namespace this process itself is in; the system stays as it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::Pid;

use crate::facts::event::Event;
use crate::facts::request::Instance;
use crate::look::httpd::ask::{self, Question};
use crate::look::pid_file;
use crate::look::processes::{is_httpd, names_of};

/// How long systemd may take to say what a unit is like.
const PATIENCE: Duration = Duration::from_secs(5);

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Goes where httpd's semaphore table is: into the IPC namespace of the one that runs, or, where a unit
/// with PrivateIPC= will start it, into a new one, as that start will. None: it is this one.
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
            let file = File::open(format!("/proc/{pid}/ns/ipc")).map_err(errno);
            let entered = file.and_then(|file| setns(file, CloneFlags::CLONE_NEWIPC));
            Some(match entered {
                Ok(()) => Event::TableOf(who),
                Err(e) => Event::TableOfNobody(who.to_string(), e),
            })
        }
        // Whoever may not look at it asks systemd.
        Some((pid, Err(e @ (Errno::EACCES | Errno::EPERM)), _)) => {
            let unit = unit_of(pid)?;
            has_private_ipc(&unit).then_some(Event::TableOfNobody(unit, e))
        }
        // It is dead, or its number is another one's by now.
        Some(_) | None => of_unit(&unit(control, instance)),
    }
}

/// A new namespace, where a unit has one of its own for each start.
fn of_unit(unit: &str) -> Option<Event> {
    has_private_ipc(unit).then(|| match unshare(CloneFlags::CLONE_NEWIPC) {
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
    fs::read_link(format!("/proc/{pid}/ns/ipc")).map_err(errno)
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// The unit that starts whom this control program speaks for, where no other is known.
fn unit(control: &Path, instance: Option<&Instance>) -> String {
    let name = control.to_string_lossy();
    let unit = match &*name {
        _ if name.contains("/httpd24/") => "httpd24-httpd",
        _ if name.contains("apache2") && !name.starts_with("/usr/local/") => "apache2",
        _ => "httpd",
    };
    instance.map_or(format!("{unit}.service"), |i| format!("{unit}@{}.service", i.name()))
}

/// The unit that a process is of.
fn unit_of(pid: Pid) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let units = text.lines().filter_map(|line| line.rsplit('/').next());
    units.filter(|unit| unit.ends_with(".service")).map(str::to_owned).next()
}

/// Whether systemd starts a unit in an IPC namespace of its own (systemd.exec(5)).
fn has_private_ipc(unit: &str) -> bool {
    if !Path::new("/run/systemd/system").exists() {
        return false;
    }
    let args = ["show", "--property=PrivateIPC", "--", unit].map(OsString::from);
    let question = Question::new(None, Vec::new(), PATIENCE);
    ask::run(Path::new(SYSTEMCTL), &args, &question)
        .is_ok_and(|said| said.out.trim_ascii() == b"PrivateIPC=yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_the_control_program() {
        for (control, name) in [
            ("/usr/sbin/apache2ctl", "apache2.service"),
            ("/usr/sbin/start_apache2", "apache2.service"),
            ("/usr/sbin/httpd", "httpd.service"),
            ("/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper", "httpd24-httpd.service"),
            ("/usr/local/apache2/bin/httpd", "httpd.service"),
        ] {
            assert_eq!(unit(Path::new(control), None), name);
            let shop = "shop".parse().expect("a name");
            let of_shop = name.replace(".service", "@shop.service");
            assert_eq!(unit(Path::new(control), Some(&shop)), of_shop);
        }
    }
}
