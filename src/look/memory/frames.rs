//! Physical pages that were read already: what many processes share, as the workers of a forked
//! server do, is read once. Touches the pagemap of those that were read first.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::parse::Entry;
use super::scan::Hit;
use crate::facts::memory::Words;

/// The most pages that are remembered, in about 25 MB; further ones are read as often as they are
/// met.
const MOST: usize = 1 << 19;

/// The most processes whose pages are remembered: each keeps a file open.
const MOST_OWNERS: usize = 200;

/// The most hits that are remembered.
const MOST_HITS: usize = 1 << 18;

/// Where a page was read first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The process, by the order of [`Frames::owner`].
    pub owner: u16,
    /// Read in the second pass.
    pub second: bool,
    /// What was looked for in it.
    pub words: Words,
    /// Its place in pagemap.
    pub page: u64,
}

/// The pages, by frame number.
#[derive(Default)]
pub(super) struct Frames {
    places: HashMap<u64, Place>,
    hits: HashMap<u64, Vec<Hit>>,
    stored: usize,
    owners: Vec<File>,
    buffer: Vec<u8>,
}

impl Frames {
    /// A number for a process whose pages are to be remembered; none if there are too many.
    pub(super) fn owner(&mut self, pagemap: &File) -> Option<u16> {
        if self.owners.len() >= MOST_OWNERS {
            return None;
        }
        self.owners.push(pagemap.try_clone().ok()?);
        u16::try_from(self.owners.len() - 1).ok()
    }

    /// Where this frame was read in another process, no less thoroughly.
    pub(super) fn place(&self, frame: u64, reader: &Place) -> Option<Place> {
        self.places.get(&frame).copied().filter(|p| {
            p.owner != reader.owner && p.second >= reader.second && p.words >= reader.words
        })
    }

    /// What stands in a frame that was read.
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

    /// Which of these, given with their frames, still show the same frame where they were read
    /// first: only then is what is seen now the page that was read, and no other that got its frame.
    /// Neighbours should be given together.
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

/// The entries in a piece of pagemap.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    bytes.chunks_exact(8).map(|b| Entry(b.try_into().map_or(0, u64::from_ne_bytes)))
}
