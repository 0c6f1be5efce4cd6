//! httpd 2.2, which cannot print its configuration: its files are read instead, and its three
//! directives for locks taken from there. Touches those files; the rules are pure. (2.2 is written
//! down here from its sources, server/mpm/*, modules/ssl and modules/mappers/mod_rewrite.c; no
//! distribution has it any more for a test to count.)

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::demand::{Demand, Row};
use super::dump::{self, Build, Directive, Mechanism};

/// How deep files may include files.
const DEPTH: usize = 16;

/// The most that the files together may hold, in bytes.
const MOST_BYTES: u64 = 32 << 20;

/// The configuration as its files have it: nothing resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The directives, with the sections they stand in.
    pub directives: Vec<Directive>,
    /// Whether every file could be read.
    pub complete: bool,
}

/// Reads the configuration files that a httpd of this build will read when it is started with
/// `args`. What cannot be read makes it incomplete.
#[must_use]
pub fn read(build: &Build, args: &[OsString]) -> Config {
    let of = |flag: &str| {
        let place = args.iter().position(|a| a == flag)?;
        args.get(place + 1).map(PathBuf::from)
    };
    let root = of("-d").or_else(|| build.root.as_ref().map(PathBuf::from)).unwrap_or_default();
    let file = of("-f").or_else(|| build.config_file.as_ref().map(PathBuf::from));
    let mut reader = Reader { root, left: MOST_BYTES, config: Config::default() };
    reader.config.complete = file.is_some_and(|f| reader.file(&f, DEPTH));
    reader.config
}

struct Reader {
    root: PathBuf,
    left: u64,
    config: Config,
}

impl Reader {
    /// Reads one file and those it includes; false: something could not be read.
    fn file(&mut self, file: &Path, depth: usize) -> bool {
        let path = self.root.join(file);
        let size = fs::metadata(&path).map_or(u64::MAX, |m| m.len());
        if depth == 0 || size > self.left {
            return false;
        }
        self.left -= size;
        let Ok(bytes) = fs::read(&path) else { return false };
        let mut complete = true;
        for directive in dump::directives(&String::from_utf8_lossy(&bytes)) {
            if directive.is("ServerRoot") {
                self.root = directive.words().first().map(PathBuf::from).unwrap_or_default();
            }
            if directive.is("Include") {
                let pattern = directive.words().into_iter().next().unwrap_or_default();
                complete &= self.include(&pattern, depth - 1);
            } else {
                self.config.directives.push(directive);
            }
        }
        complete
    }

    fn include(&mut self, pattern: &str, depth: usize) -> bool {
        let path = self.root.join(pattern);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            return self.matching(&path, "*", depth);
        }
        match path.parent() {
            Some(dir) if name.contains('*') => self.matching(dir, &name, depth),
            _ => self.file(&path, depth),
        }
    }

    /// The files of a directory whose names match a pattern with "*" in it.
    fn matching(&mut self, dir: &Path, pattern: &str, depth: usize) -> bool {
        let Ok(entries) = fs::read_dir(dir) else { return false };
        let mut names: Vec<String> =
            entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|n| matches(pattern, n) && (pattern.starts_with('.') || !n.starts_with('.')));
        names.sort_unstable();
        let mut complete = true;
        for name in names {
            complete &= self.file(&dir.join(name), depth);
        }
        complete
    }
}

/// Whether a name matches a pattern in which "*" stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            match rest.find(before) {
                Some(at) => rest = &rest[at + before.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |part| rest.ends_with(part))
}

/// The locks of httpd 2.2: the accept lock, always; one for SSLMutex; one for RewriteLock.
#[must_use]
pub fn demand(config: &Config, build: &Build) -> Demand {
    let mut rows = Vec::new();
    let accept = setting(config, "AcceptMutex");
    rows.push(match accept {
        Said::Nothing => row("accept", build.default, 1, 1, "httpd 2.2's accept lock"),
        Said::Surely(word) => {
            let mechanism = mechanism(&word, build.default);
            row("accept", mechanism, 1, 1, &format!("AcceptMutex {word}"))
        }
        Said::Perhaps => row("accept", None, 0, 1, "AcceptMutex, in a section or a file not read"),
    });
    match setting(config, "SSLMutex") {
        Said::Nothing => {}
        Said::Surely(word) => {
            let mechanism = mechanism(&word, build.default);
            // Nothing comes of it where mod_ssl is not loaded.
            rows.push(row("SSLMutex", mechanism, 0, 1, &format!("SSLMutex {word}")));
        }
        Said::Perhaps => rows.push(row("SSLMutex", None, 0, 1, "SSLMutex, perhaps")),
    }
    if setting(config, "RewriteLock") != Said::Nothing {
        rows.push(row("RewriteLock", build.default, 0, 1, "RewriteLock"));
    }
    rows.retain(|r| r.mechanism != Some(Mechanism::None));
    Demand { rows }
}

fn row(mutex: &str, mechanism: Option<Mechanism>, least: u32, most: u32, cause: &str) -> Row {
    // The directories of lock files are httpd's to choose, and not tried.
    let mechanism = match mechanism {
        Some(Mechanism::Fcntl | Mechanism::Flock) => Some(Mechanism::None),
        other => other,
    };
    Row {
        mutex: mutex.to_owned(),
        mechanism,
        dir: String::new(),
        least,
        most,
        cause: crate::facts::printable::printable(cause),
    }
}

/// What the files say of one directive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// It is not there.
    Nothing,
    /// Its last value, outside every section.
    Surely(String),
    /// It stands in a section that may not count, or may stand in a file that could not be read.
    Perhaps,
}

fn setting(config: &Config, name: &str) -> Said {
    let all: Vec<&Directive> =
        config.directives.iter().filter(|d| !d.section && d.is(name)).collect();
    match all.last() {
        _ if !config.complete || all.iter().any(|d| d.parent.is_some()) => Said::Perhaps,
        Some(d) => Said::Surely(d.words().into_iter().next().unwrap_or_default()),
        None => Said::Nothing,
    }
}

/// What a word after AcceptMutex or SSLMutex means; none: that cannot be told.
fn mechanism(word: &str, compiled: Option<Mechanism>) -> Option<Mechanism> {
    let word = word.to_ascii_lowercase();
    match word.split(':').next().unwrap_or_default() {
        "default" | "yes" => compiled,
        "sysvsem" => Some(Mechanism::SysVSem),
        "posixsem" => Some(Mechanism::PosixSem),
        "pthread" => Some(Mechanism::Pthread),
        "fcntl" | "flock" | "file" | "filelock" | "fcntlfile" | "flockfile" => {
            Some(Mechanism::Fcntl)
        }
        "none" | "no" => Some(Mechanism::None),
        // "sem" is one or the other, as APR was built.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Build {
        Build {
            version: Some((2, 2, 15)),
            default: Some(Mechanism::SysVSem),
            unserialized_single_listen: true,
            ..Build::default()
        }
    }

    fn sets(text: &str, complete: bool) -> (i64, i64) {
        let config = Config { directives: dump::directives(text), complete };
        demand(&config, &build()).sets()
    }

    #[test]
    fn the_accept_lock_is_always_made_even_for_one_listener() {
        assert_eq!(sets("Listen 80", true), (1, 1));
        assert_eq!(sets("AcceptMutex sysvsem", true), (1, 1));
        assert_eq!(sets("AcceptMutex default", true), (1, 1));
    }

    #[test]
    fn another_accept_mutex_needs_no_set() {
        for word in ["fcntl", "flock", "pthread", "posixsem"] {
            assert_eq!(sets(&format!("acceptmutex {word}"), true), (0, 0), "{word}");
        }
        assert_eq!(sets("AcceptMutex sysvsem\nAcceptMutex fcntl", true), (0, 0));
    }

    #[test]
    fn what_stands_in_a_section_or_an_unread_file_is_in_doubt() {
        let text = "<IfModule worker.c>\nAcceptMutex fcntl\n</IfModule>";
        assert_eq!(sets(text, true), (0, 1));
        assert_eq!(sets("Listen 80", false), (0, 3));
    }

    #[test]
    fn ssl_mutex_and_rewrite_lock_may_need_one_each() {
        assert_eq!(sets("SSLMutex default\nRewriteLock /run/rewrite.lock", true), (1, 3));
        assert_eq!(sets("SSLMutex sem", true), (1, 2));
        assert_eq!(sets("SSLMutex file:/run/ssl_mutex", true), (1, 1));
        assert_eq!(sets("SSLMutex none", true), (1, 1));
    }

    #[test]
    fn included_files_are_read_by_pattern_and_relative_to_the_root() {
        let root = std::env::temp_dir().join(format!("semguard-old-{}", std::process::id()));
        fs::create_dir_all(root.join("conf.d")).expect("made");
        let write = |name: &str, text: &str| fs::write(root.join(name), text).expect("written");
        write("main.conf", "Listen 80\nInclude conf.d/*.conf\nAcceptMutex \\\n  flock\n");
        write("conf.d/a.conf", "RewriteLock /x\n");
        write("conf.d/b.txt", "SSLMutex sem\n");
        let args: Vec<OsString> =
            vec!["-d".into(), root.clone().into(), "-f".into(), "main.conf".into()];
        let config = read(&build(), &args);
        assert!(config.complete);
        let names: Vec<&str> = config.directives.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["Listen", "RewriteLock", "AcceptMutex"]);
        assert_eq!(demand(&config, &build()).sets(), (0, 1));
        write("main.conf", "Include main.conf\nInclude missing.conf\n");
        assert!(!read(&build(), &args).complete, "neither a loop nor a hole is complete");
        fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
            ("*", "anything", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }
}
