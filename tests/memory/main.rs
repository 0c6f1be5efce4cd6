//! Reading the memory of real processes: where a number is found, what is reported as unread, and that
//! reading changes nothing. No semaphores are created here: any number will do.

#[path = "../common/mod.rs"]
mod common;

mod cost;
mod holder;
mod limits;
mod places;
mod restless;
mod sight;
