//! What is asked about the memory of processes, and what comes of it. Values only.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::set::SemId;

/// How a program may keep a set's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Words {
    /// As C code keeps it: an aligned 32-bit word. So do Perl, PHP and CPython (below 2^30).
    Plain,
    /// Also as 2n+1 (Ruby, OCaml), 2n or 4n+2 (Lisps), the low 30 bits (CPython from 2^30 on), or
    /// a double (Lua, JavaScript).
    AnyLanguage,
}

/// Sets whose numbers are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Their numbers.
    pub sets: Vec<SemId>,
    /// Their owner made them, in whatever language, perhaps in one that moves its objects about:
    /// who may hold them is read a second time, in reverse order.
    pub made_by_owner: bool,
}

/// What is asked of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which of [`Request::doubts`].
    pub doubt: usize,
    /// How it may keep their numbers.
    pub words: Words,
}

/// A process in question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its number.
    pub pid: Pid,
    /// What is asked of it.
    pub asks: Vec<Ask>,
}

/// What the reading of memory may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All of it.
    pub time: Duration,
    /// Of memory and shared memory, not counting the kernel's page tables.
    pub bytes: u64,
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The sets in doubt.
    pub doubts: Vec<Doubt>,
    /// The processes in question, in the order in which they are to be read.
    pub suspects: Vec<Suspect>,
    /// When to give up.
    pub budget: Budget,
    /// Read each process in full, though everything asked of it is known of others already.
    pub thorough: bool,
}

/// What was read of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its number.
    pub pid: Pid,
    /// The sets asked of it whose numbers stand in its memory, in order; also where it was not read
    /// in full.
    pub holds: Vec<SemId>,
    /// How much of it was read.
    pub extent: Extent,
}

/// How much of a process was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that may hold a number.
    Full,
    /// It has no memory any more: it has ended, or its number is another process's by now.
    Gone,
    /// No more of it than it took until each set asked of it was known to some process.
    Enough,
    /// Not all: a set asked of it that it was not found to hold may be known to it.
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
    /// The kernel or a security module refuses a file of it.
    Refused(ProcFile, Errno),
    /// Pages of it cannot be read.
    Unreadable(Errno),
    /// It lives, and shows no memory, in no thread.
    NoMemory,
    /// Its mappings, or its program, changed faster than they could be read.
    Restless,
    /// Nothing but this: shared memory that it has mapped and does not use just now can be seen with
    /// `CAP_SYS_ADMIN` in the first user namespace only, and while its first thread lives. No doubt
    /// for a set that root made: APR keeps numbers in private memory.
    SharedUnseen,
    /// Its reader was held up by a page or a lock of it (userfaultfd(2), FUSE, NFS).
    HeldUp,
    /// Time or bytes were spent.
    Budget,
    /// No reader could be started.
    NoReader(Errno),
    /// The reader died, or did not answer as it should.
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
    /// What comes after "its memory was not read in full: ".
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
