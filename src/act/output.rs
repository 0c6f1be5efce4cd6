//! Where a report goes: standard output, or a file that a reader finds whole or not at all. Touches
//! that file and its directory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::Signal;

use crate::act::signals;

/// Everybody may read a report: monitors are not root.
const MODE: u32 = 0o644;

/// Writes to standard output. That it was closed, or that the reader of a pipe has gone, as of
/// `| head -1`, is no error.
///
/// # Errors
/// Any other of write(2): what was written does not arrive.
pub fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Puts what `write` writes in place of the file: into a new file beside it, which then gets its
/// name (rename(2)). The name may be free, or that of a file or link; devices and pipes stay.
///
/// # Errors
/// Those of open(2), write(2) and rename(2); `EINVAL` for what is no file. Then the file is as it
/// was, and nothing lies beside it.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let beside = beside(path).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // So that no signal ends the run while the new file has a name of its own.
    signals::held(|| {
        let written = write_new(&beside, write).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
            signals::forget(Signal::SIGXFSZ);
        }
        written
    })
}

/// ".NAME.PID.new": hidden, and with an end that no collector of "*.prom" takes up.
fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}.new", std::process::id()));
    Some(path.with_file_name(name))
}

fn write_new(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // What has this name was left by a dead process with our number.
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
    fn a_file_is_replaced_whole_and_readable_for_all() {
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
    fn a_report_that_breaks_off_leaves_the_old_one() {
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
    fn devices_and_directories_are_no_place_for_a_report() {
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
