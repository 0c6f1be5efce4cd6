//! Makes the checks in tests/checks available to the fuzz targets, which `make fuzz` runs. `cargo test`
//! runs the same checks without nightly Rust.

#[path = "../../tests/checks/mod.rs"]
mod checks;

pub use checks::*;
