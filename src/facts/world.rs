//! What all sets are judged by: who lives, what they hold in memory, how far anybody could see.

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
    /// The living processes of interest in this IPC namespace, by number.
    pub processes: Vec<Rc<Process>>,
    /// Why they are not the whole truth, if so.
    pub incomplete: Option<Incomplete>,
    /// Last pids are numbers of whatever PID namespace their process lived in: a kernel before 4.17
    /// does not translate them, and this is not the first namespace.
    pub foreign_numbers: bool,
    /// `--private-ipc`: no process outside this PID namespace shares the sets.
    pub private_ipc: bool,
    /// The guard is root, so that root's processes are in question for a set that its owner made.
    pub by_root: bool,
    /// What was read of their memory.
    pub memory: Memory,
}

/// What was read of the memory of living processes.
#[derive(Clone, Debug, Default)]
pub enum Memory {
    /// Nothing yet.
    #[default]
    NotRead,
    /// Nothing, and nothing is to be (`--no-memory`).
    Off,
    /// This, of each process that was asked.
    Read(HashMap<Identity, Reading>),
}

impl World {
    /// An empty world: nobody looked, so that nothing in it is an orphan.
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

    /// Takes in what was read of the memory of processes that live now.
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

    /// The living process of this number, if it is one of interest.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Rc<Process>> {
        let place = self.processes.binary_search_by_key(&pid, |p| p.named.pid).ok()?;
        Some(&self.processes[place])
    }
}
