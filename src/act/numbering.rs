//! Moves the kernel's numbering of sets on, past the numbers that stand everywhere. Touches the kernel.
//!
//! A set is judged by whether its number stands in somebody's memory. The first numbers that a kernel
//! gives are ordinary small integers, and stand in every process; so that the sets of the httpd that
//! starts next can be told one day, they get larger ones.

use std::fs;

use crate::act::{signals, sysv};
use crate::facts::capacity::Capacity;
use crate::facts::event::Event;
use crate::facts::need::Need;
use crate::facts::set::{SemId, TELLING};
use crate::facts::trial::KEY;

/// The most sets that are made for it in one run: a few hundredths of a second.
const MOST_MADE: u32 = 10_000;

/// Makes and removes a set of the guard's own until the kernel gives a number from [`TELLING`] on,
/// where httpd needs sets and there is room for two: it may be starting beside.
///
/// A number is a sequence number and an index (ipc/util.c, `ipc_idr_alloc`). Before Linux 5.2 the
/// sequence goes on with each set; from then on when the indices, which are given in a cycle of at least
/// 64 (4,096 with `ipcmni_extend`), begin anew.
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

/// The number that a set got; none: it could not be made, or not be removed.
fn make_and_remove() -> Option<SemId> {
    let id = sysv::create(KEY).ok()?;
    sysv::remove(id).ok().map(|()| id)
}

/// Whether somebody has told the kernel which number comes next: who restores a checkpoint wants just
/// that one (sysctl kernel.sem_next_id).
fn is_fixed() -> bool {
    let next = fs::read_to_string("/proc/sys/kernel/sem_next_id");
    next.is_ok_and(|next| next.trim() != "-1")
}
