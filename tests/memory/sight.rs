//! What a reader is not allowed to see is reported.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use httpd_semguard::facts::memory::{Extent, Gap, ProcFile, Words};
use httpd_semguard::look::memory;
use nix::errno::Errno;

use crate::common::skip;
use crate::holder::{Holder, Wrapper, held, one_under, request};
use crate::require;

/// All the capabilities that the reader needs.
const ENOUGH: &str = "sys_ptrace,+sys_admin,+dac_read_search";

fn with_only(capabilities: &str) -> String {
    format!("setpriv --bounding-set -all,+{capabilities} --inh-caps -all --no-new-privs")
}

#[test]
fn three_capabilities_are_enough() {
    require!("setpriv");
    let own = Holder::new("shared-untouched");
    let reading = one_under(&with_only(ENOUGH), own.pid, Words::Plain);
    assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
}

#[test]
fn without_the_right_to_trace_another_users_process_is_refused_and_that_is_reported() {
    require!("setpriv", "perl");
    let user = ["--reuid", "1234", "--regid", "1234", "--clear-groups", "perl", "-e"];
    let text = "$| = 1; print \"ready $$\\n\"; sleep 600 while 1";
    let holder = Holder::of(Command::new("setpriv").args(user).arg(text)).expect("it is ready");
    let full = one_under(&with_only(ENOUGH), holder.pid, Words::Plain);
    assert_eq!(full.extent, Extent::Full, "{full:?}");
    let reading = one_under(&with_only("sys_admin,+dac_read_search"), holder.pid, Words::Plain);
    assert_eq!(reading.extent, Extent::Part(Gap::Refused(ProcFile::Mem, Errno::EACCES)));
    assert!(reading.holds.is_empty());
}

#[test]
fn a_refusal_of_any_file_leaves_doubt() {
    require!("strace");
    let holder = Holder::new("heap");
    for (file, told) in [
        ("mem", ProcFile::Mem),
        ("maps", ProcFile::Maps),
        ("smaps", ProcFile::Maps),
        ("pagemap", ProcFile::Pagemap),
    ] {
        for errno in ["EPERM", "EACCES", "EIO", "ENOMEM"] {
            let path = format!("/proc/{}/{file}", holder.pid);
            let wrapper =
                format!("strace -qq -o /dev/null -P {path} -e inject=openat:error={errno}");
            let reading = one_under(&wrapper, holder.pid, Words::Plain);
            let Extent::Part(Gap::Refused(which, e)) = reading.extent else {
                panic!("{file} {errno}: {reading:?}");
            };
            assert_eq!((which, format!("{e:?}").as_str()), (told, errno));
        }
    }
}

#[test]
fn memory_that_reads_as_nothing_or_fails_is_never_taken_for_empty() {
    require!("strace");
    let holder = Holder::new("heap");
    let mem = format!("/proc/{}/mem", holder.pid);
    let pagemap = format!("/proc/{}/pagemap", holder.pid);
    let maps = format!("/proc/{}/maps", holder.pid);
    let faults = [
        (mem.as_str(), "pread64:retval=0"),
        (mem.as_str(), "pread64:error=EIO"),
        (mem.as_str(), "pread64:error=EFAULT"),
        (mem.as_str(), "pread64:error=ESRCH"),
        (mem.as_str(), "pread64:error=EPERM"),
        (pagemap.as_str(), "pread64:retval=0"),
        (pagemap.as_str(), "pread64:error=EPERM"),
        (maps.as_str(), "read:retval=0"),
        (maps.as_str(), "read:error=EIO"),
        (maps.as_str(), "read:error=ESRCH"),
        (maps.as_str(), "openat:error=ESRCH"),
        (mem.as_str(), "openat:error=ENOENT"),
    ];
    for (path, fault) in faults {
        // In the directory of the process and in that of its thread.
        let task = path.replace(
            &format!("/{}/", holder.pid),
            &format!("/{}/task/{}/", holder.pid, holder.pid),
        );
        let wrapper = format!("strace -qq -o /dev/null -P {path} -P {task} -e inject={fault}");
        let reading = one_under(&wrapper, holder.pid, Words::Plain);
        assert!(matches!(reading.extent, Extent::Part(_)), "{path} {fault}: {reading:?}");
        assert!(reading.holds.is_empty(), "{path} {fault}: {reading:?}");
    }
}

#[test]
fn after_a_temporary_error_the_page_is_read_again() {
    require!("strace");
    let holder = Holder::new("heap");
    let path = format!("/proc/{}/mem", holder.pid);
    // In each of the reads in turn.
    let faults = ["retval=0", "error=EIO", "error=ESRCH"];
    for (nth, fault) in (2..9).flat_map(|nth| faults.map(|fault| (nth, fault))) {
        let fault = format!("pread64:{fault}:when={nth}");
        let wrapper = format!("strace -qq -o /dev/null -P {path} -e inject={fault}");
        let reading = one_under(&wrapper, holder.pid, Words::Plain);
        assert!(held(&reading) && reading.extent == Extent::Full, "{fault}: {reading:?}");
    }
}

#[test]
fn without_cap_sys_admin_shared_memory_is_unseen_unless_all_of_it_is_mapped() {
    require!("setpriv");
    let without = with_only("sys_ptrace,+dac_read_search");
    let holder = Holder::new("shared-untouched");
    let reading = one_under(&without, holder.pid, Words::Plain);
    assert_eq!(reading.extent, Extent::Part(Gap::SharedUnseen), "{reading:?}");
    assert!(reading.holds.is_empty());
    // Private memory is read nevertheless, and so is what is mapped.
    for place in ["heap", "shared"] {
        let reading = one_under(&without, Holder::new(place).pid, Words::Plain);
        assert!(held(&reading), "{place}: {reading:?}");
        let full = if place == "heap" { Extent::Full } else { Extent::Part(Gap::SharedUnseen) };
        assert_eq!(reading.extent, full, "{place}");
    }
}

#[test]
fn a_page_that_no_other_process_may_read_leaves_doubt() {
    require!();
    let Some(holder) = Holder::try_with("secret", &[]) else {
        skip("this kernel has no memfd_secret(2)");
        return;
    };
    let reading = crate::holder::one(holder.pid, Words::Plain);
    assert_eq!(reading.extent, Extent::Part(Gap::Unreadable(Errno::EIO)), "{reading:?}");
}

#[test]
fn a_few_open_files_are_enough_for_many_processes() {
    require!();
    let holders: Vec<Holder> = (0..12).map(|_| Holder::new("heap")).collect();
    let pids: Vec<i32> = holders.iter().map(|h| h.pid).collect();
    let wrapper = Wrapper::new("prlimit --nofile=24");
    for reading in wrapper.read(&request(&pids, Words::AnyLanguage)) {
        assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
    }
}

#[test]
fn a_reader_that_is_blocked_is_abandoned_and_the_others_are_read() {
    require!("strace");
    let (first, second) = (Holder::new("nowhere"), Holder::new("heap"));
    let mem = format!("/proc/{}/mem", first.pid);
    let wrapper = Wrapper::new(&format!(
        "strace -qq -o /dev/null -P {mem} -e inject=pread64:delay_enter=600s:when=3"
    ));
    let mut request = request(&[first.pid, second.pid], Words::Plain);
    request.budget.time = Duration::from_secs(20);
    let readings = wrapper.read(&request);
    assert_eq!(readings[0].extent, Extent::Part(Gap::HeldUp));
    assert!(held(&readings[1]) && readings[1].extent == Extent::Full, "{readings:?}");
}

#[test]
fn a_reader_that_is_killed_or_prints_nonsense_leaves_doubt() {
    require!("strace");
    let holder = Holder::new("heap");
    for (wrapper, gap) in [
        ("strace -qq -o /dev/null -e inject=pread64:signal=KILL:when=4", Gap::ReaderDied),
        ("echo full; :", Gap::ReaderDied),
        ("true", Gap::ReaderDied),
    ] {
        let reading = one_under(wrapper, holder.pid, Words::Plain);
        assert_eq!(reading.extent, Extent::Part(gap), "{wrapper}");
    }
    let readings = memory::read(Path::new("/nonexistent"), &request(&[holder.pid], Words::Plain));
    assert_eq!(readings[0].extent, Extent::Part(Gap::NoReader(Errno::ENOENT)));
}

#[test]
fn a_spent_budget_is_reported_and_what_was_found_before_counts() {
    require!("strace");
    let (first, second) = (Holder::new("heap"), Holder::with("large", &["256"]));
    let mut asked = request(&[first.pid, second.pid], Words::Plain);
    asked.budget.bytes = 100 << 20;
    let readings = crate::holder::read(&asked);
    assert!(held(&readings[0]) && readings[0].extent == Extent::Full, "{readings:?}");
    assert_eq!(readings[1].extent, Extent::Part(Gap::Budget));

    asked.budget = request(&[], Words::Plain).budget;
    asked.budget.time = Duration::from_millis(900);
    let mem = format!("/proc/{}/mem", second.pid);
    let slow = "inject=pread64:delay_enter=50ms";
    let wrapper = Wrapper::new(&format!("strace -qq -o /dev/null -P {mem} -e {slow}"));
    let began = Instant::now();
    let readings = wrapper.read(&asked);
    assert!(held(&readings[0]) && readings[0].extent == Extent::Full, "{readings:?}");
    assert_eq!(readings[1].extent, Extent::Part(Gap::Budget));
    assert!(began.elapsed() < Duration::from_secs(30), "the caller waited for the reader");
}
