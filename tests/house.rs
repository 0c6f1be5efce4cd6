//! Checks the rules for the folders of the source code, here called rooms (src/lib.rs): which room may
//! import which, that the pure ones touch nothing, that only one logs, where unsafe code is allowed, and
//! that no network socket is opened.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it may import besides itself.
const ROOMS: [(&str, &[&str]); 5] = [
    ("facts", &[]),
    ("decide", &["facts"]),
    ("look", &["facts"]),
    ("act", &["facts", "decide", "look"]),
    ("tell", &["facts", "decide"]),
];

/// The files next to the rooms, which may import all of them.
const BESIDE: [&str; 5] = ["main.rs", "lib.rs", "cli.rs", "guard.rs", "guard"];

/// What facts and decide may use from libraries: values and arithmetic. From modules that reach outside,
/// only individual values.
const PURE: [&str; 23] = [
    "std::borrow::",
    "std::cmp::",
    "std::collections::",
    "std::error::",
    "std::ffi::OsString::",
    "std::fmt::",
    "std::hash::",
    "std::io::Error::",
    "std::iter::",
    "std::mem::take::",
    "std::net::IpAddr::",
    "std::num::",
    "std::ops::",
    "std::path::",
    "std::process::ExitCode::",
    "std::ptr::eq::",
    "std::rc::",
    "std::str::",
    "std::time::Duration::",
    "nix::errno::",
    "nix::unistd::Gid::",
    "nix::unistd::Pid::",
    "nix::unistd::Uid::",
];

/// Functions of these values that would query the system.
const ASKING: [&str; 9] = [
    ".exists(",
    ".try_exists(",
    ".is_file(",
    ".is_dir(",
    ".metadata(",
    ".canonicalize(",
    "::current(",
    "::effective(",
    "::this(",
];

struct File {
    /// The path below src.
    name: String,
    /// The code without comments.
    code: String,
}

impl File {
    /// The folder; `None` for files next to the rooms.
    fn room(&self) -> Option<&str> {
        self.name.split_once('/').map(|(room, _)| room)
    }

    /// The first names of all paths that begin with `crate::`, including those in braces.
    fn imports(&self) -> BTreeSet<String> {
        let paths = self.paths("crate::").flat_map(leaves);
        paths.filter_map(|p| p.split("::").next().map(str::to_owned)).collect()
    }

    /// The paths that follow the name of a library or of the crate.
    fn paths<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a str> {
        let places = self.code.match_indices(root);
        let own = places.filter(|(at, _)| !self.code[..*at].ends_with(is_name));
        own.map(move |(at, _)| &self.code[at + root.len()..])
    }

    fn has_word(&self, words: &[&str]) -> bool {
        self.code.split(|c| !is_name(c)).any(|w| words.contains(&w))
    }
}

/// The full paths in a `use`: `a::b` and `a::c::d` for `a::{b, c::d}`.
fn leaves(tree: &str) -> Vec<String> {
    let end = tree.find(|c| !is_name(c) && c != ':').unwrap_or(tree.len());
    let (front, rest) = tree.split_at(end);
    let Some(group) = rest.strip_prefix('{') else {
        return vec![front.trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        parts.last_mut().expect("one").push(c);
    }
    let parts = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty());
    parts.flat_map(leaves).map(|leaf| format!("{front}{leaf}")).collect()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The program: everything in src except the files with unit tests.
fn house() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open: Vec<PathBuf> = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let at = entry.expect("an entry").path();
            if at.is_dir() {
                open.push(at);
                continue;
            }
            if at.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&at).expect("text");
            let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            files.push(File {
                name: at.strip_prefix(&src).expect("below").display().to_string(),
                code: lines.flat_map(|l| [l, "\n"]).collect(),
            });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(files.len() > 30, "the source files were not found");
    files
}

#[test]
fn every_file_is_in_a_room_or_is_one_of_those_next_to_them() {
    let mut strays: Vec<String> = house().into_iter().map(|f| f.name).collect();
    strays.retain(|name| match name.split_once('/') {
        Some((folder, _)) => {
            ROOMS.iter().all(|(room, _)| *room != folder) && !BESIDE.contains(&folder)
        }
        None => !BESIDE.contains(&name.as_str()),
    });
    assert_eq!(strays, [""; 0]);
}

#[test]
fn a_room_imports_only_what_its_row_of_the_table_says() {
    let mut found = Vec::new();
    for file in house() {
        let row = ROOMS.into_iter().find(|(room, _)| file.room() == Some(room));
        let Some((room, may)) = row else { continue };
        for import in file.imports() {
            if import != room && !may.contains(&import.as_str()) {
                found.push((file.name.clone(), import));
            }
        }
        // Another way to import, which would not be noticed above.
        let depth = file.name.matches('/').count() + usize::from(!file.name.ends_with("/mod.rs"));
        let out = "super::".repeat(depth);
        assert!(!file.code.contains(&out), "{} leaves its room with {out}", file.name);
    }
    assert_eq!(found, []);
}

#[test]
fn imports_are_found_in_every_form() {
    for (code, want) in [
        ("use crate::look::sysv;", vec!["look"]),
        ("use crate::look;", vec!["look"]),
        ("use crate::{facts::set::{Set, Form}, look::{self}, act};", vec!["act", "facts", "look"]),
        ("use crate::{\n    tell,\n    act::reap,\n};", vec!["act", "tell"]),
        ("let n = crate::act::reap(crate::cli::VERSION);", vec!["act", "cli"]),
        ("use super::look;", vec![]),
    ] {
        let file = File { name: "facts/x.rs".into(), code: code.into() };
        assert_eq!(file.imports().iter().collect::<Vec<_>>(), want, "{code}");
    }
}

/// No clock, no file, no environment, no account: values in, values out.
#[test]
fn facts_and_decide_touch_nothing() {
    let mut found = Vec::new();
    for file in house().iter().filter(|f| matches!(f.room(), Some("facts" | "decide"))) {
        for library in ["std::", "nix::"] {
            for path in file.paths(library).flat_map(leaves).map(|p| format!("{library}{p}::")) {
                if !PURE.iter().any(|pure| path.starts_with(pure)) {
                    found.push((file.name.clone(), path));
                }
            }
        }
        for library in ["libc", "sysinfo", "syslog", "anstream", "terminal_size"] {
            assert!(!file.has_word(&[library]), "{} names {library}", file.name);
        }
        for asking in ASKING {
            assert!(!file.code.contains(asking), "{} calls {asking}", file.name);
        }
    }
    assert_eq!(found, []);
}

/// Events are part of the report, and the log is one more format of it.
#[test]
fn only_tell_and_main_write_output() {
    const WORDS: [&str; 9] = [
        "log::",
        "error!(",
        "warn!(",
        "info!(",
        "debug!(",
        "trace!(",
        "print!(",
        "println!(",
        "eprintln!(",
    ];
    let mut found: Vec<String> = house()
        .into_iter()
        .filter(|f| f.room() != Some("tell") && f.name != "main.rs")
        .filter(|f| WORDS.iter().any(|w| f.paths(w).next().is_some()))
        .map(|f| f.name)
        .collect();
    found.dedup();
    assert_eq!(found, [] as [&str; 0]);
}

#[test]
fn unsafe_code_is_only_where_it_is_allowed() {
    let unsafe_code = |f: &File| f.has_word(&["unsafe", "unsafe_code"]);
    let found: Vec<String> = house().into_iter().filter(unsafe_code).map(|f| f.name).collect();
    assert_eq!(found, ["act/pthread.rs", "act/sysv.rs", "look/sysv.rs"]);
}

/// The resolver is asked for the names in `Listen` lines, as httpd will do; nothing else.
#[test]
fn the_program_opens_no_network_socket() {
    const SOCKETS: [&str; 6] =
        ["TcpStream", "TcpListener", "UdpSocket", "AddressFamily", "AF_INET", "AF_INET6"];
    let mut resolve = Vec::new();
    for file in house() {
        assert!(!file.has_word(&SOCKETS), "{}", file.name);
        for remote in ["syslog::init", "syslog::tcp", "syslog::udp"] {
            assert!(!file.code.contains(remote), "{}: {remote}", file.name);
        }
        if file.has_word(&["to_socket_addrs", "ToSocketAddrs"]) {
            resolve.push(file.name);
        }
    }
    assert!(matches!(&resolve[..], [one] if one.ends_with("httpd/mod.rs")), "{resolve:?}");
}
