//! Where `kernel.sem` is set at boot (sysctl.d(5), systemd-sysctl.service(8), sysctl(8)), and whether it
//! can be set at all. Touches those files and /proc/sys; reads only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::facts::site::{Lasting, Sysctl};
use crate::look::file;

/// The folders. A file in one of them hides files with the same name in those after it.
const FOLDERS: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// Read last by `sysctl --system`; by systemd only if a file in those folders links to it.
const CLASSIC: &str = "/etc/sysctl.conf";

/// Names for a new file: the usual one, and two that sort after nearly every other name.
const NAMES: [&str; 3] =
    ["99-httpd-semguard.conf", "zz-httpd-semguard.conf", "zzzz-httpd-semguard.conf"];

/// The most that is read of one file, in bytes.
const MOST: u64 = 1 << 20;

/// A file that sets `kernel.sem`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setter {
    file: PathBuf,
    /// The last line that does so, counted from 1.
    line: usize,
}

/// How `kernel.sem` can be set on this machine.
#[must_use]
pub(super) fn sysctl() -> Sysctl {
    // access(2) would report the file mode first, except to root.
    let is_read_only = |flags: FsFlags| flags.contains(FsFlags::ST_RDONLY);
    if statvfs("/proc/sys/kernel/sem").is_ok_and(|file_system| is_read_only(file_system.flags())) {
        return Sysctl::Outside;
    }
    let has_program = ["/usr/sbin/sysctl", "/sbin/sysctl", "/usr/bin/sysctl", "/bin/sysctl"]
        .iter()
        .any(|program| Path::new(program).exists());
    Sysctl::Here { has_program, lasting: lasting(Path::new("/")) }
}

/// Which files make a value last, below this root.
fn lasting(root: &Path) -> Lasting {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    // Files on a read-only mount must be changed elsewhere.
    if statvfs(&below("/etc")).is_ok_and(|etc| etc.flags().contains(FsFlags::ST_RDONLY)) {
        return Lasting::default();
    }
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(below(folder)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(".conf") {
                files.entry(name).or_insert_with(|| Path::new(folder).join(entry.file_name()));
            }
        }
    }
    let setter = |file: &PathBuf| {
        // Links are resolved: sed -i would replace the link with a file.
        let path = fs::canonicalize(below(&file.to_string_lossy())).ok()?;
        let (opened, _) = file::regular(&path, 0).ok()??;
        let file = Path::new("/").join(path.strip_prefix(root).ok()?);
        let mut text = Vec::new();
        opened.take(MOST).read_to_end(&mut text).ok()?;
        Some(Setter { file, line: last_line(&String::from_utf8_lossy(&text))? })
    };
    let last = files.iter().rev().find_map(|(name, file)| Some((name, setter(file)?)));
    let last = last.map(|(name, setter)| (name.to_string_lossy().into_owned(), setter));
    let is_free = |file: &Path| fs::symlink_metadata(below(&file.to_string_lossy())).is_err();
    Lasting {
        needs_folder: is_free(Path::new(FOLDERS[0])),
        ..choose(last, setter(&PathBuf::from(CLASSIC)), is_free)
    }
}

/// What to change: `last` is the last file in the folders that sets it, by name; `classic` is
/// /etc/sysctl.conf, if it does. A file below /etc is for the administrator to edit; any other belongs to a
/// package, or disappears at the next boot. A new file gets a name that `is_free` and comes last.
fn choose(
    last: Option<(String, Setter)>,
    classic: Option<Setter>,
    is_free: impl Fn(&Path) -> bool,
) -> Lasting {
    let (name, last) = last.unzip();
    let is_own = last.as_ref().is_some_and(|setter| setter.file.starts_with("/etc"));
    let mut edit: Vec<(PathBuf, usize)> = Vec::new();
    for setter in last.filter(|_| is_own).into_iter().chain(classic) {
        if edit.iter().all(|(file, _)| *file != setter.file) {
            edit.push((setter.file, setter.line));
        }
    }
    let is_last = |new: &&&str| name.as_ref().is_none_or(|name| **new > name.as_str());
    let files = NAMES.iter().filter(is_last).map(|name| Path::new(FOLDERS[0]).join(name));
    let new = files.filter(|file| is_free(file)).find(|_| !is_own);
    // Without a new file, none of this would last.
    if new.is_none() && !is_own {
        return Lasting::default();
    }
    Lasting { edit, new, needs_folder: false }
}

/// The last line of a file that sets `kernel.sem`, counted from 1. Spaces around the name, a dash before
/// it (errors are ignored), and slashes instead of dots are allowed (sysctl.d(5)).
fn last_line(text: &str) -> Option<usize> {
    let sets = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix('-').unwrap_or(line);
        let Some((name, _)) = line.split_once('=') else { return false };
        !line.starts_with(['#', ';']) && matches!(name.trim(), "kernel.sem" | "kernel/sem")
    };
    text.lines().enumerate().filter(|(_, line)| sets(line)).map(|(at, _)| at + 1).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(lines: &[(&str, usize)]) -> Lasting {
        let edit = lines.iter().map(|(file, line)| (PathBuf::from(file), *line)).collect();
        Lasting { edit, ..Lasting::default() }
    }

    fn setter(file: &str, line: usize) -> Setter {
        Setter { file: file.into(), line }
    }

    #[test]
    fn the_last_line_that_sets_it_is_found_however_it_is_written() {
        for (text, line) in [
            ("kernel.sem = 250 32000 32 128\n", Some(1)),
            ("# kernel.sem = 1\n; kernel.sem = 2\n\n -kernel/sem=250 32000 32 128", Some(4)),
            ("kernel.sem=1 2 3 4\nvm.swappiness = 1\n\tkernel.sem\t=\t25032000 32 512\n", Some(3)),
            ("kernel.sem_next_id = 7\nkernel.sem\nkernel.semx = 3\n", None),
            ("", None),
        ] {
            assert_eq!(last_line(text), line, "{text}");
        }
    }

    #[test]
    fn an_administrators_file_is_edited_and_a_packages_file_is_overridden() {
        let own = Some(("50-db.conf".to_owned(), setter("/etc/sysctl.d/50-db.conf", 3)));
        assert_eq!(choose(own, None, |_| true), edits(&[("/etc/sysctl.d/50-db.conf", 3)]));
        let new = |last: Option<(&str, &str)>| {
            let last = last.map(|(name, file)| (name.to_owned(), setter(file, 1)));
            choose(last, None, |_| true).new.map(|file| file.to_string_lossy().into_owned())
        };
        let usual = Some("/etc/sysctl.d/99-httpd-semguard.conf".to_owned());
        let late = Some("/etc/sysctl.d/zz-httpd-semguard.conf".to_owned());
        assert_eq!(new(None), usual);
        assert_eq!(new(Some(("50-x.conf", "/usr/lib/sysctl.d/50-x.conf"))), usual);
        assert_eq!(new(Some(("99-zoo.conf", "/usr/lib/sysctl.d/99-zoo.conf"))), late);
    }

    #[test]
    fn if_two_tools_read_two_files_both_are_changed() {
        let new = Some("/etc/sysctl.d/99-httpd-semguard.conf".into());
        let classic = || Some(setter("/etc/sysctl.conf", 9));
        assert_eq!(
            choose(None, classic(), |_| true),
            Lasting { new, ..edits(&[("/etc/sysctl.conf", 9)]) }
        );
        let own = Some(("50-db.conf".to_owned(), setter("/etc/sysctl.d/50-db.conf", 3)));
        let both = edits(&[("/etc/sysctl.d/50-db.conf", 3), ("/etc/sysctl.conf", 9)]);
        assert_eq!(choose(own, classic(), |_| true), both);
        let linked = Some(("99-sysctl.conf".to_owned(), setter("/etc/sysctl.conf", 9)));
        assert_eq!(choose(linked, classic(), |_| true), edits(&[("/etc/sysctl.conf", 9)]));
    }

    #[test]
    fn a_new_file_replaces_nothing_and_is_only_proposed_if_its_name_comes_last() {
        let new = |name: &str, taken: &'static str| {
            let last = Some((name.to_owned(), setter("/usr/lib/sysctl.d/x", 1)));
            let is_free = |file: &Path| !file.ends_with(taken);
            choose(last, None, is_free).new.map(|file| file.to_string_lossy().into_owned())
        };
        let late = Some("/etc/sysctl.d/zz-httpd-semguard.conf".to_owned());
        assert_eq!(new("10-x.conf", "99-httpd-semguard.conf"), late);
        let last = Some("/etc/sysctl.d/zzzz-httpd-semguard.conf".to_owned());
        assert_eq!(new("zzz.conf", "none"), last);
        assert_eq!(new("zzzzz.conf", "none"), None);
    }

    #[test]
    fn files_are_read_in_the_order_of_their_names_and_etc_hides_the_others() {
        let root = std::env::temp_dir().join(format!("semguard-sysctl-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let file = root.join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, text).expect("written");
        };
        put("usr/lib/sysctl.d/60-vendor.conf", "kernel.sem = 250 32000 32 128\n");
        put("etc/sysctl.d/60-vendor.conf", "vm.swappiness = 1\n");
        put("etc/sysctl.d/70-text.txt", "kernel.sem = 1\n");
        put("etc/sysctl.d/10-own.conf", "\nkernel.sem = 25032000 32 512\n");
        let found = lasting(&root);
        put("etc/sysctl.conf", "kernel.sem = 5 5 5 5\n");
        let with_classic = lasting(&root);
        std::os::unix::fs::symlink("../sysctl.conf", root.join("etc/sysctl.d/99-sysctl.conf"))
            .expect("linked");
        let with_link = lasting(&root);
        fs::remove_dir_all(&root).expect("removed");
        assert_eq!(found, edits(&[("/etc/sysctl.d/10-own.conf", 2)]));
        let both = edits(&[("/etc/sysctl.d/10-own.conf", 2), ("/etc/sysctl.conf", 1)]);
        assert_eq!(with_classic, both);
        assert_eq!(with_link, edits(&[("/etc/sysctl.conf", 1)]));
    }
}
