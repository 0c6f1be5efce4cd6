//! Checks the manual page, `--help`, the README and the systemd drop-ins against the code, and every page
//! against the Makefile: what they mention exists, and what exists is mentioned. `docs/door.rs` covers
//! what a contributor reads first.

mod common;
#[path = "docs/door.rs"]
mod door;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::CommandFactory;
use common::{path, read, skip};
use httpd_semguard::cli;
use httpd_semguard::cli::Options;
use httpd_semguard::facts::error::Exit;

const MAN: &str = "man/httpd-semguard.8";

/// Options of other programs that occur in the documents.
const OF_OTHERS: [&str; 3] = ["collector", "check", "now"];

/// Files for monitoring systems and fleets.
const FOR_FLEETS: [&str; 11] = [
    "systemd/httpd-semguard-metrics.service",
    "systemd/httpd-semguard-metrics.timer",
    "systemd/httpd-semguard-metrics@.service",
    "systemd/httpd-semguard-metrics@.timer",
    "packaging/prometheus/httpd-semguard.rules.yml",
    "packaging/nagios/httpd-semguard.cfg",
    "packaging/nagios/httpd-semguard.icinga2.conf",
    "packaging/nagios/httpd-semguard.nrpe.cfg",
    "packaging/ansible/README.md",
    "packaging/ansible/playbook.yml",
    "packaging/ansible/roles/httpd_semguard/defaults/main.yml",
];

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

/// The words in `text` that follow `mark`, consisting of characters that `is_part` accepts.
fn words_after(text: &str, mark: &str, is_part: fn(char) -> bool) -> BTreeSet<String> {
    let pieces = text.split(mark).skip(1);
    let words = pieces.map(|p| p.chars().take_while(|c| is_part(*c)).collect::<String>());
    words.filter(|w| w.starts_with(|c: char| c.is_ascii_alphanumeric())).collect()
}

/// The long options in a text, as `--name` or, in mdoc(7), as `Fl -name`.
fn options_named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut named = words_after(text, "Fl -", is_part);
    // A row of dashes, as in a table, is not an option.
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
        assert!(man.contains(&option), "--{option} is missing in {MAN}");
        assert!(help.contains(&option), "--{option} is missing in --help");
    }
    for option in short_options() {
        let told = format!("Fl {option}");
        assert!(read(MAN).contains(&told), "-{option} is missing in {MAN}");
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
    let mut documents: Vec<String> = [MAN, "README.md", "CHANGELOG.md", "packaging/README.md"]
        .into_iter()
        .chain(["docs/install.md", "docs/monitoring.md", "docs/architecture.md"])
        .chain(["docs/performance.md", ".github/ISSUE_TEMPLATE/bug.yml"])
        .map(str::to_owned)
        .collect();
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
            assert!(is_flag || man.contains(&told), "{} is missing in {MAN}", value.get_name());
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

/// The targets of the Makefile, and whether each has a description for `make help`.
fn targets() -> BTreeMap<String, bool> {
    let makefile = read("Makefile");
    let mut targets = BTreeMap::new();
    for line in makefile.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase())) {
        let (rule, says) = line.split_once("##").map_or((line, false), |(rule, _)| (rule, true));
        let Some((names, of)) = rule.split_once(':') else { continue };
        // A variable, or a target-specific one.
        if names.contains('=') || of.contains('=') {
            continue;
        }
        for name in names.split_whitespace() {
            *targets.entry(name.to_owned()).or_default() |= says;
        }
    }
    targets
}

/// The targets of each `make` that is a command in a line: quoted, in a code block, or after what can
/// precede a command in a shell.
fn makes(line: &str, is_script: bool) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in line.match_indices("make ") {
        let (before, words) = (&line[..at], &line[at + "make ".len()..]);
        let indent = before.trim_start_matches('#').len();
        let is_alone = before.trim_start_matches(['#', ' ']).is_empty();
        let last = before.split_whitespace().next_back().unwrap_or("");
        let sets_variable = last.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        let is_command = before.ends_with(['`', '"'])
            || is_alone && (indent >= 3 || is_script && before.is_empty())
            || before.ends_with(' ') && (sets_variable || ["sudo", "&&", "run"].contains(&last));
        // To the end of the quotation, or to the comment after it.
        let words = words.split([' ', '\n']).take_while(|w| is_command && !w.is_empty());
        for word in words.skip_while(|w| w.starts_with('-')) {
            let name = word.trim_end_matches(['`', '"', ',', '.', ';', ':', ')', '\'']);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
                break;
            }
            named.push(name.to_owned());
            if name != word {
                break;
            }
        }
    }
    named
}

#[test]
fn the_command_make_is_distinguished_from_the_verb() {
    for (line, is_script, want) in [
        ("runs (`make outage`), and `make deb RPM=1`.", false, vec!["outage", "deb"]),
        ("    make build completions", false, vec!["build", "completions"]),
        ("    make deb && sudo make install PREFIX=/usr", false, vec!["deb", "install"]),
        ("#   DEMO_LIMITS=keep make demo        with the limits", false, vec!["demo"]),
        ("REQUIRE_ALL=1 make check", true, vec!["check"]),
        ("TARGET=/t make --no-print-directory install PREFIX=/usr", true, vec!["install"]),
        ("make build", true, vec!["build"]),
        ("make it do, above all", false, vec![]),
        ("the kernel lets users make namespaces", false, vec![]),
        ("# what users make of it", true, vec![]),
    ] {
        assert_eq!(makes(line, is_script), want, "{line}");
    }
}

/// Every text in the tree, except the program's code and recorded or generated files.
fn pages() -> Vec<PathBuf> {
    const NOT: [&str; 7] = ["target", ".git", "src", "corpus", "golden", "dumps", "artifacts"];
    let mut open = vec![path(".")];
    let mut pages = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let at = entry.expect("an entry").path();
            let name = at.file_name().expect("a name").to_string_lossy().into_owned();
            match (at.is_dir(), NOT.contains(&name.as_str())) {
                (true, false) => open.push(at),
                (false, false) if name != "Makefile" && !name.ends_with(".lock") => pages.push(at),
                _ => {}
            }
        }
    }
    pages
}

#[test]
fn every_make_target_that_a_page_names_exists() {
    let targets = targets();
    let mut named = BTreeSet::new();
    for page in pages() {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        let name = page.file_name().expect("a name").to_string_lossy();
        let is_script = [".spec", ".sh", "run", ".yml"].iter().any(|end| name.ends_with(end));
        let is_told = |l: &&str| !name.ends_with(".rs") || l.trim_start().starts_with("//");
        let lines = text.lines().filter(is_told);
        for target in lines.flat_map(|l| makes(l, is_script)) {
            assert!(targets.contains_key(&target), "{} names make {target}", page.display());
            named.insert(target);
        }
    }
    let surely = ["build", "check", "deb", "demo", "deny", "fuzz", "install", "outage", "torture"];
    assert!(surely.iter().all(|t| named.contains(*t)), "{named:?}");
}

/// A target with the name of a directory would do nothing.
#[test]
fn no_make_target_is_mistaken_for_a_file() {
    let makefile = read("Makefile");
    let phony = makefile.lines().filter_map(|l| l.strip_prefix(".PHONY:"));
    let phony: BTreeSet<&str> = phony.flat_map(str::split_whitespace).collect();
    for target in targets().keys() {
        assert!(phony.contains(target.as_str()), "{target} is not declared as .PHONY");
    }
}

#[test]
fn make_help_describes_every_target() {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "help"]).current_dir(path(".")).env_remove("MAKEFLAGS");
    let output = match make.output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return skip("make is not installed"),
        output => output.expect("it runs"),
    };
    let help = String::from_utf8_lossy(&output.stdout);
    let rows: BTreeMap<&str, usize> = help
        .lines()
        .filter_map(|l| l.strip_prefix("  make ")?.split_once(' '))
        .map(|(name, says)| (name, name.len() + says.len() - says.trim_start().len()))
        .collect();
    let told: Vec<&str> = rows.keys().copied().collect();
    let targets = targets();
    assert_eq!(told, targets.keys().map(String::as_str).collect::<Vec<_>>(), "{help}");
    assert!(targets.values().all(|says| *says));
    assert_eq!(
        rows.values().collect::<BTreeSet<_>>().len(),
        1,
        "the descriptions are not aligned: {help}"
    );
}

/// Runs a formatter on the manual page, which must not report anything.
fn passes(program: &str, args: &[&str]) {
    match Command::new(program).args(args).arg(path(MAN)).env("LC_ALL", "C.UTF-8").output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
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
fn mandoc_reports_nothing_about_the_man_page() {
    passes("mandoc", &["-Tlint", "-W", "warning"]);
}

#[test]
fn groff_reports_nothing_about_the_man_page() {
    passes("groff", &["-mandoc", "-Tutf8", "-ww"]);
}
