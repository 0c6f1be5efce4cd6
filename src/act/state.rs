//! Writes what is kept between runs. Touches that file and its directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;

use crate::act::output;
use crate::facts::error::errno;
use crate::facts::event::Event;
use crate::facts::state::State;
use crate::look;

/// Replaces the kept state, for the next run. If that fails, nothing stops, and the event says so; if
/// the directory was not installed, nothing is to be kept.
#[must_use]
pub fn keep(state: &State, file: &Path) -> Option<Event> {
    match write(state, file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Some(Event::StateNotKept(errno(&e))),
        _ => None,
    }
}

fn write(state: &State, file: &Path) -> io::Result<()> {
    let directory = file.parent().ok_or(io::ErrorKind::NotFound)?;
    let meta = fs::symlink_metadata(directory)?;
    if !meta.is_dir() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    output::replace(file, |out| out.write_all(look::state::text(state).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_kept_only_in_roots_own_directory() {
        let dir = std::env::temp_dir().join(format!("semguard-keep-{}", std::process::id()));
        let file = dir.join("starts.json");
        let state = State::default();
        assert_eq!(keep(&state, &file), None, "there is no directory");
        fs::create_dir(&dir).expect("made");
        let mode = |mode| fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("chmod");
        mode(0o777);
        assert_eq!(keep(&state, &file), Some(Event::StateNotKept(Errno::EPERM)));
        assert!(!file.exists());
        mode(0o755);
        if nix::unistd::geteuid().is_root() {
            assert_eq!(keep(&state, &file), None);
            assert_eq!(look::state::read(&file), Ok(state));
        }
        fs::remove_dir_all(dir).expect("removed");
    }
}
