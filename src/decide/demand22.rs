//! The locks of httpd 2.2: each is configured by a directive of its own, so its configuration files
//! are read. Pure. (server/mpm_common.c, modules/ssl/ssl_engine_mutex.c,
//! modules/mappers/mod_rewrite.c, modules/ldap/util_ldap.c.)

use std::path::Path;

use super::demand::{Case, Count, Place, compiled, exactly, up_to};
use crate::facts::dump::Dump;
use crate::facts::kinds::{KINDS, Kind, Rule};
use crate::facts::mutex::{LogLine, Mechanism, Mutexes};
use crate::facts::printable::printable;

/// Sections that remain in the parsed configuration only if it is unknown whether httpd would enter
/// them.
const CONDITIONS: [&str; 3] = ["IfModule", "IfDefine", "IfVersion"];

/// The rows for 2.2, each with its place.
pub(super) fn rows(case: &Case<'_>) -> Vec<(Place, Mutexes)> {
    let version = case.version();
    let of_version = |kind: &&Kind| version.is_some_and(|v| kind.is_of(v));
    KINDS
        .iter()
        .filter(of_version)
        .filter_map(|kind| {
            let loaded = |m: &&&str| case.dump.has_module(m);
            let module = kind.modules.iter().find(loaded);
            let (module, sure) = match module {
                Some(module) => (*module, true),
                // An unknown MPM may have a lock.
                None if kind.modules[0].starts_with("mpm_") && is_unknown_mpm(case.dump) => {
                    (kind.modules[0], false)
                }
                None => return None,
            };
            let mut row = row(kind, case);
            row.least = if sure { row.least } else { 0 };
            Some((Place::new(kind, module), row))
        })
        .collect()
}

fn is_unknown_mpm(dump: &Dump) -> bool {
    let known = ["mpm_prefork", "mpm_worker", "mpm_itk", "mpm_event"];
    !known.iter().any(|m| dump.has_module(m))
}

fn row(kind: &Kind, case: &Case<'_>) -> Mutexes {
    let (dump, default) = (case.dump, compiled(case));
    let said = setting(dump, kind.mutex);
    let word = said.word();
    let (method, file) = word.map_or(("default", ""), |w| w.split_once(':').unwrap_or((w, "")));
    let method = method.to_ascii_lowercase();
    let root = dump.server_root.as_deref().unwrap_or_default();
    let from_root = |file: &str| Path::new(root).join(file).to_string_lossy().into_owned();
    let own_file = (!file.is_empty()).then(|| printable(&from_root(file)));
    // By APR's default mechanism regardless, except for the two that take a mechanism.
    let chosen = match kind.rule {
        Rule::Loaded(_) | Rule::SslMutex => mechanism(&method, default),
        _ => default,
    };
    let (words, lock_file) = match kind.rule {
        Rule::Loaded(_) => {
            let file = setting(dump, "LockFile");
            let file = file.word().or(case.build.and_then(|b| b.lock_file.as_deref()));
            let file = file.map(from_root);
            let is_worker = dump.has_module("mpm_worker");
            let words = LogLine::AcceptLock {
                file: file.as_deref().map(printable).filter(|_| !is_worker),
                mechanism: number(&method),
            };
            (words, file)
        }
        Rule::SslMutex => (LogLine::SslMutex { file: own_file.clone() }, own_file),
        Rule::RewriteLock => {
            let file = from_root(word.unwrap_or_default());
            (LogLine::RewriteLock { file: printable(&file) }, Some(file))
        }
        _ => (LogLine::ConfigurationFailed, None),
    };
    let count = count(kind, &said, &method);
    let (chosen, dir) = place(chosen, lock_file);
    Mutexes {
        mutex: kind.mutex.to_owned(),
        mechanism: if said.is_sure() { chosen } else { None },
        dir,
        least: count.least,
        most: count.most,
        cause: count.cause,
        passes: kind.passes,
        words,
    }
}

/// The directory that a lock file needs. A lock file that APR names itself goes to the directory for
/// temporary files and is not tried.
fn place(mechanism: Option<Mechanism>, file: Option<String>) -> (Option<Mechanism>, String) {
    match mechanism {
        Some(Mechanism::Fcntl | Mechanism::Flock) => {
            let dir = file.as_deref().and_then(|f| Path::new(f).parent());
            match dir {
                Some(dir) => (mechanism, dir.to_string_lossy().into_owned()),
                None => (Some(Mechanism::None), String::new()),
            }
        }
        other => (other, String::new()),
    }
}

fn count(kind: &Kind, said: &Said, method: &str) -> Count {
    let cause = match said.word() {
        Some(word) => printable(&format!("{} {word}", kind.mutex)),
        None => match kind.rule {
            Rule::Loaded(_) => "httpd 2.2's accept lock".into(),
            Rule::SslMutex => "mod_ssl".into(),
            Rule::LdapCache => "mod_ldap".into(),
            _ => kind.mutex.into(),
        },
    };
    if !said.is_sure() {
        return up_to(1, format!("{cause}, in a section or file that could not be resolved"));
    }
    let number: i64 = said.word().map_or(1, leading_number);
    match kind.rule {
        Rule::RewriteLock if said.word().is_none() => exactly(0, ""),
        Rule::SslMutex if ["none", "no"].contains(&method) => exactly(0, ""),
        Rule::LdapCache if number == 0 => exactly(0, ""),
        _ => exactly(1, cause),
    }
}

/// Parses as atol(3) does.
fn leading_number(word: &str) -> i64 {
    let word = word.trim_start();
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(if end == 0 { 0 } else { i64::MAX })
}

/// What the configuration files say about one directive.
enum Said {
    /// Its last value, or `None` if it is not there.
    Surely(Option<String>),
    /// It is in a section that may not apply, or may be in a file that could not be read; one possible
    /// value.
    Perhaps(Option<String>),
}

impl Said {
    fn word(&self) -> Option<&str> {
        match self {
            Said::Surely(word) | Said::Perhaps(word) => word.as_deref(),
        }
    }

    fn is_sure(&self) -> bool {
        matches!(self, Said::Surely(_))
    }
}

/// The last value of a directive outside any virtual host: all of these locks are server-wide.
fn setting(dump: &Dump, name: &str) -> Said {
    let all: Vec<usize> =
        dump.all(name).map(|(i, _)| i).filter(|i| dump.virtual_host(*i).is_none()).collect();
    let conditional = |i: &usize| CONDITIONS.iter().any(|c| dump.enclosing(*i, c).is_some());
    let last = all.last().and_then(|i| dump.directives[*i].words().into_iter().next());
    if !dump.has_config || all.iter().any(conditional) {
        Said::Perhaps(last)
    } else {
        Said::Surely(last)
    }
}

/// What a word after AcceptMutex or SSLMutex means; `None` if that is unknown.
fn mechanism(word: &str, compiled: Option<Mechanism>) -> Option<Mechanism> {
    match word {
        "default" | "yes" => compiled,
        "file" => Some(Mechanism::Fcntl),
        // APR has POSIX semaphores wherever the C library has sem_open.
        "sem" => Some(Mechanism::PosixSem),
        "no" => Some(Mechanism::None),
        other => Mechanism::of(other),
    }
}

/// The number at the end of the accept lock's log line (apr apr_lock.h, `apr_lockmech_e`).
fn number(word: &str) -> u32 {
    ["fcntl", "flock", "sysvsem", "pthread", "posixsem"]
        .iter()
        .position(|m| *m == word)
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(5)
}
