//! The command line: every option and its environment variable is defined here. `parse` takes the
//! arguments and returns values; it reads the environment and, if asked to, settings files.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::{
    BoolishValueParser, EnumValueParser, PossibleValue, PossibleValuesParser, Resettable,
    StyledStr, TypedValueParser,
};
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum, ValueHint};

use crate::facts::error::{Error, Exit};
use crate::facts::event::Event;
use crate::facts::printable::printable;
use crate::facts::request::{Command, Format, Instance, LogTo, SortKey};
use crate::facts::settings::{Complaint, Origin, Setting};
use crate::facts::site::GuardCommand;
use crate::facts::users::Guarded;
use crate::look::settings::{self, Line, Part};
use crate::look::users;

/// The options of a run.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "httpd-semguard",
    version,
    about = "Removes semaphore sets left behind by a dead Apache httpd, and checks that httpd can start",
    after_help = after_help(),
    allow_negative_numbers = true,
    max_term_width = 100
)]
pub struct Options {
    /// What to do
    #[arg(value_parser = Commands, default_value = "guard", hide_default_value = false)]
    pub command: Command,

    /// Guard the sets of this user (repeatable, or separated by commas); default: the users named in
    /// httpd's configuration, otherwise the distribution's account
    #[arg(
        short,
        long,
        value_name = "NAME|UID",
        value_hint = ValueHint::Username,
        env = "HTTPD_SEMGUARD_USER",
        value_delimiter = ',',
        action = ArgAction::Append
    )]
    pub user: Vec<String>,

    /// With guard: do everything except remove sets; the forecast is for the table as it would be
    /// after the removals, or as it is if the variable asks for this before a start
    #[arg(short = 'n', long, env = "HTTPD_SEMGUARD_DRY_RUN", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub dry_run: bool,

    /// Assume that httpd needs this many semaphore sets, whatever its configuration says
    #[arg(
        long,
        value_name = "N",
        value_hint = ValueHint::Other,
        env = "HTTPD_SEMGUARD_NEED",
        value_parser = clap::value_parser!(u32).range(0..=MOST_SETS)
    )]
    pub need: Option<u32>,

    /// Fail unless this many more sets can be created once httpd has started
    #[arg(
        long,
        value_name = "N",
        value_hint = ValueHint::Other,
        env = "HTTPD_SEMGUARD_MIN_FREE",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=MOST_SETS)
    )]
    pub min_free: u32,

    /// Treat a start that is at risk as a failure
    #[arg(long, env = "HTTPD_SEMGUARD_STRICT", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub strict: bool,

    /// Declare that no process outside this PID namespace uses these sets (true in a container that
    /// has its own IPC namespace)
    #[arg(long, env = "HTTPD_SEMGUARD_PRIVATE_IPC", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub private_ipc: bool,

    /// Ask this httpd or apachectl (absolute path) what it will need; default: the distribution's
    #[arg(long, value_name = "PATH", env = "HTTPD_SEMGUARD_HTTPD")]
    pub httpd: Option<PathBuf>,

    /// Examine one instance of several (apache2@NAME.service, httpd@NAME.service): ask for its
    /// configuration, read its settings as well, and label its metrics
    #[arg(long, value_name = "NAME")]
    pub instance: Option<Instance>,

    /// Do not ask httpd what it will need; assume one accept mutex
    #[arg(long, env = "HTTPD_SEMGUARD_NO_ASK", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub no_ask: bool,

    /// How long httpd may take to answer
    #[arg(
        long,
        value_name = "SECONDS",
        value_hint = ValueHint::Other,
        env = "HTTPD_SEMGUARD_ASK_TIMEOUT",
        default_value_t = TIMEOUT,
        value_parser = clap::value_parser!(u32).range(1..=LONGEST_TIMEOUT)
    )]
    pub ask_timeout: u32,

    /// Do not read the memory of running processes; keep the sets that only this could decide
    #[arg(long, env = "HTTPD_SEMGUARD_NO_MEMORY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub no_memory: bool,

    /// How long reading the memory of running processes may take; sets that unread memory could
    /// refer to are kept
    #[arg(
        long,
        value_name = "SECONDS",
        value_hint = ValueHint::Other,
        env = "HTTPD_SEMGUARD_MEMORY_TIMEOUT",
        default_value_t = TIMEOUT,
        value_parser = clap::value_parser!(u32).range(1..=LONGEST_TIMEOUT)
    )]
    pub memory_timeout: u32,

    /// The format of the report
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "HTTPD_SEMGUARD_FORMAT",
        default_value = "text"
    )]
    pub format: Format,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Write the report to this file instead of standard output, completely or not at all
    #[arg(long, value_name = "FILE", env = "HTTPD_SEMGUARD_OUTPUT")]
    pub output: Option<PathBuf>,

    /// Where to log messages
    #[arg(
        long,
        value_enum,
        value_name = "WHERE",
        env = "HTTPD_SEMGUARD_LOG",
        default_value = "auto"
    )]
    pub log: LogTo,

    /// Read settings from this file (repeatable), which has lines NAME=VALUE like a unit's
    /// EnvironmentFile; default: the distribution's files for check and list, none for guard
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub settings: Vec<PathBuf>,

    /// Explain how the result was reached: users, every set, every figure
    #[arg(short, long, env = "HTTPD_SEMGUARD_VERBOSE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub verbose: bool,

    /// Report only what needs attention
    #[arg(short, long, env = "HTTPD_SEMGUARD_QUIET", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Show only orphaned sets
    #[arg(long, help_heading = OF_LIST)]
    pub orphans: bool,

    /// Show the sets of all users; sets of users who are not guarded have no verdict
    #[arg(long, help_heading = OF_LIST, conflicts_with_all = ["orphans", "explain"])]
    pub all: bool,

    /// Sort by this key
    #[arg(long, value_enum, value_name = "KEY", default_value = "semid", help_heading = OF_LIST)]
    pub sort: SortKey,

    /// Show everything that is known about this set, and how to remove it by hand
    #[arg(long, value_name = "SEMID", value_hint = ValueHint::Other, help_heading = OF_LIST, conflicts_with_all = ["orphans", "sort"])]
    pub explain: Option<i32>,

    /// Pass these arguments to httpd when it is asked: the ones it will be started with (-f FILE,
    /// -D NAME)
    #[arg(last = true, value_name = "ARGS")]
    pub httpd_args: Vec<OsString>,

    /// What came from variables and files.
    #[arg(skip)]
    pub given: Given,
}

/// What was not given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What to report about the settings.
    pub events: Vec<Event>,
    /// A variable asks for dry runs before httpd starts.
    pub dry_run: bool,
    /// The setting that names the users. If one of them cannot be guarded, the run continues.
    pub user: Option<Setting>,
    /// The setting that demands a reserve.
    pub min_free: Option<Setting>,
}

impl Options {
    /// Whether the run may remove sets.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.command == Command::Guard && !self.dry_run
    }

    /// The guard command that removes the orphans counted by this run: it looks at the same users'
    /// sets, and judges them in the same way.
    #[must_use]
    pub fn guard_command(&self, users: &[Guarded]) -> GuardCommand {
        let text = |word: &OsStr| word.to_string_lossy().into_owned();
        let mut words = Vec::new();
        if !self.user.is_empty() {
            // Those of the given users that can be guarded. A name that a list or a terminal could
            // misinterpret is replaced by its UID.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let name = |user: &Guarded| match user.name.chars().all(is_plain) {
                true => user.name.clone(),
                false => user.uid.to_string(),
            };
            let names: Vec<String> = users.iter().map(name).collect();
            words.extend(["--user".into(), names.join(",")]);
        }
        let switches = [
            (self.private_ipc, "--private-ipc"),
            (self.no_ask, "--no-ask"),
            (self.no_memory, "--no-memory"),
        ];
        words.extend(switches.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
        let seconds =
            [(self.ask_timeout, "--ask-timeout"), (self.memory_timeout, "--memory-timeout")];
        for (seconds, option) in seconds {
            if seconds != TIMEOUT {
                words.extend([option.to_owned(), seconds.to_string()]);
            }
        }
        if let Some(httpd) = &self.httpd {
            words.extend(["--httpd".into(), text(httpd.as_os_str())]);
        }
        if let Some(instance) = &self.instance {
            words.extend(["--instance".into(), instance.name().to_owned()]);
        }
        if !self.httpd_args.is_empty() {
            words.push("--".into());
            words.extend(self.httpd_args.iter().map(|word| text(word)));
        }
        GuardCommand::new(words, self.given.dry_run)
    }
}

/// The names of the commands: those of [`Command`], and `help`, which stands for `--help`.
#[derive(Clone)]
struct Commands;

impl TypedValueParser for Commands {
    type Value = Command;

    fn parse_ref(
        &self,
        definition: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Command, clap::Error> {
        // So that an error message lists all the names.
        let words = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
        if words.parse_ref(definition, arg, value)? == "help" {
            let help = definition.clone().try_get_matches_from([definition.get_name(), "--help"]);
            return Err(help.expect_err("help ends the run"));
        }
        EnumValueParser::<Command>::new().parse_ref(definition, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let help = PossibleValue::new("help").help("Print this help");
        let commands = Command::value_variants().iter().filter_map(Command::to_possible_value);
        Some(Box::new(commands.chain([help])))
    }
}

/// The heading of the options that only `list` has; they have no environment variables.
pub const OF_LIST: &str = "Options for list only";

/// The default for how long httpd may take to answer, and for how long memory may be read, in seconds.
const TIMEOUT: u32 = 10;

/// The maximum that can be given for these times, in seconds.
const LONGEST_TIMEOUT: i64 = 3600;

/// The most sets that any kernel allows (ipc/util.h, `IPCMNI_EXTEND`).
const MOST_SETS: i64 = 1 << 24;

fn after_help() -> String {
    let codes: Vec<String> =
        Exit::ALL.iter().map(|(code, says)| format!("  {:>2}  {says}", *code as u8)).collect();
    format!("Exit codes:\n{}\n\nSee httpd-semguard(8).", codes.join("\n"))
}

/// Why a run ends at the command line: help was requested, or there is a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// The text for standard output (help) or standard error; may contain colours.
    pub text: StyledStr,
    /// The caller expects the exit codes of a Nagios plugin.
    pub nagios: bool,
}

/// What a check, a list or a dry run does not take from a settings file: how the guard in a unit
/// reports, and that it changes nothing, is not meant for them.
const OF_THE_UNIT: [&str; 6] = ["dry_run", "format", "output", "log", "verbose", "quiet"];

/// The prefix of all variables.
const PREFIX: &str = "HTTPD_SEMGUARD_";

/// Parses the arguments, the program's name first. What they leave open is taken from the environment,
/// then from the settings files.
///
/// # Errors
/// [`Stop`] with [`Exit::Ok`] for `--help` and `--version`, otherwise with [`Exit::Usage`].
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    // Whatever follows: "help guard" is valid.
    if let Some(word) = args.get_mut(1).filter(|word| *word == "help") {
        *word = "--help".into();
    }
    let stop = |mut e: clap::Error| {
        // clap's tip to put an unknown option after "--" is wrong: arguments there go to httpd.
        e.remove(ContextKind::Suggested);
        Stop {
            exit: if e.use_stderr() { Exit::Usage } else { Exit::Ok },
            text: e.render(),
            nagios: asks_for_nagios(&args),
        }
    };
    // Without the environment: what is wrong there is not a mistake on this command line.
    let definition = || Options::command().mut_args(|arg| arg.env(Resettable::Reset));
    let conflict = |message: &str| stop(definition().error(ErrorKind::ArgumentConflict, message));
    let matches = definition().try_get_matches_from(&args).map_err(|e| {
        // The help text, however, names the variables.
        let help = || Options::command().try_get_matches_from(&args).err();
        stop(if e.use_stderr() { e } else { help().unwrap_or(e) })
    })?;
    let typed = |id: &str| {
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        is_typed(id) || id == "format" && is_typed("json")
    };
    let mut options = Options::from_arg_matches(&matches).map_err(stop)?;

    let mut settings = Settings::gather(&options);
    let tested = options.command != Command::Guard && typed("settings");
    if tested {
        settings.test_users();
        let is_wrong = |c: &&Complaint| {
            let of_file = c.file().is_some_and(|file| options.settings.contains(file));
            of_file && !matches!(c, Complaint::Version(_))
        };
        let wrong: Vec<String> =
            settings.complaints.iter().filter(is_wrong).map(|c| format!("{c}")).collect();
        if !wrong.is_empty() {
            let message =
                format!("errors in the file given with --settings\n  {}", wrong.join("\n  "));
            return Err(stop(definition().error(ErrorKind::InvalidValue, message)));
        }
    }
    // As if they had been typed before the actual arguments.
    let mut words: Vec<OsString> = args.iter().take(1).cloned().collect();
    words.extend(settings.values.iter().filter(|v| !typed(&v.id)).filter_map(|v| v.word.clone()));
    words.extend(args.iter().skip(1).cloned());
    let matches = definition().try_get_matches_from(&words).map_err(stop)?;
    options = Options::from_arg_matches(&matches).map_err(stop)?;
    if options.json {
        options.format = Format::Json;
    }
    let given = |id: &str| {
        let value = settings.values.iter().find(|v| v.id == id && !typed(id))?;
        let mut setting = value.setting.clone();
        find(&mut setting, options.instance.as_ref());
        Some(setting)
    };
    (options.given.user, options.given.min_free) = (given("user"), given("min_free"));
    if options.given.user.is_some() {
        options.user = names(&options.user.join(","));
    }
    options.given.events = settings.events(typed, options.instance.as_ref());
    options.given.dry_run = settings.dry_run;

    // A setting for every run gives way to an option typed for this one.
    if options.dry_run && options.command != Command::Guard {
        if typed("dry_run") {
            return Err(conflict(
                "--dry-run can only be used with guard; check and list change nothing anyway",
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
    // With the exit codes of a plugin, a mere warning would keep httpd from starting. And a document
    // belongs in a file; without one, it would end up in the journal of the start.
    let is_document = options.format == Format::Nagios || options.output.is_none();
    if options.command == Command::Guard && is_document && !typed("format") {
        options.format = Format::Text;
    }
    // A monitoring system reads what its plugin prints, not a file.
    if options.format == Format::Nagios && typed("format") && !typed("output") {
        options.output = None;
    }
    if options.command == Command::List {
        if !matches!(options.format, Format::Text | Format::Json) {
            if typed("format") {
                return Err(conflict("list supports only the formats text and json"));
            }
            options.format = Format::Text;
        }
    } else if let Some(of_list) = Options::command()
        .get_arguments()
        .find(|arg| arg.get_help_heading() == Some(OF_LIST) && typed(arg.get_id().as_str()))
    {
        return Err(conflict(&format!("--{} can only be used with list", of_list.get_id())));
    }
    Ok(options)
}

/// A setting that is valid and takes effect.
struct Value {
    /// The option it stands for.
    id: String,
    /// The option and its value as they would be typed; `None` for a switch that is off.
    word: Option<OsString>,
    setting: Setting,
}

/// The settings from the environment and from files.
#[derive(Default)]
struct Settings {
    values: Vec<Value>,
    complaints: Vec<Complaint>,
    /// Whether they ask for dry runs of guard.
    dry_run: bool,
}

impl Settings {
    /// Everything that takes effect in a run with these options from the command line.
    fn gather(options: &Options) -> Settings {
        let mut settings = Settings::default();
        let files = match options.command {
            _ if !options.settings.is_empty() => options.settings.clone(),
            Command::Guard => Vec::new(),
            Command::Check | Command::List => settings::present(options.instance.as_ref()),
        };
        let mut of_files = Vec::new();
        for file in files {
            settings.take(file, &mut of_files);
        }
        let definition = Options::command();
        let named: Vec<(&Arg, &str)> = definition
            .get_arguments()
            .filter_map(|arg| Some((arg, arg.get_env().and_then(OsStr::to_str)?)))
            .collect();
        for (arg, name) in &named {
            let of_environment = std::env::var_os(name);
            let of_unit = OF_THE_UNIT.contains(&arg.get_id().as_str());
            let is_start = options.command == Command::Guard && !options.dry_run;
            let counts = of_environment.is_none() && (is_start || !of_unit);
            if let Some(setting) = of_files.iter().rfind(|setting| setting.name == *name) {
                settings.judge(arg, setting.clone(), OsStr::new(&setting.value), counts);
            }
            if let Some(value) = of_environment {
                settings.judge(arg, of_the_environment(name, &value), &value, true);
            }
        }
        let of_environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| of_the_environment(&name, &value));
        let of_files = of_files.into_iter().filter(|setting| is_ours(&setting.name));
        for setting in of_environment.chain(of_files) {
            if named.iter().all(|(_, name)| *name != setting.name) {
                let meant = nearest(&setting.name, named.iter().map(|(_, name)| *name));
                settings.complaints.push(Complaint::Name(setting, meant));
            }
        }
        settings
    }

    /// Adds the settings of a file to the list.
    fn take(&mut self, file: PathBuf, list: &mut Vec<Setting>) {
        let lines = match settings::read(&file) {
            Ok(lines) => lines,
            Err(why) => return self.complaints.push(Complaint::Unread(file, why)),
        };
        for Line { number, part, is_in_doubt } in lines {
            let origin = Origin::File(file.clone(), number);
            let (Part::Variable(text, _) | Part::Stray(text)) = &part;
            if is_in_doubt && is_ours(text) {
                self.complaints.push(Complaint::Version(origin.clone()));
            }
            match part {
                Part::Variable(name, value) => list.push(Setting { name, value, origin }),
                Part::Stray(text) if is_ours(&text) => {
                    self.complaints.push(Complaint::Line(origin, text));
                }
                Part::Stray(_) => {}
            }
        }
    }

    /// Takes a setting if it is valid and `counts`. A setting with an empty value counts as not set:
    /// settings files contain such lines.
    fn judge(&mut self, arg: &Arg, setting: Setting, value: &OsStr, counts: bool) {
        if value.is_empty() {
            return;
        }
        let word = word(arg, value);
        if let (Ok(word), "dry_run") = (&word, arg.get_id().as_str()) {
            self.dry_run = word.is_some();
        }
        match word {
            Ok(word) if counts => {
                self.values.push(Value { id: arg.get_id().to_string(), word, setting });
            }
            Ok(_) => {}
            Err(why) => self.complaints.push(Complaint::Value(setting, why)),
        }
    }

    /// Checks that the users named in a file can be guarded.
    fn test_users(&mut self) {
        let of_file = |value: &&Value| value.id == "user" && value.setting.origin.file().is_some();
        let Some(value) = self.values.iter().find(of_file) else { return };
        let (_, errors) = users::sort_out(&names(&value.setting.value));
        let wrong = errors.iter().filter(|e| !matches!(e, Error::UserDatabase(..)));
        let complaint = |e: &Error| Complaint::User(value.setting.clone(), e.to_string());
        let complaints: Vec<Complaint> = wrong.map(complaint).collect();
        self.complaints.extend(complaints);
    }

    /// What to report: the complaints, and which settings in files take effect in this run.
    fn events(&self, typed: impl Fn(&str) -> bool, instance: Option<&Instance>) -> Vec<Event> {
        let complaints = self.complaints.iter().cloned().map(|mut complaint| {
            if let Complaint::Value(setting, _) | Complaint::Name(setting, _) = &mut complaint {
                find(setting, instance);
            }
            Event::SettingInDoubt(complaint)
        });
        let mut events: Vec<Event> = complaints.collect();
        let of_files = self.values.iter().filter(|value| !typed(&value.id));
        let of_files = of_files.filter(|value| value.setting.origin.file().is_some());
        events.extend(of_files.map(|value| Event::SettingTaken(value.setting.clone())));
        events
    }
}

/// Finds out where a setting from the environment was made: in a unit it comes from one of the
/// distribution's files.
fn find(setting: &mut Setting, instance: Option<&Instance>) {
    if setting.origin == Origin::Environment {
        if let Some((file, line)) = settings::place(&setting.name, &setting.value, instance) {
            setting.origin = Origin::File(file, line);
        }
    }
}

fn of_the_environment(name: &str, value: &OsStr) -> Setting {
    let value = value.to_string_lossy().into_owned();
    Setting { name: name.to_owned(), value, origin: Origin::Environment }
}

/// The users in the list of a variable, which may contain spaces.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether a name in a settings file, or a line that sets nothing, was meant for httpd-semguard.
fn is_ours(text: &str) -> bool {
    let text = text.to_uppercase();
    text != "SEMGUARD_METRICS" && (text.contains("SEMGUARD") || text.contains("HTTPD_SEM"))
}

/// The name that was probably meant, if one is similar enough.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let own = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let name = own(&name.to_uppercase());
    let near = names.map(|known| (strsim::damerau_levenshtein(&name, &own(known)), known));
    let (far, known) = near.min()?;
    (far <= 2 && far < own(known).len() / 2).then(|| known.to_owned())
}

/// The option of a variable with its value, as it would be typed; `None` for a switch that is off.
///
/// # Errors
/// Why the value is not valid.
fn word(arg: &Arg, value: &OsStr) -> Result<Option<OsString>, String> {
    let id = arg.get_id().as_str();
    let mut word = OsString::from(format!("--{}", arg.get_long().unwrap_or(id)));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        // clap has no message for a switch that is not valid text.
        let value = value.to_str().map(OsStr::new);
        let parse = |value| BoolishValueParser::new().parse_ref(&Options::command(), None, value);
        let on = value.and_then(|value| parse(value).ok()).ok_or("write yes or no")?;
        return Ok(on.then_some(word));
    }
    if id == "httpd" && !settings::is_program(Path::new(value)) {
        return Err("it is not the absolute path of a program".into());
    }
    word.push("=");
    word.push(value);
    let definition = Options::command().mut_args(|arg| arg.env(Resettable::Reset));
    let name = OsString::from(definition.get_name());
    let Err(e) = definition.try_get_matches_from([name, word.clone()]) else {
        return Ok(Some(word));
    };
    let possible = arg.get_possible_values();
    Err(match e.source() {
        _ if !possible.is_empty() => {
            let names: Vec<&str> = possible.iter().map(|value| value.get_name()).collect();
            format!("write one of {}", names.join(", "))
        }
        Some(source) if source.is::<std::num::ParseIntError>() => "write a whole number".into(),
        Some(source) => printable(&source.to_string()),
        None => "it is not valid UTF-8".into(),
    })
}

/// Whether the output of a command line, however wrong, is for Nagios.
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
        if word == "--json" {
            typed = Some("json".into());
        }
        if let Some(value) = word.to_str().and_then(|w| w.strip_prefix("--format=")) {
            typed = Some(value.into());
        }
    }
    // Only check takes the format from the environment.
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
    fn help_and_version_are_not_errors() {
        for flag in ["--help", "--version", "-h", "-V"] {
            assert_eq!(of(&[flag]).expect_err("stops").exit, Exit::Ok);
        }
    }

    #[test]
    fn help_is_a_command_and_names_itself() {
        let help = of(&["--help"]).expect_err("stops");
        assert!(help.text.to_string().contains("- help:"), "{}", help.text);
        for args in [&["help"][..], &["help", "list"], &["help", "--", "x"], &["--strict", "help"]]
        {
            assert_eq!(of(args).expect_err("stops"), help, "{args:?}");
        }
        let mistake = of(&["hlep"]).expect_err("refused");
        assert!(mistake.text.to_string().contains("list, help]"), "{}", mistake.text);
        // Arguments after the dashes go to httpd.
        assert!(of(&["--", "help"]).is_ok());
    }

    #[test]
    fn json_is_short_for_its_format_and_excludes_a_second_one() {
        for args in [&["check", "--json"][..], &["list", "--json"], &["--json"]] {
            assert_eq!(of(args).expect("parses").format, Format::Json, "{args:?}");
        }
        let stop = of(&["check", "--json", "--format", "nagios"]).expect_err("refused");
        assert_eq!((stop.exit, stop.nagios), (Exit::Usage, true));
        assert!(!of(&["--json", "--nonsense"]).expect_err("refused").nagios);
    }

    #[test]
    fn an_unknown_option_is_not_attributed_to_httpd() {
        let text = of(&["check", "--jsom"]).expect_err("refused").text.to_string();
        assert!(text.contains("'--json'") && !text.contains("-- --jsom"), "{text}");
    }

    #[test]
    fn the_guard_command_carries_the_options_that_decide_what_is_removed() {
        let user = |name: &str, uid: u32| Guarded {
            uid: nix::unistd::Uid::from_raw(uid),
            gid: nix::unistd::Gid::from_raw(uid),
            name: name.into(),
        };
        let users = [user("a", 7), user("DOM\\b c", 8)];
        let command = |args: &[&str]| of(args).expect("parses").guard_command(&users).to_string();
        assert_eq!(command(&["check"]), "httpd-semguard guard");
        assert_eq!(
            command(&["check", "-u", "a,b,c", "--private-ipc", "--json", "--", "-f", "a b"]),
            "httpd-semguard guard --user a,8 --private-ipc -- -f 'a b'"
        );
        assert_eq!(
            command(&["check", "--instance", "shop", "--ask-timeout", "60"]),
            "httpd-semguard guard --ask-timeout 60 --instance shop"
        );
    }

    #[test]
    fn a_dry_run_of_a_command_that_changes_nothing_is_refused() {
        for command in ["check", "list"] {
            assert_eq!(of(&[command, "--dry-run"]).expect_err("refused").exit, Exit::Usage);
        }
    }

    #[test]
    fn options_of_list_are_refused_with_other_commands() {
        for option in [&["--orphans"][..], &["--sort", "age"], &["--explain", "7"]] {
            assert!(of(&[&["list"], option].concat()).is_ok(), "{option:?}");
            let stop = of(&[&["check"], option].concat()).expect_err("refused");
            assert!(stop.text.to_string().contains(option[0]), "{}", stop.text);
        }
        assert!(of(&["list", "--explain", "7", "--orphans"]).is_err());
    }

    #[test]
    fn list_has_no_formats_for_monitoring_systems() {
        assert!(of(&["list", "--format", "json"]).is_ok());
        for monitor in ["nagios", "prometheus"] {
            assert_eq!(of(&["list", "--format", monitor]).expect_err("refused").exit, Exit::Usage);
        }
    }

    #[test]
    fn a_mistake_in_a_command_for_nagios_is_recognized() {
        for args in [&["--format", "nagios", "--nonsense"][..], &["--bad", "--format=nagios"]] {
            assert!(of(args).expect_err("refused").nagios, "{args:?}");
        }
        for args in [&["--format", "json", "--bad"][..], &["--bad", "--", "--format=nagios"]] {
            assert!(!of(args).expect_err("refused").nagios, "{args:?}");
        }
    }

    #[test]
    fn users_may_be_repeated_or_separated_by_commas() {
        assert_eq!(of(&["-u", "a,b", "--user", "c"]).expect("parses").user, ["a", "b", "c"]);
    }

    #[test]
    fn every_option_has_an_environment_variable_of_its_name() {
        for arg in Options::command().get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            // A file that names files would not be easier to read, nor one that names an instance and
            // thereby more files; json is covered by the variable of format.
            if ["help", "version", "settings", "instance", "json"].contains(&long)
                || arg.get_help_heading() == Some(OF_LIST)
            {
                assert_eq!(arg.get_env(), None);
                continue;
            }
            let want = format!("HTTPD_SEMGUARD_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|e| e.to_str()), Some(want.as_str()));
        }
    }
}
