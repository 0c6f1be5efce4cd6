//! What became of the sets, by case: the table at the end.

use std::collections::BTreeMap;
use std::fmt;

use crate::world::Origin;

/// What kind of set it was, and in which situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) origin: Origin,
    pub(crate) state: &'static str,
    /// Its last pid now belongs to a process that does not know it.
    pub(crate) reborn: bool,
    /// The processes that knew it died while the guard ran.
    pub(crate) dying: bool,
}

/// What became of a set while a guard ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Removed,
    Kept,
    /// Its httpd removed it itself.
    Left,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    alive: usize,
    orphaned: usize,
    removed: usize,
    kept: usize,
    left: usize,
    wrong: usize,
}

impl Figures {
    fn add(&mut self, o: &Figures) {
        self.alive += o.alive;
        self.orphaned += o.orphaned;
        self.removed += o.removed;
        self.kept += o.kept;
        self.left += o.left;
        self.wrong += o.wrong;
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    by_case: BTreeMap<Case, Figures>,
    /// Guard runs.
    pub(crate) runs: usize,
    /// Worlds.
    pub(crate) worlds: usize,
    /// Steps.
    pub(crate) steps: usize,
    /// Sets removed, each once.
    pub(crate) removed: usize,
    /// Runs that found the table full.
    pub(crate) full: usize,
    /// Runs by what they could see.
    pub(crate) eyes: BTreeMap<String, usize>,
    /// Runs whose reader was stopped.
    pub(crate) held_up: usize,
    /// Sets with a telling semid that no process knew when a guard ran that could read everything; each
    /// counts once per such run.
    pub(crate) due: usize,
    /// How many of those were gone afterwards.
    pub(crate) gone: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, case: Case, known: bool, fate: Fate) {
        let f = self.by_case.entry(case).or_default();
        *(if known { &mut f.alive } else { &mut f.orphaned }) += 1;
        *(match fate {
            Fate::Removed => &mut f.removed,
            Fate::Kept => &mut f.kept,
            Fate::Left => &mut f.left,
        }) += 1;
    }

    pub(crate) fn wrong(&mut self, case: Case) {
        self.by_case.entry(case).or_default().wrong += 1;
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        for (case, figures) in &other.by_case {
            self.by_case.entry(*case).or_default().add(figures);
        }
        self.runs += other.runs;
        self.worlds += other.worlds;
        self.steps += other.steps;
        self.removed += other.removed;
        self.full += other.full;
        self.held_up += other.held_up;
        self.due += other.due;
        self.gone += other.gone;
        for (eyes, runs) in &other.eyes {
            *self.eyes.entry(eyes.clone()).or_default() += runs;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, n: &Figures| {
            writeln!(
                f,
                "{name:<88}{:>7}{:>10}{:>9}{:>7}{:>7}{:>7}",
                n.alive, n.orphaned, n.removed, n.kept, n.left, n.wrong
            )
        };
        writeln!(
            f,
            "{:<88}{:>7}{:>10}{:>9}{:>7}{:>7}{:>7}",
            "sets seen by guards", "alive", "orphaned", "removed", "kept", "ended", "wrong"
        )?;
        let mut all = Figures::default();
        for (case, figures) in &self.by_case {
            let reborn = if case.reborn { ", its last pid reborn" } else { "" };
            let dying = if case.dying { ", and dies meanwhile" } else { "" };
            row(f, &format!("{}: {}{dying}{reborn}", case.origin, case.state), figures)?;
            all.add(figures);
        }
        row(f, "all", &all)?;
        writeln!(
            f,
            "(alive: known to a living process all the while; ended: httpd removed it itself; a set \
             counts in each run that saw it)"
        )?;
        for (eyes, runs) in &self.eyes {
            write!(f, "{eyes}: {runs} runs; ")?;
        }
        writeln!(f, "of {} a reader was stopped", self.held_up)?;
        writeln!(f, "{} of {} sets that nobody knew were gone at once", self.gone, self.due)?;
        write!(
            f,
            "{} guard runs in {} worlds, {} steps; {} sets removed; {} runs found the table full",
            self.runs, self.worlds, self.steps, self.removed, self.full
        )
    }
}
