//! Text for people fits the screen: in 60, 80 and 200 columns, a message is one paragraph, only commands
//! and long words are wider than the screen, and no word is split.

use httpd_semguard::facts::request::Format;
use httpd_semguard::tell::log::{self, Entry};
use httpd_semguard::tell::logging::for_people;
use httpd_semguard::tell::report::Report;
use httpd_semguard::tell::screen::{Screen, width};

use crate::golden::of_list;
use crate::samples::{forecasts, verdicts};

const WIDTHS: [usize; 3] = [60, 80, 200];

fn screen(columns: usize) -> Screen {
    Screen { is_terminal: true, color: false, width: Some(columns) }
}

/// The words of a text, whatever separates them.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Whether a line may be wider than the screen: it is a command, or its last word does not fit and has a
/// line of its own, except for a label.
fn may_be_wide(line: &str, commands: &[String]) -> bool {
    let text = line.trim_start();
    commands.iter().any(|command| command == text) || words(text).len() <= 2
}

#[test]
fn a_message_is_one_paragraph_on_every_screen() {
    for (name, report) in forecasts() {
        for (level, entry) in log::entries(&report, true) {
            let commands: Vec<String> = match &entry {
                Entry::Line(_) => Vec::new(),
                Entry::Message(m) => m.remedies.iter().filter_map(|r| r.command.clone()).collect(),
            };
            for columns in WIDTHS {
                let text = for_people(level, &entry, &screen(columns));
                for line in text.lines() {
                    let fits = width(line) <= columns || may_be_wide(line, &commands);
                    assert!(fits, "{name}, {columns} columns: {line}");
                }
                let (first, further) = text.split_once('\n').expect("a line");
                assert!(first.starts_with("httpd-semguard: "), "{name}: {text}");
                assert!(!further.contains("httpd-semguard: "), "{name}: {text}");
                let whole = format!("httpd-semguard: {}", entry.lines().join(" "));
                assert_eq!(words(&text), words(&whole), "{name}, {columns} columns");
            }
        }
    }
}

/// The text of a report on a screen with this many columns.
fn said(report: &Report, columns: usize) -> String {
    let mut out = Vec::new();
    report.write(Format::Text, &screen(columns), &mut out).expect("written");
    String::from_utf8(out).expect("UTF-8")
}

#[track_caller]
fn fits(name: &str, report: &Report, widths: [usize; 3]) {
    for columns in widths {
        for line in said(report, columns).lines() {
            assert!(width(line) <= columns, "{name}, {columns} columns: {line}");
        }
    }
}

#[test]
fn the_result_itself_is_wrapped_between_words() {
    for (name, report) in forecasts() {
        fits(name, &report, WIDTHS);
    }
}

#[test]
fn a_list_fits_80_columns() {
    for (name, row, world) in verdicts() {
        fits(name, &of_list(row, world, None), [80, 100, 200]);
    }
}

#[test]
fn a_list_on_a_narrow_screen_has_the_reason_on_a_line_of_its_own() {
    let (_, row, world) = verdicts().swap_remove(0);
    let report = of_list(row, world, None);
    assert!(said(&report, 200).lines().next().is_some_and(|l| l.contains("CREATOR")));
    assert!(said(&report, 80).lines().next().is_some_and(|l| !l.contains("CREATOR")));
    let narrow = said(&report, 60);
    assert!(narrow.contains("\n    no running process can use it\n"), "{narrow}");
}
