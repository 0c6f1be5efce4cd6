//! Tests of the pure parts of this folder; tests/memory uses real processes.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use proptest::prelude::*;

use super::parse::{Entry, mappings, needs_smaps, place, stat};
use super::scan::{Hit, Needles};
use super::wire::{self, Answer};
use crate::facts::memory::{
    Ask, Budget, Doubt, Extent, Gap, ProcFile, Reading, Request, Suspect, Words,
};
use crate::facts::set::SemId;

const MAPS: &str = "\
55d0c0a00000-55d0c0a02000 rw-p 00003000 fe:00 1234                       /usr/sbin/a b
7f0000000000-7f0000001000 ---p 00000000 00:00 0 
7f0000100000-7f0000200000 rw-s 00000000 00:01 5                          /dev/zero (deleted)
7fffa0000000-7fffa0004000 r--p 00000000 00:00 0                          [vvar]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

#[test]
fn a_mapping_is_identified_by_file_and_offset_wherever_it_is_split() {
    let all = mappings(MAPS.as_bytes()).expect("read").expect("parses");
    assert_eq!(all.len(), 5);
    assert_eq!(all[0].range, 0x55d0_c0a0_0000..0x55d0_c0a0_2000);
    assert_eq!((all[0].object.device, all[0].object.inode), ((0xfe, 0), 1234));
    assert_eq!(all[0].offset(0x55d0_c0a0_1000), 0x4000);
    assert!(!all[1].object.shared && all[1].object.inode == 0 && !all[1].special);
    assert!(all[2].object.shared && all[2].object.device == (0, 1));
    assert_eq!([all[2].special, all[3].special, all[4].special], [false, true, true]);
    let half = "55d0c0a01000-55d0c0a02000 r--p 00004000 fe:00 1234  /usr/sbin/a b\n";
    let half = mappings(half.as_bytes()).expect("read").expect("parses").remove(0);
    assert_eq!(half.object, all[0].object);
    assert_ne!(place(&half.object, &half.range), place(&all[0].object, &all[0].range));
}

#[test]
fn smaps_shows_device_memory_and_empty_mappings() {
    let text = "\
7f0000000000-7f0000001000 rw-s 00000000 00:06 9   /dev/dri/card0
Size:                  4 kB
Rss:                   0 kB
Swap:                  0 kB
VmFlags: rd wr sh mr mw me ms pf io de dd 
7f0000001000-7f0000002000 rw-p 00000000 00:00 0 
Rss:                   4 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me ac 
7f0000002000-7f0000003000 rw-p 00000000 00:00 0 
Rss:                   0 kB
Swap:                  4 kB
VmFlags: rd wr mr mw me ac 
7f0000003000-7f0000004000 rw-p 00000000 00:00 0 
Rss:                   0 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me ac 
7f0000200000-7f0000400000 rw-p 00000000 00:0f 12  /anon_hugepage (deleted)
Rss:                   0 kB
Private_Hugetlb:    2048 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me de ht 
";
    let all = mappings(text.as_bytes()).expect("read").expect("parses");
    let told: Vec<_> = all.iter().map(|m| (m.device_memory, m.empty)).collect();
    assert_eq!(told, [(true, true), (false, false), (false, false), (false, true), (false, false)]);
}

#[test]
fn smaps_is_used_for_unknown_files_and_for_large_mappings() {
    let all = mappings(MAPS.as_bytes()).expect("read").expect("parses");
    let mut known = HashSet::new();
    assert!(needs_smaps(&all, &known));
    known.extend(all.iter().map(|m| place(&m.object, &m.range)));
    assert!(!needs_smaps(&all, &known));
    let large = "100000000-200000000 rw-p 00000000 00:00 0 \n";
    let large = mappings(large.as_bytes()).expect("read").expect("parses");
    assert!(needs_smaps(&large, &known));
}

#[test]
fn invalid_maps_are_not_taken_for_empty_ones() {
    for text in ["x\n", "Rss: 4 kB\n", "2000-1000 rw-p 00000000 00:00 0 \n", "10-20 rw-p\n"] {
        assert_eq!(mappings(text.as_bytes()).expect("read"), None, "{text:?}");
    }
}

#[test]
fn an_entry_in_pagemap_shows_what_must_be_read() {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const OF_FILE: u64 = 1 << 61;
    // Up to Linux 4.2, bits 55 to 60 are the page size.
    let old = 12 << 55;
    for (entry, private, mapped, frame) in [
        (0, false, false, None),
        (old, false, false, None),
        (PRESENT | 7, true, true, Some(7)),
        (PRESENT | old | 7, true, true, Some(7)),
        (PRESENT | 1 << 55 | 1 << 56 | 7, true, true, Some(7)),
        (PRESENT | OF_FILE | 7, false, true, Some(7)),
        // Frames are hidden: 0 is not a frame.
        (PRESENT, true, true, None),
        (SWAPPED | 7, true, true, None),
        (SWAPPED | old | 7, true, true, None),
        // A guard region.
        (SWAPPED | 1 << 58, false, false, None),
    ] {
        let entry = Entry(entry);
        let told = (entry.private(), entry.mapped(), entry.frame());
        assert_eq!(told, (private, mapped, frame), "{entry:x?}");
    }
}

#[test]
fn a_stat_shows_dead_processes_kernel_threads_and_execution_of_a_program() {
    let line = |state, flags| {
        let text = format!("42 (a) Z) {state} 1 40 39 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 9 0 777 1");
        stat(text.as_bytes()).expect("parses")
    };
    assert!(line("Z", 0).ended && line("X", 0).ended && !line("S", 0).ended);
    assert!(line("S", 0x0020_0000).kernel_thread && !line("S", 0x40).kernel_thread);
    assert!(line("S", 0x40).forked_only && !line("S", 0).forked_only);
    assert_eq!(line("S", 0).start, 777);
    for cut in ["", "42", "42 (a) S 1 2"] {
        assert_eq!(stat(cut.as_bytes()), None, "{cut:?}");
    }
}

fn found(needles: &Needles, words: &[u32]) -> BTreeSet<Hit> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let mut hits = BTreeSet::new();
    needles.scan(&bytes, |hit| {
        hits.insert(hit);
    });
    hits
}

#[test]
fn a_number_is_found_at_every_position() {
    let needles = Needles::new([(0, 1_000_003, Words::Plain)]);
    let hit = BTreeSet::from([Hit { index: 0, words: Words::Plain }]);
    for length in [1, 2, 3, 4, 5, 63, 64, 66, 131] {
        for place in 0..length {
            let mut words = vec![0x8000_0001; length];
            words[place] = 1_000_003;
            assert_eq!(found(&needles, &words), hit, "{place} of {length}");
        }
    }
}

#[test]
fn zero_is_a_number_like_any_other() {
    let needles = Needles::new([(0, 0, Words::Plain)]);
    assert_eq!(found(&needles, &[1, 0]).len(), 1);
    assert!(found(&needles, &[1, 2]).is_empty());
    assert!(found(&Needles::new([]), &[0, 1]).is_empty());
}

#[test]
fn half_a_double_at_the_edge_is_not_a_double() {
    let needles = Needles::new([(0, 1_000_003, Words::AnyLanguage)]);
    let double = f64::from(1_000_003).to_bits();
    let (lower, upper) = (double as u32, (double >> 32) as u32);
    assert!(found(&needles, &[upper]).is_empty() && found(&needles, &[lower]).is_empty());
    // Also across two blocks, which a double may span on i386.
    let mut words = vec![0; 63];
    words.extend([lower, upper]);
    assert_eq!(found(&needles, &words).len(), 1);
}

/// Checks the forms one by one, 64-bit words by their lower half.
fn slowly(numbers: &[i32], words: &[u32]) -> BTreeSet<Hit> {
    let mut hits = BTreeSet::new();
    for (index, number) in (0..).zip(numbers) {
        let n = i64::from(*number);
        for (i, word) in words.iter().enumerate() {
            let w = i64::from(*word);
            if w == n {
                hits.insert(Hit { index, words: Words::Plain });
            }
            let lower = |wide: i64| wide & 0xffff_ffff;
            let double = i > 0
                && f64::from_bits(u64::from(*word) << 32 | u64::from(words[i - 1]))
                    == f64::from(*number);
            let digit = n >= 1 << 30 && w == n & 0x3fff_ffff;
            let tagged = [2 * n, 2 * n + 1, 4 * n + 2].into_iter().any(|t| w == lower(t));
            if tagged || digit || double && n > 0 {
                hits.insert(Hit { index, words: Words::AnyLanguage });
            }
        }
    }
    hits
}

/// Words close to those that are searched for, and others.
fn word(numbers: Vec<i32>) -> impl Strategy<Value = Vec<u32>> {
    let near = prop::sample::select(numbers);
    let double = |n: i32| f64::from(n).to_bits();
    let one = prop_oneof![
        any::<u32>().prop_map(|w| vec![w]),
        (0_u32..100_000).prop_map(|w| vec![w]),
        (near.clone(), 0_u32..3).prop_map(|(n, by)| vec![(n as u32).wrapping_add(by)]),
        (near.clone(), 0_u32..3).prop_map(|(n, by)| vec![(n as u32 * 2).wrapping_add(by)]),
        near.clone().prop_map(|n| vec![(n as u32).wrapping_mul(4).wrapping_add(2)]),
        near.clone().prop_map(|n| vec![n as u32 & 0x3fff_ffff]),
        near.prop_map(move |n| vec![double(n) as u32, (double(n) >> 32) as u32]),
    ];
    prop::collection::vec(one, 0..200).prop_map(|all| all.concat())
}

fn numbers_and_words() -> impl Strategy<Value = (Vec<i32>, Vec<u32>)> {
    let number = prop_oneof![0..100_000_i32, 1_000_000..1_000_040_i32, 0..=i32::MAX];
    let numbers = prop::collection::btree_set(number, 1..40)
        .prop_map(|n| n.into_iter().collect::<Vec<i32>>());
    numbers.prop_flat_map(|n| (Just(n.clone()), word(n)))
}

proptest! {
    #[test]
    #[cfg(target_endian = "little")]
    fn a_scan_finds_the_same_as_checking_words_one_by_one((numbers, words) in numbers_and_words()) {
        let each = |w| (0..).zip(&numbers).map(move |(i, n)| (i, *n, w)).collect::<Vec<_>>();
        let expected = slowly(&numbers, &words);
        prop_assert_eq!(&found(&Needles::new(each(Words::AnyLanguage)), &words), &expected);
        let plain: BTreeSet<Hit> =
            expected.into_iter().filter(|h| h.words == Words::Plain).collect();
        prop_assert_eq!(found(&Needles::new(each(Words::Plain)), &words), plain);
    }

    #[test]
    fn no_input_from_the_kernel_or_the_protocol_panics(bytes: Vec<u8>, text: String) {
        let _ = mappings(&bytes[..]);
        let _ = stat(&bytes);
        let _ = wire::parse_request(&text);
        let _ = wire::parse_answer(&text);
    }

    #[test]
    fn a_request_is_parsed_as_it_was_written(
        lists in prop::collection::vec((prop::collection::vec(any::<i32>(), 0..5), any::<bool>()), 1..4),
        pids in prop::collection::vec((1..i32::MAX, prop::collection::vec((0..9_usize, any::<bool>()), 0..4)), 0..5),
        time in 0..1_000_000_000_u64, bytes: u64, thorough: bool,
    ) {
        let words = |any| if any { Words::AnyLanguage } else { Words::Plain };
        let doubts: Vec<Doubt> = lists
            .into_iter()
            .map(|(sets, made_by_owner)| Doubt { sets: sets.into_iter().map(SemId).collect(), made_by_owner })
            .collect();
        let suspects = pids
            .into_iter()
            .map(|(pid, asks)| Suspect {
                pid: Pid::from_raw(pid),
                asks: asks
                    .into_iter()
                    .map(|(d, any)| Ask { doubt: d % doubts.len(), words: words(any) })
                    .collect(),
            })
            .collect();
        let budget = Budget { time: Duration::from_micros(time), bytes };
        let request = Request { doubts, suspects, budget, thorough };
        let text = wire::request(&request);
        prop_assert_eq!(wire::parse_request(&text), Some(request));
        // A truncated request is not taken for a shorter one.
        for cut in 0..text.len() - 1 {
            prop_assert_eq!(wire::parse_request(&text[..cut]), None);
        }
    }
}

fn gaps() -> Vec<Gap> {
    let e = Errno::EACCES;
    let files = [ProcFile::Maps, ProcFile::Mem, ProcFile::Pagemap];
    let mut gaps: Vec<Gap> = files.into_iter().map(|f| Gap::Refused(f, e)).collect();
    gaps.extend([Gap::Unreadable(e), Gap::NoReader(e), Gap::NoMemory, Gap::Restless]);
    gaps.extend([Gap::SharedUnseen, Gap::HeldUp, Gap::Budget, Gap::ReaderDied]);
    gaps
}

#[test]
fn an_answer_is_parsed_as_it_was_written() {
    let extents = gaps().into_iter().map(Extent::Part);
    let extents = extents.chain([Extent::Full, Extent::Gone, Extent::Enough]);
    let mut answers: Vec<Answer> = extents.map(|e| Answer::Done(7, e)).collect();
    answers.extend([Answer::Alive(1 << 40), Answer::Begins(3), Answer::Holds(3, SemId(0))]);
    for answer in answers {
        let line = wire::answer(&answer);
        assert_eq!(wire::parse_answer(line.trim_end_matches('\n')), Some(answer), "{line:?}");
    }
}

#[test]
fn each_reason_has_its_own_words() {
    let words: BTreeSet<String> = gaps().iter().map(Gap::to_string).collect();
    assert_eq!(words.len(), gaps().len());
    let _: Reading = Reading { pid: Pid::from_raw(1), holds: vec![], extent: Extent::Full };
}
