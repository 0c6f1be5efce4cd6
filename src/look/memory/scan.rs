//! Searches a piece of memory for semids. Pure.

use crate::facts::memory::Words;

/// The reader identifies a set by its position in a list of semids.
pub(super) type Index = u32;

/// A semid that was found, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hit {
    /// Which set.
    pub index: Index,
    /// [`Words::Plain`]: as it is; otherwise in the form used by another language.
    pub words: Words,
}

/// A word to search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Needle {
    word: u32,
    /// The other half of a double, which precedes the upper half (or follows it, on a big-endian
    /// machine).
    other_half: Option<u32>,
    hit: Hit,
}

/// Words that can be found at the speed of memory: blocks in which no word is similar to any of them are
/// skipped as a whole, and in the others each word is first looked up in a bit table.
pub(super) struct Needles {
    /// Sorted.
    needles: Vec<Needle>,
    /// The ranges of similar words.
    ranges: Vec<Range>,
    bits: Box<[u64; 1 << (BITS - 6)]>,
}

/// Words that are close to each other, and so are their lower bits: a semid consists of a sequence
/// number, which may have any value, and below it an index, which is small (ipc/util.h, `IPCMNI_SHIFT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    length: u32,
    first_low: u32,
    length_low: u32,
}

/// The bits of the index.
const LOW: u32 = (1 << 15) - 1;

/// The number of bytes compared at once.
const BLOCK: usize = 256;

/// The maximum number of ranges: each costs a pass over a block.
const RANGES: usize = 4;

/// Words farther apart than this are in different ranges: the upper halves of doubles are far from
/// everything else, and their lower bits may have any value.
const FAR: u32 = 1 << 26;

const BITS: u32 = 16;

fn bit(word: u32) -> (usize, u32) {
    // Fibonacci hashing: neighbours are spread, and the upper bits matter.
    let place = word.wrapping_mul(0x9e37_79b9) >> (32 - BITS);
    ((place >> 6) as usize, place & 63)
}

impl Needles {
    /// For these numbers, with their indices, each in these forms.
    pub(super) fn new(numbers: impl IntoIterator<Item = (Index, i32, Words)>) -> Needles {
        let mut needles = Vec::new();
        for (index, number, words) in numbers {
            // semget(2) returns no negative numbers.
            let Ok(n) = u32::try_from(number) else { continue };
            let plain = Hit { index, words: Words::Plain };
            needles.push(Needle { word: n, other_half: None, hit: plain });
            if words == Words::AnyLanguage {
                let hit = Hit { index, words };
                // The lower half of a 64-bit word; n < 2^31, so 2n+1 fits.
                let mut forms = vec![n << 1, n << 1 | 1, n.wrapping_mul(4).wrapping_add(2)];
                if n >= 1 << 30 {
                    forms.push(n & ((1 << 30) - 1));
                }
                needles.extend(forms.into_iter().map(|word| Needle {
                    word,
                    other_half: None,
                    hit,
                }));
                let double = f64::from(n).to_bits();
                let (upper, lower) = ((double >> 32) as u32, double as u32);
                needles.push(Needle { word: upper, other_half: Some(lower), hit });
            }
        }
        needles.sort_unstable();
        needles.dedup();
        let mut bits = Box::new([0; 1 << (BITS - 6)]);
        for needle in &needles {
            let (at, shift) = bit(needle.word);
            bits[at] |= 1 << shift;
        }
        Needles { ranges: ranges(&needles), needles, bits }
    }

    /// Reports what is found in these bytes, which are whole, aligned words; may report the same hit more
    /// than once.
    pub(super) fn scan(&self, bytes: &[u8], mut found: impl FnMut(Hit)) {
        for (block, at) in bytes.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            if self.ranges.iter().any(|r| r.near_any(block) && r.like_any(block)) {
                self.scan_block(bytes, at..at + block.len(), &mut found);
            }
        }
    }

    fn scan_block(&self, bytes: &[u8], block: std::ops::Range<usize>, found: &mut impl FnMut(Hit)) {
        for (at, word) in block.clone().step_by(4).zip(words(&bytes[block])) {
            let (place, shift) = bit(word);
            if self.bits[place] >> shift & 1 == 1 {
                self.look_up(word, bytes, at, found);
            }
        }
    }

    /// Reports the hits for this word at this position.
    fn look_up(&self, this: u32, bytes: &[u8], at: usize, found: &mut impl FnMut(Hit)) {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let other = if cfg!(target_endian = "little") { at.checked_sub(4) } else { Some(at + 4) };
        let start = self.needles.partition_point(|n| n.word < this);
        for needle in self.needles[start..].iter().take_while(|n| n.word == this) {
            if needle.other_half.is_none_or(|half| other.and_then(word) == Some(half)) {
                found(needle.hit);
            }
        }
    }
}

// Neither returns early, so that many words are compared in parallel.
impl Range {
    /// Whether a word in the block is within the range.
    fn near_any(&self, block: &[u8]) -> bool {
        let Range { first, length, .. } = *self;
        // Every word of a running process is processed here. This form is fast even if the program is
        // optimized for size: no function is called, and four words are compared in parallel.
        let (mut least, mut rest) = (u32::MAX, block);
        while let Some((four, behind)) = rest.split_first_chunk::<16>() {
            let four = u128::from_ne_bytes(*four);
            let distance = |bits: u32| ((four >> bits) as u32).wrapping_sub(first);
            let (one, other) = (distance(0).min(distance(32)), distance(64).min(distance(96)));
            least = least.min(one.min(other));
            rest = behind;
        }
        least <= length || words(rest).any(|word| word.wrapping_sub(first) <= length)
    }

    /// Whether the lower bits of such a word are within their range, too.
    fn like_any(&self, block: &[u8]) -> bool {
        let Range { first, length, first_low, length_low } = *self;
        let like = |word: u32| {
            let near = u32::from(word.wrapping_sub(first) <= length);
            near & u32::from((word & LOW).wrapping_sub(first_low) <= length_low)
        };
        words(block).fold(0, |any, word| any | like(word)) != 0
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]))
}

/// The ranges, no more than allowed, divided where the words are farthest apart.
fn ranges(needles: &[Needle]) -> Vec<Range> {
    let mut gaps: Vec<(u32, usize)> = needles
        .windows(2)
        .enumerate()
        .map(|(i, pair)| (pair[1].word - pair[0].word, i + 1))
        .filter(|(gap, _)| *gap > FAR)
        .collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    gaps.truncate(RANGES - 1);
    let mut starts: Vec<usize> = gaps.into_iter().map(|(_, at)| at).collect();
    starts.extend([0, needles.len()]);
    starts.sort_unstable();
    starts
        .windows(2)
        .filter(|pair| pair[0] < pair[1])
        .map(|pair| {
            let needles = &needles[pair[0]..pair[1]];
            let (first, last) = (needles[0].word, needles[needles.len() - 1].word);
            let low = needles.iter().map(|n| n.word & LOW);
            let (first_low, last_low) = low.fold((LOW, 0), |(a, b), w| (a.min(w), b.max(w)));
            Range { first, length: last - first, first_low, length_low: last_low - first_low }
        })
        .collect()
}
