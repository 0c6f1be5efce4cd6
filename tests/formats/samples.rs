//! Reports as values, one for each thing that a report can say. No kernel, no clock, no accounts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use httpd_semguard::decide::forecast::{Failure, Forecast, Input};
use httpd_semguard::facts::capacity::{Capacity, Limit, Limits, Usage};
use httpd_semguard::facts::error::Error;
use httpd_semguard::facts::event::Event;
use httpd_semguard::facts::evidence::{Evidence, LastPid, Lock, Probe, Who};
use httpd_semguard::facts::heard::{Answer, Heard, NoAnswer};
use httpd_semguard::facts::memory::{Extent, Gap, ProcFile, Reading};
use httpd_semguard::facts::mutex::{Demand, LogLine, Mechanism, Mutexes, Passes};
use httpd_semguard::facts::need::{Need, NeedSource};
use httpd_semguard::facts::process::{Incomplete, Kind, Named, Process};
use httpd_semguard::facts::request::{Command, SortKey};
use httpd_semguard::facts::row::{Holder, Outcome, Row, Running};
use httpd_semguard::facts::set::{Maker, SemId, SemSet};
use httpd_semguard::facts::settings::{Origin, Setting};
use httpd_semguard::facts::shortage::Shortage;
use httpd_semguard::facts::site::{GuardCommand, Lasting, Site, Sysctl, TableOf};
use httpd_semguard::facts::table::Table;
use httpd_semguard::facts::time::{BootTicks, Clock, WallTime};
use httpd_semguard::facts::trial::Trial;
use httpd_semguard::facts::users::{Guarded, Source};
use httpd_semguard::facts::verdict::{Blind, Mismatch, Reason, Unread, Verdict};
use httpd_semguard::facts::world::{Memory, World};
use httpd_semguard::tell::report::{Report, View};
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

/// A set like those of httpd.
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
        uids: vec![uid(0)],
        kind,
        // An hour ago, on a machine that has been running for 30 days.
        start: BootTicks(100 * (30 * 86_400 - 3600)),
        leads: kind == Kind::Httpd,
        called_us: false,
    }
}

/// A set with this verdict, whose last user is dead.
pub(crate) fn judged(id: i32, verdict: Verdict) -> Row {
    let lock = Some(Lock { value: 1, waiters: 0 });
    Row { set: set(id), evidence: touched(2211, Who::Nobody, lock), verdict, outcome: None }
}

fn touched(number: i32, who: Who, lock: Option<Lock>) -> Evidence {
    Evidence { probe: Probe::Told { last: LastPid { number, who }, lock }, inside: None }
}

pub(crate) fn limits(semmni: i64) -> Limits {
    Limits { semmsl: 250, semmns: 32_000, semopm: 32, semmni }
}

pub(crate) fn capacity(semmni: i64, sets: i64) -> Capacity {
    Capacity { limits: limits(semmni), usage: Usage { sets, semaphores: sets } }
}

/// A world with these processes, whose memory was not read.
pub(crate) fn world(processes: Vec<Process>) -> World {
    let clock = Clock { now: WallTime(NOW), boot: WallTime(NOW - 30 * DAY), ticks_per_second: 100 };
    World {
        processes: processes.into_iter().map(Rc::new).collect(),
        incomplete: None,
        by_root: true,
        ..World::unseen(clock)
    }
}

/// A world in which this much of these processes' memory was read, and they know these sets.
fn read(processes: Vec<(Process, Extent, Vec<i32>)>) -> World {
    let reading = |(p, extent, holds): &(Process, Extent, Vec<i32>)| {
        let holds = holds.iter().copied().map(SemId).collect();
        (p.identity(), Reading { pid: p.named.pid, holds, extent: *extent })
    };
    let memory = Memory::Read(processes.iter().map(reading).collect::<HashMap<_, _>>());
    World { memory, ..world(processes.into_iter().map(|(p, ..)| p).collect()) }
}

pub(crate) fn table(rows: Vec<Row>) -> Table {
    let capacity = capacity(128, rows.len() as i64);
    Table {
        found: capacity,
        left: capacity,
        unreadable: 0,
        leftover: None,
        rows,
        strangers: Vec::new(),
        others: Vec::new(),
        of_root: Vec::new(),
        highest: None,
        running: None,
        holders: Vec::new(),
        world: world(Vec::new()),
    }
}

fn row(mutex: &str, mechanism: Option<Mechanism>, least: u32, most: u32, cause: &str) -> Mutexes {
    let dir = String::new();
    let passes = if mutex == "wsgi" { Passes::Second } else { Passes::Both };
    let words = LogLine::Ah00023;
    Mutexes { mutex: mutex.into(), mechanism, dir, least, most, cause: cause.into(), passes, words }
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

/// An answer of httpd, that it will make these.
fn heard(demand: Demand) -> Heard {
    Heard::Answered(Box::new(Answer {
        control: PathBuf::from("/usr/sbin/apache2ctl"),
        demand,
        user: Some(("www-data".into(), WWW)),
        further_users: Vec::new(),
        user_of_root: None,
        pid_file: None,
        has_config: true,
        locks: true,
        digest: None,
    }))
}

pub(crate) fn input(need: Need) -> Input {
    Input {
        capacity: None,
        need,
        running: None,
        min_free: 0,
        trial: Trial::Passed,
        locks: true,
        shortage: None,
        refused_directory: None,
    }
}

/// A check in which all is well.
pub(crate) fn report() -> Report {
    Report {
        command: Command::Check,
        instance: None,
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
        heard: heard(Demand { rows: demand().rows[..2].to_vec() }),
        table: Some(table(Vec::new())),
        input: input(need(2, 2)),
        forecast: Some(Forecast::Starts),
        events: Vec::new(),
        site: Some(site()),
        started_as: None,
        guard: GuardCommand::default(),
        reserve: None,
        view: View { orphans: false, all: false, sort: SortKey::Semid, explain: None },
    }
}

/// A typical machine: sysctl is installed, and nothing sets kernel.sem at boot.
fn site() -> Site {
    let new = Some(PathBuf::from("/etc/sysctl.d/99-httpd-semguard.conf"));
    let lasting = Lasting { new, ..Lasting::default() };
    let sysctl = Sysctl::Here { has_program: true, lasting };
    let directive = Some("Mutex pthread default");
    Site { sysctl, table: TableOf::Here, unit: None, unit_in_doubt: None, directive }
}

/// The report with a forecast input that matches its own table.
pub(crate) fn settled(report: Report) -> Report {
    let table = report.table.as_ref();
    let (capacity, running) = (table.map(|t| t.left), table.and_then(|t| t.running.clone()));
    Report { input: Input { capacity, running, ..report.input }, ..report }
}

pub(crate) fn guarded(number: u32, name: &str) -> Guarded {
    Guarded { uid: uid(number), gid: Gid::from_raw(number), name: name.into() }
}

fn fails(failure: Failure, table: Table) -> Report {
    Report { table: Some(table), forecast: Some(Forecast::Fails(failure)), ..report() }
}

fn orphans(count: i32) -> Vec<Row> {
    (0..count).map(|i| judged(32_768 * i + 1, Verdict::Orphan)).collect()
}

fn holders() -> Vec<Holder> {
    let holder = |number, sets: usize, living, unknown| Holder {
        uid: uid(number),
        maker: match number {
            0 => Maker::HttpdOrRoot,
            POSTGRES => Maker::Postgres,
            WWW => Maker::Httpd,
            _ => Maker::Other,
        },
        first: SemId(7),
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

/// Every forecast, and everything that may be reported with it.
pub(crate) fn forecasts() -> Vec<(&'static str, Report)> {
    let full = |semmni, judged: Vec<Row>| {
        let capacity = capacity(semmni, 30);
        Table { found: capacity, left: capacity, holders: holders(), ..table(judged) }
    };
    let seed = {
        let limits = Limits { semmsl: 25_032_000, semmns: 32, semopm: 512, semmni: 512 };
        let capacity = Capacity { limits, usage: Usage { sets: 32, semaphores: 32 } };
        let mut holders = holders();
        holders.retain(|h| h.uid.as_raw() != POSTGRES && h.uid.as_raw() != 1002);
        holders[0].sets = 31;
        Table { found: capacity, left: capacity, holders, ..table(orphans(31)) }
    };
    let undecided = |count: i32| -> Vec<Row> {
        let unread = Unread::Part(Gap::Budget);
        let reason = || Reason::MayBeKnownTo(named(4711, "apache2").into(), unread);
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
    let lacks = |s: Shortage| {
        let report = fails(Failure::Resource(s.clone()), table(Vec::new()));
        Report { input: Input { shortage: Some(s), ..report.input }, ..report }
    };
    let with_outcome = |outcome, left| {
        let mut t = table(orphans(3));
        (t.found, t.left) = (capacity(128, 5), capacity(128, left));
        t.rows.iter_mut().for_each(|row| row.outcome = Some(outcome));
        Some(t)
    };
    let with_input = |input: Input| Report { input, ..report() };
    let tried = |trial, failure| {
        let report = fails(failure, table(Vec::new()));
        Report { input: Input { trial, ..report.input }, ..report }
    };
    let unheard =
        NoAnswer::TimedOut(PathBuf::from("/usr/sbin/httpd"), std::time::Duration::from_secs(10));
    let all = vec![
        ("starts", report()),
        (
            "starts-and-needs-none",
            Report { heard: heard(Demand { rows: vec![] }), ..with_input(input(need(0, 0))) },
        ),
        ("starts-with-orphans", Report { table: Some(table(orphans(3))), ..report() }),
        (
            "starts-after-removal",
            Report { command: Command::Guard, table: with_outcome(Outcome::Removed, 2), ..report() },
        ),
        (
            "starts-in-rehearsal",
            Report {
                command: Command::Guard,
                dry_run: true,
                table: with_outcome(Outcome::WouldRemove, 2),
                ..report()
            },
        ),
        (
            "starts-after-a-refused-removal",
            Report {
                command: Command::Guard,
                table: with_outcome(Outcome::Refused(Errno::EPERM), 5),
                ..report()
            },
        ),
        (
            "starts-with-trouble",
            Report {
                command: Command::Guard,
                events: vec![
                    Event::WithoutLock(Errno::EROFS),
                    Event::LeftoverStays(SemId(98_305), Errno::EPERM),
                    Event::StayedAs(uid(WWW), Errno::EPERM),
                ],
                ..report()
            },
        ),
        (
            "starts-without-a-leftover",
            Report {
                command: Command::Guard,
                events: vec![Event::LeftoverRemoved(SemId(98_305))],
                ..report()
            },
        ),
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
            Report { heard: Heard::Refused(unheard), ..with_input(input(Need::unheard())) },
        ),
        (
            "starts-on-a-filling-table",
            Report { table: Some(Table { left: capacity(32, 27), ..table(undecided(2)) }), ..report() },
        ),
        (
            "starts-with-an-odd-limit",
            Report {
                table: Some(Table {
                    left: Capacity {
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
                table: Some(Table { left: capacity(32, 29), ..table(undecided(25)) }),
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
                        judged(1, Verdict::Keep(Reason::Blind(Blind::Refused(Errno::EACCES)))),
                        judged(2, Verdict::Keep(Reason::Unseen)),
                    ])
                }),
                ..report()
            },
        ),
        (
            "starts-though-the-table-was-not-read",
            Report {
                table: None,
                events: vec![Event::TableUnreadable("semctl(IPC_INFO)", Errno::EPERM)],
                ..with_input(input(need(0, 0)))
            },
        ),
        ("starts-without-semaphores", Report { table: None, ..with_input(input(need(0, 0))) }),
        (
            "at-risk",
            Report {
                forecast: Some(Forecast::AtRisk),
                heard: heard(demand()),
                table: Some(full(33, undecided(2))),
                ..with_input(input(need(2, 4)))
            },
        ),
        (
            "at-risk-in-a-closed-directory",
            Report {
                forecast: Some(Forecast::AtRisk),
                ..with_input(Input {
                    shortage: Some(shortage(
                        Mechanism::Flock,
                        "/var/lock/apache2",
                        Errno::EACCES,
                        false,
                    )),
                    ..input(need(2, 2))
                })
            },
        ),
        ("fails-as-in-the-outage", fails(Failure::NoRoom(Limit::Semmns), seed)),
        ("fails-for-want-of-sets", fails(Failure::NoRoom(Limit::Semmni), full(30, undecided(2)))),
        (
            "fails-for-a-small-semmsl",
            fails(
                Failure::NoRoom(Limit::Semmsl),
                Table {
                    left: Capacity {
                        limits: Limits { semmsl: 0, ..limits(128) },
                        usage: Usage::default(),
                    },
                    ..table(Vec::new())
                },
            ),
        ),
        (
            "fails-for-the-reserve",
            Report {
                input: Input { min_free: 100, ..input(need(2, 2)) },
                reserve: Some(Setting {
                    name: "HTTPD_SEMGUARD_MIN_FREE".into(),
                    value: "100".into(),
                    origin: Origin::File(PathBuf::from("/etc/default/httpd-semguard"), 12),
                }),
                ..fails(Failure::Reserve, full(128, Vec::new()))
            },
        ),
        (
            "fails-by-a-filter",
            tried(
                Trial::Refused("semget", Errno::EPERM),
                Failure::Refused("semget", Errno::EPERM),
            ),
        ),
        (
            "fails-for-want-of-memory",
            tried(
                Trial::Refused("semget", Errno::ENOMEM),
                Failure::Refused("semget", Errno::ENOMEM),
            ),
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
                heard: Heard::Refused(NoAnswer::Refused(
                    PathBuf::from("/usr/sbin/apache2ctl"),
                    "AH00526: Syntax error on line 3 of /etc/apache2/conf-enabled/lock.conf: Invalid \
                     Mutex directory in argument fcntl:/nowhere"
                        .into(),
                )),
                input: input(Need::unheard()),
                ..fails(Failure::MutexDirectory("fcntl:/nowhere".into()), table(Vec::new()))
            },
        ),
    ];
    all.into_iter().map(|(name, report)| (name, settled(report))).collect()
}

/// A set for every verdict and every reason to keep one, in the world that explains it.
pub(crate) fn verdicts() -> Vec<(&'static str, Row, World)> {
    const ID: i32 = 98_305;
    let httpd = || process(4711, "apache2", Kind::Httpd);
    let worker =
        || Process { uids: vec![uid(WWW)], leads: false, ..process(4712, "apache2", Kind::Httpd) };
    let keep = |reason| judged(ID, Verdict::Keep(reason));
    let orphan = || judged(ID, Verdict::Orphan);
    let with = |evidence, row: Row| Row { evidence, ..row };
    let alone = || world(Vec::new());
    let free = Some(Lock { value: 1, waiters: 0 });
    let formless = |name, set: SemSet, mismatch| {
        (name, Row { set, ..keep(Reason::NotHttpds(mismatch)) }, alone())
    };
    let this = || set(ID);
    let blind = |name, incomplete| {
        let row = keep(Reason::Blind(Blind::Processes(incomplete)));
        (name, row, World { incomplete: Some(incomplete), ..alone() })
    };
    let by = |p: Process| Some(Rc::clone(&p.named));
    let living = |p: Process, lock| touched(p.named.pid.as_raw(), Who::Living(p.into()), lock);
    let locked = Some(Lock { value: 0, waiters: 0 });
    let waited =
        Evidence { inside: by(worker()), ..living(worker(), Some(Lock { value: 0, waiters: 3 })) };
    let by_its_owner = |row: Row| Row { set: SemSet { cuid: uid(WWW), ..row.set }, ..row };
    let php = || Process { uids: vec![uid(WWW)], ..process(900, "php-fpm8.2", Kind::Other) };
    let cron = || process(77, "cron", Kind::Other);
    let part = |gap| Extent::Part(gap);
    let may = |p: Process, gap| keep(Reason::MayBeKnownTo(p.named, Unread::Part(gap)));
    let refused = Gap::Refused(ProcFile::Mem, Errno::EACCES);
    let stranger = Process { uids: vec![uid(1002)], ..process(2211, "vim", Kind::Other) };
    let unreadable = || process(77, "webserver", Kind::Unreadable);
    vec![
        ("orphan", orphan(), alone()),
        (
            "orphan-beside-httpd",
            orphan(),
            read(vec![(httpd(), Extent::Full, vec![]), (worker(), Extent::Full, vec![])]),
        ),
        (
            "orphan-with-a-recycled-pid",
            with(living(stranger.clone(), free), orphan()),
            read(vec![(stranger, Extent::Full, vec![])]),
        ),
        formless("not-httpds-key", SemSet { key: 0xa7, ..this() }, Mismatch::Key(0xa7)),
        formless("not-httpds-nsems", SemSet { nsems: 17, ..this() }, Mismatch::Nsems(17)),
        formless("not-httpds-mode", SemSet { mode: 0o666, ..this() }, Mismatch::Mode(0o666)),
        formless(
            "not-httpds-creator",
            SemSet { cuid: uid(1002), ..this() },
            Mismatch::Creator(uid(1002)),
        ),
        blind("blind-no-proc", Incomplete::NoProc),
        blind("blind-hidepid", Incomplete::HidePid),
        blind("blind-unreadable", Incomplete::Unreadable),
        blind("blind-restless", Incomplete::Restless),
        (
            "blind-refused",
            with(
                Evidence { probe: Probe::Refused(Errno::EACCES), inside: None },
                keep(Reason::Blind(Blind::Refused(Errno::EACCES))),
            ),
            alone(),
        ),
        (
            "blind-hidden-pid",
            with(touched(2211, Who::Hidden, free), keep(Reason::Blind(Blind::HiddenPid(2211)))),
            alone(),
        ),
        ("waited-for", with(waited, keep(Reason::Waiters { count: 3, by: by(worker()) })), alone()),
        (
            "locked",
            with(living(worker(), locked), keep(Reason::Locked { by: by(worker()) })),
            alone(),
        ),
        (
            "locked-by-the-dead",
            with(touched(2211, Who::Nobody, locked), keep(Reason::Locked { by: None })),
            alone(),
        ),
        ("unseen", with(touched(0, Who::Nobody, free), keep(Reason::Unseen)), alone()),
        (
            "unseen-on-an-old-kernel",
            keep(Reason::Unseen),
            World { foreign_numbers: true, ..alone() },
        ),
        (
            "just-made",
            with(touched(0, Who::Nobody, free), keep(Reason::JustMade(httpd().named))),
            World { private_ipc: true, ..world(vec![httpd()]) },
        ),
        (
            "last-pid-lives",
            with(living(httpd(), free), keep(Reason::LastPidLives(httpd().named))),
            world(vec![httpd()]),
        ),
        (
            "known-to-httpd",
            keep(Reason::KnownTo(httpd().named)),
            read(vec![(httpd(), Extent::Full, vec![ID]), (worker(), Extent::Enough, vec![])]),
        ),
        (
            "known-to-a-process-of-its-owner",
            by_its_owner(keep(Reason::KnownTo(php().named))),
            read(vec![(cron(), Extent::Full, vec![]), (php(), Extent::Full, vec![ID])]),
        ),
        (
            "may-be-known-unread",
            may(httpd(), refused),
            read(vec![(httpd(), part(refused), vec![])]),
        ),
        (
            "may-be-known-in-time",
            may(worker(), Gap::Budget),
            read(vec![(httpd(), Extent::Full, vec![]), (worker(), part(Gap::Budget), vec![])]),
        ),
        (
            "may-be-known-to-what-cannot-be-read",
            may(unreadable(), refused),
            read(vec![(unreadable(), part(refused), vec![])]),
        ),
        (
            "may-be-known-memory-off",
            keep(Reason::MayBeKnownTo(httpd().named, Unread::Off)),
            World { memory: Memory::Off, ..world(vec![httpd()]) },
        ),
        ("not-decided", judged(ID, Verdict::Ask), world(vec![httpd()])),
    ]
}

/// Everything that can keep a run from having a result.
pub(crate) fn errors() -> Vec<(&'static str, Error)> {
    vec![
        ("no-such-user", Error::NoSuchUser("apachee".into())),
        ("guarded-root", Error::GuardedRoot),
        ("no-known-account", Error::NoKnownAccount("apache, www-data, wwwrun".into())),
        ("user-database", Error::UserDatabase("apache".into(), Errno::EIO)),
        ("no-such-set", Error::NoSuchSet(SemId(98_305), "www-data (33)".into())),
        ("output", Error::Output(PathBuf::from("/var/lib/x/semguard.prom"), Errno::ENOENT)),
        ("output-no-file", Error::Output(PathBuf::from("/dev/stdout"), Errno::EINVAL)),
        ("output-stdout", Error::Stdout(Errno::ENOSPC)),
        ("kernel", Error::Kernel("semctl(SEM_INFO)", Errno::EPERM)),
    ]
}
