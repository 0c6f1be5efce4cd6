//! In which order modules' post_config hooks run: by the positions that they ask for, otherwise in load
//! order. Pure.

use crate::facts::build::Version;

/// A module's `post_config` hook.
struct Hook {
    /// The module.
    module: &'static str,
    /// The first version in which it asks for this position.
    from: Version,
    /// The last such version.
    until: Version,
    /// Among the last (APR_HOOK_LAST instead of APR_HOOK_MIDDLE).
    last: bool,
    /// Modules that run before it.
    after: &'static [&'static str],
    /// Modules that run after it.
    before: &'static [&'static str],
}

impl Hook {
    fn comes_before(&self, other: &Hook) -> bool {
        other.after.contains(&self.module) || self.before.contains(&other.module)
    }
}

const NEWEST: Version = Version(u32::MAX, 0, 0);

const fn hook(module: &'static str) -> Hook {
    let from = Version(0, 0, 0);
    Hook { module, from, until: NEWEST, last: false, after: &[], before: &[] }
}

/// The modules that make mutexes in this hook, and those that affect their order (`ap_hook_post_config`
/// in each, at httpd's release tags).
static HOOKS: &[Hook] = &[
    hook("http"),
    Hook { before: &["http"], ..hook("auth_digest") },
    Hook { until: Version(2, 4, 29), ..hook("ssl") },
    Hook { from: Version(2, 4, 30), before: &["proxy"], ..hook("ssl") },
    Hook { after: &["ssl"], ..hook("http2") },
    Hook { before: &["ssl", "tls"], ..hook("md") },
    Hook { from: Version(2, 4, 42), until: Version(2, 4, 47), after: &["ssl"], ..hook("md") },
    Hook { before: &["proxy"], ..hook("tls") },
    hook("rewrite"),
    hook("proxy"),
    Hook { until: Version(2, 4, 4), ..hook("proxy_balancer") },
    Hook { from: Version(2, 4, 5), after: &["proxy"], ..hook("proxy_balancer") },
    hook("heartmonitor"),
    Hook { after: &["heartmonitor"], ..hook("lbmethod_heartbeat") },
    hook("ldap"),
    hook("lua"),
    hook("authn_socache"),
    hook("cache_socache"),
    hook("example_ipc"),
    hook("fcgid"),
    Hook {
        last: true,
        after: &["proxy_balancer", "proxy"],
        before: &["watchdog"],
        ..hook("proxy_hcheck")
    },
    Hook { last: true, ..hook("watchdog") },
];

/// The loaded modules that have such a hook, in the order in which they are called (apr
/// hooks/apr_hooks.c, `tsort`): from the front, each as soon as all its predecessors have been placed.
/// If the front one is waiting for another, that one is placed next, wherever it is. An unknown version
/// is treated as the newest.
#[must_use]
pub fn order(modules: &[String], version: Option<Version>) -> Vec<&'static str> {
    let version = version.unwrap_or(NEWEST);
    let of_version = |h: &&Hook| h.from <= version && version <= h.until;
    let mut hooks: Vec<&Hook> = modules
        .iter()
        .flat_map(|m| HOOKS.iter().filter(of_version).filter(move |h| h.module == m))
        .collect();
    hooks.sort_by_key(|h| h.last);
    let mut placed = Vec::new();
    while let Some(mut next) = hooks.first().copied() {
        // The table has no cycle.
        while let Some(first) = hooks.iter().find(|h| h.comes_before(next)) {
            next = first;
        }
        placed.push(next.module);
        hooks.retain(|h| !std::ptr::eq(*h, next));
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(modules: &str) -> String {
        let modules: Vec<String> = modules.split(' ').map(str::to_owned).collect();
        order(&modules, None).join(" ")
    }

    #[test]
    fn hooks_run_in_load_order() {
        assert_eq!(of("core so http rewrite ssl ldap"), "http rewrite ssl ldap");
        assert_eq!(of("core so http ldap ssl rewrite"), "http ldap ssl rewrite");
    }

    #[test]
    fn mod_auth_digest_runs_first_because_the_core_waits_for_it() {
        assert_eq!(of("core so http ssl rewrite auth_digest"), "auth_digest http ssl rewrite");
    }

    #[test]
    fn a_waiting_hook_pulls_forward_those_it_waits_for() {
        assert_eq!(of("http proxy_balancer rewrite proxy"), "http proxy proxy_balancer rewrite");
        assert_eq!(of("http http2 rewrite ssl"), "http ssl http2 rewrite");
        assert_eq!(of("http proxy rewrite ssl md"), "http md ssl proxy rewrite");
    }

    #[test]
    fn mod_ssl_runs_before_mod_proxy_only_from_2_4_30_on() {
        let modules = ["http", "proxy", "ssl"].map(str::to_owned);
        assert_eq!(order(&modules, Some(Version(2, 4, 29))), ["http", "proxy", "ssl"]);
        assert_eq!(order(&modules, Some(Version(2, 4, 33))), ["http", "ssl", "proxy"]);
    }

    #[test]
    fn watchdogs_run_last_wherever_they_were_loaded() {
        assert_eq!(of("watchdog proxy_hcheck proxy lua"), "proxy lua proxy_hcheck watchdog");
    }

    #[test]
    fn the_table_has_no_cycle() {
        let mut all: Vec<String> = HOOKS.iter().map(|h| h.module.to_owned()).collect();
        for patch in [1, 29, 45, 62] {
            let version = Some(Version(2, 4, patch));
            let there = order(&all, version).len();
            all.reverse();
            assert_eq!(order(&all, version).len(), there);
        }
    }
}
