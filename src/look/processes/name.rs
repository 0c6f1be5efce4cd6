//! The names of a process: its executable, and its name for people.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::Pid;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::facts::printable::printable;
use crate::facts::process::Named;

/// Whether an executable with this path is httpd. A trailing " (deleted)", which the kernel adds once a
/// package upgrade has replaced the file, is not part of the name.
#[must_use]
pub fn is_httpd(exe: &Path, asked: Option<&Path>) -> bool {
    let bytes = undeleted(exe);
    if asked.is_some_and(|asked| asked == Path::new(OsStr::from_bytes(bytes))) {
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
    // With thousands of processes, the first letters are enough for nearly all of them.
    name == b"apache2"
        || name.starts_with(b"httpd") && (NAMES.contains(&name) || name.starts_with(b"httpd2"))
}

/// The path of an executable without what the kernel adds once the file has been replaced.
pub(super) fn undeleted(exe: &Path) -> &[u8] {
    let bytes = exe.as_os_str().as_bytes();
    bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)
}

/// The last part of a path.
pub(super) fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Those of these processes that are running and visible, with their names for people.
#[must_use]
pub fn names_of(pids: impl IntoIterator<Item = Pid>) -> HashMap<Pid, Named> {
    let theirs: Vec<sysinfo::Pid> =
        pids.into_iter().map(|pid| sysinfo::Pid::from_u32(pid.as_raw() as u32)).collect();
    if theirs.is_empty() {
        return HashMap::new();
    }
    // Otherwise it would keep a file open for each process.
    sysinfo::set_open_files_limit(0);
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&theirs), false, kind);
    let named = |(pid, p): (&sysinfo::Pid, &sysinfo::Process)| {
        let pid = Pid::from_raw(i32::try_from(pid.as_u32()).ok()?);
        Some((pid, Named { pid, name: printable(&p.name().to_string_lossy()) }))
    };
    system.processes().iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn httpd_is_recognized_by_its_executable() {
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
    fn the_httpd_that_was_asked_is_recognized_whatever_its_name() {
        let asked = Path::new("/opt/web/bin/webserver");
        assert!(is_httpd(asked, Some(asked)));
        assert!(is_httpd(Path::new("/opt/web/bin/webserver (deleted)"), Some(asked)));
        assert!(!is_httpd(Path::new("/bin/webserver"), Some(asked)));
    }

    #[test]
    fn a_process_has_its_usual_name() {
        let own = nix::unistd::getpid();
        let comm = std::fs::read_to_string("/proc/self/comm").expect("own name");
        // The highest number, which no kernel uses.
        let nobody = Pid::from_raw(i32::MAX);
        let names = names_of([own, nobody]);
        assert_eq!(names.get(&own).map(|n| n.name.as_str()), Some(comm.trim_end()));
        assert_eq!(names.len(), 1);
    }
}
