//! Every row of the table of mutexes, compared with a real httpd: the sets created by a start are
//! counted, and there are as many as the guard says.

mod common;
#[path = "agreement/server.rs"]
mod server;

use std::fs;

use common::{Namespace, Run};
use httpd_semguard::facts::build::Build;
use httpd_semguard::look::httpd::{binary, dump};
use nix::unistd::{SysconfVar, sysconf};
use server::{APACHE, CONTROL, Config, Need, Outcome, TLS};

/// Room for everything.
const ROOMY: &str = "250 32000 32 4096";

const CONF: [&str; 2] = ["-f", "/run/t/httpd.conf"];

/// A row: MPM, modules, directives, and the expected count for each mutex type.
type Row<'a> = (&'static str, &'a [&'static str], &'a str, &'a [(&'a str, i64)]);

/// Starts each of them, and compares what the guard said, what httpd made, and what is expected.
#[track_caller]
fn compare(rows: &[Row<'_>]) {
    let mut wrong = Vec::new();
    for (mpm, modules, directives, expected) in rows {
        let ns = Namespace::new(ROOMY);
        server::furnish(&ns);
        let mut config = Config::new(mpm);
        config.load(modules);
        config.add("Mutex sysvsem default");
        config.add(directives);
        ns.write("httpd.conf", &config.text());
        let check = server::ask(&ns, &["check", "-v"], APACHE, &CONF);
        let start = server::start(&ns, APACHE, &CONF);
        let mut told: Vec<(String, i64, i64)> = server::needs(&check)
            .into_iter()
            .map(|Need { mutex, least, most, .. }| (mutex, least, most))
            .collect();
        told.sort();
        let mut wanted: Vec<(String, i64, i64)> =
            expected.iter().map(|(mutex, n)| ((*mutex).to_owned(), *n, *n)).collect();
        wanted.sort();
        let sum: i64 = expected.iter().map(|(_, n)| n).sum();
        let total = format!(
            "httpd-semguard: need: {sum} semaphore set{}\n",
            if sum == 1 { "" } else { "s" }
        );
        let agrees = told == wanted && check.err.contains(&total) && check.code == Some(0);
        if !agrees || start.outcome != Outcome::Serves || start.sets != sum {
            wrong.push(format!(
                "{mpm} {modules:?}\n{directives}\n{:?} with {} sets, expected {expected:?}\n{}\n\
                 check: {check}",
                start.outcome, start.sets, start.said
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong\n{}", wrong.len(), wrong.join("\n=====\n"));
}

// Section by section.

#[test]
fn accept_mutexes() {
    require!("apache2", "openssl", "bash");
    let cores = sysconf(SysconfVar::_NPROCESSORS_ONLN).expect("sysconf").expect("a number");
    let two = "Listen 127.0.0.1:8081";
    let three = "Listen 127.0.0.1:8081\nListen 127.0.0.1:8082";
    let one = &[("mpm-accept", 1)][..];
    let per_core = &[("mpm-accept", cores)][..];
    let ratio = |lines: &str, n: i64| format!("{lines}\nListenCoresBucketsRatio {n}");
    for mpm in ["prefork", "worker"] {
        compare(&[
            (mpm, &[], "", &[]),
            (mpm, &[], &ratio("", 1), &[]),
            (mpm, &[], two, one),
            (mpm, &[], three, one),
            (mpm, &[], &ratio(three, 1), per_core),
            (mpm, &[], &ratio(two, cores), one),
            (mpm, &[], &ratio(two, cores + 1), one),
            (mpm, &[], "Listen 127.0.0.1:8081\nListen [::1]:8081", one),
            (mpm, &[], "Listen 8081", one),
        ]);
    }
    compare(&[("event", &[], two, &[]), ("event", &[], &ratio(three, 1), &[])]);
}

#[test]
fn wildcards_of_both_families_are_one_listener() {
    require!("apache2", "openssl", "bash");
    for (listen, sets) in [("0.0.0.0:8080\nListen [::]:8080", 0), ("8080", 0), ("*:8080", 0)] {
        let ns = Namespace::new(ROOMY);
        server::furnish(&ns);
        let text = Config::new("prefork").text() + "Mutex sysvsem default\n";
        let text = text.replace(&format!("Listen {}", server::LISTEN), &format!("Listen {listen}"));
        ns.write("httpd.conf", &text);
        let check = server::ask(&ns, &["check", "-v"], APACHE, &CONF).exits(0);
        let start = server::start(&ns, APACHE, &CONF);
        assert_eq!((start.outcome, start.sets), (Outcome::Serves, sets), "{}", start.said);
        assert_eq!(server::needs(&check), [], "{check}");
    }
}

#[test]
fn mutexes_of_mod_ssl() {
    require!("apache2", "openssl", "bash");
    let ssl: &[&str] = &["socache_shmcb", "socache_dbm", "ssl"];
    let host = |lines: &str| {
        format!("<VirtualHost *:8443>\nServerName tls.test\n{TLS}{lines}\n</VirtualHost>\n")
    };
    let (on, off) = (host("SSLEngine on"), host("SSLEngine off"));
    let shmcb = "SSLSessionCache shmcb:/run/t/data/ssl(512000)\n";
    let store = "SSLStaplingCache shmcb:/run/t/data/st(128000)\n";
    let staple = "SSLUseStapling on\n";
    let cache = &[("ssl-cache", 1)][..];
    let stapling = &[("ssl-stapling", 1), ("ssl-stapling-refresh", 1)][..];
    let all = &[("ssl-cache", 1), ("ssl-stapling", 1), ("ssl-stapling-refresh", 1)][..];
    compare(&[
        ("event", ssl, "", &[]),
        ("event", ssl, &on, &[]),
        ("event", ssl, shmcb, cache),
        ("event", ssl, &format!("{shmcb}{off}"), cache),
        ("event", ssl, &format!("{shmcb}{on}"), cache),
        ("event", ssl, &format!("{shmcb}SSLSessionCache none"), cache),
        ("event", ssl, &format!("SSLSessionCache none\n{on}"), &[]),
        ("event", ssl, &format!("SSLSessionCache nonenotnull\n{on}"), &[]),
        ("event", ssl, &format!("SSLSessionCache dbm:/run/t/data/c\n{on}"), cache),
        ("event", ssl, &format!("{store}{on}"), &[]),
        ("event", ssl, &format!("{store}{staple}"), &[]),
        ("event", ssl, &format!("{store}{staple}{off}"), &[]),
        ("event", ssl, &format!("{store}{staple}{on}"), stapling),
        ("event", ssl, &format!("{shmcb}{store}{staple}{on}{}", on.replace("tls", "b")), all),
        ("event", ssl, &format!("{shmcb}{store}{}", host("SSLEngine on\nSSLUseStapling on")), all),
        (
            "event",
            ssl,
            &format!("{store}{staple}{}", host("SSLEngine on\nSSLUseStapling off")),
            &[],
        ),
        ("event", ssl, &format!("{store}{staple}SSLEngine on\n{TLS}"), stapling),
        (
            "event",
            &["socache_dbm", "ssl"],
            &format!("SSLStaplingCache dbm:/run/t/data/st\n{staple}{on}"),
            stapling,
        ),
        (
            "event",
            &["socache_memcache", "ssl"],
            &format!("SSLStaplingCache memcache:127.0.0.1:11211\n{staple}{on}"),
            &[("ssl-stapling-refresh", 1)],
        ),
        (
            "event",
            &["socache_memcache", "ssl"],
            &format!("SSLSessionCache memcache:127.0.0.1:11211\n{on}"),
            &[],
        ),
    ]);
}

#[test]
fn the_mutex_of_mod_rewrite() {
    require!("apache2", "openssl", "bash");
    let one = &[("rewrite-map", 1)][..];
    let host = |lines: &str| format!("<VirtualHost *:8081>\n{lines}\n</VirtualHost>");
    let program = "RewriteMap m prg:/run/t/map.sh";
    for (directives, expected) in [
        ("", &[][..]),
        ("RewriteEngine on\nRewriteMap m txt:/run/t/map.txt", &[]),
        ("RewriteEngine on\nRewriteMap m rnd:/run/t/map.txt", &[]),
        ("RewriteEngine on\nRewriteMap m int:tolower", &[]),
        (program, one),
        ("RewriteEngine on\nRewriteMap m prg:/run/t/map.sh", one),
        ("RewriteEngine off\nRewriteMap m prg:/run/t/map.sh\nRewriteMap n prg:/run/t/map.sh", one),
        ("RewriteMap m \"prg:/run/t/map.sh argument\"", one),
        ("RewriteMap m PRG:/run/t/map.sh www-data:www-data", one),
        (&host(program), one),
        (&format!("{program}\n{}", host(program)), one),
    ] {
        compare(&[("event", &["rewrite"], directives, expected)]);
    }
}

#[test]
fn the_mutex_of_mod_proxy_and_those_of_its_balancers() {
    require!("apache2", "openssl", "bash");
    const MODULES: &[&str] =
        &["proxy", "proxy_http", "slotmem_shm", "lbmethod_byrequests", "proxy_balancer"];
    let member = "BalancerMember http://127.0.0.1:9001";
    let section = |name: &str| format!("<Proxy balancer://{name}>\n{member}\n</Proxy>\n");
    let host = |lines: &str| format!("<VirtualHost *:8081>\n{lines}</VirtualHost>\n");
    let (a, b) = (section("a"), section("b"));
    compare(&[
        ("event", &["proxy"], "", &[("proxy", 1)]),
        ("event", &["proxy", "proxy_http"], &format!("{a}{b}"), &[("proxy", 1)]),
    ]);
    let off = "BalancerInherit Off\nProxyPassInherit Off\n";
    for (directives, balancers) in [
        (String::new(), 0),
        (a.clone(), 1),
        (format!("{a}{b}"), 2),
        (format!("{a}{a}{}", section("A/")), 1),
        ("<Proxy balancer://a>\n</Proxy>".into(), 0),
        ("<Proxy balancer://a>\nRequire all granted\n</Proxy>".into(), 0),
        ("<Proxy balancer://*>\nRequire all granted\n</Proxy>".into(), 0),
        ("<ProxyMatch balancer://.*>\nRequire all granted\n</ProxyMatch>".into(), 0),
        ("<Proxy balancer://a>\nProxySet lbmethod=byrequests\n</Proxy>".into(), 1),
        ("<Proxy balancer://a lbmethod=byrequests>\n</Proxy>".into(), 1),
        ("ProxyPass /x BALANCER://a/y\nProxyPass /y balancer://a/z".into(), 1),
        ("ProxyPassMatch ^/x balancer://a".into(), 1),
        ("<Location /x>\nProxyPass balancer://a\n</Location>".into(), 1),
        ("ProxyPassReverse /x balancer://a".into(), 0),
        ("ProxyPass /x !".into(), 0),
        (
            "BalancerMember balancer://a http://127.0.0.1:1\nBalancerMember balancer://b \
          http://127.0.0.1:1"
                .into(),
            2,
        ),
        (format!("{a}{}{}{}", host(""), host(""), host("")), 1),
        (format!("{a}{}{}", host("ProxyTimeout 5\n"), host("ProxyPreserveHost On\n")), 3),
        (format!("{a}{}", host(&b)), 3),
        (format!("{a}{}", host(&a)), 2),
        (host(&a) + &host(&a), 2),
        (format!("{off}{a}{}", host("ProxyTimeout 5\n")), 1),
        (format!("{off}{a}{}", host(&b)), 2),
        (format!("{a}{}", host(&format!("{off}{b}"))), 2),
        (format!("BalancerInherit Off\n{a}{}", host(&b)), 3),
        (format!("ProxyPassInherit Off\n{a}{}", host(&b)), 3),
        (format!("{off}{a}{}", host(&format!("BalancerInherit On\n{b}"))), 3),
    ] {
        let with = [("proxy", 1), ("proxy-balancer-shm", balancers)];
        let expected = if balancers == 0 { &with[..1] } else { &with[..] };
        compare(&[("event", MODULES, &directives, expected)]);
    }
}

#[test]
fn watchdogs() {
    require!("apache2", "openssl", "bash");
    let one = &[("watchdog-callback", 1)][..];
    let beat = "HeartbeatAddress 239.0.0.1:27999";
    let listen = "HeartbeatListen 239.0.0.1:27999";
    let managed = "MDStoreDir /run/t/data/md\nMDomain tls.test manual\nMDRenewMode manual\n\
                   MDCertificateAgreement accepted\nMDContactEmail a@example.test\n";
    let host = "<VirtualHost *:8081>\nServerName tls.test\n</VirtualHost>\n";
    let md: &[&str] = &["socache_shmcb", "ssl", "md"];
    compare(&[
        ("event", &[], "", &[]),
        ("event", &["proxy", "proxy_hcheck"], "", &[("proxy", 1), ("watchdog-callback", 1)]),
        ("event", &["status", "heartbeat"], "", &[]),
        ("event", &["status", "heartbeat"], beat, one),
        ("event", &["slotmem_shm", "heartmonitor"], "", &[]),
        ("event", &["slotmem_shm", "heartmonitor"], listen, one),
        (
            "event",
            &["status", "heartbeat", "slotmem_shm", "heartmonitor", "proxy", "proxy_hcheck"],
            &format!("{beat}\n{listen}"),
            &[("proxy", 1), ("watchdog-callback", 3)],
        ),
        ("event", md, "", &[]),
        ("event", md, &format!("{managed}{host}"), one),
    ]);
}

#[test]
fn mutexes_that_come_with_a_module_or_a_cache() {
    require!("apache2", "openssl", "bash");
    let authn: &[&str] =
        &["authn_core", "authn_file", "authz_user", "auth_basic", "socache_shmcb", "authn_socache"];
    let cache: &[&str] = &["socache_shmcb", "socache_memcache", "cache", "cache_socache"];
    let (one_authn, one_cache) = (&[("authn-socache", 1)][..], &[("cache-socache", 1)][..]);
    compare(&[
        ("event", &["ldap"], "", &[("ldap-cache", 1)]),
        ("event", &["ldap"], "LDAPSharedCacheSize 0", &[("ldap-cache", 1)]),
        ("event", &["lua"], "", &[("lua-ivm-shm", 1)]),
        ("event", &["authn_core", "auth_digest"], "", &[("authdigest-client", 1)]),
        ("event", authn, "", &[]),
        ("event", authn, "AuthnCacheSOCache shmcb", &[]),
        ("event", authn, "AuthnCacheEnable", one_authn),
        ("event", authn, "<Location /x>\nAuthnCacheProvideFor file\n</Location>", one_authn),
        ("event", cache, "", &[]),
        ("event", cache, "CacheEnable socache /x", &[]),
        ("event", cache, "CacheSocache memcache:127.0.0.1:11211", &[]),
        ("event", cache, "CacheSocache shmcb", one_cache),
        ("event", cache, "<VirtualHost *:8081>\nCacheSocache shmcb\n</VirtualHost>", one_cache),
        (
            "event",
            &["status", "info", "dav", "dav_fs", "session", "cgid", "unique_id", "slotmem_shm"],
            "DavLockDB /run/t/data/dav\nScriptSock /run/t/data/cgid",
            &[],
        ),
    ]);
}

/// Modules from other packages, if they are installed: with an APR whose default is not a semaphore set,
/// only mod_fcgid follows `Mutex`; the guard may not know the others.
#[test]
fn modules_of_other_packages() {
    require!("apache2", "openssl", "bash");
    if server::has_module("fcgid") {
        compare(&[(
            "event",
            &["fcgid"],
            "FcgidIPCDir /run/t/data\nFcgidProcessTableFile /run/t/data/table",
            &[("fcgid-pipe", 1), ("fcgid-proctbl", 1)],
        )]);
    }
    if server::has_module("security2") && server::has_module("unique_id") {
        compare(&[("event", &["unique_id", "security2"], "", &[])]);
    }
    if server::has_module("jk") {
        compare(&[("event", &["jk"], "JkLogFile /run/t/data/jk\nJkShmFile /run/t/data/jks", &[])]);
    }
    if server::has_module("wsgi") {
        let group = "WSGIDaemonProcess a processes=2 threads=1";
        let socket = "WSGISocketPrefix /run/t/data/wsgi";
        compare(&[
            ("event", &["wsgi"], &format!("{socket}\n{group}"), &[]),
            (
                "event",
                &["wsgi"],
                &format!("{socket}\n{group}\nWSGIAcceptMutex sysvsem"),
                &[("wsgi", 1)],
            ),
        ]);
    }
}

// The configuration that will be used.

#[test]
fn asking_with_mod_info_does_not_change_the_configurations_own_use_of_it() {
    require!("apache2", "openssl", "bash");
    let one = &[("mpm-accept", 1)][..];
    let when =
        |condition: &str| format!("<IfModule {condition}>\nListen 127.0.0.1:8081\n</IfModule>");
    compare(&[
        ("prefork", &[], &when("mod_info.c"), &[]),
        ("prefork", &[], &when("info_module"), &[]),
        ("prefork", &[], &when("!mod_info.c"), one),
        ("prefork", &["info"], &when("mod_info.c"), one),
        ("prefork", &["info"], &when("!mod_info.c"), &[]),
    ]);
}

#[test]
fn a_section_without_directives_ends_where_it_should() {
    require!("apache2", "openssl", "bash");
    let modules: &[&str] =
        &["proxy", "proxy_http", "slotmem_shm", "lbmethod_byrequests", "proxy_balancer"];
    let member = "BalancerMember balancer://a http://127.0.0.1:9001\n";
    for before in [
        "<VirtualHost *:8081>\n</VirtualHost>\n",
        "<VirtualHost *:8081>\n<Location /x>\n</Location>\n</VirtualHost>\n",
        "<Proxy balancer://b>\n</Proxy>\n",
    ] {
        let config = format!("{before}{member}<VirtualHost *:8082>\n{member}</VirtualHost>\n");
        let expected = &[("proxy", 1), ("proxy-balancer-shm", 2)];
        compare(&[("event", modules, &config, expected)]);
    }
}

#[test]
fn an_httpd_binary_contains_what_it_prints_about_its_build() {
    require!("apache2", "bash");
    let file =
        binary::build(&fs::read(APACHE).expect("httpd")[..]).expect("a complete description");
    let ns = Namespace::new(ROOMY);
    ns.write("httpd.conf", &Config::new("event").text());
    let asked = Run::of(ns.command(APACHE).args(CONF).arg("-V")).exits(0);
    let asked = dump::build(&asked.out);
    // It does not contain which MPM is loaded.
    assert_eq!(file, Build { mpm: None, ..asked });
}

#[test]
fn asking_takes_one_call_of_the_control_program() {
    require!("apache2", "openssl", "bash");
    let ns = Namespace::new(ROOMY);
    server::furnish(&ns);
    let mut config = two_listeners();
    config.load(&["proxy", "ldap"]);
    ns.write("httpd.conf", &config.text());
    let script = format!("#!/bin/sh\necho call >>/run/t/calls\nexec {APACHE} \"$@\"\n");
    ns.write("apache2ctl", &script);
    ns.sh(&format!("chmod 755 /run/t/apache2ctl && cp {APACHE} /run/t/apache2")).exits(0);
    let run = server::ask(&ns, &["check", "-v"], "/run/t/apache2ctl", &CONF).exits(0);
    run.logs("need: 3 semaphore sets");
    assert_eq!(fs::read_to_string(ns.path("/run/t/calls")).expect("called"), "call\n");
}

#[test]
fn an_httpd_not_started_by_root_is_guarded_for_the_user_who_starts_it() {
    require!("apache2", "openssl", "bash");
    // Three sets, and room for three: after one kill, only a guard makes room. With semids that do not
    // occur in every process's memory anyway.
    let ns = Namespace::new(ROOMY);
    server::furnish(&ns);
    let actor = ns.actor_copy("numbers");
    let makes = format!("{actor} make 64 1001 exit >/dev/null && ipcrm --all=sem");
    ns.sh(&format!("for i in $(seq 60); do {makes} || exit; done")).exits(0);
    ns.sh("echo 250 32000 32 3 >/proc/sys/kernel/sem").exits(0);
    let mut config = Config::new("event");
    config.load(&["proxy", "ldap", "lua"]);
    config.add("Mutex sysvsem default");
    ns.write("httpd.conf", &config.text());
    ns.sh("chown -R 1001 /run/t && chmod 755 /run/t").exits(0);
    let as_1001 = ["--reuid", "1001", "--regid", "1001", "--clear-groups"];
    let program = |program: &str, args: &[&str]| {
        let mut command = ns.command("setpriv");
        command.args(as_1001).arg(program).args(args);
        command
    };
    let guard = ns.guard_copy();
    for kill in 0..3 {
        let args =
            |command| [command, "--log", "stderr", "-v", "--httpd", APACHE, "--", CONF[0], CONF[1]];
        let heard = Run::of(&mut program(&guard, &args("check")));
        // A check is about the httpd that root would start, too.
        heard
            .logs("users: 1001, www-data (33) (httpd's configuration)")
            .logs("need: 3 semaphore sets");
        let own = Run::of(&mut program(
            &guard,
            &[&args("guard")[..1], &["-n"], &args("guard")[1..]].concat(),
        ));
        own.logs("users: 1001 (httpd's configuration)");
        // Root may look at every process, including its own first one.
        let run = server::ask(&ns, &["guard", "--user", "1001"], APACHE, &CONF).exits(0);
        assert!(ns.ids().is_empty(), "{kill}: {run}");
        let start = Run::of(&mut program(APACHE, &["-f", CONF[1], "-k", "start"]));
        start.exits(0);
        common::wait_until("httpd has made its locks", || ns.ids().len() == 3);
        assert!(ns.sets().iter().all(|s| s.uid == 1001 && s.cuid == 1001));
        // It has been a group leader since it detached.
        let leader = fs::read_to_string(ns.path("/run/t/httpd.pid")).expect("a pid file");
        let leader: i32 = leader.trim().parse().expect("a pid");
        ns.sh(&format!("kill -s KILL -- -{leader} && rm /run/t/httpd.pid")).exits(0);
        common::wait_until("it is dead", || !ns.lives(leader));
        assert_eq!(ns.ids().len(), 3, "not three sets after the kill");
    }
}

// What a lock needs besides a set.

/// What the guard says about a start with this table, after this script and with these limits of a
/// shell; `/run/t/limited` runs httpd with the same limits.
fn said(sem: &str, config: &Config, script: &str, limits: &str) -> (Namespace, Run) {
    let ns = Namespace::new(sem);
    server::furnish(&ns);
    ns.write("httpd.conf", &config.text());
    ns.write("limited", &format!("#!/bin/bash\n{limits}\nexec {APACHE} \"$@\"\n"));
    ns.sh(&format!("chmod 755 /run/t/limited && {script}")).exits(0);
    let guard = ns.guard_copy();
    let mut command = ns.command("bash");
    let check =
        format!("{limits} exec {guard} check --log stderr --httpd {APACHE} -- -f {}", CONF[1]);
    let check = Run::of(command.args(["-c", &check]));
    (ns, check)
}

/// The same, and whether httpd then serves requests.
fn said_and_done(sem: &str, config: &Config, script: &str, limits: &str) -> (Run, server::Start) {
    let (ns, check) = said(sem, config, script, limits);
    (check, server::start(&ns, "/run/t/limited", &CONF))
}

/// Two listeners with prefork.
fn two_listeners() -> Config {
    let mut config = Config::new("prefork");
    config.add("Mutex sysvsem default\nListen 127.0.0.1:8081");
    config
}

#[test]
fn without_operations_the_first_lock_fails() {
    require!("apache2", "openssl", "bash");
    let (check, start) = said_and_done("250 32000 0 128", &two_listeners(), "true", "");
    assert_eq!(start.outcome, Outcome::Dead, "{}", start.said);
    let line = "(7)Argument list too long: AH00144: couldn't grab the accept mutex";
    assert!(start.said.contains(line), "{}", start.said);
    check
        .exits(69)
        .logs(&format!("SEMOPM is 0: httpd would not start (it would log: {line})"))
        .logs("32000 32 ");
    // An httpd without an accept mutex starts.
    let mut config = Config::new("event");
    config.load(&["proxy"]);
    config.add("Mutex sysvsem default");
    let (check, start) = said_and_done("250 32000 0 128", &config, "true", "");
    assert_eq!(start.outcome, Outcome::Serves, "{}", start.said);
    check.exits(0).does_not_log("not start");
}

#[test]
fn a_filter_that_denies_locking_fails_only_an_httpd_that_locks_at_once() {
    require!("apache2", "openssl", "bash", "strace");
    let proxy = || {
        let mut config = Config::new("event");
        config.load(&["proxy"]);
        config.add("Mutex sysvsem default");
        config
    };
    for (config, code) in [(two_listeners(), 69), (proxy(), 0)] {
        let ns = Namespace::new(ROOMY);
        server::furnish(&ns);
        ns.write("httpd.conf", &config.text());
        let guard = ns.guard_copy();
        let strace = "strace -f -o /dev/null -e inject=semop,semtimedop:error=EPERM";
        let check =
            format!("{strace} {guard} check --log stderr --httpd {APACHE} -- -f {}", CONF[1]);
        let run = ns.sh(&check).exits(code);
        assert!(ns.ids().is_empty(), "{run}");
        if code == 69 {
            run.logs("(1)Operation not permitted: AH00144: couldn't grab the accept mutex")
                .logs("semop for a trial set fails: EPERM")
                .logs("allow semop");
        }
    }
}

/// This many balancers, with this mechanism.
fn balancers(count: usize, mutex: &str) -> Config {
    let mut config = Config::new("event");
    config.load(&["proxy", "proxy_http", "slotmem_shm", "lbmethod_byrequests", "proxy_balancer"]);
    config.add(&format!("Mutex {mutex} default"));
    for n in 0..count {
        config.add(&format!("BalancerMember balancer://b{n} http://127.0.0.1:9001"));
    }
    config
}

#[test]
fn httpds_own_shared_memory_takes_room_from_posix_semaphores() {
    require!("apache2", "openssl", "bash");
    let shm =
        |inodes: u32| format!("mount -t tmpfs -o mode=1777,nr_inodes={inodes} tmpfs /dev/shm");
    let config = balancers(3, "posixsem");
    let (check, start) = said_and_done(ROOMY, &config, &shm(7), "");
    assert_eq!(start.outcome, Outcome::Dead, "{}", start.said);
    check
        .exits(0)
        .logs("httpd may not start (it would log: (28)")
        .logs("shared memory (balancers, caches)");
    let (check, start) = said_and_done(ROOMY, &config, &shm(20), "");
    assert_eq!(start.outcome, Outcome::Serves, "{}", start.said);
    check.exits(0).does_not_log("not start");
}

#[test]
fn workers_reopen_flock_files_within_their_limit() {
    require!("apache2", "openssl", "bash");
    let config = balancers(60, "flock:/run/t/locks");
    let open = "chmod 755 /run/t/locks";
    let (ns, check) = said(ROOMY, &config, open, "ulimit -n 90;");
    Run::of(ns.command("/run/t/limited").args(CONF).args(["-k", "start"])).exits(0);
    common::wait_until("no worker can live", || {
        let log = fs::read_to_string(ns.path("/run/t/error.log")).unwrap_or_default();
        log.contains("(24)Too many open files")
    });
    check
        .exits(0)
        .logs("httpd may not start (it would log: (24)Too many open files")
        .logs("LimitNOFILE=");
    let (check, start) = said_and_done(ROOMY, &config, open, "ulimit -n 400;");
    assert_eq!(start.outcome, Outcome::Serves, "{}", start.said);
    check.exits(0).does_not_log("not start");
}

#[test]
fn a_dev_zero_that_opens_and_cannot_be_mapped_fails_a_pthread_mutex() {
    require!("apache2", "openssl", "bash");
    let mut config = Config::new("event");
    config.load(&["proxy"]);
    config.add("Mutex pthread default");
    let zero = "mount --bind /dev/null /dev/zero";
    let (check, start) = said_and_done(ROOMY, &config, zero, "");
    assert_eq!(start.outcome, Outcome::Dead, "{}", start.said);
    let line = "(19)No such device: AH00023: Couldn't create the proxy mutex";
    assert!(start.said.contains(line), "{}", start.said);
    check.exits(69).logs(&format!(": httpd would not start (it would log: {line})"));
}

// Debian's own configuration.

#[test]
fn debians_own_configuration_starts_in_a_full_table_and_the_guard_says_why() {
    require!("apache2", "openssl", "bash");
    let ns = Namespace::new("250 0 32 0");
    server::furnish(&ns);
    // As in the package, except for the port; its log directory may not exist.
    ns.sh(
        "mkdir /run/t/etc /run/t/log && cp -r /etc/apache2/. /run/t/etc && \
         mount --bind /run/t/etc /etc/apache2 && mkdir -p /var/log/apache2 && \
         mount --bind /run/t/log /var/log/apache2 && \
         rm -rf /etc/apache2/sites-enabled/* && echo 'Listen 127.0.0.1:8080' >/etc/apache2/ports.conf",
    )
    .exits(0);
    for args in [["check", "-v"], ["guard", "-v"]] {
        let run = server::ask(&ns, &args, CONTROL, &[]).exits(0);
        run.clone().prints("httpd's locks can be made: it needs no semaphore set; 0 of 0 free");
        run.logs("need: 0 semaphore sets").does_not_log("may not start");
    }
    let quiet = server::ask(&ns, &["guard", "-q"], CONTROL, &[]).exits(0);
    assert_eq!(quiet.out, "");
    let start = server::start(&ns, CONTROL, &[]);
    assert_eq!((start.outcome, start.sets), (Outcome::Serves, 0), "{}", start.said);

    // One line brings the semaphores back, and with them the failure.
    let ns = Namespace::new("250 32000 32 0");
    server::furnish(&ns);
    let mut config = Config::new("prefork");
    config.add("Listen 127.0.0.1:8081");
    ns.write("httpd.conf", &config.text());
    server::ask(&ns, &["check"], CONTROL, &CONF).exits(0);
    config.add("Mutex sysvsem default");
    ns.write("httpd.conf", &config.text());
    server::ask(&ns, &["check"], CONTROL, &CONF).exits(69).logs("mpm-accept");
    assert_eq!(server::start(&ns, CONTROL, &CONF).outcome, Outcome::Dead);
}
