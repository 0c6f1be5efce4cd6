//! What is kept between runs: what httpd's starts showed about its need, and the note before the next
//! start.

use serde::{Deserialize, Serialize};

/// Where the state is kept. The packages and install.sh create its directory; without it nothing is
/// kept.
pub const FILE: &str = "/var/lib/httpd-semguard/starts.json";

/// The most instances that are remembered.
pub const MOST_INSTANCES: usize = 64;

/// What is kept, most recently changed instance first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// One for each PidFile.
    pub instances: Vec<Instance>,
}

/// An httpd with one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The file that it writes its pid to.
    pub pid_file: String,
    /// The digest of its answer.
    pub answer: u64,
    /// A note before a start that has not been looked at yet.
    pub note: Option<Note>,
    /// What starts with this answer showed.
    pub learnt: Option<Learnt>,
}

/// The situation just before a start, when no process had the pid in its PidFile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The highest semid of all sets; -1 if there is no set. Semids go up, except once every 65,536 steps
    /// (ipc/util.c, `ipc_idr_alloc`): one that is not above this is not new.
    pub mark: i32,
    /// When, in ticks since boot: a clock that is never stepped.
    pub ticks: u64,
    /// When, in seconds since 1970: distinguishes one boot from another.
    pub time: i64,
}

/// How many sets httpd made on start, each time with the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learnt {
    /// The number of sets.
    pub sets: u32,
    /// The number of consecutive starts.
    pub starts: u32,
}

impl Learnt {
    /// How many starts must agree before a need counts as known.
    pub const ENOUGH: u32 = 2;

    /// Whether enough starts agree.
    #[must_use]
    pub fn is_certain(self) -> bool {
        self.starts >= Learnt::ENOUGH
    }
}

impl State {
    /// The instance with this PidFile.
    #[must_use]
    pub fn get(&self, pid_file: &str) -> Option<&Instance> {
        self.instances.iter().find(|i| i.pid_file == pid_file)
    }

    /// The same state with this instance in front, replacing the one with its PidFile.
    #[must_use]
    pub fn with(&self, instance: Instance) -> State {
        let others = self.instances.iter().filter(|i| i.pid_file != instance.pid_file);
        let others = others.cloned().collect::<Vec<_>>();
        let instances = std::iter::once(instance).chain(others).take(MOST_INSTANCES).collect();
        State { instances }
    }
}
