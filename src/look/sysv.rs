//! The System V semaphore calls that only read: one typed function per semctl(2) command. One
//! of three files with unsafe code (with act/sysv.rs and act/pthread.rs); it decides nothing.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::unistd::{Gid, Uid};

use crate::facts::capacity::{Limits, Usage};
use crate::facts::set::{SemId, SemSet};
use crate::facts::time::WallTime;

/// `IPC_INFO` from linux/ipc.h; the libc crate does not export it for Linux.
const IPC_INFO: c_int = 3;

fn seminfo(cmd: c_int) -> nix::Result<(libc::seminfo, i32)> {
    let mut info = MaybeUninit::<libc::seminfo>::zeroed();
    // SAFETY: IPC_INFO and SEM_INFO fill a `struct seminfo` through the fourth argument, which is valid
    // for writing; semid and semnum are ignored (ipc/sem.c, semctl_info).
    let highest = Errno::result(unsafe { libc::semctl(0, 0, cmd, info.as_mut_ptr()) })?;
    // SAFETY: zeroed integers are a valid `struct seminfo`, whatever part the kernel wrote.
    Ok((unsafe { info.assume_init() }, highest))
}

/// The limits of this namespace.
///
/// # Errors
/// `ENOSYS`: a kernel without `CONFIG_SYSVIPC` ([`built_in`]), or a filter that returns it; others come
/// from seccomp or an LSM.
pub fn limits() -> nix::Result<Limits> {
    let (info, _) = seminfo(IPC_INFO)?;
    Ok(Limits {
        semmsl: info.semmsl.into(),
        semmns: info.semmns.into(),
        semopm: info.semopm.into(),
        semmni: info.semmni.into(),
    })
}

/// What is in use in this namespace.
///
/// # Errors
/// As [`limits`].
pub fn usage() -> nix::Result<Usage> {
    let (info, _) = seminfo(libc::SEM_INFO)?;
    Ok(Usage { sets: info.semusz.into(), semaphores: info.semaem.into() })
}

/// semctl(2) with a `struct semid_ds` to be filled in. Where the system call takes exactly what the
/// library function takes, it is called directly: glibc 2.25 to 2.32 does not know `SEM_STAT_ANY` and
/// passes a null pointer, to which the kernel answers `EFAULT` (glibc bug 26637).
///
/// # Safety
/// `ds` is valid for writing a `struct semid_ds`.
unsafe fn semctl_stat(number: c_int, cmd: c_int, ds: *mut libc::semid_ds) -> c_int {
    #[cfg(all(
        target_pointer_width = "64",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    // SAFETY: as for this function. Both architectures have semctl as a system call of its own
    // (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h), which fills the
    // 64-bit `struct semid64_ds`; libc's `semid_ds` has the same layout. Its result is an int.
    return unsafe { libc::syscall(libc::SYS_semctl, number, 0, cmd, ds) as c_int };
    #[allow(unreachable_code)]
    // SAFETY: as for this function.
    unsafe {
        libc::semctl(number, 0, cmd, ds)
    }
}

/// A semctl whose fourth argument is a `struct semid_ds` to be filled in; returns semctl's result.
fn stat(number: c_int, cmd: c_int) -> nix::Result<(i32, libc::semid_ds)> {
    let mut ds = MaybeUninit::<libc::semid_ds>::zeroed();
    // SAFETY: IPC_STAT, SEM_STAT and SEM_STAT_ANY fill a `struct semid_ds` through the fourth argument,
    // which is valid for writing (ipc/sem.c, semctl_stat).
    let id = Errno::result(unsafe { semctl_stat(number, cmd, ds.as_mut_ptr()) })?;
    // SAFETY: the call succeeded and so filled it in; zeroed integers would be valid too.
    Ok((id, unsafe { ds.assume_init() }))
}

// The widths of these fields differ between architectures, but are never narrower than here.
#[allow(clippy::useless_conversion)]
fn set_of(id: SemId, ds: &libc::semid_ds) -> SemSet {
    SemSet {
        id,
        key: ds.sem_perm.__key,
        nsems: ds.sem_nsems.into(),
        mode: u32::from(ds.sem_perm.mode) & 0o777,
        uid: Uid::from_raw(ds.sem_perm.uid),
        gid: Gid::from_raw(ds.sem_perm.gid),
        cuid: Uid::from_raw(ds.sem_perm.cuid),
        cgid: Gid::from_raw(ds.sem_perm.cgid),
        ctime: WallTime(ds.sem_ctime.into()),
        otime: (ds.sem_otime != 0).then_some(WallTime(ds.sem_otime.into())),
    }
}

/// Shows each set of this namespace to `see`, by index, and returns how many could not be read. Linear
/// on every kernel; /proc/sysvipc/sem is quadratic before 5.15 and missing under `ProcSubset=pid`. Sets
/// that vanish meanwhile are left out; a set may show up twice.
///
/// If `SEM_STAT_ANY` does not work (a kernel before 4.17, an old C library, a system call filter),
/// `SEM_STAT` is used instead, which shows only what the caller may read.
///
/// # Errors
/// As [`limits`]; also any error that a security module returns for `SEM_STAT`.
pub fn each(mut see: impl FnMut(SemSet)) -> nix::Result<usize> {
    let (info, highest) = seminfo(libc::SEM_INFO)?;
    let mut command = libc::SEM_STAT_ANY;
    let (mut index, mut seen, mut unreadable) = (0, false, 0);
    // The highest index is itself in use: 0..=highest.
    while index <= highest {
        match stat(index, command) {
            Ok((id, ds)) => {
                seen = true;
                see(set_of(SemId(id), &ds));
            }
            Err(Errno::EINVAL | Errno::EIDRM) => {}
            Err(_) if command == libc::SEM_STAT_ANY => {
                command = libc::SEM_STAT;
                continue;
            }
            Err(Errno::EACCES) => unreadable += 1,
            Err(e) => return Err(e),
        }
        index += 1;
        // A kernel that does not know SEM_STAT_ANY returns EINVAL for every index.
        if index > highest && !seen && info.semusz > 0 && command == libc::SEM_STAT_ANY {
            (command, index) = (libc::SEM_STAT, 0);
        }
    }
    Ok(unreadable)
}

/// Whether the kernel has System V semaphores at all (`CONFIG_SYSVIPC`). Without them every command
/// returns `ENOSYS`; if only a single command does, a filter refused it.
#[must_use]
pub fn built_in() -> bool {
    // SAFETY: semget takes three integers and touches no memory of ours; a set with no semaphores
    // cannot be made (ipc/sem.c, newary: EINVAL).
    let make_nothing = || Errno::result(unsafe { libc::semget(libc::IPC_PRIVATE, 0, 0) });
    stat(-1, libc::IPC_STAT).err() != Some(Errno::ENOSYS)
        || make_nothing().err() != Some(Errno::ENOSYS)
}

/// One set, by its semid (`IPC_STAT`).
///
/// # Errors
/// `EINVAL`, `EIDRM`: it is gone; `EACCES`: not readable by this caller.
pub fn set(id: SemId) -> nix::Result<SemSet> {
    stat(id.0, libc::IPC_STAT).map(|(_, ds)| set_of(id, &ds))
}

fn plain(id: SemId, cmd: c_int) -> nix::Result<i32> {
    // SAFETY: GETPID, GETVAL, GETNCNT and GETZCNT take no fourth argument and touch no memory of ours;
    // semaphore number 0 exists in every set, or the kernel returns EINVAL.
    Errno::result(unsafe { libc::semctl(id.0, 0, cmd) })
}

/// The process that last changed the set's first semaphore (`GETPID`), by semop(2), `SETVAL`, `SETALL`
/// or an undo at exit; running or not. 0: none yet, or one that this PID namespace cannot see.
///
/// # Errors
/// `EINVAL`, `EIDRM`: gone; `EACCES`: neither owner nor creator nor `CAP_IPC_OWNER`.
pub fn last_pid(id: SemId) -> nix::Result<i32> {
    plain(id, libc::GETPID)
}

/// The value of the set's first semaphore (`GETVAL`).
///
/// # Errors
/// As [`last_pid`].
pub fn value(id: SemId) -> nix::Result<i32> {
    plain(id, libc::GETVAL)
}

/// Threads waiting for the first semaphore to increase, and to become zero (`GETNCNT`, `GETZCNT`).
///
/// # Errors
/// As [`last_pid`].
pub fn waiters(id: SemId) -> nix::Result<(i32, i32)> {
    Ok((plain(id, libc::GETNCNT)?, plain(id, libc::GETZCNT)?))
}
