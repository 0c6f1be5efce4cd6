//! Singleton watchdogs, each of which has a mutex (modules/core/mod_watchdog.c): those of httpd's own
//! modules. Pure.

use std::collections::HashSet;

use super::demand::{Case, Count, exactly};
use crate::facts::build::Version;
use crate::facts::dump::{Directive, Dump};

/// Watchdogs if the directives are unknown: those of modules that always have one, and one for each
/// module that may have one.
pub(super) fn unread(dump: &Dump) -> Count {
    let sure = u32::from(dump.has_module("proxy_hcheck"));
    let may = ["heartbeat", "heartmonitor", "md"].iter().filter(|m| dump.has_module(m)).count();
    let most = sure + u32::try_from(may).unwrap_or(u32::MAX) + u32::from(dump.has_module("md"));
    Count { least: sure, most, cause: "mod_watchdog (usage unknown without mod_info)".into() }
}

/// watchdog-callback (modules/core/mod_watchdog.c): one per singleton watchdog that is in use.
pub(super) fn count(case: &Case<'_>) -> Count {
    let dump = case.dump;
    let mut count = exactly(0, "");
    let mut causes: Vec<&str> = Vec::new();
    let mut add = |least: u32, most: u32, cause: &'static str| {
        count.least += least;
        count.most += most;
        if most > 0 {
            causes.push(cause);
        }
    };
    let loaded = |name: &str| u32::from(dump.has_module(name));
    let used = |name: &str| u32::from(dump.all(name).next().is_some());
    let hcheck = loaded("proxy_hcheck");
    add(hcheck, hcheck, "mod_proxy_hcheck");
    let heartbeat = used("HeartbeatAddress");
    add(heartbeat, heartbeat, "HeartbeatAddress");
    let monitor = used("HeartbeatListen");
    add(monitor, monitor, "HeartbeatListen");
    let (least, most) = managed_domains(case);
    add(least, most, "MDomain");
    // Only for a certificate that names an OCSP responder.
    let stapling = dump.all("MDStapling").any(|(_, d)| d.args.eq_ignore_ascii_case("on"));
    add(0, u32::from(stapling), "MDStapling");
    count.cause = causes.join(", ");
    count
}

/// mod_md's renewal watchdog (modules/md/mod_md.c): in use if at least one managed domain is watched. A
/// domain that is renewed automatically is watched once it belongs to a virtual host; one that is
/// always renewed is watched in any case; one that is renewed manually is watched since 2.4.41, and was
/// not before.
fn managed_domains(case: &Case<'_>) -> (u32, u32) {
    let dump = case.dump;
    let names = managed_names(dump);
    if names.is_empty() {
        return (0, 0);
    }
    let modes: Vec<String> = ["MDRenewMode", "MDDriveMode"]
        .iter()
        .flat_map(|name| dump.all(name))
        .map(|(_, d)| d.args.to_ascii_lowercase())
        .collect();
    let by_hand = case.version().map(|v| v >= Version(2, 4, 41));
    match modes.last().map(String::as_str) {
        // Each domain may have its own mode.
        Some(last) if modes.iter().any(|mode| mode != last) => (0, 1),
        Some("always") => (1, 1),
        Some("manual") => match by_hand {
            Some(true) => (1, 1),
            Some(false) => (0, 0),
            None => (0, 1),
        },
        _ if is_served(&names, dump) => (1, 1),
        _ => (0, 1),
    }
}

fn managed_names(dump: &Dump) -> HashSet<String> {
    let managed = |d: &&Directive| d.is("MDomain") || (d.section && d.is("MDomainSet"));
    let names = dump.directives.iter().filter(managed).flat_map(Directive::words);
    names.map(|w| w.to_ascii_lowercase()).collect()
}

/// Whether one of the names belongs to a virtual host.
fn is_served(names: &HashSet<String>, dump: &Dump) -> bool {
    let in_host = |(i, d): &(usize, &Directive)| {
        let name = d.is("ServerName") || d.is("ServerAlias");
        name && dump.virtual_host(*i).is_some()
    };
    dump.directives.iter().enumerate().filter(in_host).any(|(_, d)| {
        d.words().iter().any(|w| {
            let host = w.rsplit("://").next().unwrap_or(w);
            let host = host.split(':').next().unwrap_or(host);
            names.contains(&host.to_ascii_lowercase())
        })
    })
}
