//! What is asked, and what therefore need not be read.

use std::time::Duration;

use httpd_semguard::facts::memory::{Ask, Doubt, Extent, Words};
use httpd_semguard::facts::set::SemId;

use crate::holder::{Holder, NOBODYS, NUMBER, held, read, request};
use crate::require;

#[test]
fn no_more_is_read_once_every_number_is_known() {
    require!();
    let (leader, worker) = (Holder::new("heap"), Holder::new("heap"));
    let mut asked = request(&[leader.pid, worker.pid], Words::Plain);
    asked.doubts[0].sets = vec![SemId(NUMBER)];
    asked.thorough = false;
    let readings = read(&asked);
    assert!(held(&readings[0]) && readings[0].extent == Extent::Enough, "{readings:?}");
    assert!(readings[1].holds.is_empty() && readings[1].extent == Extent::Enough);
    // For a number that no process holds, all of them are read.
    asked.doubts[0].sets.push(SemId(NOBODYS));
    for reading in read(&asked) {
        assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
    }
}

#[test]
fn a_process_is_reported_to_hold_only_what_it_was_asked_about() {
    require!();
    let (mut holders, mut asked) = (Vec::new(), request(&[], Words::Plain));
    asked.doubts.push(Doubt { sets: vec![SemId(NOBODYS + 1)], made_by_owner: true });
    for _ in 0..2 {
        let holder = Holder::new("heap");
        asked.suspects.extend(request(&[holder.pid], Words::Plain).suspects);
        holders.push(holder);
    }
    asked.suspects[0].asks = vec![Ask { doubt: 1, words: Words::AnyLanguage }];
    let readings = read(&asked);
    assert!(readings[0].holds.is_empty() && readings[0].extent == Extent::Full, "{readings:?}");
    assert!(held(&readings[1]) && readings[1].extent == Extent::Full, "{readings:?}");
}

#[test]
fn thirty_thousand_sets_can_be_asked_about_at_once() {
    require!();
    let holder = Holder::new("heap");
    let mut asked = request(&[holder.pid], Words::AnyLanguage);
    asked.doubts[0].sets.extend((0..30_000).map(|i| SemId(0x2c00_0000 + i * 3)));
    asked.budget.time = Duration::from_secs(120);
    let reading = read(&asked).remove(0);
    assert!(reading.holds.contains(&SemId(NUMBER)) && reading.extent == Extent::Full);
}
