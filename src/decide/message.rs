//! The words for a forecast: what httpd would log, why, and what to type. Pure.

use nix::errno::Errno;

use crate::decide::forecast::{Failure, Input};
use crate::decide::kernel_sem;
use crate::facts::capacity::{self, Capacity, Limit};
use crate::facts::error::strerror;
use crate::facts::message::{Message, Remedy};
use crate::facts::mutex::{Break, Demand, Mechanism};
use crate::facts::need::{NeedSource, sets};
use crate::facts::printable::printable;
use crate::facts::shortage::Shortage;
use crate::facts::state::{self, Learnt};
use crate::facts::trial::{LOCKING, Trial};

/// A line as httpd writes it to its ErrorLog: the error, its words, and what it says of it.
fn httpds_line(errno: Errno, line: &str) -> String {
    format!("({}){}: {line}", errno as i32, strerror(errno))
}

/// What the words for a forecast are made of.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// What the forecast was made from.
    pub input: &'a Input,
    /// The mutexes behind the need, where httpd was asked.
    pub demand: Option<&'a Demand>,
    /// Who holds the table, in words.
    pub holders: &'a str,
    /// How many sets a `guard` would remove now.
    pub removable: usize,
    /// How many sets stay only because a living process may know them, and which one.
    pub undecided: Option<(usize, String)>,
}

impl Situation<'_> {
    fn room_in_words(&self) -> String {
        match self.input.room() {
            Some((least, most)) if least.sets == most.sets => format!("{} can be made", most.sets),
            Some((least, most)) => format!("{} to {} can be made", least.sets, most.sets),
            None => "0 can be made".into(),
        }
    }

    /// Where the start breaks off for want of room.
    fn breaks_off(&self) -> Break {
        let room = self.input.room().map_or(0, |(_, most)| most.sets);
        match (self.demand.and_then(|d| d.breaks_off(room)), self.input.need.source) {
            (Some(at), _) => at,
            // Beyond all that its configuration tells of.
            (None, NeedSource::Learnt(_)) => Break::at_an_unknown_one(),
            (None, _) => Break::of_2_4s_accept_mutex(),
        }
    }
}

/// The words for a start at risk: what is in doubt.
#[must_use]
pub fn at_risk(s: &Situation<'_>) -> Message {
    let input = s.input;
    if let Some(shortage) = &input.shortage {
        let (mut why, mut remedies) = why_shortage(shortage);
        if (shortage.mechanism, shortage.errno) == (Mechanism::Flock, Errno::EACCES) {
            let path = printable(&shortage.path.to_string_lossy());
            why.truncate(1);
            why.push(format!("its workers open it again as their user, who may not enter {path}"));
            remedies =
                vec![Remedy::command(format!("chmod o+x {path}"), "and every directory above it")];
        } else if (shortage.mechanism, shortage.errno) == (Mechanism::Flock, Errno::EMFILE) {
            why.truncate(1);
            why.push(format!(
                "its workers open each such file again: they may have {} files open, and need about {}",
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
            let path = printable(&shortage.path.to_string_lossy());
            why.truncate(1);
            why.push(format!(
                "httpd's own shared memory (balancers, caches) takes room in {path} as well, and for \
                 both there is too little"
            ));
        } else {
            why.push(format!("whether httpd makes its {} mutex cannot be told", shortage.mutex));
        }
        let headline = format!("httpd may not start: {}", shortage_line(shortage));
        return Message { headline, why, remedies };
    }
    let line = s.breaks_off().line;
    if let Trial::Refused(call, errno) = input.trial {
        let line = httpds_line(errno, &line);
        let (why, remedies) = why_refused(call, errno, input);
        let headline = format!("httpd may not start: if it makes a semaphore set, {line}");
        return Message { headline, why, remedies };
    }
    if input.capacity.is_none() {
        let line = httpds_line(Errno::ENOSYS, &line);
        let (why, remedies) = why_no_sysv_ipc();
        let headline = format!("httpd may not start: if it makes a semaphore set, {line}");
        return Message { headline, why, remedies };
    }
    if input.capacity == Some(Capacity::UNKNOWN) {
        return Message {
            headline: format!(
                "httpd may not start: it needs {}, and whether there is room is not known",
                input.need
            ),
            why: vec!["the kernel refused a look at the table of semaphore sets".into()],
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
        headline: format!(
            "httpd may not start: it needs {}, and {}",
            input.need,
            s.room_in_words()
        ),
        why,
        remedies: remedies(s),
    }
}

/// The words for a failure.
#[must_use]
pub fn words(failure: &Failure, s: &Situation<'_>) -> Message {
    let Break { line, detached, .. } = s.breaks_off();
    let headline = match (failure, failure.errno()) {
        (Failure::Resource(shortage), _) => {
            format!("httpd would not start: {}", shortage_line(shortage))
        }
        (Failure::MutexDirectory(argument), _) => {
            format!("httpd would not start: Invalid Mutex directory in argument {argument}")
        }
        (Failure::Refused(LOCKING, errno), _) => {
            let grabs =
                s.demand.and_then(Demand::grabs).unwrap_or("couldn't grab the accept mutex");
            format!("httpd would not start: {}", httpds_line(*errno, grabs))
        }
        (_, Some(errno)) => format!("httpd would not start: {}", httpds_line(errno, &line)),
        (_, None) => {
            format!("httpd would leave less room than asked for (--min-free {})", s.input.min_free)
        }
    };
    let (mut why, remedies) = match failure {
        Failure::NoRoom(_) | Failure::Reserve => (why_no_room(s), remedies(s)),
        Failure::Refused(LOCKING, Errno::E2BIG) => why_no_operations(s),
        Failure::Refused(call, errno) => why_refused(call, *errno, s.input),
        Failure::Resource(shortage) => why_shortage(shortage),
        Failure::MutexDirectory(_) => (
            vec!["the directory is not there, or is no directory".into()],
            vec![Remedy::advice(
                "make it (mkdir), or name another one in httpd's \"Mutex\" directive",
            )],
        ),
        Failure::NoSysvIpc => why_no_sysv_ipc(),
    };
    if detached && matches!(failure, Failure::NoRoom(_)) {
        why.push(
            "it would fail after it has detached: \"apachectl start\" reports success, and only \
             the ErrorLog says why the server is dead"
                .into(),
        );
    }
    Message { headline, why, remedies }
}

/// httpd's own line for a mutex that is not a semaphore set.
fn shortage_line(s: &Shortage) -> String {
    httpds_line(s.errno, &s.line)
}

fn why_shortage(s: &Shortage) -> (Vec<String>, Vec<Remedy>) {
    let path = printable(&s.path.to_string_lossy());
    let what = match s.mechanism {
        Mechanism::PosixSem => "a POSIX semaphore",
        Mechanism::Pthread => "a process-shared pthread mutex",
        _ => "a lock file",
    };
    let mut why = vec![format!(
        "httpd makes this mutex as {what} in {path} (mechanism {}), not as a semaphore set",
        s.mechanism.name()
    )];
    why.push(match s.errno {
        Errno::ENOSPC => {
            format!(
                "{path} took {} of the {} needed: it has no inodes or blocks left",
                s.made, s.needed
            )
        }
        e => format!("{path} took {} of the {} needed: {e:?} ({})", s.made, s.needed, strerror(e)),
    });
    let remedy = match (s.mechanism, s.errno) {
        (_, Errno::ENOSPC) => {
            Remedy::command(format!("df -h {path}; df -i {path}"), "and make room there")
        }
        (Mechanism::PosixSem, Errno::ENOENT) => {
            Remedy::command("mount -t tmpfs tmpfs /dev/shm", "")
        }
        (Mechanism::PosixSem | Mechanism::Pthread, _) => {
            Remedy::command(format!("ls -ld {path}; mount | grep {path}"), "")
        }
        (_, Errno::ENOENT) => Remedy::command(
            format!("mkdir {path}"),
            "(or look why it is not there: tmpfiles.d, RuntimeDirectory=)",
        ),
        _ => Remedy::command(
            format!("ls -ld {path}"),
            "it must be a directory that root can write to",
        ),
    };
    (why, vec![remedy])
}

fn why_refused(call: &str, errno: Errno, input: &Input) -> (Vec<String>, Vec<Remedy>) {
    let mut why = vec![format!("{call} for a trial set says {errno:?} ({})", strerror(errno))];
    if let Some(c) = input.capacity.filter(|c| *c != Capacity::UNKNOWN) {
        why.push(format!(
            "the limits leave room for {}, so they are not the cause",
            sets(c.room().sets)
        ));
    }
    let remedy = match errno {
        Errno::ENOMEM => "free memory: the kernel has none for a semaphore set",
        Errno::ENOSPC => "look again: something filled the table at this moment (ipcs -s -u)",
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
        "SEMOPM, the number of operations in one semop call, is {semopm}: its locks can be made, and not \
         one be taken"
    );
    (vec![why], remedies(s))
}

fn why_no_sysv_ipc() -> (Vec<String>, Vec<Remedy>) {
    let why = "this kernel has no System V semaphores: it was built without CONFIG_SYSVIPC";
    let remedies = [
        "run a kernel with CONFIG_SYSVIPC=y",
        "or, on httpd 2.4, \"Mutex pthread default\" (or \"Mutex fcntl:/run/httpd default\") in its \
         configuration",
    ];
    (vec![why.into()], remedies.map(Remedy::advice).to_vec())
}

fn why_no_room(s: &Situation<'_>) -> Vec<String> {
    let Some(c) = s.input.capacity else { return Vec::new() };
    let (l, u) = (&c.limits, &c.usage);
    let semmns = format!(
        "SEMMNS, the system-wide number of semaphores, is {} and {} are in use",
        l.semmns, u.semaphores
    );
    let semmni =
        format!("SEMMNI, the number of semaphore sets, is {} and {} are in use", l.semmni, u.sets);
    let disk = "(this is not about disk space)";
    let mut why = match c.room().binding {
        Limit::Semmsl => {
            vec![format!("SEMMSL, the number of semaphores in a set, is {}", l.semmsl)]
        }
        Limit::Semmns => vec![
            format!("{semmns} {disk}"),
            format!("SEMMNI allows {} sets; {} in use{}", l.semmni, u.sets, held(s.holders)),
        ],
        Limit::Semmni => vec![
            format!("{semmni} {disk}{}", held(s.holders)),
            format!("SEMMNS allows {} semaphores; {} in use", l.semmns, u.semaphores),
        ],
    };
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
            "it runs now, as {}, and by stopping gives back {}{perhaps}",
            r.leader, r.surely
        ));
    }
    why
}

/// What its starts showed beside what its configuration tells.
fn shown(learnt: Learnt, demand: &Demand) -> String {
    let (least, most) = demand.sets();
    let tells = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let starts = match learnt.starts {
        1 => "when it was last started like this, it".to_owned(),
        n => format!("each of the last {n} times that it was started like this, it"),
    };
    format!("{starts} made {}; its configuration tells of {tells}", sets(learnt.sets.into()))
}

fn held(holders: &str) -> String {
    if holders.is_empty() { String::new() } else { format!(": {holders}") }
}

fn remedies(s: &Situation<'_>) -> Vec<Remedy> {
    let Some(c) = s.input.capacity else { return Vec::new() };
    let mut remedies = Vec::new();
    let missing = s.input.need.at_most + s.input.min_free;
    if s.removable > 0 {
        let orphans = sets(i64::try_from(s.removable).unwrap_or(i64::MAX));
        remedies.push(Remedy::command(
            "httpd-semguard guard",
            format!("removes {orphans} that a dead httpd left"),
        ));
    }
    let better = kernel_sem::better(&c, missing);
    remedies.push(if c.with_limits(better).room().sets < missing {
        Remedy::advice(format!(
            "no kernel.sem has room for {missing} more: a kernel has {} sets at most \
             (\"ipcmni_extend\" on its command line raises that)",
            capacity::IPCMNI
        ))
    } else {
        Remedy::command(
            format!("sysctl -w kernel.sem=\"{better}\""),
            "and the same line in /etc/sysctl.d/",
        )
    });
    if matches!(s.input.need.source, NeedSource::Learnt(l) if l.is_certain()) {
        let forgets = "if it needs fewer now, for a reason that its configuration does not tell";
        remedies.push(Remedy::command(format!("rm {}", state::FILE), forgets));
    }
    if let Some((count, who)) = &s.undecided {
        remedies.push(Remedy::command(
            "httpd-semguard list",
            format!(
                "says why the memory of {who} could not be read in full: {count} of the sets may be \
                 its own, or orphans"
            ),
        ));
    }
    remedies
}

#[cfg(test)]
mod tests;
