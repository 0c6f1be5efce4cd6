//! Runs the script of `make demo`: every stage must go as expected, for root and for other users.

mod common;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use common::{Folder, path, read};

/// A number that no account has.
const NOBODY: &str = "54321";

/// The demo's exit code if the machine does not allow its namespaces.
const NOT_HERE: i32 = 77;

/// Runs the demo, with program and scripts in a place where everybody may read them.
fn demo(name: &str, before: &[&str], server: &str, limits: &str) -> Output {
    let folder = Folder::new(&format!("demo-{name}"));
    let guard = fs::read(env!("CARGO_BIN_EXE_httpd-semguard")).expect("the program");
    let guard = folder.program("httpd-semguard", &guard);
    for script in ["docs/story.sh", "tests/demo.sh"] {
        let from = path(script);
        let dir = folder.0.join(script).parent().expect("a folder").to_owned();
        fs::create_dir(&dir).expect("a folder");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        folder.program(script, &fs::read(from).expect(script));
    }
    let words = [before, &["bash"]].concat();
    Command::new(words[0])
        .args(&words[1..])
        .arg(folder.0.join("tests/demo.sh"))
        .env("SEMGUARD", guard)
        .env("DEMO_SERVER", server)
        .env("DEMO_LIMITS", limits)
        .current_dir("/")
        .output()
        .expect("it runs")
}

/// Checks a run of the demo; returns what it printed, or nothing if it could not run.
fn went_as_told(output: &Output) -> Option<String> {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOT_HERE) && err.starts_with("demo: cannot run here: ") {
        // The machine may forbid it, even under REQUIRE_ALL: the demo says so, and so does this test.
        let _ = writeln!(io::stderr(), "SKIPPED: the demo: {err}");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.ends_with("demo: every stage went as expected.\n"), "{out}");
    assert!(!Path::new("/run/outage").exists(), "something was left behind");
    Some(out)
}

/// The lines of the sample failure in the README, as the program prints them.
fn sample() -> Vec<String> {
    let readme = read("README.md");
    let block = readme
        .split("```")
        .find(|b| b.contains("httpd-semguard: semaphore table full: httpd would not start"))
        .expect("a sample of the three-part message");
    block.lines().filter(|l| l.starts_with("httpd-semguard: ")).map(str::to_owned).collect()
}

#[test]
fn as_root_it_goes_as_expected_and_the_readme_shows_what_it_prints() {
    require!("apache2", "curl", "perl");
    let out = went_as_told(&demo("root", &[], "", "")).expect("root may create namespaces");
    assert!(out.contains("The server is the Apache of this machine"), "{out}");
    let sample = sample();
    assert!(sample.len() > 3, "{sample:?}");
    for line in sample {
        assert!(out.contains(&line), "the README shows what the demo does not: {line}");
    }
}

#[test]
fn as_root_with_a_stand_in_it_goes_as_expected() {
    require!("perl");
    let out = went_as_told(&demo("stand-in", &[], "stand-in", ""));
    let out = out.expect("root may create namespaces");
    assert!(out.contains("A stand-in creates its lock as httpd does"), "{out}");
}

fn unprivileged(limits: &str) -> Option<String> {
    let is_root = nix::unistd::geteuid().is_root();
    let nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    let before: &[&str] = if is_root { &nobody } else { &[] };
    went_as_told(&demo(&format!("user-{limits}"), before, "", limits))
}

#[test]
fn without_privileges_it_goes_as_expected_or_says_that_the_machine_forbids_it() {
    let out = unprivileged("");
    assert!(out.is_none_or(|o| o.contains("Not root, so no Apache")));
}

#[test]
fn without_privileges_and_with_the_kernels_own_limits_it_goes_as_expected() {
    let out = unprivileged("keep");
    assert!(out.is_none_or(|o| o.contains("SEMMNI, not SEMMNS, will be exhausted")));
}
