//! Writes the completions of both programs for bash, zsh and fish to a directory, under the names
//! expected by these shells: `cargo run --example completions -- DIR`. A build tool, not a part of the
//! program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, CommandFactory, ValueEnum, ValueHint};
use clap_complete::Shell;
use clap_complete::aot::generate_to;
use httpd_semguard::cli::{OF_LIST, Options};
use httpd_semguard::facts::request;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("name a directory"))?;
    let dir = PathBuf::from(dir);
    fs::create_dir_all(&dir)?;
    for mut program in [program(), wrapper()] {
        let name = program.get_name().to_owned();
        generate_to(Shell::Zsh, &mut program, &name, &dir)?;
        generate_to(Shell::Fish, &mut program, &name, &dir)?;
        mend_fish(&program, &dir.join(format!("{name}.fish")))?;
        // bash-completion looks for a file with the name of the command.
        fs::write(dir.join(&name), for_bash(&program))?;
    }
    Ok(())
}

/// The program as shells should see it: each command with the options that go with it. Its own
/// definition has the command as a word among the options, so that no shell could complete after it.
fn program() -> Command {
    let mut flat = Options::command();
    flat.build();
    let options: Vec<Arg> = flat
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !["help", "version"].contains(&arg.get_id().as_str()))
        .cloned()
        .collect();
    let has = |command: request::Command, arg: &Arg| match arg.get_id().as_str() {
        "dry_run" => command == request::Command::Guard,
        _ if arg.get_help_heading() == Some(OF_LIST) => command == request::Command::List,
        _ => true,
    };
    let of = |command| options.iter().filter(move |arg| has(command, arg));
    let word = |command: &Command| Command::new(&*command.get_name().to_owned().leak());
    let commands: Vec<Command> = request::Command::value_variants()
        .iter()
        .map(|command| {
            let value = command.to_possible_value().expect("none is hidden");
            let about = value.get_help().cloned().unwrap_or_default();
            Command::new(&*value.get_name().to_owned().leak()).about(about).args(of(*command)).arg(
                Arg::new("httpd_args").last(true).num_args(0..).value_hint(ValueHint::FilePath),
            )
        })
        .collect();
    let words: Vec<Command> = commands.iter().map(|c| word(c).disable_help_flag(true)).collect();
    Command::new("httpd-semguard")
        .version("1")
        .args(of(request::Command::Guard))
        .disable_help_subcommand(true)
        .subcommands(commands)
        .subcommand(
            Command::new("help").about("Print help").disable_help_flag(true).subcommands(words),
        )
}

/// The verbs of apachectl, and whether they take httpd's options.
const VERBS: [(&str, &str, bool); 9] = [
    ("start", "Start httpd, unless the guard reports that it would fail", true),
    ("restart", "Restart httpd, or start it", true),
    ("graceful", "Reload httpd without aborting connections, or start it", true),
    ("stop", "Stop httpd", true),
    ("graceful-stop", "Stop httpd without aborting connections", true),
    ("configtest", "Test the configuration", false),
    ("status", "Show a short report of mod_status", false),
    ("fullstatus", "Show the full report of mod_status", false),
    ("help", "Show the usage of httpd", false),
];

/// apachectl-semguard: the arguments of apachectl and httpd (apachectl(8), httpd(8)).
fn wrapper() -> Command {
    let option = |letter: &'static str, name: &'static str, about: &'static str| {
        Arg::new(letter).short(letter.chars().next()).value_name(name).help(about)
    };
    let flag = |letter: &'static str, about: &'static str| {
        Arg::new(letter).short(letter.chars().next()).action(ArgAction::SetTrue).help(about)
    };
    let of_httpd = [
        option("f", "FILE", "The configuration file").value_hint(ValueHint::FilePath),
        option("d", "DIRECTORY", "The server root").value_hint(ValueHint::DirPath),
        option("D", "NAME", "Define a name for <IfDefine>").value_hint(ValueHint::Other),
        option("C", "DIRECTIVE", "A directive to process before the configuration")
            .value_hint(ValueHint::Other),
        option("c", "DIRECTIVE", "A directive to process after the configuration")
            .value_hint(ValueHint::Other),
        option("e", "LEVEL", "The level of start-up messages to show").value_parser(
            PossibleValuesParser::new([
                "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
            ]),
        ),
        option("E", "FILE", "A file for start-up messages").value_hint(ValueHint::FilePath),
    ];
    let verbs = VERBS.map(|(name, about, takes)| {
        let args = of_httpd.iter().filter(|_| takes);
        Command::new(name).about(about).disable_help_flag(true).args(args)
    });
    let k = ["start", "restart", "graceful", "graceful-stop", "stop"];
    Command::new("apachectl-semguard")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args(&of_httpd)
        .arg(
            option("k", "VERB", "Start httpd, or signal it")
                .value_parser(PossibleValuesParser::new(k)),
        )
        .args([
            flag("X", "Run one process in the foreground, for a debugger"),
            flag("t", "Test the configuration"),
            flag("S", "Show the virtual hosts"),
            flag("M", "Show the loaded modules"),
            flag("l", "Show the built-in modules"),
            flag("L", "Show the directives"),
            flag("v", "Show the version"),
            flag("V", "Show the version and how httpd was built"),
            flag("h", "Show the usage of httpd"),
        ])
        .subcommands(verbs)
}

/// Fixes the completion for fish: it should find out whether there is a command even if the value of an
/// option is still to be typed, and should not offer files where there are commands and options. After
/// the two dashes, it offers files.
fn mend_fish(program: &Command, file: &Path) -> io::Result<()> {
    const TOLD: &str = "-- $cmd 2>/dev/null\n    or return\n";
    let text = fs::read_to_string(file)?;
    let name = program.get_name();
    let specs = format!("(__fish_{}_global_optspecs)", name.replace('-', "_"));
    let again = format!("or argparse -s {specs} -- $cmd[1..-2] 2>/dev/null\n");
    let mended = text.replace(TOLD, &TOLD.replace("or return", &(again + "    or return")));
    assert_ne!(mended, text, "clap_complete writes something else now");
    let no_file = format!("complete -c {name} -n 'not contains -- -- (commandline -opc)' -f\n");
    fs::write(file, mended + &no_file)
}

/// The completion for bash. Not clap_complete's, because that one offers the options before the
/// commands, and knows neither users, nor "--format=", nor the two dashes.
fn for_bash(program: &Command) -> String {
    let mut program = program.clone();
    program.build();
    let names = |command: &Command| words(command.get_subcommands().map(Command::get_name));
    let options = program.get_subcommands().chain([&program]).flat_map(Command::get_opts);
    // What is offered as a value, and after which options.
    let mut offers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arg in options {
        let spelt = spelt(arg);
        let of = offers.entry(offer(arg)).or_default();
        of.extend(spelt.into_iter().filter(|word| !of.contains(word)).collect::<Vec<_>>());
    }
    let with_value: Vec<&str> = offers.values().flatten().map(String::as_str).collect();
    let values: String = offers
        .iter()
        .map(|(offer, of)| format!("    {})\n{offer}        return\n        ;;\n", of.join(" | ")))
        .collect();
    let mut commands = String::new();
    for command in program.get_subcommands() {
        let (name, further) = (command.get_name(), names(command));
        let options = words(command.get_arguments().flat_map(spelt));
        let _ = writeln!(commands, "    {name}) words='{further}' options='{options}' ;;");
    }
    BASH.replace("@NAME@", program.get_name())
        .replace("@FUNCTION@", &program.get_name().replace('-', "_"))
        .replace("@WITH_VALUE@", &with_value.join(" | "))
        .replace("@COMMANDS@", &names(&program).replace(' ', " | "))
        .replace("@WORDS@", &names(&program))
        .replace("@OPTIONS@", &words(program.get_arguments().flat_map(spelt)))
        .replace("@VALUES@\n", &values)
        .replace("@OF_COMMANDS@\n", &commands)
}

/// Both forms of an option.
fn spelt(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect()
}

fn words(words: impl Iterator<Item = impl AsRef<str>>) -> String {
    words.map(|w| w.as_ref().to_owned()).collect::<Vec<_>>().join(" ")
}

/// The bash code that offers the values of an option.
fn offer(arg: &Arg) -> String {
    let possible = arg.get_possible_values();
    let list = |what: &str| format!("mapfile -t COMPREPLY < <(compgen {what} -- \"$cur\")");
    let line = match arg.get_value_hint() {
        _ if !possible.is_empty() => {
            list(&format!("-W '{}'", words(possible.iter().map(|v| v.get_name()))))
        }
        ValueHint::Username => list("-u"),
        ValueHint::DirPath => "compopt -o plusdirs".to_owned(),
        // Nothing that a shell can know.
        ValueHint::Other => return String::new(),
        _ => "compopt -o default".to_owned(),
    };
    format!("        {line}\n")
}

const BASH: &str = r#"# Completion of @NAME@ for bash. Generated by packaging/completions.rs in its sources.

_@FUNCTION@() {
    local cur=$2 prev=$3 command='' words options i word
    COMPREPLY=()
    # bash splits "--format=json" into three words.
    case $cur,$prev in
    =,*) cur='' prev=${COMP_WORDS[COMP_CWORD - 1]} ;;
    *,=) prev=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --)
            # Arguments for httpd: files.
            compopt -o default
            return
            ;;
        @WITH_VALUE@)
            [[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
            ((i++))
            ;;
        @COMMANDS@) [[ $command ]] || command=$word ;;
        esac
    done
    case $prev in
@VALUES@
    esac
    case $command in
    '') words='@WORDS@' options='@OPTIONS@' ;;
@OF_COMMANDS@
    esac
    # First the commands; options only after a dash.
    [[ $words && $cur != -* ]] || words=$options
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _@FUNCTION@ @NAME@
"#;
