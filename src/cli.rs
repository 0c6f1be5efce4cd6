//! The command line: the one place for every option and its environment variable. Touches
//! nothing; `parse` takes the arguments and returns values.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, Resettable, StyledStr};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

use crate::facts::error::Exit;
use crate::facts::request::{Command, Format, LogTo, SortKey};

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

    /// Guard the sets of this user (repeatable, or separated by commas); default: those that
    /// httpd's configuration names, else the distribution's account
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
    #[arg(short = 'n', long, env = "HTTPD_SEMGUARD_DRY_RUN", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
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
    #[arg(long, env = "HTTPD_SEMGUARD_STRICT", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub strict: bool,

    /// Declare that no process outside this PID namespace uses the sets (a container with an IPC
    /// namespace of its own)
    #[arg(long, env = "HTTPD_SEMGUARD_PRIVATE_IPC", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub private_ipc: bool,

    /// Ask this httpd or apachectl (absolute path) what it will need; default: the
    /// distribution's
    #[arg(long, value_name = "PATH", env = "HTTPD_SEMGUARD_HTTPD")]
    pub httpd: Option<PathBuf>,

    /// Do not ask httpd what it will need; assume one accept lock
    #[arg(long, env = "HTTPD_SEMGUARD_NO_ASK", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
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

    /// Do not look into the memory of living processes: what only that could decide stays
    #[arg(long, env = "HTTPD_SEMGUARD_NO_MEMORY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub no_memory: bool,

    /// How long the memory of living processes may be read; what is unread keeps its sets
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HTTPD_SEMGUARD_MEMORY_TIMEOUT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    pub memory_timeout: u32,

    /// What the report is written for
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "HTTPD_SEMGUARD_FORMAT",
        default_value = "text"
    )]
    pub format: Format,

    /// Write the report to this file instead of standard output: whole, or not at all
    #[arg(long, value_name = "FILE", env = "HTTPD_SEMGUARD_OUTPUT")]
    pub output: Option<PathBuf>,

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
    #[arg(short, long, env = "HTTPD_SEMGUARD_VERBOSE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub verbose: bool,

    /// Say only what needs attention
    #[arg(short, long, env = "HTTPD_SEMGUARD_QUIET", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Show only the orphans
    #[arg(long, help_heading = OF_LIST)]
    pub orphans: bool,

    /// Sort by this
    #[arg(long, value_enum, value_name = "KEY", default_value = "semid", help_heading = OF_LIST)]
    pub sort: SortKey,

    /// Show the whole evidence on this set, and how to remove it by hand
    #[arg(long, value_name = "SEMID", help_heading = OF_LIST, conflicts_with_all = ["orphans", "sort"])]
    pub explain: Option<i32>,

    /// Arguments handed to httpd when it is asked: those it will be started with (-f FILE, -D NAME)
    #[arg(last = true, value_name = "ARGS")]
    pub httpd_args: Vec<OsString>,
}

impl Options {
    /// Whether the run may remove sets.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.command == Command::Guard && !self.dry_run
    }
}

/// Options for a person who looks; no environment variable stands for them.
const OF_LIST: &str = "Options of list";

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
    /// The text for standard output (help) or standard error; may hold colours.
    pub text: StyledStr,
    /// Who runs the program wants Nagios' exit codes.
    pub nagios: bool,
}

/// The definition. A variable that is set and empty is as good as not set: an EnvironmentFile
/// holds such lines.
fn command() -> clap::Command {
    Options::command().mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|v| v.is_empty());
        if empty { arg.env(Resettable::Reset) } else { arg }
    })
}

/// Parses the arguments, the program's name first, and the environment.
///
/// # Errors
/// [`Stop`] with [`Exit::Ok`] for `--help` and `--version`, else with [`Exit::Usage`].
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let args: Vec<OsString> = args.into_iter().collect();
    let stop = |e: clap::Error| Stop {
        exit: if e.use_stderr() { Exit::Usage } else { Exit::Ok },
        text: e.render(),
        nagios: asks_for_nagios(&args),
    };
    let conflict = |message: &str| stop(command().error(ErrorKind::ArgumentConflict, message));
    let matches = command().try_get_matches_from(&args).map_err(stop)?;
    let mut options = Options::from_arg_matches(&matches).map_err(stop)?;
    // What the environment says of every run gives way to what was typed for this one.
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if options.dry_run && options.command != Command::Guard {
        if typed("dry_run") {
            return Err(conflict(
                "--dry-run goes with guard; check and list change nothing anyway",
            ));
        }
        options.dry_run = false;
    }
    if options.quiet && options.verbose {
        if typed("quiet") && typed("verbose") {
            return Err(conflict("--quiet and --verbose cannot be used together"));
        }
        options.quiet = typed("quiet");
        options.verbose = !options.quiet;
    }
    // A warning to a monitor is no reason to stop a httpd, which a guard's exit does.
    if (options.command, options.format) == (Command::Guard, Format::Nagios) && !typed("format") {
        options.format = Format::Text;
    }
    if options.command == Command::List {
        if !matches!(options.format, Format::Text | Format::Json) {
            if typed("format") {
                return Err(conflict("list is written as text or json; check and guard know more"));
            }
            options.format = Format::Text;
        }
    } else if let Some(of_list) = ["orphans", "sort", "explain"].into_iter().find(|o| typed(o)) {
        return Err(conflict(&format!("--{of_list} goes with list")));
    }
    Ok(options)
}

/// Whether the answer to a command line, however wrong, is for Nagios.
#[must_use]
pub fn asks_for_nagios(args: &[OsString]) -> bool {
    let words = args.iter().take_while(|a| *a != "--");
    let mut typed = None;
    let mut of_format = false;
    for word in words {
        if of_format {
            typed = Some(word.to_owned());
        }
        of_format = word == "--format";
        if let Some(value) = word.to_str().and_then(|w| w.strip_prefix("--format=")) {
            typed = Some(value.into());
        }
    }
    // The environment speaks to a check alone.
    let checks = || args.iter().take_while(|a| *a != "--").any(|a| a == "check");
    let of_environment = || std::env::var_os("HTTPD_SEMGUARD_FORMAT").filter(|_| checks());
    typed.or_else(of_environment).is_some_and(|f| f == "nagios")
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
            assert!(stop.text.to_string().contains(bad[0]), "{}", stop.text);
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
    fn what_goes_with_list_alone_is_refused_elsewhere() {
        for option in [&["--orphans"][..], &["--sort", "age"], &["--explain", "7"]] {
            assert!(of(&[&["list"], option].concat()).is_ok(), "{option:?}");
            let stop = of(&[&["check"], option].concat()).expect_err("refused");
            assert!(stop.text.to_string().contains(option[0]), "{}", stop.text);
        }
        assert!(of(&["list", "--explain", "7", "--orphans"]).is_err());
    }

    #[test]
    fn list_is_for_people_and_programs_not_for_monitors() {
        assert!(of(&["list", "--format", "json"]).is_ok());
        for monitor in ["nagios", "prometheus"] {
            assert_eq!(of(&["list", "--format", monitor]).expect_err("refused").exit, Exit::Usage);
        }
    }

    #[test]
    fn a_mistake_in_a_nagios_command_is_known_as_such() {
        for args in [&["--format", "nagios", "--nonsense"][..], &["--bad", "--format=nagios"]] {
            assert!(of(args).expect_err("refused").nagios, "{args:?}");
        }
        for args in [&["--format", "json", "--bad"][..], &["--bad", "--", "--format=nagios"]] {
            assert!(!of(args).expect_err("refused").nagios, "{args:?}");
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
            if ["help", "version"].contains(&long) || arg.get_help_heading() == Some(OF_LIST) {
                assert_eq!(arg.get_env(), None);
                continue;
            }
            let want = format!("HTTPD_SEMGUARD_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|e| e.to_str()), Some(want.as_str()));
        }
    }
}
