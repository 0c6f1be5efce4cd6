//! Reads the memory of processes for sets' numbers: conservative garbage collection. A private set
//! can be used by its number only, and what stands nowhere in the memory of a living process is
//! nobody's (docs/architecture.md). Touches /proc; decides nothing about sets.
//!
//! *What is read* (`pages`): of private mappings the pages that are in no file, present or swapped,
//! whatever their protection; of shared mappings of memory all that exists, of those of files on
//! disks the pages that are mapped. No device memory, and nothing that comes to exist by being read.
//!
//! *By whom*: a process of its own ([`read`] starts it, [`serve_if_asked`] is what it does), because
//! reading may block for ever (a page of userfaultfd(2), FUSE or a dead NFS server), and because it
//! sees what is secret: it cannot be traced or dumped, wipes its buffer, and answers with numbers of
//! processes and sets only.
//!
//! *What was forked meanwhile* is the caller's: list the processes again after the answer, and ask
//! for those that are new, told by number and start time; a few times at most.

mod ask;
mod covered;
mod frames;
mod pages;
mod parse;
mod reader;
mod scan;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

pub use ask::{THIS_PROGRAM, read};

/// The first argument of a program that is to read memory.
const ARGUMENT: &str = "__read-memory";

/// Does what the reader does, if these are its arguments: to be called before anything else.
#[must_use]
pub fn serve_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let asked = args.into_iter().skip(1).eq([OsString::from(ARGUMENT)]);
    asked.then(reader::serve)
}
