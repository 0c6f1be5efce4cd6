//! The pid that a running httpd has written to its PidFile. Touches that file.

use std::io::Read;
use std::path::Path;

use nix::unistd::Pid;

use crate::look::file;

/// The most that is read: httpd writes a number and a newline (server/log.c, `ap_log_pid`).
const MOST: u64 = 64;

/// The pid in the file, if there is one. Only a regular file is read.
#[must_use]
pub fn number(file: &Path) -> Option<Pid> {
    let (file, _) = file::regular(file, 0).ok()??;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|number| *number > 0).map(Pid::from_raw)
}

/// Whether no process has this pid, according to a /proc that shows this process.
#[must_use]
pub fn is_nobodys(number: Pid) -> bool {
    let proc = Path::new("/proc");
    proc.join(Pid::this().to_string()).exists() && !proc.join(number.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_read() {
        let dir = std::env::temp_dir().join(format!("semguard-pid-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("made");
        let file = dir.join("httpd.pid");
        for (text, number) in
            [("4711\n", Some(4711)), ("", None), ("0\n", None), ("-5\n", None), ("x", None)]
        {
            std::fs::write(&file, text).expect("written");
            assert_eq!(super::number(&file), number.map(Pid::from_raw), "{text:?}");
        }
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(super::number(&pipe), None);
        assert_eq!(super::number(Path::new("/dev/zero")), None);
        assert_eq!(super::number(&dir), None);
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_pid_in_use_is_not_nobodys() {
        assert!(!is_nobodys(Pid::this()));
        // Beyond any pid that a kernel assigns (`PID_MAX_LIMIT`).
        assert!(is_nobodys(Pid::from_raw(i32::MAX)));
    }
}
