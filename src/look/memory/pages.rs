//! Reads what exists of one mapping of a process, in such a way that nothing comes into existence.
//! Touches /proc/PID/mem, pagemap and map_files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::statfs::{HUGETLBFS_MAGIC, TMPFS_MAGIC, statfs};
use nix::unistd::{Whence, lseek};

use super::covered::Covered;
use super::frames::{Place, entries};
use super::parse::{Entry, Mapping, place};
use super::reader::{Halt, Job, Reader};
use super::scan::Hit;
use super::view::{View, errno};
use crate::facts::memory::{Extent, Gap, ProcFile, Words};

/// The result of reading a shared mapping through its file.
enum Shared {
    /// Everything that is mapped was read.
    Read,
    /// It is on a disk, or not a file in memory: the pages that the process has mapped count.
    Elsewhere,
    /// It may be in memory, but cannot be read.
    Unseen,
    /// It does not match the mapping, which no longer exists.
    Changed,
}

/// A run of adjacent pages: the position of the first one in pagemap, and the frame of each, if known.
struct Run {
    page: u64,
    frames: Vec<Option<u64>>,
}

impl<W: Write> Reader<'_, W> {
    /// Reads a part of a mapping, and records in `covered` what has been read.
    pub(super) fn mapping(
        &mut self,
        view: &View,
        mapping: &Mapping,
        range: Range<u64>,
        job: &mut Job,
        covered: &mut Covered,
    ) -> Result<(), Halt> {
        let mut unseen = false;
        // Memory is on no disk, so its major number is 0.
        if mapping.object.shared && mapping.object.device.0 == 0 {
            match self.shared(view, mapping, job)? {
                Shared::Read => {
                    covered.add(&mapping.object, mapping.range.clone());
                    return Ok(());
                }
                Shared::Changed => return Ok(()),
                Shared::Unseen => unseen = true,
                Shared::Elsewhere => {}
            }
        } else if mapping.empty && !mapping.object.shared {
            covered.add(&mapping.object, range);
            return Ok(());
        }
        let most = (self.entries.len() / 8) as u64 * self.page;
        let pieces = (range.end - range.start).div_ceil(most);
        for piece in 0..pieces {
            let piece = if job.second { pieces - 1 - piece } else { piece };
            let start = range.start + piece * most;
            let piece = start..range.end.min(start + most);
            let all_mapped = self.pages(view, mapping, piece, job, covered)?;
            job.unseen |= unseen && !all_mapped;
        }
        Ok(())
    }

    /// Reads pages, depending on what pagemap shows. Returns whether all of them exist.
    fn pages(
        &mut self,
        view: &View,
        mapping: &Mapping,
        range: Range<u64>,
        job: &mut Job,
        covered: &mut Covered,
    ) -> Result<bool, Halt> {
        self.spend(0)?;
        let first = range.start / self.page;
        let count = ((range.end - range.start) / self.page) as usize;
        let bytes = &mut self.entries[..count * 8];
        match view.pagemap.read_exact_at(bytes, first * 8) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Halt::Over),
            Err(e) => {
                let gap = Gap::Refused(ProcFile::Pagemap, errno(&e));
                return Err(Halt::With(Extent::Part(gap)));
            }
        }
        let me = Place {
            owner: job.owner.unwrap_or(u16::MAX),
            second: job.second,
            words: job.words,
            page: first,
        };
        let shared = mapping.object.shared;
        let (mut wanted, mut shown, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut all_mapped = true;
        for (page, entry) in (first..).zip(entries(&self.entries[..count * 8])) {
            all_mapped &= entry.mapped();
            if if shared { !entry.mapped() } else { !entry.private() } {
                continue;
            }
            let frame = entry.frame();
            match frame.and_then(|f| Some((f, self.frames.place(f, &me)?))) {
                Some(known) => {
                    shown.push(page);
                    places.push(known);
                }
                None => wanted.push((page, frame)),
            }
        }
        let still_there = self.frames.still_there(&places);
        for ((page, (frame, _)), still) in shown.iter().zip(places).zip(still_there) {
            if still {
                for hit in self.frames.hits(frame).to_vec() {
                    self.found(job, hit)?;
                }
            } else {
                wanted.push((*page, Some(frame)));
            }
        }
        if !shown.is_empty() {
            wanted.sort_unstable();
        }
        let mut failed = Vec::new();
        let mut runs = runs(&wanted, self.buffer.len() / self.page as usize);
        if job.second {
            runs.reverse();
        }
        for run in &runs {
            self.run(view, shared, run, job, &mut failed)?;
        }
        let mut start = range.start;
        failed.sort_unstable();
        for page in failed {
            covered.add(&mapping.object, start..page * self.page);
            start = (page + 1) * self.page;
        }
        covered.add(&mapping.object, start..range.end);
        Ok(all_mapped)
    }

    /// Reads a run of pages; those that exist and cannot be read go to `failed`.
    fn run(
        &mut self,
        view: &View,
        shared: bool,
        run: &Run,
        job: &mut Job,
        failed: &mut Vec<u64>,
    ) -> Result<(), Halt> {
        let size = self.page as usize;
        let mut done = 0;
        while done < run.frames.len() {
            let page = run.page + done as u64;
            let wanted = (run.frames.len() - done) * size;
            self.spend(wanted as u64)?;
            match view.mem.read_at(&mut self.buffer[..wanted], page * self.page) {
                Ok(0) => return Err(Halt::Over),
                Ok(read) if read >= size => {
                    for i in 0..read / size {
                        let bytes = i * size..(i + 1) * size;
                        self.page_read(bytes, page + i as u64, run.frames[done + i], job)?;
                    }
                    done += read / size;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                cut => match cut.map_or_else(|e| errno(&e), |_| Errno::EIO) {
                    e @ (Errno::EIO | Errno::EFAULT) => {
                        if exists(view, page, shared) {
                            job.failed = Some(e);
                            failed.push(page);
                        }
                        done += 1;
                    }
                    Errno::ESRCH => return Err(Halt::Over),
                    e => {
                        let gap = Gap::Refused(ProcFile::Mem, e);
                        return Err(Halt::With(Extent::Part(gap)));
                    }
                },
            }
        }
        Ok(())
    }

    /// Searches a page that was read.
    fn page_read(
        &mut self,
        bytes: Range<usize>,
        page: u64,
        frame: Option<u64>,
        job: &mut Job,
    ) -> Result<(), Halt> {
        let hits = self.scan(bytes, job.words);
        if let (Some(frame), Some(owner)) = (frame, job.owner) {
            let place = Place { owner, second: job.second, words: job.words, page };
            self.frames.enter(frame, place, &hits);
        }
        hits.into_iter().try_for_each(|hit| self.found(job, hit))
    }

    /// The hits in a part of the buffer.
    fn scan(&self, bytes: Range<usize>, words: Words) -> Vec<Hit> {
        let needles = if words == Words::Plain { &self.plain } else { &self.any_language };
        let mut hits = Vec::new();
        needles.scan(&self.buffer[bytes], |hit| {
            if !hits.contains(&hit) {
                hits.push(hit);
            }
        });
        hits
    }

    /// Reads the mapped part of a file in memory, through the file: pages that the process itself has not
    /// touched are not in its page table, and reading a hole through a mapping would fill it.
    fn shared(&mut self, view: &View, mapping: &Mapping, job: &mut Job) -> Result<Shared, Halt> {
        let Some(map_files) = &view.map_files else { return Ok(Shared::Unseen) };
        let Range { start, end } = mapping.range;
        let path = map_files.join(format!("{start:x}-{end:x}"));
        let refused = |e: Errno| match e {
            // The mapping no longer exists; or the kernel has no such files (before Linux 4.3, without
            // CONFIG_CHECKPOINT_RESTORE), and will not have them the next time either.
            Errno::ENOENT | Errno::ESRCH if job.round < 2 => Shared::Changed,
            _ => Shared::Unseen,
        };
        let file = match fs::metadata(&path) {
            // Opening a device could have an effect on it.
            Ok(file) if !file.is_file() => return Ok(Shared::Elsewhere),
            Ok(file) => file,
            Err(e) => return Ok(refused(errno(&e))),
        };
        match statfs(&path) {
            Ok(fs) if [TMPFS_MAGIC, HUGETLBFS_MAGIC].contains(&fs.filesystem_type()) => {}
            Ok(_) => return Ok(Shared::Elsewhere),
            Err(e) => return Ok(refused(e)),
        }
        // (Only here: for a file on an overlay, maps shows the file below it.)
        if file.ino() != mapping.object.inode {
            return Ok(Shared::Changed);
        }
        let (from, to) = (mapping.offset(start), mapping.offset(end).min(file.len()));
        // The address at which it is mapped does not matter.
        let object = place(&mapping.object, &mapping.range);
        let key = (object, to, job.words, job.second);
        if let Some(hits) = self.objects.get(&key).cloned() {
            hits.into_iter().try_for_each(|hit| self.found(job, hit))?;
            return Ok(Shared::Read);
        }
        let opened = match open(&path) {
            Ok(opened) => opened,
            Err(e) => return Ok(refused(errno(&e))),
        };
        let mut hits = Vec::new();
        match self.file(&opened, from..to, job.words, &mut hits)? {
            Ok(()) => {}
            Err(e) => {
                job.failed = Some(errno(&e));
                return Ok(Shared::Changed);
            }
        }
        self.objects.insert(key, hits.clone());
        hits.into_iter().try_for_each(|hit| self.found(job, hit))?;
        Ok(Shared::Read)
    }

    /// Reads what exists of a part of a file.
    fn file(
        &mut self,
        file: &File,
        part: Range<u64>,
        words: Words,
        hits: &mut Vec<Hit>,
    ) -> Result<io::Result<()>, Halt> {
        let seek = |at: u64, whence| {
            let to = lseek(file, i64::try_from(at).unwrap_or(i64::MAX), whence);
            to.map(|to| u64::try_from(to).unwrap_or(0))
        };
        let mut at = part.start;
        while at < part.end {
            at = match seek(at, Whence::SeekData) {
                Ok(data) => data.max(at),
                Err(Errno::ENXIO) => break,
                Err(e) => return Ok(Err(e.into())),
            };
            let hole = seek(at, Whence::SeekHole).unwrap_or(part.end).min(part.end);
            while at < hole {
                let piece = (hole - at).min(self.buffer.len() as u64) as usize;
                self.spend(piece as u64)?;
                match file.read_at(&mut self.buffer[..piece], at) {
                    Ok(0) => return Ok(Ok(())),
                    Ok(read) => {
                        hits.extend(self.scan(0..read, words));
                        hits.sort_unstable();
                        hits.dedup();
                        at += read as u64;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Ok(Err(e)),
                }
            }
        }
        Ok(Ok(()))
    }
}

/// Opens a file for reading, without changing its access time if that is allowed.
fn open(path: &Path) -> io::Result<File> {
    let quietly = OpenOptions::new().read(true).custom_flags(libc::O_NOATIME).open(path);
    match quietly {
        Err(e) if errno(&e) == Errno::EPERM => File::open(path),
        opened => opened,
    }
}

/// Whether a page exists at this moment; one that does not need not be read.
fn exists(view: &View, page: u64, shared: bool) -> bool {
    let mut bytes = [0; 8];
    let read = view.pagemap.read_exact_at(&mut bytes, page * 8);
    let exists = |e: Entry| if shared { e.mapped() } else { e.private() };
    read.is_err() || entries(&bytes).any(exists)
}

/// Runs of adjacent pages, each with as many as fit into the buffer.
fn runs(wanted: &[(u64, Option<u64>)], most: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (page, frame) in wanted {
        match runs.last_mut() {
            Some(run) if run.page + run.frames.len() as u64 == *page && run.frames.len() < most => {
                run.frames.push(*frame);
            }
            _ => runs.push(Run { page: *page, frames: vec![*frame] }),
        }
    }
    runs
}
