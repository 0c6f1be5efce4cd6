//! Moves the kernel's semid numbering on, past numbers that occur everywhere. Touches the kernel.
//!
//! A set is judged by whether its semid occurs in the memory of some process. The first semids that a
//! kernel assigns are ordinary small integers, which occur in every process. So that the sets of the
//! next httpd can be judged one day, they are given larger semids.

use std::fs;

use crate::act::{signals, sysv};
use crate::facts::capacity::Capacity;
use crate::facts::event::Event;
use crate::facts::need::Need;
use crate::facts::set::{SemId, TELLING};
use crate::facts::trial::KEY;

/// The most sets that are made for this in one run: a few hundredths of a second.
const MOST_MADE: u32 = 10_000;

/// Makes and removes a set of the guard's own until the kernel assigns a semid from [`TELLING`] on.
/// Does so only if httpd needs sets and there is room for two, because an httpd may be starting at the
/// same time.
///
/// A semid consists of a sequence number and an index (ipc/util.c, `ipc_idr_alloc`). Before Linux 5.2
/// the sequence number advances with each set. Since then it advances when the indices, which are
/// assigned in a cycle of at least 64 (4,096 with `ipcmni_extend`), start again from the beginning.
#[must_use]
pub fn move_on(need: &Need, left: &Capacity) -> Option<Event> {
    if need.at_most == 0 || left.room().sets < 2 || is_fixed() {
        return None;
    }
    let mut first = None;
    for made in 1..=MOST_MADE {
        let number = signals::held(make_and_remove)?;
        let first = *first.get_or_insert(number);
        if number.0 >= TELLING {
            return (made > 1).then_some(Event::NumberingMovedOn(first, number));
        }
    }
    None
}

/// The semid that a set got; `None` if it could not be made or removed.
fn make_and_remove() -> Option<SemId> {
    let id = sysv::create(KEY).ok()?;
    sysv::remove(id).ok().map(|()| id)
}

/// Whether the kernel was told which semid comes next: a process that restores a checkpoint needs
/// exactly that one (sysctl kernel.sem_next_id).
fn is_fixed() -> bool {
    let next = fs::read_to_string("/proc/sys/kernel/sem_next_id");
    next.is_ok_and(|next| next.trim() != "-1")
}
