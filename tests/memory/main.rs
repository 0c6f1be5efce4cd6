//! The room that reads memory, on real processes: where a number is found, what is called unread,
//! and that nothing is changed by the reading. No semaphore is made here: a number is a number.

#[path = "../common/mod.rs"]
mod common;

mod cost;
mod holder;
mod limits;
mod places;
mod restless;
mod sight;
