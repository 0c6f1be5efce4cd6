//! Physical pages that have already been read: pages shared by many processes, such as the workers of a
//! forking server, are read once. Touches the pagemap of the processes that were read first.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::os::unix::fs::FileExt;

use nix::sys::resource::{Resource, getrlimit};

use super::parse::Entry;
use super::scan::Hit;
use crate::facts::memory::Words;

/// The maximum number of pages that are remembered, in about 25 MB; further ones are read each time they
/// occur.
const MOST: usize = 1 << 19;

/// The maximum number of processes whose pages are remembered: each keeps a file open, and together they
/// use at most a quarter of the files that may be open.
const MOST_OWNERS: u64 = 200;

/// The maximum number of hits that are remembered.
const MOST_HITS: usize = 1 << 18;

/// Where a page was read first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The process, as numbered by [`Frames::owner`].
    pub owner: u16,
    /// Read in the second pass.
    pub second: bool,
    /// The forms of numbers that it was searched for.
    pub words: Words,
    /// Its position in pagemap.
    pub page: u64,
}

/// By frame number. A process cannot choose them, so one multiplication is a sufficient hash.
type ByFrame<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u64(&mut self, n: u64) {
        // Fibonacci hashing; the table uses the lowest bits, too.
        let product = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

/// The pages, by frame number.
#[derive(Default)]
pub(super) struct Frames {
    places: ByFrame<Place>,
    hits: ByFrame<Vec<Hit>>,
    stored: usize,
    owners: Vec<File>,
    buffer: Vec<u8>,
}

impl Frames {
    /// A number for a process whose pages are to be remembered; `None` if there are too many.
    pub(super) fn owner(&mut self, pagemap: &File) -> Option<u16> {
        let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft / 4);
        if self.owners.len() as u64 >= most.min(MOST_OWNERS) {
            return None;
        }
        self.owners.push(pagemap.try_clone().ok()?);
        u16::try_from(self.owners.len() - 1).ok()
    }

    /// Where this frame was read in another process, at least as thoroughly.
    pub(super) fn place(&self, frame: u64, reader: &Place) -> Option<Place> {
        self.places.get(&frame).copied().filter(|p| {
            p.owner != reader.owner && p.second >= reader.second && p.words >= reader.words
        })
    }

    /// The hits in a frame that was read.
    pub(super) fn hits(&self, frame: u64) -> &[Hit] {
        self.hits.get(&frame).map_or(&[], Vec::as_slice)
    }

    /// Remembers a frame that was read.
    pub(super) fn enter(&mut self, frame: u64, place: Place, hits: &[Hit]) {
        if self.places.len() >= MOST || self.stored + hits.len() > MOST_HITS {
            self.places.remove(&frame);
            return;
        }
        self.places.insert(frame, place);
        self.hits.remove(&frame);
        if !hits.is_empty() {
            self.stored += hits.len();
            self.hits.insert(frame, hits.to_vec());
        }
    }

    /// Which of these, given with their frames, still have the same frame where they were first read:
    /// only then is the current page the one that was read, and not another one that got its frame.
    /// Neighbouring pages should be passed together.
    pub(super) fn still_there(&mut self, places: &[(u64, Place)]) -> Vec<bool> {
        let mut result = Vec::with_capacity(places.len());
        while let Some(((_, first), _)) = places[result.len()..].split_first() {
            let rest = &places[result.len()..];
            let run = rest.iter().zip(first.page..).take(1 << 13);
            let length =
                run.take_while(|((_, p), at)| p.owner == first.owner && p.page == *at).count();
            self.buffer.resize(length * 8, 0);
            let pagemap = self.owners.get(usize::from(first.owner));
            let read = pagemap.and_then(|p| p.read_at(&mut self.buffer, first.page * 8).ok());
            let shown = entries(&self.buffer[..read.unwrap_or(0)]);
            let shown = shown.map(Entry::frame).chain(std::iter::repeat(None));
            result.extend(rest[..length].iter().zip(shown).map(|((f, _), s)| s == Some(*f)));
        }
        result
    }
}

/// The entries in a part of pagemap.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    bytes.chunks_exact(8).map(|b| Entry(b.try_into().map_or(0, u64::from_ne_bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PRESENT: u64 = 1 << 63;

    /// A file with these entries, in the format of pagemap.
    fn pagemap(name: &str, entries: &[u64]) -> File {
        let path = std::env::temp_dir().join(format!("semguard-{name}-{}", std::process::id()));
        let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_ne_bytes()).collect();
        fs::write(&path, bytes).expect("written");
        let file = File::open(&path).expect("opened");
        fs::remove_file(path).expect("removed");
        file
    }

    #[test]
    fn a_frame_counts_as_read_only_if_its_first_owner_still_has_it() {
        let mut frames = Frames::default();
        let shown = [PRESENT | 70, PRESENT | 71, PRESENT | 99, 0, 1 << 62 | 74];
        let first = frames.owner(&pagemap("first", &shown)).expect("a number");
        let other = frames.owner(&pagemap("other", &[])).expect("a number");
        let place = |owner, page| Place { owner, second: false, words: Words::Plain, page };
        for page in 0..6 {
            frames.enter(70 + page, place(first, page), &[]);
        }
        let me = place(other, 0);
        let places: Vec<(u64, Place)> =
            (70..76).map(|f| (f, frames.place(f, &me).expect("it was read"))).collect();
        assert_eq!(frames.still_there(&places), [true, true, false, false, false, false]);
        let gone = [(80, place(other, 3)), (70, place(first, 0)), (71, place(7, 1))];
        assert_eq!(frames.still_there(&gone), [false, true, false]);
    }

    #[test]
    fn a_frame_counts_as_read_only_for_other_processes_and_not_for_a_more_thorough_search() {
        let mut frames = Frames::default();
        let read = Place { owner: 0, second: false, words: Words::Plain, page: 5 };
        frames.enter(70, read, &[]);
        let other = Place { owner: 1, ..read };
        assert_eq!(frames.place(70, &other), Some(read));
        assert_eq!(frames.place(70, &read), None, "its own pages may have changed");
        assert_eq!(frames.place(70, &Place { second: true, ..other }), None);
        assert_eq!(frames.place(70, &Place { words: Words::AnyLanguage, ..other }), None);
        assert_eq!(frames.place(71, &other), None);
    }
}
