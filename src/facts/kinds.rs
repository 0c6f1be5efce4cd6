//! The one table of mutex kinds: which module makes which mutex, in which httpd versions, how many and
//! when. Taken from httpd's sources at its release tags, and checked against recorded starts
//! (tests/recorded.rs). docs/mutexes.md is generated from it.

use super::build::Version;
use super::mutex::{Moment, Passes};

/// How many mutexes of a kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// This many, as soon as the module is loaded.
    Loaded(u32),
    /// One per listen bucket, if there is more than one listener (server/listen.c).
    Listeners,
    /// One for any SSLSessionCache that is not safe by itself.
    SessionCache,
    /// One for SSLUseStapling on a TLS-enabled server, for any cache.
    Stapling,
    /// The same, but only for a cache that is not safe by itself.
    StaplingCache,
    /// One for a RewriteMap that is answered by a program.
    RewriteProgram,
    /// One per balancer. A virtual host with a proxy configuration of its own also gets the main
    /// server's balancers, each in addition to its own of the same name (`merged`: once only), unless
    /// it inherits nothing (`inherit`: the directives for that exist).
    Balancers {
        /// BalancerInherit and ProxyPassInherit exist.
        inherit: bool,
        /// Balancers of the same name are merged into one.
        merged: bool,
    },
    /// One per singleton watchdog that is in use.
    Watchdogs,
    /// One for AuthnCacheEnable or AuthnCacheProvideFor.
    AuthnCache,
    /// One for any CacheSocache that is not safe by itself.
    CacheSocache,
    /// One for any TLSSessionCache that is not safe by itself.
    TlsCache,
    /// One, unless LDAPSharedCacheSize is 0 (httpd 2.2).
    LdapCache,
    /// One, unless SSLMutex is none (httpd 2.2).
    SslMutex,
    /// One for RewriteLock (httpd 2.2).
    RewriteLock,
}

/// One kind, for the versions in which it is made this way.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in `Mutex` and AH00023; for 2.2, the directive that sets it.
    pub mutex: &'static str,
    /// The modules that make it (any one of them), as in DUMP_MODULES, without "_module".
    pub modules: &'static [&'static str],
    /// The first version.
    pub from: Version,
    /// The last version; `None` for the newest known.
    pub until: Option<Version>,
    /// In which of the two configuration passes.
    pub passes: Passes,
    /// When in that pass.
    pub moment: Moment,
    /// How many.
    pub rule: Rule,
}

impl Kind {
    /// Whether this row applies to `version`.
    #[must_use]
    pub fn is_of(&self, version: Version) -> bool {
        self.from <= version && self.until.is_none_or(|until| version <= until)
    }
}

/// The kinds with this name in this version; all of them if the version is unknown or should not have
/// this kind.
#[must_use]
pub fn named(mutex: &str, version: Option<Version>) -> Vec<&'static Kind> {
    let all: Vec<&Kind> = KINDS.iter().filter(|k| k.mutex == mutex).collect();
    let exact: Vec<&Kind> =
        all.iter().copied().filter(|k| version.is_some_and(|v| k.is_of(v))).collect();
    if exact.is_empty() { all } else { exact }
}

/// httpd 2.2's lock around accept(), named after the directive that sets it.
pub const ACCEPT_LOCK: &str = "AcceptMutex";

const V22: Version = Version(2, 2, 0);
const V22_LAST: Option<Version> = Some(Version(2, 2, u32::MAX));
const V24: Version = Version(2, 4, 0);

const fn until(patch: u32) -> Option<Version> {
    Some(Version(2, 4, patch))
}

const fn since(patch: u32) -> Version {
    Version(2, 4, patch)
}

const fn kind(
    mutex: &'static str,
    modules: &'static [&'static str],
    (from, until): (Version, Option<Version>),
    passes: Passes,
    moment: Moment,
    rule: Rule,
) -> Kind {
    Kind { mutex, modules, from, until, passes, moment, rule }
}

const BALANCERS: [&str; 1] = ["proxy_balancer"];

use Moment::{OpenLogs, PostConfig, Run};
use Passes::{Both, Kept, Second};

/// Every known kind. Kinds of one module are in the order in which it makes them.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    // server/mpm/prefork/prefork.c, server/mpm/worker/worker.c
    kind("mpm-accept", &["mpm_prefork", "mpm_worker"], (V24, until(16)), Second, Run, Rule::Loaded(1)),
    kind("mpm-accept", &["mpm_prefork", "mpm_worker"], (since(17), None), Both, OpenLogs, Rule::Listeners),
    // modules/aaa/mod_auth_digest.c; the opaque one is in 2.4.68 and not in 2.4.71, as Debian has them.
    kind("authdigest-client", &["auth_digest"], (V24, None), Second, PostConfig, Rule::Loaded(1)),
    kind("authdigest-opaque", &["auth_digest"], (V24, until(70)), Second, PostConfig, Rule::Loaded(1)),
    // modules/ssl/ssl_engine_mutex.c, ssl_util_stapling.c
    kind("ssl-cache", &["ssl"], (V24, None), Kept, PostConfig, Rule::SessionCache),
    kind("ssl-stapling", &["ssl"], (V24, until(15)), Kept, PostConfig, Rule::Stapling),
    kind("ssl-stapling", &["ssl"], (since(16), None), Kept, PostConfig, Rule::StaplingCache),
    kind("ssl-stapling-refresh", &["ssl"], (since(16), None), Kept, PostConfig, Rule::Stapling),
    // modules/mappers/mod_rewrite.c
    kind("rewrite-map", &["rewrite"], (V24, until(37)), Both, PostConfig, Rule::Loaded(1)),
    kind("rewrite-map", &["rewrite"], (since(38), None), Both, PostConfig, Rule::RewriteProgram),
    // modules/proxy/mod_proxy.c, mod_proxy_balancer.c
    kind("proxy", &["proxy"], (since(5), None), Both, PostConfig, Rule::Loaded(1)),
    kind("proxy-balancer-shm", &BALANCERS, (V24, until(4)), Second, PostConfig,
        Rule::Balancers { inherit: false, merged: false }),
    kind("proxy-balancer-shm", &BALANCERS, (since(5), until(29)), Second, PostConfig,
        Rule::Balancers { inherit: true, merged: false }),
    kind("proxy-balancer-shm", &BALANCERS, (since(30), None), Second, PostConfig,
        Rule::Balancers { inherit: true, merged: true }),
    // modules/core/mod_watchdog.c
    kind("watchdog-callback", &["watchdog"], (V24, None), Second, PostConfig, Rule::Watchdogs),
    // modules/ldap/util_ldap.c
    kind("ldap-cache", &["ldap"], (V24, None), Second, PostConfig, Rule::Loaded(1)),
    // modules/lua/mod_lua.c
    kind("lua-ivm-shm", &["lua"], (since(10), None), Second, PostConfig, Rule::Loaded(1)),
    // modules/aaa/mod_authn_socache.c
    kind("authn-socache", &["authn_socache"], (V24, None), Both, PostConfig, Rule::AuthnCache),
    // modules/cache/mod_cache_socache.c
    kind("cache-socache", &["cache_socache"], (since(5), None), Both, PostConfig, Rule::CacheSocache),
    // modules/tls/tls_cache.c
    kind("tls-session-cache", &["tls"], (since(52), until(62)), Both, PostConfig, Rule::TlsCache),
    // modules/examples/mod_example_ipc.c
    kind("example-ipc-shm", &["example_ipc"], (V24, None), Second, PostConfig, Rule::Loaded(1)),
    // mod_fcgid, modules/fcgid/fcgid_mutex_unix.c
    kind("fcgid-pipe", &["fcgid"], (V24, None), Second, PostConfig, Rule::Loaded(1)),
    kind("fcgid-proctbl", &["fcgid"], (V24, None), Second, PostConfig, Rule::Loaded(1)),
    // httpd 2.2: server/mpm/prefork/prefork.c, server/mpm/worker/worker.c
    kind(ACCEPT_LOCK, &["mpm_prefork", "mpm_worker", "mpm_itk"], (V22, V22_LAST), Second, Run, Rule::Loaded(1)),
    // modules/ssl/ssl_engine_mutex.c
    kind("SSLMutex", &["ssl"], (V22, V22_LAST), Kept, PostConfig, Rule::SslMutex),
    // modules/mappers/mod_rewrite.c
    kind("RewriteLock", &["rewrite"], (V22, V22_LAST), Both, PostConfig, Rule::RewriteLock),
    // modules/ldap/util_ldap.c
    kind("LDAPSharedCacheSize", &["ldap"], (V22, V22_LAST), Second, PostConfig, Rule::LdapCache),
];

/// A third-party module that makes mutexes without registering them, most of them by APR's default
/// mechanism whatever `Mutex` says.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// The module, without "_module".
    pub module: &'static str,
    /// At least this many, without which the module does not start.
    pub least: u32,
    /// At most this many.
    pub most: u32,
}

const fn foreign(module: &'static str, least: u32, most: u32) -> Foreign {
    Foreign { module, least, most }
}

/// The known third-party modules. The figures are for the versions in Debian 12; other versions may
/// make fewer, and some of these modules can do without.
pub const FOREIGN: &[Foreign] = &[
    foreign("security2", 0, 3),
    foreign("jk", 0, 1),
    foreign("auth_mellon", 0, 1),
    foreign("tile", 0, 3),
    foreign("upload_progress", 0, 1),
    // Carries on with two of them; PythonOption mod_python.mutex_locks is the upper bound.
    foreign("python", 2, 8),
    foreign("mono", 0, 8),
    foreign("qos", 0, 4),
    // One for each multi-process WSGIDaemonProcess, by WSGIAcceptMutex.
    foreign("wsgi", 0, 0),
    // PHP scripts make sets of their own (sem_get), the module makes none; nor does Perl's.
    foreign("php", 0, 0),
    foreign("php5", 0, 0),
    foreign("php7", 0, 0),
    foreign("perl", 0, 0),
];

/// httpd's own modules, 2.4.1 to 2.4.62.
const OWN: &str = " core so http request access_compat actions alias allowmethods asis auth_basic \
    auth_digest auth_form authn_anon authn_core authn_dbd authn_dbm authn_file authn_socache \
    authnz_fcgi authnz_ldap authz_core authz_dbd authz_dbm authz_groupfile authz_host authz_owner \
    authz_user autoindex brotli bucketeer buffer cache cache_disk cache_socache case_filter \
    case_filter_in cern_meta cgi cgid charset_lite data dav dav_fs dav_lock dbd deflate dialup dir \
    dumpio echo env example_hooks example_ipc expires ext_filter file_cache filter headers \
    heartbeat heartmonitor http2 ident imagemap include info journald lbmethod_bybusyness \
    lbmethod_byrequests lbmethod_bytraffic lbmethod_heartbeat ldap log_config log_debug \
    log_forensic logio lua macro md mime mime_magic mpm_event mpm_prefork mpm_worker negotiation \
    optional_fn_export optional_fn_import optional_hook_export optional_hook_import privileges \
    proxy proxy_ajp proxy_balancer proxy_connect proxy_express proxy_fcgi proxy_fdpass proxy_ftp \
    proxy_hcheck proxy_html proxy_http proxy_http2 proxy_scgi proxy_uwsgi proxy_wstunnel ratelimit \
    reflector remoteip reqtimeout rewrite sed session session_cookie session_crypto session_dbd \
    setenvif slotmem_plain slotmem_shm socache_dbm socache_dc socache_memcache socache_redis \
    socache_shmcb speling ssl status substitute suexec systemd tls unique_id unixd userdir \
    usertrack version vhost_alias watchdog xml2enc ";

/// Whether it is known which mutexes this module makes: httpd's own modules register theirs.
#[must_use]
pub fn is_known(module: &str) -> bool {
    OWN.contains(&format!(" {module} "))
        || KINDS.iter().any(|k| k.modules.contains(&module))
        || FOREIGN.iter().any(|f| f.module == module)
}
