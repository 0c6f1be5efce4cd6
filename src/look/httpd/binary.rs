//! What a program file reveals without running it: httpd's contains everything that `-V` prints, and a
//! module's names its imports. Pure.

use super::dump;
use crate::facts::build::Build;
use crate::facts::heard::Import;

/// The words in a program: printable text between non-printable bytes.
fn words(program: &[u8]) -> impl Iterator<Item = &str> {
    program
        .split(|b| !(0x20..0x7f).contains(b))
        .filter(|word| word.len() > 3)
        .filter_map(|word| std::str::from_utf8(word).ok())
}

/// How an httpd 2.4 was built (server/main.c, `show_compile_settings`). Takes a fraction of a
/// millisecond, whereas `-V` reads the whole configuration. `None` if something is missing or occurs
/// twice.
#[must_use]
pub fn build(program: &[u8]) -> Option<Build> {
    let mut text = String::new();
    let mut versions: Vec<&str> = Vec::new();
    let mut defaults = 0;
    let mut mapped = None;
    for word in words(program) {
        if let Some(define) = word.strip_prefix(" -D ") {
            let is_default = define.starts_with("APR_USE_") && define.ends_with("_SERIALIZE");
            // This one is about threads and always there.
            defaults += u32::from(is_default && define != "APR_USE_PTHREAD_SERIALIZE");
            text += &format!("-D {define}\n");
        } else if let Some(version) = word.strip_prefix("Apache/") {
            let number = version.split(' ').next().unwrap_or_default();
            if number.split('.').count() == 3 && !versions.contains(&number) {
                versions.push(number);
            }
        } else if ["enabled)", "disabled)"].contains(&word) {
            let contradicts = mapped.is_some_and(|m| m != word);
            mapped = if contradicts { return None } else { Some(word) };
        }
    }
    let ([version], 1, Some(mapped)) = (&versions[..], defaults, mapped) else { return None };
    text += &format!("Server version: Apache/{version}\n-D APR_HAVE_IPV6 {mapped}\n");
    Some(dump::build(&text)).filter(|b| b.version.is_some_and(|v| !v.is_22()))
}

/// The lock-making library functions that a module imports.
#[must_use]
pub fn import(module: &[u8]) -> Option<Import> {
    let mut found = None;
    for word in words(module) {
        match word {
            "semget" => return Some(Import::Semget),
            "apr_proc_mutex_create" | "apr_global_mutex_create" => found = Some(Import::AprMutex),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::build::Version;
    use crate::facts::mutex::Mechanism;

    const HTTPD: &str = "\x7fELF\0Apache/2.4.6\0Apache/2.4.6 (CentOS)\0Apache/2.4\0\
        -D nothing\0 -D APR_USE_PTHREAD_SERIALIZE\0 -D APR_HAVE_IPV6 (IPv4-mapped addresses \0\
        enabled)\0 -D APR_USE_SYSVSEM_SERIALIZE\0 -D SINGLE_LISTEN_UNSERIALIZED_ACCEPT\0\
        -D HTTPD_ROOT=\"no\"\0 -D HTTPD_ROOT=\"/etc/httpd\"\0";

    #[test]
    fn an_httpd_binary_shows_how_it_was_built() {
        let build = build(HTTPD.as_bytes()).expect("all is there");
        assert_eq!(build.version, Some(Version(2, 4, 6)));
        assert_eq!(build.default, Some(Mechanism::SysVSem));
        assert!(build.unserialized_single_listen && !build.splits_wildcard);
        assert_eq!(build.root.as_deref(), Some("/etc/httpd"));
    }

    #[test]
    fn missing_or_duplicate_values_are_not_guessed() {
        assert_eq!(build(HTTPD.replace("2.4.6", "2.2.15").as_bytes()), None);
        for missing in ["Apache/2.4.6", "enabled)", "APR_USE_SYSVSEM_SERIALIZE"] {
            assert_eq!(build(HTTPD.replace(missing, "").as_bytes()), None, "{missing}");
        }
        for more in ["Apache/2.4.7", "disabled)", " -D APR_USE_FCNTL_SERIALIZE"] {
            assert_eq!(build(format!("{HTTPD}{more}\0").as_bytes()), None, "{more}");
        }
    }

    #[test]
    fn a_module_is_recognised_by_its_imports() {
        assert_eq!(import(b"\x7fELF\0apr_palloc\0"), None);
        assert_eq!(import(b"\0apr_global_mutex_create\0x"), Some(Import::AprMutex));
        assert_eq!(import(b"\0apr_proc_mutex_create\0semget\0"), Some(Import::Semget));
        // httpd's own functions obey the Mutex directive and appear in the dump.
        assert_eq!(import(b"\0ap_global_mutex_create\0"), None);
    }
}
