//! What newcomers see first: the first questions in the README, links between pages, the map of tests,
//! the list of source files, and what `.github` asks contributors for and runs for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{path, read, skip};
use crate::{pages, targets};

/// The part of a page below this heading, up to the next of the same level.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let start = format!("\n## {heading}\n");
    let text = page.split(&start).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    text.split("\n## ").next().unwrap_or(text)
}

/// The cells of each row of the tables in a text, without the header rows.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let mut rows: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|l| l.starts_with('|')) {
        if line.starts_with("|-") {
            // The row above it was the header.
            rows.pop();
        } else {
            let line = line.trim_start_matches('|').trim_end_matches('|');
            rows.push(line.split('|').map(str::trim).collect());
        }
    }
    rows
}

/// The texts in backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names in a directory; those of directories end with a slash.
fn entries(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|e| {
            let entry = e.expect("an entry");
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().to_string_lossy())
        })
        .collect()
}

fn rust_version() -> String {
    let manifest: Value = basic_toml::from_str(&read("Cargo.toml")).expect("TOML");
    manifest["package"]["rust-version"].as_str().expect("a version").to_owned()
}

// ---- pages -------------------------------------------------------------------------------------

#[test]
fn the_readme_first_says_who_needs_it_which_file_to_take_and_how_to_see_that_it_works() {
    let readme = read("README.md");
    let headings: Vec<&str> = readme.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    let first = ["Do I need it?", "Which file do I take?", "How do I see that it works?"];
    assert_eq!(headings[..3], first);
}

#[test]
fn the_pages_name_the_compiler_that_cargo_toml_requires() {
    let wants = format!("Rust {}", rust_version());
    for page in ["README.md", "CONTRIBUTING.md", "docs/install.md"] {
        assert!(read(page).contains(&wants), "{page} does not say {wants}");
    }
}

/// The anchor that the hosting service generates for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|l| l.starts_with('#'));
    headings.map(|l| anchor(l.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut followed = 0;
    for page in pages().into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&page).expect("read");
        for link in text.split("](").skip(1).filter_map(|t| t.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, part) = link.split_once('#').map_or((link, None), |(f, p)| (f, Some(p)));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(part) = part {
                let there = anchors(&fs::read_to_string(&target).expect("read"));
                assert!(there.contains(part), "{}: {link}: {there:?}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}

/// What the publisher of the sources has to fill in is where the page says, and nowhere else.
#[test]
fn the_release_page_names_every_place_that_is_left_to_the_publisher() {
    const PAGE: &str = "docs/releasing.md";
    let page = read(PAGE);
    let mut left_open: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows(section(&page, "Before the first one")) {
        let [placeholders, places, _] = row[..] else { panic!("{row:?}") };
        let files: BTreeSet<&str> =
            places.split([',', ' ']).filter(|w| path(w).is_file()).collect();
        assert!(!files.is_empty(), "{places}");
        for word in quoted(placeholders) {
            for file in &files {
                assert!(read(file).contains(word), "{file} has no {word}");
            }
            left_open.insert(word, files.clone());
        }
    }
    assert!(left_open.len() >= 5, "{left_open:?}");
    // The others also occur as ordinary words elsewhere.
    left_open.retain(|word, _| *word == word.to_uppercase());
    for other in pages() {
        let name = other.strip_prefix(path(".")).expect("below").to_string_lossy();
        let Ok(text) = fs::read_to_string(&other) else { continue };
        for (word, files) in &left_open {
            let is_told = files.contains(&*name) || name == PAGE;
            assert!(
                is_told || !text.contains(word),
                "{name} has {word}, which {PAGE} does not say"
            );
        }
    }
}

// ---- maps --------------------------------------------------------------------------------------

#[test]
fn the_map_of_tests_lists_everything_in_the_folder_and_nothing_else() {
    let page = read("CONTRIBUTING.md");
    let mut named = BTreeSet::new();
    for row in rows(section(&page, "The map of tests")) {
        let [name, shows, needs, time] = row[..] else { panic!("{row:?}") };
        assert!([shows, needs, time].iter().all(|cell| !cell.is_empty()), "{name}");
        for name in quoted(name) {
            assert!(named.insert(name.to_owned()), "{name} is there twice");
        }
    }
    assert_eq!(named, entries(&path("tests")));
}

#[test]
fn the_architecture_page_lists_every_source_file_and_nothing_else() {
    let page = read("docs/architecture.md");
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in section(&page, "The files").split("\n**").skip(1) {
        let (head, table) = part.split_once("**\n").expect("a heading");
        let room = quoted(head).first().copied().unwrap_or("").trim_end_matches('/').to_owned();
        let files = rows(table).into_iter().flat_map(|row| quoted(row[0])).map(str::to_owned);
        named.entry(room).or_default().extend(files);
    }

    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for room in ["", "facts", "decide", "look", "act", "tell"] {
        let folder = path("src").join(room);
        let all = entries(&folder);
        let needs_line = |name: &&String| match name.strip_suffix('/') {
            // If there is a file with its name, that one is listed; files next to the folders are not folders.
            Some(dir) => !room.is_empty() && !all.contains(&format!("{dir}.rs")),
            None => *name != "mod.rs",
        };
        let mut files: BTreeSet<String> = all.iter().filter(needs_line).cloned().collect();
        if room.is_empty() {
            files.extend(entries(&folder.join("guard")).iter().map(|f| format!("guard/{f}")));
        }
        // Files that need not be listed may be.
        let extra = named.get(room).into_iter().flatten().filter(|f| all.contains(*f));
        files.extend(extra.cloned());
        there.insert(room.to_owned(), files);
    }
    assert_eq!(named, there);
}

// ---- .github -----------------------------------------------------------------------------------

/// The commands of .ci/run, each on one line.
fn steps_of_ci_run() -> Vec<String> {
    let script = read(".ci/run").replace("\\\n", " ").replace("|\n", "| ");
    let own = |l: &&str| !l.is_empty() && !["#", "set ", "cd "].iter().any(|s| l.starts_with(s));
    script.lines().filter(own).map(one_line).collect()
}

fn one_line(command: &str) -> String {
    command.split_whitespace().filter(|w| *w != "\\").collect::<Vec<_>>().join(" ")
}

/// A YAML file as a value; `None`, with a message, if this machine has no program to read it.
fn yaml(file: &str) -> Option<Value> {
    const SCRIPT: &str = "import json, sys, yaml\n\
        print(json.dumps(yaml.load(open(sys.argv[1]), Loader=yaml.BaseLoader)))";
    let has_yaml = Command::new("python3").args(["-c", "import yaml"]).output();
    if !has_yaml.is_ok_and(|o| o.status.success()) {
        skip("no python3 with PyYAML (Debian: python3-yaml) to read .github with");
        return None;
    }
    let python = Command::new("python3").args(["-c", SCRIPT]).arg(path(file)).output();
    let output = python.expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {said}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The commands of the steps in a workflow.
fn commands(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().expect("steps"));
    steps.filter_map(|step| step["run"].as_str()).map(one_line).collect()
}

#[test]
fn the_workflow_runs_every_step_of_ci_run_in_the_same_order_and_the_oldest_compiler() {
    let Some(ci) = yaml(".github/workflows/ci.yml") else { return };
    let own = |c: &String| !c.starts_with("rustup component add ");
    let commands: Vec<String> = commands(&ci).into_iter().filter(own).collect();
    let steps = steps_of_ci_run();
    assert!(steps.len() > 5, "{steps:?}");
    assert_eq!(commands, steps);

    let oldest = &ci["jobs"]["test"]["strategy"]["matrix"]["rust"][0];
    assert_eq!(*oldest, Value::String(rust_version()));
}

#[test]
fn every_workflow_has_few_permissions_and_names_its_actions_by_commit() {
    let mut commits: BTreeMap<String, String> = BTreeMap::new();
    for name in entries(&path(".github/workflows")) {
        let file = format!(".github/workflows/{name}");
        let Some(workflow) = yaml(&file) else { return };
        assert!(workflow["permissions"].as_object().is_some_and(|p| p.is_empty()), "{file}");
        let jobs = workflow["jobs"].as_object().expect("jobs");
        for (job, is) in jobs {
            for step in is["steps"].as_array().expect("steps") {
                let Some(uses) = step["uses"].as_str() else {
                    assert!(step["run"].is_string(), "{file}: {job}: {step}");
                    continue;
                };
                let (action, commit) = uses.split_once('@').expect("a version");
                let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
                assert!(is_commit, "{file}: {uses}");
                let one = commits.entry(action.to_owned()).or_insert_with(|| commit.to_owned());
                assert_eq!(one, commit, "{file}: another commit of {action} than elsewhere");
                let told = format!("uses: {uses} # v");
                assert!(read(&file).contains(&told), "{file}: {uses}: which version?");
            }
        }
        // Every make target that is called exists (also with a variable before the command).
        for command in commands(&workflow) {
            let words: Vec<&str> = command.split(' ').collect();
            for pair in words.windows(2).filter(|w| w[0] == "make") {
                assert!(targets().contains_key(pair[1]) || words.contains(&"install"), "{command}");
            }
        }
    }
}

/// Checks an issue form as the host reads it (docs.github.com, "Syntax for GitHub's form schema").
fn holds_to_the_forms_of_issues(file: &str, form: &Value) {
    for key in ["name", "description"] {
        assert!(form[key].as_str().is_some_and(|t| !t.is_empty()), "{file}: no {key}");
    }
    let mut ids = BTreeSet::new();
    for field in form["body"].as_array().expect("a body") {
        let kind = field["type"].as_str().expect("a type");
        let attributes = &field["attributes"];
        if kind == "markdown" {
            assert!(attributes["value"].is_string(), "{file}: {field}");
            continue;
        }
        assert!(["checkboxes", "dropdown", "input", "textarea"].contains(&kind), "{file}: {kind}");
        assert!(attributes["label"].is_string(), "{file}: {field}");
        assert!(ids.insert(field["id"].as_str().expect("an id")), "{file}: twice: {field}");
        let options = attributes["options"].as_array().map_or(0, Vec::len);
        assert_eq!(["checkboxes", "dropdown"].contains(&kind), options > 0, "{file}: {field}");
        let validations = field["validations"].as_object();
        let known = |v: &serde_json::Map<_, _>| v.keys().all(|k| k == "required");
        assert!(validations.is_none_or(known), "{file}: {field}");
    }
}

#[test]
fn the_issue_forms_ask_for_what_is_needed_to_judge_a_case() {
    const FOLDER: &str = ".github/ISSUE_TEMPLATE";
    for name in entries(&path(FOLDER)) {
        let file = format!("{FOLDER}/{name}");
        let Some(form) = yaml(&file) else { return };
        if name == "config.yml" {
            assert!(form["contact_links"][0]["url"].is_string(), "{file}");
        } else {
            holds_to_the_forms_of_issues(&file, &form);
        }
    }
    let Some(bug) = yaml(&format!("{FOLDER}/bug.yml")) else { return };
    let required = |f: &&Value| f["validations"]["required"] == "true";
    let fields = bug["body"].as_array().expect("a body");
    let labels: String = fields
        .iter()
        .filter(required)
        .filter_map(|f| f["attributes"]["label"].as_str())
        .collect::<Vec<_>>()
        .join("\n");
    for asked in [
        "httpd-semguard check -v",
        "httpd-semguard list --format json",
        "ipcs -ls",
        "httpd-semguard --version",
        "os-release",
        "httpd -V",
    ] {
        assert!(labels.contains(asked), "nobody asks for {asked}:\n{labels}");
    }
}

/// An article that fits the way in which httpd is spoken, in everything that is shipped or read.
#[test]
fn httpd_has_the_article_of_its_sound() {
    let mut wrong = Vec::new();
    let mut folders = vec![path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("listed") {
            let entry = entry.expect("read").path();
            let name = entry.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            // What is built, and what others wrote.
            if ["target", ".git", "corpus", "recorded", "dumps"].contains(&name) {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let Ok(text) = fs::read_to_string(&entry) else { continue };
            let words: Vec<&str> = text.split_whitespace().collect();
            let is_wrong = |pair: &&[&str]| {
                let article = pair[0].trim_start_matches(|c: char| !c.is_alphanumeric());
                let noun = pair[1].trim_matches(|c: char| !c.is_alphanumeric());
                ["a", "A"].contains(&article) && ["httpd", "httpd's", "httpds"].contains(&noun)
            };
            let found = words.windows(2).filter(is_wrong).count();
            wrong.extend((found > 0).then_some(entry));
        }
    }
    assert_eq!(wrong, Vec::<std::path::PathBuf>::new());
}
