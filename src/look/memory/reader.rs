//! The process that reads: one suspect after another, until the budget is spent. Touches /proc; what it
//! reads leaves it only in the form "holds this set".

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use zeroize::Zeroizing;

use super::covered::Covered;
use super::frames::Frames;
use super::parse::Object;
use super::scan::{Hit, Index, Needles};
use super::view::View;
use super::wire::{self, Answer};
use crate::facts::memory::{Ask, Doubt, Extent, Gap, Request, Words};
use crate::facts::set::SemId;
use crate::look::clock::nap;

/// The number of bytes read at once.
const BUFFER: usize = 256 << 10;

/// The number of pagemap entries read at once.
const ENTRIES: usize = 1 << 13;

/// How often the mappings of a process are listed, to look for new ones.
const ROUNDS: u32 = 20;

/// How often pages that cannot be read are tried again if nothing else is left.
const TRIES: u32 = 3;

/// How often the reader reports that it is working.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Reads a request from standard input and answers on standard output.
///
/// Like any program after execve(2), it can be traced at first, so nothing is read before that has been
/// changed.
pub(super) fn serve() -> ExitCode {
    // A panic here must print nothing, because the program has seen the memory of others.
    std::panic::set_hook(Box::new(|_| {}));
    let sealed = prctl::set_dumpable(false)
        .and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0))
        .and_then(|()| prctl::set_pdeathsig(Signal::SIGKILL));
    let mut text = String::new();
    let read = io::stdin().take(1 << 28).read_to_string(&mut text);
    let request = wire::parse_request(&text).filter(|_| sealed.is_ok() && read.is_ok());
    let Some(request) = request else { return ExitCode::FAILURE };
    let mut reader = Reader::new(&request, io::stdout().lock());
    match reader.all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why reading a process ends early.
pub(super) enum Halt {
    /// With this result.
    With(Extent),
    /// Its memory no longer exists: look again at what the process is now.
    Over,
    /// The answers are not received.
    Unheard(io::Error),
}

/// The state of the reading.
pub(super) struct Reader<'a, W> {
    request: &'a Request,
    /// All sets in question, in order: the position of a set is its [`Index`].
    sets: Vec<SemId>,
    pub(super) plain: Needles,
    pub(super) any_language: Needles,
    /// Sets already found in a process in question.
    settled: Vec<bool>,
    /// What the last process was asked: all workers of an httpd are asked the same.
    asked: (Vec<Ask>, Rc<Asked>),
    pub(super) page: u64,
    /// The memory of other processes; wiped when dropped.
    pub(super) buffer: Zeroizing<Vec<u8>>,
    pub(super) entries: Vec<u8>,
    pub(super) frames: Frames,
    /// The hits in shared memory that was read: by what is mapped, up to which offset, the forms of
    /// numbers, and whether in the second pass.
    pub(super) objects: HashMap<(Object, u64, Words, bool), Vec<Hit>>,
    known: HashSet<Object>,
    deadline: Instant,
    bytes: u64,
    out: W,
    spoke: Instant,
}

/// What is asked of a process.
#[derive(Default)]
struct Asked {
    /// By index: the forms in which it may store the number.
    words: Vec<Option<Words>>,
    /// The maximum of these; `None` if nothing is asked.
    deepest: Option<Words>,
    /// One of the sets was made by its owner.
    by_owner: bool,
}

/// The process that is being read.
pub(super) struct Job {
    /// Which of the suspects.
    suspect: usize,
    asked: Rc<Asked>,
    /// The maximum of what it is asked.
    pub(super) words: Words,
    /// How many of these sets no process is known to hold.
    open: usize,
    holds: HashSet<Index>,
    /// The second pass.
    pub(super) second: bool,
    /// Its number among those whose pages are remembered.
    pub(super) owner: Option<u16>,
    /// It has shared memory that could not be read.
    pub(super) unseen: bool,
    /// The last failure to read a page, in this round.
    pub(super) failed: Option<Errno>,
    /// How often its mappings have been listed before.
    pub(super) round: u32,
}

impl<'a, W: Write> Reader<'a, W> {
    pub(super) fn new(request: &'a Request, out: W) -> Reader<'a, W> {
        let mut sets: Vec<SemId> =
            request.doubts.iter().flat_map(|d| d.sets.iter().copied()).collect();
        sets.sort_unstable();
        sets.dedup();
        let mut deepest = vec![Words::Plain; sets.len()];
        let asks = request.suspects.iter().flat_map(|s| &s.asks);
        let widely: HashSet<usize> =
            asks.filter(|a| a.words == Words::AnyLanguage).map(|a| a.doubt).collect();
        for set in widely.iter().flat_map(|d| &request.doubts[*d].sets) {
            if let Ok(index) = sets.binary_search(set) {
                deepest[index] = Words::AnyLanguage;
            }
        }
        let each = || (0..).zip(&sets).zip(&deepest).map(|((i, set), words)| (i, set.0, *words));
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        let now = Instant::now();
        Reader {
            request,
            plain: Needles::new(each().map(|(i, n, _)| (i, n, Words::Plain))),
            any_language: Needles::new(each()),
            settled: vec![false; sets.len()],
            asked: Default::default(),
            page: page.and_then(|p| u64::try_from(p).ok()).unwrap_or(4096),
            buffer: Zeroizing::new(vec![0; BUFFER]),
            entries: vec![0; ENTRIES * 8],
            frames: Frames::default(),
            objects: HashMap::new(),
            known: HashSet::new(),
            deadline: now + request.budget.time,
            bytes: 0,
            out,
            spoke: now,
            sets,
        }
    }

    /// Reads all suspects.
    ///
    /// # Errors
    /// If the answers are not received.
    pub(super) fn all(&mut self) -> io::Result<()> {
        let mut said = Vec::new();
        for suspect in 0..self.request.suspects.len() {
            said.push(Answer::Begins(suspect));
            self.say(&said)?;
            let extent = match self.process(suspect) {
                Ok(()) => Extent::Full,
                Err(Halt::With(extent)) => extent,
                Err(Halt::Over) => Extent::Part(Gap::Restless),
                Err(Halt::Unheard(e)) => return Err(e),
            };
            // Sent together with the next one: each piece wakes the recipient.
            said = vec![Answer::Alive(self.bytes), Answer::Done(suspect, extent)];
        }
        self.say(&said)
    }

    fn say(&mut self, answers: &[Answer]) -> io::Result<()> {
        self.spoke = Instant::now();
        let lines: String = answers.iter().map(wire::answer).collect();
        self.out.write_all(lines.as_bytes())?;
        self.out.flush()
    }

    /// Must be called before a piece of this size is read.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Halt> {
        let now = Instant::now();
        self.bytes += bytes;
        if now >= self.deadline || self.bytes > self.request.budget.bytes {
            return Err(Halt::With(Extent::Part(Gap::Budget)));
        }
        if now - self.spoke > HEARTBEAT {
            self.say(&[Answer::Alive(self.bytes)]).map_err(Halt::Unheard)?;
        }
        Ok(())
    }

    /// Processes what was found in the memory of the process.
    pub(super) fn found(&mut self, job: &mut Job, hit: Hit) -> Result<(), Halt> {
        let place = hit.index as usize;
        let asked = job.asked.words.get(place).copied().flatten();
        if asked.is_none_or(|asked| hit.words > asked) || !job.holds.insert(hit.index) {
            return Ok(());
        }
        self.say(&[Answer::Holds(job.suspect, self.sets[place])]).map_err(Halt::Unheard)?;
        job.open -= usize::from(!std::mem::replace(&mut self.settled[place], true));
        self.enough(job)
    }

    fn enough(&self, job: &Job) -> Result<(), Halt> {
        let enough = job.open == 0 && (job.asked.deepest.is_none() || !self.request.thorough);
        if enough { Err(Halt::With(Extent::Enough)) } else { Ok(()) }
    }

    /// The combination of these questions.
    fn asked(&self, asks: &[Ask]) -> Asked {
        let mut asked = Asked { words: vec![None; self.sets.len()], ..Asked::default() };
        for ask in asks {
            let Doubt { sets, made_by_owner } = &self.request.doubts[ask.doubt];
            asked.by_owner |= *made_by_owner && !sets.is_empty();
            for set in sets {
                let Ok(index) = self.sets.binary_search(set) else { continue };
                asked.words[index] = asked.words[index].max(Some(ask.words));
            }
        }
        asked.deepest = asked.words.iter().copied().max().flatten();
        asked
    }

    fn process(&mut self, suspect: usize) -> Result<(), Halt> {
        let asks = &self.request.suspects[suspect].asks;
        if self.asked.0 != *asks {
            self.asked = (asks.clone(), Rc::new(self.asked(asks)));
        }
        let asked = self.asked.1.clone();
        let open = asked.words.iter().zip(&self.settled).filter(|(a, s)| a.is_some() && !**s);
        let mut job = Job {
            suspect,
            words: asked.deepest.unwrap_or(Words::Plain),
            open: open.count(),
            asked: asked.clone(),
            holds: HashSet::new(),
            second: false,
            owner: None,
            unseen: false,
            failed: None,
            round: 0,
        };
        self.enough(&job)?;
        self.pass(&mut job)?;
        if asked.by_owner {
            job.second = true;
            self.pass(&mut job)?;
        }
        let unseen = Halt::With(Extent::Part(Gap::SharedUnseen));
        if job.unseen { Err(unseen) } else { Ok(()) }
    }

    /// Reads all mappings, and new ones that appear meanwhile, until there are none.
    fn pass(&mut self, job: &mut Job) -> Result<(), Halt> {
        let pid = self.request.suspects[job.suspect].pid;
        let mut covered = Covered::default();
        // The first view of the memory that is recorded in `covered`.
        let mut first: Option<View> = None;
        let mut tries = 0;
        for round in 0..ROUNDS {
            // Processes that move their memory do so at regular intervals.
            if round > 2 {
                nap(Duration::from_millis(u64::from(round - 2)));
            }
            let mut view = View::open(pid, &mut self.known).map_err(Halt::With)?;
            if let Some(old) = &first {
                if old.stat.start != view.stat.start {
                    return Err(Halt::With(Extent::Gone));
                }
                // It is another program now: its old memory no longer exists, or was its parent's (vfork(2)).
                if old.is_over() || old.stat.forked_only != view.stat.forked_only {
                    (covered, first, tries) = (Covered::default(), None, 0);
                }
            }
            let relevant = view.mappings.iter().filter(|m| !m.special && !m.device_memory);
            let mut todo: Vec<_> = relevant
                .flat_map(|m| covered.missing(m).into_iter().map(|range| (m.clone(), range)))
                .collect();
            if todo.is_empty() {
                return Ok(());
            }
            if job.second {
                todo.reverse();
            }
            if first.is_none() {
                job.owner = self.frames.owner(&view.pagemap);
            }
            view.mappings = Vec::new();
            (job.failed, job.round) = (None, round);
            let mut progress = false;
            for (mapping, range) in todo {
                match self.mapping(&view, &mapping, range, job, &mut covered) {
                    Ok(()) => progress |= covered.missing(&mapping).is_empty(),
                    Err(Halt::Over) => break,
                    Err(halt) => return Err(halt),
                }
            }
            first.get_or_insert(view);
            match job.failed {
                Some(errno) if !progress => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(Halt::With(Extent::Part(Gap::Unreadable(errno))));
                    }
                }
                _ => tries = 0,
            }
        }
        Err(Halt::With(Extent::Part(job.failed.map_or(Gap::Restless, Gap::Unreadable))))
    }
}
