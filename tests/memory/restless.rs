//! Processes that change while they are read.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use httpd_semguard::facts::memory::{Extent, Gap, Reading, Words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::wait_until;
use crate::holder::{
    Holder, NUMBER, Wrapper, held, masked, one, one_under, program, read, request,
};
use crate::require;

#[test]
fn a_process_whose_first_thread_has_exited_is_read_through_another() {
    require!();
    let holder = Holder::new("thread");
    wait_until("its first thread has ended", || holder.proc("stat").contains(") Z "));
    assert_eq!(holder.proc("maps"), "");
    assert!(holder.is_read());
}

#[test]
fn shared_memory_of_a_process_whose_first_thread_has_exited_is_read_as_far_as_it_is_mapped() {
    require!();
    let holder = Holder::new("thread-shared");
    wait_until("its first thread has ended", || holder.proc("stat").contains(") Z "));
    let reading = one(holder.pid, Words::Plain);
    assert!(held(&reading), "{reading:?}");
    assert_eq!(reading.extent, Extent::Part(Gap::SharedUnseen));
}

#[test]
fn a_program_executed_while_the_process_is_read_is_read_as_well() {
    require!("setarch");
    // If addresses are not random, the new memory is at the same addresses as the old one.
    for random in [true, false] {
        let mut command = Command::new(if random { "env" } else { "setarch" });
        command.args(if random { &[][..] } else { &["-R"][..] }).arg(program());
        let holder = Holder::of(command.args(["exec", &masked(NUMBER as u64)]));
        let holder = holder.expect("it is ready");
        for _ in 0..20 {
            let reading = one(holder.pid, Words::AnyLanguage);
            let restless = reading.extent == Extent::Part(Gap::Restless);
            assert!(held(&reading) && reading.extent == Extent::Full || restless, "{reading:?}");
        }
    }
}

#[test]
fn memory_that_moves_is_found_at_its_new_address() {
    require!();
    let holder = Holder::new("move");
    for _ in 0..20 {
        assert!(held(&one(holder.pid, Words::AnyLanguage)));
    }
}

/// The result of reading a process that receives a signal while its reader is stopped at the `nth` read of
/// its memory. If the machine is too slow for that, the signal arrives early, and nothing is missed.
fn signalled_meanwhile(holder: &Holder, nth: usize, words: Words) -> Reading {
    let mem = format!("/proc/{}/mem", holder.pid);
    let held_up = format!("inject=pread64:delay_enter=1500ms:when={nth}");
    let wrapper = Wrapper::new(&format!("strace -qq -o /dev/null -P {mem} -e {held_up}"));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| wrapper.read(&request(&[holder.pid], words)).remove(0));
        std::thread::sleep(Duration::from_millis(750));
        kill(Pid::from_raw(holder.pid), Signal::SIGUSR1).expect("it lives");
        reading.join().expect("read")
    })
}

#[test]
fn an_object_that_moves_to_memory_already_read_is_found_by_the_second_pass() {
    require!("strace");
    // Between the beginning and the end of the object, which are 256 reads apart.
    let reading = signalled_meanwhile(&Holder::new("shift"), 100, Words::AnyLanguage);
    assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
}

#[test]
fn nothing_counts_as_read_of_a_program_that_was_just_executed() {
    require!("strace", "setarch");
    let mut command = Command::new("setarch");
    command.arg("-R").arg(program()).args(["become", &masked(NUMBER as u64)]);
    let holder = Holder::of(&mut command).expect("it is ready");
    // After its data, which will be at the same addresses, and before its stack.
    let reading = signalled_meanwhile(&holder, 6, Words::Plain);
    assert!(held(&reading) && reading.extent == Extent::Full, "{reading:?}");
}

#[test]
fn endless_new_mappings_leave_doubt() {
    require!("strace");
    let holder = Holder::new("restless");
    // So that it runs between two listings, however busy the machine is.
    let pagemap = format!("/proc/{}/pagemap", holder.pid);
    let slowly = "inject=pread64:delay_exit=5ms";
    let wrapper = format!("strace -qq -o /dev/null -P {pagemap} -e {slowly}");
    let reading = one_under(&wrapper, holder.pid, Words::Plain);
    assert_eq!(reading.extent, Extent::Part(Gap::Restless), "{reading:?}");
}

/// Does what the caller does: asks, lists again, and asks about new processes.
#[test]
fn a_process_that_continues_as_its_child_is_found_by_listing_again() {
    require!();
    let holder = Holder::new("hop");
    let group = || -> BTreeSet<i32> {
        let mut pids = BTreeSet::new();
        for entry in fs::read_dir("/proc").expect("a listing").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let name = fs::read_link(entry.path().join("exe")).unwrap_or_default();
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if name == crate::holder::program() && line.contains("\0hop\0") {
                pids.insert(pid);
            }
        }
        pids
    };
    let mut seen = BTreeSet::new();
    let found = (0..50).any(|_| {
        let new: Vec<i32> = group().difference(&seen).copied().collect();
        seen.extend(&new);
        let readings = read(&request(&new, Words::AnyLanguage));
        for reading in &readings {
            let known = held(reading) || reading.extent == Extent::Gone;
            assert!(known || matches!(reading.extent, Extent::Part(_)), "{reading:?}");
        }
        readings.iter().any(held)
    });
    // It is not our child, so it would not end with us.
    wait_until("it is killed", || {
        for pid in group() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        group().is_empty()
    });
    assert!(found);
    drop(holder);
}

#[test]
fn a_dead_process_is_gone_and_a_zombie_too() {
    require!();
    let mut child = std::process::Command::new("true").spawn().expect("it runs");
    let pid = i32::try_from(child.id()).expect("a pid");
    wait_until("it is a zombie", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "))
    });
    assert_eq!(one(pid, Words::Plain).extent, Extent::Gone);
    child.wait().expect("waited");
    assert_eq!(one(pid, Words::Plain).extent, Extent::Gone);
}

#[test]
fn a_kernel_thread_has_no_memory() {
    require!();
    let kernel_thread = fs::read_dir("/proc").expect("a listing").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let flags: u64 = stat.rsplit(')').next()?.split_whitespace().nth(6)?.parse().ok()?;
        (flags & 0x0020_0000 != 0).then_some(pid)
    });
    let Some(pid) = kernel_thread else {
        crate::common::skip("no kernel thread is visible here");
        return;
    };
    let reading = one(pid, Words::Plain);
    assert!(reading.extent == Extent::Full && reading.holds.is_empty(), "{reading:?}");
}
