//! The formats never contradict each other: for random reports, each format is parsed independently,
//! and all figures are compared.

use std::collections::BTreeMap;

use httpd_semguard::decide::forecast::{Forecast, Input};
use httpd_semguard::facts::capacity::{Capacity, Limits, Usage};
use httpd_semguard::facts::error::Error;
use httpd_semguard::facts::event::Event;
use httpd_semguard::facts::request::{Command, Format};
use httpd_semguard::facts::row::{Outcome, Row, Running};
use httpd_semguard::facts::set::SemId;
use httpd_semguard::facts::table::Table;
use httpd_semguard::facts::time::WallTime;
use httpd_semguard::facts::trial::Trial;
use httpd_semguard::tell::nagios::Status;
use httpd_semguard::tell::report::Report;
use httpd_semguard::tell::screen::Screen;
use httpd_semguard::tell::{log, nagios, report};
use nix::errno::Errno;
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::{self, guarded, named, need, uid, verdicts};

pub(crate) fn said(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    report.write(format, &Screen::default(), &mut out).expect("written");
    String::from_utf8(out).expect("utf-8")
}

/// One set: its verdict, whether it belongs to the first user, and what happened to it as an orphan.
type Pick = (usize, bool, u8);

fn outcome(number: u8) -> Outcome {
    match number % 4 {
        0 => Outcome::Removed,
        1 => Outcome::Gone,
        2 => Outcome::Changed,
        _ => Outcome::Refused(Errno::EPERM),
    }
}

fn event(number: u8) -> Option<Event> {
    match number {
        0 => Some(Event::WithoutLock(Errno::EROFS)),
        1 => Some(Event::LeftoverRemoved(SemId(7))),
        2 => Some(Event::LeftoverStays(SemId(7), Errno::EPERM)),
        3 => Some(Event::StayedAs(uid(samples::WWW), Errno::EPERM)),
        _ => None,
    }
}

/// The ingredients of a random report.
#[derive(Clone, Debug)]
struct Plan {
    guard: bool,
    dry_run: bool,
    strict: bool,
    by_root: bool,
    sets: Vec<Pick>,
    others: i64,
    semmns: i64,
    semmni: i64,
    need: (i64, i64),
    min_free: i64,
    trial: u8,
    unreadable: usize,
    running: Option<(usize, usize)>,
    no_table: bool,
    event: u8,
}

fn plan() -> impl Strategy<Value = Plan> {
    let picks = prop::collection::vec((0usize..64, any::<bool>(), any::<u8>()), 0..12);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let figures = (0i64..20, any::<u8>(), 0i64..80, 0i64..6, 0i64..4, 0i64..5);
    let running = prop::option::of((0usize..3, 0usize..3));
    let rare = (any::<u8>(), 0usize..2, running, 0u8..10, 0u8..12);
    (picks, switches, figures, rare).prop_map(|(sets, switches, figures, rare)| {
        let (guard, dry_run, strict, by_root) = switches;
        let (others, odd, semmni, least, more, min_free) = figures;
        // A default value, or one that cannot be intended.
        let semmns = if odd < 180 { 250 + semmni } else { i64::from(odd) - 180 };
        let (trial, unreadable, running, table, event) = rare;
        let no_table = table == 0;
        let min_free = if odd % 3 == 0 { min_free } else { 0 };
        let need = (least, least + more);
        let dry_run = guard && dry_run;
        Plan {
            guard,
            dry_run,
            strict,
            by_root,
            sets,
            others,
            semmns,
            semmni,
            need,
            min_free,
            trial,
            unreadable,
            running,
            no_table,
            event,
        }
    })
}

fn report(plan: &Plan) -> Report {
    let all = verdicts();
    let mut rows: Vec<Row> = Vec::new();
    for (i, (kind, first, number)) in plan.sets.iter().enumerate() {
        let mut row = all[kind % all.len()].1.clone();
        row.set.id = SemId(i as i32);
        row.set.uid = uid(if *first { samples::WWW } else { samples::POSTGRES });
        if plan.guard && row.is_orphan() {
            row.outcome = Some(if plan.dry_run { Outcome::WouldRemove } else { outcome(*number) });
        }
        rows.push(row);
    }
    let sets = plan.others + rows.len() as i64;
    let limits = Limits { semmsl: 250, semmns: plan.semmns, semopm: 32, semmni: plan.semmni };
    let found = Capacity { limits, usage: Usage { sets, semaphores: sets } };
    let left = found.without(rows.iter().filter(|row| row.is_gone()).count());
    let running = plan.running.map(|(surely, perhaps)| Running {
        leader: named(4711, "apache2"),
        surely,
        perhaps,
    });
    let trial = match plan.trial {
        0..=15 => Trial::Refused("semget", Errno::EPERM),
        16..=63 => Trial::Skipped("no room for one"),
        _ => Trial::Passed,
    };
    let input =
        Input { min_free: plan.min_free, trial, ..samples::input(need(plan.need.0, plan.need.1)) };
    let table = Table { found, left, unreadable: plan.unreadable, running, ..samples::table(rows) };
    let report = samples::settled(Report {
        command: if plan.guard { Command::Guard } else { Command::Check },
        dry_run: plan.dry_run,
        strict: plan.strict,
        by_root: plan.by_root,
        users: vec![guarded(samples::WWW, "www-data"), guarded(samples::POSTGRES, "postgres")],
        table: (!plan.no_table).then_some(table),
        input,
        events: event(plan.event).into_iter().collect(),
        ..samples::report()
    });
    let forecast = Some(report.input.forecast());
    Report { forecast, ..report }
}

/// The series of an exposition, by name and labels; each name is declared once, before its series.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut announced = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(kind, "gauge");
            assert!(!announced.contains(&name), "{name} twice");
            announced.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let of = name.split('{').next().expect("a name");
            assert_eq!(announced.last(), Some(&of), "{line}");
            let before = series.insert(name.to_owned(), value.parse().expect("a number"));
            assert_eq!(before, None, "{line}");
        }
    }
    series
}

/// The figures in a plugin's line: value, warning, critical.
type Figure = (f64, Option<f64>, Option<f64>);

fn figures(line: &str) -> BTreeMap<String, Figure> {
    let Some((_, figures)) = line.split_once(" | ") else { return BTreeMap::new() };
    let figure = |text: &str| {
        let (name, values) = text.split_once('=').expect("a label");
        let values: Vec<Option<f64>> = values.split(';').map(|v| v.parse().ok()).collect();
        (name.trim_matches('\'').to_owned(), (values[0].expect("a value"), values[1], values[2]))
    };
    figures.split_whitespace().map(figure).collect()
}

fn number(json: &Value, path: &str) -> f64 {
    json.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {json}"))
}

fn agree(report: &Report) {
    let json: Value = serde_json::from_str(&said(report, Format::Json)).expect("JSON");
    let metrics = metrics(&said(report, Format::Prometheus));
    let metric = |name: &str| metrics[&format!("httpd_semguard_{name}")];
    let line = said(report, Format::Nagios);
    let figures = figures(&line);
    let text = said(report, Format::Text);
    let log: Vec<(::log::Level, String)> = log::entries(report, false)
        .into_iter()
        .map(|(level, entry)| (level, entry.lines().join("\n")))
        .collect();

    // One line, one "|", one status.
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(line.matches('|').count() <= 1 && line.len() < 4096, "{line}");
    let status = nagios::status(report);
    let word = line.split_whitespace().nth(1).expect("a status");
    let words = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
    assert_eq!(word, words[status as usize]);

    // The same kind of result.
    let code = number(&json, "/exit/code") as i32;
    assert_eq!(code, report.exit() as i32);
    match code {
        0 => assert!(matches!(status, Status::Ok | Status::Warning), "{line}"),
        69 => assert_eq!(status, Status::Critical),
        77 => assert_eq!(status, Status::Unknown),
        other => panic!("exit {other}"),
    }
    let errors = log.iter().filter(|(level, _)| *level == ::log::Level::Error).count();
    assert_eq!(errors, usize::from(code == 69), "{log:?}");

    // The same forecast.
    let state = json["forecast"].as_str().expect("a forecast");
    for name in ["starts", "at_risk", "fails"] {
        let want = f64::from(u8::from(name == state));
        assert_eq!(metric(&format!("start_forecast{{state=\"{name}\"}}")), want);
    }
    let starts = text.starts_with("httpd's locks can be made");
    assert_eq!(starts, state == "starts", "{text}");
    let headline = log
        .iter()
        .any(|(_, line)| line.contains(": httpd would ") || line.contains(": httpd may not start"));
    assert_eq!(headline, state != "starts", "{log:?}");
    assert_eq!(json["message"].is_null(), state == "starts");
    match state {
        "fails" => assert_eq!(status, Status::Critical),
        "at_risk" => assert_ne!(status, Status::Ok),
        _ => assert_ne!(status, Status::Critical),
    }

    // Problems besides the forecast are in all formats.
    let troubles = report.events.iter().filter(|e| e.is_warning()).count();
    let refused = report.table.iter().flat_map(|t| t.refused_removals()).count();
    if troubles + refused > 0 {
        assert_ne!(status, Status::Ok, "{line}");
    }
    let warnings = json["warnings"].as_array().expect("warnings");
    assert!(warnings.len() >= troubles + usize::from(refused > 0), "{warnings:?}");
    assert_eq!(metric("warnings"), warnings.len() as f64);
    for warning in warnings {
        let warning = warning.as_str().expect("words");
        assert!(log.iter().any(|(_, entry)| entry == warning), "{warning} in {log:?}");
        let said = nagios::line(status, warning);
        let said = said.split_once(" - ").expect("a status").1;
        assert!(line.contains(said), "{said} in {line}");
    }

    let need = |bound| metric(&format!("needed_sets{{bound=\"{bound}\"}}"));
    assert_eq!(need("at_least"), number(&json, "/need/at_least"));
    assert_eq!(need("at_most"), number(&json, "/need/at_most"));

    let Some(table) = &report.table else {
        assert!(json["capacity"].is_null() && figures.is_empty());
        assert!(!metrics.keys().any(|m| m.contains("free_sets")));
        return;
    };
    // The room.
    let free = number(&json, "/capacity/after/free_sets");
    assert_eq!((metric("free_sets"), figures["free"].0), (free, free));
    for (name, label, figure) in
        [("semmni", "sets", "sets"), ("semmns", "semaphores", "semaphores")]
    {
        let used = number(&json, &format!("/capacity/after/{label}"));
        assert_eq!(metric(&format!("used{{name=\"{name}\"}}")), used);
        let limit = number(&json, &format!("/capacity/limits/{name}"));
        assert_eq!(metric(&format!("limit{{name=\"{name}\"}}")), limit);
        let (value, warning, critical) = figures[figure];
        assert_eq!(value, used);
        // If a threshold is exceeded, the status shows it.
        let crossed = |threshold: Option<f64>| threshold.is_some_and(|t| value > t);
        if crossed(critical) {
            assert_eq!(status, Status::Critical, "{line}");
        }
        if crossed(warning) {
            assert_ne!(status, Status::Ok, "{line}");
        }
    }
    if starts && report.input.need.at_most > 0 {
        assert!(text.contains(&format!("; {free} of ")), "{text}");
    }

    // The sets, counted from the document's own rows.
    let rows = json["sets"].as_array().expect("sets");
    assert_eq!(rows.len(), table.rows.len());
    let gone = |row: &&Value| {
        !["removed", "already_gone", "would_remove"]
            .contains(&row["action"].as_str().expect("an action"))
    };
    let left: Vec<&Value> = rows.iter().filter(gone).collect();
    let mut kept = 0.0;
    for state in ["orphan", "in_use", "undecided", "not_httpd", "unknown"] {
        let of_state: Vec<&&Value> = left.iter().filter(|row| row["state"] == state).collect();
        assert_eq!(number(&json, &format!("/counts/left/{state}")), of_state.len() as f64);
        for owner in ["www-data", "postgres"] {
            let of_owner = of_state.iter().filter(|row| row["owner"]["name"] == owner).count();
            let name = format!("semaphore_sets{{owner=\"{owner}\",state=\"{state}\"}}");
            assert_eq!(metric(&name), of_owner as f64, "{name}");
        }
        if state == "orphan" {
            assert_eq!(figures["orphans"].0, of_state.len() as f64);
        } else {
            kept += of_state.len() as f64;
        }
    }
    assert_eq!((figures["kept"].0, number(&json, "/counts/kept")), (kept, kept));
    if starts && kept > 0.0 {
        assert!(text.contains(&format!("; {kept} kept")), "{text}");
    }
    for row in rows {
        assert_eq!(row["verdict"] == "orphan", row["state"] == "orphan");
        assert_eq!(row["verdict"] == "orphan", row["reason"].is_null());
    }
    // What was done.
    let done = |action| rows.iter().filter(|row| row["action"] == action).count();
    let removed = done("removed");
    assert_eq!(number(&json, "/counts/removed"), removed as f64);
    assert_eq!(number(&json, "/counts/would_remove"), done("would_remove") as f64);
    assert_eq!(number(&json, "/counts/refused"), done("refused") as f64);
    assert_eq!(refused, done("refused"));
    if report.command == Command::Guard {
        let of = |owner| metric(&format!("removed_sets{{owner=\"{owner}\"}}"));
        assert_eq!(of("www-data") + of("postgres"), removed as f64);
        let of = |owner| metric(&format!("refused_sets{{owner=\"{owner}\"}}"));
        assert_eq!(of("www-data") + of("postgres"), refused as f64);
    }
    if starts && removed > 0 {
        assert!(text.contains(&format!("; removed {removed} orphaned set")), "{text}");
    }
    let orphans = rows.iter().filter(|row| row["verdict"] == "orphan").count();
    assert_eq!(number(&json, "/counts/orphans"), orphans as f64);
    let announces = text.contains("\n    httpd-semguard guard\n");
    assert_eq!(announces, report.command == Command::Check && orphans > 0, "{text}");
    // Why some sets are undecided, and whether httpd was asked.
    let undecided = |why: &str| {
        let of = |owner| metric(&format!("undecided_sets{{owner=\"{owner}\",cause=\"{why}\"}}"));
        of("www-data") + of("postgres")
    };
    if report.table.is_some() {
        let causes = undecided("memory_unread") + undecided("memory_off");
        assert_eq!(causes, number(&json, "/counts/left/undecided"), "{json}");
    }
    let httpd = &json["httpd"];
    let asked = match (&httpd["control"], &httpd["error"]) {
        (Value::String(_), _) => "answered",
        (_, Value::String(why)) if why.contains("no httpd was found") => "not_found",
        (_, Value::String(_)) => "no_answer",
        _ => "not_asked",
    };
    for state in ["answered", "no_answer", "not_found", "not_asked"] {
        let is = metric(&format!("httpd_asked{{state=\"{state}\"}}"));
        assert_eq!(is, f64::from(u8::from(state == asked)), "{state}: {json}");
    }
    // What could not be seen.
    assert_eq!(metric("unreadable_sets"), number(&json, "/counts/unreadable"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_formats_never_contradict_each_other(plan in plan()) {
        agree(&report(&plan));
    }
}

#[test]
fn the_formats_agree_on_every_sample() {
    for (_, report) in samples::forecasts() {
        if report.input.need.source == httpd_semguard::facts::need::NeedSource::Asked {
            // Two owners, as in the random reports.
            let users =
                vec![guarded(samples::WWW, "www-data"), guarded(samples::POSTGRES, "postgres")];
            agree(&Report { users, ..report });
        }
    }
}

/// node_exporter accepts a series from one file only, and each instance has a file of its own.
#[test]
fn every_series_of_an_instance_has_its_name_and_is_otherwise_the_same() {
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let shop = || "shop".parse().ok();
    for (name, report) in samples::forecasts() {
        let plain = lines(&said(&report, Format::Prometheus));
        let named = said(&Report { instance: shop(), ..report }, Format::Prometheus);
        for (plain, named) in plain.iter().zip(lines(&named)) {
            let without = named.replace("{httpd=\"shop\",", "{").replace("{httpd=\"shop\"}", "");
            assert_ne!(&named, plain, "{name}");
            assert_eq!(&without, plain, "{name}");
        }
    }
    let error = Error::GuardedRoot;
    let mut out = Vec::new();
    let time = WallTime(0);
    let format = Format::Prometheus;
    report::write_error(&error, Command::Check, shop().as_ref(), time, format, &mut out)
        .expect("written");
    let lines = lines(&String::from_utf8(out).expect("utf-8"));
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.contains("{httpd=\"shop\"")), "{lines:?}");
}

/// The random reports include all kinds of results.
#[test]
fn the_random_reports_are_of_every_kind() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..500 {
        let plan = plan().new_tree(&mut runner).expect("a plan").current();
        let report = report(&plan);
        let state = match report.forecast {
            Some(Forecast::Starts) => "starts",
            Some(Forecast::AtRisk) => "at risk",
            _ => "fails",
        };
        *seen.entry((state, nagios::status(&report) as u8)).or_insert(0) += 1;
    }
    for kind in
        [("starts", 0), ("starts", 1), ("starts", 3), ("at risk", 1), ("at risk", 2), ("fails", 2)]
    {
        assert!(seen.get(&kind).is_some_and(|n| *n > 4), "{kind:?} in {seen:?}");
    }
}

pub(crate) fn random_reports(count: usize) -> Vec<Report> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut one = || report(&plan().new_tree(&mut runner).expect("a plan").current());
    (0..count).map(|_| one()).collect()
}
