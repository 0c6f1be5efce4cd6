//! What is kept between runs: what httpd's own starts showed of its need, and the note before the next
//! one.

use serde::{Deserialize, Serialize};

/// Where it is. Its directory comes with the packages and with install.sh; without it nothing is kept.
pub const FILE: &str = "/var/lib/httpd-semguard/starts.json";

/// The most instances that are remembered.
pub const MOST_INSTANCES: usize = 64;

/// What is kept, the instance that changed last in front.
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
    /// Where it writes its number.
    pub pid_file: String,
    /// The digest of its answer.
    pub answer: u64,
    /// The note before a start that nobody has looked at yet.
    pub note: Option<Note>,
    /// What starts with this answer showed.
    pub learnt: Option<Learnt>,
}

/// How things were just before a start, when no process bore the number in its PidFile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The highest number of a set of the guarded users; -1 without any. The kernel's numbers go up, but
    /// for once in 65,536 steps (ipc/util.c, `ipc_idr_alloc`): what is not above it is not new.
    pub mark: i32,
    /// When it was, in ticks since the boot: a clock that nobody steps.
    pub ticks: u64,
    /// When it was, in seconds since 1970: tells one boot from another.
    pub time: i64,
}

/// How many sets httpd made when it was started, each time with the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learnt {
    /// So many sets.
    pub sets: u32,
    /// So many starts in a row.
    pub starts: u32,
}

impl Learnt {
    /// Starts that agree before a need is taken as known.
    pub const ENOUGH: u32 = 2;

    /// Whether so many starts agree.
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

    /// The same with this instance in front, in place of the one with its PidFile.
    #[must_use]
    pub fn with(&self, instance: Instance) -> State {
        let others = self.instances.iter().filter(|i| i.pid_file != instance.pid_file);
        let others = others.cloned().collect::<Vec<_>>();
        let instances = std::iter::once(instance).chain(others).take(MOST_INSTANCES).collect();
        State { instances }
    }
}
