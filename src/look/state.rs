//! Reads what is kept between runs. Touches that file.
//!
//! Nothing depends on it except a better estimate of the need: a file that is missing, old, damaged or
//! not root's own is ignored.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};

use crate::facts::state::{MOST_INSTANCES, State};
use crate::look::file;

/// The most that is read, in bytes: enough for the maximum number of instances with long PidFile paths.
const MOST_BYTES: u64 = 256 << 10;

/// The current format version.
const VERSION: u32 = 1;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    /// A checksum of the rest: a file with a changed figure is rejected.
    seal: u64,
    state: State,
}

fn seal(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    (VERSION, env!("CARGO_PKG_VERSION"), &state.instances).hash(&mut hasher);
    hasher.finish()
}

/// The file's text for this state.
#[must_use]
pub fn text(state: &State) -> String {
    let sealed = Sealed { version: VERSION, seal: seal(state), state: state.clone() };
    serde_json::to_string(&sealed).unwrap_or_default() + "\n"
}

/// The state in a file's text.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<State, &'static str> {
    let sealed: Sealed = serde_json::from_str(text).map_err(|_| "its file is damaged")?;
    if sealed.version != VERSION || sealed.seal != seal(&sealed.state) {
        return Err("its file was modified, or is from another version");
    }
    if sealed.state.instances.len() > MOST_INSTANCES {
        return Err("its file is too large");
    }
    Ok(sealed.state)
}

/// The state in the file; empty if there is no file.
///
/// # Errors
/// Why it is not used.
pub fn read(file: &Path) -> Result<State, &'static str> {
    let found = match file::regular(file, libc::O_NOFOLLOW) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(_) => return Err("its file cannot be read"),
    };
    let is_roots_alone = |(_, meta): &(File, Metadata)| meta.uid() == 0 && meta.mode() & 0o022 == 0;
    let (file, meta) = found
        .filter(is_roots_alone)
        .ok_or("its file is not owned by root, or others may write to it")?;
    if meta.len() > MOST_BYTES {
        return Err("its file is too large");
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(|_| "its file is damaged")?;
    parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::state::{Instance, Learnt, Note};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn state() -> State {
        State::default().with(Instance {
            pid_file: "/run/httpd/httpd.pid".into(),
            answer: u64::MAX,
            note: Some(Note { mark: 557_056, ticks: 4711, time: 1_795_825_728 }),
            learnt: Some(Learnt { sets: 6, starts: 2 }),
        })
    }

    #[test]
    fn written_state_is_read_back() {
        assert_eq!(parse(&text(&state())), Ok(state()));
        assert_eq!(parse(&text(&State::default())), Ok(State::default()));
    }

    #[test]
    fn a_file_with_a_changed_figure_is_rejected() {
        let text = text(&state());
        for (from, to) in [
            ("\"sets\":6", "\"sets\":60"),
            ("\"starts\":2", "\"starts\":3"),
            ("557056", "-1"),
            ("httpd.pid", "other.pid"),
            ("\"version\":1", "\"version\":2"),
            ("\"note\"", "\"not\""),
        ] {
            assert!(text.contains(from), "{text}");
            assert!(parse(&text.replace(from, to)).is_err(), "{from}");
        }
        for cut in 0..text.len() - 1 {
            assert!(parse(&text[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn instances_are_bounded_and_the_latest_one_stays() {
        let mut state = state();
        for n in 0..2 * MOST_INSTANCES {
            let pid_file = format!("/run/{n}.pid");
            state = state.with(Instance { pid_file, ..state.instances[0].clone() });
        }
        assert_eq!(state.instances.len(), MOST_INSTANCES);
        assert!(state.get(&format!("/run/{}.pid", 2 * MOST_INSTANCES - 1)).is_some());
        state.instances.push(state.instances[0].clone());
        assert!(parse(&text(&state)).is_err());
    }

    #[test]
    fn only_a_file_that_is_roots_alone_is_read() {
        let dir = std::env::temp_dir().join(format!("semguard-state-{}", std::process::id()));
        fs::create_dir(&dir).expect("made");
        let file = dir.join("starts.json");
        assert_eq!(read(&file), Ok(State::default()));
        fs::write(&file, text(&state())).expect("written");
        let mode = |mode| fs::set_permissions(&file, Permissions::from_mode(mode)).expect("chmod");
        mode(0o644);
        if nix::unistd::geteuid().is_root() {
            assert_eq!(read(&file), Ok(state()));
            std::os::unix::fs::chown(&file, Some(33), None).expect("chown");
        }
        assert!(read(&file).is_err(), "somebody else's");
        let _ = std::os::unix::fs::chown(&file, Some(0), None);
        mode(0o666);
        assert!(read(&file).is_err(), "anybody may write it");
        let link = dir.join("link");
        mode(0o644);
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        assert!(read(&link).is_err(), "a link");
        assert!(read(&dir).is_err(), "a directory");
        nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert!(read(&dir.join("pipe")).is_err(), "a pipe");
        fs::write(&file, " ".repeat(300 << 10)).expect("written");
        assert!(read(&file).is_err(), "too long");
        fs::remove_dir_all(dir).expect("removed");
    }
}
