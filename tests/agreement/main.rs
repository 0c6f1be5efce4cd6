//! The guard's forecast, compared with a real httpd: for each random combination, the guard says what
//! will happen, then httpd is started. A false alarm, a miss or a "may not start" is a failure. `make
//! agreement N=5000 SEED=7` runs any number of cases; AGREEMENT_CASE=N shows one of them;
//! AGREEMENT_WORDS=1 shows those in which httpd logged a line other than the forecast one.

#[path = "../common/mod.rs"]
mod common;

mod combination;
mod random;
mod server;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use combination::{Combination, Limit, Locks, Shm};
use common::{Namespace, Run};
use server::{Need, Outcome, Start, World};

/// Room for everything.
const ROOMY: &str = "250 32000 32 128";

const CONF: [&str; 2] = ["-f", "/run/t/httpd.conf"];

/// What the guard said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Starts,
    AtRisk,
    Fails,
    /// httpd rejects its configuration, and the guard says so.
    Refused,
    /// Anything else.
    Nonsense,
}

impl Said {
    fn of(run: &Run) -> Said {
        let says = |text: &str| run.err.contains(text);
        match run.code {
            Some(69) if says("httpd would not start") && !says("httpd may not start") => {
                Said::Fails
            }
            Some(0) if says("could not ask httpd") => Said::Refused,
            Some(0) if says("httpd may not start") => Said::AtRisk,
            Some(0) if !says("httpd would not start") => Said::Starts,
            _ => Said::Nonsense,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Said::Starts => "starts",
            Said::AtRisk => "at risk",
            Said::Fails => "fails",
            Said::Refused => "httpd refuses",
            Said::Nonsense => "nonsense",
        })
    }
}

/// One case, from start to finish.
struct Case {
    number: u64,
    world: World,
    combination: Combination,
    needs: Vec<Need>,
    scarcity: String,
    asked: Run,
    check: Run,
    said: Said,
    start: Start,
}

impl Case {
    fn run(seed: u64, number: u64) -> Case {
        let mut c = Combination::new(seed, number);
        let ns = Namespace::new(ROOMY);
        server::furnish(&ns);
        // In every other case.
        let world = if number % 2 == 0 { World::Debian } else { World::SysVSem };
        server::enter(&ns, world);
        ns.write("httpd.conf", &c.config);
        ns.write("hosts.conf", &c.included);
        let asked = server::ask(&ns, &["check", "-v"], c.control, &CONF);
        let needs = server::needs(&asked);
        if c.orphans > 0 {
            ns.orphans(c.orphans, common::WWW);
        }
        let scarcity = make_scarce(&mut c, &needs);
        ns.sh(&format!("set -e\n{scarcity}")).exits(0);
        let check = server::ask(&ns, &["check", "-q"], c.control, &CONF);
        let start = server::start(&ns, c.control, &CONF);
        let said = Said::of(&check);
        Case { number, world, combination: c, needs, scarcity, asked, check, said, start }
    }

    fn need(&self, mechanism: &str) -> i64 {
        need(&self.needs, |m| m == mechanism)
    }

    /// What is wrong with it, if anything.
    fn complaint(&self) -> Option<String> {
        let outcome = self.start.outcome;
        let for_want_of_a_lock =
            ["AH00023", "Invalid Mutex directory"].iter().any(|s| self.start.said.contains(s));
        if self.combination.refused {
            return match (self.said, outcome, for_want_of_a_lock) {
                (Said::Refused, Outcome::Dead, false) => None,
                // There may be two reasons for a refusal.
                (Said::Fails, Outcome::Dead, true) => None,
                _ => Some("httpd was to refuse this, and the guard to say so".into()),
            };
        }
        let complaint = match (self.said, outcome) {
            (Said::Starts, Outcome::Serves) => {
                let forecast = self.need("sysvsem");
                if self.start.sets == forecast {
                    return None;
                }
                format!("it made {} sets, the forecast was {forecast}", self.start.sets)
            }
            (Said::Fails, Outcome::Dead) if for_want_of_a_lock => return None,
            (_, Outcome::Dead) if !for_want_of_a_lock => {
                "httpd died of something that is no lock: the test's own fault".into()
            }
            (Said::Fails, Outcome::Serves) => "FALSE ALARM".into(),
            (Said::Starts, Outcome::Dead) => "MISS".into(),
            (_, Outcome::Stuck) => "httpd neither serves nor is dead".into(),
            _ => "no clear answer".into(),
        };
        Some(complaint)
    }

    /// The line in which httpd logged why it exited, and whether the guard said the same.
    fn same_words(&self) -> Option<bool> {
        let line = |text: &str| {
            let (before, after) = text.split_once(": AH00023: Couldn't create the ")?;
            let error = &before[before.rfind('(')?..];
            Some((error.to_owned(), after.split_whitespace().next()?.to_owned()))
        };
        (self.said == Said::Fails).then_some(())?;
        Some(line(&self.start.said)? == line(&self.check.err)?)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.combination;
        writeln!(f, "{:?}, {} then:\n{}", self.world, c.control, self.scarcity)?;
        writeln!(f, "-- httpd.conf\n{}-- hosts.conf\n{}", c.config, c.included)?;
        writeln!(f, "-- check -v with room for all: {}", self.asked)?;
        writeln!(f, "-- check: {}: {}", self.said, self.check)?;
        let s = &self.start;
        write!(f, "-- start: {:?}, exit {}, {} sets\n{}", s.outcome, s.code, s.sets, s.said)
    }
}

fn need(needs: &[Need], of: impl Fn(&str) -> bool) -> i64 {
    needs.iter().filter(|n| of(&n.mechanism)).map(|n| n.most).sum()
}

/// The commands that leave httpd as much room as the combination says.
fn make_scarce(c: &mut Combination, needs: &[Need]) -> String {
    let mut script = String::new();
    let files = need(needs, |m| m == "fcntl" || m == "flock");
    let dir = c.lock_dir;
    match c.locks {
        Locks::Fine => {}
        Locks::Scarce => {
            // One for the directory itself.
            let inodes = 1 + about(&mut c.random, files);
            let _ = writeln!(script, "mount -t tmpfs -o mode=755,nr_inodes={inodes} tmpfs {dir}");
        }
        Locks::ReadOnly => {
            let _ = writeln!(script, "mount -t tmpfs -o ro tmpfs {dir}");
        }
        Locks::Absent => {
            let _ = writeln!(script, "rm -r {dir}");
        }
        Locks::NoDirectory => {
            let _ = writeln!(script, "rmdir {dir}; touch {dir}");
        }
    }
    let semaphores = need(needs, |m| m == "posixsem");
    let shm = "mount -t tmpfs -o mode=1777";
    match c.shm {
        Shm::Fine => {}
        Shm::ScarcePages => {
            let pages = 1 + about(&mut c.random, semaphores);
            let _ = writeln!(script, "{shm},size={} tmpfs /dev/shm", pages * 4096);
            let _ = writeln!(script, "echo full >/dev/shm/other");
        }
        Shm::ScarceInodes => {
            // One more for the directory itself.
            let inodes = 1 + about(&mut c.random, semaphores + 1);
            let _ = writeln!(script, "{shm},nr_inodes={inodes} tmpfs /dev/shm");
        }
        Shm::ReadOnly => {
            let _ = writeln!(script, "{shm},ro tmpfs /dev/shm");
        }
    }
    for semaphores in &c.strangers {
        let _ = writeln!(script, "ipcmk -S {semaphores} >/dev/null");
    }
    let used = c.strangers.len() + c.orphans;
    let semaphores = c.strangers.iter().sum::<usize>() + c.orphans;
    let free = usize::try_from(about(&mut c.random, need(needs, |m| m == "sysvsem")))
        .expect("not negative");
    let spare = 1 + c.random.below(40);
    let (semmni, semmns, semmsl) = match c.limit {
        Limit::Semmni => (used + free, semaphores + free + spare, 250),
        Limit::Semmns => (used + free + spare, semaphores + free, 250),
        Limit::Both => (used + free, semaphores + free, 1),
        Limit::Semmsl => (used + free + spare, semaphores + free + spare, 0),
    };
    let _ = writeln!(script, "echo {semmsl} {semmns} 32 {semmni} >/proc/sys/kernel/sem");
    script
}

/// A number from 0 to one more than needed, mostly close to what is needed.
fn about(random: &mut random::Random, needed: i64) -> i64 {
    match random.below(10) {
        0..3 => needed,
        3..6 => (needed - 1).max(0),
        6 => needed + 1,
        _ => random.below(usize::try_from(needed + 2).expect("never negative")) as i64,
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|v| !v.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

#[test]
fn the_forecast_agrees_with_a_real_httpd() {
    require!("apache2", "openssl", "ipcmk", "bash", "cc");
    let seed = variable("AGREEMENT_SEED").unwrap_or(1);
    let one = variable("AGREEMENT_CASE");
    let count = variable("AGREEMENT_N").unwrap_or(300);
    let numbers = match one {
        Some(number) => number..number + 1,
        None => 0..count,
    };
    let began = Instant::now();
    let next = AtomicU64::new(numbers.start);
    let tally: Mutex<BTreeMap<(World, Said, bool), u64>> = Mutex::new(BTreeMap::new());
    let words: Mutex<(u64, u64)> = Mutex::new((0, 0));
    let bad: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !numbers.contains(&number) {
                return;
            }
            let case = Case::run(seed, number);
            let served = case.start.outcome == Outcome::Serves;
            let key = (case.world, case.said, served);
            *tally.lock().expect("whole").entry(key).or_default() += 1;
            if let Some(same) = case.same_words() {
                let mut words = words.lock().expect("whole");
                *(if same { &mut words.0 } else { &mut words.1 }) += 1;
            }
            let other_words =
                std::env::var_os("AGREEMENT_WORDS").is_some() && case.same_words() == Some(false);
            let show = one.is_some() || other_words;
            let complaint = case.complaint();
            if let Some(complaint) = &complaint {
                let report =
                    format!("== seed {seed}, case {number}: {complaint}\n{} {case}", case.number);
                bad.lock().expect("whole").push(report);
            } else if show {
                let _ = writeln!(std::io::stderr(), "== {number} {case}");
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let tally = tally.into_inner().expect("whole");
    let mut matrix = format!("agreement, seed {seed}:\n");
    for (world, name) in [(World::Debian, "pthread"), (World::SysVSem, "sysvsem")] {
        let _ = writeln!(matrix, "APR's default {name}\n{:15}{:>9}{:>9}", "", "served", "died");
        for said in [Said::Starts, Said::AtRisk, Said::Fails, Said::Refused, Said::Nonsense] {
            let of = |served| tally.get(&(world, said, served)).copied().unwrap_or(0);
            let _ = writeln!(matrix, "{said:15}{:>9}{:>9}", of(true), of(false));
        }
    }
    let total: u64 = tally.values().sum();
    let (same, other) = words.into_inner().expect("whole");
    let _ = writeln!(
        matrix,
        "{total} cases in {:.0?}; the line that httpd wrote was forecast {same} of {} times",
        began.elapsed(),
        same + other
    );
    let _ = std::io::stderr().write_all(matrix.as_bytes());
    let bad = bad.into_inner().expect("whole");
    let shown: Vec<&str> = bad.iter().take(20).map(String::as_str).collect();
    assert!(bad.is_empty(), "{} of {total} disagree\n{}", bad.len(), shown.join("\n"));
    assert_eq!(total, numbers.end - numbers.start);
}
