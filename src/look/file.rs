//! Opens files that somebody else may have put in place. Touches what it is given; reads only.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Opens a regular file for reading, with these further flags of open(2); `None` if it is anything else.
/// Never waits for a pipe's writer, since the start of httpd would wait as well.
///
/// # Errors
/// Those of open(2) and fstat(2).
pub(super) fn regular(path: &Path, flags: libc::c_int) -> io::Result<Option<(File, Metadata)>> {
    let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    Ok(meta.is_file().then_some((file, meta)))
}
