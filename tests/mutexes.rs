//! docs/mutexes.md describes the table of mutex kinds in the code. `make mutexes` generates it.

use std::fmt::Write;
use std::path::Path;

use httpd_semguard::decide::demand::demand;
use httpd_semguard::facts::build::{Build, Version};
use httpd_semguard::facts::dump::{Directive, Dump, Host, Mutex, Setting};
use httpd_semguard::facts::kinds::{FOREIGN, KINDS, Kind, Rule};
use httpd_semguard::facts::mutex::{Mechanism, Moment, Passes};

const HEAD: &str = "\
# How many semaphore sets httpd needs

This page is generated from the table that the forecast uses (`src/facts/kinds.rs`; `make mutexes`). It
applies if httpd's locks are System V semaphore sets: by default with APR 1.6 and older, and with newer
versions if the configuration says `Mutex sysvsem` (`httpd -V` shows the default:
`APR_USE_SYSVSEM_SERIALIZE`). Each mutex is then one set with one semaphore.

`httpd-semguard check -v` shows which of these your httpd creates, and why. To find out what is configured,
it has httpd load mod_info for that one call. Without mod_info, whatever depends on directives is uncertain.

## The accept mutex

";

const MODULES: &str = "
With `ListenCoresBucketsRatio`, there is one for each listen bucket. A version of httpd newer than the ones
known here is treated as the newest of them. If httpd does not report its version, all of them are considered.

## The other mutexes of httpd's own modules

*Launcher*: the mutex is created before httpd detaches, so a failure makes `apachectl start` fail with a
message. *Server*: it is created after the launcher has exited with code 0, so only the ErrorLog shows a
failure. *Both*: it is created by the launcher as a test, and again by the server for use. *Kept*: it is
created by the launcher, and not freed as long as httpd is running.

";

const OTHERS: &str = "
## Third-party modules

These create their mutexes with APR's default mechanism, whatever `Mutex` says, and do not register them; the
exception is mod_fcgid, above. Any other module that imports `apr_proc_mutex_create`,
`apr_global_mutex_create` or `semget` from a library counts as uncertain.

";

/// The versions that have a kind.
fn versions(kind: &Kind) -> String {
    let is_first = [Version(2, 2, 0), Version(2, 4, 0)].contains(&kind.from);
    match (is_first, kind.until) {
        _ if kind.from.is_22() => "2.2".into(),
        (true, None) => "2.4".into(),
        (true, Some(until)) => format!("2.4 up to {until}"),
        (false, None) => format!("{} and newer", kind.from),
        (false, Some(until)) => format!("{} to {until}", kind.from),
    }
}

fn how_many(rule: Rule) -> &'static str {
    match rule {
        Rule::Loaded(_) => "1",
        Rule::Listeners => "1 per listen bucket, with more than one listener",
        Rule::SessionCache => "1 for any `SSLSessionCache` of type shmcb or dbm",
        Rule::Stapling => "1 for `SSLUseStapling on` on a server with TLS",
        Rule::StaplingCache => {
            "1 for `SSLUseStapling on` on a server with TLS, with a cache of type shmcb or dbm"
        }
        Rule::RewriteProgram => "1 for a `RewriteMap` of type `prg:`",
        Rule::Balancers { inherit: false, .. } => {
            "1 per balancer; those of the main server once more for each virtual host that contains a \
             directive of mod_proxy"
        }
        Rule::Balancers { merged: false, .. } => {
            "the same, except for virtual hosts with both `BalancerInherit off` and `ProxyPassInherit off`"
        }
        Rule::Balancers { .. } => "the same; a balancer with the same name in both counts once",
        Rule::Watchdogs => {
            "1 per watchdog: mod_proxy_hcheck, `HeartbeatAddress`, `HeartbeatListen`, `MDomain`, \
             `MDStapling`"
        }
        Rule::AuthnCache => "1 for `AuthnCacheEnable` or `AuthnCacheProvideFor`",
        Rule::CacheSocache => "1 for any `CacheSocache` of type shmcb or dbm",
        Rule::TlsCache => "at most 1, depending on `TLSSessionCache`",
        Rule::LdapCache => "1, unless `LDAPSharedCacheSize` is 0",
        Rule::SslMutex => "1, unless `SSLMutex none`",
        Rule::RewriteLock => "1 for `RewriteLock`",
    }
}

fn when(kind: &Kind) -> &'static str {
    match kind.passes {
        Passes::Both => "both",
        Passes::Kept => "launcher, kept",
        Passes::Second => "server",
    }
}

/// The sets of an MPM alone, with this many listeners.
fn of_mpm(version: Version, mpm: &str, listeners: usize) -> i64 {
    let listen = |n: usize| Directive {
        name: "Listen".into(),
        args: format!("192.0.2.1:{n}"),
        parent: None,
        section: false,
    };
    let accept = Mutex { name: "mpm-accept".into(), setting: Setting::UsingDefaults };
    let dump = Dump {
        modules: vec![format!("mpm_{mpm}")],
        mutexes: if mpm == "event" || version.is_22() { Vec::new() } else { vec![accept] },
        directives: (1..=listeners).map(listen).collect(),
        has_config: true,
        ..Dump::default()
    };
    let build = Build {
        version: Some(version),
        default: Some(Mechanism::SysVSem),
        unserialized_single_listen: true,
        ..Build::default()
    };
    let (least, most) = demand(&dump, Some(&build), &Host { cores: 1, ..Host::default() }).sets();
    assert_eq!(least, most);
    most
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page +=
        "| httpd | prefork or worker, one listener | two or more | event |\n|---|---|---|---|\n";
    for (name, version) in [
        ("2.2", Version(2, 2, 15)),
        ("2.4 up to 2.4.16", Version(2, 4, 16)),
        ("2.4.17 and newer", Version(2, 4, 17)),
    ] {
        let of = |mpm: &str, listeners| of_mpm(version, mpm, listeners);
        assert_eq!([of("prefork", 1), of("prefork", 2)], [of("worker", 1), of("worker", 2)]);
        let (one, two, event) = (of("prefork", 1), of("prefork", 2), of("event", 2));
        let _ = writeln!(page, "| {name} | {one} | {two} | {event} |");
    }
    page += MODULES;
    page += "| mutex | module | httpd | sets | created by |\n|---|---|---|---|---|\n";
    let own = KINDS.iter().filter(|k| k.moment == Moment::PostConfig);
    for kind in own {
        let modules: Vec<String> = kind.modules.iter().map(|m| format!("mod_{m}")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            kind.mutex,
            modules.join(", "),
            versions(kind),
            how_many(kind.rule),
            when(kind)
        );
    }
    page += OTHERS;
    page += "| module | sets |\n|---|---|\n";
    for foreign in FOREIGN.iter().filter(|f| f.most > 0) {
        let sets = match (foreign.module, foreign.least, foreign.most) {
            ("python", ..) => {
                "2 to 8, or 2 to the value of `PythonOption mod_python.mutex_locks`".into()
            }
            (_, least, most) => format!("{least} to {most}"),
        };
        let _ = writeln!(page, "| mod_{} | {sets} |", foreign.module);
    }
    page += "| mod_wsgi | 1 for each `WSGIDaemonProcess` with several processes, depending on `WSGIAcceptMutex` |\n";
    page
}

#[test]
fn the_page_about_mutexes_matches_the_table_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mutexes.md");
    let page = page();
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/mutexes.md does not match the table in the code: run make mutexes"
    );
}
