//! The wording of every message, as recorded in golden/, with one file for each message.
//! `UPDATE_GOLDEN=1 cargo test --test formats` writes them again, for review.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use httpd_semguard::facts::request::{Command, Format};
use httpd_semguard::facts::row::Row;
use httpd_semguard::facts::set::SemId;
use httpd_semguard::facts::time::WallTime;
use httpd_semguard::facts::world::World;
use httpd_semguard::tell::log::Entry;
use httpd_semguard::tell::report::{Report, View};
use httpd_semguard::tell::{log, report};

use crate::agree::said;
use crate::samples::{errors, forecasts, table, verdicts};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/golden")
}

/// Forecasts whose verbose output is recorded, too.
const VERBOSE: [&str; 3] = ["starts-again", "at-risk", "fails-by-a-filter"];

/// Forecasts whose reports for programs are recorded, too.
const DOCUMENTED: [&str; 3] =
    ["starts-after-removal", "starts-after-a-refused-removal", "fails-for-want-of-sets"];

/// Compares with the file of this name.
fn holds(name: &str, text: &str, wrong: &mut Vec<String>) {
    let file = golden().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, text).expect("written");
    }
    let want = fs::read_to_string(&file).unwrap_or_default();
    if want != text {
        wrong.push(format!("---- {name}, as it is\n{text}---- as it was\n{want}"));
    }
}

fn logged(report: &Report, verbose: bool) -> String {
    let entries = log::entries(report, verbose);
    let text = |(level, entry): &(_, Entry)| format!("{level}: {}\n", entry.lines().join("\n"));
    entries.iter().map(text).collect()
}

#[test]
fn every_forecast_reads_as_before() {
    let mut wrong = Vec::new();
    for (name, report) in forecasts() {
        let parts =
            [logged(&report, false), said(&report, Format::Text), said(&report, Format::Nagios)];
        holds(&format!("forecast-{name}.txt"), &parts.concat(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_verbose_output_reads_as_before() {
    let mut wrong = Vec::new();
    for (name, report) in forecasts() {
        if VERBOSE.contains(&name) {
            holds(&format!("verbose-{name}.txt"), &logged(&report, true), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verdict_reads_as_before() {
    let mut wrong = Vec::new();
    for (name, judged, world) in verdicts() {
        let id = judged.set.id;
        let list = of_list(judged, world, None);
        let explained = Report { view: View { explain: Some(id), ..list.view }, ..list.clone() };
        let parts = [said(&list, Format::Text), "\n".into(), said(&explained, Format::Text)];
        holds(&format!("verdict-{name}.txt"), &parts.concat(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub(crate) fn of_list(judged: Row, world: World, explain: Option<SemId>) -> Report {
    let mut table = table(vec![judged]);
    table.world = world;
    let base = crate::samples::report();
    Report {
        command: Command::List,
        table: Some(table),
        forecast: None,
        view: View { explain, ..base.view },
        ..base
    }
}

#[test]
fn every_error_reads_as_before() {
    let mut wrong = Vec::new();
    for (name, error) in errors() {
        let mut line = Vec::new();
        report::write_error(&error, Command::Check, None, WallTime(0), Format::Nagios, &mut line)
            .expect("written");
        let line = String::from_utf8(line).expect("utf-8");
        let code = error.exit() as u8;
        let text = format!("{}\nexit {code}\n{line}", log::lines(&error.message()).join("\n"));
        holds(&format!("error-{name}.txt"), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_formats_for_programs_are_unchanged() {
    let mut wrong = Vec::new();
    for (name, report) in forecasts() {
        if !DOCUMENTED.contains(&name) {
            continue;
        }
        let json = said(&report, Format::Json).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        holds(&format!("{name}.json"), &json, &mut wrong);
        let metrics =
            said(&report, Format::Prometheus).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        holds(&format!("{name}.prom"), &metrics, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_golden_file_is_unused() {
    let have: BTreeSet<String> = fs::read_dir(golden())
        .expect("listed")
        .map(|e| e.expect("read").file_name().into_string().expect("utf-8"))
        .collect();
    let mut want: BTreeSet<String> = BTreeSet::new();
    want.extend(forecasts().iter().map(|(name, _)| format!("forecast-{name}.txt")));
    want.extend(VERBOSE.iter().map(|name| format!("verbose-{name}.txt")));
    want.extend(verdicts().iter().map(|(name, ..)| format!("verdict-{name}.txt")));
    want.extend(errors().iter().map(|(name, _)| format!("error-{name}.txt")));
    for name in DOCUMENTED {
        want.extend(["json", "prom"].map(|end| format!("{name}.{end}")));
    }
    assert_eq!(have, want);
}
