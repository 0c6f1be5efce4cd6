//! The hard cases of the first promise, on a real kernel and mostly with a real httpd. Each is a test
//! of its own that knows which sets running processes may use. `make hard` runs them and prints one
//! table: sets in use and orphaned sets before, removed, kept, and wrong.

#[path = "../common/mod.rs"]
mod common;

mod server;
mod table;

mod clock;
mod healthy;
mod knowers;
mod others;
mod sight;
mod starting;

/// Room for everything.
const ROOMY: &str = "250 32000 32 1024";
