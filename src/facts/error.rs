//! Everything that can end a run before it has a result: each error knows its exit code, and what to do
//! next.

use std::fmt;
use std::io::Error as IoError;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::facts::message::{Message, Remedy};
use crate::facts::printable::printable;
use crate::facts::set::SemId;

/// The exit codes, those of sysexits.h, which systemd shows by name (`status=69/UNAVAILABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// httpd can create its locks.
    Ok = 0,
    /// `EX_USAGE`: the command line is wrong.
    Usage = 64,
    /// `EX_UNAVAILABLE`: httpd would not start, because it could not create or use a lock.
    Unavailable = 69,
    /// `EX_SOFTWARE`: a bug in httpd-semguard.
    Software = 70,
    /// `EX_OSERR`: the kernel or the user database refused to answer.
    OsError = 71,
    /// `EX_CANTCREAT`: the report could not be written.
    CannotCreate = 73,
    /// `EX_NOPERM`: neither root nor the owner.
    NoPermission = 77,
    /// `EX_CONFIG`: no such user, or the guarded user is root.
    Config = 78,
}

impl Exit {
    /// Every code with its meaning, as in the man page, the README and `--help`.
    pub const ALL: [(Exit, &'static str); 8] = [
        (Exit::Ok, "httpd can create its locks"),
        (Exit::Usage, "the command line or a settings file is wrong"),
        (Exit::Unavailable, "httpd would not start: it could not create or use a lock"),
        (Exit::Software, "a bug in httpd-semguard"),
        (Exit::OsError, "the kernel or the user database refused to answer"),
        (Exit::CannotCreate, "the report could not be written"),
        (Exit::NoPermission, "run by neither root nor the owner of the sets"),
        (Exit::Config, "no such user, or the guarded user is root"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(e: Exit) -> Self {
        std::process::ExitCode::from(e as u8)
    }
}

/// The text of an error as in strerror(3), and therefore in httpd's log.
#[must_use]
pub fn strerror(errno: Errno) -> String {
    let text = IoError::from_raw_os_error(errno as i32).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The errno of a failure; 0 for an error that comes from no system call.
#[must_use]
pub fn errno(error: &IoError) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// `--user` names a user that does not exist.
    NoSuchUser(String),
    /// `--user` names root, whose sets are never touched.
    GuardedRoot,
    /// No `--user`, and none of these accounts exists.
    NoKnownAccount(String),
    /// The user database did not answer.
    UserDatabase(String, Errno),
    /// The guarded users have no semaphore set with this ID.
    NoSuchSet(SemId, String),
    /// The report could not be written to this file.
    Output(PathBuf, Errno),
    /// The report could not be written to standard output.
    Stdout(Errno),
    /// A system call of the inspection failed.
    Kernel(&'static str, Errno),
}

impl Error {
    /// The error for a report that could not be written to a file.
    #[must_use]
    pub fn output(path: &Path, error: &IoError) -> Error {
        Error::Output(path.to_owned(), errno(error))
    }

    /// The error for a report that could not be written to standard output.
    #[must_use]
    pub fn stdout(error: &IoError) -> Error {
        Error::Stdout(errno(error))
    }

    /// The exit code of the run.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::NoSuchUser(_) | Error::GuardedRoot | Error::NoKnownAccount(_) => Exit::Config,
            Error::NoSuchSet(..) => Exit::Usage,
            Error::Output(..) | Error::Stdout(_) => Exit::CannotCreate,
            Error::UserDatabase(..) | Error::Kernel(..) => Exit::OsError,
        }
    }

    /// What went wrong, and what to do about it.
    #[must_use]
    pub fn message(&self) -> Message {
        let remedies = vec![Remedy::advice(self.hint())];
        Message { brief: self.to_string(), detail: String::new(), why: Vec::new(), remedies }
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Error::NoSuchUser(_) => "give the user that httpd runs as: --user NAME or --user UID \
                                     (\"User\" in httpd's configuration)"
                .into(),
            Error::GuardedRoot => {
                "give the user that httpd's workers run as; root's sets are never \
                                   removed, because any of root's programs may use them"
                    .into()
            }
            Error::NoKnownAccount(tried) => {
                format!("none of the users {tried} exists here; give --user NAME")
            }
            Error::UserDatabase(..) => {
                "give the user by number (--user UID), or repair /etc/nsswitch.conf".into()
            }
            Error::NoSuchSet(..) => "\"httpd-semguard list --all\" shows the sets of all users; \
                                     --user NAME judges those of another user"
                .into(),
            Error::Output(_, Errno::EINVAL) => {
                "name a file; for standard output leave out --output".into()
            }
            Error::Output(_, Errno::ENOENT) => {
                "that directory does not exist: create it, or name a file elsewhere (--output)"
                    .into()
            }
            Error::Output(path, _) => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
                let folder = folder.map_or(".".into(), |p| printable(&p.to_string_lossy()));
                format!(
                    "see whether there is room and permission: ls -ld {folder}; df -h {folder}; df -i {folder}"
                )
            }
            Error::Stdout(_) => "write it to a place with room: see df -h and df -i".into(),
            Error::Kernel(..) => "a seccomp filter (SystemCallFilter=) or a security module \
                                  forbids it: allow it for this service"
                .into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchUser(name) => write!(f, "no such user: \"{name}\""),
            Error::GuardedRoot => f.write_str("root cannot be guarded"),
            Error::NoKnownAccount(_) => f.write_str("it is not known which user httpd runs as"),
            Error::UserDatabase(name, e) => {
                write!(
                    f,
                    "could not look up the user \"{name}\": getpwnam: {e:?} ({})",
                    strerror(*e)
                )
            }
            Error::NoSuchSet(id, users) => write!(f, "there is no semaphore set {id} of {users}"),
            Error::Output(path, e) => {
                let path = printable(&path.to_string_lossy());
                write!(f, "could not write the report to {path}: {e:?} ({})", strerror(*e))
            }
            Error::Stdout(e) => {
                let why = strerror(*e);
                write!(f, "the report cannot be written to standard output: {e:?} ({why})")
            }
            Error::Kernel(call, e) => write!(f, "{call}: {e:?} ({})", strerror(*e)),
        }
    }
}

impl std::error::Error for Error {}
