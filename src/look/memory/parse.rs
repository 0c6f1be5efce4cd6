//! Parses what the kernel prints about the memory of a process. Pure.

use std::collections::HashSet;
use std::io::{self, BufRead};
use std::ops::Range;

/// `PF_KTHREAD` and `PF_FORKNOEXEC` (linux/sched.h), flags of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;
const PF_FORKNOEXEC: u64 = 0x0000_0040;

/// What is mapped: the properties that do not change when a mapping is split, merged or protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Object {
    /// `MAP_SHARED`.
    pub shared: bool,
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// Inode of the file; 0 is private anonymous memory.
    pub inode: u64,
    /// Offset in the file minus the address, wrapping; 0 without a file.
    pub shift: u64,
}

/// One line of /proc/PID/maps (fs/proc/task_mmu.c, `show_map_vma`), with additions from smaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// What is mapped.
    pub object: Object,
    /// A page of the kernel that is not memory of the process.
    pub special: bool,
    /// smaps: device memory (`VM_IO` or `VM_PFNMAP`).
    pub device_memory: bool,
    /// smaps: nothing of it is present or swapped.
    pub empty: bool,
}

impl Mapping {
    /// The offset of an address in the file.
    pub(super) fn offset(&self, address: u64) -> u64 {
        address.wrapping_add(self.object.shift)
    }
}

fn hex(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// A line of maps, which is also the first line of a mapping in smaps. The name does not determine what
/// is memory, except for the kernel's own pages, whose names no process can use.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut words = line.splitn(6, |b| *b == b' ');
    let addresses = words.next()?;
    let dash = addresses.iter().position(|b| *b == b'-')?;
    let range = hex(&addresses[..dash])?..hex(&addresses[dash + 1..])?;
    let shared = words.next()?.get(3)? == &b's';
    let offset = hex(words.next()?)?;
    let device = words.next()?;
    let colon = device.iter().position(|b| *b == b':')?;
    let device = (hex(&device[..colon])?, hex(&device[colon + 1..])?);
    let inode = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let name = words.next().unwrap_or_default().trim_ascii();
    if range.is_empty() {
        return None;
    }
    let special = inode == 0 && (name.starts_with(b"[vvar") || name == b"[vsyscall]");
    let shift = if inode == 0 && !shared { 0 } else { offset.wrapping_sub(range.start) };
    let device = (u32::try_from(device.0).ok()?, u32::try_from(device.1).ok()?);
    let object = Object { shared, device, inode, shift };
    Some(Mapping { range, object, special, device_memory: false, empty: false })
}

/// What the lines of one mapping in smaps have shown so far.
#[derive(Default)]
struct Extra {
    resident: Option<u64>,
    swapped: Option<u64>,
    huge: bool,
}

/// Reads maps or smaps; `None` if a line has another format.
///
/// # Errors
/// Those of the reader.
pub(super) fn mappings(mut file: impl BufRead) -> io::Result<Option<Vec<Mapping>>> {
    let mut all: Vec<Mapping> = Vec::new();
    let (mut line, mut extra) = (Vec::new(), Extra::default());
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            return Ok(Some(all));
        }
        let first = line.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        let Some(key) = first.strip_suffix(b":") else {
            let Some(mapping) = mapping(line.trim_ascii_end()) else { return Ok(None) };
            all.push(mapping);
            extra = Extra::default();
            continue;
        };
        let Some(last) = all.last_mut() else { return Ok(None) };
        let rest = String::from_utf8_lossy(&line[first.len()..]);
        let mut words = rest.split_ascii_whitespace();
        match key {
            b"Rss" => extra.resident = words.next().and_then(|w| w.parse().ok()),
            b"Swap" => extra.swapped = words.next().and_then(|w| w.parse().ok()),
            b"VmFlags" => {
                for flag in words {
                    last.device_memory |= matches!(flag, "io" | "pf");
                    extra.huge |= flag == "ht";
                }
                // The pages of hugetlbfs are not counted in Rss.
                last.empty = !extra.huge && (extra.resident, extra.swapped) == (Some(0), Some(0));
            }
            _ => {}
        }
    }
}

/// A mapping of private memory above this size is first looked up in smaps, which shows whether any of it
/// is used: some programs reserve terabytes (sanitizers, garbage collectors).
const LARGE: u64 = 256 << 20;

/// Whether only smaps can show what these mappings are. `known`: those already found to be memory.
pub(super) fn needs_smaps(all: &[Mapping], known: &HashSet<Object>) -> bool {
    all.iter().filter(|m| !m.special).any(|m| {
        let unknown = m.object.inode != 0 && !known.contains(&place(&m.object, &m.range));
        unknown || m.range.end - m.range.start > LARGE
    })
}

/// What is mapped of a file, regardless of the address, which is random.
pub(super) fn place(object: &Object, range: &Range<u64>) -> Object {
    Object { shift: object.shift.wrapping_add(range.start), ..*object }
}

/// One entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub u64);

impl Entry {
    fn present(self) -> bool {
        self.0 >> 63 & 1 == 1
    }

    /// In swap, or being moved to another frame, or a marker of the kernel.
    fn swapped(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    /// A page of a file, or of shared memory.
    fn of_file(self) -> bool {
        self.0 >> 61 & 1 == 1
    }

    /// A guard region (madvise(2), `MADV_GUARD_INSTALL`), which is not a page. Before 6.15, its bit has
    /// another meaning: up to Linux 4.2, bits 55 to 60 are the page size, 12 or 16, and never 8.
    fn guard(self) -> bool {
        self.swapped() && !self.present() && self.0 >> 55 & 0x3f == 0b00_1000
    }

    /// For a page of a private mapping: whether it may contain data that is not in a file.
    pub(super) fn private(self) -> bool {
        self.present() && !self.of_file() || self.swapped() && !self.guard()
    }

    /// For a page of a shared mapping: whether it can be read without allocating anything.
    pub(super) fn mapped(self) -> bool {
        self.present() || self.swapped() && !self.guard()
    }

    /// The number of its physical page, if it is present and the number is visible (otherwise 0). Bits 55
    /// to 60 are not part of it.
    pub(super) fn frame(self) -> Option<u64> {
        let frame = self.0 & ((1 << 55) - 1);
        (self.present() && frame != 0).then_some(frame)
    }
}

/// The contents of /proc/PID/stat, or of that of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// It is a zombie, or dead.
    pub ended: bool,
    /// It has no memory of its own.
    pub kernel_thread: bool,
    /// It has not executed another program since it was forked.
    pub forked_only: bool,
    /// Its start, in ticks since boot.
    pub start: u64,
}

/// Parses the fields after the name, which may contain any byte.
pub(super) fn stat(line: &[u8]) -> Option<Stat> {
    let behind = line.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(&line[behind..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    // Fields 9 and 22 of proc_pid_stat(5); the state is field 3.
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    let start = fields.nth(12)?.parse().ok()?;
    Some(Stat {
        ended: matches!(state, "Z" | "X" | "x"),
        kernel_thread: flags & PF_KTHREAD != 0,
        forked_only: flags & PF_FORKNOEXEC != 0,
        start,
    })
}
