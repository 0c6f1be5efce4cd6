//! Reading does not make anything grow, memory shared by many is read once, and none of it can be
//! obtained from the reader.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use httpd_semguard::facts::memory::{Budget, Extent, Request, Words};
use httpd_semguard::facts::set::SemId;
use nix::libc;

use crate::common::{skip, wait_until};
use crate::holder::{Holder, NUMBER, Wrapper, held, one, read, request};
use crate::require;

/// The figures in smaps that must not change, by mapping. (How much of its program is mapped may change,
/// because it is running.)
fn figures(holder: &Holder) -> BTreeMap<String, Vec<String>> {
    let mut figures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut mapping = String::new();
    for line in holder.proc("smaps").lines() {
        match line.split_whitespace().next().and_then(|w| w.strip_suffix(':')) {
            None => mapping = line.to_owned(),
            Some("Rss") if !mapping.contains(" 00:") => {}
            // The pages of a new file are dirty until the kernel writes them back. A private copy of a
            // page is Anonymous.
            Some("Private_Dirty" | "Shared_Dirty") if !mapping.contains(" 00:") => {}
            Some("Rss" | "Size" | "Swap" | "Private_Dirty" | "Shared_Dirty" | "Anonymous") => {
                figures.entry(mapping.clone()).or_default().push(line.to_owned());
            }
            Some(_) => {}
        }
    }
    assert!(figures.len() > 5);
    figures
}

/// The blocks in use of the shared memory mapped by this process, on the kernel's internal mount.
fn blocks_of_shared(holder: &Holder) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let maps = holder.proc("maps");
    let line = maps.lines().find(|l| l.contains("/dev/zero")).expect("shared memory");
    let mut range = line.split(' ').next().expect("addresses").split('-');
    let (start, end) = (range.next().expect("two"), range.next().expect("two"));
    let short = |s: &str| s.trim_start_matches('0').to_owned();
    let path = format!("/proc/{}/map_files/{}-{}", holder.pid, short(start), short(end));
    fs::metadata(path).expect("its file").blocks()
}

#[test]
fn a_process_does_not_grow_by_being_read() {
    require!();
    for place in ["heap", "shared-untouched", "protected", "sparse"] {
        let holder = Holder::new(place);
        let before = figures(&holder);
        assert!(held(&one(holder.pid, Words::AnyLanguage)), "{place}");
        let after = figures(&holder);
        let changed: Vec<_> = after.iter().filter(|(k, v)| before.get(*k) != Some(*v)).collect();
        assert!(changed.is_empty() && after.len() == before.len(), "{place}: {changed:?}");
    }
}

#[test]
fn holes_in_private_and_shared_memory_are_not_read() {
    require!("setpriv");
    let holder = Holder::new("sparse");
    let before = blocks_of_shared(&holder);
    let mut asked = request(&[holder.pid], Words::Plain);
    asked.budget.bytes = 64 << 20;
    for reader in ["", "setpriv --bounding-set -all,+sys_ptrace,+dac_read_search"] {
        let reading = Wrapper::new(reader).read(&asked).remove(0);
        assert!(held(&reading), "{reading:?}");
        assert_eq!(blocks_of_shared(&holder), before);
    }
}

/// Asks one of the owner's processes about the number of which the one they hold is a tagged form (2n+1),
/// and the other one about the number as it is.
fn mixed(both: &[i32; 2], asked: &Request) -> Request {
    let mut mixed = request(both, Words::AnyLanguage);
    mixed.budget = asked.budget;
    mixed.doubts[0].made_by_owner = false;
    mixed.doubts[0].sets = vec![SemId(NUMBER / 2)];
    mixed.suspects[1].asks[0].words = Words::Plain;
    mixed
}

/// The process and its child.
fn family(holder: &mut Holder) -> [i32; 2] {
    [holder.pid, holder.hear().expect("a child")]
}

#[test]
fn pages_that_two_processes_share_are_read_once_and_count_for_both() {
    require!();
    let mut holder = Holder::new("family");
    let both = family(&mut holder);
    let mut asked = request(&both, Words::Plain);
    asked.budget.bytes = 12 << 20;
    for reading in read(&asked) {
        assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
    }
    // A hit for a process that is searched more thoroughly is not attributed to the other.
    for reading in read(&mixed(&both, &asked)).iter().skip(1) {
        assert!(reading.holds.is_empty() && reading.extent == Extent::Full, "{reading:?}");
    }
    // If frame numbers are hidden, each is read separately.
    let blind = "setpriv --bounding-set -all,+sys_ptrace,+dac_read_search";
    asked.budget.bytes = 1 << 40;
    for reading in Wrapper::new(blind).read(&asked) {
        assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
    }
}

#[test]
fn a_number_that_only_a_worker_holds_is_found_besides_what_it_shares() {
    require!("setpriv");
    let mut holder = Holder::new("worker");
    let both = family(&mut holder);
    let child = both.iter().position(|p| *p == child_of(&both)).expect("one of them");
    // Also if frame numbers are hidden.
    let blind = "setpriv --bounding-set -all,+sys_ptrace,+dac_read_search";
    for reader in ["", blind] {
        let readings = Wrapper::new(reader).read(&request(&both, Words::Plain));
        for (i, reading) in readings.iter().enumerate() {
            assert_eq!(held(reading), i == child, "{reader}: {readings:?}");
            assert_eq!(reading.extent, Extent::Full, "{reader}");
        }
    }
}

/// Which of the two is the child of the other.
fn child_of(both: &[i32; 2]) -> i32 {
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let behind = stat.rsplit(')').next().expect("fields").to_owned();
        behind.split_whitespace().nth(1).and_then(|p| p.parse::<i32>().ok()).expect("a parent")
    };
    if parent(both[0]) == both[1] { both[0] } else { both[1] }
}

/// A reader under this command line, which waits for its request.
fn reader(wrapper: &[&str]) -> Child {
    let words = [wrapper, &[env!("CARGO_BIN_EXE_httpd-semguard"), "__read-memory"]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("it runs")
}

/// So few capabilities that root may not look into a process that cannot be dumped.
const FEW: [&str; 5] = ["setpriv", "--bounding-set", "-all,+dac_read_search", "--inh-caps", "-all"];

/// Whether root with only these capabilities may not look into a process.
fn is_closed(pid: &str) -> bool {
    let look = format!("head -c 1 /proc/{pid}/environ >/dev/null 2>&1");
    let status = Command::new(FEW[0]).args(&FEW[1..]).args(["sh", "-c", &look]).status();
    !status.expect("setpriv runs").success()
}

#[test]
fn a_reader_cannot_be_dumped_or_looked_into_from_before_it_reads() {
    require!("strace", "setpriv");
    let held = [crate::holder::program().to_str().expect("UTF-8"), "heap", "0"];
    let holder = Holder::of(Command::new(FEW[0]).args(&FEW[1..]).args(held)).expect("it is ready");
    assert!(!is_closed(&holder.pid.to_string()), "the control must be readable");
    // Stopped at its first read of the other process's memory.
    let mem = format!("/proc/{}/mem", holder.pid);
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", &mem, "-e"];
    let held = ["inject=pread64:delay_enter=600s:when=1"];
    let mut strace = reader(&[&strace[..], &held, &FEW].concat());
    let text = format!("10000000 1000000000 1\nroot {}\npid {} 0.\nend\n", NUMBER, holder.pid);
    let mut input = strace.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let mut line = String::new();
    let mut out = BufReader::new(strace.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("read");
    assert_eq!(line, "at 0\n");
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let pid = fs::read_to_string(children).expect("its children").trim().to_owned();
    let inside = format!("{} ", libc::SYS_pread64);
    wait_until("it is inside the read", || {
        fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|s| s.starts_with(&inside))
    });
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let closed = is_closed(&pid);
    let _ = Command::new("kill").args(["-KILL", &pid]).status();
    let _ = strace.kill();
    let _ = strace.wait();
    assert!(closed, "root can look into it");
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).expect("a line");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[test]
fn a_reader_ends_with_its_caller() {
    require!();
    let script = "exec 3<&0; \"$@\" <&3 & echo $!; exec 3<&-; wait";
    let mut caller = reader(&["sh", "-c", script, "sh"]);
    let mut line = String::new();
    let mut out = BufReader::new(caller.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("read");
    let stat = format!("/proc/{}/stat", line.trim());
    let reads = format!("/proc/{}/syscall", line.trim());
    wait_until("it waits for its request", || {
        fs::read_to_string(&reads).is_ok_and(|s| s.starts_with("0 0x0 "))
    });
    caller.kill().expect("killed");
    // Its standard input is still open.
    let input = caller.stdin.take();
    caller.wait().expect("waited");
    wait_until("it has ended", || {
        fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z ") || s.contains(") X "))
    });
    drop(input);
}

/// Run by hand: `cargo test --release --test memory -- --ignored --nocapture speed`.
#[test]
#[ignore = "measures, asserts no time"]
fn speed_of_a_gigabyte() {
    require!();
    let holder = Holder::with("large", &["1024"]);
    for (sets, step, words) in [
        (2, 7, Words::Plain),
        (1000, 7, Words::Plain),
        (1000, 1_000_003, Words::Plain),
        (2, 7, Words::AnyLanguage),
        (1000, 7, Words::AnyLanguage),
    ] {
        let mut asked = request(&[holder.pid], words);
        asked.doubts[0].sets = (0..sets).map(|i| SemId(40_000 + i * step)).collect();
        asked.doubts[0].made_by_owner = false;
        asked.budget = Budget { bytes: 1 << 40, ..asked.budget };
        let began = std::time::Instant::now();
        let reading = read(&asked).remove(0);
        let took = began.elapsed();
        assert_eq!(reading.extent, Extent::Full);
        let speed = 1.0737 / took.as_secs_f64();
        let line = format!("{sets} sets {step} apart, {words:?}: {took:?}, {speed:.2} GB/s\n");
        std::io::stderr().write_all(line.as_bytes()).expect("written");
    }
    if holder.proc("smaps").is_empty() {
        skip("it ended");
    }
}
