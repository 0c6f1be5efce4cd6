//! How many mutexes of a kind a configuration makes: one function per rule of the table. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

use super::demand::{Case, Count, exactly, up_to};
use super::watchdogs;
use crate::facts::build::Version;
use crate::facts::dump::{Directive, Dump};
use crate::facts::kinds::Rule;
use crate::facts::printable::printable;

/// Upper bound assumed for things that only directives would tell, when the directives cannot be read.
/// More than this is rare, and a range of thousands would only blunt the warning.
pub(super) const HANDFUL: u32 = 8;

/// How many mutexes a rule yields for a configuration, and why.
pub(super) fn count(rule: Rule, module: &str, case: &Case<'_>) -> Count {
    let dump = case.dump;
    let unread = |most: u32| up_to(most, format!("mod_{module} (usage unknown without mod_info)"));
    if !dump.has_config {
        return match rule {
            Rule::Loaded(n) => exactly(n, cause(module)),
            Rule::Listeners => listeners_unread(case, module),
            Rule::Balancers { .. } => unread(HANDFUL),
            Rule::Watchdogs => watchdogs::unread(dump),
            _ => unread(1),
        };
    }
    match rule {
        Rule::Loaded(n) => exactly(n, cause(module)),
        Rule::Listeners => listen_buckets(case, module),
        Rule::SessionCache => cache(dump.all("SSLSessionCache")),
        Rule::Stapling => stapling(case, false),
        Rule::StaplingCache => stapling(case, true),
        Rule::RewriteProgram => rewrite_program(dump),
        Rule::Balancers { inherit, merged } => balancers(dump, inherit, merged),
        Rule::Watchdogs => watchdogs::count(case),
        Rule::AuthnCache => authn_cache(dump),
        Rule::CacheSocache => cache(dump.all("CacheSocache")),
        Rule::TlsCache => tls_cache(dump),
        Rule::LdapCache | Rule::SslMutex | Rule::RewriteLock => exactly(0, ""),
    }
}

fn cause(module: &str) -> String {
    if module.starts_with("mpm_") { module.to_owned() } else { format!("mod_{module}") }
}

/// mpm-accept (server/mpm/prefork/prefork.c, server/mpm/worker/worker.c): one per listen bucket, if
/// there is more than one listener.
fn listen_buckets(case: &Case<'_>, mpm: &str) -> Count {
    let ratio = case.dump.last_global("ListenCoresBucketsRatio");
    let ratio: Option<u32> = ratio.and_then(|d| d.words().first()?.parse().ok());
    // server/listen.c, ap_duplicate_listeners: the number of cores divided by the ratio.
    let buckets = match ratio {
        Some(ratio) if ratio > 0 => (case.host.cores / ratio).max(1),
        _ => 1,
    };
    let per_bucket = |n: u32| if buckets == 1 { String::new() } else { format!(" in {n} buckets") };
    let (least, most) = listeners(case);
    let cause = |n: String| format!("{mpm} with {n}{}", per_bucket(buckets));
    let unserialized = case.build.map(|b| b.unserialized_single_listen);
    match (least, most) {
        (2.., _) => exactly(buckets, cause(format!("{least} listeners"))),
        (_, 1) => match unserialized {
            Some(true) => exactly(0, mpm),
            Some(false) => exactly(buckets, cause("one listener".into())),
            None => up_to(buckets, cause("one listener".into())),
        },
        _ => up_to(buckets, cause(format!("{least} to {most} listeners"))),
    }
}

fn listeners_unread(case: &Case<'_>, mpm: &str) -> Count {
    up_to(case.host.cores.clamp(1, HANDFUL), format!("{mpm} (listeners unknown without mod_info)"))
}

/// The minimum and maximum number of listening sockets (server/listen.c, `alloc_listener`,
/// `open_listeners`): one per address that a `Listen` line resolves to. The IPv4 and IPv6 wildcards
/// count as one where IPv4 addresses are mapped.
pub(super) fn listeners(case: &Case<'_>) -> (usize, usize) {
    let mut sure: HashSet<(String, String)> = HashSet::new();
    let mut doubtful = 0;
    let mapped = case.build.is_some_and(|b| !b.splits_wildcard);
    for (_, listen) in case.dump.all("Listen") {
        let words = listen.words();
        let Some(spec) = words.first() else { continue };
        let (addr, port) = spec.rsplit_once(':').unwrap_or(("*", spec));
        let addr = addr.trim_start_matches('[').trim_end_matches(']');
        let wildcard = matches!(addr, "*" | "" | "0.0.0.0" | "::");
        if wildcard {
            if sure.insert(("*".into(), port.to_owned())) && !mapped {
                doubtful += 1;
            }
        } else if addr.parse::<IpAddr>().is_ok() {
            sure.insert((addr.to_owned(), port.to_owned()));
        } else {
            match case.host.addresses.get(addr) {
                Some(all) => sure.extend(all.iter().map(|a| (a.to_string(), port.to_owned()))),
                None => {
                    sure.insert((addr.to_owned(), port.to_owned()));
                    doubtful += 1;
                }
            }
        }
    }
    (sure.len(), sure.len() + doubtful)
}

/// Whether a shared-object cache needs a mutex (ap_socache.h, `AP_SOCACHE_FLAG_NOTMPSAFE`).
fn is_unsafe_cache(directive: &Directive) -> Option<bool> {
    let words = directive.words();
    let provider = words.first()?.split(':').next()?.to_ascii_lowercase();
    match provider.as_str() {
        "shmcb" | "dbm" | "default" => Some(true),
        "memcache" | "redis" | "dc" | "none" | "nonenotnull" => Some(false),
        _ => None,
    }
}

fn cache<'d>(lines: impl Iterator<Item = (usize, &'d Directive)>) -> Count {
    let mut count = exactly(0, "");
    for (_, line) in lines {
        match is_unsafe_cache(line) {
            Some(true) => return exactly(1, written(line)),
            Some(false) => {}
            None => count = up_to(1, written(line)),
        }
    }
    count
}

fn written(directive: &Directive) -> String {
    printable(&format!("{} {}", directive.name, directive.args))
}

/// ssl-stapling and ssl-stapling-refresh (modules/ssl/ssl_util_stapling.c): needed if a TLS-enabled
/// server has SSLUseStapling on; with `only_unsafe`, only for a cache that is not safe by itself.
fn stapling(case: &Case<'_>, only_unsafe: bool) -> Count {
    let dump = case.dump;
    let Some(store) = dump.last_global("SSLStaplingCache") else { return exactly(0, "") };
    let servers = std::iter::once(None).chain(virtual_hosts(dump).map(Some));
    let mut possible = false;
    for server in servers {
        let on = effective(dump, server, "SSLUseStapling");
        if !on.is_some_and(|s| s.eq_ignore_ascii_case("on")) {
            continue;
        }
        match speaks_tls(case, server) {
            Some(true) => {
                let cause = "SSLUseStapling with SSLEngine on";
                return match is_unsafe_cache(store) {
                    _ if !only_unsafe => exactly(1, cause),
                    Some(true) => exactly(1, format!("{cause}, {}", written(store))),
                    Some(false) => exactly(0, ""),
                    None => up_to(1, written(store)),
                };
            }
            Some(false) => {}
            None => possible = true,
        }
    }
    if possible { up_to(1, "SSLUseStapling on a host that may use TLS") } else { exactly(0, "") }
}

/// Whether a server is TLS-enabled (modules/ssl/ssl_engine_init.c, `ssl_init_Module`); `None` if that
/// depends on which listener belongs to it, by address. Up to 2.4.9 such a listener takes precedence
/// over SSLEngine; from 2.4.34 on it counts only if there is a certificate.
fn speaks_tls(case: &Case<'_>, server: Option<usize>) -> Option<bool> {
    let (dump, version) = (case.dump, case.version());
    let engine = effective(dump, server, "SSLEngine").map(|e| e.to_ascii_lowercase());
    let by_listener = https_listener(dump)
        && (version.is_some_and(|v| v < Version(2, 4, 34))
            || effective(dump, server, "SSLCertificateFile").is_some());
    match engine.as_deref() {
        Some("on" | "optional") => Some(true),
        Some("off") if version.is_none_or(|v| v < Version(2, 4, 10)) && by_listener => None,
        Some("off") => Some(false),
        _ => {
            if by_listener {
                None
            } else {
                Some(false)
            }
        }
    }
}

fn https_listener(dump: &Dump) -> bool {
    dump.all("Protocol").any(|(_, d)| d.args.eq_ignore_ascii_case("https"))
        || dump.all("Listen").any(|(_, d)| {
            let words = d.words();
            match words.get(1) {
                Some(protocol) => protocol.eq_ignore_ascii_case("https"),
                None => words.first().is_some_and(|w| w == "443" || w.ends_with(":443")),
            }
        })
}

/// The `<VirtualHost>` sections, by index.
fn virtual_hosts(dump: &Dump) -> impl Iterator<Item = usize> + '_ {
    let hosts = |(_, d): &(usize, &Directive)| d.section && d.is("VirtualHost");
    dump.directives.iter().enumerate().filter(hosts).map(|(i, _)| i)
}

/// The first word of the last such directive in a server, or else in the main server.
fn effective(dump: &Dump, server: Option<usize>, name: &str) -> Option<String> {
    let of = |server: Option<usize>| {
        let mut own = dump.all(name).filter(|(i, _)| dump.virtual_host(*i) == server);
        let mut last = None;
        for (_, d) in own.by_ref() {
            last = d.words().into_iter().next();
        }
        last
    };
    of(server).or_else(|| server.and_then(|_| of(None)))
}

/// rewrite-map (modules/mappers/mod_rewrite.c): needed if any map is answered by a program, whether
/// RewriteEngine is on or off.
fn rewrite_program(dump: &Dump) -> Count {
    let by_program = |d: &Directive| {
        d.words().get(1).is_some_and(|w| w.to_ascii_lowercase().starts_with("prg:"))
    };
    match dump.all("RewriteMap").find(|(_, d)| by_program(d)) {
        Some((_, d)) => exactly(1, written(d)),
        None => exactly(0, ""),
    }
}

/// authn-socache (modules/aaa/mod_authn_socache.c): needed once the cache is enabled, whatever the
/// provider.
fn authn_cache(dump: &Dump) -> Count {
    let on = ["AuthnCacheEnable", "AuthnCacheProvideFor"];
    match on.iter().find(|name| dump.all(name).next().is_some()) {
        Some(name) => exactly(1, *name),
        None => exactly(0, ""),
    }
}

/// tls-session-cache (modules/tls/tls_cache.c): needed unless the cache is disabled or safe by itself.
/// In doubt, because mod_tls carries on without it.
fn tls_cache(dump: &Dump) -> Count {
    match dump.last_global("TLSSessionCache") {
        Some(line) if is_unsafe_cache(line) == Some(false) => exactly(0, ""),
        Some(line) => up_to(1, written(line)),
        None => up_to(1, "mod_tls"),
    }
}

/// The directives of modules/proxy/mod_proxy.c: any of them in a virtual host gives that host its own
/// proxy configuration and thus its own balancers.
fn is_proxys(directive: &Directive) -> bool {
    const OTHERS: [&str; 6] =
        ["proxyhc", "proxyftp", "proxyhtml", "proxyexpress", "proxyfcgi", "proxyscgi"];
    let name = directive.name.to_ascii_lowercase();
    let of_proxy = name.starts_with("proxy") && !OTHERS.iter().any(|o| name.starts_with(o));
    of_proxy || name.starts_with("balancer") || name == "noproxy" || name == "proxymatch"
}

/// proxy-balancer-shm (modules/proxy/mod_proxy_balancer.c, `balancer_post_config`): one per balancer of
/// the main server, plus one per balancer of each virtual host that has its own proxy configuration,
/// into which the main server's balancers are merged (modules/proxy/mod_proxy.c, `merge_proxy_config`).
fn balancers(dump: &Dump, inherit: bool, merged: bool) -> Count {
    let main = balancer_names(dump, None);
    let mut sum = main.len();
    for host in virtual_hosts(dump) {
        let inside = |i: usize| dump.virtual_host(i) == Some(host);
        if !dump.directives.iter().enumerate().any(|(i, d)| inside(i) && is_proxys(d)) {
            continue;
        }
        let own = balancer_names(dump, Some(host));
        let off =
            |name| effective(dump, Some(host), name).is_some_and(|w| w.eq_ignore_ascii_case("off"));
        sum += if inherit && off("BalancerInherit") && off("ProxyPassInherit") {
            own.len()
        } else if merged {
            own.union(&main).count()
        } else {
            own.len() + main.len()
        };
    }
    let number = u32::try_from(sum).unwrap_or(u32::MAX);
    exactly(number, format!("{sum} balancer{}", if sum == 1 { "" } else { "s" }))
}

/// The balancers made by one server's own directives: by BalancerMember, by ProxySet or parameters in a
/// `<Proxy>` section, by ProxyPass.
fn balancer_names(dump: &Dump, server: Option<usize>) -> HashSet<String> {
    let mut names = HashSet::new();
    for (i, d) in dump.directives.iter().enumerate() {
        if dump.virtual_host(i) != server {
            continue;
        }
        let words = d.words();
        if d.section {
            if d.is("Proxy") && words.len() > 1 {
                names.extend(words.first().and_then(|w| balancer(w)));
            }
        } else if d.is("BalancerMember") || d.is("ProxySet") {
            let section = dump.enclosing(i, "Proxy").map(|p| dump.directives[p].words());
            let named = match &section {
                Some(section) => section.first(),
                None => words.first(),
            };
            names.extend(named.and_then(|w| balancer(w)));
        } else if d.is("ProxyPass") || d.is("ProxyPassMatch") {
            names.extend(words.iter().take(2).find_map(|w| balancer(w)));
        }
    }
    names
}

/// The name in "balancer://NAME/path": case-insensitive, without the path.
fn balancer(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    let rest = url.strip_prefix("balancer://")?;
    let name = rest.split('/').next().unwrap_or(rest);
    (!name.is_empty() && name != "*").then(|| name.to_owned())
}
