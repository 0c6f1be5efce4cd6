//! What the conditions in httpd 2.2's files test: modules, by the names of their source files, and its
//! version. Pure.

use crate::facts::build::Version;

/// Source files of httpd 2.2's own modules whose name differs from the module's.
const SOURCES: [(&str, &str); 6] = [
    ("core", "core.c"),
    ("http", "http_core.c"),
    ("so", "mod_so.c"),
    ("ldap", "util_ldap.c"),
    ("mpm_prefork", "prefork.c"),
    ("mpm_worker", "worker.c"),
];

/// httpd 2.2's own modules, with the names of its MPMs.
const OWN: &str = " core http so ldap mpm_prefork mpm_worker mpm_event mpm_itk actions alias asis \
    auth_basic auth_digest authn_alias authn_anon authn_dbd authn_dbm authn_default authn_file \
    authnz_ldap authz_dbm authz_default authz_groupfile authz_host authz_owner authz_user \
    autoindex bucketeer cache case_filter case_filter_in cern_meta cgi cgid charset_lite dav \
    dav_fs dav_lock dbd deflate disk_cache dumpio echo env example expires ext_filter file_cache \
    filter headers ident imagemap include info log_config log_forensic logio mem_cache mime \
    mime_magic negotiation optional_fn_export optional_fn_import optional_hook_export \
    optional_hook_import proxy proxy_ajp proxy_balancer proxy_connect proxy_ftp proxy_http \
    proxy_scgi reqtimeout rewrite setenvif speling ssl status substitute suexec unique_id userdir \
    usertrack version vhost_alias ";

pub(super) fn is_own(module: &str) -> bool {
    OWN.contains(&format!(" {module} "))
}

pub(super) fn is_own_source(file: &str) -> bool {
    SOURCES.iter().any(|(_, f)| *f == file)
        || ["event.c", "itk.c"].contains(&file)
        || file.strip_prefix("mod_").and_then(|f| f.strip_suffix(".c")).is_some_and(is_own)
}

pub(super) fn source_file(module: &str) -> String {
    match SOURCES.iter().find(|(m, _)| *m == module) {
        Some((_, file)) => (*file).to_owned(),
        None => match module.strip_prefix("mpm_") {
            Some(mpm) => format!("{mpm}.c"),
            None => format!("mod_{module}.c"),
        },
    }
}

/// Evaluates an IfVersion condition (modules/metadata/mod_version.c); `None` for a regular expression,
/// which is not supported here.
pub(super) fn version_is(version: Version, condition: &str) -> Option<bool> {
    let (not, condition) = match condition.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, condition),
    };
    let digits = condition.find(|c: char| c.is_ascii_digit() || c == '/' || c == '^')?;
    let (operator, wanted) = condition.split_at(digits);
    let operator = operator.trim().trim_matches('"');
    if !wanted.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let parts: Option<Vec<u32>> =
        wanted.trim().trim_matches('"').split('.').map(|part| part.parse().ok()).collect();
    let parts = parts?;
    let part = |i: usize| parts.get(i).copied().unwrap_or(0);
    let order = version.cmp(&Version(part(0), part(1), part(2)));
    let holds = match operator {
        "" | "=" | "==" => order.is_eq(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        _ => return None,
    };
    Some(holds != not)
}
