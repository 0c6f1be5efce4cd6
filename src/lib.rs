//! httpd-semguard: what a dead Apache httpd left in the System V semaphore table, removed before
//! the next httpd starts; and whether that one will find room for its locks.
//!
//! One way through: [`cli`] → [`guard`] → [`survey`] (by [`sysv`] and [`processes`]) →
//! [`verdict`] → [`reap`] → [`capacity`] → [`trial`] and [`resources`] → [`forecast`] → [`report`],
//! with what [`httpd`] says of itself as the need. Only `sysv` holds unsafe code; `verdict`,
//! `capacity`, `httpd::dump`, `httpd::demand`, `forecast` and `message` are pure.

pub mod capacity;
pub mod cli;
pub mod clock;
pub mod error;
pub mod forecast;
pub mod guard;
pub mod httpd;
pub mod logging;
pub mod message;
pub mod output;
pub mod printable;
pub mod processes;
pub mod reap;
pub mod report;
pub mod resources;
pub mod signals;
pub mod survey;
pub mod sysv;
pub mod trial;
pub mod users;
pub mod verdict;
