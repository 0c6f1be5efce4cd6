//! Holds the manual page, `--help`, the README and the systemd drop-ins against the code: what
//! they promise exists, and what exists they tell.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use httpd_semguard::cli;
use httpd_semguard::cli::Options;
use httpd_semguard::facts::error::Exit;

const MAN: &str = "man/httpd-semguard.8";

/// Options of other programs that the documents name.
const OF_OTHERS: [&str; 3] = ["collector", "check", "now"];

/// What monitors and fleets read.
const FOR_FLEETS: [&str; 9] = [
    "systemd/httpd-semguard-metrics.service",
    "systemd/httpd-semguard-metrics.timer",
    "packaging/prometheus/httpd-semguard.rules.yml",
    "packaging/nagios/httpd-semguard.cfg",
    "packaging/nagios/httpd-semguard.icinga2.conf",
    "packaging/nagios/httpd-semguard.nrpe.cfg",
    "packaging/ansible/README.md",
    "packaging/ansible/playbook.yml",
    "packaging/ansible/roles/httpd_semguard/defaults/main.yml",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn drop_ins() -> Vec<String> {
    ["apache2", "apache2@", "httpd", "httpd@", "httpd24-httpd"]
        .map(|unit| format!("systemd/{unit}.service.d/20-semguard.conf"))
        .to_vec()
}

fn help() -> String {
    let args = ["httpd-semguard", "--help"].map(OsString::from);
    cli::parse(args).expect_err("help ends the run").text.to_string()
}

fn long_options() -> BTreeSet<String> {
    let mut command = Options::command();
    command.build();
    command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect()
}

fn short_options() -> BTreeSet<char> {
    let mut command = Options::command();
    command.build();
    command.get_arguments().filter_map(clap::Arg::get_short).collect()
}

fn variables() -> BTreeSet<String> {
    let command = Options::command();
    let names = command.get_arguments().filter_map(|a| a.get_env());
    names.map(|n| n.to_string_lossy().into_owned()).collect()
}

/// The words of `text` that follow `mark`, made of what `is_part` accepts.
fn words_after(text: &str, mark: &str, is_part: fn(char) -> bool) -> BTreeSet<String> {
    let pieces = text.split(mark).skip(1);
    let words = pieces.map(|p| p.chars().take_while(|c| is_part(*c)).collect::<String>());
    words.filter(|w| w.starts_with(|c: char| c.is_ascii_alphanumeric())).collect()
}

/// The long options that a text names, as `--name` or, in mdoc(7), as `Fl -name`.
fn options_named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut named = words_after(text, "Fl -", is_part);
    // A row of dashes, as in a table, is no option.
    named.extend(words_after(&text.replace("---", ""), "--", is_part));
    named
}

fn variables_named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let names = words_after(text, "HTTPD_SEMGUARD_", is_part);
    names.into_iter().map(|n| format!("HTTPD_SEMGUARD_{n}")).collect()
}

#[test]
fn every_option_is_in_the_man_page_and_in_help() {
    let (man, help) = (options_named(&read(MAN)), options_named(&help()));
    for option in long_options() {
        assert!(man.contains(&option), "{MAN} does not tell of --{option}");
        assert!(help.contains(&option), "--help does not tell of --{option}");
    }
    for option in short_options() {
        let told = format!("Fl {option}");
        assert!(read(MAN).contains(&told), "{MAN} does not tell of -{option}");
    }
}

#[test]
fn every_environment_variable_is_in_the_man_page_and_in_help() {
    let (man, help) = (variables_named(&read(MAN)), variables_named(&help()));
    assert_eq!(man, variables(), "{MAN}");
    assert_eq!(help, variables(), "--help");
}

#[test]
fn no_document_names_an_option_or_variable_that_does_not_exist() {
    let mut documents: Vec<String> =
        [MAN, "README.md", "CHANGELOG.md", "packaging/README.md"].map(str::to_owned).to_vec();
    documents.extend(drop_ins());
    documents.extend(FOR_FLEETS.map(str::to_owned));
    for document in documents {
        let text = read(&document);
        for option in options_named(&text) {
            let known = long_options().contains(&option) || OF_OTHERS.contains(&option.as_str());
            assert!(known, "{document} names --{option}, which does not exist");
        }
        for variable in variables_named(&text) {
            assert!(variables().contains(&variable), "{document} names {variable}");
        }
    }
}

#[test]
fn every_command_and_choice_is_in_the_man_page() {
    let man = read(MAN);
    for arg in Options::command().get_arguments() {
        for value in arg.get_possible_values() {
            let told = format!("Cm {}", value.get_name());
            let is_flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            assert!(is_flag || man.contains(&told), "{MAN} does not tell of {}", value.get_name());
        }
    }
}

#[test]
fn every_default_is_in_the_man_page() {
    let man = read(MAN);
    for arg in Options::command().get_arguments() {
        let (Some(long), Some(default)) = (arg.get_long(), arg.get_default_values().first()) else {
            continue;
        };
        let item = man.split("\n.It Fl ").find(|i| {
            options_named(&format!("Fl {}", i.lines().next().unwrap_or(""))).contains(long)
        });
        let item = item.unwrap_or_else(|| panic!("{MAN} has no item for --{long}"));
        let default = default.to_string_lossy();
        let told = [format!("The default is {default}."), format!(".It Cm {default}\n")];
        let is_flag = default == "false";
        assert!(is_flag || told.iter().any(|t| item.contains(t)), "--{long} {default}: {item}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_code_in_man_page_help_and_readme() {
    let all: BTreeSet<u8> = Exit::ALL.iter().map(|(code, _)| *code as u8).collect();

    let man = read(MAN);
    let section = man.split("\n.Sh ").find(|s| s.starts_with("EXIT STATUS")).expect("section");
    let numbers = section.lines().filter_map(|l| l.strip_prefix(".It ")?.parse().ok());
    assert_eq!(numbers.collect::<BTreeSet<u8>>(), all, "{MAN}");

    let readme = read("README.md");
    let rows = readme.lines().filter_map(|l| l.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    assert_eq!(rows.collect::<BTreeSet<u8>>(), all, "README.md");

    let help = help();
    for (code, says) in Exit::ALL {
        let code = code as u8;
        assert!(readme.contains(&format!("| {code} | {says}")), "README.md: {code}: {says}");
        assert!(help.contains(&format!("  {code:>2}  {says}\n")), "--help: {code}: {says}");
    }
}

#[test]
fn the_readme_has_the_lines_that_people_search_for() {
    let readme = read("README.md");
    for line in [
        "(28)No space left on device: Couldn't create accept lock",
        "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex",
        "make demo",
        "make check",
    ] {
        assert!(readme.contains(line), "{line}");
    }
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    for target in read("README.md").split("](").skip(1).filter_map(|t| t.split(')').next()) {
        assert!(target.starts_with("http") || path(target).exists(), "{target}");
    }
}

/// Says that a test could not run; where all are required, that is a failure.
fn skipped(what: &str) {
    assert_ne!(std::env::var("REQUIRE_ALL").as_deref(), Ok("1"), "{what}");
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(io::stderr(), "SKIPPED: {what}");
}

/// Runs a formatter on the manual page, which must have nothing to remark.
fn passes(program: &str, args: &[&str]) {
    match Command::new(program).args(args).arg(path(MAN)).env("LC_ALL", "C.UTF-8").output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            skipped(&format!("no {program} to check the manual page with"));
        }
        Err(e) => panic!("{program}: {e}"),
        Ok(output) => {
            let remarks = String::from_utf8_lossy(&output.stderr).into_owned();
            let listed = if args.contains(&"-Tlint") {
                String::from_utf8_lossy(&output.stdout).into_owned()
            } else {
                String::new()
            };
            assert!(
                output.status.success() && remarks.is_empty() && listed.is_empty(),
                "{program}: {} {remarks}{listed}",
                output.status
            );
        }
    }
}

#[test]
fn mandoc_has_nothing_to_remark_on_the_man_page() {
    passes("mandoc", &["-Tlint", "-W", "warning"]);
}

#[test]
fn groff_has_nothing_to_remark_on_the_man_page() {
    passes("groff", &["-mandoc", "-Tutf8", "-ww"]);
}
