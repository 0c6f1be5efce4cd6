//! Parses httpd's output (`-t -D DUMP_RUN_CFG -D DUMP_MODULES -D DUMP_CONFIG`, and `-V`). Pure; skips
//! anything unknown, because other versions print more.

use crate::facts::build::{Build, Version};
use crate::facts::dump::{Directive, Dump, Mutex, Setting};
use crate::facts::mutex::Mechanism;
use crate::facts::printable::printable;

/// How `-V` names APR's default mechanism.
const DEFAULTS: [(&str, Mechanism); 5] = [
    ("APR_USE_SYSVSEM_SERIALIZE", Mechanism::SysVSem),
    ("APR_USE_POSIXSEM_SERIALIZE", Mechanism::PosixSem),
    ("APR_USE_PROC_PTHREAD_SERIALIZE", Mechanism::Pthread),
    ("APR_USE_FCNTL_SERIALIZE", Mechanism::Fcntl),
    ("APR_USE_FLOCK_SERIALIZE", Mechanism::Flock),
];

/// Parses the output of `-V` (server/main.c, `show_compile_settings`).
#[must_use]
pub fn build(text: &str) -> Build {
    let mut build = Build::default();
    for line in text.lines() {
        let line = line.trim();
        if let Some(version) = line.strip_prefix("Server version:") {
            build.version = version.split_once('/').and_then(|(_, v)| Version::of(v));
        }
        if let Some(mpm) = line.strip_prefix("Server MPM:") {
            build.mpm = Some(mpm.trim().to_ascii_lowercase()).filter(|m| !m.is_empty());
        }
        let Some(define) = line.strip_prefix("-D ") else { continue };
        build.unserialized_single_listen |= define == "SINGLE_LISTEN_UNSERIALIZED_ACCEPT";
        build.splits_wildcard |= define.starts_with("APR_HAVE_IPV6") && define.contains("disabled");
        match define.split_once('=') {
            Some(("HTTPD_ROOT", path)) => build.root = Some(unquote(path)),
            Some(("SERVER_CONFIG_FILE", path)) => build.config_file = Some(unquote(path)),
            Some(("DEFAULT_PIDLOG", path)) => build.pid_file = Some(unquote(path)),
            Some(("DEFAULT_LOCKFILE", path)) => build.lock_file = Some(unquote(path)),
            _ => {}
        }
        let default = DEFAULTS.iter().find(|(name, _)| *name == define).map(|(_, m)| *m);
        build.default = build.default.or(default);
    }
    build
}

/// Parses the dumps. No line can fail: anything not understood is skipped.
#[must_use]
pub fn parse(text: &str) -> Dump {
    let mut dump = Dump::default();
    let mut open: Vec<usize> = Vec::new();
    let mut in_config = false;
    let mut in_modules = false;
    for line in text.lines() {
        let plain = line.trim();
        if in_modules {
            if let Some((module, _)) = loaded(plain) {
                dump.modules.push(printable(module));
                continue;
            }
            in_modules = false;
        }
        if plain == "Loaded Modules:" {
            (in_modules, in_config) = (true, false);
        } else if line.starts_with("# In file: ") {
            (in_config, dump.has_config) = (true, true);
        } else if run_line(line, &mut dump) {
            // DUMP_RUN_CFG follows the configuration, none of which comes after it.
            in_config = false;
        } else if in_config {
            config_line(line, &mut dump, &mut open);
        }
    }
    dump
}

/// A line of DUMP_MODULES (modules/core/mod_so.c, `dump_loaded_modules`): a module, and whether it is
/// compiled in. Nearly all module names end in "_module".
fn loaded(line: &str) -> Option<(&str, bool)> {
    let (symbol, kind) = line.split_once(" (")?;
    let name = symbol.strip_suffix("_module").unwrap_or(symbol);
    match kind {
        "static)" => Some((name, true)),
        "shared)" => Some((name, false)),
        _ => None,
    }
}

/// The modules listed by httpd 2.2, compiled-in ones first, and how many are compiled in.
#[must_use]
pub fn modules(text: &str) -> (Vec<String>, usize) {
    let found: Vec<(&str, bool)> = text
        .lines()
        .skip_while(|l| l.trim() != "Loaded Modules:")
        .skip(1)
        .map_while(|l| loaded(l.trim()))
        .collect();
    let compiled_in = found.iter().take_while(|(_, is_static)| *is_static).count();
    (found.into_iter().map(|(name, _)| printable(name)).collect(), compiled_in)
}

/// A line of DUMP_RUN_CFG (server/core.c, server/mpm_unix.c, modules/arch/unix/mod_unixd.c).
fn run_line(line: &str, dump: &mut Dump) -> bool {
    if let Some(rest) = line.strip_prefix("ServerRoot: ") {
        dump.server_root = Some(unquote(rest));
    } else if dump.server_root.is_none() {
        // Still in the configuration, which contains similar lines.
        return false;
    } else if let Some(rest) = line.strip_prefix("PidFile: ") {
        dump.pid_file = Some(unquote(rest));
    } else if let Some(rest) = line.strip_prefix("User: name=") {
        dump.user_is_not_used = rest.ends_with(" not_used");
        dump.user = rest
            .rsplit_once(" id=")
            .and_then(|(name, id)| Some((printable(&unquote(name)), first_number(id)?)));
    } else if let Some((name, setting)) = line.strip_prefix("Mutex ").and_then(mutex) {
        dump.mutexes.push(Mutex { name: printable(name), setting });
    } else {
        return ["Main DocumentRoot: ", "Main ErrorLog: ", "Define: ", "Group: name="]
            .iter()
            .any(|p| line.starts_with(p));
    }
    true
}

fn mutex(rest: &str) -> Option<(&str, Setting)> {
    let (name, how) = rest.split_once(": ")?;
    let how = how.trim();
    if name.contains(char::is_whitespace) {
        return None;
    }
    if how == "using_defaults" {
        return Some((name, Setting::UsingDefaults));
    }
    if how == "none" {
        let setting = Setting::Set { mechanism: Some(Mechanism::None), dir: String::new() };
        return Some((name, setting));
    }
    let (dir, mechanism) = how.strip_prefix("dir=")?.rsplit_once(" mechanism=")?;
    let dir = unquote(dir);
    let mechanism = mechanism.split_whitespace().next().unwrap_or_default();
    Some((
        name,
        match mechanism {
            "default" => Setting::Default { dir },
            other => Setting::Set { mechanism: Mechanism::of(other), dir },
        },
    ))
}

/// A line of DUMP_CONFIG (modules/generators/mod_info.c, `mod_info_module_cmds`): a directive, the
/// start or end of a section, or a comment with a line number. Indentation shows which sections it is
/// in: a section without any directive is not closed.
fn config_line(line: &str, dump: &mut Dump, open: &mut Vec<usize>) {
    let text = line.trim_start();
    open.truncate((line.len() - text.len()) / 2);
    let text = text.trim_end();
    if text.is_empty() || text.starts_with('#') || text.starts_with("</") {
        return;
    }
    let (text, section) = match text.strip_prefix('<') {
        Some(rest) => (rest.strip_suffix('>').unwrap_or(rest), true),
        None => (text, false),
    };
    let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    dump.directives.push(Directive {
        name: name.to_owned(),
        args: args.trim().to_owned(),
        parent: open.last().copied(),
        section,
    });
    if section {
        open.push(dump.directives.len() - 1);
    }
}

fn unquote(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text).to_owned()
}

fn first_number(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
