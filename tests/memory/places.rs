//! Where a number is found, and where it does not count.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use httpd_semguard::facts::memory::Words;

use crate::common::skip;
use crate::holder::{Holder, NUMBER, compile, held, masked, one, program};
use crate::require;

#[test]
fn a_process_that_holds_nothing_holds_nothing() {
    require!();
    assert!(!Holder::new("nowhere").is_read());
}

#[test]
fn it_is_found_wherever_a_program_keeps_it() {
    require!();
    for place in ["heap", "data", "stack", "shared", "thread"] {
        assert!(Holder::new(place).is_read(), "{place}");
    }
}

#[test]
fn it_is_found_on_a_page_that_is_currently_protected() {
    require!();
    assert!(Holder::new("protected").is_read());
}

#[test]
fn it_is_found_in_shared_memory_that_the_process_itself_has_not_touched() {
    require!();
    assert!(Holder::new("shared-untouched").is_read());
}

/// A file of one megabyte, which contains the number if `number` is given; removed at the end.
struct File(PathBuf);

impl File {
    fn new(dir: &Path, number: Option<i32>) -> File {
        let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
        let path = dir.join(format!("semguard-test-{}-{thread}", std::process::id()));
        let mut bytes = vec![0; 1 << 20];
        if let Some(number) = number {
            bytes[1 << 12..][..4].copy_from_slice(&number.to_ne_bytes());
        }
        fs::write(&path, bytes).expect("written");
        File(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn it_is_found_in_a_mapped_file_in_memory_even_if_it_was_not_touched() {
    require!();
    let shm = Path::new("/dev/shm");
    let file = File::new(shm, None);
    assert!(Holder::with("file-shared", &[file.name()]).is_read());
    drop(file);
    let file = File::new(shm, Some(NUMBER));
    assert!(Holder::with("file-shared", &[file.name()]).is_read());
}

#[test]
fn in_a_file_on_a_disk_it_is_found_on_a_mapped_page_and_on_one_that_was_written() {
    require!();
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = File::new(disk, None);
    assert!(Holder::with("file-written", &[file.name()]).is_read(), "private");
    assert!(Holder::with("file-shared", &[file.name()]).is_read(), "shared");
    drop(file);
    // The contents of a file alone do not mean that a process knows them.
    let file = File::new(disk, Some(NUMBER));
    assert!(!Holder::with("file-unwritten", &[file.name()]).is_read());
}

#[test]
fn a_mapped_file_on_an_overlay_as_in_containers_is_read() {
    require!("unshare");
    let script = "set -e; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir lower upper work all; \
                  head -c 1048576 /dev/zero >lower/file; \
                  mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work all; \
                  exec \"$@\" /mnt/all/file";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(program());
    let Some(holder) = Holder::of(command.args(["file-shared", &masked(NUMBER as u64)])) else {
        skip("this kernel has no overlayfs");
        return;
    };
    assert!(holder.is_read());
}

#[test]
fn it_is_found_on_huge_pages() {
    require!();
    let holder = Holder::new("huge");
    let huge = holder.proc("smaps");
    if !huge.lines().any(|l| l.starts_with("AnonHugePages:") && !l.ends_with(" 0 kB")) {
        skip("this kernel provides no huge pages for madvise(2)");
        return;
    }
    assert!(holder.is_read());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn it_is_found_in_a_32_bit_process() {
    require!();
    let flags = ["-m32", "-O2", "-static", "-nostdlib", "-fno-pie", "-no-pie", "-ffreestanding"];
    let Some(program) = compile("narrow.c", &[&flags[..], &["-fno-stack-protector"]].concat())
    else {
        panic!("cc cannot build a 32-bit program");
    };
    let masked: u64 = masked(NUMBER as u64).parse().expect("a number");
    let masked = format!("{}", masked as u32);
    let Some(holder) = Holder::of(Command::new(program).arg(masked)) else {
        skip("this kernel runs no 32-bit program");
        return;
    };
    assert!(holder.is_read());
}

#[test]
fn a_guard_region_is_not_a_page() {
    require!();
    let Some(holder) = Holder::try_with("guarded", &[]) else {
        skip("this kernel has no guard regions (MADV_GUARD_INSTALL, Linux 6.13)");
        return;
    };
    assert!(holder.is_read());
}

#[test]
fn pages_that_block_the_first_access_are_not_touched() {
    require!();
    let Some(holder) = Holder::try_with("unfilled", &[]) else {
        skip("this kernel has no userfaultfd(2)");
        return;
    };
    assert!(holder.is_read());
}

/// Words in the forms used by other languages, at one place in a C program.
fn kept_as(word: u64) -> Holder {
    Holder::with("words", &[&masked(word)])
}

#[test]
fn it_is_found_in_the_form_of_each_language_only_in_processes_of_the_owner() {
    require!();
    let n = NUMBER as u64;
    let upper_half = n << 32;
    let forms = [
        ("Ruby, OCaml", 2 * n + 1),
        ("SBCL", 2 * n),
        ("Emacs, Guile", 4 * n + 2),
        ("Lua, JavaScript", f64::from(NUMBER).to_bits()),
    ];
    for (language, word) in forms {
        let holder = kept_as(word);
        assert!(held(&one(holder.pid, Words::AnyLanguage)), "{language}");
        assert!(!held(&one(holder.pid, Words::Plain)), "{language}");
    }
    for (language, word) in [("Perl, PHP, CPython", n), ("V8", upper_half)] {
        let holder = kept_as(word);
        assert!(held(&one(holder.pid, Words::Plain)), "{language}");
        assert!(held(&one(holder.pid, Words::AnyLanguage)), "{language}");
    }
}

#[test]
fn halves_of_different_doubles_are_not_a_number() {
    require!();
    let double = f64::from(NUMBER).to_bits();
    for word in [double ^ 1, double << 32, double.rotate_left(32)] {
        let holder = kept_as(word);
        assert!(!held(&one(holder.pid, Words::AnyLanguage)), "{word:x}");
    }
}

/// A script that unmasks the number, keeps it in its own form, and waits.
fn script(program: &str, args: &[&str], script: &str) -> Option<Holder> {
    let mut command = Command::new(program);
    let holder = Holder::of(command.args(args).arg(script));
    if holder.is_none() {
        skip(&format!("{program} is not installed"));
    }
    holder
}

#[test]
fn it_is_found_in_perl() {
    require!();
    let text = "$| = 1; my @kept = (5, hex('2b67') * 65536 + hex('8123')); print \"ready $$\\n\"; \
                sleep 600 while 1";
    let Some(holder) = script("perl", &["-e"], text) else { return };
    assert!(held(&one(holder.pid, Words::Plain)));
}

#[test]
fn it_is_found_in_python_below_and_above_two_to_the_thirty() {
    require!();
    for (plus, words) in [(0, Words::Plain), (1 << 30, Words::AnyLanguage)] {
        let text = format!(
            "import os, time\n\
             kept = [int('2b67', 16) * 65536 + int('8123', 16) + int('{plus}')]\n\
             print('ready', os.getpid(), flush=True)\n\
             time.sleep(600)"
        );
        let Some(holder) = script("python3", &["-c"], &text) else { return };
        let number = NUMBER + plus;
        let mut request = crate::holder::request(&[holder.pid], words);
        request.doubts[0].sets[0].0 = number;
        let reading = crate::holder::read(&request).remove(0);
        assert_eq!(reading.holds.first().map(|s| s.0), Some(number), "{reading:?}");
    }
}
