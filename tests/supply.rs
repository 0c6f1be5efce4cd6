//! Checks the dependencies against the rules in deny.toml, without a network, and the release profile for
//! the switches that make it safe. `make deny` does the same with cargo-deny, and also checks for known
//! vulnerabilities.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use common::{Folder, path, read};
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

/// A string in a TOML file.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

fn toml(name: &str) -> Value {
    basic_toml::from_str(&read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A crate that is linked, or that is used to build or test what is linked.
struct Linked {
    name: String,
    version: String,
    licence: String,
}

fn tree() -> Vec<Linked> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "--all-features", "--edges", "all"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let crates = text.lines().filter_map(|line| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        Some(Linked { name: name.into(), version: version.into(), licence: licence.into() })
    });
    let crates: Vec<Linked> = crates.filter(|c| c.version.starts_with('v')).collect();
    assert!(crates.iter().any(|c| c.name == "clap") && crates.len() > 20, "{text}");
    crates
}

#[test]
fn every_crate_has_an_allowed_licence_and_every_allowed_licence_is_used() {
    let allowed = &toml("deny.toml")["licenses"]["allow"];
    let allowed: BTreeSet<String> = allowed.as_array().expect("a list").iter().map(text).collect();
    let mut used = BTreeSet::new();
    for Linked { name, version, licence } in tree() {
        // Before SPDX, "MIT/Apache-2.0" was common.
        let expression = Expression::parse_mode(&licence, ParseMode::LAX);
        let expression = expression.unwrap_or_else(|e| panic!("{name} {version}: {e}"));
        let is_allowed = |l: &LicenseReq| allowed.contains(&l.to_string());
        assert!(
            expression.evaluate(is_allowed),
            "{name} {version} is under \"{licence}\", which deny.toml does not allow"
        );
        let named = expression.requirements().map(|r| &r.req);
        used.extend(named.filter(|l| is_allowed(l)).map(ToString::to_string));
    }
    assert_eq!(used, allowed, "deny.toml allows a licence that is not used");
}

#[test]
fn there_is_one_version_of_each_crate() {
    assert_eq!(text(&toml("deny.toml")["bans"]["multiple-versions"]), "deny");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for c in tree() {
        versions.entry(c.name).or_default().insert(c.version);
    }
    versions.retain(|_, v| v.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn every_crate_comes_from_the_registry_and_has_a_checksum() {
    let mut registries = BTreeSet::new();
    for key in ["unknown-registry", "unknown-git"] {
        assert_eq!(text(&toml("deny.toml")["sources"][key]), "deny", "{key}");
    }
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        for package in toml(lock)["package"].as_array().expect("a list") {
            let name = text(&package["name"]);
            let Some(source) = package.get("source").map(text) else {
                assert!(name.starts_with("httpd-semguard"), "{lock}: {name} has no source");
                continue;
            };
            assert!(source.starts_with("registry+"), "{lock}: {name} from {source}");
            registries.insert(source);
            assert_eq!(text(&package["checksum"]).len(), 64, "{lock}: {name}");
        }
    }
    assert_eq!(registries.len(), 1, "{registries:?}");
}

/// Otherwise "make fuzz" would lock versions that nobody has reviewed.
#[test]
fn the_lock_file_of_the_fuzz_targets_has_every_crate_that_the_program_needs() {
    let all = locked("Cargo.lock");
    let fuzz = locked("fuzz/Cargo.lock");
    let manifest = toml("Cargo.toml");
    let mut open: Vec<String> =
        manifest["dependencies"].as_object().expect("a table").keys().cloned().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        assert!(
            fuzz.contains_key(&name),
            "no {name} in fuzz/Cargo.lock: cargo update -w --manifest-path fuzz/Cargo.toml"
        );
        if seen.insert(name.clone()) {
            open.extend(all[&name].iter().cloned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

/// The crates in a lock file, in all versions, and what each of them needs.
fn locked(file: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut locked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in toml(file)["package"].as_array().expect("a list") {
        let needs = package.get("dependencies").and_then(Value::as_array);
        // If there are several versions, the name is followed by the version.
        let name = |need| text(need).split(' ').next().map(str::to_owned);
        let crates = locked.entry(text(&package["name"])).or_default();
        crates.extend(needs.into_iter().flatten().filter_map(name));
    }
    locked
}

#[test]
fn a_release_build_checks_overflows_and_aborts_on_panic() {
    let manifest = toml("Cargo.toml");
    let release = &manifest["profile"]["release"];
    assert_eq!(release["overflow-checks"], Value::Bool(true));
    assert_eq!(text(&release["panic"]), "abort");
    assert_eq!(text(&manifest["lints"]["rust"]["unsafe_code"]), "deny");
    let profiles: Vec<&String> = manifest["profile"].as_object().expect("a table").keys().collect();
    assert_eq!(profiles, ["release"], "another profile could switch it off again");
    assert!(!path(".cargo").exists(), "a .cargo/config.toml could switch it off again");
    assert!(!path("build.rs").exists(), "there must be no build script");
}

/// Runs `make deny` with a cargo that fails if its arguments are these.
fn make_deny(fails: &str, require_all: &str) -> (bool, String) {
    let folder = Folder::new(&format!("deny-{}-{require_all}", fails.replace(' ', "-")));
    folder.program("cargo-deny", b"#!/bin/sh\n");
    let script = format!("#!/bin/sh\necho \"$@\"\ncase \"$*\" in *\"{fails}\"*) exit 1; esac\n");
    let cargo = folder.program("cargo", script.as_bytes());
    let output = Command::new("make")
        .args(["--no-print-directory", "deny"])
        .arg(format!("CARGO={}", cargo.display()))
        .current_dir(path("."))
        .env_remove("MAKEFLAGS")
        .env("PATH", format!("{}:/usr/bin:/bin", folder.0.display()))
        .env("REQUIRE_ALL", require_all)
        .output()
        .expect("make runs");
    let all = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn make_deny_checks_everything_in_deny_toml() {
    let (passes, said) = make_deny("nothing", "");
    assert!(passes && !said.contains("SKIPPED"), "{said}");
    for section in toml("deny.toml").as_object().expect("a table").keys() {
        let is_checked = said.lines().any(|l| l.contains("check ") && l.contains(section.as_str()));
        assert!(is_checked || section == "graph", "{section}: {said}");
    }
    for fails in ["check licenses sources bans", "check advisories"] {
        assert!(!make_deny(fails, "").0, "{fails}");
    }
}

#[test]
fn make_deny_says_loudly_if_the_advisories_cannot_be_fetched() {
    let (passes, said) = make_deny("fetch db", "");
    assert!(passes && said.contains("SKIPPED: make deny: ADVISORIES NOT CHECKED"), "{said}");
    let (passes, said) = make_deny("fetch db", "1");
    assert!(!passes && said.contains("check licenses sources bans"), "{said}");
}
