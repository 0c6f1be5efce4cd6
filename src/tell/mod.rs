//! One report, and every format it is written in. Touches a writer; imports facts and decide.

pub mod explain;
pub mod json;
pub mod list;
pub mod log;
pub mod logging;
pub mod nagios;
pub mod prometheus;
pub mod report;
pub mod screen;
pub mod text;
pub mod words;
