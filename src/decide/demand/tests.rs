//! The table of mutexes: checked against what real starts of httpd 2.4.71 made, and row by row.

use proptest::prelude::*;

use std::collections::HashMap;
use std::net::IpAddr;

use super::*;
use crate::facts::dump::Mutex;
use crate::facts::mutex::LogLine;
use crate::look::httpd::dump;

fn recorded(name: &str) -> Dump {
    let path = format!("{}/tests/dumps/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    dump::parse(&String::from_utf8_lossy(&std::fs::read(path).expect("a recorded dump")))
}

/// The machine on which the dumps were recorded.
fn host() -> Host {
    Host { cores: 2, addresses: HashMap::new() }
}

fn debian() -> Build {
    Build {
        version: Some(Version(2, 4, 71)),
        default: Some(Mechanism::Pthread),
        unserialized_single_listen: true,
        ..Build::default()
    }
}

/// A build with the default mechanism of APR 1.6 and older.
fn older() -> Build {
    Build { default: Some(Mechanism::SysVSem), ..debian() }
}

#[test]
fn the_demand_of_recorded_configurations_is_what_their_starts_made() {
    for (name, made) in [
        ("all-own-modules", 14),
        ("balancers-noinherit", 4),
        ("balancers-vhosts", 5),
        ("debian-default", 0),
        ("debian-default-plus-sysvsem", 0),
        ("event-pthread-default", 0),
        ("include-define-macro", 4),
        ("include-in-section", 5),
        ("info-already-loaded", 1),
        ("itk-users", 1),
        ("mutex-overrides", 1),
        ("odd-quoting", 2),
        ("prefork-1listen", 0),
        ("prefork-sysvsem-2listen", 1),
        ("ssl-no-engine", 1),
        ("ssl-stapling", 4),
        ("ssl-stapling-vhost-off", 0),
        ("user-env-vars", 1),
        ("user-numeric-unset", 1),
        ("vhosts-many", 0),
        ("worker-buckets", 2),
    ] {
        let demand = demand(&recorded(name), Some(&debian()), &host());
        assert_eq!(demand.sets(), (made, made), "{name}: {:#?}", demand.rows);
    }
}

#[test]
fn optional_third_party_mutexes_count_only_in_the_maximum() {
    let demand = demand(&recorded("third-party"), Some(&debian()), &host());
    // Two by mod_fcgid, and two by groups of mod_wsgi with WSGIAcceptMutex sysvsem.
    assert_eq!(demand.sets(), (2, 4), "{:#?}", demand.rows);
    let older = super::demand(&recorded("third-party"), Some(&older()), &host());
    // mod_security2 and mod_jk use APR's default, whatever Mutex says.
    assert_eq!(older.sets(), (2, 8), "{:#?}", older.rows);
}

#[test]
fn the_users_of_daemon_groups_and_of_itk_are_listed() {
    assert_eq!(further_users(&recorded("third-party")), ["daemon", "games"]);
    assert!(!further_users(&recorded("itk-users")).is_empty());
    assert!(further_users(&recorded("debian-default")).is_empty());
}

#[test]
fn a_lock_is_taken_at_once_only_where_workers_take_turns() {
    let of = |patch, mpm: &str, config: &str, unserialized_single_listen| {
        let version = Some(Version(2, 4, patch));
        let build = Some(Build { version, unserialized_single_listen, ..older() });
        let dump = configured(&[mpm], &["mpm-accept"], config);
        let (control, host, foreign) = ("/httpd".into(), host(), Vec::new());
        answer(Told { control, dump, build, host, foreign, files: Vec::new() }, &[]).locks
    };
    let (one, two) = ("Listen 80", "Listen 80\nListen 81");
    assert!(of(6, "mpm_prefork", two, true) && of(71, "mpm_worker", two, true));
    assert!(!of(6, "mpm_prefork", one, true), "it makes the mutex but does not use it");
    assert!(of(6, "mpm_prefork", one, false));
    assert!(!of(71, "mpm_event", two, true));
}

#[test]
fn the_user_of_2_2_is_the_last_one_outside_of_virtual_hosts() {
    let of = |config: &str| {
        let mut dump = configured(&["mpm_prefork"], &[], config);
        dump.user = None;
        further_users(&dump)
    };
    let host = "<VirtualHost *>\nUser no\n</VirtualHost>";
    assert_eq!(of(&format!("User a\nUser \"apache\"\n{host}")), ["apache"]);
    assert!(of("User ${APACHE_RUN_USER}").is_empty(), "a variable that is set elsewhere");
}

#[test]
fn without_directives_counts_that_depend_on_them_are_in_doubt() {
    let mut dump = recorded("all-own-modules");
    (dump.directives, dump.has_config) = (Vec::new(), false);
    let (least, most) = demand(&dump, Some(&debian()), &host()).sets();
    assert!(least < 14 && most >= 14, "{least} to {most}");
}

#[test]
fn the_build_is_asked_only_where_it_matters() {
    assert!(!depends_on_build(&recorded("debian-default"), &host()));
    assert!(!depends_on_build(&recorded("prefork-sysvsem-2listen"), &host()));
    // The order of several mutexes depends on the version.
    assert!(depends_on_build(&recorded("all-own-modules"), &host()));
    assert!(depends_on_build(&recorded("third-party"), &host()));
}

/// Versions in which a row differs.
#[test]
fn a_row_depends_on_the_version_and_is_in_doubt_if_that_is_unknown() {
    let of = |module: &str, mutex: &str, config: &str, version: Option<Version>| {
        let build = Build { version, ..older() };
        demand(&configured(&[module], &[mutex], config), Some(&build), &host()).sets()
    };
    let v = |patch| Some(Version(2, 4, patch));
    for (module, mutex, config, change) in [
        ("mpm_prefork", "mpm-accept", "Listen 80", 16),
        ("mpm_worker", "mpm-accept", "Listen 80", 16),
        ("rewrite", "rewrite-map", "RewriteMap m txt:/x", 37),
    ] {
        assert_eq!(of(module, mutex, config, v(change)), (1, 1), "{mutex} up to {change}");
        assert_eq!(of(module, mutex, config, v(change + 1)), (0, 0), "{mutex} after {change}");
        assert_eq!(of(module, mutex, config, None), (0, 1), "{mutex} of an unknown version");
    }
    // A version newer than any known one is treated as the newest.
    assert_eq!(of("rewrite", "rewrite-map", "", Some(Version(2, 6, 0))), (0, 0));
}

#[test]
fn a_balancer_of_the_same_name_counts_twice_up_to_2_4_29_and_is_inherited_since_2_4_5() {
    let of = |patch: u32, more: &str| {
        let build = Build { version: Some(Version(2, 4, patch)), ..older() };
        let member = "BalancerMember balancer://a http://x\n";
        let config = format!("{member}<VirtualHost *:80>\n{member}{more}</VirtualHost>");
        let dump = configured(&["proxy_balancer"], &["proxy-balancer-shm"], &config);
        demand(&dump, Some(&build), &host()).sets()
    };
    assert_eq!((of(29, ""), of(30, "")), ((3, 3), (2, 2)));
    let off = "BalancerInherit off\nProxyPassInherit off\n";
    assert_eq!((of(4, off), of(5, off)), ((3, 3), (2, 2)));
}

// Row by row, with configurations written here.

/// Indented as mod_info prints it.
fn indented(config: &str) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for line in config.lines() {
        depth -= usize::from(line.starts_with("</"));
        text += &format!("{}{line}\n", "  ".repeat(depth));
        depth += usize::from(line.starts_with('<') && !line.starts_with("</"));
    }
    text
}

/// A dump with these modules, mutex types and directives, and `Mutex sysvsem default`.
fn configured(modules: &[&str], types: &[&str], config: &str) -> Dump {
    let mut text = format!("# In file: /x\n{}\nServerRoot: \"/r\"\n", indented(config));
    text += "Mutex default: dir=\"/run/\" mechanism=sysvsem \n";
    for t in types {
        text += &format!("Mutex {t}: using_defaults\n");
    }
    text += "Loaded Modules:\n core_module (static)\n";
    for m in modules {
        text += &format!(" {m}_module (shared)\n");
    }
    let dump = dump::parse(&text);
    assert!(dump.is_answer());
    dump
}

fn sets(modules: &[&str], types: &[&str], config: &str) -> (i64, i64) {
    demand(&configured(modules, types, config), Some(&debian()), &host()).sets()
}

fn accepts(config: &str) -> (i64, i64) {
    sets(&["mpm_prefork"], &["mpm-accept"], config)
}

#[test]
fn one_listener_needs_no_accept_mutex_and_two_need_one() {
    assert_eq!(accepts("Listen 80"), (0, 0));
    assert_eq!(accepts("Listen 80\nListen 443 https"), (1, 1));
    assert_eq!(sets(&["mpm_worker"], &["mpm-accept"], "Listen 80\nListen 81"), (1, 1));
    assert_eq!(sets(&["mpm_event"], &["mpm-accept"], "Listen 80\nListen 81"), (0, 0));
}

#[test]
fn a_build_that_serializes_a_single_listener_needs_one() {
    let dump = configured(&["mpm_prefork"], &["mpm-accept"], "Listen 127.0.0.1:80");
    let serialized = Build { unserialized_single_listen: false, ..debian() };
    assert_eq!(demand(&dump, Some(&serialized), &host()).sets(), (1, 1));
    assert_eq!(demand(&dump, None, &host()).sets(), (0, 1));
}

#[test]
fn there_is_an_accept_mutex_per_bucket() {
    let two = "Listen 1.2.3.4:80\nListen 1.2.3.4:81\nListenCoresBucketsRatio";
    for (cores, ratio, want) in [(2, 1, 2), (2, 2, 1), (2, 4, 1), (16, 4, 4), (15, 4, 3)] {
        let config = format!("{two} {ratio}");
        let dump = configured(&["mpm_prefork"], &["mpm-accept"], &config);
        let host = Host { cores, ..host() };
        assert_eq!(demand(&dump, Some(&debian()), &host).sets(), (want, want), "{cores}/{ratio}");
    }
    assert_eq!(accepts("Listen 80\nListenCoresBucketsRatio 1"), (0, 0));
}

#[test]
fn the_wildcards_of_both_families_are_one_listener_unless_the_build_splits_them() {
    assert_eq!(accepts("Listen 0.0.0.0:80\nListen [::]:80"), (0, 0));
    assert_eq!(accepts("Listen *:80\nListen 81"), (1, 1));
    assert_eq!(accepts("Listen 127.0.0.1:80\nListen [::1]:80"), (1, 1));
    let dump = configured(&["mpm_prefork"], &["mpm-accept"], "Listen 80");
    let splits = Build { splits_wildcard: true, ..debian() };
    assert_eq!(demand(&dump, Some(&splits), &host()).sets(), (0, 1));
}

#[test]
fn a_name_that_resolves_to_two_addresses_is_two_listeners() {
    let dump = configured(&["mpm_prefork"], &["mpm-accept"], "Listen www.example.com:80");
    assert_eq!(dump.listen_names().into_iter().collect::<Vec<_>>(), ["www.example.com"]);
    let of = |addresses: Vec<IpAddr>| {
        let addresses = HashMap::from([("www.example.com".to_owned(), addresses)]);
        demand(&dump, Some(&debian()), &Host { cores: 2, addresses }).sets()
    };
    assert_eq!(of(vec![[1, 2, 3, 4].into()]), (0, 0));
    assert_eq!(of(vec![[1, 2, 3, 4].into(), [1, 2, 3, 5].into()]), (1, 1));
    // Not resolved here, hence unknown.
    assert_eq!(demand(&dump, Some(&debian()), &host()).sets(), (0, 1));
}

#[test]
fn an_unknown_mpm_is_in_doubt() {
    assert_eq!(sets(&["mpm_new"], &["mpm-accept"], "Listen 80\nListen 81"), (0, 1));
}

#[test]
fn only_session_caches_that_are_not_safe_by_themselves_need_a_mutex() {
    for (config, want) in [
        ("", 0),
        ("SSLSessionCache shmcb:/x(512000)", 1),
        ("SSLSessionCache dbm:/x", 1),
        ("SSLSessionCache memcache:h:1", 0),
        ("SSLSessionCache none", 0),
        ("SSLSessionCache shmcb:/x\nSSLSessionCache none", 1),
    ] {
        assert_eq!(sets(&["ssl"], &["ssl-cache"], config), (want, want), "{config}");
    }
    assert_eq!(sets(&["ssl"], &["ssl-cache"], "SSLSessionCache novel:/x"), (0, 1));
}

#[test]
fn stapling_needs_a_server_that_speaks_tls_and_staples() {
    let types = ["ssl-stapling", "ssl-stapling-refresh"];
    let store = "SSLStaplingCache shmcb:/x\n";
    let host = |inside: &str| format!("<VirtualHost *:443>\n{inside}\n</VirtualHost>\n");
    let on = host("SSLEngine on");
    for (config, want) in [
        (format!("{store}SSLUseStapling on\n{on}"), 2),
        (format!("{store}{}", host("SSLEngine on\nSSLUseStapling on")), 2),
        (format!("{store}SSLUseStapling on\nSSLEngine on"), 2),
        (format!("SSLStaplingCache memcache:h\nSSLUseStapling on\n{on}"), 1),
        (format!("{store}SSLUseStapling on\n{}", host("SSLEngine on\nSSLUseStapling off")), 0),
        (format!("{store}SSLUseStapling on\n{}", host("SSLEngine off")), 0),
        (format!("{store}{on}"), 0),
        (format!("{store}SSLUseStapling on"), 0),
        (format!("SSLUseStapling on\n{on}"), 0),
    ] {
        assert_eq!(sets(&["ssl"], &types, &config), (want, want), "{config}");
    }
    let perhaps = |more| {
        format!("{store}SSLUseStapling on\nListen 443 https\n{}{more}", host("ServerName x"))
    };
    assert_eq!(sets(&["ssl"], &types, &perhaps("SSLCertificateFile /c")), (0, 2));
    // From 2.4.34 on, a listener alone does not enable TLS without a certificate.
    assert_eq!(sets(&["ssl"], &types, &perhaps("")), (0, 0));
    let of = |patch, config: &str| {
        let build = Build { version: Some(Version(2, 4, patch)), ..older() };
        demand(&configured(&["ssl"], &types[..1], config), Some(&build), &Host::default()).sets()
    };
    assert_eq!(of(33, &perhaps("")), (0, 1));
    let optional = format!("{store}SSLUseStapling on\n{}", host("SSLEngine optional"));
    assert_eq!(of(6, &optional), (1, 1));
    // Up to 2.4.9 the listener took precedence over SSLEngine.
    let off = format!("{store}Listen 443\n{}", host("SSLEngine off\nSSLUseStapling on"));
    assert_eq!((of(9, &off), of(10, &off)), ((0, 1), (0, 0)));
    // Up to 2.4.15 there was one for any cache.
    let safe = format!("SSLStaplingCache memcache:h\nSSLUseStapling on\n{on}");
    assert_eq!((of(15, &safe), of(16, &safe)), ((1, 1), (0, 0)));
    // Backported to an older httpd, the two types come together.
    let both = configured(&["ssl"], &types, &safe);
    let build = Build { version: Some(Version(2, 4, 6)), ..older() };
    assert_eq!(demand(&both, Some(&build), &Host::default()).sets(), (1, 1));
}

#[test]
fn a_map_answered_by_a_program_needs_one_mutex_for_all_maps() {
    for (config, want) in [
        ("RewriteMap m txt:/x", 0),
        ("RewriteMap m prg:/x", 1),
        ("RewriteMap m \"PRG:/x y\"\nRewriteMap n prg:/z", 1),
        ("<VirtualHost *:80>\nRewriteMap m prg:/x\n</VirtualHost>", 1),
    ] {
        assert_eq!(sets(&["rewrite"], &["rewrite-map"], config), (want, want), "{config}");
    }
}

#[test]
fn some_modules_need_a_mutex_by_being_loaded() {
    for (module, types) in [
        ("proxy", ["proxy"].as_slice()),
        ("ldap", &["ldap-cache"]),
        ("lua", &["lua-ivm-shm"]),
        ("auth_digest", &["authdigest-client"]),
        ("fcgid", &["fcgid-pipe", "fcgid-proctbl"]),
    ] {
        let want = i64::try_from(types.len()).expect("few");
        assert_eq!(sets(&[module], types, ""), (want, want), "{module}");
    }
}

#[test]
fn the_authentication_cache_needs_one_once_it_is_switched_on() {
    let of = |config| sets(&["authn_socache"], &["authn-socache"], config);
    assert_eq!(of("AuthnCacheSOCache shmcb"), (0, 0));
    assert_eq!(of("AuthnCacheEnable "), (1, 1));
    assert_eq!(of("<Directory /x>\nAuthnCacheProvideFor file\n</Directory>"), (1, 1));
}

#[test]
fn the_content_cache_needs_one_around_an_unsafe_provider() {
    let of = |config| sets(&["cache_socache"], &["cache-socache"], config);
    assert_eq!(of("CacheEnable socache /"), (0, 0));
    assert_eq!(of("CacheSocache shmcb"), (1, 1));
    assert_eq!(of("CacheSocache memcache:h"), (0, 0));
}

#[test]
fn watchdogs_add_up() {
    let of = |modules: &[&str], config: &str| sets(modules, &["watchdog-callback"], config);
    assert_eq!(of(&["watchdog"], ""), (0, 0));
    assert_eq!(of(&["proxy_hcheck"], ""), (1, 1));
    assert_eq!(of(&["heartbeat"], "HeartbeatAddress 239.0.0.1:2"), (1, 1));
    assert_eq!(of(&["proxy_hcheck"], "HeartbeatAddress x\nHeartbeatListen y"), (3, 3));
    let host = "<VirtualHost *:80>\nServerName www.example.com\n</VirtualHost>";
    assert_eq!(of(&["md"], &format!("MDomain www.example.com\n{host}")), (1, 1));
    assert_eq!(of(&["md"], &format!("MDomain other.example.com\n{host}")), (0, 1));
    let other = |mode| format!("MDRenewMode {mode}\nMDomain other.example.com\n{host}");
    assert_eq!(of(&["md"], &other("always")), (1, 1));
    assert_eq!(of(&["md"], &other("manual")), (1, 1), "since 2.4.41");
    let older = Build { version: Some(Version(2, 4, 37)), ..older() };
    let manual = other("manual").replace("MDRenewMode", "MDDriveMode");
    let dump = configured(&["md"], &["watchdog-callback"], &manual);
    assert_eq!(demand(&dump, Some(&older), &Host::default()).sets(), (0, 0));
    assert_eq!(of(&["md"], "MDStapling on"), (0, 1));
}

fn balanced(config: &str) -> (i64, i64) {
    sets(&["proxy", "proxy_balancer"], &["proxy-balancer-shm"], config)
}

#[test]
fn a_balancer_is_made_by_members_parameters_or_proxypass() {
    let section = |name: &str, inside: &str| format!("<Proxy {name}>\n{inside}\n</Proxy>\n");
    let member = "BalancerMember http://127.0.0.1:9";
    for (config, want) in [
        (section("balancer://a", member), 1),
        (section("\"balancer://a\"", "ProxySet lbmethod=byrequests"), 1),
        (section("balancer://a lbmethod=byrequests", ""), 1),
        (section("balancer://a", ""), 0),
        (section("balancer://a", "Require all granted"), 0),
        (section("balancer://*", "Require all granted"), 0),
        (section("balancer://A", member) + &section("balancer://a/x", member), 1),
        (section("balancer://a:80", member) + &section("balancer://a", member), 2),
        ("BalancerMember balancer://a http://h\nBalancerMember balancer://b http://h".into(), 2),
        ("ProxyPass /x balancer://a/y".into(), 1),
        ("ProxyPassMatch ^/x(.*) balancer://a$1".into(), 1),
        ("<Location /x>\nProxyPass BALANCER://a\n</Location>".into(), 1),
        ("ProxyPass /x !\nProxyPassReverse /y balancer://a".into(), 0),
        ("RewriteRule ^/x balancer://a/ [P]".into(), 0),
        (section("balancer://a", "BalancerMember balancer://b"), 1),
    ] {
        assert_eq!(balanced(&config), (want, want), "{config}");
    }
}

#[test]
fn a_virtual_host_with_a_proxy_directive_copies_the_main_servers_balancers() {
    let a = "<Proxy balancer://a>\nBalancerMember http://h\n</Proxy>\n";
    let b = "<Proxy balancer://b>\nBalancerMember http://h\n</Proxy>\n";
    let host = |inside: &str| format!("<VirtualHost *:80>\n{inside}\n</VirtualHost>\n");
    for (config, want) in [
        (format!("{a}{}", host("ServerName x")), 1),
        (format!("{a}{}{}", host("ProxyTimeout 5"), host("ProxyPreserveHost on")), 3),
        (format!("{a}{}", host("<Location /x>\nProxyPassReverse /\n</Location>")), 2),
        (format!("{a}{}", host("ProxyHTMLEnable on\nProxyFtpListOnWildcard on")), 1),
        (format!("{a}{}", host(a)), 2),
        (format!("{a}{}", host(b)), 3),
        (format!("{}{}", host(a), host(a)), 2),
        (format!("BalancerInherit off\nProxyPassInherit off\n{a}{}", host(b)), 2),
        (format!("BalancerInherit off\n{a}{}", host(b)), 3),
        (format!("{a}{}", host(&format!("BalancerInherit off\nProxyPassInherit off\n{b}"))), 2),
        (
            format!(
                "BalancerInherit off\nProxyPassInherit off\n{a}{}",
                host(&format!("BalancerInherit on\n{b}"))
            ),
            3,
        ),
    ] {
        assert_eq!(balanced(&config), (want, want), "{config}");
    }
}

#[test]
fn an_unknown_mutex_type_is_in_doubt() {
    assert_eq!(sets(&["novel"], &["novel-lock"], ""), (0, 1));
}

#[test]
fn a_types_own_line_wins_over_the_default_and_that_over_the_compiled_in_one() {
    let of = |own: Setting, default: Setting, build: &Build| {
        let mut dump = configured(&["proxy"], &[], "");
        dump.mutexes = vec![
            Mutex { name: "default".into(), setting: default },
            Mutex { name: "proxy".into(), setting: own },
        ];
        demand(&dump, Some(build), &host()).rows.first().and_then(|r| r.mechanism)
    };
    let set = |m| Setting::Set { mechanism: Some(m), dir: String::new() };
    let compiled = || Setting::Default { dir: String::new() };
    let using = || Setting::UsingDefaults;
    let flock = set(Mechanism::Flock);
    assert_eq!(of(flock, set(Mechanism::SysVSem), &older()), Some(Mechanism::Flock));
    assert_eq!(of(using(), set(Mechanism::Fcntl), &older()), Some(Mechanism::Fcntl));
    assert_eq!(of(using(), compiled(), &older()), Some(Mechanism::SysVSem));
    assert_eq!(of(compiled(), set(Mechanism::Fcntl), &older()), Some(Mechanism::SysVSem));
    assert_eq!(of(set(Mechanism::None), compiled(), &older()), None);
}

#[test]
fn a_default_of_an_unknown_build_is_in_doubt() {
    let mut dump = configured(&["proxy"], &["proxy"], "");
    dump.mutexes[0].setting = Setting::Default { dir: String::new() };
    assert_eq!(demand(&dump, None, &host()).sets(), (0, 1));
    assert!(depends_on_build(&dump, &host()));
    assert_eq!(demand(&dump, Some(&older()), &host()).sets(), (1, 1));
    assert_eq!(demand(&dump, Some(&debian()), &host()).sets(), (0, 0));
}

#[test]
fn a_start_fails_at_the_first_mutex_without_room_and_the_second_pass_is_distinguished() {
    let of = |mutex: &str| Mutexes {
        mutex: mutex.into(),
        mechanism: Some(Mechanism::SysVSem),
        dir: String::new(),
        least: 1,
        most: 1,
        cause: String::new(),
        passes: match mutex {
            "mpm-accept" => Passes::Both,
            "ssl-cache" => Passes::Kept,
            _ => Passes::Second,
        },
        words: LogLine::Ah00023,
    };
    let demand = Demand { rows: vec![of("mpm-accept"), of("ssl-cache"), of("ldap-cache")] };
    let breaks = |room| demand.breaks_off(room).map(|b| (b.mutex, b.detached));
    assert_eq!(breaks(0), Some(("mpm-accept".into(), false)));
    assert_eq!(breaks(1), Some(("ssl-cache".into(), false)));
    assert_eq!(breaks(2), Some(("ldap-cache".into(), true)));
    assert_eq!(breaks(3), None);
}

proptest! {
    /// Knowing less never narrows the range.
    #[test]
    fn missing_knowledge_only_widens_the_range(
        name in prop::sample::select(vec!["all-own-modules", "ssl-stapling", "balancers-vhosts"]),
    ) {
        let dump = recorded(name);
        let known = demand(&dump, Some(&debian()), &host()).sets();
        let unknown = demand(&dump, None, &host()).sets();
        prop_assert!(unknown.0 <= known.0 && unknown.1 >= known.1);
    }
}
