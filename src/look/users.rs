//! Whose sets are looked at: from `--user`, or else the account that distributions run httpd as.
//! Touches the user database (getpwnam(3), getent(1)).

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User};

use crate::facts::error::Error;
use crate::facts::printable::printable;
use crate::facts::users::{Guarded, Names, Source};
use crate::look::httpd::ask::{self, Question};

/// The accounts that distributions run httpd as, in the order in which they are tried: Red Hat, Debian,
/// SUSE, Arch, and manual installations.
pub const ACCOUNTS: [&str; 6] = ["apache", "www-data", "wwwrun", "http", "httpd", "www"];

/// Further accounts that an httpd may run as, if its packager or builder chose so.
const OTHERS: [&str; 2] = ["daemon", "nobody"];

/// How long all names that are only shown may take. A user database may be far away, and httpd waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// The name of a user, if an httpd is likely to run as that user: an account of this machine's own, as
/// a distribution's package makes it.
#[must_use]
pub fn likely(uid: Uid) -> Option<&'static str> {
    let passwd = fs::read(PASSWD).unwrap_or_default();
    let name = local_name(&passwd, uid)?;
    ACCOUNTS.into_iter().chain(OTHERS).find(|likely| *likely == name)
}

/// The name that the user database has for a user (getent(1)), within the time of the question. By
/// another program, because a lookup of one's own cannot be interrupted.
fn name_elsewhere(uid: Uid, question: &Question) -> Option<String> {
    if Instant::now() >= question.deadline {
        return None;
    }
    let args = ["passwd".into(), uid.to_string().into()];
    let said = ask::run(Path::new(GETENT), &args, question).ok()?;
    local_name(&said.out, uid)
}

const GETENT: &str = "/usr/bin/getent";

/// The accounts of this machine (passwd(5)).
const PASSWD: &str = "/etc/passwd";

/// The name that accounts in the form of passwd(5) have for a user.
fn local_name(passwd: &[u8], uid: Uid) -> Option<String> {
    let number = uid.to_string();
    passwd.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let is_it = fields.nth(1)? == number.as_bytes();
        is_it.then(|| String::from_utf8_lossy(name).into_owned())
    })
}

/// The users to guard, without duplicates, and where they came from: those given; else those that httpd
/// named (its own, by uid; further ones by name or "#" and uid); else the first known account.
///
/// # Errors
/// [`Error::NoSuchUser`], [`Error::GuardedRoot`], [`Error::NoKnownAccount`], [`Error::UserDatabase`].
pub fn guarded(
    given: &[String],
    httpds: Option<u32>,
    further: &[String],
) -> Result<(Vec<Guarded>, Source), Error> {
    if given.is_empty() {
        let mut users: Vec<Guarded> =
            httpds.map(|uid| by_uid(Uid::from_raw(uid))).into_iter().collect();
        users.extend(further.iter().filter_map(|f| find(f.trim_start_matches('#')).ok()));
        users.retain(|u| !u.uid.is_root());
        drop_duplicates(&mut users);
        if !users.is_empty() {
            return Ok((users, Source::Httpd));
        }
        let passwd = fs::read(PASSWD).unwrap_or_default();
        let mut failed = None;
        for name in local_first(&passwd) {
            match by_name(name) {
                Ok(Some(user)) => return Ok((vec![user], Source::Account)),
                Ok(None) => {}
                // Another one may still be known.
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        return Err(failed.unwrap_or_else(|| Error::NoKnownAccount(ACCOUNTS.join(", "))));
    }
    let mut users: Vec<Guarded> = Vec::new();
    for text in given {
        let user = find(text)?;
        if user.uid.is_root() {
            return Err(Error::GuardedRoot);
        }
        users.push(user);
    }
    drop_duplicates(&mut users);
    Ok((users, Source::Given))
}

/// Keeps only the first of those with the same uid.
fn drop_duplicates(users: &mut Vec<Guarded>) {
    let mut seen = HashSet::new();
    users.retain(|user| seen.insert(user.uid));
}

/// Which of the given users can be guarded, and why the others cannot.
#[must_use]
pub fn sort_out(given: &[String]) -> (Vec<String>, Vec<Error>) {
    let mut errors = Vec::new();
    let mut fit = given.to_vec();
    fit.retain(|user| match guarded(std::slice::from_ref(user), None, &[]) {
        Ok(_) => true,
        Err(e) => {
            errors.push(e);
            false
        }
    });
    (fit, errors)
}

/// [`ACCOUNTS`], starting with those that are in /etc/passwd. Looking up one that is not there loads
/// the libraries and queries the sources of everything that nsswitch.conf names: half a millisecond or
/// more.
fn local_first(passwd: &[u8]) -> Vec<&'static str> {
    let is_local = |name: &&str| {
        let mut lines = passwd.split(|b| *b == b'\n');
        lines.any(|l| l.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":")))
    };
    let (mut local, others): (Vec<_>, Vec<_>) = ACCOUNTS.into_iter().partition(is_local);
    local.extend(others);
    local
}

/// A user by name, else by uid; the uid need not have an account (in containers it often has none).
fn find(text: &str) -> Result<Guarded, Error> {
    if let Some(user) = by_name(text)? {
        return Ok(user);
    }
    match text.parse::<u32>() {
        // The highest number means "no change" to the kernel (chown(2), setresuid(2)).
        Ok(uid) if uid != u32::MAX => Ok(by_uid(Uid::from_raw(uid))),
        _ => Err(Error::NoSuchUser(printable(text))),
    }
}

fn by_name(name: &str) -> Result<Option<Guarded>, Error> {
    match User::from_name(name) {
        Ok(user) => Ok(user.map(of)),
        // All of these mean that there is no such user (getpwnam(3)): a container may have no
        // /etc/passwd.
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        Err(e) => Err(Error::UserDatabase(printable(name), e)),
    }
}

fn of(user: User) -> Guarded {
    Guarded { uid: user.uid, gid: user.gid, name: printable(&user.name) }
}

fn by_uid(uid: Uid) -> Guarded {
    User::from_uid(uid).ok().flatten().map_or_else(
        || Guarded { uid, gid: Gid::from_raw(uid.as_raw()), name: uid.to_string() },
        of,
    )
}

/// Looks up the names of these users, unless already known.
pub fn look_up(names: &mut Names, uids: impl IntoIterator<Item = Uid>) {
    let passwd = fs::read(PASSWD).unwrap_or_default();
    let mut others = Vec::new();
    for uid in uids {
        if names.knows(uid) || others.contains(&uid) {
            continue;
        }
        match local_name(&passwd, uid) {
            Some(name) => names.add(uid, &name),
            None => others.push(uid),
        }
    }
    if others.is_empty() {
        return;
    }
    let question = Question::new(None, Vec::new(), PATIENCE);
    for uid in &others {
        if let Some(name) = name_elsewhere(*uid, &question) {
            names.add(*uid, &name);
        }
    }
    for uid in others {
        if !names.knows(uid) {
            names.add(uid, &uid.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_refused_by_name_and_by_uid() {
        for root in ["root", "0"] {
            assert!(
                matches!(guarded(&[root.to_owned()], None, &[]), Err(Error::GuardedRoot)),
                "{root}"
            );
        }
    }

    #[test]
    fn a_uid_without_an_account_is_a_user() {
        let (users, source) =
            guarded(&["4123456789".into(), "4123456789".into()], None, &[]).expect("found");
        assert_eq!(source, Source::Given);
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].to_string(), "4123456789");
    }

    #[test]
    fn without_a_given_user_httpds_own_are_guarded_but_never_root() {
        let further = ["#4123456788".to_owned(), "root".into(), "no such user".into()];
        let (users, source) = guarded(&[], Some(4_123_456_789), &further).expect("found");
        let uids: Vec<u32> = users.iter().map(|u| u.uid.as_raw()).collect();
        assert_eq!(
            (uids.as_slice(), source),
            ([4_123_456_789, 4_123_456_788].as_slice(), Source::Httpd)
        );
        let given = guarded(&["4123456787".into()], Some(4_123_456_789), &further).expect("found");
        assert_eq!((given.0.len(), given.1), (1, Source::Given));
    }

    #[test]
    fn the_accounts_of_this_machine_are_tried_first() {
        assert_eq!(local_first(b""), ACCOUNTS);
        let debian = b"root:x:0:0::/:\nwww:x:9:9::/:\nwww-data:x:33:33::/:\n";
        let order = ["www-data", "www", "apache", "wwwrun", "http", "httpd"];
        assert_eq!(local_first(debian), order);
    }

    #[test]
    fn anything_but_a_name_or_a_uid_is_an_error() {
        for bad in ["no such user", "-1", "4294967295", "99999999999", ""] {
            assert!(
                matches!(guarded(&[bad.to_owned()], None, &[]), Err(Error::NoSuchUser(_))),
                "{bad}"
            );
        }
    }
}
