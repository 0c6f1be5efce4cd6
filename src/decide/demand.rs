//! Which cross-process mutexes httpd will make, how many and by which mechanism: httpd's answers
//! matched against the table of kinds. Pure. The peak during a start is the final number, because the
//! first pass frees its mutexes before the second makes its own.

use std::ffi::OsString;

use super::counts::{count, listeners};
use super::demand22;
use super::foreign;
use super::hooks;
use super::learn;
use crate::facts::build::{Build, Version};
use crate::facts::dump::{Dump, Host, Setting};
use crate::facts::heard::{Answer, Import, Told};
use crate::facts::kinds::{self, Kind};
use crate::facts::mutex::{Demand, LogLine, Mechanism, Moment, Mutexes, Passes};

/// Everything that a count is based on.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) dump: &'a Dump,
    pub(super) build: Option<&'a Build>,
    pub(super) host: &'a Host,
    pub(super) foreign: &'a [(String, Option<Import>)],
}

impl Case<'_> {
    /// httpd's version.
    pub(super) fn version(&self) -> Option<Version> {
        self.build.and_then(|b| b.version)
    }
}

/// How many of one type, and why.
#[derive(Clone, Debug)]
pub(super) struct Count {
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) cause: String,
}

pub(super) fn exactly(n: u32, cause: impl Into<String>) -> Count {
    Count { least: n, most: n, cause: cause.into() }
}

pub(super) fn up_to(n: u32, cause: impl Into<String>) -> Count {
    Count { least: 0, most: n, cause: cause.into() }
}

/// What follows from the answers of an httpd that was asked with these arguments.
#[must_use]
pub fn answer(told: Told, args: &[OsString]) -> Answer {
    let digest = learn::digest(&told, args);
    let Told { control, dump, build, host, foreign, .. } = told;
    let case = Case { dump: &dump, build: build.as_ref(), host: &host, foreign: &foreign };
    let demand = of(case);
    let locks = demand.grabs().is_some() && serializes(&case);
    Answer {
        demand,
        further_users: further_users(&dump),
        pid_file: dump.pid_file(),
        user: dump.user,
        user_of_root: dump.user_of_root,
        has_config: dump.has_config,
        locks,
        digest,
        control,
    }
}

/// Whether workers are certain to take turns in accept(). Not with one listener on a build that does
/// not serialize a single one: there, httpd up to 2.4.16 makes the mutex but does not use it
/// (server/mpm/prefork/prefork.c, `SAFE_ACCEPT`).
fn serializes(case: &Case<'_>) -> bool {
    let always = case.build.is_some_and(|b| !b.unserialized_single_listen);
    always || (case.dump.has_config && listeners(case).0 > 1)
}

/// The mutexes that httpd will make, apart from those of unknown modules.
#[must_use]
pub fn demand(dump: &Dump, build: Option<&Build>, host: &Host) -> Demand {
    of(Case { dump, build, host, foreign: &[] })
}

fn of(case: Case<'_>) -> Demand {
    let order = hooks::order(&case.dump.modules, case.version());
    let mut rows = match case.version() {
        Some(version) if version.is_22() => demand22::rows(&case),
        _ => registered(&case),
    };
    rows.sort_by_key(|(place, _)| place.of(&order));
    let mut rows: Vec<Mutexes> = rows.into_iter().map(|(_, row)| row).collect();
    rows.extend(foreign::rows(&case));
    rows.retain(|r| r.most > 0 && r.mechanism != Some(Mechanism::None));
    Demand { rows }
}

/// Whether the result depends on how httpd was built (`-V`).
#[must_use]
pub fn depends_on_build(dump: &Dump, host: &Host) -> bool {
    let unknown = demand(dump, None, host);
    // The order depends on it too, which decides at which mutex a start fails.
    let sets = unknown.by(Mechanism::SysVSem).count();
    sets > 1 || unknown.rows.iter().any(|r| r.mechanism.is_none() || r.least != r.most)
}

/// When a mutex is made: the moment, the module, and the position within the module.
pub(super) struct Place {
    moment: Moment,
    module: &'static str,
    within: usize,
}

impl Place {
    pub(super) fn new(kind: &Kind, module: &'static str) -> Place {
        let within = kinds::KINDS.iter().position(|k| k.mutex == kind.mutex).unwrap_or(0);
        Place { moment: kind.moment, module, within }
    }

    fn of(&self, order: &[&str]) -> (Moment, usize, usize) {
        let hook = order.iter().position(|m| *m == self.module).unwrap_or(usize::MAX);
        (self.moment, hook, self.within)
    }
}

/// The mutex types registered by modules (server/util_mutex.c, `ap_mutex_register`).
fn registered(case: &Case<'_>) -> Vec<(Place, Mutexes)> {
    let dump = case.dump;
    let default = setting(dump, "default");
    let mut types: Vec<&str> = dump.mutexes.iter().map(|m| m.name.as_str()).collect();
    types.retain(|t| *t != "default");
    // httpd prints them in hash order.
    types.sort_unstable();
    let row = |name: &str| {
        let (mechanism, dir) = resolve(setting(dump, name), default, compiled(case));
        let kinds = kinds::named(name, version_of_type(name, case));
        let (passes, place) = match kinds.last() {
            Some(kind) => (kind.passes, Place::new(kind, module(dump, kind))),
            None => (
                Passes::Second,
                Place { moment: Moment::PostConfig, module: "", within: usize::MAX },
            ),
        };
        let count = widest(kinds.iter().map(|kind| counted(kind, case)))
            .unwrap_or_else(|| up_to(1, format!("unknown mutex type {name}")));
        let row = Mutexes {
            mutex: name.to_owned(),
            mechanism,
            dir,
            least: count.least,
            most: count.most,
            cause: count.cause,
            passes,
            words: LogLine::Ah00023,
        };
        (place, row)
    };
    types.into_iter().map(row).collect()
}

/// The version whose kind a type is. A distribution may have backported a newer mod_ssl's stapling to
/// an older httpd, which shows in the second type that came with it.
fn version_of_type(name: &str, case: &Case<'_>) -> Option<Version> {
    let newer = name == "ssl-stapling" && setting(case.dump, "ssl-stapling-refresh").is_some();
    case.version().map(|v| if newer { v.max(Version(2, 4, 16)) } else { v })
}

/// The loaded module among those that make this kind.
fn module(dump: &Dump, kind: &Kind) -> &'static str {
    kind.modules.iter().copied().find(|m| dump.has_module(m)).unwrap_or_default()
}

/// How many of a kind. An unknown MPM may make some or none, as the known ones do.
fn counted(kind: &Kind, case: &Case<'_>) -> Count {
    let found = module(case.dump, kind);
    if !found.is_empty() || kind.modules.iter().all(|m| !m.starts_with("mpm_")) {
        return count(kind.rule, if found.is_empty() { kind.modules[0] } else { found }, case);
    }
    match case.dump.modules.iter().find(|m| m.starts_with("mpm_") && !m.ends_with("itk")) {
        Some(mpm) if mpm == "mpm_event" => exactly(0, mpm.as_str()),
        mpm => {
            let mpm = mpm.map_or("an unknown MPM", String::as_str);
            let known = count(kind.rule, mpm, case);
            up_to(known.most.max(1), mpm)
        }
    }
}

/// The range that covers all of them.
fn widest(counts: impl Iterator<Item = Count>) -> Option<Count> {
    counts.reduce(|a, b| Count {
        least: a.least.min(b.least),
        most: a.most.max(b.most),
        cause: if b.most >= a.most { b.cause } else { a.cause },
    })
}

/// APR's compiled-in default mechanism.
pub(super) fn compiled(case: &Case<'_>) -> Option<Mechanism> {
    case.build.and_then(|b| b.default)
}

fn setting<'d>(dump: &'d Dump, name: &str) -> Option<&'d Setting> {
    dump.mutexes.iter().find(|m| m.name == name).map(|m| &m.setting)
}

/// A type's own line wins over `Mutex default`, which wins over the compiled-in default.
fn resolve(
    own: Option<&Setting>,
    default: Option<&Setting>,
    compiled: Option<Mechanism>,
) -> (Option<Mechanism>, String) {
    let effective = match own {
        Some(Setting::UsingDefaults) | None => default,
        own => own,
    };
    match effective {
        Some(Setting::Set { mechanism, dir }) => (*mechanism, dir.clone()),
        Some(Setting::Default { dir }) => (compiled, dir.clone()),
        Some(Setting::UsingDefaults) | None => (compiled, String::new()),
    }
}

/// The users to whom httpd gives mutexes in addition to the one that it reports for its workers: those
/// of mod_wsgi's daemon groups and of mpm-itk. Names, or "#" and a uid.
#[must_use]
pub fn further_users(dump: &Dump) -> Vec<String> {
    let wsgi = dump.all("WSGIDaemonProcess").flat_map(|(_, d)| {
        let words = d.words();
        words.iter().filter_map(|w| w.strip_prefix("user=").map(str::to_owned)).collect::<Vec<_>>()
    });
    let itk = dump.all("AssignUserID").filter_map(|(_, d)| d.words().into_iter().next());
    // httpd 2.2 does not report which user it ends up with.
    let own = dump.last_global("User").filter(|_| dump.user.is_none());
    // Variables in the control program's own environment are not known here.
    let own = own.and_then(|d| d.words().into_iter().next()).filter(|u| !u.contains("${"));
    own.into_iter().chain(wsgi).chain(itk).collect()
}

#[cfg(test)]
mod tests;
