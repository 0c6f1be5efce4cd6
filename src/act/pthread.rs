//! A process-shared pthread mutex, made as APR makes it. One of three files with unsafe code
//! (with the two sysv.rs); it decides nothing.
#![allow(unsafe_code)]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use nix::errno::Errno;
use nix::libc::{self, c_int};

/// Makes a mutex in a page of `zero` (/dev/zero) and removes it: process-shared, robust, with priority
/// inheritance (apr locks/unix/proc_mutex.c, `proc_mutex_pthread_create`).
///
/// # Errors
/// `ENODEV`: the file cannot be mapped; `ENOTSUP` (`EOPNOTSUPP`): the kernel does not support futexes
/// with priority inheritance; `ENOSYS`; `ENOMEM`.
pub fn make_and_remove(zero: &File) -> nix::Result<()> {
    let page = Page::of(zero)?;
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    let mutex: *mut libc::pthread_mutex_t = page.0.as_ptr().cast();
    // SAFETY: `attributes` and `mutex` point to memory of their size that lives until the end of this
    // function, the mutex in a page of its own and so aligned. Each is used only after it was
    // initialised, in the order that pthread_mutexattr_init(3) and pthread_mutex_init(3) require.
    unsafe {
        done(libc::pthread_mutexattr_init(attributes))?;
        let made =
            done(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED))
                .and_then(|()| {
                    done(libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST))
                })
                .and_then(|()| {
                    done(libc::pthread_mutexattr_setprotocol(
                        attributes,
                        libc::PTHREAD_PRIO_INHERIT,
                    ))
                })
                .and_then(|()| done(libc::pthread_mutex_init(mutex, attributes)));
        libc::pthread_mutexattr_destroy(attributes);
        made?;
        libc::pthread_mutex_destroy(mutex);
    }
    Ok(())
}

/// Converts the return value of a pthread function: 0 or an error.
fn done(returned: c_int) -> nix::Result<()> {
    if returned == 0 { Ok(()) } else { Err(Errno::from_raw(returned)) }
}

/// A page that stays mapped shared until it is dropped.
struct Page(NonNull<libc::c_void>);

/// At least the size of any pthread mutex; the kernel maps whole pages.
const BYTES: usize = 4096;

impl Page {
    fn of(file: &File) -> nix::Result<Page> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; no memory of ours is touched.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), BYTES, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match NonNull::new(page) {
            Some(page) if page.as_ptr() != libc::MAP_FAILED => Ok(Page(page)),
            _ => Err(Errno::last()),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this address and size, and no pointer into it is left.
        unsafe { libc::munmap(self.0.as_ptr(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(path: &str) -> File {
        File::options().read(true).write(true).open(path).expect("opened")
    }

    #[test]
    fn one_can_be_made_in_dev_zero_again_and_again() {
        for _ in 0..3 {
            assert_eq!(make_and_remove(&opened("/dev/zero")), Ok(()));
        }
    }

    #[test]
    fn a_failure_to_map_is_reported() {
        // It opens as /dev/zero does.
        assert_eq!(make_and_remove(&opened("/dev/null")), Err(Errno::ENODEV));
    }
}
