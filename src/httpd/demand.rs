//! Which cross-process mutexes httpd will make, how many and by which mechanism: the one table of
//! them. Pure: the dumps in, rows out. Every figure was measured on httpd 2.4.71 by counting what
//! a real start makes; the peak during a start is the final number, because the first pass frees
//! its mutexes before the second makes its own.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::dump::{Build, Directive, Dump, Mechanism, Setting};

/// What the configuration leaves to the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Processors online (`_SC_NPROCESSORS_ONLN`, as server/listen.c counts them).
    pub cores: u32,
    /// The addresses of the host names in `Listen` lines.
    pub addresses: HashMap<String, Vec<IpAddr>>,
}

/// The mutexes of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The type's name, as `Mutex` and AH00023 have it.
    pub mutex: String,
    /// How they are made; none: that cannot be told.
    pub mechanism: Option<Mechanism>,
    /// The directory for mechanisms that lock files.
    pub dir: String,
    /// At least so many are made, and httpd dies without them.
    pub least: u32,
    /// At most so many.
    pub most: u32,
    /// The directive or module that causes them.
    pub cause: String,
}

/// Every mutex that httpd will make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// A row per type that makes any, in the order in which httpd makes them.
    pub rows: Vec<Row>,
}

impl Demand {
    /// Rows that are, or may be, made by `mechanism`.
    pub fn by(&self, mechanism: Mechanism) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |r| r.mechanism.is_none_or(|m| m == mechanism))
    }

    /// System V semaphore sets: at least and at most so many.
    #[must_use]
    pub fn sets(&self) -> (i64, i64) {
        let sure = self.rows.iter().filter(|r| r.mechanism == Some(Mechanism::SysVSem));
        let least = sure.map(|r| i64::from(r.least)).sum();
        let most = self.by(Mechanism::SysVSem).map(|r| i64::from(r.most)).sum();
        (least, most)
    }
}

/// Where a start would break off for want of room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The mutex type that would fail.
    pub mutex: String,
    /// It is the second pass: httpd has detached, and its launcher has exited with success.
    pub detached: bool,
}

impl Demand {
    /// The semaphore set at which a start breaks off that has room for `room` of them, the rows
    /// being in httpd's order.
    #[must_use]
    pub fn breaks_off(&self, room: i64) -> Option<Break> {
        // Made in the first pass already: those of mod_ssl for good, the others on trial.
        const ONCE: [&str; 3] = ["ssl-cache", "ssl-stapling", "ssl-stapling-refresh"];
        const TWICE: [&str; 5] =
            ["mpm-accept", "rewrite-map", "cache-socache", "authn-socache", "proxy"];
        let rows: Vec<&Row> = self.by(Mechanism::SysVSem).collect();
        let (once, others): (Vec<&Row>, Vec<&Row>) =
            rows.iter().copied().partition(|r| ONCE.contains(&r.mutex.as_str()));
        let is_first = |r: &&&Row| [&ONCE[..], &TWICE].concat().contains(&r.mutex.as_str());
        let first: Vec<&Row> = rows.iter().filter(is_first).copied().collect();
        let walk = |order: Vec<&Row>, detached| {
            let mut sum = 0;
            order.into_iter().find_map(|row| {
                sum += i64::from(row.most);
                (sum > room).then(|| Break { mutex: row.mutex.clone(), detached })
            })
        };
        walk(first, false).or_else(|| walk([once, others].concat(), true))
    }

    /// The rows that are in doubt: more may be made than surely are.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Row> {
        self.by(Mechanism::SysVSem).filter(|r| r.mechanism.is_none() || r.least < r.most)
    }
}

/// How many of one type, and why.
struct Count {
    least: u32,
    most: u32,
    cause: String,
}

fn exactly(n: u32, cause: impl Into<String>) -> Count {
    Count { least: n, most: n, cause: cause.into() }
}

fn up_to(n: u32, cause: impl Into<String>) -> Count {
    Count { least: 0, most: n, cause: cause.into() }
}

/// What is assumed of balancers where the configuration cannot be read.
const MANY: u32 = 1_000;

/// The mutexes that httpd will make.
#[must_use]
pub fn demand(dump: &Dump, build: Option<&Build>, host: &Host) -> Demand {
    let compiled = build.and_then(|b| b.default);
    let default = setting(dump, "default");
    let mut rows = Vec::new();
    let mut types: Vec<&str> = dump.mutexes.iter().map(|m| m.name.as_str()).collect();
    types.retain(|t| *t != "default");
    types.sort_unstable_by_key(|t| (order(t, dump), *t));
    for name in types {
        let (mechanism, dir) = resolve(setting(dump, name), default, compiled);
        let count = registered(name, dump, build, host);
        rows.push(Row {
            mutex: name.to_owned(),
            mechanism,
            dir,
            least: count.least,
            most: count.most,
            cause: count.cause,
        });
    }
    rows.extend(unregistered(dump, compiled));
    rows.retain(|r| r.most > 0 && r.mechanism != Some(Mechanism::None));
    Demand { rows }
}

/// Whether the answer depends on how httpd was built (`-V`).
#[must_use]
pub fn depends_on_build(dump: &Dump, host: &Host) -> bool {
    let unknown = demand(dump, None, host);
    unknown.rows.iter().any(|r| r.mechanism.is_none())
        || unknown.rows.iter().any(|r| r.mutex == "mpm-accept" && r.least != r.most)
}

fn setting<'d>(dump: &'d Dump, name: &str) -> Option<&'d Setting> {
    dump.mutexes.iter().find(|m| m.name == name).map(|m| &m.setting)
}

/// A type's own line wins over `Mutex default`, which wins over what was compiled in.
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

/// The place of a type in the order in which httpd makes them: the accept mutex when it opens its
/// listeners, that of mod_auth_digest, which comes first, then as the modules were loaded (their
/// hooks run in that order), watchdogs last.
fn order(name: &str, dump: &Dump) -> usize {
    let module = match name {
        "mpm-accept" => return 0,
        "authdigest-client" => return 1,
        "watchdog-callback" => return usize::MAX,
        "ssl-cache" | "ssl-stapling" | "ssl-stapling-refresh" => "ssl",
        "rewrite-map" => "rewrite",
        "proxy" => "proxy",
        "proxy-balancer-shm" => "proxy_balancer",
        "ldap-cache" => "ldap",
        "lua-ivm-shm" => "lua",
        "authn-socache" => "authn_socache",
        "cache-socache" => "cache_socache",
        "fcgid-pipe" | "fcgid-proctbl" => "fcgid",
        _ => return usize::MAX - 1,
    };
    2 + dump.modules.iter().position(|m| m == module).unwrap_or(usize::MAX - 4)
}

/// The mutex types that modules register (server/util_mutex.c, `ap_mutex_register`).
fn registered(name: &str, dump: &Dump, build: Option<&Build>, host: &Host) -> Count {
    let known = dump.has_config;
    let if_known = |count: fn(&Dump) -> Count, otherwise: u32, cause: &str| {
        if known { count(dump) } else { up_to(otherwise, format!("{cause}, its use unknown")) }
    };
    match name {
        "mpm-accept" => accept(dump, build, host),
        "ssl-cache" => if_known(ssl_cache, 1, "mod_ssl"),
        "ssl-stapling" => if_known(|d| ssl_stapling(d, false), 1, "mod_ssl"),
        "ssl-stapling-refresh" => if_known(|d| ssl_stapling(d, true), 1, "mod_ssl"),
        "rewrite-map" => if_known(rewrite_map, 1, "mod_rewrite"),
        "proxy" => exactly(1, "mod_proxy"),
        "proxy-balancer-shm" => if_known(balancers, MANY, "mod_proxy_balancer"),
        "watchdog-callback" => if_known(watchdogs, 4, "mod_watchdog"),
        "ldap-cache" => exactly(1, "mod_ldap"),
        "lua-ivm-shm" => exactly(1, "mod_lua"),
        "authdigest-client" => exactly(1, "mod_auth_digest"),
        "authn-socache" => if_known(authn_socache, 1, "mod_authn_socache"),
        "cache-socache" => if_known(cache_socache, 1, "mod_cache_socache"),
        "fcgid-pipe" | "fcgid-proctbl" => exactly(1, "mod_fcgid"),
        other => up_to(1, format!("the mutex type {other}, which is not known here")),
    }
}

/// mpm-accept (server/mpm/prefork/prefork.c, server/mpm/worker/worker.c): one per listen bucket,
/// where there is more than one listener.
fn accept(dump: &Dump, build: Option<&Build>, host: &Host) -> Count {
    let mpm = dump.modules.iter().find(|m| m.starts_with("mpm_") && !m.ends_with("itk"));
    let mpm = mpm.map_or("an unknown MPM", String::as_str);
    let ratio: Option<u32> =
        dump.last_global("ListenCoresBucketsRatio").and_then(|d| d.words().first()?.parse().ok());
    // server/listen.c, ap_duplicate_listeners: as many buckets as the ratio goes into the cores.
    let buckets = match ratio {
        Some(ratio) if ratio > 0 => (host.cores / ratio).max(1),
        _ => 1,
    };
    let per_bucket = |n: u32| if buckets == 1 { String::new() } else { format!(" in {n} buckets") };
    match mpm {
        "mpm_event" => return exactly(0, mpm),
        "mpm_prefork" | "mpm_worker" => {}
        _ => return up_to(buckets, mpm.to_owned()),
    }
    if !dump.has_config {
        return up_to(host.cores.max(1), format!("{mpm}, its listeners unknown"));
    }
    let (least, most) = listeners(dump, build, host);
    let cause = |n: String| format!("{mpm} with {n}{}", per_bucket(buckets));
    let unserialized = build.map(|b| b.unserialized_single_listen);
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

/// Listening sockets, at least and at most (server/listen.c, `alloc_listener`, `open_listeners`):
/// one per address that a `Listen` line resolves to; the wildcards of both families are one where
/// IPv4 addresses are mapped.
fn listeners(dump: &Dump, build: Option<&Build>, host: &Host) -> (usize, usize) {
    let mut sure: HashSet<(String, String)> = HashSet::new();
    let mut doubtful = 0;
    let mapped = build.is_some_and(|b| !b.splits_wildcard);
    for (_, listen) in dump.all("Listen") {
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
            sure.insert((addr.to_owned(), port.to_owned()));
            // Which of the addresses httpd gets depends on the families in use (AI_ADDRCONFIG).
            doubtful += host.addresses.get(addr).map_or(1, |a| a.len().saturating_sub(1));
        }
    }
    (sure.len(), sure.len() + doubtful)
}

/// Whether a shared-object cache needs a mutex around it (ap_socache.h,
/// `AP_SOCACHE_FLAG_NOTMPSAFE`).
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
    crate::facts::printable::printable(&format!("{} {}", directive.name, directive.args))
}

/// ssl-cache (modules/ssl/ssl_scache.c): any session cache that is not safe by itself, whatever
/// comes after it, with or without SSLEngine.
fn ssl_cache(dump: &Dump) -> Count {
    cache(dump.all("SSLSessionCache"))
}

/// ssl-stapling and ssl-stapling-refresh (modules/ssl/ssl_util_stapling.c): where a server has
/// both SSLEngine and SSLUseStapling on; the first only around a cache that is not safe.
fn ssl_stapling(dump: &Dump, refresh: bool) -> Count {
    let Some(store) = dump.last_global("SSLStaplingCache") else { return exactly(0, "") };
    let servers = std::iter::once(None).chain(virtual_hosts(dump).map(Some));
    let mut possible = false;
    for server in servers {
        let stapling = effective(dump, server, "SSLUseStapling");
        let engine = effective(dump, server, "SSLEngine").map(|e| e.to_ascii_lowercase());
        if !stapling.is_some_and(|s| s.eq_ignore_ascii_case("on")) {
            continue;
        }
        match engine.as_deref() {
            Some("on") => {
                let cause = "SSLUseStapling with SSLEngine on";
                return match is_unsafe_cache(store) {
                    _ if refresh => exactly(1, cause),
                    Some(true) => exactly(1, format!("{cause}, {}", written(store))),
                    Some(false) => exactly(0, ""),
                    None => up_to(1, written(store)),
                };
            }
            Some("off") => {}
            // A "Listen … https" may turn it on, and "optional" may count.
            Some(_) => possible = true,
            None => possible |= server.is_some() && https_listener(dump),
        }
    }
    if possible { up_to(1, "SSLUseStapling on a host that may speak TLS") } else { exactly(0, "") }
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

/// The `<VirtualHost>` sections, by their places.
fn virtual_hosts(dump: &Dump) -> impl Iterator<Item = usize> + '_ {
    let hosts = |(_, d): &(usize, &Directive)| d.section && d.is("VirtualHost");
    dump.directives.iter().enumerate().filter(hosts).map(|(i, _)| i)
}

/// The first word of the last such directive of a server, else of the main server.
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

/// rewrite-map (modules/mappers/mod_rewrite.c): any map that a program answers, RewriteEngine on
/// or off.
fn rewrite_map(dump: &Dump) -> Count {
    let by_program = |d: &Directive| {
        d.words().get(1).is_some_and(|w| w.to_ascii_lowercase().starts_with("prg:"))
    };
    match dump.all("RewriteMap").find(|(_, d)| by_program(d)) {
        Some((_, d)) => exactly(1, written(d)),
        None => exactly(0, ""),
    }
}

/// authn-socache (modules/aaa/mod_authn_socache.c): as soon as it is switched on, whatever the
/// provider.
fn authn_socache(dump: &Dump) -> Count {
    let on = ["AuthnCacheEnable", "AuthnCacheProvideFor"];
    match on.iter().find(|name| dump.all(name).next().is_some()) {
        Some(name) => exactly(1, *name),
        None => exactly(0, ""),
    }
}

/// cache-socache (modules/cache/mod_cache_socache.c).
fn cache_socache(dump: &Dump) -> Count {
    cache(dump.all("CacheSocache"))
}

/// watchdog-callback (modules/core/mod_watchdog.c): one per singleton watchdog that is in use.
fn watchdogs(dump: &Dump) -> Count {
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
    let (least, most) = managed_domains(dump);
    add(least, most, "MDomain");
    // Only for a certificate that names its OCSP responder.
    let stapling = dump.all("MDStapling").any(|(_, d)| d.args.eq_ignore_ascii_case("on"));
    add(0, u32::from(stapling), "MDStapling");
    count.cause = causes.join(", ");
    count
}

/// mod_md's renewal watchdog: in use where a managed domain is that of a virtual host.
fn managed_domains(dump: &Dump) -> (u32, u32) {
    let managed = |d: &&Directive| d.is("MDomain") || (d.section && d.is("MDomainSet"));
    let names: HashSet<String> = dump
        .directives
        .iter()
        .filter(managed)
        .flat_map(Directive::words)
        .map(|w| w.to_ascii_lowercase())
        .collect();
    if names.is_empty() {
        return (0, 0);
    }
    let in_host = |(i, d): &(usize, &Directive)| {
        let name = d.is("ServerName") || d.is("ServerAlias");
        name && dump.virtual_host(*i).is_some()
    };
    let serves = dump.directives.iter().enumerate().filter(in_host).any(|(_, d)| {
        d.words().iter().any(|w| {
            let host = w.rsplit("://").next().unwrap_or(w);
            let host = host.split(':').next().unwrap_or(host);
            names.contains(&host.to_ascii_lowercase())
        })
    });
    if serves { (1, 1) } else { (0, 1) }
}

/// The directives of modules/proxy/mod_proxy.c: one of them in a virtual host gives that host
/// a proxy configuration, and so balancers, of its own.
fn is_proxys(directive: &Directive) -> bool {
    const OTHERS: [&str; 6] =
        ["proxyhc", "proxyftp", "proxyhtml", "proxyexpress", "proxyfcgi", "proxyscgi"];
    let name = directive.name.to_ascii_lowercase();
    let of_proxy = name.starts_with("proxy") && !OTHERS.iter().any(|o| name.starts_with(o));
    of_proxy || name.starts_with("balancer") || name == "noproxy" || name == "proxymatch"
}

/// proxy-balancer-shm (modules/proxy/mod_proxy_balancer.c, `balancer_post_config`): one per
/// balancer of the main server, and again one per balancer of each virtual host that has a proxy
/// configuration of its own, into which the main server's are merged.
fn balancers(dump: &Dump) -> Count {
    let main = balancer_names(dump, None);
    let (mut least, mut most) = (main.len(), main.len());
    for host in virtual_hosts(dump) {
        let inside = |i: usize| dump.virtual_host(i) == Some(host);
        if !dump.directives.iter().enumerate().any(|(i, d)| inside(i) && is_proxys(d)) {
            continue;
        }
        let own = balancer_names(dump, Some(host));
        let off =
            |name| effective(dump, Some(host), name).is_some_and(|w| w.eq_ignore_ascii_case("off"));
        if off("BalancerInherit") && off("ProxyPassInherit") {
            least += own.len();
            most += own.len();
        } else {
            least += own.union(&main).count();
            most += own.union(&main).count();
        }
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let cause = format!("{most} balancer{}", if most == 1 { "" } else { "s" });
    Count { least: number(least), most: number(most), cause }
}

/// The balancers that one server's own directives make: by BalancerMember, by ProxySet or
/// parameters in a `<Proxy>` section, by ProxyPass.
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

/// The name in "balancer://NAME/path": names have no case, and the path is no part of one.
fn balancer(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    let rest = url.strip_prefix("balancer://")?;
    let name = rest.split('/').next().unwrap_or(rest);
    (!name.is_empty() && name != "*").then(|| name.to_owned())
}

/// Modules from elsewhere that make mutexes without registering them, most of them by APR's
/// default whatever `Mutex` says. Their figures are those of the versions in Debian 12; others may
/// make fewer, and some of these modules do without: so at least none.
fn unregistered(dump: &Dump, compiled: Option<Mechanism>) -> Vec<Row> {
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
        let most = if dump.has_config { groups } else { MANY };
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

/// The users, beside the one that workers run as, to whom httpd gives mutexes: of mod_wsgi's
/// daemon groups and of mpm-itk. Names, or "#" and a number.
#[must_use]
pub fn further_users(dump: &Dump) -> Vec<String> {
    let wsgi = dump.all("WSGIDaemonProcess").flat_map(|(_, d)| {
        let words = d.words();
        words.iter().filter_map(|w| w.strip_prefix("user=").map(str::to_owned)).collect::<Vec<_>>()
    });
    let itk = dump.all("AssignUserID").filter_map(|(_, d)| d.words().into_iter().next());
    wsgi.chain(itk).collect()
}

/// The host names in `Listen` lines, which only the resolver can turn into addresses.
#[must_use]
pub fn listen_names(dump: &Dump) -> HashSet<String> {
    let name = |(_, d): (usize, &Directive)| {
        let words = d.words();
        let (addr, _) = words.first()?.rsplit_once(':')?;
        let addr = addr.trim_start_matches('[').trim_end_matches(']');
        let plain = addr != "*" && !addr.is_empty() && addr.parse::<IpAddr>().is_err();
        plain.then(|| addr.to_owned())
    };
    dump.all("Listen").filter_map(name).collect()
}

#[cfg(test)]
mod tests;
