//! The words for a forecast: the cause, what httpd would log, why, and what to do. Pure.

use nix::errno::Errno;

use crate::decide::forecast::{Failure, Input};
use crate::decide::kernel_sem;
use crate::decide::remedies::remedies;
use crate::decide::situation::Situation;
use crate::facts::capacity::{self, Capacity, Limit};
use crate::facts::error::strerror;
use crate::facts::message::{Message, Remedy};
use crate::facts::mutex::{Break, Demand, Mechanism};
use crate::facts::need::{NeedSource, sets};
use crate::facts::printable::printable;
use crate::facts::shortage::Shortage;
use crate::facts::site::quoted;
use crate::facts::state::Learnt;
use crate::facts::trial::{LOCKING, Trial};

/// A line as httpd writes it to its ErrorLog: the error number, its text, and what failed.
fn httpds_line(errno: Errno, line: &str) -> String {
    format!("({}){}: {line}", errno as i32, strerror(errno))
}

/// The first line of a message: what is wrong in a few words, and the details. `systemctl status` in 80
/// columns has room for about 34 characters of a message, so the cause comes first.
type Headline = (String, String);

/// The headline of a failure.
fn would_not_start(cause: &str, line: &str) -> Headline {
    (format!("{cause}: httpd would not start"), format!("it would log: {line}"))
}

/// The headline of a start at risk.
fn may_not_start(cause: &str, line: &str) -> Headline {
    (format!("{cause}: httpd may not start"), format!("it would log: {line}"))
}

fn message((brief, detail): Headline, why: Vec<String>, remedies: Vec<Remedy>) -> Message {
    Message { brief, detail, why, remedies }
}

/// The words for a start at risk: what is in doubt.
#[must_use]
pub fn at_risk(s: &Situation<'_>) -> Message {
    let input = s.input;
    if let Some(shortage) = &input.shortage {
        return shortage_at_risk(shortage, s);
    }
    let line = s.breaks_off().line;
    if let Trial::Refused(call, errno) = input.trial {
        let line = httpds_line(errno, &line);
        let (mut why, remedies) = why_refused(call, errno, input);
        why.push("it is not certain that httpd makes a semaphore set at all".into());
        return message(may_not_start(&refused(call, errno), &line), why, remedies);
    }
    if input.capacity.is_none() {
        let line = httpds_line(Errno::ENOSYS, &line);
        let (mut why, remedies) = why_no_sysv_ipc();
        why.push("it is not certain that httpd makes a semaphore set at all".into());
        return message(may_not_start(NO_SYSV_IPC, &line), why, remedies);
    }
    if input.capacity == Some(Capacity::UNKNOWN) {
        return Message {
            brief: "semaphore table unreadable: httpd may not start".into(),
            detail: format!(
                "it needs {}, and whether there is room for them is unknown",
                input.need
            ),
            why: vec!["the kernel refused access to the table of semaphore sets".into()],
            remedies: vec![Remedy::advice(
                "a seccomp filter (SystemCallFilter=) or a security module forbids it: allow it \
                 for this service",
            )],
        };
    }
    let mut why = why_no_room(s);
    for row in s.demand.iter().flat_map(|d| d.in_doubt()) {
        why.push(format!("in doubt: {}, {} to {} ({})", row.mutex, row.least, row.most, row.cause));
    }
    Message {
        brief: match s.input.room() {
            Some((_, most)) if most.sets == 0 => "semaphore table full: httpd may not start".into(),
            _ => "semaphore table nearly full: httpd may not start".into(),
        },
        detail: format!("it needs {}, and {}", input.need, s.room_in_words()),
        why,
        remedies: remedies(s),
    }
}

/// The words if something other than a semaphore set is missing, which httpd may not need.
fn shortage_at_risk(shortage: &Shortage, s: &Situation<'_>) -> Message {
    let (mut why, mut remedies) = why_shortage(shortage, s);
    let path = printable(&shortage.path.to_string_lossy());
    if (shortage.mechanism, shortage.errno) == (Mechanism::Flock, Errno::EACCES) {
        why.truncate(1);
        why.push(format!(
            "its workers reopen the file as their own user, who may not enter {path}"
        ));
        let command = format!("chmod o+x {}", quoted(&shortage.path.to_string_lossy()));
        remedies = vec![Remedy::command(
            command,
            "let that user enter the directory; that user must be able to enter its parent directories, too",
        )];
    } else if (shortage.mechanism, shortage.errno) == (Mechanism::Flock, Errno::EMFILE) {
        why.truncate(1);
        why.push(format!(
            "its workers reopen each of these files: they may have {} files open, and need about {}",
            shortage.made, shortage.needed
        ));
        remedies = vec![Remedy::advice(format!(
            "set LimitNOFILE={} in httpd's unit, or ulimit -n before it is started",
            2 * shortage.needed
        ))];
    } else if shortage.mechanism == Mechanism::PosixSem
        && shortage.made + 1 >= shortage.needed
        && s.demand.is_some_and(|d| d.shared_memory() > 0)
    {
        why.truncate(1);
        why.push(format!(
            "httpd's own shared memory (balancers, caches) is in {path}, too, and there is not enough \
             room for both"
        ));
    } else {
        why.push(format!("it is not certain that httpd makes its {} mutex", shortage.mutex));
    }
    message(may_not_start(&missing(shortage), &shortage_line(shortage)), why, remedies)
}

/// The words for a failure.
#[must_use]
pub fn words(failure: &Failure, s: &Situation<'_>) -> Message {
    let at = s.breaks_off();
    let (mut why, remedies) = match failure {
        Failure::NoRoom(_) | Failure::Reserve => (why_no_room(s), remedies(s)),
        Failure::Refused(LOCKING, Errno::E2BIG) => why_no_operations(s),
        Failure::Refused(call, errno) => why_refused(call, *errno, s.input),
        Failure::Resource(shortage) => why_shortage(shortage, s),
        Failure::MutexDirectory(_) => (
            vec!["that directory does not exist, or is not a directory".into()],
            vec![Remedy::advice(
                "create it (mkdir), or name another one in httpd's \"Mutex\" directive",
            )],
        ),
        Failure::NoSysvIpc => why_no_sysv_ipc(),
    };
    if at.detached && matches!(failure, Failure::NoRoom(_)) {
        why.push(
            "it would fail after it has detached: \"apachectl start\" reports success, and only \
             the ErrorLog says why the server exited"
                .into(),
        );
    }
    message(headline(failure, s, &at), why, remedies)
}

/// The headline of a failure.
fn headline(failure: &Failure, s: &Situation<'_>, at: &Break) -> Headline {
    let logged = |errno| httpds_line(errno, &at.line);
    match failure {
        Failure::NoRoom(limit) => {
            let errno = if *limit == Limit::Semmsl { Errno::EINVAL } else { Errno::ENOSPC };
            would_not_start(no_room(*limit, s), &logged(errno))
        }
        Failure::Reserve => (reserve(s), String::new()),
        Failure::Refused(LOCKING, errno) => {
            let grabs =
                s.demand.and_then(Demand::grabs).unwrap_or("couldn't grab the accept mutex");
            would_not_start(&refused(LOCKING, *errno), &httpds_line(*errno, grabs))
        }
        Failure::Refused(call, errno) => would_not_start(&refused(call, *errno), &logged(*errno)),
        Failure::NoSysvIpc => would_not_start(NO_SYSV_IPC, &logged(Errno::ENOSYS)),
        Failure::Resource(shortage) => {
            would_not_start(&missing(shortage), &shortage_line(shortage))
        }
        Failure::MutexDirectory(argument) => (
            "Mutex directory missing: httpd would not start".into(),
            format!("it says: Invalid Mutex directory in argument {argument}"),
        ),
    }
}

const NO_SYSV_IPC: &str = "kernel without semaphores";

/// What is full.
fn no_room(limit: Limit, s: &Situation<'_>) -> &'static str {
    match (limit, s.input.room()) {
        (Limit::Semmsl, _) => "kernel.sem allows no semaphores",
        (_, Some((_, most))) if most.sets > 0 => "too few semaphores free",
        _ => "semaphore table full",
    }
}

/// A reserve that would not be left, and what demands it.
fn reserve(s: &Situation<'_>) -> String {
    let left = s.input.room().map_or(0, |(surely, _)| surely.sets) - s.input.need.at_most;
    let asks = s.reserve.map_or_else(
        || format!("--min-free {} asks for more", s.input.min_free),
        |setting| format!("{setting} asks for more"),
    );
    format!("semaphore reserve too small: httpd would leave {} free, and {asks}", left.max(0))
}

/// What the kernel refuses.
fn refused(call: &str, errno: Errno) -> String {
    match (call, errno) {
        (LOCKING, Errno::E2BIG) => "SEMOPM is 0".into(),
        (_, Errno::ENOMEM) => "no memory for a semaphore set".into(),
        (LOCKING, e) => format!("semop refused ({e:?})"),
        (call, e) => format!("{call} refused ({e:?})"),
    }
}

/// What else is missing.
fn missing(s: &Shortage) -> String {
    let what = match s.mechanism {
        Mechanism::PosixSem => "POSIX semaphores",
        Mechanism::Pthread => "pthread mutexes",
        _ => "lock files",
    };
    match (s.mechanism, s.errno) {
        (Mechanism::PosixSem, Errno::ENOSPC) => "/dev/shm full".into(),
        (Mechanism::Fcntl | Mechanism::Flock, Errno::ENOSPC) => "no space for lock files".into(),
        (Mechanism::Fcntl | Mechanism::Flock, Errno::ENOENT) => "lock directory missing".into(),
        (Mechanism::Fcntl | Mechanism::Flock, Errno::EACCES) => "lock directory closed".into(),
        (_, e) => format!("no {what} ({e:?})"),
    }
}

/// What httpd logs for a mutex that is not a semaphore set.
fn shortage_line(s: &Shortage) -> String {
    httpds_line(s.errno, &s.line)
}

fn why_shortage(s: &Shortage, situation: &Situation<'_>) -> (Vec<String>, Vec<Remedy>) {
    let path = printable(&s.path.to_string_lossy());
    let word = quoted(&s.path.to_string_lossy());
    let what = match s.mechanism {
        Mechanism::PosixSem => "a POSIX semaphore",
        Mechanism::Pthread => "a process-shared pthread mutex",
        _ => "a lock file",
    };
    let place = match s.mechanism {
        Mechanism::Pthread => format!("with {path}"),
        _ => format!("in {path}"),
    };
    let why = vec![
        format!(
            "httpd makes this mutex as {what} {place} (mechanism {}), not as a semaphore set",
            s.mechanism.name()
        ),
        match s.errno {
            Errno::ENOSPC => {
                format!(
                    "{path} had room for {} of the {} needed: no blocks or inodes are left",
                    s.made, s.needed
                )
            }
            e => format!(
                "{} of the {} needed could be made {place}: {e:?} ({})",
                s.made,
                s.needed,
                strerror(e)
            ),
        },
    ];
    let user = situation.started_as;
    let remedy = match (s.mechanism, s.errno) {
        (_, Errno::ENOSPC) => Remedy::command(
            format!("df -h {word}; df -i {word}"),
            "make room there; this shows what is used",
        ),
        (Mechanism::PosixSem, Errno::ENOENT) => {
            Remedy::command("mount -t tmpfs tmpfs /dev/shm", "mount what is missing")
                .that_cures(true)
        }
        (Mechanism::PosixSem | Mechanism::Pthread, _) => Remedy::command(
            format!("ls -ld {word}; mount | grep {word}"),
            "see what is there and whether it can be written to",
        ),
        (_, Errno::ENOENT) => {
            let owner = user.map_or_else(String::new, |user| format!("-o {} ", quoted(user)));
            Remedy::command(
                format!("install -d {owner}{word}"),
                "create it, and find out why it is missing (tmpfiles.d, RuntimeDirectory=)",
            )
            .that_cures(true)
        }
        _ => Remedy::command(
            format!("ls -ld {word}"),
            format!(
                "make it a directory that {} can write to; this shows what it is",
                user.unwrap_or("root")
            ),
        ),
    };
    (why, vec![remedy])
}

fn why_refused(call: &str, errno: Errno, input: &Input) -> (Vec<String>, Vec<Remedy>) {
    let mut why = vec![format!("{call} for a trial set fails: {errno:?} ({})", strerror(errno))];
    if let Some(c) = input.capacity.filter(|c| *c != Capacity::UNKNOWN) {
        why.push(format!(
            "the limits leave room for {}, so they are not the cause",
            sets(c.room().sets)
        ));
    }
    let remedy = match errno {
        Errno::ENOMEM => "free memory: the kernel has none for a semaphore set",
        Errno::ENOSPC => "run the check again: something has just filled the table (ipcs -s -u)",
        _ if call == LOCKING => {
            "allow semop: look for SystemCallFilter= in httpd's unit, and for denials of a security \
             module (ausearch -m AVC, dmesg)"
        }
        _ => {
            "allow semget and semctl: look for SystemCallFilter= in httpd's unit, and for denials \
             of a security module (ausearch -m AVC, dmesg)"
        }
    };
    (why, vec![Remedy::advice(remedy)])
}

fn why_no_operations(s: &Situation<'_>) -> (Vec<String>, Vec<Remedy>) {
    let semopm = s.input.capacity.map_or(0, |c| c.limits.semopm);
    let why = format!(
        "SEMOPM, the maximum number of operations in a semop call, is {semopm}: httpd could create its locks, \
         but not lock any"
    );
    (vec![why], remedies(s))
}

fn why_no_sysv_ipc() -> (Vec<String>, Vec<Remedy>) {
    let why = "this kernel has no System V semaphores: it was built without CONFIG_SYSVIPC";
    let remedies = [
        "run a kernel with CONFIG_SYSVIPC=y",
        "or, with httpd 2.4, write \"Mutex pthread default\" (or \"Mutex fcntl:/run/httpd default\") into \
         its configuration",
    ];
    (vec![why.into()], remedies.map(|r| Remedy::advice(r).that_cures(true)).to_vec())
}

fn why_no_room(s: &Situation<'_>) -> Vec<String> {
    let Some(c) = s.input.capacity else { return Vec::new() };
    let (l, u) = (&c.limits, &c.usage);
    let used = |n: i64| if n == 1 { "1 is in use".to_owned() } else { format!("{n} are in use") };
    let of = |most: i64, n: i64| match n == most && n > 1 {
        true => format!("{most}, and all {n} are in use"),
        false => format!("{most}, and {}", used(n)),
    };
    let semmns =
        format!("SEMMNS, the maximum number of semaphores, is {}", of(l.semmns, u.semaphores));
    let semmni =
        format!("SEMMNI, the maximum number of semaphore sets, is {}", of(l.semmni, u.sets));
    let disk = "(this is not about disk space)";
    let mut why = match c.room().binding {
        Limit::Semmsl => {
            vec![format!("SEMMSL, the maximum number of semaphores in a set, is {}", l.semmsl)]
        }
        Limit::Semmns => vec![
            format!("{semmns} {disk}"),
            format!("SEMMNI allows {}; {}{}", sets(l.semmni), used(u.sets), held(s.holders)),
        ],
        Limit::Semmni => vec![
            format!("{semmni} {disk}{}", held(s.holders)),
            format!("SEMMNS allows {} semaphores; {}", l.semmns, used(u.semaphores)),
        ],
    };
    why.extend(s.strangers.iter().cloned());
    if let Some(odd) = kernel_sem::oddity(l) {
        why.push(format!("kernel.sem is \"{l}\": {odd}"));
    }
    let Input { need, min_free, running, .. } = s.input;
    if need.at_most > 1 || c.room().sets > 0 || *min_free > 0 {
        why.push(format!("httpd needs {need}; {}", s.room_in_words()));
    }
    if let (NeedSource::Learnt(learnt), Some(demand)) = (need.source, s.demand) {
        why.push(shown(learnt, demand));
    }
    if let Some(r) = running {
        let perhaps = match r.perhaps {
            0 => String::new(),
            n => format!(", and {n} more if they are its own"),
        };
        why.push(format!(
            "httpd is running ({}); stopping it frees {}{perhaps}",
            r.leader,
            sets(capacity::count(r.surely))
        ));
    }
    why
}

/// What its starts showed, compared with what its configuration says.
fn shown(learnt: Learnt, demand: &Demand) -> String {
    let (least, most) = demand.sets();
    let says = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let starts = match learnt.starts {
        1 => "when it was last started like this, it".to_owned(),
        n => format!("each of the last {n} times it was started like this, it"),
    };
    format!(
        "{starts} made {}; according to its configuration it makes {says}",
        sets(learnt.sets.into())
    )
}

fn held(holders: &str) -> String {
    if holders.is_empty() { String::new() } else { format!(": {holders}") }
}

#[cfg(test)]
mod tests;
