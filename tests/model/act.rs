//! What each step does in a world. One that nobody is there for does nothing, so that any part of
//! a history is a history.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{STRANGER, WWW};
use crate::random::Random;
use crate::step::Step;
use crate::world::{Doing, Instance, Origin, Outcome, Process, Role, SECOND, World};

/// The names under which httpd is installed.
const NAMES: [&str; 4] = ["httpd", "apache2", "httpd.worker", "httpd-prefork"];

/// At most so many guards at once.
const MOST_GUARDS: usize = 4;

impl World<'_> {
    pub(crate) fn act(&mut self, step: Step) -> Outcome {
        self.tally.steps += 1;
        self.listen();
        match step {
            Step::Start(n) => self.start(&mut Random(n), None),
            Step::Detach(n) => self.detach(&mut Random(n)),
            Step::Make(n) => self.make_more(&mut Random(n)),
            Step::HalfMake(n) => self.half_make(&mut Random(n)),
            Step::Give(n) => self.give(&mut Random(n)),
            Step::ForkWorker(n) => self.fork_worker(&mut Random(n), None),
            Step::Touch(n) => self.lock(&mut Random(n), "touch"),
            Step::Lock(n) => self.lock(&mut Random(n), "lock"),
            Step::Unlock(n) => self.unlock(&mut Random(n)),
            Step::Churn(n) => self.move_about(&mut Random(n), Doing::Churns),
            Step::Hop(n) => self.move_about(&mut Random(n), Doing::Hops),
            Step::Still(n) => {
                let moves =
                    |p: &Process| matches!(p.doing, Doing::Churns | Doing::Hops | Doing::Rewinds);
                match self.some(&mut Random(n), moves) {
                    Some(name) => self.still(&name),
                    None => Ok(()),
                }
            }
            Step::WorkerEnds(n) => match self.idle(&mut Random(n), Role::Worker) {
                Some(name) => self.end(&name),
                None => Ok(()),
            },
            Step::WorkerKilled(n) => self.kill_some(&mut Random(n), Role::Worker),
            Step::Graceful(n) => self.graceful(&mut Random(n)),
            Step::LeaderKilled(n) => self.kill_some(&mut Random(n), Role::Leader),
            Step::InstanceKilled(n) => {
                let mut r = Random(n);
                let Some(name) = self.some(&mut r, Process::is_httpd) else { return Ok(()) };
                let instance = self.processes[&name].instance;
                let mut all = self.people(|p| p.is_httpd() && p.instance == instance);
                let turn = r.below(all.len());
                all.rotate_left(turn);
                self.kill(&all)
            }
            Step::CleanStop(n) => self.clean_stop(&mut Random(n)),
            Step::AllHttpdKilled => {
                let all = self.people(Process::is_httpd);
                self.kill(&all)
            }
            Step::UserKilled(n) => {
                let uid = if n % 4 == 0 { SECOND } else { WWW };
                let all = self.people(|p| p.uid == uid);
                self.kill(&all)
            }
            Step::Reborn(n) => self.reborn(&mut Random(n)),
            Step::Rewind(n) => {
                self.nest.does(&format!("nextpid {}", 20 + n % 400))?;
                Ok(())
            }
            Step::Rewinder(n) => self.rewind(&mut Random(n)),
            Step::Cgi(n) => self.cgi(&mut Random(n)),
            Step::OwnSet(n) => self.own_set(&mut Random(n)),
            Step::OtherStarts(n) => self.other(&mut Random(n), None),
            Step::OtherMakes(n) => self.others_set(&mut Random(n)),
            Step::OtherEnds(n) => {
                let role = [Role::Cgi, Role::Fpm, Role::Other][n as usize % 3];
                self.kill_some(&mut Random(n), role)
            }
            Step::Hoard(n) => match self.idle(&mut Random(n), Role::Leader) {
                Some(name) => self.does(&name, "hoard").map(drop),
                None => Ok(()),
            },
            Step::Upgrade(n) => {
                let exe = NAMES[n as usize % NAMES.len()];
                let path = self.nest.namespace.path(&format!("/run/t/{exe}"));
                if path.exists() {
                    // As a package manager does it: a new file takes the name.
                    let new = path.with_extension("new");
                    let _ = Command::new("cp").arg(&path).arg(&new).status();
                    std::fs::rename(&new, &path).map_err(|e| e.to_string())?;
                    self.note(format!("{exe} is upgraded"));
                }
                Ok(())
            }
            Step::Wait(n) => {
                sleep(Duration::from_millis(if step.is_long() { 5_100 } else { n % 60 }));
                Ok(())
            }
            Step::Age(seconds) => {
                sleep(Duration::from_secs(seconds));
                Ok(())
            }
            Step::Guard(n) => self.guard_alone(&mut Random(n)),
            Step::GuardBeside(n) => {
                if self.runs.len() >= MOST_GUARDS {
                    return self.join();
                }
                self.begin(&mut Random(n), false)
            }
            Step::StopGuard(n) => {
                let mut r = Random(n);
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

    /// A process that knows nothing yet.
    fn blank(role: Role, uid: u32, instance: usize) -> Process {
        Process {
            pid: 0,
            uid,
            role,
            instance,
            knows: BTreeSet::new(),
            holds: BTreeSet::new(),
            doing: Doing::Waits,
            born: 0,
        }
    }

    /// Somebody starts httpd: the launcher, with the sets of the first pass.
    fn start(&mut self, r: &mut Random, number: Option<i32>) -> Outcome {
        let uid = if r.one_in(4) { SECOND } else { WWW };
        let rootless = r.one_in(4);
        let exe = NAMES[r.below(NAMES.len())];
        let path = self.nest.namespace.actor_copy(exe);
        let instance = self.instances.len();
        self.instances.push(Instance { uid, rootless, exe });
        let own = if rootless { uid } else { 0 };
        let verbs = if rootless { format!("as {uid} exec {path}") } else { format!("exec {path}") };
        let like = World::blank(Role::Launcher, own, instance);
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

    /// A launcher or leader that was started by root and is not about something else.
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
            // mod_wsgi: for the daemons, not for httpd's user.
            let owner = if self.instances[process.instance].uid == WWW { SECOND } else { WWW };
            return self.make(&name, &format!("make 1 {owner}"), Origin::Daemon, owner);
        }
        let count = 1 + r.below(2);
        self.make_some(&name, count)
    }

    /// The first half of making a set: it still is root's.
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

    /// A set that the process knows, may use, and that is still there.
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
        // Its set may be gone by a graceful restart.
        self.does(&name, &format!("unlock #{id}")).map(drop)
    }

    /// A process touches its sets in turn, or becomes its own child again and again, for a while.
    fn move_about(&mut self, r: &mut Random, how: Doing) -> Outcome {
        let free = |p: &Process| p.idle() && p.holds.is_empty() && !p.knows.is_empty();
        let one = match how {
            Doing::Churns => self.some(r, |p| free(p) && p.role == Role::Worker),
            _ => self.some(r, |p| free(p) && (p.is_httpd() || p.role == Role::Cgi)),
        };
        let Some(name) = one else { return Ok(()) };
        // Nobody else holds what it would wait for.
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

    /// A process has numbers given again at once, where the kernel takes long to come round.
    fn rewind(&mut self, r: &mut Random) -> Outcome {
        let path = self.nest.namespace.actor_copy("daemon");
        let like = World::blank(Role::Other, 0, usize::MAX);
        let Some(name) = self.born(None, &format!("exec {path}"), like, None)? else {
            return Ok(());
        };
        let (from, pause) = (20 + r.below(400), 1 + r.below(8));
        self.note(format!("{}: rewinds to {from} each {pause} ms", self.title(&name)));
        self.nest.tell(&name, &format!("rewind {from} {pause}"));
        if let Some(p) = self.processes.get_mut(&name) {
            p.doing = Doing::Rewinds;
        }
        Ok(())
    }

    /// The leader removes its sets and makes new ones; old workers go on with the old ones or end.
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

    /// A number that was a set's last pid is given to somebody new.
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

    /// A worker runs a program: no httpd, and it knows none of its sets.
    fn cgi(&mut self, r: &mut Random) -> Outcome {
        let Some(worker) = self.idle(r, Role::Worker) else { return Ok(()) };
        let path = self.nest.namespace.actor_copy("php-cgi");
        let p = &self.processes[&worker];
        let like = World::blank(Role::Cgi, p.uid, p.instance);
        self.born(Some(&worker), &format!("exec {path}"), like, None)?;
        Ok(())
    }

    /// A program of a guarded user makes a set of its own: private, or as PHP does.
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

    /// Some program that is no httpd.
    fn other(&mut self, r: &mut Random, number: Option<i32>) -> Outcome {
        let (exe, uid, role) = match r.below(5) {
            0 => ("php-fpm", WWW, Role::Fpm),
            1 => ("php-fpm", SECOND, Role::Fpm),
            2 => ("postgres", STRANGER, Role::Other),
            _ => ("daemon", 0, Role::Other),
        };
        let path = self.nest.namespace.actor_copy(exe);
        let become_ = if uid == 0 { String::new() } else { format!("as {uid} ") };
        let like = World::blank(role, uid, usize::MAX);
        self.born(None, &format!("{become_}exec {path}"), like, number)?;
        Ok(())
    }

    fn others_set(&mut self, r: &mut Random) -> Outcome {
        let Some(name) = self.idle(r, Role::Other) else { return Ok(()) };
        let uid = self.processes[&name].uid;
        let origin = if uid == 0 { Origin::Root } else { Origin::Stranger };
        self.make(&name, &format!("make 1 {uid}"), origin, uid)
    }
}
