//! One guard at a time. Touches the lock file.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

use crate::facts::error::errno;
use crate::facts::event::{Event, LOCK_FILE};
use crate::look::clock::nap;

/// How long a guard waits for another to finish.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock, which ends with the process however that ends (flock(2)). If it cannot be taken, the
/// run goes on without it, and the event says so.
#[must_use]
pub fn take() -> Option<Event> {
    let failed = try_to().err()?;
    Some(Event::WithoutLock(errno(&failed)))
}

/// Refuses a symbolic link, and never blocks on opening a pipe.
fn try_to() -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(LOCK_FILE)?;
    let began = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                // Never released: nix's Flock would panic if the kernel refused the unlock.
                std::mem::forget(lock);
                return Ok(());
            }
            Err((f, Errno::EWOULDBLOCK | Errno::EINTR)) if began.elapsed() < PATIENCE => {
                file = f;
                nap(Duration::from_millis(20));
            }
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}
