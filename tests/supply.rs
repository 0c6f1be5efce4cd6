//! Holds what is built to the rules of deny.toml, without a network, and holds the switches that
//! make the program safe: overflow checks in release builds, unsafe code in one file, no network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The lines of one section of a TOML file, without comments: as much TOML as these files use.
fn section(file: &str, name: &str) -> String {
    let text = read(file);
    let lines = text.lines().map(|l| l.split_once('#').map_or(l, |(front, _)| front).trim());
    let header = format!("[{name}]");
    let inside = lines.skip_while(|l| *l != header).skip(1).take_while(|l| !is_header(l));
    let inside: String = inside.flat_map(|l| [l, "\n"]).collect();
    assert!(!inside.is_empty(), "{file} has no {header}");
    inside
}

fn is_header(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && !line.contains(',')
}

/// The value of a key: a word, or the words of a list.
fn value(file: &str, name: &str, key: &str) -> Vec<String> {
    let section = section(file, name);
    let mut lines = section.lines();
    let first = lines
        .by_ref()
        .find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix('='))
        .unwrap_or_else(|| panic!("{file} has no {key} in [{name}]"));
    let mut all = first.to_owned();
    if first.contains('[') && !first.contains(']') {
        all.extend(lines.take_while(|l| *l != "]"));
    }
    let words = all.split(['[', ']', ',']).map(|w| w.trim().trim_matches('"'));
    words.filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn is_set(file: &str, section: &str, key: &str, want: &str) {
    assert_eq!(value(file, section, key), [want], "{key} in [{section}] of {file}");
}

/// One crate that is linked, or that builds or tests what is linked.
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

/// Whether an SPDX expression is met by the licences allowed, and by which of them.
fn met(expression: &str, allowed: &[String]) -> Option<BTreeSet<String>> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = either(&mut rest, allowed);
    assert!(rest.is_empty(), "cannot be read: {expression}");
    met
}

fn either(rest: &mut &[&str], allowed: &[String]) -> Option<BTreeSet<String>> {
    let mut result = all_of(rest, allowed);
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        let other = all_of(rest, allowed);
        result = match (result, other) {
            (Some(a), Some(b)) => Some(a.union(&b).cloned().collect()),
            (a, b) => a.or(b),
        };
    }
    result
}

fn all_of(rest: &mut &[&str], allowed: &[String]) -> Option<BTreeSet<String>> {
    let mut result = one(rest, allowed);
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        let other = one(rest, allowed);
        result = result.zip(other).map(|(a, b)| a.union(&b).cloned().collect());
    }
    result
}

fn one(rest: &mut &[&str], allowed: &[String]) -> Option<BTreeSet<String>> {
    let (first, others) = rest.split_first().expect("a licence");
    *rest = others;
    if *first == "(" {
        let inner = either(rest, allowed);
        assert_eq!(rest.first(), Some(&")"));
        *rest = &rest[1..];
        return inner;
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, others @ ..] = *rest {
        name = format!("{name} WITH {exception}");
        *rest = others;
    }
    allowed.contains(&name).then(|| BTreeSet::from([name]))
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
    for (expression, want) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", false),
        ("MIT OR GPL-3.0-only AND BSD-3-Clause", true),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("MIT/Apache-2.0", true),
    ] {
        assert_eq!(met(expression, &allowed).is_some(), want, "{expression}");
    }
}

#[test]
fn every_crate_has_an_allowed_licence_and_every_allowed_licence_a_crate() {
    let allowed = value("deny.toml", "licenses", "allow");
    let mut used = BTreeSet::new();
    for c in tree() {
        let met = met(&c.licence, &allowed);
        used.extend(met.unwrap_or_else(|| {
            panic!(
                "{} {} is under \"{}\", which deny.toml does not allow",
                c.name, c.version, c.licence
            )
        }));
    }
    assert_eq!(used, allowed.into_iter().collect(), "deny.toml allows what nobody uses");
}

#[test]
fn there_is_one_version_of_each_crate() {
    is_set("deny.toml", "bans", "multiple-versions", "deny");
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
    is_set("deny.toml", "sources", "unknown-registry", "deny");
    is_set("deny.toml", "sources", "unknown-git", "deny");
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = read(lock);
        for package in text.split("[[package]]").skip(1) {
            let of = |key: &str| {
                let line = package.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "));
                line.map(|v| v.trim_matches('"'))
            };
            let name = of("name").expect("a name");
            let Some(source) = of("source") else {
                assert!(name.starts_with("httpd-semguard"), "{lock}: {name} has no source");
                continue;
            };
            assert!(source.starts_with("registry+"), "{lock}: {name} from {source}");
            registries.insert(source.to_owned());
            assert!(of("checksum").is_some_and(|c| c.len() == 64), "{lock}: {name}");
        }
    }
    assert_eq!(registries.len(), 1, "{registries:?}");
}

#[test]
fn a_release_build_checks_overflows_and_ends_at_a_panic() {
    for (key, want) in
        [("overflow-checks", "true"), ("panic", "abort"), ("lto", "true"), ("strip", "true")]
    {
        is_set("Cargo.toml", "profile.release", key, want);
    }
    let manifest = read("Cargo.toml");
    let profiles: Vec<&str> = manifest.lines().filter(|l| l.starts_with("[profile.")).collect();
    assert_eq!(profiles, ["[profile.release]"], "a further profile could switch it off again");
    assert!(!path(".cargo").exists(), "a .cargo/config.toml could switch it off again");
    assert!(!path("build.rs").exists(), "there is no build script to read");
}

/// Every file of the program, and its lines without comments.
fn code() -> Vec<(String, Vec<String>)> {
    let mut open = vec![path("src")];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let at = entry.expect("an entry").path();
            if at.is_dir() {
                open.push(at);
                continue;
            }
            let text = fs::read_to_string(&at).expect("text");
            let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            let name = at.strip_prefix(path("")).expect("below").display().to_string();
            files.push((name, lines.map(str::to_owned).collect()));
        }
    }
    assert!(files.len() > 15);
    files
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[test]
fn unsafe_code_stands_at_the_bottom_only() {
    is_set("Cargo.toml", "lints.rust", "unsafe_code", "deny");
    const BOTTOM: [&str; 2] = ["src/act/sysv.rs", "src/look/sysv.rs"];
    let is_unsafe = |l: &String| has_word(l, "unsafe") || has_word(l, "unsafe_code");
    let mut found: Vec<String> = code()
        .into_iter()
        .filter_map(|(file, lines)| lines.iter().any(is_unsafe).then_some(file))
        .collect();
    found.sort();
    assert_eq!(found, BOTTOM);
}

/// The resolver is asked for the names in `Listen` lines, as httpd will ask it; nothing else.
#[test]
fn the_program_opens_no_network_socket() {
    const SOCKETS: [&str; 6] =
        ["TcpStream", "TcpListener", "UdpSocket", "AddressFamily", "AF_INET", "AF_INET6"];
    for (file, lines) in code() {
        for line in lines {
            assert!(!SOCKETS.iter().any(|s| has_word(&line, s)), "{file}: {line}");
            assert!(
                !line.contains("syslog::init") && !line.contains("syslog::tcp"),
                "{file}: {line}"
            );
            let resolves = has_word(&line, "to_socket_addrs") || has_word(&line, "ToSocketAddrs");
            assert!(!resolves || file.ends_with("/httpd/mod.rs"), "{file}: {line}");
        }
    }
}
