//! Looks and judges in turn: the sets, the processes that could use them and, where only memory can
//! tell, their memory; until nothing more is asked.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{Uid, geteuid};

use super::ask::Asked;
use super::witness::Witness;
use crate::cli::Options;
use crate::decide::learn;
use crate::decide::suspects::request;
use crate::decide::verdict::{belongs, judge, mismatch};
use crate::facts::error::Error;
use crate::facts::event::Event;
use crate::facts::memory::Budget;
use crate::facts::process::{Named, Process};
use crate::facts::request::Command;
use crate::facts::row::{Row, Running};
use crate::facts::set::SemId;
use crate::facts::table::Table;
use crate::facts::time::Clock;
use crate::facts::users::Source;
use crate::facts::verdict::Verdict;
use crate::facts::world::{Memory, World};
use crate::look::processes::{Interest, Snapshot, has_foreign_numbers};
use crate::look::table::{Depth, last_pids, look_up, read};
use crate::look::{memory, pid_file, sysv, users};

/// How often memory is read again because processes were forked meanwhile.
const ROUNDS: usize = 5;

/// The most memory that is read, in bytes: what fast memory delivers in the default time.
const MOST_BYTES: u64 = 32 << 30;

/// What a survey is about.
#[derive(Clone, Debug)]
struct Scope {
    uids: Vec<Uid>,
    private_ipc: bool,
    httpd: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    depth: Depth,
    foreign_numbers: bool,
    /// `None` if memory is not to be read.
    budget: Option<Budget>,
    thorough: bool,
    /// The highest semid before a start of httpd that has yet to be looked at.
    mark: Option<i32>,
}

impl Scope {
    /// What these options require, on this kernel release.
    fn new(options: &Options, asked: &Asked, release: &str) -> Scope {
        let time = Duration::from_secs(options.memory_timeout.into());
        Scope {
            uids: asked.users.iter().map(|u| u.uid).collect(),
            private_ipc: options.private_ipc,
            httpd: options.httpd.clone(),
            pid_file: asked.heard.pid_file().map(Into::into),
            depth: match options.command {
                Command::List if options.all => Depth::Everybody,
                Command::List => Depth::All,
                Command::Guard if options.removes() => Depth::Removal,
                Command::Guard | Command::Check => Depth::Verdict,
            },
            foreign_numbers: has_foreign_numbers(release),
            budget: (!options.no_memory).then_some(Budget { time, bytes: MOST_BYTES }),
            thorough: options.explain.is_some(),
            mark: asked.witness.as_ref().and_then(Witness::mark),
        }
    }
}

/// Takes the survey for these options. `None` if the kernel has no System V semaphores or if the table
/// could not be read; the latter is reported as an event when the run can go on without it.
///
/// # Errors
/// [`Error::Kernel`]; [`Error::NoSuchSet`]: the set to be explained does not exist.
pub(super) fn look(
    options: &Options,
    asked: &Asked,
    release: &str,
    clock: Clock,
    events: &mut Vec<Event>,
) -> Result<Option<Table>, Error> {
    let table = match take(&Scope::new(options, asked, release), clock) {
        Ok(table) => Some(table),
        Err(Error::Kernel(_, Errno::ENOSYS)) if !sysv::built_in() => None,
        Err(Error::Kernel(call, e))
            if asked.need.at_most == 0 && options.command != Command::List =>
        {
            events.push(Event::TableUnreadable(call, e));
            None
        }
        Err(e) if options.command == Command::Guard => {
            events.push(Event::TableUnknown(e));
            None
        }
        Err(e) => return Err(e),
    };
    // A guessed user may be the wrong one.
    if let (Some(table), Source::Account) = (&table, asked.source) {
        let likely =
            |(uid, sets): &(Uid, usize)| Some(Event::Unguarded(users::likely(*uid)?, *sets));
        events.extend(table.others.iter().filter_map(likely));
    }
    if let Some(id) = options.explain.map(SemId) {
        let here = table.as_ref().is_some_and(|t| t.rows.iter().any(|row| row.set.id == id));
        if !here {
            let named: Vec<String> = asked.users.iter().map(ToString::to_string).collect();
            return Err(Error::NoSuchSet(id, named.join(", ")));
        }
    }
    Ok(table)
}

/// Takes the survey: sets first, then the processes, then their memory. In this order no process that
/// can use a set is missed: from the reading of the sets to that of the processes it is alive, itself or
/// through its children.
///
/// # Errors
/// [`Error::Kernel`].
fn take(scope: &Scope, clock: Clock) -> Result<Table, Error> {
    let found = read(&scope.uids, scope.depth, |set| mismatch(set).is_none())?;
    let mut table = Table {
        found: found.capacity,
        left: found.capacity,
        unreadable: found.unreadable,
        leftover: found.leftover,
        rows: found.rows,
        strangers: found.strangers,
        others: found.others,
        of_root: found.of_root,
        highest: found.highest,
        running: None,
        holders: Vec::new(),
        world: World::unseen(clock),
    };
    let world = &mut table.world;
    world.foreign_numbers = scope.foreign_numbers;
    world.private_ipc = scope.private_ipc;
    world.by_root = geteuid().is_root();
    if scope.budget.is_none() {
        world.memory = Memory::Off;
    }
    let Some(interest) = interest(&table.rows, &table.strangers, scope) else {
        judge_all(&mut table.rows, world);
        return Ok(table);
    };
    let beside = scope.mark.map_or_else(Vec::new, |mark| learn::beside(&table.of_root, mark));
    for round in 0..=ROUNDS {
        let snapshot = Snapshot::take(&interest);
        look_up(&mut table.rows, &snapshot);
        look_up(&mut table.strangers, &snapshot);
        (world.processes, world.incomplete) = (snapshot.processes, snapshot.incomplete);
        judge_all(&mut table.rows, world);
        let leader = leader(scope, world);
        table.running = leader.as_ref().map(|leader| running(leader, &table.rows, world));
        let Some(budget) = scope.budget.filter(|_| round < ROUNDS) else { break };
        let request =
            request(&table.rows, world, leader.as_deref(), &beside, budget, scope.thorough);
        if request.suspects.is_empty() {
            break;
        }
        world.learn(memory::read(Path::new(memory::THIS_PROGRAM), &request));
    }
    Ok(table)
}

/// What has to be known about processes; `None` if nothing depends on them.
fn interest(rows: &[Row], strangers: &[Row], scope: &Scope) -> Option<Interest> {
    let judges = rows.iter().chain(strangers).any(|row| row.evidence.last().is_some());
    (judges || scope.mark.is_some()).then(|| {
        let own = |row: &&Row| mismatch(&row.set).is_none() && !row.set.cuid.is_root();
        let mut own_makers: Vec<Uid> = rows.iter().filter(own).map(|row| row.set.uid).collect();
        own_makers.sort_unstable_by_key(|uid| uid.as_raw());
        own_makers.dedup();
        Interest {
            uids: scope.uids.clone(),
            own_makers,
            pids: last_pids(rows).chain(last_pids(strangers)).collect(),
            httpd: scope.httpd.clone(),
        }
    })
}

fn judge_all(rows: &mut [Row], world: &World) {
    for row in rows {
        row.verdict = judge(&row.set, &row.evidence, world);
    }
}

/// The httpd whose pid is in the PidFile, if it is running and is an httpd's first process.
fn leader(scope: &Scope, world: &World) -> Option<Rc<Process>> {
    let number = pid_file::number(scope.pid_file.as_deref()?)?;
    world.get(number).filter(|p| p.is_leader()).cloned()
}

fn running(leader: &Process, rows: &[Row], world: &World) -> Running {
    let mut running = Running { leader: Named::clone(&leader.named), surely: 0, perhaps: 0 };
    for row in rows.iter().filter(|row| row.verdict != Verdict::Orphan) {
        match belongs(&row.set, &row.evidence, world, leader) {
            Some(true) => running.surely += 1,
            None => running.perhaps += 1,
            Some(false) => {}
        }
    }
    running
}
