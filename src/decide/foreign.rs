//! Modules that are not httpd's own. Pure.

use super::counts::HANDFUL;
use super::demand::{Case, compiled};
use crate::facts::dump::Directive;
use crate::facts::mutex::{Mechanism, Passes, Row, Words};

/// Modules from elsewhere that make mutexes without registering them, most of them by APR's
/// default whatever `Mutex` says. Their figures are those of the versions in Debian 12; others may
/// make fewer, and some of these modules do without: so at least none.
pub(super) fn rows(case: &Case<'_>) -> Vec<Row> {
    let (dump, compiled) = (case.dump, compiled(case));
    const MODULES: [(&str, u32); 8] = [
        ("security2", 3),
        ("jk", 1),
        ("auth_mellon", 1),
        ("tile", 3),
        ("upload_progress", 1),
        ("python", 8),
        ("mono", 8),
        ("qos", 4),
    ];
    let row = |mutex: &str, mechanism, most, cause| Row {
        mutex: mutex.to_owned(),
        mechanism,
        dir: String::new(),
        least: 0,
        most,
        cause,
        passes: Passes::Second,
        words: Words::Ah00023,
    };
    // Where APR's default is something else, they make no semaphore set, and what they make
    // instead is theirs to know.
    let default = match compiled {
        None => None,
        Some(Mechanism::SysVSem) => Some(Mechanism::SysVSem),
        Some(_) => Some(Mechanism::None),
    };
    let mut rows: Vec<Row> = MODULES
        .into_iter()
        .filter(|(module, _)| dump.has_module(module))
        .map(|(module, most)| row(module, default, most, format!("mod_{module}")))
        .collect();
    if dump.has_module("wsgi") {
        let groups = dump.all("WSGIDaemonProcess").filter(|(_, d)| is_multi_process(d)).count();
        let accept = dump.last_global("WSGIAcceptMutex").map(|d| d.args.to_ascii_lowercase());
        let mechanism = match accept.as_deref() {
            Some("sysvsem") => Some(Mechanism::SysVSem),
            Some("default") | None => default,
            Some(_) => Some(Mechanism::None),
        };
        let groups = u32::try_from(groups).unwrap_or(u32::MAX);
        let most = if dump.has_config { groups } else { HANDFUL };
        rows.push(row("wsgi", mechanism, most, "WSGIDaemonProcess with several processes".into()));
    }
    rows
}

/// Whether a WSGI daemon group has more than one process.
fn is_multi_process(directive: &Directive) -> bool {
    directive.words().iter().any(|w| {
        w.strip_prefix("processes=").is_some_and(|n| n.parse::<u32>().map_or(true, |n| n > 1))
    })
}
