//! What the reports say, in every format: their wording, and that no format denies another.

mod agree;
#[path = "../common/mod.rs"]
mod common;
mod golden;
mod real;
mod samples;
mod schema;
mod width;
