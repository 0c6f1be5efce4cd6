//! What mechanisms other than System V semaphores need, tried the way httpd would use it: lock files
//! in their directory, POSIX semaphores in /dev/shm, /dev/zero. Touches trial files, which it removes
//! again, with signals blocked.

use std::collections::hash_map::RandomState;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Gid, getgrouplist};

use crate::act::{pthread, signals};
use crate::facts::error::errno;
use crate::facts::mutex::{Demand, Mechanism, Mutexes};
use crate::facts::shortage::Shortage;
use crate::facts::users::Guarded;

/// The most mutexes of one kind that are tried at once; no configuration has more.
const MOST_TRIED: u32 = 256;

/// glibc's named semaphore (sem_open(3)): a file of this many bytes in [`SHM`].
const SEM_BYTES: [u8; 32] = [0; 32];

/// Errors of a trial that httpd would not get.
const LEARN_NOTHING: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::EINTR, Errno::EEXIST];

/// Where POSIX semaphores are stored (sem_overview(7)).
const SHM: &str = "/dev/shm";

/// Tries what the demand needs besides semaphore sets, for an httpd whose workers run as `user`.
/// Returns the first certain shortage, or else the first one.
#[must_use]
pub fn shortage(demand: &Demand, user: &Guarded) -> Option<Shortage> {
    // Signals are blocked so that none ends the run while a trial file has a name. First what httpd is
    // certain to make, then what it may make in addition.
    let found = signals::held(|| try_all(demand, true).or_else(|| try_all(demand, false)));
    found.or_else(|| closed_directory(demand, user)).or_else(|| too_many_files(demand))
}

/// A worker opens each flock file again, as its own user. If it cannot enter the directory, it dies at
/// once and httpd forks the next one (measured; not so for the accept mutex, which it opens before it
/// changes its user). In doubt, because neither ACLs nor the group in httpd's configuration are
/// considered.
fn closed_directory(demand: &Demand, user: &Guarded) -> Option<Shortage> {
    let flock = |row: &&Mutexes| {
        row.mechanism == Some(Mechanism::Flock) && row.most > 0 && row.mutex != "mpm-accept"
    };
    let row = demand.rows.iter().filter(flock).find(|row| !may_enter(Path::new(&row.dir), user))?;
    Some(Shortage {
        mutex: row.mutex.clone(),
        line: row.line(),
        mechanism: Mechanism::Flock,
        path: PathBuf::from(&row.dir),
        errno: Errno::EACCES,
        made: 0,
        needed: row.most,
        certain: false,
    })
}

/// Files that an httpd has open besides its lock files, or a few more: listeners, logs, pipes.
const OTHER_FILES: u64 = 20;

/// A worker opens each flock file again and keeps those that its leader opened. In doubt, because a
/// control program may raise the guard's limit, and httpd may have more or fewer other files open.
fn too_many_files(demand: &Demand) -> Option<Shortage> {
    let flock = |row: &&Mutexes| row.mechanism == Some(Mechanism::Flock) && row.most > 0;
    let files: u64 = demand.rows.iter().filter(flock).map(|row| u64::from(row.most)).sum();
    let row = demand.rows.iter().rfind(flock)?;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let needed = 2 * files + OTHER_FILES;
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (needed > limit).then(|| Shortage {
        mutex: row.mutex.clone(),
        line: row.line(),
        mechanism: Mechanism::Flock,
        path: PathBuf::from(&row.dir),
        errno: Errno::EMFILE,
        made: number(limit),
        needed: number(needed),
        certain: false,
    })
}

/// Whether the mode bits let `user` into a directory and all its parents.
fn may_enter(dir: &Path, user: &Guarded) -> bool {
    let groups = CString::new(user.name.as_str())
        .ok()
        .and_then(|name| getgrouplist(&name, user.gid).ok())
        .unwrap_or_else(|| vec![user.gid]);
    let Ok(dir) = fs::canonicalize(dir) else { return true };
    dir.ancestors().all(|d| {
        let Ok(meta) = fs::metadata(d) else { return true };
        let (mode, gid) = (meta.mode(), Gid::from_raw(meta.gid()));
        let bit = if meta.uid() == user.uid.as_raw() {
            0o100
        } else if groups.contains(&gid) {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    })
}

/// Makes the minimum (`certain`) or the maximum of what is needed, and keeps it until the end:
/// directories may be on the same file system and so share its space.
fn try_all(demand: &Demand, certain: bool) -> Option<Shortage> {
    let mut held = Vec::new();
    groups(demand).into_iter().find_map(|(mechanism, place, rows)| {
        // Where APR keeps named shared memory depends on its build.
        let shared = if certain { 0 } else { demand.shared_memory().min(MOST_TRIED) };
        try_group(mechanism, &place, &rows, certain, shared, &mut held)
    })
}

/// Groups the rows by mechanism and place.
fn groups(demand: &Demand) -> Vec<(Mechanism, PathBuf, Vec<&Mutexes>)> {
    let mut groups: Vec<(Mechanism, PathBuf, Vec<&Mutexes>)> = Vec::new();
    for row in &demand.rows {
        let (Some(mechanism), place) = (row.mechanism, place(row)) else { continue };
        let Some(place) = place else { continue };
        match groups.iter_mut().find(|(m, p, _)| *m == mechanism && *p == place) {
            Some((_, _, rows)) => rows.push(row),
            None => groups.push((mechanism, place, vec![row])),
        }
    }
    groups
}

fn place(row: &Mutexes) -> Option<PathBuf> {
    match row.mechanism? {
        Mechanism::Fcntl | Mechanism::Flock => Some(PathBuf::from(&row.dir)),
        Mechanism::PosixSem => Some(PathBuf::from(SHM)),
        Mechanism::Pthread => Some(PathBuf::from("/dev/zero")),
        Mechanism::SysVSem | Mechanism::None => None,
    }
}

fn try_group(
    mechanism: Mechanism,
    place: &Path,
    rows: &[&Mutexes],
    certain: bool,
    shared: u32,
    held: &mut Vec<File>,
) -> Option<Shortage> {
    let number = |row: &&Mutexes| if certain { row.least } else { row.most };
    let needed: u32 = rows.iter().map(number).sum();
    if needed == 0 {
        return None;
    }
    let wanted = needed.min(MOST_TRIED);
    let (made, error) = match mechanism {
        // A process-shared mutex is kept in a page of /dev/zero (apr locks/unix/proc_mutex.c). A single
        // one meets the same errors as all of them would.
        Mechanism::Pthread => {
            let opened = File::options().read(true).write(true).open(place);
            match opened.and_then(|zero| Ok(pthread::make_and_remove(&zero)?)) {
                Ok(()) => return None,
                Err(e) if teaches_nothing(&e) => return None,
                Err(e) => (0, e),
            }
        }
        Mechanism::PosixSem => {
            files(place, wanted, &SEM_BYTES, true, held).or_else(|| match shared {
                // Once they are made, httpd's own shared memory takes up further space.
                0 => None,
                more => files(place, more, &SEM_BYTES, false, held).map(|(_, e)| (wanted - 1, e)),
            })?
        }
        _ => files(place, wanted, &[], false, held)?,
    };
    // httpd makes them row by row.
    let mut sum = 0;
    let first = rows.iter().find(|r| {
        sum += number(r);
        sum > made
    })?;
    Some(Shortage {
        mutex: first.mutex.clone(),
        line: first.line(),
        mechanism,
        path: place.to_owned(),
        errno: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
        made,
        needed,
        certain,
    })
}

/// The error comes from this process's own limits, or the name is taken: it says nothing about httpd.
fn teaches_nothing(e: &io::Error) -> bool {
    LEARN_NOTHING.contains(&errno(e))
}

/// Makes `count` files in `dir`, each with `content`, removes their names and leaves them open in
/// `held`, so that they keep their inodes and blocks, as httpd's files will. `None` if all could be
/// made; else how many, and what stopped the next one. With `linked`, each is named the way glibc names
/// a semaphore: by a link from a temporary name, which on tmpfs takes an inode for a moment.
fn files(
    dir: &Path,
    count: u32,
    content: &[u8],
    linked: bool,
    held: &mut Vec<File>,
) -> Option<(u32, io::Error)> {
    // An unpredictable name: in /dev/shm anyone could take a known one first.
    let run = RandomState::new().build_hasher().finish();
    for n in 0..count {
        let path = dir.join(format!("httpd-semguard.{run:016x}.{n}"));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .and_then(|mut file| {
                let written = file.write_all(content).and_then(|()| {
                    let second = dir.join(format!("httpd-semguard.{run:016x}.{n}.link"));
                    if linked {
                        fs::hard_link(&path, &second).and_then(|()| fs::remove_file(&second))
                    } else {
                        Ok(())
                    }
                });
                let removed = fs::remove_file(&path);
                written.and(removed).map(|()| file)
            });
        match made {
            Ok(file) => held.push(file),
            Err(e) if teaches_nothing(&e) => return None,
            Err(e) => return Some((n, e)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::facts::mutex::{LogLine, Passes};

    fn row(mechanism: Mechanism, dir: &str, least: u32, most: u32) -> Mutexes {
        Mutexes {
            mutex: "proxy".into(),
            mechanism: Some(mechanism),
            dir: dir.into(),
            least,
            most,
            cause: String::new(),
            passes: Passes::Second,
            words: LogLine::Ah00023,
        }
    }

    fn of(rows: Vec<Mutexes>) -> Option<Shortage> {
        shortage(&Demand { rows }, &user())
    }

    fn user() -> Guarded {
        let uid = 4_123_456_789;
        Guarded { uid: uid.into(), gid: Gid::from_raw(uid), name: uid.to_string() }
    }

    #[test]
    fn a_flock_directory_closed_to_the_workers_is_in_doubt_except_for_the_accept_mutex() {
        let dir = std::env::temp_dir().join(format!("semguard-closed-{}", std::process::id()));
        fs::create_dir(&dir).expect("made");
        let mode = |bits| fs::set_permissions(&dir, fs::Permissions::from_mode(bits)).expect("set");
        let path = dir.to_string_lossy().into_owned();
        let row = |mechanism| row(mechanism, &path, 1, 1);
        mode(0o700);
        let s = of(vec![row(Mechanism::Flock)]).expect("a shortage");
        assert_eq!((s.errno, s.certain), (Errno::EACCES, false));
        assert_eq!(of(vec![row(Mechanism::Fcntl)]), None, "such files are not opened again");
        let accept = Mutexes { mutex: "mpm-accept".into(), ..row(Mechanism::Flock) };
        assert_eq!(of(vec![accept]), None);
        mode(0o711);
        assert_eq!(of(vec![row(Mechanism::Flock)]), None);
        fs::remove_dir(&dir).expect("removed");
    }

    #[test]
    fn a_missing_directory_is_a_shortage() {
        let s = of(vec![row(Mechanism::Fcntl, "/no/such/dir", 1, 1)]).expect("a shortage");
        assert_eq!((s.errno, s.made, s.needed, s.certain), (Errno::ENOENT, 0, 1, true));
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_a_shortage() {
        let s = of(vec![row(Mechanism::Flock, "/etc/passwd", 1, 1)]).expect("a shortage");
        assert_eq!(s.errno, Errno::ENOTDIR);
    }

    #[test]
    fn a_merely_possible_need_is_no_certain_shortage() {
        let s = of(vec![row(Mechanism::Fcntl, "/no/such/dir", 0, 1)]).expect("a shortage");
        assert!(!s.certain);
    }

    #[test]
    fn a_good_directory_is_left_unchanged() {
        let dir = std::env::temp_dir().join(format!("semguard-resources-{}", std::process::id()));
        fs::create_dir(&dir).expect("made");
        let path = dir.to_string_lossy().into_owned();
        assert_eq!(of(vec![row(Mechanism::Fcntl, &path, 3, 5)]), None);
        assert_eq!(fs::read_dir(&dir).expect("read").count(), 0);
        fs::remove_dir(&dir).expect("removed");
    }

    #[test]
    fn neither_semaphore_sets_nor_an_empty_demand_need_anything_here() {
        assert_eq!(
            of(vec![row(Mechanism::SysVSem, "", 9, 9), row(Mechanism::None, "", 1, 1)]),
            None
        );
    }
}
