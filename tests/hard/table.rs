//! The table of all cases: what each required and what came of it. The case that ends last prints it.

// Each test uses only a part of this.
#![allow(unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::common::{Namespace, Run};

/// All cases, in the order of the table.
const CASES: [&str; 52] = [
    "healthy httpd, launcher dead",
    "rewrite-map last used by an expired child",
    "parent killed, workers serve: idle, waiting for the lock",
    "parent killed, workers serve: all busy, none waiting",
    "two instances, one crashed: the younger",
    "two instances, one crashed: the older",
    "httpd stopped at each step of its start",
    "httpd stopped at each step of a graceful restart",
    "graceful restarts under load, guards in a loop",
    "last pid recycled by strangers",
    "last pid recycled by another httpd",
    "unreaped zombie httpd",
    "httpd binary deleted while it runs",
    "httpd binary replaced while it runs",
    "httpd under another name",
    "httpd under another name, stopped at each step",
    "httpd not started by root, root's guard",
    "httpd not started by root, its user's guard",
    "mutex of a daemon user (as mod_wsgi's)",
    "real mod_wsgi with a daemon user",
    "PHP and CGI under the same uid",
    "php-fpm runs under the uid, httpd is dead",
    "httpd killed between semget and IPC_SET",
    "httpd in another IPC namespace",
    "httpd in an inner PID namespace",
    "guard in an inner PID namespace",
    "container sharing no semaphores, --private-ipc",
    "hidepid",
    "hidepid, no CAP_SYS_PTRACE",
    "ProcSubset=pid",
    "no CAP_SYS_PTRACE",
    "no CAP_IPC_OWNER",
    "no CAP_SYS_ADMIN",
    "no CAP_SETUID",
    "guard in a user namespace",
    "workers adopted by another httpd, which is PID 1",
    "the owner is a process's real, effective, saved, or a thread's user",
    "root that temporarily acted as the owner",
    "a worker's own set, last touched by its dead child",
    "httpd and libapr renamed by NFS",
    "httpd whose first thread has ended",
    "httpd whose first thread left the IPC namespace",
    "kernel before 4.17, guard in an inner PID namespace",
    "last pid that /proc does not list",
    "process whose files cannot be read",
    "process whose maps cannot be read",
    "memory that the guard may not read",
    "no CAP_SYS_ADMIN, an owner's sets",
    "an orphan listed on a terminal and in a log",
    "stepped clock",
    "clock set back between two sets of a launcher",
    "sets that come and go during guard runs",
];

/// The figures of one case, over all its guard runs.
#[derive(Clone, Debug, Default)]
struct Row {
    runs: usize,
    alive: usize,
    orphaned: usize,
    removed: usize,
    kept: usize,
    wrong: usize,
    note: String,
}

static ROWS: Mutex<BTreeMap<&'static str, Row>> = Mutex::new(BTreeMap::new());

/// A case under test; it enters its row when dropped, however it ended.
pub struct Case {
    name: &'static str,
    row: Row,
}

/// Begins a case, or skips the test loudly if this machine cannot run it.
#[macro_export]
macro_rules! case {
    ($name:expr $(, $tool:expr)* $(,)?) => {{
        let mut case = $crate::table::Case::new($name);
        if let Err(missing) = $crate::common::present(&[$($tool),*]) {
            case.note(&format!("skipped: {missing}"));
            $crate::common::skip(&missing);
            return;
        }
        case
    }};
}

impl Case {
    pub fn new(name: &'static str) -> Case {
        assert!(CASES.contains(&name), "{name} is not in the table");
        Case { name, row: Row::default() }
    }

    pub fn note(&mut self, note: &str) {
        note.clone_into(&mut self.row.note);
    }

    /// Records this many guard runs, counted elsewhere, instead of the one that their sum counted as.
    pub fn runs(&mut self, runs: usize) {
        self.row.runs = self.row.runs + runs - 1;
    }

    /// Runs a guard once. The sets of `living` may be in use by running processes, or are not httpd's;
    /// all other sets in the table are orphans. Those of `due` must go, and no others.
    #[track_caller]
    pub fn guard(
        &mut self,
        ns: &Namespace,
        living: &[i32],
        due: &[i32],
        guard: impl FnOnce() -> Run,
    ) -> Run {
        let set = |ids: &[i32]| ids.iter().copied().collect::<BTreeSet<i32>>();
        let (living, due) = (set(living), set(due));
        let before = set(&ns.ids());
        assert!(living.is_subset(&before), "the case is wrong: {living:?} of {before:?}");
        assert!(due.is_subset(&before) && due.is_disjoint(&living), "{due:?} of {before:?}");
        let run = guard();
        let after = set(&ns.ids());
        let removed: BTreeSet<i32> = before.difference(&after).copied().collect();
        let wrong = removed.symmetric_difference(&due).count() + after.difference(&before).count();
        self.add([living.len(), before.len() - living.len(), removed.len(), wrong]);
        assert_eq!(
            wrong, 0,
            "{}: before {before:?}, of the living {living:?}, due {due:?}, removed {removed:?}\n{run}",
            self.name
        );
        run
    }

    /// Enters the figures of a guard run: sets in use, orphans, removed, wrong.
    pub fn add(&mut self, [alive, orphaned, removed, wrong]: [usize; 4]) {
        self.row.runs += 1;
        self.row.alive += alive;
        self.row.orphaned += orphaned;
        self.row.removed += removed;
        self.row.kept += alive + orphaned - removed;
        self.row.wrong += wrong;
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let mut row = std::mem::take(&mut self.row);
        if thread::panicking() && row.note.is_empty() {
            row.note = "FAILED".into();
        }
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(self.name, row);
        if rows.len() == CASES.len() {
            // Bypasses the test harness, which captures what tests print.
            let _ = io::stdout().write_all(render(&rows).as_bytes());
        }
    }
}

fn render(rows: &BTreeMap<&'static str, Row>) -> String {
    let width = CASES.iter().map(|c| c.len()).max().unwrap_or_default();
    let mut text = format!(
        "\n{:<width$}  {:>5}  {:>6}  {:>8}  {:>7}  {:>6}  {:>5}\n",
        "case", "runs", "alive", "orphaned", "removed", "kept", "wrong"
    );
    let mut line = |name: &str, r: &Row| {
        let _ = writeln!(
            text,
            "{name:<width$}  {:>5}  {:>6}  {:>8}  {:>7}  {:>6}  {:>5}  {}",
            r.runs, r.alive, r.orphaned, r.removed, r.kept, r.wrong, r.note
        );
    };
    let mut total = Row::default();
    for name in CASES {
        let row = &rows[name];
        line(name, row);
        total.runs += row.runs;
        total.alive += row.alive;
        total.orphaned += row.orphaned;
        total.removed += row.removed;
        total.kept += row.kept;
        total.wrong += row.wrong;
    }
    line("all", &total);
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n\n"
}
