//! The protocol between the guard and its reader of memory, line by line. Pure.

use std::fmt::Write;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::facts::memory::{Ask, Budget, Doubt, Extent, Gap, ProcFile, Request, Suspect, Words};
use crate::facts::set::SemId;

/// The reader's answers, one line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is still working, and has read this many bytes.
    Alive(u64),
    /// It starts with this suspect.
    Begins(usize),
    /// This suspect holds the semid of this set.
    Holds(usize, SemId),
    /// It has finished this suspect.
    Done(usize, Extent),
}

/// The request as text.
pub(super) fn request(request: &Request) -> String {
    let Budget { time, bytes } = request.budget;
    let mut text = format!("{} {bytes} {}\n", time.as_micros(), u8::from(request.thorough));
    // Writing to a String does not fail.
    for doubt in &request.doubts {
        text += if doubt.made_by_owner { "owner" } else { "root" };
        for set in &doubt.sets {
            let _ = write!(text, " {set}");
        }
        text.push('\n');
    }
    for suspect in &request.suspects {
        let _ = write!(text, "pid {}", suspect.pid);
        for Ask { doubt, words } in &suspect.asks {
            let mark = if *words == Words::Plain { '.' } else { '*' };
            let _ = write!(text, " {doubt}{mark}");
        }
        text.push('\n');
    }
    text + "end\n"
}

/// Parses a request; `None` if it is not complete.
pub(super) fn parse_request(text: &str) -> Option<Request> {
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ').map(|w| w.parse::<u64>().ok());
    let time = Duration::from_micros(first.next()??);
    let budget = Budget { time, bytes: first.next()?? };
    let thorough = first.next()?? == 1;
    let (mut doubts, mut suspects) = (Vec::<Doubt>::new(), Vec::new());
    for line in lines {
        let mut words = line.split(' ');
        match words.next()? {
            "end" => return Some(Request { doubts, suspects, budget, thorough }),
            "pid" => {
                let pid = Pid::from_raw(words.next()?.parse().ok()?);
                let ask = |word: &str| {
                    let (doubt, words) = match word.strip_suffix('*') {
                        Some(doubt) => (doubt, Words::AnyLanguage),
                        None => (word.strip_suffix('.')?, Words::Plain),
                    };
                    let doubt = doubt.parse().ok().filter(|d| *d < doubts.len())?;
                    Some(Ask { doubt, words })
                };
                suspects.push(Suspect { pid, asks: words.map(ask).collect::<Option<_>>()? });
            }
            who @ ("owner" | "root") => {
                let sets: Option<_> = words.map(|w| w.parse().ok().map(SemId)).collect();
                doubts.push(Doubt { sets: sets?, made_by_owner: who == "owner" });
            }
            _ => return None,
        }
    }
    None
}

const FILES: [ProcFile; 3] = [ProcFile::Maps, ProcFile::Mem, ProcFile::Pagemap];

/// One answer as a line.
pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Alive(bytes) => format!("read {bytes}\n"),
        Answer::Begins(i) => format!("at {i}\n"),
        Answer::Holds(i, set) => format!("holds {i} {set}\n"),
        Answer::Done(i, extent) => {
            let extent = match extent {
                Extent::Full => "full".into(),
                Extent::Gone => "gone".into(),
                Extent::Enough => "enough".into(),
                Extent::Part(gap) => match gap {
                    Gap::Refused(file, e) => format!("refused {} {}", *file as usize, *e as i32),
                    Gap::Unreadable(e) => format!("unreadable {}", *e as i32),
                    Gap::NoReader(e) => format!("none {}", *e as i32),
                    Gap::NoMemory => "no-memory".into(),
                    Gap::Restless => "restless".into(),
                    Gap::SharedUnseen => "shared".into(),
                    Gap::HeldUp => "held".into(),
                    Gap::Budget => "budget".into(),
                    Gap::ReaderDied => "died".into(),
                },
            };
            format!("done {i} {extent}\n")
        }
    }
}

/// Parses an answer; `None` if it is not valid.
pub(super) fn parse_answer(line: &str) -> Option<Answer> {
    let mut words = line.split(' ');
    let verb = words.next()?;
    if verb == "read" {
        return Some(Answer::Alive(words.next()?.parse().ok()?));
    }
    let suspect = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<i32>().ok();
    match verb {
        "at" => return Some(Answer::Begins(suspect)),
        "holds" => return Some(Answer::Holds(suspect, SemId(number()?))),
        "done" => {}
        _ => return None,
    }
    let extent = match words.next()? {
        "full" => Extent::Full,
        "gone" => Extent::Gone,
        "enough" => Extent::Enough,
        gap => {
            let mut number = || words.next()?.parse::<i32>().ok();
            Extent::Part(match gap {
                "refused" => {
                    let file = FILES.get(usize::try_from(number()?).ok()?)?;
                    Gap::Refused(*file, Errno::from_raw(number()?))
                }
                "unreadable" => Gap::Unreadable(Errno::from_raw(number()?)),
                "none" => Gap::NoReader(Errno::from_raw(number()?)),
                "no-memory" => Gap::NoMemory,
                "restless" => Gap::Restless,
                "shared" => Gap::SharedUnseen,
                "held" => Gap::HeldUp,
                "budget" => Gap::Budget,
                "died" => Gap::ReaderDied,
                _ => return None,
            })
        }
    };
    Some(Answer::Done(suspect, extent))
}
