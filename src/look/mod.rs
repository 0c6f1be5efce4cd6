//! What is there: the kernel, /proc, users, httpd's own answers. Reads only; imports only facts.

pub mod clock;
mod file;
pub mod generation;
pub mod httpd;
pub mod memory;
pub mod namespace;
pub mod pid_file;
pub mod processes;
pub mod settings;
pub mod site;
pub mod state;
mod sysctl;
pub mod sysv;
pub mod table;
mod unit;
pub mod users;
