//! What all sets are judged by: running processes, what their memory holds, and how much could be seen.

use std::collections::HashMap;
use std::rc::Rc;

use nix::unistd::Pid;

use crate::facts::memory::Reading;
use crate::facts::process::{Identity, Incomplete, Process};
use crate::facts::time::Clock;

/// The evidence that all sets share.
#[derive(Clone, Debug)]
pub struct World {
    /// When it was read.
    pub clock: Clock,
    /// The relevant running processes in this IPC namespace, by pid.
    pub processes: Vec<Rc<Process>>,
    /// Why the list is not complete, if it is not.
    pub incomplete: Option<Incomplete>,
    /// Last pids belong to whatever PID namespace their process was in: kernels before 4.17 do not
    /// translate them, and this is not the initial namespace.
    pub foreign_numbers: bool,
    /// `--private-ipc`: no process outside this PID namespace shares the sets.
    pub private_ipc: bool,
    /// The guard is root, so root's processes are in question for a set that its owner made.
    pub by_root: bool,
    /// What was read of their memory.
    pub memory: Memory,
}

/// What was read of the memory of running processes.
#[derive(Clone, Debug, Default)]
pub enum Memory {
    /// Nothing yet.
    #[default]
    NotRead,
    /// Nothing, and nothing will be read (`--no-memory`).
    Off,
    /// The readings of each process that was asked about.
    Read(HashMap<Identity, Reading>),
}

impl World {
    /// An empty world: nothing was looked at, so nothing in it is an orphan.
    #[must_use]
    pub fn unseen(clock: Clock) -> World {
        World {
            clock,
            processes: Vec::new(),
            incomplete: Some(Incomplete::NotRead),
            foreign_numbers: false,
            private_ipc: false,
            by_root: false,
            memory: Memory::NotRead,
        }
    }

    /// Adds what was read of the memory of processes that are running now.
    pub fn learn(&mut self, readings: Vec<Reading>) {
        let mut read = match std::mem::take(&mut self.memory) {
            Memory::Read(read) => read,
            Memory::NotRead | Memory::Off => HashMap::new(),
        };
        for reading in readings {
            if let Some(process) = self.get(reading.pid) {
                read.insert(process.identity(), reading);
            }
        }
        self.memory = Memory::Read(read);
    }

    /// The running process with this pid, if it is relevant.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Rc<Process>> {
        let place = self.processes.binary_search_by_key(&pid, |p| p.named.pid).ok()?;
        Some(&self.processes[place])
    }
}
