//! Starts the process that reads memory, receives its answers, and abandons it in time. Touches that
//! process.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ARGUMENT;
use super::view::errno;
use super::wire::{self, Answer};
use crate::facts::memory::{Budget, Extent, Gap, Reading, Request};
use crate::facts::set::SemId;
use crate::look::clock::nap;

/// The program that reads: this one, even if its file has been replaced meanwhile.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The maximum number of readers: one that was blocked, or died, is followed by another one for the
/// remaining processes.
const READERS: usize = 8;

/// How long a killed reader may take to exit. After that, one that is waiting for a disk is left alone.
const GRACE: Duration = Duration::from_millis(100);

/// How much longer than its own time, which it checks itself, a reader may take before it is killed.
const LATE: Duration = Duration::from_millis(100);

/// How a reader ended.
enum End {
    /// It has answered everything.
    Done,
    /// The time is up.
    Late,
    /// It stopped answering.
    HeldUp,
    /// It exited, or its output was not valid.
    Died,
    /// It could not be started.
    NotStarted(Errno),
}

/// Reads the memory of the suspects with `program` ([`THIS_PROGRAM`]), and returns an answer for each of
/// them, in their order. Takes little longer than the budget allows.
#[must_use]
pub fn read(program: &Path, request: &Request) -> Vec<Reading> {
    let deadline = Instant::now() + request.budget.time;
    let part = |gap| Extent::Part(gap);
    let reading = |pid| Reading { pid, holds: Vec::new(), extent: part(Gap::Budget) };
    let mut readings: Vec<_> = request.suspects.iter().map(|s| reading(s.pid)).collect();
    let (mut from, mut bytes) = (0, request.budget.bytes);
    for nth in 1..=READERS {
        let time = deadline.saturating_duration_since(Instant::now());
        if from == readings.len() || time.is_zero() {
            break;
        }
        let rest = rest_of(request, &readings, from, Budget { time, bytes });
        let mut heard = Heard { readings: &mut readings[from..], at: None, done: 0, bytes: 0 };
        let end = one(program, &rest, deadline + LATE, &mut heard);
        let (at, done) = (heard.at, heard.done);
        bytes = bytes.saturating_sub(heard.bytes);
        let gap = match end {
            End::Done | End::Late => break,
            End::NotStarted(e) => {
                readings[from..].iter_mut().for_each(|r| r.extent = part(Gap::NoReader(e)));
                break;
            }
            End::HeldUp => Gap::HeldUp,
            End::Died => Gap::ReaderDied,
        };
        // Whatever went wrong, it happened at this one.
        let culprit = from + at.unwrap_or(done);
        let Some(reading) = readings.get_mut(culprit) else { break };
        reading.extent = part(gap);
        from = culprit + 1;
        if nth == READERS {
            readings[from..].iter_mut().for_each(|r| r.extent = part(gap));
        }
    }
    readings.iter_mut().for_each(|r| r.holds.sort_unstable());
    readings
}

/// The request for the remaining suspects, without the sets that are already known to be in use.
fn rest_of(request: &Request, readings: &[Reading], from: usize, budget: Budget) -> Request {
    let known: HashSet<SemId> = readings.iter().flat_map(|r| r.holds.iter().copied()).collect();
    let mut rest = Request { budget, ..request.clone() };
    rest.suspects.drain(..from);
    if !request.thorough {
        rest.doubts.iter_mut().for_each(|d| d.sets.retain(|s| !known.contains(s)));
    }
    rest
}

/// What a reader has answered.
struct Heard<'a> {
    readings: &'a mut [Reading],
    /// The suspect that it is reading.
    at: Option<usize>,
    /// How many are done.
    done: usize,
    bytes: u64,
}

impl Heard<'_> {
    /// Processes a line; false if it is not a valid line from a reader.
    fn line(&mut self, line: &str) -> bool {
        let Some(answer) = wire::parse_answer(line) else { return false };
        match answer {
            Answer::Alive(bytes) => self.bytes = bytes,
            Answer::Begins(at) if at == self.done && at < self.readings.len() => self.at = Some(at),
            Answer::Holds(at, set) if self.at == Some(at) => self.readings[at].holds.push(set),
            Answer::Done(at, extent) if self.at == Some(at) => {
                self.readings[at].extent = extent;
                (self.at, self.done) = (None, at + 1);
            }
            _ => return false,
        }
        true
    }
}

/// Runs one reader.
fn one(program: &Path, request: &Request, deadline: Instant, heard: &mut Heard<'_>) -> End {
    let child = Command::new(program)
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return End::NotStarted(errno(&e)),
    };
    // A reader that is silent for this long is blocked by what it reads.
    let patience = (request.budget.time / 4).max(Duration::from_millis(250));
    let end = converse(&mut child, &wire::request(request), deadline, patience, heard);
    let _ = child.kill();
    let killed = Instant::now();
    // A reader that has finished exits within a few microseconds.
    let mut wait = Duration::from_micros(20);
    loop {
        nap(wait);
        if !matches!(child.try_wait(), Ok(None)) || killed.elapsed() >= GRACE {
            return end;
        }
        wait = (wait * 2).min(Duration::from_millis(1));
    }
}

fn converse(
    child: &mut Child,
    text: &str,
    deadline: Instant,
    patience: Duration,
    heard: &mut Heard<'_>,
) -> End {
    let (Some(input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return End::Died;
    };
    for fd in [input.as_fd(), output.as_fd()] {
        if let Err(e) = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)) {
            return End::NotStarted(e);
        }
    }
    let mut to_say = text.as_bytes();
    let mut input = Some(input);
    let (mut buffer, mut said) = ([0; 4096], Vec::new());
    let mut last = Instant::now();
    loop {
        let now = Instant::now();
        if now >= deadline {
            return End::Late;
        } else if now - last > patience {
            return End::HeldUp;
        }
        let wait = (deadline - now).min(patience - (now - last)) + Duration::from_millis(1);
        let mut fds = vec![PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        fds.extend(input.as_ref().map(|i| PollFd::new(i.as_fd(), PollFlags::POLLOUT)));
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return End::Died,
        }
        if let Some(to) = &mut input {
            match to.write(to_say) {
                Ok(written) => to_say = &to_say[written..],
                Err(e) if not_now(&e) => {}
                Err(_) => return End::Died,
            }
            if to_say.is_empty() {
                input = None;
            }
        }
        match output.read(&mut buffer) {
            Ok(0) if heard.done == heard.readings.len() && said.is_empty() => return End::Done,
            Ok(0) => return End::Died,
            Ok(read) => {
                last = Instant::now();
                said.extend_from_slice(&buffer[..read]);
                while let Some(end) = said.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = said.drain(..=end).collect();
                    if !std::str::from_utf8(&line[..end]).is_ok_and(|line| heard.line(line)) {
                        return End::Died;
                    }
                }
            }
            Err(e) if not_now(&e) => {}
            Err(_) => return End::Died,
        }
    }
}

fn not_now(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
