//! What a program file reveals without running it: httpd's contains everything that `-V` prints, and a
//! module's names its imports. Reads whatever reader it is given.

use std::io::{self, Read};

use memchr::memmem::Finder;

use super::dump;
use crate::facts::build::Build;
use crate::facts::heard::Import;

/// How much of a program is looked at at a time: more would cost page faults, which take longer than the
/// search.
const PIECE: usize = 64 << 10;

fn is_printable(byte: &u8) -> bool {
    (0x20..0x7f).contains(byte)
}

/// Calls `see` for each word of a program that begins with one of these: a word is printable text between
/// bytes that are not.
fn words(mut program: impl Read, begin: &[&str], mut see: impl FnMut(&str)) -> io::Result<()> {
    let finders: Vec<Finder<'_>> = begin.iter().map(Finder::new).collect();
    let mut buffer = vec![0; PIECE];
    let mut kept = 0;
    // The piece goes on with text that was too much for one.
    let mut goes_on = false;
    loop {
        let read = match program.read(&mut buffer[kept..]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let piece = &buffer[..kept + read];
        // Up to the end of the last word that is whole; at the end, all are.
        let whole = match piece.iter().rposition(|b| !is_printable(b)) {
            _ if read == 0 => piece.len(),
            Some(last) => last + 1,
            None => 0,
        };
        for finder in &finders {
            for start in finder.find_iter(&piece[..whole]) {
                let is_start = match start.checked_sub(1) {
                    Some(before) => !is_printable(&piece[before]),
                    None => !goes_on,
                };
                let end = piece[start..whole].iter().position(|b| !is_printable(b));
                let word = &piece[start..end.map_or(whole, |end| start + end)];
                if let (true, Ok(word)) = (is_start, std::str::from_utf8(word)) {
                    see(word);
                }
            }
        }
        if read == 0 {
            return Ok(());
        }
        let rest = piece.len() - whole;
        buffer.copy_within(whole..whole + rest, 0);
        // So much text is no word.
        goes_on = rest == PIECE || goes_on && whole == 0;
        kept = if rest < PIECE { rest } else { 0 };
    }
}

/// How an httpd 2.4 was built (server/main.c, `show_compile_settings`). Takes a fraction of a
/// millisecond, whereas `-V` reads the whole configuration. `None` if something is missing or occurs
/// twice, or the program could not be read.
#[must_use]
pub fn build(program: impl Read) -> Option<Build> {
    let mut text = String::new();
    let mut versions: Vec<String> = Vec::new();
    let mut defaults = 0;
    let mut mapped: Vec<String> = Vec::new();
    let see = |word: &str| {
        if let Some(define) = word.strip_prefix(" -D ") {
            let is_default = define.starts_with("APR_USE_") && define.ends_with("_SERIALIZE");
            // This one is about threads and always there.
            defaults += u32::from(is_default && define != "APR_USE_PTHREAD_SERIALIZE");
            text += &format!("-D {define}\n");
        } else if let Some(version) = word.strip_prefix("Apache/") {
            let number = version.split(' ').next().unwrap_or_default();
            if number.split('.').count() == 3 && versions.iter().all(|known| known != number) {
                versions.push(number.to_owned());
            }
        } else if MAPPED.contains(&word) && mapped.iter().all(|known| known != word) {
            mapped.push(word.to_owned());
        }
    };
    words(program, &[" -D ", "Apache/", MAPPED[0], MAPPED[1]], see).ok()?;
    let ([version], 1, [mapped]) = (&versions[..], defaults, &mapped[..]) else { return None };
    text += &format!("Server version: Apache/{version}\n-D APR_HAVE_IPV6 {mapped}\n");
    Some(dump::build(&text)).filter(|b| b.version.is_some_and(|v| !v.is_22()))
}

/// What `-V` says of IPv4-mapped addresses, as it stands in the program.
const MAPPED: [&str; 2] = ["enabled)", "disabled)"];

/// The lock-making library functions that a module imports.
#[must_use]
pub fn import(module: impl Read) -> Option<Import> {
    let mut found = None;
    let see = |word: &str| match word {
        "semget" => found = Some(Import::Semget),
        "apr_proc_mutex_create" | "apr_global_mutex_create" => {
            found = found.or(Some(Import::AprMutex));
        }
        _ => {}
    };
    let names = ["semget", "apr_proc_mutex_create", "apr_global_mutex_create"];
    match words(module, &names, see) {
        Ok(()) => found,
        Err(_) => Some(Import::Unread),
    }
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
    fn a_word_is_found_wherever_one_piece_ends_and_the_next_begins() {
        for before in PIECE - 40..PIECE + 2 {
            let mut module = vec![0; before];
            module.extend(b"\0semget\0");
            assert_eq!(import(&module[..]), Some(Import::Semget), "{before}");
            // As a part of a longer word it is another one.
            let mut module = vec![b'x'; before];
            module.extend(b"semget\0");
            assert_eq!(import(&module[..]), None, "{before}");
        }
        assert_eq!(import(&b"\x7fELF\0semget"[..]), Some(Import::Semget), "at the end");
    }

    #[test]
    fn a_module_is_recognised_by_its_imports() {
        assert_eq!(import(&b"\x7fELF\0apr_palloc\0"[..]), None);
        assert_eq!(import(&b"\0apr_global_mutex_create\0x"[..]), Some(Import::AprMutex));
        assert_eq!(import(&b"\0apr_proc_mutex_create\0semget\0"[..]), Some(Import::Semget));
        // httpd's own functions obey the Mutex directive and appear in the dump.
        assert_eq!(import(&b"\0ap_global_mutex_create\0"[..]), None);
    }
}
