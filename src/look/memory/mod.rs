//! Searches the memory of processes for semids: conservative garbage collection. A private set can be
//! used only by its semid, and a set whose semid is nowhere in the memory of a running process is in use
//! by none (docs/architecture.md). Touches /proc; decides nothing about sets.
//!
//! *What is read* (`pages`): in private mappings, the pages that are not part of a file, present or
//! swapped, whatever their protection; in shared mappings of memory, everything that exists; in shared
//! mappings of files on disks, the pages that are mapped. No device memory, and nothing that would come
//! into existence by being read.
//!
//! *By whom*: by a separate process ([`read`] starts it, [`serve_if_asked`] is what it does), because
//! reading may block for ever (a page of userfaultfd(2), FUSE or a dead NFS server), and because that
//! process sees secrets: it cannot be traced or dumped, wipes its buffer, and answers only with PIDs and
//! semids.
//!
//! *What was forked meanwhile* is up to the caller: list the processes again after the answer, and ask
//! about new ones, identified by PID and start time; a few times at most.

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

/// The first argument of the program if it is to read memory.
const ARGUMENT: &str = "__read-memory";

/// Acts as the reader if these are its arguments. Must be called before anything else.
#[must_use]
pub fn serve_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let asked = args.into_iter().skip(1).eq([OsString::from(ARGUMENT)]);
    asked.then(reader::serve)
}
