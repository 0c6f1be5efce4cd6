//! Third-party modules. Pure.

use super::counts::HANDFUL;
use super::demand::{Case, compiled};
use crate::facts::dump::{Directive, Dump};
use crate::facts::heard::Import;
use crate::facts::kinds::{FOREIGN, Foreign};
use crate::facts::mutex::{LogLine, Mechanism, Mutexes, Passes};

/// The rows of modules that do not register their mutexes: those in the table, and those whose files
/// show that they may make some.
pub(super) fn rows(case: &Case<'_>) -> Vec<Mutexes> {
    let dump = case.dump;
    // If APR's default is another mechanism, they make no semaphore set; what they make instead is not
    // tracked.
    let default = match compiled(case) {
        None => None,
        Some(Mechanism::SysVSem) => Some(Mechanism::SysVSem),
        Some(_) => Some(Mechanism::None),
    };
    let known = FOREIGN.iter().filter(|f| f.most > 0 && dump.has_module(f.module)).map(|f| {
        let (least, most) = match f.module {
            "python" => python_locks(dump, f),
            _ => (f.least, f.most),
        };
        row(f.module, default, least, most, format!("mod_{}", f.module))
    });
    let unknown = case.foreign.iter().filter_map(|(module, import)| {
        let (mechanism, why) = match import.as_ref()? {
            Import::Semget => (Some(Mechanism::SysVSem), "it imports semget"),
            Import::AprMutex => (default, "it imports APR's mutexes"),
            Import::Unread => (default, "its file could not be found or read"),
        };
        let cause = format!("third-party module mod_{module}: {why}");
        Some(row(module, mechanism, 0, HANDFUL, cause))
    });
    known.chain(wsgi(dump, default)).chain(unknown).collect()
}

fn row(
    module: &str,
    mechanism: Option<Mechanism>,
    least: u32,
    most: u32,
    cause: String,
) -> Mutexes {
    Mutexes {
        mutex: module.to_owned(),
        mechanism,
        dir: String::new(),
        least,
        most,
        cause,
        passes: Passes::Second,
        words: LogLine::Ah00023,
    }
}

/// mod_python's locks (src/mod_python.c, `init_mutexes`): as many as PythonOption says.
fn python_locks(dump: &Dump, usual: &Foreign) -> (u32, u32) {
    let option = |(_, d): (usize, &Directive)| {
        let words = d.words();
        let named = words.first().is_some_and(|w| w == "mod_python.mutex_locks");
        if named { words.get(1)?.parse().ok() } else { None }
    };
    let most = dump.all("PythonOption").filter_map(option).last().unwrap_or(usual.most);
    (most.min(usual.least), most)
}

/// mod_wsgi: one for each daemon group with several processes.
fn wsgi(dump: &Dump, default: Option<Mechanism>) -> Option<Mutexes> {
    if !dump.has_module("wsgi") {
        return None;
    }
    let groups = dump.all("WSGIDaemonProcess").filter(|(_, d)| is_multi_process(d)).count();
    let accept = dump.last_global("WSGIAcceptMutex").map(|d| d.args.to_ascii_lowercase());
    let mechanism = match accept.as_deref() {
        Some("sysvsem") => Some(Mechanism::SysVSem),
        Some("default") | None => default,
        Some(_) => Some(Mechanism::None),
    };
    let groups = u32::try_from(groups).unwrap_or(u32::MAX);
    let most = if dump.has_config { groups } else { HANDFUL };
    Some(row("wsgi", mechanism, 0, most, "WSGIDaemonProcess with several processes".into()))
}

/// Whether a WSGI daemon group has more than one process.
fn is_multi_process(directive: &Directive) -> bool {
    directive.words().iter().any(|w| {
        w.strip_prefix("processes=").is_some_and(|n| n.parse::<u32>().map_or(true, |n| n > 1))
    })
}
