//! What is kept between runs: reading it. Touches that file.
//!
//! Nothing depends on it but a better need: a file that is missing, old, damaged or anybody else's is as
//! good as none.

use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};

use crate::facts::state::{MOST_INSTANCES, State};

/// The most that is read, in bytes: as many instances with a long PidFile each.
const MOST_BYTES: u64 = 256 << 10;

/// The present form.
const VERSION: u32 = 1;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    /// Of the rest: a figure that is not the one that was written is no figure.
    seal: u64,
    state: State,
}

fn seal(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    (VERSION, env!("CARGO_PKG_VERSION"), &state.instances).hash(&mut hasher);
    hasher.finish()
}

/// The text of the file for this state.
#[must_use]
pub fn text(state: &State) -> String {
    let sealed = Sealed { version: VERSION, seal: seal(state), state: state.clone() };
    serde_json::to_string(&sealed).unwrap_or_default() + "\n"
}

/// The state that a text of the file tells.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<State, &'static str> {
    let sealed: Sealed = serde_json::from_str(text).map_err(|_| "its file is damaged")?;
    if sealed.version != VERSION || sealed.seal != seal(&sealed.state) {
        return Err("its file was changed, or is another version's");
    }
    if sealed.state.instances.len() > MOST_INSTANCES {
        return Err("its file is too long");
    }
    Ok(sealed.state)
}

/// What is kept in the file; nothing where there is none.
///
/// # Errors
/// Why it is not used.
pub fn read(file: &Path) -> Result<State, &'static str> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(file) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(_) => return Err("its file cannot be read"),
    };
    let meta = file.metadata().map_err(|_| "its file cannot be read")?;
    if !meta.is_file() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err("its file is not root's alone");
    }
    if meta.len() > MOST_BYTES {
        return Err("its file is too long");
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
    fn what_is_written_is_read() {
        assert_eq!(parse(&text(&state())), Ok(state()));
        assert_eq!(parse(&text(&State::default())), Ok(State::default()));
    }

    #[test]
    fn a_file_with_another_figure_is_none() {
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
    fn the_instances_are_bounded_and_the_last_one_stays() {
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
    fn only_a_file_of_roots_alone_is_read() {
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
