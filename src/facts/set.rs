//! A semaphore set, as reported by the kernel.

use std::fmt;

use nix::unistd::{Gid, Uid};

use crate::facts::time::WallTime;

/// The identifier of one semaphore set (semid), as returned by semget(2). Zero is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SemId(pub i32);

impl fmt::Display for SemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Semids from here on are significant: few of them occur in a process by coincidence. This is 19 steps
/// of the kernel's sequence number; between the powers of two, hardly any such number occurs in the
/// memory of a plain httpd (docs/architecture.md has the figures).
pub const TELLING: i32 = 19 << 15;

/// What the kernel reports about a set without any permission (`struct semid_ds`, semctl(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemSet {
    /// Its semid.
    pub id: SemId,
    /// The key it was made with; 0 is `IPC_PRIVATE`.
    pub key: i32,
    /// Number of semaphores in it.
    pub nsems: u64,
    /// Permission bits (the low nine).
    pub mode: u32,
    /// Owner (`IPC_SET` can change it).
    pub uid: Uid,
    /// Owner's group.
    pub gid: Gid,
    /// Creator; never changes.
    pub cuid: Uid,
    /// Creator's group; never changes.
    pub cgid: Gid,
    /// Last change: creation, `SETVAL`, `SETALL` or `IPC_SET`.
    pub ctime: WallTime,
    /// Last semop(2), or exit of a process with an undo entry; `None` if never.
    pub otime: Option<WallTime>,
}

/// Which program seems to have made a set, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Maker {
    /// httpd, or a program that makes sets the same way.
    Httpd,
    /// The same, but the set belongs to root: an httpd module left it to root, or another of root's
    /// programs made it.
    HttpdOrRoot,
    /// PHP's `sem_get()`.
    Php,
    /// PostgreSQL.
    Postgres,
    /// Another program.
    Other,
}
