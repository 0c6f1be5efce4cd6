//! What httpd's own starts show: reads what is kept, and adds what this run learns.

use std::path::Path;

use nix::unistd::geteuid;

use crate::act;
use crate::cli::Options;
use crate::decide::learn::{self, Run, Seen, Start};
use crate::facts::event::Event;
use crate::facts::heard::Heard;
use crate::facts::need::Need;
use crate::facts::request::Command;
use crate::facts::state::{FILE, State};
use crate::facts::table::Table;
use crate::facts::time::Clock;
use crate::look::{clock, generation, pid_file, state};

/// What is kept about the httpd that answered.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    file: &'static Path,
    state: State,
    pid_file: String,
    answer: u64,
    /// The run comes just before a start.
    is_guard: bool,
    /// The run may write the state.
    keeps: bool,
}

impl Witness {
    /// Reads what is kept, if httpd's answer is complete; otherwise there is nothing to learn.
    pub(super) fn read(
        options: &Options,
        heard: &Heard,
        events: &mut Vec<Event>,
    ) -> Option<Witness> {
        if options.command == Command::List {
            return None;
        }
        let answer = heard.answer()?.digest?;
        let pid_file = heard.pid_file()?.to_str()?.to_owned();
        let file = Path::new(FILE);
        let state = state::read(file).unwrap_or_else(|why| {
            events.push(Event::StateUnused(why));
            State::default()
        });
        let is_guard = options.command == Command::Guard;
        let keeps = geteuid().is_root() && !options.dry_run;
        Some(Witness { file, state, pid_file, answer, is_guard, keeps })
    }

    /// The need according to the answer and to earlier starts.
    pub(super) fn need(&self, asked: Need) -> Need {
        learn::need(asked, learn::learnt(&self.state, &self.pid_file, self.answer))
    }

    /// The highest semid before the start that has yet to be looked at.
    pub(super) fn mark(&self) -> Option<i32> {
        let instance = self.state.get(&self.pid_file).filter(|i| i.answer == self.answer)?;
        instance.note.filter(|_| self.keeps).map(|note| note.mark)
    }

    /// Keeps what this run showed.
    pub(super) fn keep(&self, table: &Table, clock: Clock) -> Option<Event> {
        if !self.keeps {
            return None;
        }
        let ends = clock::since_boot(&clock).ok()?;
        let run = Run {
            pid_file: &self.pid_file,
            answer: self.answer,
            is_guard: self.is_guard,
            highest: table.highest,
            ends,
            clock,
            seen: self.seen(table),
        };
        // Another run may have kept something meanwhile. If it is about this httpd, that run knows
        // better.
        let now = state::read(self.file).unwrap_or_default();
        if now.get(&self.pid_file) != self.state.get(&self.pid_file) {
            return None;
        }
        let state = learn::after(&now, &run);
        if state == now { None } else { act::state::keep(&state, self.file) }
    }

    fn seen(&self, table: &Table) -> Seen {
        let Some(number) = pid_file::number(Path::new(&self.pid_file)) else { return Seen::Nobody };
        let running = table.running.as_ref().filter(|r| r.leader.pid == number);
        let leader = running.and_then(|_| table.world.get(number));
        match (leader, self.mark()) {
            (Some(leader), Some(mark)) => Seen::Running(Start {
                began: leader.start,
                generation: generation::of(number),
                holding: learn::holding(table, leader, mark),
            }),
            (None, _) if pid_file::is_nobodys(number) => Seen::Nobody,
            _ => Seen::Somebody,
        }
    }
}
