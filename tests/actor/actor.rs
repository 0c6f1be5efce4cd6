//! A program that does with semaphore sets what httpd does, or another program: the verbs on its
//! command line, in order. Copied to "httpd" or "php-fpm", it is what the guard takes for those.
//!
//! ```text
//! make COUNT UID    private sets as APR makes mutexes: semget, SETVAL 1, IPC_SET to UID
//! key KEY N MODE    one set of N semaphores under KEY (0 is private), as PHP and others make
//! use ID            a set that somebody else made
//! give I UID        hand the I-th set so far to UID, mode 0600
//! lock I            semop -1 with SEM_UNDO on the I-th set so far, as APR locks
//! unlock I          semop +1 with SEM_UNDO
//! take I            semop -1 without undo: what nobody gives back
//! touch I           lock and unlock
//! zero I            wait until the value is 0
//! as UID            become this user, without a way back
//! fork { VERBS }    a child that does VERBS and ends; this process goes on at once
//! detach            go on as a child in a session of its own; this process ends
//! say NAME          print "NAME PID"
//! stay NAME         print "NAME PID", then live on and reap children
//! neglect NAME      print "NAME PID", then live on and reap nobody
//! exit              end at once
//! ```
//! Every set is printed as "set ID". A verb that fails ends the process with a message and 1.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::process::exit;

use httpd_semguard::sysv::{self, SemId};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, fork, geteuid, getpid, pause, setgid, setsid, setuid};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Err(e) = act(&words, &mut Vec::new()) {
        let _ = writeln!(io::stderr(), "actor: {e}");
        exit(1);
    }
}

/// Does the verbs; `sets` are those made so far, which a child inherits by number.
fn act<'a>(mut words: &'a [&'a str], sets: &mut Vec<SemId>) -> Result<(), String> {
    while let Some((verb, rest)) = words.split_first() {
        let mut rest = rest;
        let mut next = || -> Result<&str, String> {
            let (word, after) = rest.split_first().ok_or(format!("{verb}: a word is missing"))?;
            rest = after;
            Ok(word)
        };
        let failed = |e: Errno| format!("{verb}: {e:?} ({})", e.desc());
        match *verb {
            "make" => {
                let (count, uid) = (number(next()?)?, number(next()?)? as u32);
                for _ in 0..count {
                    let id = make(Uid::from_raw(uid)).map_err(failed)?;
                    add(id, sets);
                }
            }
            "key" => {
                let (key, n, mode) = (number(next()?)?, number(next()?)?, next()?);
                let mode = i32::from_str_radix(mode, 8).map_err(|e| e.to_string())?;
                // SAFETY: semget takes three integers and touches no memory of ours.
                let id = unsafe { libc::semget(key as i32, n as i32, libc::IPC_CREAT | mode) };
                let id = Errno::result(id).map(SemId).map_err(failed)?;
                // PHP's semaphores are used as soon as they are made.
                sysv::set_value(id, 1).map_err(failed)?;
                add(id, sets);
            }
            "use" => sets.push(SemId(number(next()?)? as i32)),
            "give" => {
                let (set, uid) = (of(next()?, sets)?, number(next()?)? as u32);
                sysv::give(set, Uid::from_raw(uid), Gid::from_raw(uid)).map_err(failed)?;
            }
            "lock" => semop(of(next()?, sets)?, -1, libc::SEM_UNDO).map_err(failed)?,
            "unlock" => semop(of(next()?, sets)?, 1, libc::SEM_UNDO).map_err(failed)?,
            "take" => semop(of(next()?, sets)?, -1, 0).map_err(failed)?,
            "zero" => semop(of(next()?, sets)?, 0, 0).map_err(failed)?,
            "touch" => {
                let set = of(next()?, sets)?;
                semop(set, -1, libc::SEM_UNDO).map_err(failed)?;
                semop(set, 1, libc::SEM_UNDO).map_err(failed)?;
            }
            "as" => {
                let uid = number(next()?)? as u32;
                nix::unistd::setgroups(&[]).map_err(failed)?;
                setgid(Gid::from_raw(uid)).map_err(failed)?;
                setuid(Uid::from_raw(uid)).map_err(failed)?;
            }
            "fork" => {
                let (block, after) = block(rest)?;
                rest = after;
                // SAFETY: this program has one thread.
                if let ForkResult::Child = unsafe { fork() }.map_err(failed)? {
                    act(block, sets)?;
                    exit(0);
                }
            }
            "detach" => {
                // SAFETY: this program has one thread.
                if let ForkResult::Parent { .. } = unsafe { fork() }.map_err(failed)? {
                    exit(0);
                }
                setsid().map_err(failed)?;
            }
            "say" => say(next()?, getpid().as_raw()),
            "stay" => {
                say(next()?, getpid().as_raw());
                reap();
            }
            "neglect" => {
                say(next()?, getpid().as_raw());
                loop {
                    pause();
                }
            }
            "exit" => exit(0),
            other => return Err(format!("no such verb: {other}")),
        }
        words = rest;
    }
    Ok(())
}

/// A mutex as APR and httpd make it (apr locks/unix/proc_mutex.c, httpd os/unix/unixd.c).
fn make(uid: Uid) -> nix::Result<SemId> {
    let id = sysv::create(libc::IPC_PRIVATE)?;
    sysv::set_value(id, 1)?;
    if uid != geteuid() {
        sysv::give(id, uid, Gid::from_raw(uid.as_raw()))?;
    }
    Ok(id)
}

fn semop(id: SemId, by: i16, flags: i32) -> nix::Result<()> {
    let mut op = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: flags as i16 };
    // SAFETY: one `struct sembuf`, which lives until the call returns.
    Errno::result(unsafe { libc::semop(id.0, &raw mut op, 1) }).map(drop)
}

/// Reaps every child, own or adopted, for ever.
fn reap() -> ! {
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    // Blocked before the first look, so that none can slip between look and wait.
    let _ = child.thread_block();
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        let _ = child.wait();
    }
}

/// The words between the braces that come first, and those after them.
fn block<'a>(words: &'a [&'a str]) -> Result<(&'a [&'a str], &'a [&'a str]), String> {
    let mut depth = 0;
    for (i, word) in words.iter().enumerate() {
        match *word {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        match (i, depth) {
            (0, 0) => break,
            (_, 0) => return Ok((&words[1..i], &words[i + 1..])),
            _ => {}
        }
    }
    Err("fork: no { … } follows".into())
}

fn number(word: &str) -> Result<i64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|e| format!("{word}: {e}"))
}

fn of(word: &str, sets: &[SemId]) -> Result<SemId, String> {
    let index = number(word)? as usize;
    sets.get(index).copied().ok_or(format!("there is no set {index} yet"))
}

fn add(id: SemId, sets: &mut Vec<SemId>) {
    say("set", id.0);
    sets.push(id);
}

/// One line in one write, because several processes share the pipe.
fn say(word: &str, number: i32) {
    let _ = io::stdout().write_all(format!("{word} {number}\n").as_bytes());
}
