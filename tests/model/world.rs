//! A world: processes that do or do not behave like httpd, the sets they made, and which process knows
//! which. A process knows the sets it made and those its parent knew when it was forked, until it
//! forgets them or executes a program; a keeper knows the one that it was told. So if a process knows a
//! set now, at every earlier moment some process knew it: a set that is gone although a knower is
//! running was removed while it was known. Copies may stay behind where a semid was overwritten: a set
//! is certain to be unknown only once every process that ever saw its semid is dead or runs another
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use httpd_semguard::facts::set::TELLING;
use httpd_semguard::look::memory::THIS_PROGRAM;
use nix::libc::{SIGCONT, SIGSTOP};

use crate::common::{Namespace, WWW};
use crate::keeper::Place;
use crate::nest::{Heard, Nest, Row, fifo};
use crate::random::Random;
use crate::tally::{Case, Fate, Tally};

/// The second user with an httpd.
pub(crate) const SECOND: u32 = 48;

/// The names under which httpd is installed.
pub(crate) const NAMES: [&str; 4] = ["httpd", "apache2", "httpd.worker", "httpd-prefork"];

/// CAP_SYS_PTRACE and CAP_SYS_ADMIN (capabilities(7)).
const CAPABILITIES: (u8, u8) = (19, 21);

/// No world gets more processes than this.
const MOST_PROCESSES: usize = 24;

/// The guard's trial sets come and go.
const TRIAL_KEY: i32 = httpd_semguard::facts::trial::KEY;

/// What is run as the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    Guard,
    /// Treats a set whose last pid is dead as an orphan.
    TrustsLastPid,
    /// Removes every set of the user.
    RemovesEvery,
    /// Removes nothing.
    Sleeps,
}

/// A process's role in its instance or for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Launcher,
    Leader,
    Worker,
    /// Executed by a worker.
    Cgi,
    /// A program of a guarded user that is not an httpd: php-fpm.
    Fpm,
    /// Holds one semid in one place, and does nothing.
    Keeper,
    /// Unrelated to all of this.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Waits,
    /// Wants the lock of this set.
    Locks(i32),
    Churns,
    Hops,
    Keeps,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) role: Role,
    pub(crate) instance: usize,
    pub(crate) exe: &'static str,
    pub(crate) knows: BTreeSet<i32>,
    /// What it has known since it executed its program, including what came with its parent's memory.
    pub(crate) seen: BTreeSet<i32>,
    pub(crate) holds: BTreeSet<i32>,
    pub(crate) doing: Doing,
    /// For a keeper.
    pub(crate) place: Option<Place>,
}

impl Process {
    pub(crate) fn is_httpd(&self) -> bool {
        match self.role {
            Role::Launcher | Role::Leader | Role::Worker => true,
            Role::Keeper => NAMES.contains(&self.exe),
            Role::Cgi | Role::Fpm | Role::Other => false,
        }
    }

    pub(crate) fn idle(&self) -> bool {
        self.doing == Doing::Waits
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) uid: u32,
    /// Not started by root: its sets have cuid = uid.
    pub(crate) rootless: bool,
    pub(crate) exe: &'static str,
}

/// Where a set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Launcher,
    Leader,
    Daemon,
    Rootless,
    Cgi,
    Acting,
    Half,
    Php,
    Stranger,
    Root,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Launcher => "httpd's launcher's",
            Origin::Leader => "httpd's leader's",
            Origin::Daemon => "httpd's, for a daemon's user",
            Origin::Rootless => "httpd's, not started by root",
            Origin::Cgi => "a program's of the user",
            Origin::Acting => "root's, made as the user",
            Origin::Half => "root's, not given away yet",
            Origin::Php => "PHP's, with a key",
            Origin::Stranger => "another user's",
            Origin::Root => "a daemon's of root",
        })
    }
}

impl Origin {
    /// Made by its owner, not by root.
    pub(crate) fn by_owner(self) -> bool {
        use Origin::{Acting, Cgi, Php, Rootless, Stranger};
        matches!(self, Rootless | Cgi | Acting | Php | Stranger)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) origin: Origin,
    pub(crate) owner: u32,
    pub(crate) instance: usize,
}

impl Set {
    /// Whether a guard of its owner may remove it at all.
    pub(crate) fn is_httpds(&self) -> bool {
        !matches!(self.origin, Origin::Half | Origin::Php | Origin::Stranger | Origin::Root)
    }
}

/// What a run of the guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Guard,
    Dry,
    Check,
    List,
}

/// How much a run of the guard can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eyes {
    All,
    /// No page frame numbers, and no files of shared memory.
    NoAdmin,
    /// Only the memory of processes with its own rights.
    NoPtrace,
    /// Its reader is blocked.
    HeldUp,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) command: Command,
    pub(crate) users: Vec<u32>,
    /// Run by this user.
    pub(crate) by: u32,
    pub(crate) eyes: Eyes,
    pub(crate) pid: i32,
    pub(crate) stopped_for: Option<u32>,
    pub(crate) code: Option<i32>,
    /// The table when it started.
    pub(crate) rows: Vec<Row>,
    /// The sets by case when it started: the set, the case, and whether it was known.
    pub(crate) before: Vec<(i32, Case, bool)>,
    /// The fullest that the table was seen while it ran.
    pub(crate) most: usize,
    /// The most other guards that ran meanwhile, each with a trial set.
    pub(crate) beside: usize,
}

/// What the model does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(pub String);

impl From<String> for Wrong {
    fn from(s: String) -> Wrong {
        Wrong(s)
    }
}

pub(crate) type Outcome = Result<(), Wrong>;

pub(crate) struct World<'n> {
    pub(crate) nest: Nest<'n>,
    pub(crate) judge: Judge,
    pub(crate) semmni: usize,
    pub(crate) processes: BTreeMap<String, Process>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) sets: BTreeMap<i32, Set>,
    pub(crate) runs: Vec<Run>,
    /// Removed by guards since the start.
    pub(crate) removed: BTreeSet<i32>,
    pub(crate) births: usize,
    pub(crate) tally: Tally,
    /// What happened, for people.
    pub(crate) log: Vec<String>,
}

impl<'n> World<'n> {
    pub(crate) fn new(namespace: &'n Namespace, judge: Judge, semmni: usize) -> World<'n> {
        World {
            nest: Nest::new(namespace),
            judge,
            semmni,
            processes: BTreeMap::new(),
            instances: Vec::new(),
            sets: BTreeMap::new(),
            runs: Vec::new(),
            removed: BTreeSet::new(),
            births: 0,
            tally: Tally::default(),
            log: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    // Who is there.

    pub(crate) fn some(&self, r: &mut Random, is_it: impl Fn(&Process) -> bool) -> Option<String> {
        let names: Vec<&String> =
            self.processes.iter().filter(|(_, p)| is_it(p)).map(|(n, _)| n).collect();
        (!names.is_empty()).then(|| names[r.below(names.len())].clone())
    }

    pub(crate) fn knowers(&self, set: i32) -> impl Iterator<Item = (&String, &Process)> {
        self.processes.iter().filter(move |(_, p)| p.knows.contains(&set))
    }

    pub(crate) fn people(&self, is_it: impl Fn(&Process) -> bool) -> Vec<String> {
        self.processes.iter().filter(|(_, p)| is_it(p)).map(|(n, _)| n.clone()).collect()
    }

    pub(crate) fn title(&self, name: &str) -> String {
        match self.processes.get(name) {
            Some(p) => format!("{name} ({:?} {} of {})", p.role, p.pid, p.uid),
            None => name.to_owned(),
        }
    }

    // What they do.

    /// Has a process do something that does not block; returns the sets it made, and whether it could
    /// do it.
    pub(crate) fn does(&mut self, name: &str, verbs: &str) -> Result<(Vec<i32>, bool), Wrong> {
        self.nest.tell(name, verbs);
        self.done(name, verbs)
    }

    fn done(&mut self, name: &str, verbs: &str) -> Result<(Vec<i32>, bool), Wrong> {
        let mine = |h: &Heard| matches!(h, Heard::Done(n, _) | Heard::Failed(n, _) if n == name);
        let heard = self.nest.expect(&format!("{name} does {verbs}"), mine)?;
        if let (Heard::Done(_, pid), Some(p)) = (&heard, self.processes.get_mut(name)) {
            p.pid = *pid;
        }
        Ok((self.nest.new_sets(), matches!(heard, Heard::Done(..))))
    }

    /// Takes in unsolicited messages: the end of a wait for a lock, or of a guard.
    pub(crate) fn listen(&mut self) {
        for heard in self.nest.rest() {
            match heard {
                Heard::Done(name, pid) => {
                    let Some(p) = self.processes.get_mut(&name) else { continue };
                    if let Doing::Locks(id) = p.doing {
                        p.holds.insert(id);
                    }
                    p.doing = Doing::Waits;
                    p.pid = pid;
                }
                Heard::Failed(name, _) => {
                    if let Some(p) = self.processes.get_mut(&name) {
                        p.doing = Doing::Waits;
                    }
                }
                Heard::Guard(name, pid) => {
                    if let Some(r) = self.runs.iter_mut().find(|r| r.name == name) {
                        r.pid = pid;
                    }
                }
                Heard::Ran(name, code) => {
                    if let Some(r) = self.runs.iter_mut().find(|r| r.name == name) {
                        r.code = Some(code);
                    }
                }
                _ => {}
            }
        }
    }

    /// A new process, forked by `parent` (or the nest), which performs these verbs before it serves.
    pub(crate) fn born(
        &mut self,
        parent: Option<&str>,
        verbs: &str,
        like: Process,
        number: Option<i32>,
    ) -> Result<Option<String>, Wrong> {
        if self.processes.len() >= MOST_PROCESSES {
            return Ok(None);
        }
        self.births += 1;
        let letter = format!("{:?}", like.role).chars().next().unwrap_or('x');
        let name = format!("{letter}{}", self.births);
        let fifo = fifo(self.nest.namespace, &name);
        if let Some(n) = number {
            self.nest.does(&format!("nextpid {n}"))?;
        }
        let whole = match verbs.strip_prefix("detach") {
            Some(_) => format!("detach serve {fifo}"),
            None => format!("fork {{ {verbs} serve {fifo} }}"),
        };
        match parent {
            None => self.nest.does(&whole)?,
            Some(p) => self.nest.tell(p, &whole),
        }
        let lives = |h: &Heard| matches!(h, Heard::Lives(n, _) if *n == name);
        let Heard::Lives(_, pid) = self.nest.expect(&format!("{name}: {whole}"), lives)? else {
            unreachable!("that was its life sign")
        };
        if let (Some(p), false) = (parent, verbs == "detach") {
            self.done(p, "fork")?;
        }
        let process = Process { pid, doing: Doing::Waits, holds: BTreeSet::new(), ..like };
        self.processes.insert(name.clone(), process);
        let by = parent.map_or_else(|| "started".to_owned(), |p| format!("forked by {p}"));
        let instance = self.instances.get(self.processes[&name].instance);
        let exe = instance.map_or("", |i| i.exe);
        let wanted = number.map_or_else(String::new, |n| format!(", {n} was wanted"));
        self.note(format!("{} is {by} {exe}{wanted}", self.title(&name)));
        Ok(Some(name))
    }

    /// A new process that holds a semid in one place; false if there are too many processes.
    pub(crate) fn keeper(&mut self, like: Process, id: i32, place: Place) -> Result<bool, Wrong> {
        if self.processes.len() >= MOST_PROCESSES {
            return Ok(false);
        }
        self.births += 1;
        let name = format!("K{}", self.births);
        let command = place.command(self.nest.namespace, like.exe, self.births, id);
        let become_ = if like.uid == 0 { String::new() } else { format!("as {} ", like.uid) };
        self.nest.does(&format!("fork {{ {become_}exec {command} }}"))?;
        let lives = |h: &Heard| matches!(h, Heard::Lives(n, _) if n == "ready");
        if let Heard::Lives(_, pid) = self.nest.expect(&format!("{name}: {command}"), lives)? {
            self.processes.insert(name.clone(), Process { pid, ..like });
        }
        let exe = self.processes[&name].exe;
        self.note(format!("{} {exe} keeps {id}: {place:?}", self.title(&name)));
        self.look()?;
        Ok(true)
    }

    /// New sets of a process.
    pub(crate) fn make(&mut self, name: &str, verbs: &str, origin: Origin, owner: u32) -> Outcome {
        let (ids, _) = self.does(name, verbs)?;
        let Some(p) = self.processes.get_mut(name) else { return Ok(()) };
        p.knows.extend(&ids);
        p.seen.extend(&ids);
        let instance = p.instance;
        for id in &ids {
            self.sets.insert(*id, Set { origin, owner, instance });
        }
        self.note(format!("{} makes {ids:?}: {origin}", self.title(name)));
        Ok(())
    }

    /// Makes a process that churns or hops listen again, and learns its pid.
    pub(crate) fn still(&mut self, name: &str) -> Outcome {
        if matches!(self.processes[name].doing, Doing::Churns | Doing::Hops) {
            self.nest.tell(name, "");
            // First the answer to what it was doing, then the one to the empty line.
            self.done(name, "be still")?;
            self.done(name, "be still")?;
            if let Some(p) = self.processes.get_mut(name) {
                p.doing = Doing::Waits;
            }
        }
        Ok(())
    }

    /// Kills these processes, in this order.
    pub(crate) fn kill(&mut self, names: &[String]) -> Outcome {
        for name in names {
            self.still(name)?;
        }
        self.look()?;
        for name in names {
            let title = self.title(name);
            let Some(p) = self.processes.remove(name) else { continue };
            self.nest.does(&format!("kill {}", p.pid))?;
            self.note(format!("{title} is killed"));
        }
        Ok(())
    }

    /// Lets an idle process exit by itself.
    pub(crate) fn end(&mut self, name: &str) -> Outcome {
        self.look()?;
        let title = self.title(name);
        let Some(p) = self.processes.remove(name) else { return Ok(()) };
        self.nest.tell(name, "exit");
        self.nest.does(&format!("await {}", p.pid))?;
        self.note(format!("{title} ends"));
        Ok(())
    }

    /// A process removes a set of its own, as httpd does when it restarts or ends.
    pub(crate) fn drop_set(&mut self, name: &str, id: i32) -> Outcome {
        self.look()?;
        if self.sets.contains_key(&id) {
            let (_, could) = self.does(name, &format!("drop #{id}"))?;
            if !could {
                self.look()?;
                return Err(Wrong(format!("{} could not remove its set {id}", self.title(name))));
            }
            self.sets.remove(&id);
            for p in self.processes.values_mut() {
                p.holds.remove(&id);
            }
            self.note(format!("{} removes its set {id}", self.title(name)));
        }
        Ok(())
    }

    // What must hold.

    /// Compares the table with what is known about it. Anything that vanished was removed by a guard.
    pub(crate) fn look(&mut self) -> Result<Vec<Row>, Wrong> {
        let mut rows = self.nest.table()?;
        rows.retain(|r| r.key != TRIAL_KEY);
        let there: BTreeSet<i32> = rows.iter().map(|r| r.id).collect();
        let gone: Vec<(i32, Set)> =
            self.sets.iter().filter(|(id, _)| !there.contains(id)).map(|(i, s)| (*i, *s)).collect();
        for run in &mut self.runs {
            // Sets may have been made since the last look before a guard removed these.
            run.most = run.most.max(rows.len() + gone.len());
        }
        let mut wrong = Vec::new();
        for (id, set) in gone {
            let knowers: Vec<String> = self.knowers(id).map(|(n, _)| self.title(n)).collect();
            let allowed = self
                .runs
                .iter()
                .any(|r| r.command == Command::Guard && r.users.contains(&set.owner));
            let why = if !knowers.is_empty() {
                format!("it was removed while known to {}", knowers.join(", "))
            } else if !set.is_httpds() {
                "it was removed and is not httpd's".to_owned()
            } else if !allowed {
                "it was removed, and no guard was supposed to remove it".to_owned()
            } else {
                String::new()
            };
            if !why.is_empty() {
                let case = self.case(id, set, &rows);
                self.tally.wrong(case);
                wrong.push(format!("set {id} ({}, of {}): {why}", set.origin, set.owner));
            }
            self.sets.remove(&id);
            self.removed.insert(id);
            self.tally.removed += 1;
            self.note(format!("set {id} was removed by a guard"));
        }
        for row in &rows {
            if !self.sets.contains_key(&row.id) {
                wrong.push(format!("the test does not know set {}", row.id));
            }
        }
        if wrong.is_empty() {
            return Ok(rows);
        }
        // Checks that those said to have known the sets are in fact running.
        for name in self.people(|p| p.doing != Doing::Waits) {
            self.still(&name)?;
        }
        for (name, p) in &self.processes {
            let headless = p.place == Some(Place::Thread);
            if !headless && !self.nest.namespace.lives(p.pid) {
                wrong.push(format!("the test believes that {name} is running"));
            }
        }
        Err(Wrong(wrong.join("; ")))
    }

    /// What kind of case a set is at this moment.
    fn case(&self, id: i32, set: Set, rows: &[Row]) -> Case {
        let of_instance = |roles: &[Role]| {
            self.processes
                .values()
                .any(|p| p.instance == set.instance && p.is_httpd() && roles.contains(&p.role))
        };
        let others = self.processes.values().any(Process::is_httpd);
        let known = || self.knowers(id).map(|(_, p)| p);
        let kept = known().find_map(|p| p.place).filter(|_| known().all(|p| p.place.is_some()));
        let state = match set.origin {
            _ if kept.is_some() => kept.map_or("", Place::state),
            Origin::Launcher | Origin::Leader | Origin::Daemon | Origin::Rootless => {
                if of_instance(&[Role::Leader]) {
                    "its httpd lives"
                } else if of_instance(&[Role::Launcher]) {
                    "its httpd starts"
                } else if of_instance(&[Role::Worker]) {
                    "only workers of its httpd live"
                } else if others {
                    "its httpd is dead, another lives"
                } else {
                    "no httpd lives"
                }
            }
            _ if known().next().is_some() => "its program lives",
            _ => "its program is dead",
        };
        let last_pid = rows.iter().find(|r| r.id == id).map_or(0, |r| r.last_pid);
        let reborn = self.processes.values().any(|p| p.pid == last_pid && !p.knows.contains(&id));
        Case { origin: set.origin, state, reborn, dying: false }
    }

    fn cases(&self, rows: &[Row]) -> Vec<(i32, Case, bool)> {
        self.sets
            .iter()
            .map(|(id, set)| (*id, self.case(*id, *set, rows), self.knowers(*id).next().is_some()))
            .collect()
    }

    /// Starts a run of the guard without waiting for it.
    pub(crate) fn begin(&mut self, r: &mut Random, alone: bool) -> Outcome {
        let rows = self.look()?;
        self.births += 1;
        let name = format!("G{}", self.births);
        let command = match r.below(12) {
            0 => Command::Dry,
            1 => Command::Check,
            2 => Command::List,
            _ => Command::Guard,
        };
        let users = match r.below(6) {
            0 => vec![SECOND],
            1 | 2 => vec![WWW, SECOND],
            _ => vec![WWW],
        };
        let by = if !alone && r.one_in(8) { users[0] } else { 0 };
        let eyes = match r.below(40) {
            0..=7 => Eyes::NoAdmin,
            8..=10 => Eyes::NoPtrace,
            11 if alone => Eyes::HeldUp,
            _ => Eyes::All,
        };
        let verbs = match self.judge {
            Judge::Guard => {
                let word = match command {
                    Command::Guard => "guard",
                    Command::Dry => "guard --dry-run",
                    Command::Check => "check",
                    Command::List => "list",
                };
                let users: Vec<String> = users.iter().map(|u| format!("--user {u}")).collect();
                let become_ = if by == 0 { String::new() } else { format!("as {by} ") };
                let (ptrace, admin) = CAPABILITIES;
                let (unable, more) = match eyes {
                    Eyes::All => (String::new(), ""),
                    Eyes::NoAdmin => (format!("unable {admin} "), ""),
                    Eyes::NoPtrace => (format!("unable {ptrace} unable {admin} "), ""),
                    Eyes::HeldUp => (String::new(), " --memory-timeout 1"),
                };
                format!(
                    "{unable}{become_}exec /run/t/httpd-semguard {word} {} --no-ask --log stderr{more}",
                    users.join(" ")
                )
            }
            _ if command != Command::Guard => String::new(),
            Judge::Sleeps => String::new(),
            Judge::TrustsLastPid => users.iter().map(|u| format!("reaper last-pid {u} ")).collect(),
            Judge::RemovesEvery => users.iter().map(|u| format!("reaper every {u} ")).collect(),
        };
        let before = self.cases(&rows);
        self.note(format!("{name} runs: {command:?} of {users:?} by {by}, sees {eyes:?}"));
        let run = Run {
            name: name.clone(),
            command,
            users,
            by,
            eyes,
            pid: 0,
            stopped_for: None,
            code: None,
            before,
            most: rows.len(),
            rows,
            beside: 0,
        };
        self.runs.push(run);
        let running = self.runs.len() - 1;
        for run in &mut self.runs {
            run.beside = run.beside.max(running);
        }
        self.nest.does(&format!("run {name} {{ {verbs} }}"))?;
        let its_number = |h: &Heard| matches!(h, Heard::Guard(n, _) if *n == name);
        if let Heard::Guard(_, pid) = self.nest.expect("the guard starts", its_number)? {
            self.runs.last_mut().expect("pushed").pid = pid;
        }
        self.tally.runs += 1;
        *self.tally.eyes.entry(format!("{eyes:?}")).or_default() += 1;
        if eyes == Eyes::HeldUp {
            self.hold_up()?;
        }
        Ok(())
    }

    /// Stops the process that reads memory for the guard that was started last, if it starts one.
    fn hold_up(&mut self) -> Outcome {
        let guard = self.runs.last().expect("begun").pid;
        let path = |file: &str| self.nest.namespace.path(&format!("/proc/{file}"));
        let children = path(&format!("{guard}/task/{guard}/children"));
        // Until it executes its own program, its parent waits for it (vfork(2)).
        let is_reader = |pid: &&str| {
            let line = fs::read(path(&format!("{pid}/cmdline")));
            line.is_ok_and(|line| line.starts_with(THIS_PROGRAM.as_bytes()))
        };
        let until = Instant::now() + Duration::from_secs(2);
        while let (Ok(children), true) = (fs::read_to_string(&children), Instant::now() < until) {
            if let Some(reader) = children.split_whitespace().find(is_reader) {
                self.nest.does(&format!("signal {reader} {SIGSTOP}"))?;
                self.note(format!("its reader {reader} is stopped"));
                self.tally.held_up += 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs a guard with nothing else going on, and expects everything of it.
    pub(crate) fn guard_alone(&mut self, r: &mut Random) -> Outcome {
        self.join()?;
        self.begin(r, true)?;
        let run = self.runs.last().expect("begun");
        let (command, users, pid, eyes) = (run.command, run.users.clone(), run.pid, run.eyes);
        let before = run.rows.clone();
        let full_before = run.most >= self.semmni;
        let name = run.name.clone();
        let its_end = |h: &Heard| matches!(h, Heard::Ran(n, _) if *n == name);
        let heard = self.nest.expect(&format!("{name} ends"), its_end)?;
        let Heard::Ran(_, code) = heard else { unreachable!("that was its end") };
        self.runs.last_mut().expect("begun").code = Some(code);
        let rows = self.finish()?;
        if self.judge == Judge::Guard {
            let full = rows.len() >= self.semmni;
            let due = match command {
                Command::List => false,
                Command::Guard => full,
                Command::Check => full_before,
                // As if the orphans were gone.
                Command::Dry => full_before && code == 69,
            };
            if (code == 69) != due {
                return Err(Wrong(format!(
                    "{name} ({command:?}) says {code}, and {} of {} sets are in use\n{}",
                    rows.len(),
                    self.semmni,
                    self.nest.output(&name)
                )));
            }
        }
        if command == Command::Guard {
            if eyes == Eyes::All && self.judge == Judge::Guard {
                let due: Vec<i32> = before
                    .iter()
                    .filter(|row| users.contains(&row.uid) && self.is_due(row, pid, &name))
                    .map(|row| row.id)
                    .collect();
                let gone: Vec<&i32> = due.iter().filter(|i| self.removed.contains(i)).collect();
                self.tally.due += due.len();
                self.tally.gone += gone.len();
                if gone.len() < due.len() {
                    self.note(format!(
                        "of {due:?}, which no process knows, only {gone:?} are gone"
                    ));
                }
            }
            if matches!(eyes, Eyes::All | Eyes::NoAdmin) {
                self.nothing_is_left(&rows, &users, pid, &name)?;
            }
        }
        Ok(())
    }

    /// Whether the process with a set's last pid may be the one that touched it, as far as a guard can
    /// know.
    fn is_touched(&self, row: &Row, guard: i32, name: &str) -> bool {
        match self.processes.values().find(|p| p.pid == row.last_pid) {
            Some(p) => [0, row.uid].contains(&p.uid) || p.is_httpd(),
            None => {
                [Some(guard), self.nest.caller_of(name)].contains(&Some(row.last_pid))
                    || self.nest.namespace.lives(row.last_pid)
            }
        }
    }

    /// Whether an undisturbed guard that can read everything should find that no process knows the set,
    /// apart from semids that occur somewhere by chance.
    fn is_due(&self, row: &Row, guard: i32, name: &str) -> bool {
        let is_httpds = match self.sets.get(&row.id) {
            Some(set) => set.is_httpds(),
            None => self.removed.contains(&row.id),
        };
        let saw = |p: &Process| p.seen.contains(&row.id);
        let blinds = |p: &Process| p.doing == Doing::Hops || p.place.is_some_and(Place::blinds);
        is_httpds
            && row.id >= TELLING
            && !self.processes.values().any(|p| saw(p) || blinds(p))
            && !self.is_touched(row, guard, name)
    }

    /// Checks that an undisturbed run has removed everything that root made and that no httpd can know.
    fn nothing_is_left(&mut self, rows: &[Row], users: &[u32], guard: i32, name: &str) -> Outcome {
        if self.processes.values().any(|p| p.is_httpd() || p.doing == Doing::Hops) {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for row in rows.iter().filter(|r| users.contains(&r.uid) && r.cuid == 0) {
            let Some(set) = self.sets.get(&row.id).copied() else { continue };
            // The process that now has its last pid is searched too, and may hold a small number.
            let reborn = self.processes.values().any(|p| p.pid == row.last_pid);
            if set.is_httpds() && !reborn && !self.is_touched(row, guard, name) {
                let case = self.case(row.id, set, rows);
                self.tally.wrong(case);
                wrong.push(format!("set {} ({}) is left: {row:?}", row.id, set.origin));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Wrong(format!(
            "after {name} no running process could know it, but {}\n{}",
            wrong.join("; "),
            self.nest.output(name)
        )))
    }

    /// For each run that has ended: what it did, and whether that was right.
    pub(crate) fn finish(&mut self) -> Result<Vec<Row>, Wrong> {
        let rows = self.look()?;
        let ended: Vec<Run>;
        (ended, self.runs) =
            std::mem::take(&mut self.runs).into_iter().partition(|r| r.code.is_some());
        for run in ended {
            let code = run.code.unwrap_or(-1);
            let output = self.nest.output(&run.name);
            self.note(format!("{} ends with {code}", run.name));
            for line in output.lines().filter(|l| l.contains("removed semaphore set")) {
                self.note(format!("    {line}"));
            }
            let full = run.most + run.beside >= self.semmni;
            // Not root: it may not look at other users' sets.
            let refused = run.by != 0 && code == 77;
            if code != 0 && !(code == 69 && full) && !refused {
                return Err(Wrong(format!(
                    "{} ({:?} of {:?} by {}) ended with {code}; at most {} of {} sets were in use\n\
                     {output}",
                    run.name, run.command, run.users, run.by, run.most, self.semmni
                )));
            }
            if code == 69 {
                self.tally.full += 1;
            }
            if self.judge == Judge::Guard && run.command == Command::Guard {
                for (id, case, known) in run.before {
                    let fate = if self.sets.contains_key(&id) {
                        Fate::Kept
                    } else if self.removed.contains(&id) {
                        Fate::Removed
                    } else {
                        Fate::Left
                    };
                    let dying = known && fate != Fate::Left && self.knowers(id).next().is_none();
                    self.tally.count(Case { dying, ..case }, known && !dying, fate);
                }
            }
        }
        Ok(rows)
    }

    /// Waits for all guards.
    pub(crate) fn join(&mut self) -> Outcome {
        self.go_on()?;
        let names: Vec<String> =
            self.runs.iter().filter(|r| r.code.is_none()).map(|r| r.name.clone()).collect();
        for name in names {
            let its_end = |h: &Heard| matches!(h, Heard::Ran(n, _) if *n == name);
            if let Heard::Ran(_, code) = self.nest.expect(&format!("{name} ends"), its_end)? {
                let run = self.runs.iter_mut().find(|r| r.name == name);
                run.expect("it runs").code = Some(code);
            }
        }
        self.finish()?;
        Ok(())
    }

    /// Stops a guard half way.
    pub(crate) fn stop_one(&mut self, r: &mut Random) -> Outcome {
        let running: Vec<usize> = (0..self.runs.len())
            .filter(|i| self.runs[*i].code.is_none() && self.runs[*i].stopped_for.is_none())
            .collect();
        let Some(i) = r.of(&running) else { return Ok(()) };
        self.runs[i].stopped_for = Some(0);
        let (name, pid) = (self.runs[i].name.clone(), self.runs[i].pid);
        self.nest.does(&format!("signal {pid} {SIGSTOP}"))?;
        self.note(format!("{name} is stopped, if it still runs"));
        self.listen();
        if self.runs[i].code.is_some() {
            // Too late: the pid may have been reused.
            self.runs[i].stopped_for = None;
            self.nest.does(&format!("signal {pid} {SIGCONT}"))?;
        }
        Ok(())
    }

    /// Lets all stopped guards continue.
    pub(crate) fn go_on(&mut self) -> Outcome {
        for i in 0..self.runs.len() {
            if self.runs[i].stopped_for.take().is_some() {
                self.note(format!("{} goes on", self.runs[i].name));
                self.nest.does(&format!("signal {} {SIGCONT}", self.runs[i].pid))?;
            }
        }
        Ok(())
    }

    /// Runs after each step.
    pub(crate) fn settle(&mut self) -> Outcome {
        self.listen();
        if self.runs.iter().any(|r| r.code.is_some()) {
            self.finish()?;
        }
        let mut tired = false;
        for run in &mut self.runs {
            if let Some(steps) = &mut run.stopped_for {
                *steps += 1;
                tired |= *steps > 5;
            }
        }
        if tired { self.go_on() } else { Ok(()) }
    }
}
