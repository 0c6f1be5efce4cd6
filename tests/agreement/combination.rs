//! One combination of MPM, listeners, modules, `Mutex` directives and what httpd will find, generated
//! from a number, so that it can be repeated. Every configuration here starts if its locks can be made,
//! except for the few that httpd is meant to reject.

use std::fmt::Write;

use super::random::Random;
use super::server::{APACHE, CONTROL, Config, LOCKS, TLS};

/// What happens to the lock directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    Fine,
    /// This many files fewer (or more) than needed can be created.
    Scarce,
    ReadOnly,
    Absent,
    NoDirectory,
}

/// What happens to /dev/shm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shm {
    Fine,
    ScarcePages,
    ScarceInodes,
    ReadOnly,
}

/// What limits the number of semaphore sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Semmni,
    Semmns,
    Both,
    Semmsl,
}

/// A combination.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    pub(crate) config: String,
    /// A file that the configuration includes.
    pub(crate) included: String,
    pub(crate) control: &'static str,
    /// httpd rejects it for a reason other than a lock.
    pub(crate) refused: bool,
    pub(crate) locks: Locks,
    /// The directory that `locks` refers to.
    pub(crate) lock_dir: &'static str,
    pub(crate) shm: Shm,
    pub(crate) limit: Limit,
    /// Semaphores in each set that belongs to others.
    pub(crate) strangers: Vec<usize>,
    /// Sets left behind by a dead httpd.
    pub(crate) orphans: usize,
    /// For what depends on the need.
    pub(crate) random: Random,
}

impl Combination {
    /// The combination with this number.
    pub(crate) fn new(seed: u64, case: u64) -> Combination {
        let mut random = Random::new(seed, case);
        let mpm = random.pick(&["prefork", "worker", "event"]);
        let mut builder = Builder { r: random, config: Config::new(mpm), hosts: Vec::new() };
        builder.listeners(mpm);
        builder.modules();
        builder.virtual_hosts();
        let (locks, refused) = builder.mutexes(mpm);
        let mut config = builder.config;
        let hosts: String = builder.hosts.iter().map(Host::text).collect();
        let mut r = builder.r;
        let included = if r.percent(20) { hosts.clone() } else { String::new() };
        config.add(if included.is_empty() { &hosts } else { "Include /run/t/hosts.conf" });
        let shares_memory = config.shares_memory();
        let no_dir = locks == LockChoice::RuntimeDir;
        let control = r.weighed(&[(2, APACHE), (1, CONTROL)]);
        let locks = match locks {
            LockChoice::None => Locks::Fine,
            // Debian's control program would create it.
            LockChoice::RuntimeDir if control == CONTROL => Locks::Fine,
            LockChoice::RuntimeDir => r.pick(&[Locks::Fine, Locks::Absent]),
            LockChoice::Named => r.weighed(&[
                (4, Locks::Fine),
                (8, Locks::Scarce),
                (1, Locks::ReadOnly),
                (1, Locks::Absent),
                (1, Locks::NoDirectory),
            ]),
        };
        Combination {
            config: config.text(),
            included,
            control,
            refused,
            locks,
            lock_dir: if no_dir { "/run/apache2" } else { LOCKS },
            shm: if shares_memory {
                Shm::Fine
            } else {
                r.weighed(&[
                    (2, Shm::Fine),
                    (3, Shm::ScarcePages),
                    (3, Shm::ScarceInodes),
                    (1, Shm::ReadOnly),
                ])
            },
            limit: r.weighed(&[
                (8, Limit::Semmni),
                (8, Limit::Semmns),
                (3, Limit::Both),
                (1, Limit::Semmsl),
            ]),
            strangers: (0..r.weighed(&[(3, 0), (2, 1), (2, 2), (1, 4)]))
                .map(|_| r.pick(&[1, 1, 2, 5]))
                .collect(),
            orphans: r.weighed(&[(6, 0), (1, 1), (1, 2)]),
            random: r,
        }
    }
}

/// Where lock files are created, if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockChoice {
    None,
    Named,
    /// No directory named: httpd's own.
    RuntimeDir,
}

struct Host {
    port: u16,
    name: String,
    lines: String,
}

impl Host {
    fn text(&self) -> String {
        let Host { port, name, lines } = self;
        format!("<VirtualHost *:{port}>\nServerName {name}.test\n{lines}</VirtualHost>\n")
    }
}

struct Builder {
    r: Random,
    config: Config,
    hosts: Vec<Host>,
}

impl Builder {
    fn listeners(&mut self, mpm: &str) {
        const MORE: [&str; 5] =
            ["127.0.0.1:8443", "8443", "[::1]:8443", "0.0.0.0:8443\nListen [::]:8443", "*:8443"];
        let number = self.r.pick(&[1, 2, 2, 3]);
        if number >= 2 {
            let line = self.r.pick(&MORE);
            self.config.add(&format!("Listen {line}"));
        }
        if number >= 3 {
            self.config.add(self.r.pick(&["Listen 127.0.0.1:8444", "listen 8444 http"]));
        }
        if self.r.percent(if mpm == "event" { 10 } else { 25 }) {
            let ratio = self.r.pick(&[1, 1, 2, 3, 8]);
            self.config.add(&format!("ListenCoresBucketsRatio {ratio}"));
        }
    }

    fn modules(&mut self) {
        if self.r.percent(35) {
            self.tls();
        }
        if self.r.percent(30) {
            self.rewrite();
        }
        if self.r.percent(45) {
            self.proxy();
        }
        if self.r.percent(15) {
            self.config.load(&["ldap"]);
            if self.r.percent(30) {
                self.config.add("LDAPCacheEntries 0");
            }
        }
        if self.r.percent(15) {
            self.config.load(&["lua"]);
        }
        if self.r.percent(12) {
            self.config.load(&["authn_core", "auth_digest"]);
        }
        if self.r.percent(15) {
            self.config.load(&["authn_core", "authn_file", "authz_user", "auth_basic"]);
            self.config.load(&["socache_shmcb", "authn_socache"]);
            let line = self.r.pick(&[
                "",
                "AuthnCacheEnable",
                "AuthnCacheEnable\nAuthnCacheSOCache shmcb:/run/t/data/authn(32000)",
                "AuthnCacheSOCache shmcb",
                "<Location /private>\nAuthnCacheProvideFor file\n</Location>",
                "<Location /private>\nAuthnCacheTimeout 5\n</Location>",
            ]);
            self.config.add(line);
        }
        if self.r.percent(15) {
            self.config.load(&["socache_shmcb", "socache_dbm", "socache_memcache"]);
            self.config.load(&["cache", "cache_socache"]);
            let line = self.r.pick(&[
                "",
                "CacheEnable socache /x",
                "CacheSocache shmcb",
                "CacheSocache shmcb:/run/t/data/cache(512000)\nCacheEnable socache /x",
                "CacheSocache memcache:127.0.0.1:11211",
                "CacheSocacheMaxTime 100",
            ]);
            self.config.add(line);
        }
        if self.r.percent(8) {
            self.config.load(&["status", "heartbeat"]);
            if self.r.percent(70) {
                self.config.add("HeartbeatAddress 239.0.0.1:27999");
            }
        }
        if self.r.percent(8) {
            self.config.load(&["slotmem_shm", "heartmonitor"]);
            if self.r.percent(70) {
                self.config.add("HeartbeatListen 239.0.0.1:27999");
            }
        }
        if self.r.percent(15) {
            // Modules that create no mutex.
            for _ in 0..=self.r.below(3) {
                let more = self.r.pick(&[
                    "status",
                    "info",
                    "macro",
                    "unique_id",
                    "slotmem_shm",
                    "session",
                    "dav",
                    "remoteip",
                    "socache_shmcb",
                    "reqtimeout",
                ]);
                self.config.load(&[more]);
            }
        }
    }

    fn tls(&mut self) {
        self.config.load(&["socache_shmcb", "socache_dbm", "ssl"]);
        let store = self.r.pick(&[
            "",
            "SSLSessionCache none",
            "SSLSessionCache nonenotnull",
            "SSLSessionCache shmcb:/run/t/data/ssl(512000)",
            "SSLSessionCache \"shmcb:/run/t/data/ssl(512000)\"",
            "SSLSessionCache dbm:/run/t/data/sslcache",
            "SSLSessionCache shmcb:/run/t/data/ssl(512000)\nSSLSessionCache none",
            "SSLSessionCache none\nSSLSessionCache shmcb",
        ]);
        self.config.add(store);
        let stapling = self.r.percent(60);
        if stapling {
            let store = self.r.pick(&["shmcb:/run/t/data/st(128000)", "dbm:/run/t/data/st"]);
            self.config.add(&format!("SSLStaplingCache {store}"));
            if self.r.percent(50) {
                self.config.add("SSLUseStapling on");
            }
        }
        if self.r.percent(12) {
            self.config.add(&format!("SSLEngine on\n{TLS}"));
        }
        for n in 0..self.r.below(3) {
            let mut lines = TLS.to_owned();
            let engine = self.r.pick(&["SSLEngine on\n", "sslengine On\n", "SSLEngine off\n", ""]);
            lines.push_str(engine);
            if stapling && self.r.percent(40) {
                lines.push_str(self.r.pick(&["SSLUseStapling on\n", "SSLUseStapling off\n"]));
            }
            let port = self.r.pick(&[8443, 8444]);
            self.hosts.push(Host { port, name: format!("tls{n}"), lines });
        }
    }

    fn rewrite(&mut self) {
        self.config.load(&["rewrite"]);
        for n in 0..self.r.below(3) {
            let map = self.r.pick(&[
                "txt:/run/t/map.txt",
                "rnd:/run/t/map.txt",
                "int:tolower",
                "prg:/run/t/map.sh",
                "\"prg:/run/t/map.sh an-argument\"",
                "PRG:/run/t/map.sh",
            ]);
            let engine = self.r.pick(&["", "RewriteEngine on\n", "RewriteEngine off\n"]);
            let lines = format!("{engine}RewriteMap m{n} {map}\n");
            if self.r.percent(40) {
                self.hosts.push(Host { port: 8081, name: format!("map{n}"), lines });
            } else {
                self.config.add(&lines);
            }
        }
    }

    fn proxy(&mut self) {
        self.config.load(&["proxy", "proxy_http"]);
        if self.r.percent(70) {
            self.config.load(&["slotmem_shm", "lbmethod_byrequests", "proxy_balancer"]);
        }
        if self.r.percent(25) {
            self.config.load(&["proxy_hcheck"]);
        }
        for line in ["BalancerInherit Off", "ProxyPassInherit Off", "ProxyTimeout 5"] {
            if self.r.percent(15) {
                self.config.add(line);
            }
        }
        for _ in 0..self.r.pick(&[0, 1, 1, 2, 3]) {
            let lines = self.balancer();
            self.config.add(&lines);
        }
        for n in 0..self.r.pick(&[0, 0, 1, 2, 3]) {
            let mut lines = String::new();
            for line in [
                "BalancerInherit Off",
                "BalancerInherit On",
                "ProxyPassInherit Off",
                "ProxyPreserveHost On",
                "ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[234]/}",
                "ProxyPassReverse /x http://127.0.0.1:9001/",
            ] {
                let hcheck = self.config.has("proxy_hcheck");
                if self.r.percent(15) && (hcheck || !line.starts_with("ProxyHC")) {
                    let _ = writeln!(lines, "{line}");
                }
            }
            for _ in 0..self.r.pick(&[0, 0, 1, 2]) {
                lines.push_str(&self.balancer());
            }
            self.hosts.push(Host { port: 8080, name: format!("proxy{n}"), lines });
        }
    }

    /// Directives that create a balancer, or look as if they did.
    fn balancer(&mut self) -> String {
        let name = self.r.pick(&["a", "b", "A", "c"]);
        let member = "BalancerMember http://127.0.0.1:9001";
        if !self.config.has("proxy_balancer") {
            return format!(
                "<Proxy http://127.0.0.1:9001/{name}>\nRequire all granted\n</Proxy>\n"
            );
        }
        match self.r.below(10) {
            0..4 => format!("<Proxy balancer://{name}>\n{member}\n</Proxy>\n"),
            4 => format!("<Proxy \"balancer://{name}/\">\n{member}\n</Proxy>\n"),
            5 => format!("<Proxy balancer://{name}>\nRequire all granted\n</Proxy>\n"),
            6 => format!("ProxyPass /{name} balancer://{name}/path/\n"),
            7 => format!("BalancerMember balancer://{name} http://127.0.0.1:9002\n"),
            8 => format!(
                "<Location /{name}>\nProxyPass balancer://{name} lbmethod=byrequests\n</Location>\n"
            ),
            _ => {
                format!("<Proxy balancer://{name} lbmethod=byrequests>\n{member}\n</Proxy>\n")
            }
        }
    }

    /// Ordinary virtual hosts.
    fn virtual_hosts(&mut self) {
        for n in 0..self.r.pick(&[0, 0, 0, 1, 2]) {
            self.hosts.push(Host { port: 8081, name: format!("plain{n}"), lines: String::new() });
        }
    }

    /// `Mutex` directives; where lock files are then created, and whether httpd rejects one of them.
    fn mutexes(&mut self, mpm: &str) -> (LockChoice, bool) {
        let mechanism = |r: &mut Random| {
            r.weighed(&[
                (9, "sysvsem"),
                (4, "posixsem"),
                (1, "sem"),
                (3, "file:/run/t/locks"),
                (1, "fcntl:/run/t/locks"),
                (3, "flock:/run/t/locks"),
                (2, "pthread"),
                (1, "default"),
                (1, "yes"),
            ])
        };
        let general = match self.r.below(100) {
            0..55 => self.r.pick(&["Mutex sysvsem default", "Mutex SysVSem", "mutex sysvsem"]),
            55..63 => "",
            63..67 => self.r.pick(&["Mutex file default", "Mutex flock", "Mutex fcntl default"]),
            67..70 => "Mutex posixsem default\nMutex sysvsem default",
            _ => "?",
        };
        let own_dir =
            ["file", "flock", "fcntl"].iter().any(|m| general.split_whitespace().nth(1) == Some(m));
        let mut lines: Vec<String> = match general {
            "?" => vec![format!("Mutex {} default", mechanism(&mut self.r))],
            general => vec![general.to_owned()],
        };
        if !own_dir && self.r.percent(40) {
            let types = self.types(mpm);
            for _ in 0..=self.r.below(3) {
                let (name, how) = (self.r.pick(&types), mechanism(&mut self.r));
                let omit = if self.r.percent(10) { " OmitPID" } else { "" };
                let line = format!("Mutex {how} {name}{omit}");
                let place = self.r.below(lines.len() + 1);
                lines.insert(place, line);
            }
        }
        let refused = self.r.percent(3);
        if refused {
            let types = self.types(mpm);
            let name = self.r.pick(&types);
            lines.push(match self.r.below(4) {
                0 => "Mutex none default".into(),
                1 => format!("Mutex none {name}"),
                2 => "Mutex sysvsem no-such-type".into(),
                _ => "AcceptMutex sysvsem".into(),
            });
        }
        let named = lines.iter().any(|l| l.contains(LOCKS));
        for line in &lines {
            self.config.add(line);
        }
        let choice = match (own_dir, named) {
            (true, _) => LockChoice::RuntimeDir,
            (_, true) => LockChoice::Named,
            _ => LockChoice::None,
        };
        (choice, refused)
    }

    /// The mutex types that are registered.
    fn types(&self, mpm: &str) -> Vec<&'static str> {
        const OF: [(&str, &[&str]); 9] = [
            ("ssl", &["ssl-cache", "ssl-stapling", "ssl-stapling-refresh"]),
            ("rewrite", &["rewrite-map"]),
            ("proxy", &["proxy"]),
            ("proxy_balancer", &["proxy-balancer-shm"]),
            ("ldap", &["ldap-cache"]),
            ("lua", &["lua-ivm-shm"]),
            ("auth_digest", &["authdigest-client"]),
            ("authn_socache", &["authn-socache"]),
            ("cache_socache", &["cache-socache"]),
        ];
        let mut types = vec!["watchdog-callback"];
        if mpm != "event" {
            types.push("mpm-accept");
        }
        for (module, its) in OF {
            if self.config.has(module) {
                types.extend(its);
            }
        }
        types
    }
}
