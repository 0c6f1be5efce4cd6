//! How httpd 2.2's files are read, with files that exist only here.

use std::collections::BTreeMap;

use super::*;

struct Map(BTreeMap<PathBuf, &'static str>);

impl Files for Map {
    fn read(&self, path: &Path, _most: usize) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec())
    }

    fn list(&self, path: &Path) -> Option<Vec<String>> {
        let below = |file: &PathBuf| {
            let rest = file.strip_prefix(path).ok()?;
            Some(rest.components().next()?.as_os_str().to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = self.0.keys().filter_map(below).collect();
        names.dedup();
        if names.is_empty() { None } else { Some(names) }
    }
}

const MODULES: [&str; 6] = ["core", "mpm_prefork", "http", "so", "ssl", "rewrite"];

fn read_with(files: &[(&str, &'static str)], args: &[&str]) -> Dump {
    let files = files.iter().map(|(name, text)| (Path::new("/r").join(name), *text)).collect();
    let build = Build {
        version: Some(Version(2, 2, 15)),
        root: Some("/r".into()),
        config_file: Some("main".into()),
        pid_file: Some("logs/httpd.pid".into()),
        ..Build::default()
    };
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    read(&Map(files), &build, &args, &MODULES.map(str::to_owned), 4)
}

/// Every directive except LoadModule, as "Name args".
fn all(dump: &Dump) -> Vec<String> {
    let own = dump.directives.iter().filter(|d| !d.section && !d.is("LoadModule"));
    own.map(|d| format!("{} {}", d.name, d.args)).collect()
}

fn of(text: &'static str) -> Vec<String> {
    let dump = read_with(&[("main", text)], &[]);
    assert!(dump.has_config, "{text}");
    assert!(dump.directives.iter().all(|d| !d.section), "{text}");
    all(&dump)
}

#[test]
fn a_section_applies_if_its_condition_holds_when_it_is_read() {
    for (condition, holds) in [
        ("IfModule prefork.c", true),
        ("IfModule mpm_prefork_module", true),
        ("IfModule worker.c", false),
        ("IfModule !worker.c", true),
        ("IfModule mod_so.c", true),
        ("IfModule util_ldap.c", false),
        // Loaded further down.
        ("IfModule mod_ssl.c", false),
        ("IfModule !mod_ssl.c", true),
        ("IfDefine SSL", false),
        ("IfDefine !SSL", true),
        ("IfVersion >= 2.2.4", true),
        ("IfVersion < 2.2", false),
        ("IfVersion 2.2.15", true),
        ("IfVersion !> 2.2.15", true),
    ] {
        let text = format!("<{condition}>\nX 1\n</IfModule>\nLoadModule ssl_module x\n");
        let want: &[&str] = if holds { &["X 1"] } else { &[] };
        assert_eq!(of(text.leak()), want, "{condition}");
    }
    assert_eq!(of("LoadModule ssl_module x\n<IfModule mod_ssl.c>\nX 1\n</IfModule>"), ["X 1"]);
}

#[test]
fn includes_in_a_false_section_are_not_read() {
    assert_eq!(
        of("<IfDefine NO>\n<VirtualHost *>\nInclude missing\n</VirtualHost>\n</IfDefine>\nX 1"),
        ["X 1"]
    );
}

#[test]
fn an_unresolvable_condition_stays_as_a_section() {
    let text = "LoadModule strange_module x\n<IfModule odd_name.c>\nX 1\n</IfModule>\n\
                <IfModule mod_ssl.c>\nY 1\n</IfModule>\n<IfVersion ~ ^2>\nZ 1\n</IfVersion>";
    let dump = read_with(&[("main", text)], &[]);
    assert_eq!(all(&dump), ["X 1", "Z 1"], "the section of an own module that is not loaded");
    for name in ["X", "Z"] {
        let (place, _) = dump.all(name).next().expect("read");
        assert!(dump.directives[place].parent.is_some(), "{name}");
    }
}

#[test]
fn directives_on_the_command_line_come_before_and_after_the_file() {
    let files = [("main", "B 1"), ("other", "O 1"), ("conf/third", "T 1")];
    let of = |args: &[&str]| all(&read_with(&files, args));
    assert_eq!(of(&["-C", "A 1", "-c", "C 1"]), ["A 1", "B 1", "C 1"]);
    assert_eq!(of(&["-cC 1", "-k", "start"]), ["B 1", "C 1"]);
    assert_eq!(of(&["-fother"]), ["O 1"]);
    assert_eq!(of(&["-f", "other"]), ["O 1"]);
    assert_eq!(of(&["-d/r/conf", "-f", "third"]), ["T 1"]);
    let defined = [("main", "<IfDefine SSL>\nX 1\n</IfDefine>")];
    assert_eq!(all(&read_with(&defined, &["-DSSL"])), ["X 1"]);
    assert_eq!(all(&read_with(&defined, &["-D", "SSL"])), ["X 1"]);
    assert_eq!(all(&read_with(&defined, &["-XDSSL"])), ["X 1"]);
}

#[test]
fn without_the_file_only_command_line_directives_remain() {
    let dump = read_with(&[("other", "")], &["-c", "C 1"]);
    assert!(dump.has_config);
    assert!(!read_with(&[("other", "")], &[]).has_config);
}

#[test]
fn a_directory_is_read_in_full_and_a_pattern_without_dotfiles() {
    let files = [
        ("main", "Include d\nInclude d/\nInclude e/*\nInclude e/[bc].x"),
        ("d/.hidden", "H 1"),
        ("d/deep/file", "D 1"),
        ("d/a~", "A 1"),
        ("e/.hidden", "NO 1"),
        ("e/b.x", "B 1"),
        ("e/sub/c", "C 1"),
    ];
    let dump = read_with(&files, &[]);
    assert!(dump.has_config);
    let d = ["H 1", "A 1", "D 1"];
    assert_eq!(all(&dump), [&d[..], &d, &["B 1", "C 1"], &["B 1"]].concat());
}

#[test]
fn a_missing_file_or_a_loop_makes_it_incomplete() {
    for text in ["Include missing", "Include main", "Include none/*"] {
        assert!(!read_with(&[("main", text)], &[]).has_config, "{text}");
    }
    assert!(read_with(&[("main", "Include d/*.none"), ("d/x", "")], &[]).has_config);
}

#[test]
fn a_backslash_continues_a_line_even_in_comments() {
    assert_eq!(of("X \\\n  1\n# no \\\nY 1\nZ \\\\\n A 1"), ["X 1", "Z \\", "A 1"]);
    assert_eq!(of("AcceptMu\\\r\ntex flock\r\n"), ["AcceptMutex flock"]);
}

#[test]
fn a_server_root_applies_from_its_line_on() {
    let files = [("main", "Include a\nServerRoot /r/s\nInclude a"), ("a", "A 1"), ("s/a", "S 1")];
    let dump = read_with(&files, &[]);
    assert_eq!(all(&dump), ["A 1", "ServerRoot /r/s", "S 1"]);
    assert_eq!(dump.server_root.as_deref(), Some("/r/s"));
}

#[test]
fn the_pid_file_is_the_last_one_or_the_builds() {
    let dump = read_with(&[("main", "PidFile run/p")], &[]);
    assert_eq!(dump.pid_file(), Some("/r/run/p".into()));
    assert_eq!(read_with(&[("main", "")], &[]).pid_file(), Some("/r/logs/httpd.pid".into()));
}
