//! What changes something: removing a set, trials, the report's file. Imports facts, decide and look.

pub mod lock;
pub mod numbering;
pub mod output;
pub mod pthread;
pub mod reap;
pub mod resources;
pub mod signals;
pub mod state;
pub mod sysv;
pub mod trial;
