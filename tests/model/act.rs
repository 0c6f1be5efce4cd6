//! What each step does in a world. A step that needs a process that does not exist does nothing, so any
//! part of a history is itself a history.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use httpd_semguard::facts::set::TELLING;

use crate::common::{STRANGER, WWW};
use crate::keeper::Place;
use crate::nest::Heard;
use crate::random::Random;
use crate::step::Step;
use crate::world::{Doing, Instance, NAMES, Origin, Outcome, Process, Role, SECOND, World};

/// The most guards at once.
const MOST_GUARDS: usize = 4;

impl World<'_> {
    pub(crate) fn act(&mut self, step: Step) -> Outcome {
        self.tally.steps += 1;
        self.listen();
        match step {
            Step::Start(n) => self.start(&mut Random::new(n), None),
            Step::Detach(n) => self.detach(&mut Random::new(n)),
            Step::Make(n) => self.make_more(&mut Random::new(n)),
            Step::Far(n) => self.make_far(&mut Random::new(n)),
            Step::HalfMake(n) => self.half_make(&mut Random::new(n)),
            Step::Give(n) => self.give(&mut Random::new(n)),
            Step::Keep(n) => self.keep(&mut Random::new(n)),
            Step::KeeperEnds(n) => self.kill_some(&mut Random::new(n), Role::Keeper),
            Step::Forget(n) => self.forget(&mut Random::new(n)),
            Step::Renew(n) => self.renew(&mut Random::new(n)),
            Step::ForkWorker(n) => self.fork_worker(&mut Random::new(n), None),
            Step::Touch(n) => self.lock(&mut Random::new(n), "touch"),
            Step::Lock(n) => self.lock(&mut Random::new(n), "lock"),
            Step::Unlock(n) => self.unlock(&mut Random::new(n)),
            Step::Churn(n) => self.move_about(&mut Random::new(n), Doing::Churns),
            Step::Hop(n) => self.move_about(&mut Random::new(n), Doing::Hops),
            Step::Still(n) => {
                let moves = |p: &Process| matches!(p.doing, Doing::Churns | Doing::Hops);
                match self.some(&mut Random::new(n), moves) {
                    Some(name) => self.still(&name),
                    None => Ok(()),
                }
            }
            Step::WorkerEnds(n) => match self.idle(&mut Random::new(n), Role::Worker) {
                Some(name) => self.end(&name),
                None => Ok(()),
            },
            Step::WorkerKilled(n) => self.kill_some(&mut Random::new(n), Role::Worker),
            Step::Graceful(n) => self.graceful(&mut Random::new(n)),
            Step::LeaderKilled(n) => self.kill_some(&mut Random::new(n), Role::Leader),
            Step::InstanceKilled(n) => {
                let mut r = Random::new(n);
                let Some(name) = self.some(&mut r, Process::is_httpd) else { return Ok(()) };
                let instance = self.processes[&name].instance;
                let mut all = self.people(|p| p.is_httpd() && p.instance == instance);
                let turn = r.below(all.len());
                all.rotate_left(turn);
                self.kill(&all)
            }
            Step::CleanStop(n) => self.clean_stop(&mut Random::new(n)),
            Step::AllHttpdKilled => {
                let all = self.people(Process::is_httpd);
                self.kill(&all)
            }
            Step::UserKilled(n) => {
                let uid = if n % 4 == 0 { SECOND } else { WWW };
                let all = self.people(|p| p.uid == uid);
                self.kill(&all)
            }
            Step::Reborn(n) => self.reborn(&mut Random::new(n)),
            Step::Rewind(n) => {
                self.nest.does(&format!("nextpid {}", 20 + n % 400))?;
                Ok(())
            }
            Step::Cgi(n) => self.cgi(&mut Random::new(n)),
            Step::OwnSet(n) => self.own_set(&mut Random::new(n)),
            Step::OtherStarts(n) => self.other(&mut Random::new(n), None),
            Step::OtherMakes(n) => self.others_set(&mut Random::new(n)),
            Step::OtherEnds(n) => {
                let role = [Role::Cgi, Role::Fpm, Role::Other][n as usize % 3];
                self.kill_some(&mut Random::new(n), role)
            }
            Step::Hoard(n) => match self.idle(&mut Random::new(n), Role::Leader) {
                Some(name) => self.does(&name, "hoard").map(drop),
                None => Ok(()),
            },
            Step::Upgrade(n) => {
                let exe = NAMES[n as usize % NAMES.len()];
                let path = self.nest.namespace.path(&format!("/run/t/{exe}"));
                if path.exists() {
                    // As a package manager does it: a new file is renamed over the old one.
                    let new = path.with_extension("new");
                    let _ = Command::new("cp").arg(&path).arg(&new).status();
                    std::fs::rename(&new, &path).map_err(|e| e.to_string())?;
                    self.note(format!("{exe} is upgraded"));
                }
                Ok(())
            }
            Step::Wait(n) => {
                sleep(Duration::from_millis(n % 60));
                Ok(())
            }
            Step::Guard(n) => self.guard_alone(&mut Random::new(n)),
            Step::GuardBeside(n) => {
                if self.runs.len() >= MOST_GUARDS {
                    return self.join();
                }
                self.begin(&mut Random::new(n), false)
            }
            Step::StopGuard(n) => {
                let mut r = Random::new(n);
                if self.runs.iter().all(|r| r.stopped_for.is_some()) {
                    return Ok(());
                }
                sleep(Duration::from_micros(r.below(12_000) as u64));
                self.stop_one(&mut r)
            }
            Step::GoOn => self.go_on(),
        }?;
        self.settle()
    }

    fn idle(&self, r: &mut Random, role: Role) -> Option<String> {
        self.some(r, |p| p.idle() && p.role == role)
    }

    fn kill_some(&mut self, r: &mut Random, role: Role) -> Outcome {
        match self.some(r, |p| p.role == role) {
            Some(name) => self.kill(&[name]),
            None => Ok(()),
        }
    }

    /// A process that knows no set yet.
    fn blank(role: Role, uid: u32, instance: usize, exe: &'static str) -> Process {
        Process {
            pid: 0,
            uid,
            role,
            instance,
            exe,
            knows: BTreeSet::new(),
            seen: BTreeSet::new(),
            holds: BTreeSet::new(),
            doing: Doing::Waits,
            place: None,
        }
    }

    /// Starts an httpd: the launcher, with the sets of the first pass.
    fn start(&mut self, r: &mut Random, number: Option<i32>) -> Outcome {
        let uid = if r.one_in(4) { SECOND } else { WWW };
        let rootless = r.one_in(4);
        let exe = NAMES[r.below(NAMES.len())];
        let path = self.nest.namespace.actor_copy(exe);
        let instance = self.instances.len();
        self.instances.push(Instance { uid, rootless, exe });
        let own = if rootless { uid } else { 0 };
        let verbs = if rootless { format!("as {uid} exec {path}") } else { format!("exec {path}") };
        let like = World::blank(Role::Launcher, own, instance, exe);
        let Some(name) = self.born(None, &verbs, like, number)? else { return Ok(()) };
        self.make_some(&name, 1 + r.below(3))
    }

    fn make_some(&mut self, name: &str, count: usize) -> Outcome {
        let process = &self.processes[name];
        let instance = self.instances[process.instance];
        let origin = match (instance.rootless, process.role) {
            (true, _) => Origin::Rootless,
            (_, Role::Launcher) => Origin::Launcher,
            _ => Origin::Leader,
        };
        if count == 0 {
            return Ok(());
        }
        self.make(name, &format!("make {count} {}", instance.uid), origin, instance.uid)
    }

    /// A launcher or leader that was started by root and is not busy.
    fn root(&self, r: &mut Random) -> Option<String> {
        self.some(r, |p| p.idle() && matches!(p.role, Role::Launcher | Role::Leader) && p.uid == 0)
    }

    fn detach(&mut self, r: &mut Random) -> Outcome {
        let Some(launcher) = self.idle(r, Role::Launcher) else { return Ok(()) };
        self.look()?;
        let old = self.processes[&launcher].clone();
        let like = Process { role: Role::Leader, ..old.clone() };
        if self.born(Some(&launcher), "detach", like, None)?.is_some() {
            self.nest.does(&format!("await {}", old.pid))?;
            self.processes.remove(&launcher);
        }
        Ok(())
    }

    fn make_more(&mut self, r: &mut Random) -> Outcome {
        let either = |p: &Process| p.idle() && matches!(p.role, Role::Launcher | Role::Leader);
        let Some(name) = self.some(r, either) else { return Ok(()) };
        let process = &self.processes[&name];
        if process.uid == 0 && r.one_in(4) {
            // As mod_wsgi does: for its daemons, not for httpd's user.
            let owner = if self.instances[process.instance].uid == WWW { SECOND } else { WWW };
            return self.make(&name, &format!("make 1 {owner}"), Origin::Daemon, owner);
        }
        let count = 1 + r.below(2);
        self.make_some(&name, count)
    }

    fn make_far(&mut self, r: &mut Random) -> Outcome {
        let n = TELLING + r.below((i32::MAX - TELLING) as usize) as i32;
        // At the first free index, whatever it is.
        self.nest.does(&format!("apart {{ nextset {} }}", n & !0x7fff))?;
        self.make_more(r)
    }

    /// The semid of a set is put in one place in a separate process, sometimes leaving it as the only
    /// process that knows it.
    fn keep(&mut self, r: &mut Random) -> Outcome {
        // A process that learns a semid from another that dies meanwhile may be read before learning
        // it, and the other after its death: no guard can be safe against passing on by word of mouth.
        self.join()?;
        let known: Vec<i32> = self
            .sets
            .iter()
            .filter(|(id, s)| s.is_httpds() && self.knowers(**id).next().is_some())
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = r.of(&known) else { return Ok(()) };
        let set = self.sets[&id];
        let by_owner = set.origin.by_owner();
        let mut place = r.of(&Place::all(by_owner)).expect("some place is available");
        if place.blinds() && !r.one_in(3) {
            // While one of these is running, no guard can be sure of much.
            place = Place::Heap;
        }
        let exe = if by_owner && r.one_in(2) {
            ["ruby", "lua5.4", "python3", "php-fpm"][r.below(4)]
        } else {
            NAMES[r.below(NAMES.len())]
        };
        // Root's processes are in question for an owner's sets only if the guard is root.
        let as_root = !by_owner && r.one_in(3);
        let uid = if as_root { 0 } else { set.owner };
        let like = Process {
            knows: [id].into(),
            seen: [id].into(),
            doing: Doing::Keeps,
            place: Some(place),
            ..World::blank(Role::Keeper, uid, usize::MAX, exe)
        };
        let others: Vec<String> = self.knowers(id).map(|(n, _)| n.clone()).collect();
        if self.keeper(like, id, place)? && !r.one_in(3) {
            self.kill(&others)?;
        }
        Ok(())
    }

    fn forget(&mut self, r: &mut Random) -> Outcome {
        let knows = |p: &Process| p.idle() && p.holds.is_empty() && !p.knows.is_empty();
        let Some(name) = self.some(r, knows) else { return Ok(()) };
        let known: Vec<i32> = self.processes[&name].knows.iter().copied().collect();
        let Some(id) = r.of(&known) else { return Ok(()) };
        self.look()?;
        self.does(&name, &format!("forget #{id}"))?;
        if let Some(p) = self.processes.get_mut(&name) {
            p.knows.remove(&id);
        }
        self.note(format!("{} forgets {id}", self.title(&name)));
        Ok(())
    }

    fn renew(&mut self, r: &mut Random) -> Outcome {
        let free = |p: &Process| p.idle() && p.holds.is_empty();
        let Some(name) = self.some(r, free) else { return Ok(()) };
        self.look()?;
        let path = self.nest.namespace.actor_copy(self.processes[&name].exe);
        self.nest.tell(&name, &format!("exec {path} serve /run/t/c/{name}"));
        self.nest.expect(
            &format!("{name} is renewed"),
            |h| matches!(h, Heard::Lives(n, _) if *n == name),
        )?;
        if let Some(p) = self.processes.get_mut(&name) {
            p.knows.clear();
            p.seen.clear();
        }
        self.note(format!("{} executes itself again", self.title(&name)));
        Ok(())
    }

    /// The first half of making a set: it still belongs to root.
    fn half_make(&mut self, r: &mut Random) -> Outcome {
        match self.root(r) {
            Some(name) => self.make(&name, "key 0 1 600", Origin::Half, 0),
            None => Ok(()),
        }
    }

    fn give(&mut self, r: &mut Random) -> Outcome {
        let halves: Vec<(i32, String)> = self
            .sets
            .iter()
            .filter(|(_, s)| s.origin == Origin::Half)
            .flat_map(|(id, _)| self.knowers(*id).map(|(n, p)| (*id, n, p)))
            .filter(|(_, _, p)| p.idle() && p.uid == 0 && p.is_httpd())
            .map(|(id, n, _)| (id, n.clone()))
            .collect();
        if halves.is_empty() {
            return Ok(());
        }
        let (id, name) = halves[r.below(halves.len())].clone();
        let uid = self.instances[self.processes[&name].instance].uid;
        // From now on a guard may judge it.
        self.does(&name, &format!("give #{id} {uid}"))?;
        if let Some(set) = self.sets.get_mut(&id) {
            set.owner = uid;
            set.origin = Origin::Leader;
        }
        self.note(format!("{name} gives set {id} to {uid}"));
        Ok(())
    }

    fn fork_worker(&mut self, r: &mut Random, number: Option<i32>) -> Outcome {
        let Some(leader) = self.idle(r, Role::Leader) else { return Ok(()) };
        let parent = self.processes[&leader].clone();
        let instance = self.instances[parent.instance];
        let uid = match (instance.rootless, r.one_in(6)) {
            (false, true) if instance.uid == WWW => SECOND,
            (false, true) => WWW,
            _ => instance.uid,
        };
        let become_ = if instance.rootless { String::new() } else { format!("as {uid}") };
        let like = Process { role: Role::Worker, uid, ..parent };
        self.born(Some(&leader), &become_, like, number)?;
        Ok(())
    }

    /// An existing set that the process knows and may use.
    fn usable(&self, r: &mut Random, name: &str) -> Option<i32> {
        let p = &self.processes[name];
        let sets: Vec<i32> = p
            .knows
            .iter()
            .filter(|id| {
                self.sets.get(id).is_some_and(|s| s.is_httpds() && s.owner == p.uid)
                    && !p.holds.contains(id)
            })
            .copied()
            .collect();
        r.of(&sets)
    }

    fn lock(&mut self, r: &mut Random, verb: &str) -> Outcome {
        let Some(name) = self.idle(r, Role::Worker) else { return Ok(()) };
        let Some(id) = self.usable(r, &name) else { return Ok(()) };
        let taken =
            self.processes.values().any(|p| p.holds.contains(&id) || p.doing == Doing::Locks(id));
        if taken && verb == "touch" {
            return Ok(());
        }
        self.note(format!("{} does {verb} {id}", self.title(&name)));
        if taken {
            self.nest.tell(&name, &format!("lock #{id}"));
            if let Some(p) = self.processes.get_mut(&name) {
                p.doing = Doing::Locks(id);
            }
            return Ok(());
        }
        let (_, could) = self.does(&name, &format!("{verb} #{id}"))?;
        if !could {
            self.look()?;
            return Err(format!("{} could not {verb} {id}", self.title(&name)).into());
        }
        if let (Some(p), "lock") = (self.processes.get_mut(&name), verb) {
            p.holds.insert(id);
        }
        Ok(())
    }

    fn unlock(&mut self, r: &mut Random) -> Outcome {
        let Some(name) = self.some(r, |p| p.idle() && !p.holds.is_empty()) else { return Ok(()) };
        let Some(p) = self.processes.get_mut(&name) else { return Ok(()) };
        let Some(id) = p.holds.pop_first() else { return Ok(()) };
        self.note(format!("{name} unlocks {id}"));
        // Its set may have been removed by a graceful restart.
        self.does(&name, &format!("unlock #{id}")).map(drop)
    }

    /// A process touches its sets in turn, or keeps replacing itself with its own child, for a while.
    fn move_about(&mut self, r: &mut Random, how: Doing) -> Outcome {
        let free = |p: &Process| p.idle() && p.holds.is_empty() && !p.knows.is_empty();
        let one = match how {
            Doing::Churns => self.some(r, |p| free(p) && p.role == Role::Worker),
            _ => self.some(r, |p| free(p) && (p.is_httpd() || p.role == Role::Cgi)),
        };
        let Some(name) = one else { return Ok(()) };
        // No other process holds what it would wait for.
        let held = |id: &i32| self.processes.values().any(|p| p.holds.contains(id));
        if how == Doing::Churns && self.processes[&name].knows.iter().any(held) {
            return Ok(());
        }
        let pause = [0, 1, 2, 5][r.below(4)];
        let verb = if how == Doing::Churns { "churn" } else { "hop" };
        self.note(format!("{}: {verb} {pause}", self.title(&name)));
        self.nest.tell(&name, &format!("{verb} {}", pause.max(1)));
        if let Some(p) = self.processes.get_mut(&name) {
            p.doing = how;
        }
        Ok(())
    }

    /// The leader removes its sets and makes new ones; old workers continue with the old ones or end.
    fn graceful(&mut self, r: &mut Random) -> Outcome {
        let Some(leader) = self.idle(r, Role::Leader) else { return Ok(()) };
        self.note(format!("{} restarts gracefully", self.title(&leader)));
        let own: Vec<i32> = self.processes[&leader].knows.iter().copied().collect();
        let before = self.people(|p| {
            p.idle() && p.role == Role::Worker && p.instance == self.processes[&leader].instance
        });
        for id in own {
            // Those of the first pass stay.
            if self.sets.get(&id).is_some_and(|s| s.origin != Origin::Launcher && s.is_httpds()) {
                self.drop_set(&leader, id)?;
            }
        }
        self.make_some(&leader, 1 + r.below(2))?;
        for name in before {
            if r.one_in(2) && self.processes[&name].idle() {
                self.end(&name)?;
            }
        }
        self.fork_worker(r, None)
    }

    fn clean_stop(&mut self, r: &mut Random) -> Outcome {
        let Some(leader) = self.idle(r, Role::Leader) else { return Ok(()) };
        let instance = self.processes[&leader].instance;
        self.note(format!("{} stops cleanly", self.title(&leader)));
        let workers = self.people(|p| p.role == Role::Worker && p.instance == instance);
        self.kill(&workers)?;
        let own: Vec<i32> = self.processes[&leader].knows.iter().copied().collect();
        for id in own {
            self.drop_set(&leader, id)?;
        }
        self.end(&leader)
    }

    /// A pid that was a set's last pid is given to a new process.
    fn reborn(&mut self, r: &mut Random) -> Outcome {
        let dead: Vec<i32> = self
            .look()?
            .iter()
            .map(|row| row.last_pid)
            .filter(|pid| *pid > 1 && !self.nest.namespace.lives(*pid))
            .collect();
        let Some(pid) = r.of(&dead) else { return Ok(()) };
        match r.below(4) {
            0 => self.start(r, Some(pid)),
            1 => self.fork_worker(r, Some(pid)),
            _ => self.other(r, Some(pid)),
        }
    }

    /// A worker runs a program: not an httpd, and it knows none of the worker's sets.
    fn cgi(&mut self, r: &mut Random) -> Outcome {
        let Some(worker) = self.idle(r, Role::Worker) else { return Ok(()) };
        let path = self.nest.namespace.actor_copy("php-cgi");
        let p = &self.processes[&worker];
        let like = World::blank(Role::Cgi, p.uid, p.instance, "php-cgi");
        self.born(Some(&worker), &format!("exec {path}"), like, None)?;
        Ok(())
    }

    /// A guarded user's program makes a set of its own: a private one, or one like PHP's.
    fn own_set(&mut self, r: &mut Random) -> Outcome {
        let one = self.some(r, |p| p.idle() && matches!(p.role, Role::Cgi | Role::Fpm));
        let Some(name) = one else { return Ok(()) };
        let uid = self.processes[&name].uid;
        if r.one_in(2) {
            return self.make(&name, &format!("make 1 {uid}"), Origin::Cgi, uid);
        }
        self.births += 1;
        let key = 0x1000 + self.births;
        self.make(&name, &format!("key {key} 3 666"), Origin::Php, uid)
    }

    /// Some program that is not an httpd.
    fn other(&mut self, r: &mut Random, number: Option<i32>) -> Outcome {
        let (exe, uid, role) = match r.below(5) {
            0 => ("php-fpm", WWW, Role::Fpm),
            1 => ("php-fpm", SECOND, Role::Fpm),
            2 => ("postgres", STRANGER, Role::Other),
            _ => ("daemon", 0, Role::Other),
        };
        let path = self.nest.namespace.actor_copy(exe);
        let become_ = if uid == 0 { String::new() } else { format!("as {uid} ") };
        let like = World::blank(role, uid, usize::MAX, exe);
        self.born(None, &format!("{become_}exec {path}"), like, number)?;
        Ok(())
    }

    fn others_set(&mut self, r: &mut Random) -> Outcome {
        let Some(name) = self.idle(r, Role::Other) else { return Ok(()) };
        let uid = self.processes[&name].uid;
        if uid == 0 && r.one_in(2) {
            // A root process, while acting as another user.
            let verbs = format!("euid {WWW} make 1 {WWW} euid 0");
            return self.make(&name, &verbs, Origin::Acting, WWW);
        }
        let origin = if uid == 0 { Origin::Root } else { Origin::Stranger };
        self.make(&name, &format!("make 1 {uid}"), origin, uid)
    }
}
