//! What is there: the kernel, /proc, users, httpd's own answers. Reads only; imports facts.

pub mod clock;
pub mod httpd;
pub mod memory;
pub mod processes;
pub mod survey;
pub mod sysv;
pub mod users;
