//! What is asked about the memory of processes, and the results. Values only.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::set::SemId;

/// How a program may store a semid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Words {
    /// As C code does: an aligned 32-bit word. So do Perl, PHP and CPython (below 2^30).
    Plain,
    /// Also as 2n+1 (Ruby, OCaml), 2n or 4n+2 (Lisps), the low 30 bits (CPython from 2^30 on), or a
    /// double (Lua, JavaScript).
    AnyLanguage,
}

/// Sets whose semids are searched for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Their semids.
    pub sets: Vec<SemId>,
    /// Made by their owner, in any language, perhaps one that moves its objects around in memory:
    /// processes that may hold them are read a second time, in reverse order.
    pub made_by_owner: bool,
}

/// What is searched for in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// An index into [`Request::doubts`].
    pub doubt: usize,
    /// How it may store their semids.
    pub words: Words,
}

/// A process in question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its pid.
    pub pid: Pid,
    /// What is searched for in it.
    pub asks: Vec<Ask>,
}

/// What reading memory may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Total time.
    pub time: Duration,
    /// Bytes of memory and shared memory, not counting the kernel's page tables.
    pub bytes: u64,
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The sets in doubt.
    pub doubts: Vec<Doubt>,
    /// The processes in question, in reading order.
    pub suspects: Vec<Suspect>,
    /// When to give up.
    pub budget: Budget,
    /// Read each process in full, even if everything searched for was already found in others.
    pub thorough: bool,
}

/// The result for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its pid.
    pub pid: Pid,
    /// The sets searched for whose semids were found in its memory, in order; also filled in if it was
    /// not read in full.
    pub holds: Vec<SemId>,
    /// How much of it was read.
    pub extent: Extent,
}

/// How much of a process was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that may hold a semid.
    Full,
    /// It no longer has any memory: it has exited, or its pid has been reused.
    Gone,
    /// Only until each set searched for was found in some process.
    Enough,
    /// Not everything: sets that were not found may still be known to it.
    Part(Gap),
}

/// A file of /proc/PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcFile {
    /// `maps` or `smaps`.
    Maps,
    /// `mem`.
    Mem,
    /// `pagemap`.
    Pagemap,
}

/// Why a process was not read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The kernel or a security module denies access to one of its files.
    Refused(ProcFile, Errno),
    /// Some of its pages cannot be read.
    Unreadable(Errno),
    /// It is running but no thread of it shows any memory.
    NoMemory,
    /// Its mappings, or its program, changed faster than they could be read.
    Restless,
    /// Only this: shared memory that it has mapped but is not using at the moment can be seen only with
    /// `CAP_SYS_ADMIN` in the initial user namespace, and only while its first thread is alive. No
    /// reason for doubt about a set that root made: APR keeps semids in private memory.
    SharedUnseen,
    /// A page or lock of the process held up its reader (userfaultfd(2), FUSE, NFS).
    HeldUp,
    /// Out of time or bytes.
    Budget,
    /// No reader could be started.
    NoReader(Errno),
    /// The reader died, or gave an invalid answer.
    ReaderDied,
}

impl fmt::Display for ProcFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProcFile::Maps => "maps",
            ProcFile::Mem => "mem",
            ProcFile::Pagemap => "pagemap",
        })
    }
}

impl fmt::Display for Gap {
    /// Completes "its memory was not read in full: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Refused(file, Errno::EACCES | Errno::EPERM) => {
                write!(f, "permission to read /proc/PID/{file} is missing (CAP_SYS_PTRACE)")
            }
            Gap::Refused(file, e) => write!(f, "/proc/PID/{file}: {e:?} ({})", e.desc()),
            Gap::Unreadable(e) => {
                write!(f, "some of its pages cannot be read: {e:?} ({})", e.desc())
            }
            Gap::NoMemory => f.write_str("it is running, but /proc shows no memory of it"),
            Gap::Restless => f.write_str("its memory changed faster than it could be read"),
            Gap::SharedUnseen => f.write_str("its shared memory cannot be seen (CAP_SYS_ADMIN)"),
            Gap::HeldUp => f.write_str("one of its pages blocked the reader"),
            Gap::Budget => f.write_str("the time for reading memory ran out (--memory-timeout)"),
            Gap::NoReader(e) => {
                write!(f, "the memory reader could not be started: {e:?} ({})", e.desc())
            }
            Gap::ReaderDied => f.write_str("the memory reader died"),
        }
    }
}
