//! Parse, log, run, exit code; nothing else.

use std::io::{self, Write};
use std::process::ExitCode;

use httpd_semguard::error::Exit;
use httpd_semguard::report::text;
use httpd_semguard::{cli, guard, logging};
use log::{LevelFilter, error};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "httpd-semguard: a bug in httpd-semguard: {panic}");
        std::process::exit(Exit::Software as i32);
    }));
    run().into()
}

fn run() -> Exit {
    let options = match cli::parse(std::env::args_os()) {
        Ok(options) => options,
        Err(stop) => {
            write(stop.exit != Exit::Ok, &stop.text);
            return stop.exit;
        }
    };
    let level = match (options.quiet, options.verbose) {
        (true, _) => LevelFilter::Warn,
        (_, true) => LevelFilter::Debug,
        _ => LevelFilter::Info,
    };
    logging::start(options.log, level);
    match guard::run(&options) {
        Ok(report) => {
            let text = text::render(&report);
            for (level, line) in &text.log {
                log::log!(*level, "{line}");
            }
            if !options.quiet || options.command == cli::Command::List {
                write(false, &text.out);
            }
            report.exit()
        }
        Err(e) => {
            error!("{e}\n  do:   {}", e.hint());
            e.exit()
        }
    }
}

/// Writes to standard error or output; a closed pipe is nobody's fault and changes no answer.
fn write(to_stderr: bool, text: &str) {
    let _ = if to_stderr {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    };
}
