//! How to reach the actors of a world: one process in its namespace, the nest, forks all the others.
//! Each takes orders through a fifo of its own, and all answer through one pipe.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::Namespace;

/// Longer than anything an actor or a guard does takes, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// One line from an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is ready.
    Lives(String, i32),
    /// It has done what it was told, as this process.
    Done(String, i32),
    /// It could not.
    Failed(String, i32),
    /// It made this set.
    Set(i32),
    /// A guard run: the process that waits for it, the guard, and its exit code.
    Mid(String, i32),
    Guard(String, i32),
    Ran(String, i32),
    Table(Vec<Row>),
}

/// A set as reported by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: i32,
    pub(crate) key: i32,
    pub(crate) nsems: u64,
    pub(crate) uid: u32,
    pub(crate) cuid: u32,
    pub(crate) last_pid: i32,
    pub(crate) value: i32,
}

impl Row {
    fn parse(word: &str) -> Row {
        let f: Vec<i64> = word.split(':').map(|f| f.parse().expect("a number")).collect();
        Row {
            id: f[0] as i32,
            key: f[1] as i32,
            nsems: f[2] as u64,
            uid: f[3] as u32,
            cuid: f[4] as u32,
            last_pid: f[7] as i32,
            value: f[8] as i32,
        }
    }
}

/// The nest of one namespace, and everything reported in it.
pub(crate) struct Nest<'n> {
    pub(crate) namespace: &'n Namespace,
    child: Child,
    lines: Receiver<String>,
    heard: VecDeque<Heard>,
}

impl<'n> Nest<'n> {
    pub(crate) fn new(namespace: &'n Namespace) -> Nest<'n> {
        let program = namespace.actor_copy("nest");
        namespace.guard_copy();
        fs::create_dir(namespace.path("/run/t/c")).expect("a directory");
        let fifo = fifo(namespace, "nest");
        let mut child = namespace
            .command(program)
            .args(["serve", &fifo])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut nest = Nest { namespace, child, lines, heard: VecDeque::new() };
        nest.expect("the nest serves", |h| matches!(h, Heard::Lives(..))).expect("the nest");
        nest
    }

    /// Tells an actor what to do next.
    pub(crate) fn tell(&self, name: &str, verbs: &str) {
        let path = self.namespace.path(&format!("/run/t/c/{name}"));
        let written = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .and_then(|mut f| f.write_all(format!("{verbs}\n").as_bytes()));
        written.unwrap_or_else(|e| panic!("{name} cannot be told to {verbs}: {e}"));
    }

    fn take_in(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "table" {
            self.heard.push_back(Heard::Table(rest.split_whitespace().map(Row::parse).collect()));
            return;
        }
        let number: i32 = rest.parse().unwrap_or_else(|_| panic!("not understood: {line}"));
        self.heard.push_back(match word.split_once(':') {
            Some(("done", name)) => Heard::Done(name.to_owned(), number),
            Some(("fail", name)) => Heard::Failed(name.to_owned(), number),
            Some(("mid", name)) => Heard::Mid(name.to_owned(), number),
            Some(("pid", name)) => Heard::Guard(name.to_owned(), number),
            Some(("ran", name)) => Heard::Ran(name.to_owned(), number),
            _ if word == "set" => Heard::Set(number),
            _ => Heard::Lives(word.to_owned(), number),
        });
    }

    /// The process that waited for the guard of this name, and so was running while it looked.
    pub(crate) fn caller_of(&self, name: &str) -> Option<i32> {
        self.heard.iter().find_map(|heard| match heard {
            Heard::Mid(of, pid) if of == name => Some(*pid),
            _ => None,
        })
    }

    /// Waits for one message, and keeps all others for later.
    pub(crate) fn expect(
        &mut self,
        what: &str,
        is_it: impl Fn(&Heard) -> bool,
    ) -> Result<Heard, String> {
        let began = Instant::now();
        let mut looked_at = 0;
        loop {
            while looked_at < self.heard.len() {
                if is_it(&self.heard[looked_at]) {
                    return Ok(self.heard.remove(looked_at).expect("it is there"));
                }
                looked_at += 1;
            }
            match self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(line) => self.take_in(&line),
                Err(RecvTimeoutError::Timeout) => return Err(format!("waited in vain: {what}")),
                Err(RecvTimeoutError::Disconnected) => return Err(format!("all dead: {what}")),
            }
        }
    }

    /// All messages that were not waited for.
    pub(crate) fn rest(&mut self) -> Vec<Heard> {
        while let Ok(line) = self.lines.try_recv() {
            self.take_in(&line);
        }
        self.heard.drain(..).collect()
    }

    /// The newly made sets, as far as reported.
    pub(crate) fn new_sets(&mut self) -> Vec<i32> {
        let mut sets = Vec::new();
        self.heard.retain(|h| match h {
            Heard::Set(id) => {
                sets.push(*id);
                false
            }
            _ => true,
        });
        sets
    }

    /// Has the nest itself do something.
    pub(crate) fn does(&mut self, verbs: &str) -> Result<(), String> {
        self.tell("nest", verbs);
        let mine = |h: &Heard| matches!(h, Heard::Done(n, _) | Heard::Failed(n, _) if n == "nest");
        match self.expect(verbs, mine)? {
            Heard::Done(..) => Ok(()),
            _ => Err(format!("the nest could not {verbs}")),
        }
    }

    pub(crate) fn table(&mut self) -> Result<Vec<Row>, String> {
        // The nest is root's, and must not hold semids itself.
        self.does("apart { table }")?;
        match self.expect("the table", |h| matches!(h, Heard::Table(_)))? {
            Heard::Table(rows) => Ok(rows),
            _ => unreachable!("that was a table"),
        }
    }

    /// The output of a guard run.
    pub(crate) fn output(&self, name: &str) -> String {
        let path = self.namespace.path(&format!("/run/t/c/{name}.out"));
        fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}

/// The fifo of a future actor; returns its path inside the namespace.
pub(crate) fn fifo(namespace: &Namespace, name: &str) -> String {
    let inside = format!("/run/t/c/{name}");
    let outside = namespace.path(&inside);
    mkfifo(&outside, Mode::empty()).expect("a fifo");
    // It may be opened by any user that the actor becomes.
    fs::set_permissions(&outside, Permissions::from_mode(0o666)).expect("chmod");
    inside
}

impl Drop for Nest<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
