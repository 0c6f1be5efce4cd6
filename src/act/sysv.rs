//! The System V semaphore calls that change something: one typed function per semctl(2) command.
//! One of three files with unsafe code (with pthread.rs and look/sysv.rs); it decides nothing.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Uid};

use crate::facts::set::SemId;

/// Removes the set (`IPC_RMID`): immediately, for everyone, irreversibly.
///
/// # Errors
/// `EINVAL`, `EIDRM`: it was already gone; `EPERM`: neither owner nor creator nor `CAP_SYS_ADMIN`.
pub fn remove(id: SemId) -> nix::Result<()> {
    // SAFETY: IPC_RMID takes no fourth argument and touches no memory of ours.
    Errno::result(unsafe { libc::semctl(id.0, 0, libc::IPC_RMID) }).map(drop)
}

/// Makes a set of one semaphore, mode 0600, with `key`, which must not be in use (semget(2) with
/// `IPC_CREAT|IPC_EXCL`).
///
/// # Errors
/// `EEXIST`: the key is in use; `EINVAL`: SEMMSL is 0; `ENOSPC`: SEMMNS or SEMMNI is reached;
/// `ENOMEM`; `ENOSYS`: no `CONFIG_SYSVIPC`; `EPERM`, `EACCES`: seccomp or an LSM.
pub fn create(key: i32) -> nix::Result<SemId> {
    // SAFETY: semget takes three integers and touches no memory of ours.
    let id = unsafe { libc::semget(key, 1, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    Errno::result(id).map(SemId)
}

/// Sets the first semaphore to `value` (`SETVAL`).
///
/// # Errors
/// As [`last_pid`](crate::look::sysv::last_pid); `ERANGE`: above SEMVMX.
pub fn set_value(id: SemId, value: i32) -> nix::Result<()> {
    // SAFETY: the fourth argument of SETVAL is the integer member of `union semun`, passed by
    // value; no memory of ours is touched.
    Errno::result(unsafe { libc::semctl(id.0, 0, libc::SETVAL, value) }).map(drop)
}

/// Takes the first semaphore and releases it, each with `SEM_UNDO`, as APR locks and unlocks
/// (locks/unix/proc_mutex.c, `proc_mutex_sysv_acquire`). Does not wait.
///
/// # Errors
/// `E2BIG`: SEMOPM is 0; `ENOMEM`, `ENOSPC`: no memory for the undo entry; `EAGAIN`: it is locked;
/// `EPERM`, `EACCES`, `ENOSYS`: seccomp or an LSM.
pub fn lock_and_unlock(id: SemId) -> nix::Result<()> {
    for by in [-1, 1] {
        let flags = (libc::SEM_UNDO | libc::IPC_NOWAIT) as i16;
        let mut operation = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: flags };
        // SAFETY: semop reads one `struct sembuf`, which lives until the call returns.
        Errno::result(unsafe { libc::semop(id.0, std::ptr::from_mut(&mut operation), 1) })?;
    }
    Ok(())
}

/// Gives the set to `uid` and `gid`, mode 0600 (`IPC_SET`), as httpd does (httpd os/unix/unixd.c,
/// `unixd_set_proc_mutex_perms`).
///
/// # Errors
/// As [`last_pid`](crate::look::sysv::last_pid); `EPERM`: neither owner nor creator nor `CAP_SYS_ADMIN`.
pub fn chown(id: SemId, uid: Uid, gid: Gid) -> nix::Result<()> {
    let mut ds = MaybeUninit::<libc::semid_ds>::zeroed();
    // SAFETY: `semid_ds` is plain integers, for which zero is valid.
    let ds = unsafe { ds.assume_init_mut() };
    ds.sem_perm.uid = uid.as_raw();
    ds.sem_perm.gid = gid.as_raw();
    ds.sem_perm.mode = 0o600;
    // SAFETY: IPC_SET reads uid, gid and mode of the `struct semid_ds` through the fourth argument,
    // which lives until the call returns.
    Errno::result(unsafe { libc::semctl(id.0, 0, libc::IPC_SET, std::ptr::from_mut(ds)) }).map(drop)
}
