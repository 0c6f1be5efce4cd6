//! The parts of the document about httpd, what it needs, and the room for it.

use super::errno_name;
use crate::facts::capacity::{Capacity, Limit};
use crate::facts::message::Message;
use crate::facts::mutex::{self, Mechanism};
use crate::facts::need::NeedSource;
use crate::facts::printable::printable;
use crate::facts::table::Table;
use crate::facts::trial::Trial;
use crate::tell::report::Report;
use serde::Serialize;

/// What httpd answered. Without a control program and an error, it was not asked.
#[derive(Serialize)]
pub(super) struct Httpd {
    pub(super) control: Option<String>,
    pub(super) error: Option<String>,
    pub(super) mutexes: Option<Vec<Mutex>>,
}

impl Httpd {
    pub(super) fn of(report: &Report) -> Httpd {
        let heard = &report.heard;
        Httpd {
            control: heard.control().map(|path| printable(&path.to_string_lossy())),
            error: heard.no_answer().map(ToString::to_string),
            mutexes: heard.demand().map(|d| d.rows.iter().map(Mutex::of).collect()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Mutex {
    pub(super) mutex: String,
    pub(super) mechanism: Option<&'static str>,
    pub(super) at_least: u32,
    pub(super) at_most: u32,
    pub(super) cause: String,
}

impl Mutex {
    pub(super) fn of(row: &mutex::Mutexes) -> Mutex {
        Mutex {
            mutex: row.mutex.clone(),
            mechanism: row.mechanism.map(Mechanism::name),
            at_least: row.least,
            at_most: row.most,
            cause: row.cause.clone(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Need {
    pub(super) at_least: i64,
    pub(super) at_most: i64,
    pub(super) source: &'static str,
    pub(super) min_free: i64,
}

impl Need {
    pub(super) fn of(report: &Report) -> Need {
        Need {
            at_least: report.input.need.at_least,
            at_most: report.input.need.at_most,
            source: match report.input.need.source {
                NeedSource::Assumed => "assumed",
                NeedSource::Unheard => "not_heard",
                NeedSource::Given => "option",
                NeedSource::Asked => "httpd",
                NeedSource::Learnt(_) => "learnt",
            },
            min_free: report.input.min_free,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TrialResult {
    pub(super) result: &'static str,
    pub(super) call: Option<&'static str>,
    pub(super) errno: Option<String>,
    pub(super) reason: Option<&'static str>,
}

impl TrialResult {
    pub(super) fn of(trial: Trial) -> TrialResult {
        let (result, call, errno, reason) = match trial {
            Trial::Passed => ("passed", None, None, None),
            Trial::Refused(call, e) => ("refused", Some(call), Some(e), None),
            Trial::Disturbed => ("disturbed", None, None, None),
            Trial::Skipped(reason) => ("skipped", None, None, Some(reason)),
        };
        TrialResult { result, call, errno: errno.map(errno_name), reason }
    }
}

#[derive(Serialize)]
pub(super) struct Words {
    pub(super) headline: String,
    pub(super) why: Vec<String>,
    #[serde(rename = "do")]
    pub(super) todo: Vec<Todo>,
}

#[derive(Serialize)]
pub(super) struct Todo {
    pub(super) command: Option<String>,
    pub(super) remark: String,
    pub(super) cures: bool,
}

impl Words {
    pub(super) fn of(message: Message) -> Words {
        let headline = message.headline();
        let todo = message.remedies.into_iter().map(|remedy| Todo {
            command: remedy.command,
            remark: remedy.remark,
            cures: remedy.cures,
        });
        let todo = todo.collect();
        Words { headline, why: message.why, todo }
    }
}

#[derive(Serialize)]
pub(super) struct Shortage {
    pub(super) mutex: String,
    pub(super) mechanism: &'static str,
    pub(super) path: String,
    pub(super) errno: String,
    pub(super) made: u32,
    pub(super) needed: u32,
    pub(super) certain: bool,
}

impl Shortage {
    pub(super) fn of(s: &crate::facts::shortage::Shortage) -> Shortage {
        Shortage {
            mutex: s.mutex.clone(),
            mechanism: s.mechanism.name(),
            path: printable(&s.path.to_string_lossy()),
            errno: errno_name(s.errno),
            made: s.made,
            needed: s.needed,
            certain: s.certain,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Room {
    pub(super) limits: Limits,
    pub(super) before: Used,
    pub(super) after: Used,
    pub(super) binding_limit: String,
    pub(super) oddity: Option<String>,
}

impl Room {
    pub(super) fn of(table: &Table, report: &Report) -> Room {
        let l = table.left.limits;
        Room {
            limits: Limits {
                semmsl: l.semmsl,
                semmns: l.semmns,
                semopm: l.semopm,
                semmni: l.semmni,
            },
            before: Used::of(&table.found),
            after: Used::of(&table.left),
            binding_limit: match table.left.room().binding {
                Limit::Semmsl => "semmsl",
                Limit::Semmns => "semmns",
                Limit::Semmni => "semmni",
            }
            .into(),
            oddity: report.oddity().map(|o| o.to_string()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Limits {
    pub(super) semmsl: i64,
    pub(super) semmns: i64,
    pub(super) semopm: i64,
    pub(super) semmni: i64,
}

#[derive(Serialize)]
pub(super) struct Used {
    pub(super) sets: i64,
    pub(super) semaphores: i64,
    pub(super) free_sets: i64,
}

impl Used {
    pub(super) fn of(capacity: &Capacity) -> Used {
        Used {
            sets: capacity.usage.sets,
            semaphores: capacity.usage.semaphores,
            free_sets: capacity.room().sets,
        }
    }
}
