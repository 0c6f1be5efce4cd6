//! Runs `make demo`'s script: it must go as it tells, for root and for anybody else.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A number that no account has.
const NOBODY: &str = "54321";

/// The demo's exit code where the machine does not allow its namespaces.
const NOT_HERE: i32 = 77;

/// Program and script where everybody may read them; removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("semguard-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        let place = Place(dir);
        place.set(Path::new(env!("CARGO_BIN_EXE_httpd-semguard")), "httpd-semguard");
        place.set(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo.sh"), "demo.sh");
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).expect("chmod");
        place
    }

    fn set(&self, from: &Path, name: &str) {
        let to = self.0.join(name);
        fs::copy(from, &to).expect("copied");
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    fn run(&self, before: &[&str], server: &str, limits: &str) -> Output {
        let script = self.0.join("demo.sh");
        let script = script.to_str().expect("a plain name");
        let words: Vec<&str> = before.iter().copied().chain([script]).collect();
        Command::new(words[0])
            .args(&words[1..])
            .env("SEMGUARD", self.0.join("httpd-semguard"))
            .env("DEMO_SERVER", server)
            .env("DEMO_LIMITS", limits)
            .current_dir("/")
            .output()
            .expect("it runs")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn all_required() -> bool {
    std::env::var("REQUIRE_ALL").as_deref() == Ok("1")
}

fn say_skipped(what: &str) {
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(io::stderr(), "SKIPPED: {what}");
}

/// Checks a run of the demo; returns what it printed, or nothing where it could not run.
fn went_as_told(output: &Output) -> Option<String> {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOT_HERE) && err.starts_with("demo: cannot run here: ") {
        say_skipped(&format!("the demo: {err}"));
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.ends_with("demo: every stage went as told.\n"), "{out}");
    assert!(!Path::new("/run/demo").exists(), "something is left");
    Some(out)
}

/// The lines of the README's sample of a failure, as the program printed them.
fn sample() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(file).expect("README.md");
    let block = readme
        .split("```")
        .find(|b| b.contains("httpd-semguard: httpd would not start"))
        .expect("a sample of the three-part message");
    block.lines().filter(|l| l.starts_with("httpd-semguard: ")).map(str::to_owned).collect()
}

#[test]
fn as_root_it_goes_as_told_and_the_readme_shows_what_it_prints() {
    if !is_root() {
        assert!(!all_required(), "to be run as root");
        return say_skipped("the demo as root: this is not root");
    }
    let Some(out) = went_as_told(&Place::new("root").run(&["bash"], "", "")) else {
        assert!(!all_required(), "root may make namespaces where all tests are required");
        return;
    };
    if out.contains("The server is the Apache of this machine") {
        let sample = sample();
        assert!(sample.len() > 3, "{sample:?}");
        for line in sample {
            assert!(out.contains(&line), "the README shows what the demo does not: {line}");
        }
    } else {
        assert!(!all_required(), "no Apache was used:\n{out}");
        say_skipped("the demo with a real Apache: none is installed");
    }
}

#[test]
fn as_root_with_a_stand_in_it_goes_as_told() {
    if !is_root() {
        assert!(!all_required(), "to be run as root");
        return say_skipped("the demo as root with a stand-in: this is not root");
    }
    let out = went_as_told(&Place::new("stand-in").run(&["bash"], "stand-in", ""));
    assert!(out.is_none_or(|o| o.contains("A stand-in makes and leaves its lock")));
}

fn unprivileged(limits: &str) -> Option<String> {
    let place = Place::new(&format!("user-{limits}"));
    let before: &[&str] = if is_root() {
        &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "bash"]
    } else {
        &["bash"]
    };
    went_as_told(&place.run(before, "", limits))
}

#[test]
fn without_rights_it_goes_as_told_or_says_that_the_machine_forbids_it() {
    let out = unprivileged("");
    assert!(out.is_none_or(|o| o.contains("Not root, so no Apache")));
}

#[test]
fn without_rights_and_with_the_kernels_own_limits_it_goes_as_told() {
    let out = unprivileged("keep");
    assert!(out.is_none_or(|o| o.contains("SEMMNI, not SEMMNS, will be what runs out")));
}
