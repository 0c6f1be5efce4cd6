//! Reports as values: one for each thing that a report can say. No kernel, no clock, no accounts.

use std::path::PathBuf;

use httpd_semguard::decide::forecast::{Failure, Forecast};
use httpd_semguard::decide::verdict::World;
use httpd_semguard::facts::capacity::{Capacity, Limit, Limits, Usage};
use httpd_semguard::facts::error::Error;
use httpd_semguard::facts::evidence::{Evidence, LastPid, Lock, Probe};
use httpd_semguard::facts::heard::NoAnswer;
use httpd_semguard::facts::mutex::Mechanism;
use httpd_semguard::facts::mutex::{Demand, Passes, Row, Words};
use httpd_semguard::facts::need::{Need, NeedSource};
use httpd_semguard::facts::process::{Incomplete, Kind, Named, Process};
use httpd_semguard::facts::request::{Command, SortKey};
use httpd_semguard::facts::row::{Fate, Holder, Judged, Running};
use httpd_semguard::facts::set::{SemId, SemSet};
use httpd_semguard::facts::shortage::Shortage;
use httpd_semguard::facts::time::{Clock, WallTime};
use httpd_semguard::facts::trial::Trial;
use httpd_semguard::facts::users::{Guarded, Source};
use httpd_semguard::facts::verdict::{Doubt, Mismatch, Reason, Verdict};
use httpd_semguard::tell::report::{Report, Table, View};
use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid};

/// 2026-11-21 03:00:00 UTC.
pub(crate) const NOW: i64 = 1_795_230_000;
const DAY: i64 = 86_400;

pub(crate) const WWW: u32 = 33;
pub(crate) const POSTGRES: u32 = 26;

pub(crate) fn uid(number: u32) -> Uid {
    Uid::from_raw(number)
}

pub(crate) fn named(pid: i32, name: &str) -> Named {
    Named { pid: Pid::from_raw(pid), name: name.into() }
}

/// A set as httpd makes them.
pub(crate) fn set(id: i32) -> SemSet {
    SemSet {
        id: SemId(id),
        key: 0,
        nsems: 1,
        mode: 0o600,
        uid: uid(WWW),
        gid: Gid::from_raw(WWW),
        cuid: uid(0),
        cgid: Gid::from_raw(0),
        ctime: WallTime(NOW - 3 * DAY - 4 * 3600),
        otime: Some(WallTime(NOW - 2 * DAY)),
    }
}

pub(crate) fn process(pid: i32, name: &str, kind: Kind) -> Process {
    Process {
        named: named(pid, name).into(),
        parent: Some(Pid::from_raw(1)),
        uids: vec![uid(0)],
        kind,
        start: WallTime(NOW - 3600),
        leads: kind == Kind::Httpd,
        called_us: false,
    }
}

pub(crate) fn judged(id: i32, verdict: Verdict) -> Judged {
    Judged {
        set: set(id),
        evidence: Evidence {
            probe: Ok(Probe { last_pid: 2211, lock: Some(Lock { value: 1, waiters: 0 }) }),
            last_pid: LastPid::Dead(Pid::from_raw(2211)),
            inside: None,
        },
        verdict,
        last: None,
    }
}

pub(crate) fn limits(semmni: i64) -> Limits {
    Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni }
}

pub(crate) fn capacity(semmni: i64, sets: i64) -> Capacity {
    Capacity { limits: limits(semmni), usage: Usage { sets, semaphores: sets } }
}

pub(crate) fn world(processes: Vec<Process>) -> World {
    let clock = Clock { now: WallTime(NOW), boot: WallTime(NOW - 30 * DAY), ticks_per_second: 100 };
    World::new(processes.into_iter().map(std::rc::Rc::new).collect(), clock)
}

pub(crate) fn table(judged: Vec<Judged>) -> Table {
    let capacity = capacity(128, judged.len() as i64);
    Table {
        before: capacity,
        after: capacity,
        unreadable: 0,
        judged,
        running: None,
        fates: Vec::new(),
        holders: Vec::new(),
        world: world(Vec::new()),
    }
}

fn row(mutex: &str, mechanism: Option<Mechanism>, least: u32, most: u32, cause: &str) -> Row {
    let dir = String::new();
    let passes = if mutex == "wsgi" { Passes::Second } else { Passes::Both };
    let words = Words::Ah00023;
    Row { mutex: mutex.into(), mechanism, dir, least, most, cause: cause.into(), passes, words }
}

pub(crate) fn demand() -> Demand {
    let sysvsem = Some(Mechanism::SysVSem);
    Demand {
        rows: vec![
            row("mpm-accept", sysvsem, 1, 1, "more than one listener"),
            row("proxy", sysvsem, 1, 1, "mod_proxy"),
            row("wsgi", None, 0, 2, "WSGIDaemonProcess with several processes"),
        ],
    }
}

pub(crate) fn need(at_least: i64, at_most: i64) -> Need {
    Need { at_least, at_most, source: NeedSource::Asked }
}

/// A check on a good day.
pub(crate) fn report() -> Report {
    Report {
        command: Command::Check,
        dry_run: false,
        strict: false,
        by_root: true,
        time: WallTime(NOW),
        kernel: "6.1.0-18-amd64".into(),
        users: vec![guarded(WWW, "www-data")],
        source: Source::Httpd,
        names: [(0, "root"), (WWW, "www-data"), (POSTGRES, "postgres")]
            .map(|(number, name)| (uid(number), name.to_owned()))
            .into_iter()
            .collect(),
        table: Some(table(Vec::new())),
        unread: false,
        need: need(2, 2),
        min_free: 0,
        control: Some(PathBuf::from("/usr/sbin/apache2ctl")),
        demand: Some(Demand { rows: demand().rows[..2].to_vec() }),
        no_answer: None,
        shortage: None,
        trial: Trial::Passed,
        forecast: Some(Forecast::Starts),
        view: View { orphans: false, sort: SortKey::Semid, explain: None },
    }
}

pub(crate) fn guarded(number: u32, name: &str) -> Guarded {
    Guarded { uid: uid(number), gid: Gid::from_raw(number), name: name.into() }
}

fn fails(failure: Failure, table: Table) -> Report {
    Report { table: Some(table), forecast: Some(Forecast::Fails(failure)), ..report() }
}

fn orphans(count: i32) -> Vec<Judged> {
    (0..count).map(|i| judged(32_768 * i + 1, Verdict::Orphan)).collect()
}

fn holders() -> Vec<Holder> {
    let holder = |number, sets: usize, living, unknown| Holder {
        uid: uid(number),
        sets,
        semaphores: sets as u64,
        living,
        unknown,
    };
    vec![
        holder(POSTGRES, 14, Some(named(811, "postgres")), false),
        holder(WWW, 12, None, false),
        holder(1002, 3, None, true),
        holder(0, 1, None, false),
    ]
}

/// Every forecast, and what may be said beside it.
pub(crate) fn forecasts() -> Vec<(&'static str, Report)> {
    let full = |semmni, judged: Vec<Judged>| {
        let capacity = capacity(semmni, 30);
        Table { before: capacity, after: capacity, holders: holders(), ..table(judged) }
    };
    let seed = {
        let limits = Limits { semmsl: 25_032_000, semmns: 32, semopm: 512, semmni: 512 };
        let capacity = Capacity { limits, usage: Usage { sets: 32, semaphores: 32 } };
        let mut holders = holders();
        holders.retain(|h| h.uid.as_raw() != POSTGRES && h.uid.as_raw() != 1002);
        holders[0].sets = 31;
        Table { before: capacity, after: capacity, holders, ..table(orphans(31)) }
    };
    let undecided = |count: i32| -> Vec<Judged> {
        let reason = || Reason::MayBelongToHttpd(named(4711, "apache2").into());
        (0..count).map(|i| judged(i + 1, Verdict::Keep(reason()))).collect()
    };
    let shortage = |mechanism, path: &str, errno, certain| Shortage {
        mutex: "proxy".into(),
        line: match mechanism {
            Mechanism::Fcntl | Mechanism::Flock => {
                format!("AH00023: Couldn't create the proxy mutex (file {path}/proxy.PID)")
            }
            _ => "AH00023: Couldn't create the proxy mutex".into(),
        },
        mechanism,
        path: PathBuf::from(path),
        errno,
        made: 1,
        needed: 2,
        certain,
    };
    let lacks = |s: Shortage| Report {
        shortage: Some(s.clone()),
        ..fails(Failure::Resource(s), table(Vec::new()))
    };
    let removed = {
        let mut t = table(orphans(3));
        t.before = capacity(128, 5);
        t.after = capacity(128, 2);
        t.fates = t.judged.iter().map(|j| (j.set.id, Fate::Removed)).collect();
        t
    };
    let rehearsed = {
        let mut t = removed.clone();
        t.fates.iter_mut().for_each(|(_, f)| *f = Fate::WouldRemove);
        t
    };
    let unheard =
        NoAnswer::TimedOut(PathBuf::from("/usr/sbin/httpd"), std::time::Duration::from_secs(10));
    vec![
        ("starts", report()),
        ("starts-and-needs-none", Report { need: need(0, 0), demand: Some(Demand { rows: vec![] }), ..report() }),
        ("starts-with-orphans", Report { table: Some(table(orphans(3))), ..report() }),
        ("starts-after-removal", Report { command: Command::Guard, table: Some(removed), ..report() }),
        ("starts-in-rehearsal", Report { command: Command::Guard, dry_run: true, table: Some(rehearsed), ..report() }),
        (
            "starts-again",
            Report {
                table: Some(Table {
                    running: Some(Running { leader: named(4711, "apache2"), surely: 2, perhaps: 1 }),
                    ..table(undecided(3))
                }),
                ..report()
            },
        ),
        (
            "starts-though-nobody-was-heard",
            Report {
                need: Need::unheard(),
                demand: None,
                control: None,
                no_answer: Some(unheard),
                ..report()
            },
        ),
        (
            "starts-on-a-filling-table",
            Report { table: Some(Table { after: capacity(32, 27), ..table(undecided(2)) }), ..report() },
        ),
        (
            "starts-with-an-odd-limit",
            Report {
                table: Some(Table {
                    after: Capacity {
                        limits: Limits { semmsl: 50, semmns: 100, semopm: 32, semmni: 128 },
                        usage: Usage { sets: 3, semaphores: 3 },
                    },
                    ..table(Vec::new())
                }),
                ..report()
            },
        ),
        (
            "starts-the-last-time",
            Report {
                command: Command::Guard,
                table: Some(Table { after: capacity(32, 29), ..table(undecided(25)) }),
                ..report()
            },
        ),
        (
            "starts-blind",
            Report {
                by_root: false,
                table: Some(Table {
                    unreadable: 1,
                    ..table(vec![
                        judged(1, Verdict::Keep(Reason::Blind(Doubt::Refused(Errno::EACCES)))),
                        judged(2, Verdict::Keep(Reason::Unseen)),
                    ])
                }),
                ..report()
            },
        ),
        (
            "starts-though-the-table-was-not-read",
            Report { table: None, unread: true, need: need(0, 0), ..report() },
        ),
        ("starts-without-semaphores", Report { table: None, need: need(0, 0), ..report() }),
        (
            "at-risk",
            Report {
                forecast: Some(Forecast::AtRisk),
                demand: Some(demand()),
                need: need(2, 4),
                table: Some(full(33, undecided(2))),
                ..report()
            },
        ),
        (
            "at-risk-in-a-closed-directory",
            Report {
                forecast: Some(Forecast::AtRisk),
                shortage: Some(shortage(Mechanism::Flock, "/var/lock/apache2", Errno::EACCES, false)),
                ..report()
            },
        ),
        ("fails-as-in-the-outage", fails(Failure::NoRoom(Limit::Semmns), seed)),
        ("fails-for-want-of-sets", fails(Failure::NoRoom(Limit::Semmni), full(30, undecided(2)))),
        (
            "fails-for-a-small-semmsl",
            fails(
                Failure::NoRoom(Limit::Semmsl),
                Table {
                    after: Capacity {
                        limits: Limits { semmsl: 0, ..limits(128) },
                        usage: Usage::default(),
                    },
                    ..table(Vec::new())
                },
            ),
        ),
        (
            "fails-for-the-reserve",
            Report { min_free: 100, ..fails(Failure::Reserve, full(128, Vec::new())) },
        ),
        (
            "fails-by-a-filter",
            Report {
                trial: Trial::Refused("semget", Errno::EPERM),
                ..fails(Failure::Refused("semget", Errno::EPERM), table(Vec::new()))
            },
        ),
        (
            "fails-for-want-of-memory",
            Report {
                trial: Trial::Refused("semget", Errno::ENOMEM),
                ..fails(Failure::Refused("semget", Errno::ENOMEM), table(Vec::new()))
            },
        ),
        (
            "fails-without-semaphores",
            Report { table: None, ..fails(Failure::NoSysvIpc, table(Vec::new())) },
        ),
        (
            "fails-for-a-full-lock-directory",
            lacks(shortage(Mechanism::Fcntl, "/var/lock/apache2", Errno::ENOSPC, true)),
        ),
        (
            "fails-for-a-missing-lock-directory",
            lacks(shortage(Mechanism::Fcntl, "/run/httpd", Errno::ENOENT, true)),
        ),
        (
            "fails-for-want-of-shared-memory",
            lacks(shortage(Mechanism::PosixSem, "/dev/shm", Errno::ENOSPC, true)),
        ),
        ("fails-for-pthread", lacks(shortage(Mechanism::Pthread, "/dev/zero", Errno::ENOENT, true))),
        (
            "fails-for-a-directory-that-httpd-refuses",
            Report {
                demand: None,
                control: None,
                need: Need::unheard(),
                no_answer: Some(NoAnswer::Refused(
                    PathBuf::from("/usr/sbin/apache2ctl"),
                    "AH00526: Syntax error on line 3 of /etc/apache2/conf-enabled/lock.conf: Invalid \
                     Mutex directory in argument fcntl:/nowhere"
                        .into(),
                )),
                ..fails(Failure::MutexDirectory("fcntl:/nowhere".into()), table(Vec::new()))
            },
        ),
    ]
}

/// A set for every verdict and every reason to keep one, in the world that explains it.
pub(crate) fn verdicts() -> Vec<(&'static str, Judged, World)> {
    let httpd = || process(4711, "apache2", Kind::Httpd);
    let worker = || Process {
        parent: Some(Pid::from_raw(4711)),
        uids: vec![uid(WWW)],
        start: WallTime(NOW - 3500),
        leads: false,
        ..process(4712, "apache2", Kind::Httpd)
    };
    let keep = |reason| judged(98_305, Verdict::Keep(reason));
    let alone = || world(Vec::new());
    let formless = |name, set: SemSet, mismatch| {
        let evidence = Evidence { last_pid: LastPid::NotAsked, ..keep(Reason::Unseen).evidence };
        (name, Judged { set, evidence, ..keep(Reason::NotHttpds(mismatch)) }, alone())
    };
    let blind = |name, doubt: Doubt| (name, keep(Reason::Blind(doubt)), alone());
    let this = || set(98_305);
    let mut of_php = keep(Reason::MayBelongTo(named(900, "php-fpm8.2").into()));
    of_php.set.cuid = uid(WWW);
    let php = Process { uids: vec![uid(WWW)], ..process(900, "php-fpm8.2", Kind::Other) };
    let mut locked = keep(Reason::Locked { by: Some(named(4712, "apache2").into()) });
    locked.evidence.probe = Ok(Probe { last_pid: 4712, lock: Some(Lock { value: 0, waiters: 0 }) });
    locked.evidence.last_pid = LastPid::Living(worker().into());
    locked.last = Some(named(4712, "apache2").into());
    let mut locked_by_the_dead = keep(Reason::Locked { by: None });
    locked_by_the_dead.evidence.probe =
        Ok(Probe { last_pid: 2211, lock: Some(Lock { value: 0, waiters: 0 }) });
    let mut waited = keep(Reason::Waiters { count: 3, by: Some(named(4712, "apache2").into()) });
    waited.evidence.probe = Ok(Probe { last_pid: 4712, lock: Some(Lock { value: 0, waiters: 3 }) });
    waited.evidence.inside = Some(named(4712, "apache2").into());
    let mut unseen = keep(Reason::Unseen);
    unseen.evidence.probe = Ok(Probe { last_pid: 0, lock: Some(Lock { value: 1, waiters: 0 }) });
    unseen.evidence.last_pid = LastPid::Unseen;
    let mut lives = keep(Reason::LastPidLives(named(4711, "apache2").into()));
    lives.evidence.probe = Ok(Probe { last_pid: 4711, lock: Some(Lock { value: 1, waiters: 0 }) });
    lives.evidence.last_pid = LastPid::Living(httpd().into());
    lives.last = Some(named(4711, "apache2").into());
    let recycled = {
        let mut j = judged(98_305, Verdict::Orphan);
        let other = Process { uids: vec![uid(1002)], ..process(2211, "vim", Kind::Other) };
        j.evidence.last_pid = LastPid::Living(other.into());
        j.last = Some(named(2211, "vim").into());
        j
    };
    let mut never_used = judged(98_305, Verdict::Orphan);
    never_used.set.otime = None;
    never_used.set.ctime = WallTime(NOW - 1800);
    let confirmed = |processes: Vec<Process>| {
        let mut world = world(processes);
        world.confirmed = vec![(Pid::from_raw(4711), SemId(65_537))];
        world
    };
    let mut stepped = confirmed(vec![httpd()]);
    stepped.stepped = true;
    let in_time = {
        let mut j = keep(Reason::MayBelongToHttpd(named(4711, "apache2").into()));
        j.set.ctime = WallTime(NOW - 7200);
        j
    };
    vec![
        ("orphan", judged(98_305, Verdict::Orphan), alone()),
        (
            "orphan-older-than-a-leader",
            judged(98_305, Verdict::Orphan),
            confirmed(vec![httpd(), worker()]),
        ),
        ("orphan-of-another-leader", never_used, confirmed(vec![httpd()])),
        ("orphan-with-a-recycled-pid", recycled, alone()),
        formless("not-httpds-key", SemSet { key: 0xa7, ..this() }, Mismatch::Key(0xa7)),
        formless("not-httpds-nsems", SemSet { nsems: 17, ..this() }, Mismatch::Nsems(17)),
        formless("not-httpds-mode", SemSet { mode: 0o666, ..this() }, Mismatch::Mode(0o666)),
        formless(
            "not-httpds-creator",
            SemSet { cuid: uid(1002), ..this() },
            Mismatch::Creator(uid(1002)),
        ),
        blind("blind-no-proc", Doubt::Processes(Incomplete::NoProc)),
        blind("blind-hidepid", Doubt::Processes(Incomplete::HidePid)),
        blind("blind-unreadable", Doubt::Processes(Incomplete::Unreadable)),
        blind("blind-restless", Doubt::Processes(Incomplete::Restless)),
        blind("blind-refused", Doubt::Refused(Errno::EACCES)),
        blind("blind-hidden-pid", Doubt::HiddenPid(Pid::from_raw(2211))),
        blind("blind-executable", Doubt::Executable(named(77, "webserver").into())),
        ("waited-for", waited, alone()),
        ("locked", locked, alone()),
        ("locked-by-the-dead", locked_by_the_dead, alone()),
        ("unseen", unseen, alone()),
        ("last-pid-lives", lives, world(vec![httpd()])),
        (
            "may-belong-to-httpd",
            keep(Reason::MayBelongToHttpd(named(4711, "apache2").into())),
            world(vec![httpd(), worker()]),
        ),
        ("may-belong-to-httpd-in-time", in_time, confirmed(vec![httpd()])),
        (
            "may-belong-to-httpd-by-a-stepped-clock",
            keep(Reason::MayBelongToHttpd(named(4711, "apache2").into())),
            stepped,
        ),
        ("may-belong-to-process", of_php, world(vec![php])),
    ]
}

/// Everything that can keep a run from an answer.
pub(crate) fn errors() -> Vec<(&'static str, Error)> {
    vec![
        ("no-such-user", Error::NoSuchUser("apachee".into())),
        ("guarded-root", Error::GuardedRoot),
        ("no-known-account", Error::NoKnownAccount("apache, www-data, wwwrun".into())),
        ("user-database", Error::UserDatabase("apache".into(), Errno::EIO)),
        ("no-such-set", Error::NoSuchSet(SemId(98_305), "www-data (33)".into())),
        ("output", Error::Output(PathBuf::from("/var/lib/x/semguard.prom"), Errno::ENOENT)),
        ("output-no-file", Error::Output(PathBuf::from("/dev/stdout"), Errno::EINVAL)),
        ("kernel", Error::Kernel("semctl(SEM_INFO)", Errno::EPERM)),
    ]
}
