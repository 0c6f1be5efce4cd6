//! The checks of the fuzz targets (tests/checks), for a few seconds and without nightly Rust: with random
//! bytes, with damaged copies of recorded dumps, and with every input that was worth keeping
//! (tests/corpus). `make fuzz` runs them for longer. The random numbers are the same in every run;
//! `FUZZ_SEED=N` selects others.

mod checks;
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use checks::judge::Case;
use common::{Folder, path};
use httpd_semguard::facts::evidence::Who;
use httpd_semguard::facts::verdict::{Reason, Verdict};
use httpd_semguard::look::httpd::dump;
use proptest::prelude::{Rng, RngCore};
use proptest::test_runner::{RngAlgorithm, TestRng};

/// How long one check may take, and the maximum number of its inputs.
const PATIENCE: Duration = Duration::from_millis(700);
const INPUTS: usize = 40_000;

/// Random numbers determined by `FUZZ_SEED`, different for each use.
fn random(of: u64) -> TestRng {
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1_u64);
    let seed = [seed.to_le_bytes(), (of + 1).to_le_bytes()].concat();
    TestRng::from_seed(RngAlgorithm::XorShift, &seed)
}

fn bytes(random: &mut TestRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..most)];
    random.fill_bytes(&mut bytes);
    bytes
}

/// The files in a directory; none if it does not exist.
fn files(dir: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(path(dir)) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|e| e.expect("an entry").path())
        .map(|p| (p.display().to_string(), fs::read(&p).expect("its content")))
        .collect();
    files.sort();
    files
}

fn recorded() -> Vec<(String, Vec<u8>)> {
    let dumps = files("tests/dumps");
    assert!(dumps.len() > 20, "the recorded dumps are missing");
    dumps
}

/// Runs checks, reports where each of them fails first, and then fails. The input that caused a failure
/// is kept: `cargo fuzz run NAME FILE` runs it again.
#[derive(Default)]
struct Broken(BTreeMap<&'static str, String>);

impl Broken {
    fn run(&mut self, (name, check): (&'static str, checks::Check), input: &[u8]) {
        if self.0.contains_key(name) || std::panic::catch_unwind(|| check(input)).is_ok() {
            return;
        }
        let file = std::env::temp_dir().join(format!("semguard-{name}-{}", std::process::id()));
        fs::write(&file, input).expect("the input is kept");
        self.0.insert(name, file.display().to_string());
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        assert!(
            self.0.is_empty() || std::thread::panicking(),
            "failed, with these inputs: {:#?}",
            self.0
        );
    }
}

/// One instance of damage, as caused by a pipe, a module or an attacker.
fn damage(text: &mut Vec<u8>, random: &mut TestRng) {
    const PIECES: [&[u8]; 16] = [
        b"\n",
        b"\"",
        b"'",
        b"\\",
        b"\0",
        b"<",
        b"</",
        b">",
        b": ",
        b"\xff",
        b" id=",
        b"_module (",
        b"ServerRoot: \"/x\"\n",
        b"# In file: /x\n",
        b"4294967296",
        b"balancer://",
    ];
    let at = random.random_range(0..=text.len());
    let rest = text.len() - at;
    match random.random_range(0..6) {
        0 => text.truncate(at),
        1 => {
            let count = random.random_range(0..=rest.min(200));
            text.drain(at..at + count);
        }
        2 => {
            let count = random.random_range(0..=rest.min(200));
            let copy = text[at..at + count].to_vec();
            let to = random.random_range(0..=text.len());
            text.splice(to..to, copy);
        }
        3 if rest > 0 => text[at] = random.random(),
        4 if rest > 0 => text[at] ^= 0x20,
        _ => {
            text.splice(at..at, PIECES[random.random_range(0..PIECES.len())].iter().copied());
        }
    }
}

#[test]
fn every_check_holds_for_every_input_that_was_worth_keeping() {
    let mut broken = Broken::default();
    for (name, check) in checks::ALL {
        for (_, input) in files(&format!("tests/corpus/{name}")).into_iter().chain(recorded()) {
            broken.run((name, check), &input);
        }
    }
    for dir in files_and_dirs("tests/corpus") {
        assert!(checks::ALL.iter().any(|(name, _)| *name == dir), "there is no check called {dir}");
    }
}

fn files_and_dirs(dir: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path(dir)) else { return Vec::new() };
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_check_holds_for_random_bytes() {
    let mut broken = Broken::default();
    for (salt, check) in checks::ALL.into_iter().enumerate() {
        let mut random = random(salt as u64);
        let began = Instant::now();
        for _ in 0..INPUTS {
            broken.run(check, &bytes(&mut random, 300));
            if began.elapsed() > PATIENCE {
                break;
            }
        }
    }
}

#[test]
fn every_check_holds_for_damaged_dumps_of_a_real_httpd() {
    let dumps = recorded();
    let mut broken = Broken::default();
    let mut random = random(99);
    let began = Instant::now();
    for round in 0..INPUTS {
        let mut text = dumps[round % dumps.len()].1.clone();
        for _ in 0..random.random_range(1..9) {
            damage(&mut text, &mut random);
        }
        for check in checks::ALL {
            if ["dump", "settings", "words", "complaint"].contains(&check.0) {
                broken.run(check, &text);
            }
        }
        if began.elapsed() > 2 * PATIENCE {
            break;
        }
    }
}

/// The cases generated from the bytes are useful: every row of the verdict table decides some of them,
/// and many are orphans while other processes are running.
#[test]
fn the_random_evidence_reaches_every_row_of_the_verdict_table() {
    let mut random = random(7);
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..80_000 {
        let case = Case::new(&bytes(&mut random, 300));
        let row = match case.verdict() {
            Verdict::Ask => "memory is asked for",
            Verdict::Orphan if case.processes.is_empty() => "orphan, nobody alive",
            Verdict::Orphan => match case.evidence.last().map(|last| &last.who) {
                Some(Who::Living(_)) => "orphan, its last pid a recycled number",
                _ if case.set.cuid.is_root() => "orphan beside the living",
                _ => "orphan of its owner's beside the living",
            },
            Verdict::Keep(reason) => match reason {
                Reason::NotHttpds(_) => "not httpd's",
                Reason::Blind(_) => "blind",
                Reason::Waiters { .. } => "waiters",
                Reason::Locked { .. } => "locked",
                Reason::Unseen => "unseen",
                Reason::JustMade(_) => "just created",
                Reason::LastPidLives(_) => "last pid lives",
                Reason::KnownTo(_) => "known",
                Reason::MayBeKnownTo(..) => "may be known",
            },
        };
        *rows.entry(row).or_default() += 1;
    }
    assert_eq!(rows.len(), 14, "{rows:?}");
    assert!(rows.values().all(|n| *n > 20), "{rows:?}");
}

/// The time is linear: ten times as many virtual hosts take little more than ten times as long, and httpd
/// may print 32 MiB of them at most.
#[test]
fn a_dump_of_a_thousand_virtual_hosts_is_read_quickly() {
    let (_, base) = recorded().into_iter().find(|(n, _)| n.contains("ssl-stapling")).expect("one");
    let base = String::from_utf8(base).expect("text");
    let (front, back) = base.split_once("ServerRoot: ").expect("DUMP_RUN_CFG");
    let mut text = front.to_owned();
    for n in 0..1_000 {
        text += &format!(
            "<VirtualHost *:443>\n  #  1:\n  ServerName h{n}.example\n  SSLEngine on\n  \
             SSLUseStapling on\n  <Location /a>\n    ProxyPass balancer://b{n}/\n  </Location>\n  \
             <Proxy balancer://b{n}>\n    BalancerMember http://127.0.0.1:1\n  </Proxy>\n\
             </VirtualHost>\n"
        );
    }
    text += &format!("ServerRoot: {back}");
    let began = Instant::now();
    let read = dump::parse(&text);
    let demand = httpd_semguard::decide::demand::demand(&read, None, &Default::default());
    assert!(!demand.rows.is_empty());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Runs what `make fuzz` runs, with substitutes for the tools it needs; `cargo` is this script.
fn make_fuzz(folder: &Folder, cargo: &str, others: &[&str]) -> Output {
    folder.program("cargo", format!("#!/bin/sh\n{cargo}\n").as_bytes());
    for name in others {
        folder.program(name, b"#!/bin/sh\n");
    }
    Command::new(path("fuzz/run.sh"))
        .arg(folder.0.join("fuzz"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.0.display()))
        .env("FUZZ_SECONDS", "7")
        .output()
        .expect("it runs")
}

#[test]
fn make_fuzz_runs_each_check_from_its_corpus() {
    let folder = Folder::new("fuzz-runs");
    let script = "[ \"$2\" = --version ] || echo \"$@\"";
    let output = make_fuzz(&folder, script, &["cargo-fuzz", "c++"]);
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ran.lines().count(), checks::ALL.len(), "{ran}");
    let manifest = fs::read_to_string(path("fuzz/Cargo.toml")).expect("fuzz/Cargo.toml");
    for ((name, _), line) in checks::ALL.iter().zip(ran.lines()) {
        let dir = folder.0.join("fuzz");
        let own = format!("fuzz run --target-dir {0} {name} {0}/corpus/{name}", dir.display());
        let corpus = format!("{own} tests/corpus/{name} tests/dumps -- -max_total_time=7 ");
        assert!(line.contains(&corpus), "{line}");
        let program = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&program), "fuzz/Cargo.toml has no {name}");
        let target = fs::read_to_string(path(&format!("fuzz/fuzz_targets/{name}.rs"))).expect(name);
        assert!(target.contains(&format!("{name}(data)")), "{target}");
    }
}

#[test]
fn make_fuzz_ends_with_the_first_input_that_breaks_a_promise() {
    let script = "[ \"$2\" = --version ] || { echo \"$6\"; exit 77; }";
    let output = make_fuzz(&Folder::new("fuzz-broken"), script, &["cargo-fuzz", "c++"]);
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn make_fuzz_names_what_is_missing_and_fails() {
    let script = "[ \"$1\" = --version ] && echo cargo 1.85.0";
    let output = make_fuzz(&Folder::new("fuzz-missing"), script, &["c++"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for missing in ["nightly Rust (rustup toolchain install nightly)", "cargo-fuzz ("] {
        assert!(said.contains(&format!("make fuzz: missing: {missing}")), "{said}");
    }
    assert!(!said.contains("C++"), "{said}");
}
