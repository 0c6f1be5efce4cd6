//! Where a report goes: standard output, or a file that readers always find complete. Touches that file
//! and its directory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::Signal;

use crate::act::signals;

/// Everybody may read a report: monitoring systems do not run as root.
const MODE: u32 = 0o644;

/// Writes to standard output. If that is closed, or a pipe whose reader has exited, as with
/// `| head -1`, this is not an error.
///
/// # Errors
/// Any other error of write(2): the output does not arrive.
pub fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Replaces the file with what `write` writes: into a new file in the same directory, which is then
/// renamed (rename(2)). The name may be unused, or that of a file or link; devices and pipes are not
/// replaced.
///
/// # Errors
/// Those of open(2), write(2) and rename(2); `EINVAL` if the path is not a file. The file is then
/// unchanged, and no other file is left behind.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let beside = beside(path).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // So that no signal ends the run while the temporary file exists.
    signals::held(|| {
        let written = write_new(&beside, write).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
            signals::forget(Signal::SIGXFSZ);
        }
        written
    })
}

/// ".NAME.PID.new": hidden, and with an extension that collectors of "*.prom" ignore.
fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}.new", std::process::id()));
    Some(path.with_file_name(name))
}

fn write_new(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A file with this name was left behind by a dead process that had the same PID.
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("semguard-output-{}-{name}", std::process::id()));
        fs::create_dir(&folder).expect("made");
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed");
        entries.map(|e| e.expect("read").file_name().into_string().expect("utf-8")).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_readable_by_everybody() {
        let folder = folder("whole");
        let file = folder.join("a.prom");
        for text in ["the first text", "2nd"] {
            replace(&file, |out| out.write_all(text.as_bytes())).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("read"), text);
        }
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, MODE);
        assert_eq!(names(&folder), ["a.prom"]);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn an_incomplete_report_leaves_the_old_one_in_place() {
        let folder = folder("broken");
        let file = folder.join("a.json");
        fs::write(&file, "old").expect("written");
        let broken = replace(&file, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        });
        assert_eq!(broken.expect_err("told").raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(fs::read_to_string(&file).expect("read"), "old");
        assert_eq!(names(&folder), ["a.json"]);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = folder("link");
        let (file, other) = (folder.join("a.json"), folder.join("other"));
        fs::write(&other, "another's").expect("written");
        std::os::unix::fs::symlink(&other, &file).expect("linked");
        replace(&file, |out| out.write_all(b"new")).expect("written");
        assert_eq!(fs::read_to_string(&other).expect("read"), "another's");
        assert_eq!(fs::read_to_string(&file).expect("read"), "new");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_report_does_not_replace_devices_or_directories() {
        for place in ["/dev/null", "/dev/stdout", "/tmp", "/", ".."] {
            // Standard output may be a file here.
            if fs::metadata(place).is_ok_and(|m| m.is_file()) {
                continue;
            }
            let refused = replace(Path::new(place), |_| Ok(()));
            assert_eq!(refused.expect_err(place).raw_os_error(), Some(libc::EINVAL), "{place}");
        }
    }
}
