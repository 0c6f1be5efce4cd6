//! The completions, in the shells themselves: what bash, zsh and fish offer for a line as it is typed.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::{Folder, Run};

/// What is typed, what is offered then among others, and what is not.
const OFFERED: &[(&str, &[&str], &[&str])] = &[
    ("httpd-semguard ", &["guard", "check", "list", "help"], &["start", "--json"]),
    ("httpd-semguard ch", &["check"], &["guard", "--json"]),
    ("httpd-semguard --", &["--user", "--dry-run", "--json", "--help"], &["--orphans", "check"]),
    ("httpd-semguard --strict ", &["guard", "check"], &["--json"]),
    ("httpd-semguard --need 5 ch", &["check"], &[]),
    // Behind a command, what goes with it.
    ("httpd-semguard check --", &["--json", "--format", "--user"], &["--dry-run", "--orphans"]),
    ("httpd-semguard check --js", &["--json"], &["--format"]),
    ("httpd-semguard guard --d", &["--dry-run"], &["--json"]),
    ("httpd-semguard list --o", &["--orphans", "--output"], &["--dry-run"]),
    ("httpd-semguard list --orphans --so", &["--sort"], &[]),
    ("httpd-semguard list --sort ", &["semid", "owner", "age"], &["--json", "check"]),
    ("httpd-semguard check --strict --fo", &["--format"], &[]),
    ("httpd-semguard check --format ", &["json", "nagios"], &["check", "--json"]),
    ("httpd-semguard check --format=j", &["json"], &["nagios"]),
    ("httpd-semguard check --format=", &["json", "text"], &[]),
    ("httpd-semguard --format ", &["json", "prometheus"], &["check"]),
    ("httpd-semguard check --user ww", &["www-data"], &["root"]),
    ("httpd-semguard help ", &["guard", "list"], &["--json"]),
    // apachectl's.
    ("apachectl-semguard ", &["start", "graceful-stop", "configtest", "status"], &["guard", "-k"]),
    ("apachectl-semguard gr", &["graceful", "graceful-stop"], &["start"]),
    ("apachectl-semguard -k ", &["start", "graceful"], &["status", "configtest"]),
    ("apachectl-semguard -f /etc/x -k st", &["start", "stop"], &["graceful"]),
    ("apachectl-semguard start -", &["-f", "-D"], &["-k", "-t"]),
    ("apachectl-semguard -", &["-k", "-f", "-t", "-X"], &["--json"]),
];

/// Where the name of a file is offered: names begin so.
const FILES: &[&str] = &[
    "httpd-semguard check --settings @/fi",
    "httpd-semguard list --output @/fi",
    "httpd-semguard check --httpd @/fi",
    "httpd-semguard check -- -f @/fi",
    "apachectl-semguard -f @/fi",
    "apachectl-semguard start -f @/fi",
];

/// Both programs' completions, as `make completions` makes them.
fn completions() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions");
        let _ = fs::remove_dir_all(&dir);
        let profile = Path::new(env!("CARGO_BIN_EXE_httpd-semguard")).parent().expect("a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--locked", "--example", "completions"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--").arg(&dir).current_dir(common::path("."));
        cargo.env("CARGO_TARGET_DIR", profile.parent().expect("a folder"));
        Run::of(&mut cargo).exits(0);
        dir
    })
}

/// One shell with all lines typed in it, and what it offered for each.
fn in_shell(name: &str, ask: fn(&Path, &[String]) -> BTreeMap<String, Vec<String>>) {
    let folder = Folder::new(&format!("completions-{name}"));
    fs::write(folder.0.join("file of mine"), "").expect("written");
    let at = folder.0.display().to_string();
    let mut lines: Vec<String> = OFFERED.iter().map(|(line, ..)| (*line).to_owned()).collect();
    lines.extend(FILES.iter().map(|line| line.replace('@', &at)));
    let offered = ask(&folder.0, &lines);
    for (line, with, without) in OFFERED {
        let words = &offered[*line];
        for word in *with {
            assert!(words.iter().any(|w| w == word), "{name}: {line:?}: no {word}: {words:?}");
        }
        for word in *without {
            assert!(words.iter().all(|w| w != word), "{name}: {line:?}: {word}: {words:?}");
        }
        assert!(words.iter().all(|w| !w.contains("file")), "{name}: {line:?}: {words:?}");
    }
    for line in FILES {
        let words = &offered[&line.replace('@', &at)];
        assert!(words.iter().any(|w| w.contains("file")), "{name}: {line:?}: {words:?}");
    }
}

/// A program at a terminal, which it reads this from.
fn at_terminal(command: &str, typed: &str, folder: &Path) -> Run {
    fs::write(folder.join("typed"), typed).expect("written");
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).current_dir(folder).env_clear();
    script.env("PATH", "/usr/bin:/bin").env("HOME", folder).env("ZDOTDIR", folder);
    script.env("TERM", "vt100").env("LC_ALL", "C.UTF-8").env("DIR", completions());
    let input = fs::File::open(folder.join("typed")).expect("opened");
    Run::of(script.stdin(Stdio::from(input)))
}

/// What the shells leave behind: lines of "LINE", a tabulator, and one word that was offered.
fn noted(folder: &Path, lines: &[String], run: &Run) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(folder.join("noted")).unwrap_or_else(|e| panic!("{e}: {run}"));
    let mut offered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (line, word) in text.lines().filter_map(|l| l.split_once('\t')) {
        offered.entry(line.to_owned()).or_default().push(word.to_owned());
    }
    for line in lines {
        offered.entry(line.clone()).or_default();
    }
    offered
}

/// Each line is typed, with a tabulator behind, and what the completion then has is noted.
fn ask_bash(folder: &Path, lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let rc = "for program in httpd-semguard apachectl-semguard; do . \"$DIR/$program\"; done\n\
              probe() {\n\
                  ${1//-/_} \"$@\"\n\
                  local word files=()\n\
                  if [[ $(compopt) == *'-o default'* ]]; then files=(\"$2\"*); fi\n\
                  for word in \"${COMPREPLY[@]}\" \"${files[@]}\"; do\n\
                      printf '%s\\t%s\\n' \"$COMP_LINE\" \"$word\" >>noted\n\
                  done\n\
              }\n\
              httpd_semguard() { _httpd_semguard \"$@\"; }\n\
              apachectl_semguard() { _apachectl_semguard \"$@\"; }\n\
              complete -F probe httpd-semguard apachectl-semguard\n\
              bind '\"\\C-t\": kill-whole-line' 'set bell-style none'\n\
              bind 'set completion-query-items 0' 'set page-completions off'\n";
    fs::write(folder.join("rc"), rc).expect("written");
    let typed: String = lines.iter().map(|line| format!("{line}\t\x14")).collect();
    let run = at_terminal("bash --noprofile --rcfile rc -i", &format!("{typed}exit\n"), folder);
    noted(folder, lines, &run)
}

/// zsh's own completion runs for each line; what it adds to its list is noted.
fn ask_zsh(folder: &Path, lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let rc = "fpath=(\"$DIR\" $fpath)\n\
              autoload -Uz compinit && compinit -D -u\n\
              compadd() {\n\
                  local -a found\n\
                  if [[ \" ${(j: :)@[1,(i)(-|--)]}\" != *' -'[a-zA-Z]#[OAD]' '* ]]; then\n\
                      builtin compadd -A found \"$@\"\n\
                      for word in $found; do print -r -- \"$BUFFER\"$'\\t'\"$word\" >>noted; done\n\
                  fi\n\
                  builtin compadd \"$@\"\n\
              }\n\
              zle-line-init() {\n\
                  for line in \"${(@f)$(<lines)}\"; do\n\
                      BUFFER=$line CURSOR=$#line\n\
                      zle list-choices\n\
                  done\n\
                  exit 0\n\
              }\n\
              zle -N zle-line-init\n\
              setopt extended_glob\n\
              LISTMAX=0\n";
    fs::write(folder.join(".zshrc"), rc).expect("written");
    fs::write(folder.join("lines"), lines.join("\n")).expect("written");
    let run = at_terminal("zsh -d -i", "", folder);
    noted(folder, lines, &run)
}

/// fish tells what it would offer.
fn ask_fish(folder: &Path, lines: &[String]) -> BTreeMap<String, Vec<String>> {
    fs::write(folder.join("lines"), lines.join("\n")).expect("written");
    let ask = "set fish_complete_path $DIR\n\
               while read -l line\n\
                   complete --do-complete $line | while read -l word\n\
                       printf '%s\\t%s\\n' $line $word >>noted\n\
                   end\n\
               end <lines";
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", ask]).current_dir(folder).env_clear();
    // It loads what completes a program that is there.
    let program = Path::new(env!("CARGO_BIN_EXE_httpd-semguard")).parent().expect("a folder");
    let wrapper = common::path("packaging/apachectl");
    let path = format!("{}:{}:/usr/bin:/bin", program.display(), wrapper.display());
    fish.env("PATH", path).env("HOME", folder).env("DIR", completions());
    let run = Run::of(fish.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()));
    let mut offered = noted(folder, lines, &run);
    for word in offered.values_mut().flatten() {
        // Its remark is of no interest here, nor that it says the option once more.
        word.truncate(word.find('\t').unwrap_or(word.len()));
        *word = word.trim_start_matches("--format=").to_owned();
    }
    offered
}

/// Whether these programs are there; no rights are needed.
fn here(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| !Path::new("/usr/bin").join(tool).exists());
    if let Some(tool) = missing {
        common::skip(&format!("{tool} is not installed"));
    }
    missing.is_none()
}

#[test]
fn bash_completes_commands_options_and_values() {
    if here(&["bash", "script"]) {
        in_shell("bash", ask_bash);
    }
}

#[test]
fn zsh_completes_options_behind_a_command() {
    if here(&["zsh", "script"]) {
        in_shell("zsh", ask_zsh);
    }
}

#[test]
fn fish_completes_commands() {
    if here(&["fish"]) {
        in_shell("fish", ask_fish);
    }
}
