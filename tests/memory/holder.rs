//! The processes in these tests, and how they are read.
#![allow(unreachable_pub)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use httpd_semguard::facts::memory::{Ask, Budget, Doubt, Extent, Reading, Request, Suspect, Words};
use httpd_semguard::facts::set::SemId;
use httpd_semguard::look::memory;
use nix::unistd::Pid;

/// No other process holds it: it is larger than counts and sizes, and not part of an address.
pub const NUMBER: i32 = 0x2b67_8123;

/// Another one, which no process holds.
pub const NOBODYS: i32 = 0x2b67_9457;

const MASK: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// A number in the form that is passed to the holder.
pub fn masked(number: u64) -> String {
    (number ^ MASK).to_string()
}

/// The program, built once.
pub fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("holder.c", &["-O2", "-pthread"]).expect("cc builds holder.c"))
}

/// Builds a C program in this directory; `None` if the compiler cannot build for that machine.
pub fn compile(source: &str, flags: &[&str]) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.replace(".c", ""));
    let own = program.with_extension(std::process::id().to_string());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/memory").join(source);
    let built = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Werror", "-o"])
        .arg(&own)
        .arg(source)
        .args(flags)
        .status();
    built.ok().filter(|status| status.success())?;
    // Another run of these tests may be using the existing one.
    fs::rename(own, &program).ok()?;
    Some(program)
}

/// A process that holds [`NUMBER`] at one place.
pub struct Holder {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Its PID, or that of the process as which it continued.
    pub pid: i32,
}

impl Holder {
    pub fn new(place: &str) -> Holder {
        Holder::with(place, &[])
    }

    pub fn with(place: &str, more: &[&str]) -> Holder {
        Holder::try_with(place, more).expect("it is ready")
    }

    /// `None` if this machine has no such place.
    pub fn try_with(place: &str, more: &[&str]) -> Option<Holder> {
        let mut command = Command::new(program());
        command.arg(place).arg(masked(NUMBER as u64)).args(more);
        Holder::of(&mut command)
    }

    /// A program that prints "ready PID".
    pub fn of(command: &mut Command) -> Option<Holder> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut holder = Holder { child, out, pid: 0 };
        holder.pid = holder.hear()?;
        Some(holder)
    }

    /// The next process that reports that it is ready.
    pub fn hear(&mut self) -> Option<i32> {
        let mut line = String::new();
        self.out.read_line(&mut line).ok()?;
        line.strip_prefix("ready ")?.trim().parse().ok()
    }

    pub fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default()
    }

    /// Whether it holds the number in the form used by C; its memory must be read in full.
    #[track_caller]
    pub fn is_read(&self) -> bool {
        let reading = one(self.pid, Words::Plain);
        assert_eq!(reading.extent, Extent::Full, "{reading:?}");
        held(&reading)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub fn held(reading: &Reading) -> bool {
    assert!(!reading.holds.contains(&SemId(NOBODYS)), "{reading:?}");
    reading.holds == [SemId(NUMBER)]
}

/// A request about both numbers for these processes, in this order, which must be read in full.
pub fn request(pids: &[i32], words: Words) -> Request {
    let sets = vec![SemId(NUMBER), SemId(NOBODYS)];
    let asks = vec![Ask { doubt: 0, words }];
    let suspects =
        pids.iter().map(|pid| Suspect { pid: Pid::from_raw(*pid), asks: asks.clone() }).collect();
    Request {
        doubts: vec![Doubt { sets, made_by_owner: words == Words::AnyLanguage }],
        suspects,
        budget: Budget { time: Duration::from_secs(60), bytes: 1 << 40 },
        thorough: true,
    }
}

/// Reads with the program under test.
pub fn read(request: &Request) -> Vec<Reading> {
    memory::read(Path::new(env!("CARGO_BIN_EXE_httpd-semguard")), request)
}

/// The result of reading one process.
pub fn one(pid: i32, words: Words) -> Reading {
    read(&request(&[pid], words)).remove(0)
}

/// The result of reading one process with a reader under this command line.
pub fn one_under(wrapper: &str, pid: i32, words: Words) -> Reading {
    Wrapper::new(wrapper).read(&request(&[pid], words)).remove(0)
}

/// A reader as the last part of a command line.
pub struct Wrapper(PathBuf);

impl Wrapper {
    pub fn new(wrapper: &str) -> Wrapper {
        use std::os::unix::fs::PermissionsExt;
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("reader-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let reader = env!("CARGO_BIN_EXE_httpd-semguard");
        let text = format!(
            "#!/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
             exec {wrapper} {reader} \"$@\"\n"
        );
        // In another process: one forked meanwhile would keep the file open for writing (ETXTBSY).
        let made = Command::new("sh")
            .args(["-c", "printf %s \"$1\" > \"$2\"", "sh", &text])
            .arg(&script)
            .status();
        assert!(made.is_ok_and(|m| m.success()));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode is set");
        Wrapper(script)
    }

    pub fn read(&self, request: &Request) -> Vec<Reading> {
        memory::read(&self.0, request)
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
