//! The reports in every format: their wording, and that the formats never contradict each other.

mod agree;
#[path = "../common/mod.rs"]
mod common;
mod golden;
mod real;
mod samples;
mod schema;
mod width;
