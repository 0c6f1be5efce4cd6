//! Asks httpd itself about its configuration: runs its control program, within limits of time and
//! size. Touches the control program; does not interpret its output.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::facts::heard::{MOST_SAID, NoAnswer};
use crate::facts::printable::printable;
use crate::look::clock;

/// How long a killed child may take to exit.
const GRACE: Duration = Duration::from_secs(2);

/// What to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// The control program, if one was given.
    pub httpd: Option<PathBuf>,
    /// The arguments that httpd will be started with.
    pub args: Vec<OsString>,
    /// Variables that its start has, and this process does not.
    pub variables: Vec<(&'static str, String)>,
    /// How long everything together may take.
    pub patience: Duration,
    /// When that time is up.
    pub deadline: Instant,
}

impl Question {
    /// A question whose time starts now.
    #[must_use]
    pub fn new(httpd: Option<PathBuf>, args: Vec<OsString>, patience: Duration) -> Question {
        let deadline = Instant::now() + patience;
        Question { httpd, args, variables: Vec::new(), patience, deadline }
    }
}

/// How long to wait after reading from the pipes before reading again.
const NAP: Duration = Duration::from_micros(500);

/// The output of one call of the control program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: Vec<u8>,
}

/// Asks for the configuration: users, mutexes, modules and, if mod_info's file exists, the directives.
/// This makes no mutex and works even if the table is full (measured on 2.4.71).
///
/// mod_info is loaded after the configuration (-c), where it changes nothing: by then every
/// `<IfModule mod_info.c>` has been evaluated (server/core.c, `start_ifmod`, when the line is read). A
/// call that fails with it (a file from another build, a script that splits arguments) is repeated
/// without it.
///
/// # Errors
/// [`NoAnswer`].
pub fn configuration(
    question: &Question,
    control: &Path,
    mod_info: Option<&Path>,
) -> Result<Said, NoAnswer> {
    let dumps = ["-t", "-D", "DUMP_RUN_CFG", "-D", "DUMP_MODULES", "-D", "DUMP_CONFIG"];
    let mut args = question.args.clone();
    args.extend(dumps.map(OsString::from));
    if let Some(file) = mod_info {
        let mut load = OsString::from("LoadModule info_module \"");
        load.push(file);
        load.push("\"");
        let with = [args.clone(), vec!["-c".into(), load]].concat();
        match run(control, &with, question) {
            Err(NoAnswer::Refused(..)) => {}
            answer => return answer,
        }
    }
    run(control, &args, question)
}

/// Asks httpd 2.2 for its modules; it prints nothing else about its configuration.
///
/// # Errors
/// [`NoAnswer`].
pub fn modules(question: &Question, control: &Path) -> Result<Said, NoAnswer> {
    let dumps = ["-t", "-D", "DUMP_MODULES"].map(OsString::from);
    run(control, &[&question.args[..], &dumps].concat(), question)
}

/// Asks for the compiled-in settings (`-V`).
///
/// # Errors
/// [`NoAnswer`].
pub fn build(question: &Question, control: &Path) -> Result<Said, NoAnswer> {
    let args = [question.args.clone(), vec!["-V".into()]].concat();
    run(control, &args, question)
}

/// Whether httpd takes a directive (`-c`) after its configuration: what is not built into it, it refuses.
#[must_use]
pub fn accepts(question: &Question, control: &Path, directive: &str) -> bool {
    let test = ["-t", "-c", directive].map(OsString::from);
    run(control, &[&question.args[..], &test[..]].concat(), question).is_ok()
}

/// Runs the control program in a process group of its own, which is killed once the program has
/// finished, printed too much or taken too long.
///
/// # Errors
/// [`NoAnswer`].
pub fn run(control: &Path, args: &[OsString], question: &Question) -> Result<Said, NoAnswer> {
    let mut child = Command::new(control)
        .args(args.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>())
        .envs(question.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|e| NoAnswer::NotRun(control.to_owned(), e.to_string()))?;
    let pid = Pid::from_raw(child.id() as i32);
    let heard = listen(&mut child, pid, question.deadline);
    if matches!(heard, Ok(Heard { done: true, .. })) {
        // It closed both pipes or has already ended: it is about to exit.
        wait_until(pid, question.deadline);
    }
    let in_time = has_ended(pid);
    // Kills whatever is left of the group, such as apachectl's own children. This comes before the
    // child is reaped, while the group's number is certain to be its own.
    let _ = killpg(pid, Signal::SIGKILL);
    // Not for ever: a child stuck in the kernel does not even die from SIGKILL.
    wait_until(pid, Instant::now() + GRACE);
    let status = if has_ended(pid) { child.wait().ok() } else { None };
    match heard {
        Err(e) => Err(NoAnswer::NotRun(control.to_owned(), e.to_string())),
        Ok(Heard { too_much: true, .. }) => Err(NoAnswer::TooMuch(control.to_owned())),
        Ok(Heard { done, .. }) if !done || !in_time => {
            Err(NoAnswer::TimedOut(control.to_owned(), question.patience))
        }
        Ok(Heard { said, .. }) => match status {
            Some(s) if s.success() => Ok(said),
            status => Err(NoAnswer::Refused(control.to_owned(), complaint(&said, status))),
        },
    }
}

struct Heard {
    said: Said,
    done: bool,
    too_much: bool,
}

/// Reads both pipes until they are closed, the child has ended, time is up or too much was printed.
fn listen(child: &mut Child, pid: Pid, deadline: Instant) -> io::Result<Heard> {
    let mut heard = Heard { said: Said::default(), done: false, too_much: false };
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Ok(heard);
    };
    let (mut out_open, mut err_open) = (true, true);
    let mut buffer = vec![0; 64 << 10];
    let mut ended = false;
    while out_open || err_open {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(heard);
        }
        // Short turns, to notice a child that ended but left its pipes to a grandchild.
        let turn = left.min(Duration::from_millis(100)).as_millis() as u16;
        let interest = |open: bool| if open { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(out.as_fd(), interest(out_open)),
            PollFd::new(err.as_fd(), interest(err_open)),
        ];
        match poll(&mut fds, PollTimeout::from(turn)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = fds.map(|fd| fd.any().unwrap_or(false));
        let mut idle = true;
        if out_open && ready[0] {
            let n = out.read(&mut buffer)?;
            heard.said.out.extend_from_slice(&buffer[..n]);
            (out_open, idle) = (n > 0, false);
        }
        if err_open && ready[1] {
            let n = err.read(&mut buffer)?;
            heard.said.err.extend_from_slice(&buffer[..n]);
            (err_open, idle) = (n > 0, false);
        }
        if heard.said.out.len() + heard.said.err.len() > MOST_SAID {
            heard.too_much = true;
            return Ok(heard);
        }
        if idle && ended {
            break;
        }
        ended = has_ended(pid);
        if !idle && !ended {
            // httpd writes its dump line by line, in about a hundred writes; waking up for each would
            // take processor time away from it. The pipes hold far more than it writes in the meantime.
            clock::nap(NAP);
        }
    }
    heard.done = true;
    Ok(heard)
}

/// Whether the child has ended; does not reap it.
fn has_ended(pid: Pid) -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(pid), look), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
}

fn wait_until(pid: Pid, deadline: Instant) {
    // It closes its pipes shortly before it can be waited for (kernel/exit.c, do_exit).
    let mut nap = Duration::from_micros(20);
    while !has_ended(pid) && Instant::now() < deadline {
        clock::nap(nap);
        nap = (2 * nap).min(Duration::from_millis(1));
    }
}

/// The error message of a failed call: its standard error, shortened and without AH00558.
fn complaint(said: &Said, status: Option<ExitStatus>) -> String {
    let err = String::from_utf8_lossy(&said.err);
    let lines: Vec<&str> =
        err.lines().map(str::trim).filter(|l| !l.is_empty() && !l.contains("AH00558")).collect();
    let words = lines.join(" ");
    let words: String = words.chars().take(400).collect();
    match status {
        _ if !words.is_empty() => printable(&words),
        Some(s) => match (s.code(), s.signal()) {
            (Some(code), _) => format!("nothing (exit code {code})"),
            (None, Some(signal)) => format!("nothing (killed by signal {signal})"),
            _ => "nothing".into(),
        },
        None => "nothing".into(),
    }
}
