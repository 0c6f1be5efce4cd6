//! httpd 2.2, which cannot print its configuration: its files are read here the way it reads them
//! (server/config.c, `ap_build_config`, `ap_process_resource_config`; server/core.c, `start_ifmod`).
//! Touches those files, through [`Files`].

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

mod conditions;
mod pattern;

use crate::facts::build::{Build, Version};
use crate::facts::dump::{Directive, Dump, words};
use crate::look::file;
use conditions::{is_own, is_own_source, source_file, version_is};
use pattern::matches;

/// How deep includes and directories may be nested (AP_MAX_INCLUDE_DEPTH, AP_MAX_INCLUDE_DIR_DEPTH).
const DEPTH: usize = 20;

/// The most that all files together may contain, in bytes.
const MOST_BYTES: usize = 32 << 20;

/// Where the files are read from.
pub trait Files {
    /// A file's bytes, if it can be read and is no larger than `most` bytes.
    fn read(&self, path: &Path, most: usize) -> Option<Vec<u8>>;
    /// The names in a directory; `None` if it is not a directory.
    fn list(&self, path: &Path) -> Option<Vec<String>>;
}

/// The machine's own files.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Files for Real {
    fn read(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        let (mut file, meta) = file::regular(path, 0).ok()??;
        if meta.len() > most as u64 {
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn list(&self, path: &Path) -> Option<Vec<String>> {
        let entries = fs::read_dir(path).ok()?;
        Some(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
    }
}

/// Reads the configuration that an httpd of this build will read when started with `args`. If anything
/// cannot be read, the result is incomplete (`has_config` is false). A section remains in it only if it
/// is unknown whether httpd would enter it. `modules` is everything loaded in the end, as in
/// DUMP_MODULES, with the `compiled_in` ones first.
#[must_use]
pub fn read(
    files: &dyn Files,
    build: &Build,
    args: &[OsString],
    modules: &[String],
    compiled_in: usize,
) -> Dump {
    let options = Options::of(args);
    let root = options.root.or_else(|| build.root.clone()).unwrap_or_default();
    let file = options.file.or_else(|| build.config_file.clone());
    let mut reader = Reader {
        files,
        root: PathBuf::from(root),
        left: MOST_BYTES,
        defines: options.defines,
        version: build.version,
        loaded: modules.iter().take(compiled_in).cloned().collect(),
        in_the_end: modules.to_vec(),
        directives: Vec::new(),
        open: Vec::new(),
    };
    let before = options.before.iter().all(|line| reader.text(line, DEPTH));
    let main = file.is_some_and(|f| {
        let path = reader.root.join(f);
        let defaulted = !options.before.is_empty() || !options.after.is_empty();
        // Directives on the command line work even without the file.
        reader.whole_file(&path, DEPTH) || (defaulted && files.read(&path, MOST_BYTES).is_none())
    });
    let after = options.after.iter().all(|line| reader.text(line, DEPTH));
    let mut dump = Dump {
        modules: modules.to_vec(),
        has_config: before && main && after,
        server_root: Some(reader.root.to_string_lossy().into_owned()),
        directives: reader.directives,
        ..Dump::default()
    };
    let pid_file = dump.last_global("PidFile").and_then(|d| d.words().into_iter().next());
    dump.pid_file = pid_file.or_else(|| build.pid_file.clone());
    dump
}

/// What the command line says about the configuration (server/main.c; apr_getopt takes a value from the
/// same word or the next one).
#[derive(Default)]
struct Options {
    root: Option<String>,
    file: Option<String>,
    defines: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
}

impl Options {
    fn of(args: &[OsString]) -> Options {
        let mut options = Options::default();
        let mut args = args.iter().map(|a| a.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            let Some(flags) = arg.strip_prefix('-') else { continue };
            let takes = |c: char| "DCcdfeEk".contains(c);
            let Some((at, flag)) = flags.char_indices().find(|(_, c)| takes(*c)) else { continue };
            let rest = &flags[at + flag.len_utf8()..];
            let value = if rest.is_empty() { args.next().unwrap_or_default() } else { rest.into() };
            match flag {
                'D' => options.defines.push(value),
                'C' => options.before.push(value),
                'c' => options.after.push(value),
                'd' => options.root = Some(value),
                'f' => options.file = Some(value),
                _ => {}
            }
        }
        options
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    root: PathBuf,
    left: usize,
    defines: Vec<String>,
    version: Option<Version>,
    /// The modules loaded so far, which is what a condition tests.
    loaded: Vec<String>,
    in_the_end: Vec<String>,
    directives: Vec<Directive>,
    /// The sections that are open; `None` for those that are resolved.
    open: Vec<Option<usize>>,
}

impl Reader<'_> {
    /// Reads one file and those it includes; false if anything could not be read.
    fn whole_file(&mut self, path: &Path, depth: usize) -> bool {
        let Some(bytes) = self.files.read(path, self.left) else { return false };
        self.left -= bytes.len().min(self.left);
        self.text(&String::from_utf8_lossy(&bytes), depth)
    }

    fn text(&mut self, text: &str, depth: usize) -> bool {
        let mut complete = true;
        // Nesting depth within sections that httpd skips.
        let mut skipped = 0_usize;
        for line in logical_lines(text) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if skipped > 0 {
                // httpd counts every opening and closing line there, whatever its name.
                if line.starts_with("</") {
                    skipped -= 1;
                } else if line.starts_with('<') {
                    skipped += 1;
                }
                continue;
            }
            if line.starts_with("</") {
                self.open.pop();
            } else if let Some(section) = line.strip_prefix('<') {
                let section = section.rfind('>').map_or(section, |end| &section[..end]);
                let (name, args) = split(section);
                match self.condition(name, args) {
                    Some(Some(true)) => self.open.push(None),
                    Some(Some(false)) => skipped = 1,
                    Some(None) | None => self.section(name, args),
                }
            } else {
                let line = expand(line);
                let (name, args) = split(&line);
                complete &= self.directive(name, args, depth);
            }
        }
        complete
    }

    fn parent(&self) -> Option<usize> {
        self.open.iter().rev().find_map(|place| *place)
    }

    fn push(&mut self, name: &str, args: &str, section: bool) {
        self.directives.push(Directive {
            name: name.to_owned(),
            args: args.to_owned(),
            parent: self.parent(),
            section,
        });
    }

    fn section(&mut self, name: &str, args: &str) {
        self.push(name, args, true);
        self.open.push(Some(self.directives.len() - 1));
    }

    fn directive(&mut self, name: &str, args: &str, depth: usize) -> bool {
        self.push(name, args, false);
        let first = words(args).into_iter().next().unwrap_or_default();
        if name.eq_ignore_ascii_case("ServerRoot") {
            self.root = PathBuf::from(first);
        } else if name.eq_ignore_ascii_case("LoadModule") {
            self.loaded.push(first.strip_suffix("_module").unwrap_or(&first).to_owned());
        } else if name.eq_ignore_ascii_case("Include") {
            self.directives.pop();
            return depth > 0 && self.include(&self.root.join(first), depth - 1);
        }
        true
    }

    /// Includes a file, a directory with everything in it, or the matches of a pattern in the last
    /// component of a path.
    fn include(&mut self, path: &Path, depth: usize) -> bool {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !path.to_string_lossy().contains(['*', '?', '[']) {
            return self.file_or_directory(path, depth, DEPTH);
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        let Some(mut names) = self.files.list(dir) else { return false };
        names.retain(|n| matches(&name, n));
        names.sort_unstable();
        let mut complete = true;
        for name in names {
            complete &= self.file_or_directory(&dir.join(name), depth, DEPTH);
        }
        complete
    }

    /// A directory is read in full, including dotfiles and editors' backup copies.
    fn file_or_directory(&mut self, path: &Path, depth: usize, levels: usize) -> bool {
        match self.files.list(path) {
            None => self.whole_file(path, depth),
            Some(_) if levels == 0 => false,
            Some(mut names) => {
                names.sort_unstable();
                let mut complete = true;
                for name in names {
                    complete &= self.file_or_directory(&path.join(name), depth, levels - 1);
                }
                complete
            }
        }
    }

    /// Whether httpd enters this section: `None` if it is not a condition, `Some(None)` if that is
    /// unknown.
    fn condition(&self, name: &str, args: &str) -> Option<Option<bool>> {
        let plain = args.trim();
        let (not, what) = match plain.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, plain),
        };
        let what = what.trim().trim_matches('"');
        let holds = if name.eq_ignore_ascii_case("IfDefine") {
            Some(self.defines.iter().any(|d| d == what))
        } else if name.eq_ignore_ascii_case("IfModule") {
            self.is_loaded(what)
        } else if name.eq_ignore_ascii_case("IfVersion") {
            return Some(self.version.and_then(|v| version_is(v, plain)));
        } else {
            return None;
        };
        Some(holds.map(|holds| holds != not))
    }

    /// Whether a module of this name is loaded: by its symbol ("ssl_module") or its source file
    /// ("mod_ssl.c").
    fn is_loaded(&self, name: &str) -> Option<bool> {
        let of = |modules: &[String]| {
            modules.iter().any(|m| format!("{m}_module") == name || source_file(m) == name)
        };
        if of(&self.loaded) {
            return Some(true);
        }
        // It may be loaded later, or in a section that could not be resolved; or it may be a
        // third-party module whose source file has a different name.
        let loads = self.open.iter().flatten().next().is_some();
        let strange = self.loaded.iter().any(|m| !is_own(m));
        let may_be = name.ends_with(".c") && strange && !is_own_source(name);
        if may_be || (loads && of(&self.in_the_end)) { None } else { Some(false) }
    }
}

/// A name and what follows it.
fn split(text: &str) -> (&str, &str) {
    let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (name, args.trim())
}

/// Lines as httpd reads them (server/util.c, `ap_cfg_getline`): a line that ends in a backslash
/// continues on the next, even a comment; two backslashes stand for one.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.strip_suffix('\\') {
            Some(before) if !before.ends_with('\\') => open.push_str(before),
            Some(before) => lines.push(std::mem::take(&mut open) + before),
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    if !open.is_empty() {
        lines.push(open);
    }
    lines
}

/// Replaces "${NAME}" from the environment (server/util.c, `ap_resolve_env`); an unset variable stays.
fn expand(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) => {
                match std::env::var(name) {
                    Ok(value) => out.push_str(&value),
                    Err(_) => out.push_str(&format!("${{{name}}}")),
                }
                rest = behind;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests;
