//! The checks of tests/checks for the fuzz targets: `cargo test` runs the same ones, without
//! nightly Rust. `make fuzz` runs the targets.

#[path = "../../tests/checks/mod.rs"]
mod checks;

pub use checks::*;
