//! Which parts of an address space have been read. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::parse::{Mapping, Object};

/// What has been read, by what was mapped: something else at the same addresses has not been read yet.
#[derive(Default)]
pub(super) struct Covered(HashMap<Object, BTreeMap<u64, u64>>);

impl Covered {
    /// Records that this has been read.
    pub(super) fn add(&mut self, object: &Object, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let ranges = self.0.entry(*object).or_default();
        let (mut start, mut end) = (range.start, range.end);
        // Ranges that it touches are merged with it.
        while let Some((&s, &e)) = ranges.range(..=end).next_back().filter(|(_, e)| **e >= start) {
            ranges.remove(&s);
            (start, end) = (start.min(s), end.max(e));
        }
        ranges.insert(start, end);
    }

    /// The parts of a mapping that have not been read.
    pub(super) fn missing(&self, mapping: &Mapping) -> Vec<Range<u64>> {
        let (mut at, end) = (mapping.range.start, mapping.range.end);
        let mut missing = Vec::new();
        let empty = BTreeMap::new();
        let ranges = self.0.get(&mapping.object).unwrap_or(&empty);
        let before = ranges.range(..=at).next_back().map(|(s, _)| *s).unwrap_or(at);
        for (&s, &e) in ranges.range(before..end) {
            if s > at {
                missing.push(at..s);
            }
            at = at.max(e);
        }
        if at < end {
            missing.push(at..end);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::mappings;
    use super::*;
    use proptest::prelude::*;

    fn mapping(range: Range<u64>) -> Mapping {
        let line = format!("{:x}-{:x} rw-p 00000000 00:00 0 \n", range.start, range.end);
        mappings(line.as_bytes()).expect("read").expect("parses").remove(0)
    }

    #[test]
    fn reading_one_file_does_not_cover_another_at_the_same_addresses() {
        let mut covered = Covered::default();
        let anonymous = mapping(0x1000..0x3000);
        covered.add(&anonymous.object, 0x1000..0x3000);
        assert!(covered.missing(&anonymous).is_empty());
        let file = Mapping { object: Object { inode: 7, ..anonymous.object }, ..anonymous };
        assert_eq!(covered.missing(&file), vec![file.range.clone()]);
    }

    proptest! {
        #[test]
        fn missing_is_what_was_not_added(
            added in prop::collection::vec((0_u64..64, 0_u64..16), 0..20),
            start in 0_u64..60, length in 1_u64..30,
        ) {
            let m = mapping(start..start + length);
            let mut covered = Covered::default();
            for (s, l) in &added {
                covered.add(&m.object, *s..s + l);
            }
            let missing = covered.missing(&m);
            for at in 0..100 {
                let read = added.iter().any(|(s, l)| (*s..s + l).contains(&at));
                let asked = m.range.contains(&at) && !read;
                prop_assert_eq!(missing.iter().any(|r| r.contains(&at)), asked, "{}", at);
            }
        }
    }
}
