//! Whether a program with another name is httpd: it is if it has the APR library mapped. Touches
//! /proc/PID/maps, the first bytes of the executable, and libraries whose names are of no use.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;

use super::name::{last_part, undeleted};
use super::parse::{Status, has_interpreter, names_apr, silly_names};
use crate::facts::process::Kind;

/// Programs that use APR and run next to httpd, or for a long time, and create no mutexes between
/// processes: httpd's own helpers, Subversion's server, a Java virtual machine with Tomcat's library.
const USE_APR_OTHERWISE: [&[u8]; 4] = [b"rotatelogs", b"htcacheclean", b"svnserve", b"java"];

/// Programs that run the code of other programs, so that one process says nothing about the next:
/// emulators (the C library's loader has no interpreter and is recognized by that).
const RUN_OTHERS: [&[u8]; 4] = [b"qemu-", b"box64", b"box86", b"FEX"];

/// A function with which httpd creates its mutexes, as in the library's symbol names.
const FUNCTION: &[u8] = b"apr_proc_mutex_create\0";

/// What has been found out so far.
#[derive(Default)]
pub(super) struct Apr {
    /// Programs that root runs without APR, and whether this applies to all processes that run them.
    without: HashMap<Program, bool>,
    /// A buffer for the maps of one process at a time.
    maps: Vec<u8>,
}

/// A file, and the amount of code in a process that runs it (`VmExe` and `VmLib`, proc(5)), which would
/// be different with another library.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Program {
    device: u64,
    inode: u64,
    code: (u64, u64),
}

impl Apr {
    /// What runs in a process whose executable's name does not tell; its files are in `dir`.
    pub(super) fn kind(&mut self, dir: &str, exe: &Path, status: &Status) -> Kind {
        let name = last_part(undeleted(exe));
        if USE_APR_OTHERWISE.contains(&name) {
            return Kind::Other;
        }
        let program = program(dir, name, status);
        if program.is_some_and(|p| self.without.get(&p) == Some(&true)) {
            return Kind::Other;
        }
        match self.is_in(dir) {
            Ok(true) => Kind::Httpd,
            Ok(false) => {
                if let Some(program) = program {
                    self.without.entry(program).or_insert_with(|| is_program(dir));
                }
                Kind::Other
            }
            // It has exited, which will be noticed at the next of its files.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kind::Other,
            Err(e) if e.raw_os_error() == Some(Errno::ESRCH as i32) => Kind::Other,
            Err(_) => Kind::Unreadable,
        }
    }

    /// Whether a process has the library mapped, according to its name, or, if NFS has changed that (a
    /// file that is removed while it is open gets a "silly" name), according to its contents.
    fn is_in(&mut self, dir: &str) -> io::Result<bool> {
        self.maps.clear();
        File::open(format!("{dir}/maps"))?.read_to_end(&mut self.maps)?;
        if names_apr(&self.maps) {
            return Ok(true);
        }
        for file in silly_names(&self.maps) {
            let mut path = format!("{dir}/root").into_bytes();
            path.extend(file);
            if holds(File::open(OsStr::from_bytes(&path))?, FUNCTION)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A key for all processes that run the same file with the same code in them. Only for root's processes:
/// a user could run it without its libraries to hide a process that has them.
fn program(dir: &str, name: &[u8], status: &Status) -> Option<Program> {
    let by_root = status.uids.iter().all(|u| u.is_root());
    if !by_root || RUN_OTHERS.iter().any(|runs| name.starts_with(runs)) {
        return None;
    }
    let code = status.code?;
    let file = fs::metadata(format!("{dir}/exe")).ok()?;
    Some(Program { device: file.dev(), inode: file.ino(), code })
}

/// Whether a program runs its own code: it has an interpreter, which loads its libraries. Without one,
/// it may be a loader or an emulator.
fn is_program(dir: &str) -> bool {
    let mut head = [0; 4096];
    let read = File::open(format!("{dir}/exe")).and_then(|mut file| file.read(&mut head));
    read.is_ok_and(|length| has_interpreter(&head[..length]))
}

/// Whether the input contains the text.
fn holds(mut from: impl Read, text: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 16];
    let mut kept = 0;
    loop {
        let length = match from.read(&mut buffer[kept..]) {
            Ok(0) => return Ok(false),
            Ok(n) => kept + n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if buffer[..length].windows(text.len()).any(|w| w == text) {
            return Ok(true);
        }
        // The text may continue in the next piece.
        kept = length.min(text.len() - 1);
        buffer.copy_within(length - kept..length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns this many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_text_is_found_wherever_the_pieces_end() {
        let library = [b"\x7fELF\0apr_pool_create\0", FUNCTION, b"more\0"].concat();
        for size in 1..60 {
            assert!(holds(Pieces(&library, size), FUNCTION).expect("read"), "{size}");
            assert!(!holds(Pieces(&library[..40], size), FUNCTION).expect("read"), "{size}");
        }
    }

    #[test]
    fn a_program_is_distinguished_from_a_loader() {
        assert!(is_program("/proc/self"), "this test is linked like other programs");
        let loader = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let loader = loader.split_ascii_whitespace().find(|w| w.contains("/ld-linux"));
        let head = std::fs::read(loader.expect("the path of the loader")).expect("read");
        assert!(!has_interpreter(&head));
    }
}
