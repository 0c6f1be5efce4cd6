//! Which program a set that is not httpd's seems to belong to, and who removes it. Pure.

use crate::decide::verdict::mismatch;
use crate::facts::need::sets;
use crate::facts::set::{Maker, SemId, SemSet};

/// The semaphores in a set of PHP's `sem_get()`: the semaphore itself, the number of its users, and a
/// lock for setting it up (ext/sysvsem/sysvsem.c).
const OF_PHP: u64 = 3;

/// The semaphores in a set of PostgreSQL, of which one marks it as PostgreSQL's: 16 and one; from
/// version 18 on, 19 and one (src/backend/port/sysv_sema.c, `SEMAS_PER_SET`).
const OF_POSTGRES: [u64; 2] = [17, 20];

/// Which program seems to have made a set.
#[must_use]
pub fn maker(set: &SemSet) -> Maker {
    match mismatch(set) {
        None if set.uid.is_root() => Maker::HttpdOrRoot,
        None => Maker::Httpd,
        Some(_) if set.key != 0 && set.nsems == OF_PHP => Maker::Php,
        Some(_) if set.key != 0 && OF_POSTGRES.contains(&set.nsems) => Maker::Postgres,
        Some(_) => Maker::Other,
    }
}

/// Whose they seem to be; `None` if that is not known.
#[must_use]
pub fn seems(maker: Maker) -> Option<&'static str> {
    match maker {
        Maker::Httpd => Some("httpd's, by its form"),
        Maker::HttpdOrRoot => Some("httpd's form, but root's"),
        Maker::Php => Some("looks like PHP's sem_get()"),
        Maker::Postgres => Some("looks like PostgreSQL's"),
        Maker::Other => None,
    }
}

/// What to say about this many sets of this owner that are not httpd's: whose they seem to be, and how
/// such sets are removed. One of them is `first`.
#[must_use]
pub fn words(maker: Maker, count: i64, owner: &str, first: SemId, is_used: bool) -> Option<String> {
    let (look, them) = if count == 1 { ("looks", "it") } else { ("look", "them") };
    let what = format!("{} of {owner}", sets(count));
    match maker {
        Maker::Httpd | Maker::Other => None,
        Maker::HttpdOrRoot => {
            let (have, them) = if count == 1 { ("has", "it") } else { ("have", "them") };
            Some(format!(
                "{what} {have} httpd's form: a module left {them} to root, or another of root's programs \
                 made {them}; no guard removes root's sets (ipcs -s -i {first} shows the first)"
            ))
        }
        Maker::Php => {
            let by_hand = match is_used {
                true => String::new(),
                false => format!(", or, if no script uses {them}, ipcrm -s {first}"),
            };
            Some(format!(
                "not httpd's: {what} {look} like PHP's sem_get(): a script has to call \
                 sem_remove(){by_hand}"
            ))
        }
        Maker::Postgres => Some(format!(
            "not httpd's: {what} {look} like PostgreSQL's, which removes those of a crashed server when it starts again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;
    use crate::facts::time::WallTime;

    fn set(uid: u32, key: i32, nsems: u64, mode: u32) -> SemSet {
        SemSet {
            id: SemId(7),
            key,
            nsems,
            mode,
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(uid),
            cuid: Uid::from_raw(uid),
            cgid: Gid::from_raw(uid),
            ctime: WallTime(0),
            otime: None,
        }
    }

    #[test]
    fn known_programs_are_recognized_by_the_form_of_their_sets() {
        for (set, want) in [
            (set(33, 0, 1, 0o600), Maker::Httpd),
            (set(0, 0, 1, 0o600), Maker::HttpdOrRoot),
            (set(33, 0x51, 3, 0o666), Maker::Php),
            (set(26, 0x0052_e2c1, 17, 0o600), Maker::Postgres),
            (set(26, 0x0052_e2c1, 20, 0o600), Maker::Postgres),
            (set(110, 0x7a, 13, 0o600), Maker::Other),
            (set(33, 0, 3, 0o600), Maker::Other),
        ] {
            assert_eq!(maker(&set), want, "{set:?}");
        }
    }

    #[test]
    fn sets_that_are_not_httpds_are_reported_with_how_to_remove_them() {
        let of =
            |maker, count| words(maker, count, "www-data", SemId(7), false).unwrap_or_default();
        assert!(
            of(Maker::Php, 8)
                .starts_with("not httpd's: 8 semaphore sets of www-data look like PHP's")
        );
        assert!(
            of(Maker::Php, 1).contains("looks like") && of(Maker::Php, 1).ends_with("ipcrm -s 7")
        );
        assert!(!of(Maker::HttpdOrRoot, 1).contains("ipcrm"));
        assert!(!of(Maker::Postgres, 3).contains("ipcrm"), "the server cleans up after itself");
        assert_eq!(words(Maker::Httpd, 1, "www-data", SemId(7), false), None);
    }
}
