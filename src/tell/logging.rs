//! Where log lines go: standard error (with the journal's prefix if it is the journal), or syslog.
//! Touches file descriptor 2 and the syslog socket. Losing a log line is never an error.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::Duration;

use anstyle::Style;
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::getppid;
use syslog::{Facility, LogFormat, Logger, LoggerBackend, Severity};

use crate::facts::request::LogTo;
use crate::tell::log::{self as entries, Entry};
use crate::tell::screen::{self, Screen};

/// How long a stuck syslog daemon, or one whose queue is full, may delay a line.
const SYSLOG_PATIENCE: Duration = Duration::from_millis(500);

const NAME: &str = "httpd-semguard";

/// The destination of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogTarget {
    /// The screen, if the log is shown to a person.
    people: Option<Screen>,
    /// It is the journal, of which people see the last lines first.
    is_journal: bool,
}

/// Starts logging. Must be called only once.
pub fn start(to: LogTo, level: LevelFilter) -> LogTarget {
    let sink = match to {
        LogTo::Stderr => stderr(),
        LogTo::Syslog => syslog().unwrap_or_else(stderr),
        LogTo::Auto if stderr_is_closed() => syslog().unwrap_or(Sink::Stderr(Screen::default())),
        LogTo::Auto => stderr(),
    };
    let people = match &sink {
        Sink::Stderr(screen) if screen.is_terminal || screen.color => Some(*screen),
        _ => None,
    };
    let is_journal = matches!(sink, Sink::Journal(_));
    // This fails only if a logger is set already, which then stays in use.
    if log::set_boxed_logger(Box::new(sink)).is_ok() {
        log::set_max_level(level);
    }
    LogTarget { people, is_journal }
}

impl LogTarget {
    /// Writes an entry: for a person as one piece of text, otherwise line by line, as logs are read.
    pub fn tell(&self, level: Level, entry: &Entry) {
        if level > log::max_level() {
            return;
        }
        match self.people {
            Some(screen) => {
                let _ = io::stderr().write_all(for_people(level, entry, &screen).as_bytes());
            }
            None => {
                let lines =
                    if self.is_journal { entries::lines_for_a_tail(entry) } else { entry.lines() };
                lines.iter().for_each(|line| log::log!(level, "{line}"));
            }
        }
    }
}

enum Sink {
    Stderr(Screen),
    /// Standard error is the journal: lines begin with `<N>`, their priority (sd-daemon(3)), followed
    /// by this program's name if the journal does not add it.
    Journal(&'static str),
    /// `None` once it has failed: a daemon that accepts no lines would delay every one of them.
    Syslog(Mutex<Option<Logger<LoggerBackend, Line>>>),
}

fn stderr() -> Sink {
    match name_in_journal(&io::stderr()) {
        Some(name) => Sink::Journal(name),
        None => Sink::Stderr(Screen::of(&io::stderr())),
    }
}

/// The prefix of a line to this stream if it goes to the journal: this program's name, if the journal does
/// not add it.
pub fn name_in_journal(stream: &impl AsFd) -> Option<&'static str> {
    let of_systemd = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stat = fstat(stream).ok()?;
    // The journal shows the name of the program that systemd itself started: with the drop-ins, that is
    // a shell. systemd's PID is 1, or 0 as seen from a PID namespace below it (PrivatePIDs=).
    is_journal(&of_systemd, &stat)
        .then(|| if getppid().as_raw() <= 1 { "" } else { "httpd-semguard: " })
}

/// Whether `JOURNAL_STREAM` ("DEVICE:INODE", systemd.exec(5)) names this file.
fn is_journal(stream: &str, stat: &FileStat) -> bool {
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Whether standard error was closed when the program started. Rust's runtime then opens /dev/null
/// for reading and writing in its place; a redirection by a shell opens it for writing only.
fn stderr_is_closed() -> bool {
    let null = fstat(io::stderr()).is_ok_and(|s| s.st_rdev == libc::makedev(1, 3));
    let both = fcntl(io::stderr(), FcntlArg::F_GETFL)
        .is_ok_and(|f| OFlag::from_bits_truncate(f) & OFlag::O_ACCMODE == OFlag::O_RDWR);
    null && both
}

fn syslog() -> Option<Sink> {
    // Not `syslog::init`, which falls back to the network.
    let logger = syslog::unix(Line).ok()?;
    let limited = match &logger.backend {
        LoggerBackend::Unix(socket) => socket.set_write_timeout(Some(SYSLOG_PATIENCE)),
        LoggerBackend::UnixStream(s) => s.get_ref().set_write_timeout(Some(SYSLOG_PATIENCE)),
        _ => return None,
    };
    limited.ok()?;
    Some(Sink::Syslog(Mutex::new(Some(logger))))
}

/// The line of syslog(3) without a timestamp: every syslog daemon adds one itself, in its own time
/// zone.
#[derive(Clone)]
struct Line;

impl LogFormat<&str> for Line {
    fn format<W: Write>(
        &self,
        w: &mut W,
        severity: Severity,
        message: &str,
    ) -> Result<(), syslog::Error> {
        let priority = Facility::LOG_DAEMON as u8 | severity as u8;
        write!(w, "<{priority}>{NAME}[{}]: {message}", std::process::id())
            .map_err(syslog::Error::Write)
    }
}

impl Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().split("::").next() != Some(env!("CARGO_CRATE_NAME")) {
            return;
        }
        let text = record.args().to_string();
        text.lines().for_each(|line| self.line(record.level(), line));
    }

    fn flush(&self) {}
}

impl Sink {
    fn line(&self, level: Level, line: &str) {
        // A closed pipe or a stopped daemon must neither end the run nor change its result.
        let _ = match self {
            Sink::Stderr(_) => io::stderr().write_all(format!("{NAME}: {line}\n").as_bytes()),
            Sink::Journal(name) => {
                io::stderr().write_all(format!("<{}>{name}{line}\n", priority(level)).as_bytes())
            }
            Sink::Syslog(logger) => {
                let Ok(mut syslog) = logger.lock() else { return };
                let sent = syslog.as_mut().map(|logger| match level {
                    Level::Error => logger.err(line),
                    Level::Warn => logger.warning(line),
                    Level::Info => logger.info(line),
                    Level::Debug | Level::Trace => logger.debug(line),
                });
                match sent {
                    Some(Ok(())) => Ok(()),
                    _ => {
                        *syslog = None;
                        Sink::Stderr(Screen::default()).line(level, line);
                        Ok(())
                    }
                }
            }
        };
    }
}

/// An entry as shown on a person's screen: coloured by its level, with the labels of its parts in
/// bold, and long lines wrapped, except for commands.
#[must_use]
pub fn for_people(level: Level, entry: &Entry, screen: &Screen) -> String {
    let style = match level {
        Level::Error => screen::BAD,
        Level::Warn => screen::DOUBTFUL,
        Level::Info => Style::new(),
        Level::Debug | Level::Trace => screen::QUIET,
    };
    let prefix = format!("{NAME}: ");
    let name = screen.paint(screen::HEADING, &prefix);
    let paragraph = |text: &str| {
        format!("{name}{}\n", screen.paint(style, &screen.wrap(text, prefix.len(), CONTINUED)))
    };
    let message = match entry {
        Entry::Line(line) => return paragraph(line),
        Entry::Message(message) => message,
    };
    let mut out = paragraph(&message.headline());
    for part in entries::parts(message) {
        let label_style = if part.label.is_empty() { Style::new() } else { screen::HEADING };
        let margin = part.margin();
        out.push_str(&screen.paint(label_style, &margin));
        if part.is_command {
            out.push_str(&part.text);
        } else {
            out.push_str(&screen.wrap(&part.text, margin.len(), margin.len()));
        }
        out.push('\n');
    }
    out
}

/// The indent of a line that continues the one above.
const CONTINUED: usize = 2;

/// The priority of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::message::{Message, Remedy};

    #[test]
    fn the_journal_is_recognized_by_device_and_inode() {
        let stat = fstat(io::stderr()).expect("stderr");
        assert!(is_journal(&format!("{}:{}", stat.st_dev, stat.st_ino), &stat));
        assert!(!is_journal("", &stat));
        assert!(!is_journal("1:1", &stat));
    }

    #[test]
    fn a_terminal_shows_a_message_as_one_text_and_wraps_no_command() {
        let screen = Screen { is_terminal: true, color: false, width: Some(40) };
        let message = |brief: &str, why: &str, remedies| {
            let (brief, detail) = (brief.into(), String::new());
            Entry::Message(Message { brief, detail, why: vec![why.into()], remedies })
        };
        let sysctl = Remedy::command(
            "sysctl -w kernel.sem=\"250 32000 32 512\"",
            "raise the limits until the next boot",
        );
        let entry = message(
            "it would not start: for this long reason here",
            "the table of semaphore sets is full",
            vec![sysctl],
        );
        assert_eq!(
            for_people(Level::Error, &entry, &screen),
            "httpd-semguard: it would not start: for\n  this long reason here\n  why:  the table of \
             semaphore sets is\n        full\n  do:   raise the limits until the next\n        boot:\n            \
             sysctl -w kernel.sem=\"250 32000 32 512\"\n"
        );
        let screen = Screen { is_terminal: true, color: true, width: None };
        assert_eq!(
            for_people(Level::Error, &message("it fails", "so", Vec::new()), &screen),
            "\u{1b}[1mhttpd-semguard: \u{1b}[0m\u{1b}[1m\u{1b}[31mit fails\u{1b}[0m\n\u{1b}[1m  why:  \
             \u{1b}[0mso\n"
        );
    }

    #[test]
    fn a_syslog_line_has_facility_severity_and_name() {
        let mut out = Vec::new();
        Line.format(&mut out, Severity::LOG_ERR, "x").expect("written");
        let want = format!("<27>httpd-semguard[{}]: x", std::process::id());
        assert_eq!(String::from_utf8(out).expect("utf-8"), want);
    }
}
