//! Parse, log, run, report, exit code; nothing else.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use httpd_semguard::act::{output, signals};
use httpd_semguard::cli::Options;
use httpd_semguard::facts::error::{Error, Exit};
use httpd_semguard::facts::request::{Command, Format};
use httpd_semguard::facts::time::WallTime;
use httpd_semguard::look::{clock, memory};
use httpd_semguard::tell::log::{Entry, entries as entries_of, of_events};
use httpd_semguard::tell::nagios::Status;
use httpd_semguard::tell::report::Report;
use httpd_semguard::tell::screen::Screen;
use httpd_semguard::tell::{logging, nagios, report};
use httpd_semguard::{cli, guard};
use log::{Level, LevelFilter};
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    // Like httpd: a log or report that reaches a file size limit must not kill the program.
    signals::outlive(Signal::SIGXFSZ);
    if let Some(code) = memory::serve_if_asked(std::env::args_os()) {
        return code;
    }
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "httpd-semguard: a bug in httpd-semguard: {panic}");
        let args: Vec<_> = std::env::args_os().collect();
        let for_nagios = cli::asks_for_nagios(&args);
        let code = if for_nagios { Status::Unknown as i32 } else { Exit::Software as i32 };
        std::process::exit(code);
    }));
    match cli::parse(std::env::args_os()) {
        Ok(options) => run(&options),
        Err(stop) => speak(&stop),
    }
}

/// Prints what ended the run at the command line.
fn speak(stop: &cli::Stop) -> ExitCode {
    if stop.exit == Exit::Ok {
        let written = output::to_stdout(|out| match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => out.write_all(stop.text.to_string().as_bytes()),
            _ => out.write_all(stop.text.ansi().to_string().as_bytes()),
        });
        if let Err(e) = written {
            let e = Error::stdout(&e);
            let _ = writeln!(io::stderr(), "httpd-semguard: {e}");
            return e.exit().into();
        }
    } else if stop.nagios {
        let text = stop.text.to_string();
        let line = nagios::line(Status::Unknown, text.lines().next().unwrap_or_default());
        let _ = output::to_stdout(|out| writeln!(out, "{line}"));
        return Status::Unknown.into();
    } else {
        let _ = anstream::stderr().write_all(stop.text.ansi().to_string().as_bytes());
    }
    stop.exit.into()
}

fn run(options: &Options) -> ExitCode {
    let level = match (options.quiet, options.verbose) {
        // A plugin's one line says everything; some monitoring systems take further output for an error.
        _ if options.format == Format::Nagios && options.command == Command::Check => {
            LevelFilter::Off
        }
        (true, _) => LevelFilter::Warn,
        (_, true) => LevelFilter::Debug,
        _ => LevelFilter::Info,
    };
    let log = logging::start(options.log, level);
    let outcome = guard::run(options);
    for (level, entry) in entries(options, &outcome, level == LevelFilter::Debug) {
        log.tell(level, &entry);
    }
    let written = match &options.output {
        Some(file) => to_file(options, file, &outcome),
        None => to_stdout(options, &outcome),
    };
    let mut exit = outcome.as_ref().map_or_else(Error::exit, Report::exit);
    let mut status = outcome.as_ref().map_or(Status::Unknown, nagios::status);
    if let Err(e) = written {
        // A report that could not be written is no reason to keep httpd from starting.
        if options.command == Command::Guard {
            log.tell(Level::Warn, &Entry::Line(e.to_string()));
        } else {
            log.tell(Level::Error, &Entry::Message(e.message()));
            if options.format == Format::Nagios {
                let _ = output::to_stdout(|out| nagios::write_error(&e, out));
            }
            exit = if exit == Exit::Ok { e.exit() } else { exit };
            status = Status::Unknown;
        }
    }
    if options.format == Format::Nagios { status.into() } else { exit.into() }
}

/// The log entries.
fn entries(
    options: &Options,
    outcome: &Result<Report, Error>,
    verbose: bool,
) -> Vec<(Level, Entry)> {
    match outcome {
        Ok(report) => entries_of(report, verbose),
        Err(e) => {
            let mut entries = of_events(&options.given.events);
            entries.push((Level::Error, Entry::Message(e.message())));
            entries
        }
    }
}

fn to_stdout(options: &Options, outcome: &Result<Report, Error>) -> Result<(), Error> {
    if options.quiet && options.format == Format::Text && options.command != Command::List {
        return Ok(());
    }
    let name = logging::name_in_journal(&io::stdout()).filter(|_| options.format == Format::Text);
    let written = output::to_stdout(|out| match name {
        // In the journal, each line is separate.
        Some(name) => {
            let mut text = Vec::new();
            write(options, &Screen::default(), outcome, &mut text)?;
            let text = String::from_utf8_lossy(&text);
            text.lines().try_for_each(|line| writeln!(out, "{name}{line}"))
        }
        None => write(options, &Screen::of(&io::stdout()), outcome, out),
    });
    written.map_err(|e| Error::stdout(&e))
}

/// A file has no log next to it, so text for people is preceded by the log entries.
fn to_file(options: &Options, file: &Path, outcome: &Result<Report, Error>) -> Result<(), Error> {
    let with_log = |out: &mut dyn Write| {
        if options.format == Format::Text {
            for line in entries(options, outcome, false).iter().flat_map(|(_, entry)| entry.lines())
            {
                writeln!(out, "{line}")?;
            }
        }
        write(options, &Screen::default(), outcome, out)
    };
    output::replace(file, with_log).map_err(|e| Error::output(file, &e))
}

fn write(
    options: &Options,
    screen: &Screen,
    outcome: &Result<Report, Error>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match outcome {
        Ok(report) => report.write(options.format, screen, out),
        Err(e) => {
            let time = clock::now().map_or(WallTime(0), |clock| clock.now);
            let instance = options.instance.as_ref();
            report::write_error(e, options.command, instance, time, options.format, out)
        }
    }
}
