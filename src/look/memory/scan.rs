//! Looks for sets' numbers in a piece of memory. Pure.

use std::ops::Range;

use crate::facts::memory::Words;

/// Sets are known to the reader by their place in one list of numbers.
pub(super) type Index = u32;

/// A number that stands somewhere, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hit {
    /// Whose number.
    pub index: Index,
    /// [`Words::Plain`]: as it is; else as another language keeps it.
    pub words: Words,
}

/// A word to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Needle {
    word: u32,
    /// The other half of a double, which lies before its upper half (or behind, on a machine that
    /// begins with it).
    other_half: Option<u32>,
    hit: Hit,
}

/// Words that are told from all others at the speed of memory: whole blocks are passed over in
/// which no word is near any that is looked for, and of the others each word is looked up in a
/// table of bits first.
pub(super) struct Needles {
    /// Sorted.
    needles: Vec<Needle>,
    /// First word and length of each range that they lie in.
    ranges: Vec<(u32, u32)>,
    bits: Box<[u64; 1 << (BITS - 6)]>,
}

/// The bytes that are compared at once.
const BLOCK: usize = 256;

/// The most ranges. Numbers are near to each other, and so is each form of them.
const RANGES: usize = 6;

const BITS: u32 = 16;

fn bit(word: u32) -> (usize, u32) {
    // Fibonacci hashing: neighbours are spread, and upper bits count.
    let place = word.wrapping_mul(0x9e37_79b9) >> (32 - BITS);
    ((place >> 6) as usize, place & 63)
}

impl Needles {
    /// For these numbers, by index, each in these words.
    pub(super) fn new(numbers: impl IntoIterator<Item = (Index, i32, Words)>) -> Needles {
        let mut needles = Vec::new();
        for (index, number, words) in numbers {
            // semget(2) returns no negative number.
            let Ok(n) = u32::try_from(number) else { continue };
            let plain = Hit { index, words: Words::Plain };
            needles.push(Needle { word: n, other_half: None, hit: plain });
            if words == Words::AnyLanguage {
                let hit = Hit { index, words };
                // Of a 64-bit word its lower half; n < 2^31, so that 2n+1 fits.
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

    /// Reports what stands in these bytes, which begin at a word and are whole words; the same hit
    /// perhaps more than once.
    pub(super) fn scan(&self, bytes: &[u8], mut found: impl FnMut(Hit)) {
        for (block, at) in bytes.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            let mut near = false;
            for (first, length) in &self.ranges {
                near |= any_in_range(block, *first, *length);
            }
            if near {
                self.scan_block(bytes, at..at + block.len(), &mut found);
            }
        }
    }

    fn scan_block(&self, bytes: &[u8], block: Range<usize>, found: &mut impl FnMut(Hit)) {
        for (at, word) in block.clone().step_by(4).zip(bytes[block].chunks_exact(4)) {
            let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
            let (place, shift) = bit(word);
            if self.bits[place] >> shift & 1 == 1 {
                self.look_up(word, bytes, at, found);
            }
        }
    }

    /// Reports whose word this is, which stands at this place.
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

/// Whether a word of the block lies in the range. Written without a way out in the middle, so that
/// many are compared at once.
fn any_in_range(block: &[u8], first: u32, length: u32) -> bool {
    let mut any = 0_u32;
    for bytes in block.chunks_exact(4) {
        let word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        any |= u32::from(word.wrapping_sub(first) <= length);
    }
    any != 0
}

/// As few ranges as are allowed, parted where the words are farthest from each other.
fn ranges(needles: &[Needle]) -> Vec<(u32, u32)> {
    let mut gaps: Vec<(u32, usize)> = needles
        .windows(2)
        .enumerate()
        .map(|(i, pair)| (pair[1].word - pair[0].word, i + 1))
        .filter(|(gap, _)| *gap > 4096)
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
            let first = needles[pair[0]].word;
            (first, needles[pair[1] - 1].word - first)
        })
        .collect()
}
