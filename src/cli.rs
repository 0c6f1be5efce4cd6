//! The command line: the one place for every option and its environment variable. Touches
//! nothing; `parse` takes the arguments and returns values.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, ValueEnum};

use crate::error::Exit;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Remove orphaned sets, then say whether httpd's locks can be made
    Guard,
    /// Say whether httpd's locks can be made now, and what guard would change; changes nothing
    Check,
    /// Show every set of the guarded users with its verdict and evidence
    List,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTo {
    /// The journal's form where standard error is the journal, else standard error; syslog where
    /// there is none
    Auto,
    /// Standard error
    Stderr,
    /// syslog (LOG_DAEMON), else standard error
    Syslog,
}

/// The options of a run.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "httpd-semguard",
    version,
    about = "Removes the semaphore sets that a dead httpd left, and says whether httpd can start",
    after_help = after_help(),
    allow_negative_numbers = true,
    max_term_width = 100
)]
pub struct Options {
    /// What to do
    #[arg(value_enum, default_value = "guard", hide_default_value = false)]
    pub command: Command,

    /// Guard the sets of this user (repeatable, or separated by commas); default: the
    /// distribution's account for httpd
    #[arg(
        short,
        long,
        value_name = "NAME|UID",
        env = "HTTPD_SEMGUARD_USER",
        value_delimiter = ',',
        action = ArgAction::Append
    )]
    pub user: Vec<String>,

    /// Go the whole way of guard, but remove nothing; the forecast is for the table as it would be
    #[arg(short = 'n', long, env = "HTTPD_SEMGUARD_DRY_RUN")]
    pub dry_run: bool,

    /// Semaphore sets that httpd needs, instead of what is known of its configuration
    #[arg(
        long,
        value_name = "N",
        env = "HTTPD_SEMGUARD_NEED",
        value_parser = clap::value_parser!(u32).range(0..=MOST_SETS)
    )]
    pub need: Option<u32>,

    /// Fail unless so many sets can still be made after httpd has started
    #[arg(
        long,
        value_name = "N",
        env = "HTTPD_SEMGUARD_MIN_FREE",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=MOST_SETS)
    )]
    pub min_free: u32,

    /// Treat a start at risk as a failure
    #[arg(long, env = "HTTPD_SEMGUARD_STRICT")]
    pub strict: bool,

    /// Declare that no process outside this PID namespace uses the sets (a container with an IPC
    /// namespace of its own)
    #[arg(long, env = "HTTPD_SEMGUARD_PRIVATE_IPC")]
    pub private_ipc: bool,

    /// Ask this httpd or apachectl (absolute path) what it will need; default: the
    /// distribution's
    #[arg(long, value_name = "PATH", env = "HTTPD_SEMGUARD_HTTPD")]
    pub httpd: Option<PathBuf>,

    /// Do not ask httpd what it will need; assume one accept lock
    #[arg(long, env = "HTTPD_SEMGUARD_NO_ASK")]
    pub no_ask: bool,

    /// How long httpd may take to answer
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HTTPD_SEMGUARD_ASK_TIMEOUT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    pub ask_timeout: u32,

    /// Where the log goes
    #[arg(
        long,
        value_enum,
        value_name = "WHERE",
        env = "HTTPD_SEMGUARD_LOG",
        default_value = "auto"
    )]
    pub log: LogTo,

    /// Say how the answer was found: users, each set, each figure
    #[arg(short, long, env = "HTTPD_SEMGUARD_VERBOSE", conflicts_with = "quiet")]
    pub verbose: bool,

    /// Say only what needs attention
    #[arg(short, long, env = "HTTPD_SEMGUARD_QUIET")]
    pub quiet: bool,

    /// Arguments handed to httpd when it is asked: those it will be started with (-f FILE, -D NAME)
    #[arg(last = true, value_name = "ARGS")]
    pub httpd_args: Vec<OsString>,
}

/// The most sets that any kernel allows (ipc/util.h, `IPCMNI_EXTEND`).
const MOST_SETS: i64 = 1 << 24;

fn after_help() -> String {
    let codes: Vec<String> =
        Exit::ALL.iter().map(|(code, says)| format!("  {:>2}  {says}", *code as u8)).collect();
    format!("Exit codes:\n{}\n\nSee httpd-semguard(8).", codes.join("\n"))
}

/// What ends a run at the command line: help that was asked for, or a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// The text for standard output (help) or standard error.
    pub text: String,
}

/// Parses the arguments, the program's name first, and the environment.
///
/// # Errors
/// [`Stop`] with [`Exit::Ok`] for `--help` and `--version`, else with [`Exit::Usage`].
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let stop = |e: clap::Error| Stop {
        exit: if e.use_stderr() { Exit::Usage } else { Exit::Ok },
        text: e.render().to_string(),
    };
    let options = Options::try_parse_from(args).map_err(stop)?;
    if options.dry_run && options.command != Command::Guard {
        let mut command = Options::command();
        let message = "--dry-run goes with guard; check and list change nothing anyway";
        return Err(stop(command.error(ErrorKind::ArgumentConflict, message)));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Result<Options, Stop> {
        parse(std::iter::once("httpd-semguard").chain(args.iter().copied()).map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn guard_is_the_default() {
        assert_eq!(of(&[]).expect("parses").command, Command::Guard);
        assert!(of(&["--dry-run"]).expect("parses").dry_run);
    }

    #[test]
    fn numbers_out_of_range_are_usage_errors_that_name_the_option() {
        for bad in
            [["--need", "-1"], ["--need", "99999999999"], ["--min-free", "x"], ["--need", ""]]
        {
            let stop = of(&bad).expect_err("refused");
            assert_eq!(stop.exit, Exit::Usage, "{bad:?}");
            assert!(stop.text.contains(bad[0]), "{}", stop.text);
        }
    }

    #[test]
    fn help_and_version_are_no_mistake() {
        for flag in ["--help", "--version", "-h", "-V"] {
            assert_eq!(of(&[flag]).expect_err("stops").exit, Exit::Ok);
        }
    }

    #[test]
    fn a_dry_run_of_what_changes_nothing_is_refused() {
        for command in ["check", "list"] {
            assert_eq!(of(&[command, "--dry-run"]).expect_err("refused").exit, Exit::Usage);
        }
    }

    #[test]
    fn users_may_be_repeated_or_joined() {
        assert_eq!(of(&["-u", "a,b", "--user", "c"]).expect("parses").user, ["a", "b", "c"]);
    }

    #[test]
    fn every_option_has_an_environment_variable_of_its_name() {
        for arg in Options::command().get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            if ["help", "version"].contains(&long) {
                continue;
            }
            let want = format!("HTTPD_SEMGUARD_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|e| e.to_str()), Some(want.as_str()));
        }
    }
}
