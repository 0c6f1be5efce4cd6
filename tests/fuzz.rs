//! The checks of the fuzz targets (tests/checks) for a few seconds, without nightly Rust: on
//! random bytes, on recorded dumps that were damaged, and on every input that was worth keeping
//! (tests/corpus). `make fuzz` runs them for long. The random numbers are the same in every run;
//! `FUZZ_SEED=N` takes others.

mod checks;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use checks::judge::Case;
use httpd_semguard::facts::evidence::Who;
use httpd_semguard::facts::verdict::{Reason, Verdict};
use httpd_semguard::look::httpd::dump;

/// How long one check may go on, and how many inputs it takes at most.
const PATIENCE: Duration = Duration::from_millis(700);
const INPUTS: usize = 40_000;

/// xorshift64* (Vigna): good enough to damage text.
struct Random(u64);

impl Random {
    fn new(salt: u64) -> Random {
        let seed = std::env::var("FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
        Random((seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| self.next() as u8).collect()
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a directory; none where there is no such directory.
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
    assert!(dumps.len() > 20, "the recorded dumps are gone");
    dumps
}

/// Runs checks, tells where each fails first, and fails with all of them. The input that did it is
/// kept: `cargo fuzz run NAME FILE` runs it again.
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
        assert!(self.0.is_empty() || std::thread::panicking(), "broken, by input: {:#?}", self.0);
    }
}

/// One piece of damage of the sort that a pipe, a module or an attacker does.
fn damage(text: &mut Vec<u8>, random: &mut Random) {
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
    let at = random.below(text.len() + 1);
    let rest = text.len() - at;
    match random.below(6) {
        0 => text.truncate(at),
        1 => {
            let count = random.below(rest.min(200));
            text.drain(at..at + count);
        }
        2 => {
            let count = random.below(rest.min(200));
            let copy = text[at..at + count].to_vec();
            let to = random.below(text.len());
            text.splice(to..to, copy);
        }
        3 if rest > 0 => text[at] = random.next() as u8,
        4 if rest > 0 => text[at] ^= 0x20,
        _ => {
            text.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied());
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
        assert!(checks::ALL.iter().any(|(name, _)| *name == dir), "no check is called {dir}");
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
        let mut random = Random::new(salt as u64);
        let began = Instant::now();
        for _ in 0..INPUTS {
            broken.run(check, &random.bytes(300));
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
    let mut random = Random::new(99);
    let began = Instant::now();
    for round in 0..INPUTS {
        let mut text = dumps[round % dumps.len()].1.clone();
        for _ in 0..=random.below(8) {
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

/// The cases that the bytes make are no waste: every row of the verdict table decides some, and
/// many are orphans with living processes around.
#[test]
fn the_random_evidence_reaches_every_row_of_the_verdict_table() {
    let mut random = Random::new(7);
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..80_000 {
        let case = Case::new(&random.bytes(300));
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
                Reason::JustMade(_) => "just made",
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

/// Not by the size of a dump alone: ten times the virtual hosts take little more than ten times
/// as long, and 32 MiB of them are the most that httpd may print.
#[test]
fn a_dump_of_a_thousand_virtual_hosts_is_read_at_once() {
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
