//! A program that uses semaphore sets like httpd or another program: it executes the verbs on its command
//! line, in order. Copied to "httpd" or "php-fpm", it looks like these to the guard.
//!
//! ```text
//! make COUNT UID    private sets as APR makes mutexes: semget, SETVAL 1, IPC_SET to UID
//! get               only the first half of that: a private set that nobody has set up
//! set I             the second half: SETVAL 1 on the I-th set so far
//! key KEY N MODE    one set of N semaphores under KEY (0 is private), as made by PHP and others
//! use ID            a set that another process made
//! give I UID        give the I-th set so far to UID, mode 0600
//! lock I            semop -1 with SEM_UNDO on the I-th set so far, as APR locks
//! unlock I          semop +1 with SEM_UNDO
//! take I            semop -1 without undo, which is never reversed
//! touch I           lock and unlock
//! zero I            wait until the value is 0
//! number N          make sets and remove them until one gets a semid of N or above
//! as UID            become this user permanently
//! uids R E S        have these real, effective and saved users; only this thread
//! fs UID            have this file-system user
//! be UID { VERBS }  do VERBS as this effective user, then continue as root
//! thread UID        start another thread with this user, which keeps running
//! shed NAME         print "NAME PID" and end the first thread, while another one keeps running
//! part NAME         let the first thread move to an IPC namespace of its own, while another one stays;
//!                   then like stay
//! fork { VERBS }    a child that does VERBS and ends; this process continues immediately
//! detach            continue as a child in a session of its own; this process ends
//! say NAME          print "NAME PID"
//! stay NAME         print "NAME PID", then keep running and reap children
//! neglect NAME      print "NAME PID", then keep running without reaping children
//! sleep MS          do nothing for this many milliseconds
//! exit              end immediately
//! ```
//! Every set is printed as "set ID". A verb that fails ends the process with a message and exit code 1.
//! Where a verb takes I, "#ID" refers to a set by its ID.
//!
//! And to be controlled step by step (tests/model):
//!
//! ```text
//! serve FIFO        print "NAME PID" (NAME is the name of the file), then execute each line read from
//!                   there as verbs and print "done:NAME PID", or "fail:NAME PID"; children are reaped
//! hoard             from now on, do not reap children
//! exec PATH VERBS   execute this program, with these arguments
//! churn MS          touch the sets so far in turn, until the next line arrives
//! hop MS            continue as a child, which continues as a child of its own …, until it arrives
//! drop I            IPC_RMID
//! forget I          overwrite this process's copy of the semid
//! euid UID          become this user temporarily: only the effective user
//! unable N          give up the capability with this number, for what is executed from now on
//! apart { VERBS }   a child does VERBS, and this process waits for its end
//! nextpid N         the next process gets this PID, if it is free
//! nextset N         the next set gets this semid, if its index is free
//! signal PID N      send a signal
//! kill PID          kill it, and wait until it is dead or a zombie
//! await PID         wait until it is dead or a zombie
//! run NAME { … }    a child that does verbs, with its output in the file NAME.out next to the fifo;
//!                   prints "mid:NAME PID" (it waits), "pid:NAME PID" and "ran:NAME CODE"
//! table             print the table on one line
//! reaper WHAT UID   remove sets of UID as a careless guard would: every, last-pid
//! ```
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use httpd_semguard::act;
use httpd_semguard::facts::set::{SemId, SemSet};
use httpd_semguard::look::sysv;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, fork, geteuid, getpid, pause, seteuid, setgid, setsid, setuid,
};

fn main() {
    // Its own name may contain any byte.
    let words = std::env::args_os().skip(1).map(|word| word.into_string().expect("UTF-8"));
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Err(e) = act(&words, &mut Vec::new()) {
        let _ = writeln!(io::stderr(), "actor: {e}");
        exit(1);
    }
}

/// Executes the verbs; `sets` are those made so far, whose semids a child inherits.
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
            "get" => add(act::sysv::create(libc::IPC_PRIVATE).map_err(failed)?, sets),
            "set" => act::sysv::set_value(of(next()?, sets)?, 1).map_err(failed)?,
            "key" => {
                let (key, n, mode) = (number(next()?)?, number(next()?)?, next()?);
                let mode = i32::from_str_radix(mode, 8).map_err(|e| e.to_string())?;
                // SAFETY: semget takes three integers and touches no memory of ours.
                let id = unsafe { libc::semget(key as i32, n as i32, libc::IPC_CREAT | mode) };
                let id = Errno::result(id).map(SemId).map_err(failed)?;
                // PHP uses its semaphores as soon as they are made.
                act::sysv::set_value(id, 1).map_err(failed)?;
                add(id, sets);
            }
            "use" => sets.push(SemId(number(next()?)? as i32)),
            "give" => {
                let (set, uid) = (of(next()?, sets)?, number(next()?)? as u32);
                act::sysv::chown(set, Uid::from_raw(uid), Gid::from_raw(uid)).map_err(failed)?;
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
            "number" => {
                let least = number(next()?)? as i32;
                loop {
                    let id = act::sysv::create(libc::IPC_PRIVATE).map_err(failed)?;
                    act::sysv::remove(id).map_err(failed)?;
                    if id.0 >= least {
                        break;
                    }
                }
            }
            "as" => {
                let uid = number(next()?)? as u32;
                nix::unistd::setgroups(&[]).map_err(failed)?;
                setgid(Gid::from_raw(uid)).map_err(failed)?;
                setuid(Uid::from_raw(uid)).map_err(failed)?;
            }
            "uids" => {
                let (real, effective, saved) =
                    (number(next()?)?, number(next()?)?, number(next()?)?);
                // Bypasses the C library, which would apply it to all threads.
                // SAFETY: setresuid takes three integers and touches no memory of ours.
                let set = unsafe { libc::syscall(libc::SYS_setresuid, real, effective, saved) };
                Errno::result(set).map_err(failed)?;
            }
            "fs" => {
                nix::unistd::setfsuid(Uid::from_raw(number(next()?)? as u32));
            }
            "be" => {
                let uid = number(next()?)? as u32;
                let (block, after) = block(rest)?;
                rest = after;
                nix::unistd::seteuid(Uid::from_raw(uid)).map_err(failed)?;
                act(block, sets)?;
                nix::unistd::seteuid(Uid::from_raw(0)).map_err(failed)?;
            }
            "thread" => {
                let uid = number(next()?)?;
                // SAFETY: as for "uids": setresuid takes three integers and touches no memory of ours.
                further_thread(move || unsafe {
                    libc::syscall(libc::SYS_setresuid, uid, uid, uid)
                });
            }
            "shed" => {
                further_thread(|| 0);
                say(next()?, getpid().as_raw());
                // SAFETY: only this thread ends; the other one uses nothing of it.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            }
            "part" => {
                further_thread(|| 0);
                // SAFETY: unshare takes an integer and touches no memory of ours.
                Errno::result(unsafe { libc::unshare(libc::CLONE_NEWIPC) }).map_err(failed)?;
                say(next()?, getpid().as_raw());
                reap();
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
            "sleep" => sleep(Duration::from_millis(number(next()?)? as u64)),
            "exit" => exit(0),
            "serve" => serve(next()?, sets),
            "hoard" => on_child(SigHandler::SigDfl),
            "exec" => {
                let path = next()?;
                let e = Command::new(path).args(rest).exec();
                return Err(format!("exec {path}: {e}"));
            }
            "churn" => {
                let pause = number(next()?)? as u16;
                for id in sets.iter().cycle() {
                    // Sets that are gone, locked, or not accessible to this user do not matter here.
                    if semop(*id, -1, libc::SEM_UNDO | libc::IPC_NOWAIT).is_ok() {
                        let _ = semop(*id, 1, libc::SEM_UNDO);
                    }
                    if line_waits(pause) {
                        break;
                    }
                }
            }
            "hop" => {
                let pause = number(next()?)? as u16;
                while !line_waits(pause) {
                    // SAFETY: this program has one thread.
                    if let ForkResult::Parent { .. } = unsafe { fork() }.map_err(failed)? {
                        exit(0);
                    }
                }
            }
            "drop" => act::sysv::remove(of(next()?, sets)?).map_err(failed)?,
            "forget" => {
                let set = of(next()?, sets)?;
                sets.iter_mut().filter(|id| **id == set).for_each(|id| *id = SemId(-1));
                sets.retain(|id| id.0 >= 0);
            }
            "euid" => seteuid(Uid::from_raw(number(next()?)? as u32)).map_err(failed)?,
            "unable" => {
                let capability = number(next()?)?;
                // SAFETY: prctl takes integers here and touches no memory of ours.
                Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })
                    .map_err(failed)?;
            }
            "apart" => {
                let (block, after) = block(rest)?;
                rest = after;
                // SAFETY: this program has one thread.
                match unsafe { fork() }.map_err(failed)? {
                    ForkResult::Child => {
                        act(block, sets)?;
                        exit(0);
                    }
                    ForkResult::Parent { child } => await_end(child.as_raw()),
                }
            }
            "nextpid" => {
                let last = number(next()?)? - 1;
                fs::write("/proc/sys/kernel/ns_last_pid", last.to_string())
                    .map_err(|e| e.to_string())?;
            }
            "nextset" => {
                let number = number(next()?)?;
                fs::write("/proc/sys/kernel/sem_next_id", number.to_string())
                    .map_err(|e| e.to_string())?;
            }
            "signal" => {
                let (pid, signal) = (number(next()?)? as i32, number(next()?)? as i32);
                let signal = Signal::try_from(signal).map_err(failed)?;
                let _ = signal::kill(Pid::from_raw(pid), signal);
            }
            "kill" => {
                let pid = number(next()?)? as i32;
                let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                await_end(pid);
            }
            "await" => await_end(number(next()?)? as i32),
            "run" => {
                let name = next()?;
                let (block, after) = block(rest)?;
                rest = after;
                run(name, block, sets).map_err(failed)?;
            }
            "table" => print_table().map_err(failed)?,
            "reaper" => {
                let (what, uid) = (next()?, number(next()?)? as u32);
                reaper(what, Uid::from_raw(uid)).map_err(failed)?;
            }
            other => return Err(format!("no such verb: {other}")),
        }
        words = rest;
    }
    Ok(())
}

/// A mutex as made by APR and httpd (apr locks/unix/proc_mutex.c, httpd os/unix/unixd.c).
fn make(uid: Uid) -> nix::Result<SemId> {
    let id = act::sysv::create(libc::IPC_PRIVATE)?;
    act::sysv::set_value(id, 1)?;
    if uid != geteuid() {
        act::sysv::chown(id, uid, Gid::from_raw(uid.as_raw()))?;
    }
    Ok(id)
}

fn semop(id: SemId, by: i16, flags: i32) -> nix::Result<()> {
    let mut op = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: flags as i16 };
    // SAFETY: one `struct sembuf`, which lives until the call returns.
    Errno::result(unsafe { libc::semop(id.0, &raw mut op, 1) }).map(drop)
}

/// Reaps every child, its own or adopted, for ever.
fn reap() -> ! {
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    // Blocked before the first check, so that none can be missed between check and wait.
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

/// A thread that does this and keeps running; returns once it has done it.
fn further_thread(first: impl FnOnce() -> libc::c_long + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let code = first();
        let _ = done.send(code);
        loop {
            pause();
        }
    });
    if wait.recv() != Ok(0) {
        let _ = writeln!(io::stderr(), "actor: a thread could not become what it should");
        exit(1);
    }
}

/// The fifo of this process, once it executes `serve`.
static FIFO: OnceLock<File> = OnceLock::new();
/// Its directory.
const DIRECTORY: &str = "/run/t/c";

/// Executes each line that arrives through the fifo, for ever.
fn serve(path: &str, sets: &mut Vec<SemId>) -> ! {
    on_child(SigHandler::SigIgn);
    let name = Path::new(path).file_name().and_then(|n| n.to_str()).unwrap_or("?").to_owned();
    // Open for writing as well, so that it never reaches its end.
    let fifo = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(fifo) => fifo,
        Err(e) => {
            let _ = writeln!(io::stderr(), "actor: {path}: {e}");
            exit(1);
        }
    };
    if let Err(fifo) = FIFO.set(fifo) {
        // If forked from a process with a fifo, this one now has its own.
        let own = FIFO.get().expect("set").as_raw_fd();
        // SAFETY: two descriptors of this process; nothing else reads from them meanwhile.
        unsafe { libc::dup3(fifo.into_raw_fd(), own, libc::O_CLOEXEC) };
    }
    say(&name, getpid().as_raw());
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        let mut fifo = FIFO.get().expect("set");
        while fifo.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        match act(&words, sets) {
            Ok(()) => say(&format!("done:{name}"), getpid().as_raw()),
            Err(e) => {
                let _ = writeln!(io::stderr(), "{name}: {e}");
                say(&format!("fail:{name}"), getpid().as_raw());
            }
        }
    }
}

/// Whether a line arrives through the fifo within this many milliseconds.
fn line_waits(milliseconds: u16) -> bool {
    let fifo = FIFO.get().expect("it serves");
    let mut polled = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::from(milliseconds)).is_ok_and(|n| n > 0)
}

fn on_child(what: SigHandler) {
    // SAFETY: no handler of ours is set, only one of the kernel's own two actions.
    let _ = unsafe { signal::signal(Signal::SIGCHLD, what) };
}

/// Waits until a process is dead or a zombie; its undos are then complete (kernel/exit.c, do_exit).
fn await_end(pid: i32) {
    let lives = || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
            !s.rsplit(')').next().is_some_and(|f| f.trim_start().starts_with(['Z', 'X']))
        })
    };
    while lives() {
        sleep(Duration::from_micros(200));
    }
}

fn run(name: &str, block: &[&str], sets: &mut Vec<SemId>) -> nix::Result<()> {
    // SAFETY: this program has one thread.
    let ForkResult::Child = (unsafe { fork() })? else { return Ok(()) };
    on_child(SigHandler::SigDfl);
    say(&format!("mid:{name}"), getpid().as_raw());
    // SAFETY: this program has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            say(&format!("pid:{name}"), getpid().as_raw());
            let out = File::create(format!("{DIRECTORY}/{name}.out")).expect("a file");
            // SAFETY: descriptors of this process that nothing else uses meanwhile.
            unsafe {
                libc::dup2(out.as_raw_fd(), 1);
                libc::dup2(out.as_raw_fd(), 2);
            }
            if let Err(e) = act(block, sets) {
                let _ = writeln!(io::stderr(), "actor: {e}");
                exit(1);
            }
            exit(0);
        }
        ForkResult::Parent { child } => {
            let code = match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, code)) => code,
                _ => -1,
            };
            say(&format!("ran:{name}"), code);
            exit(0);
        }
    }
}

/// All sets in this namespace.
fn table() -> nix::Result<Vec<SemSet>> {
    let mut sets = Vec::new();
    sysv::each(|set| sets.push(set))?;
    sets.sort_unstable_by_key(|s| s.id);
    Ok(sets)
}

/// "table ID:KEY:NSEMS:UID:CUID:CTIME:OTIME:PID:VALUE …"
fn print_table() -> nix::Result<()> {
    let mut line = "table".to_owned();
    for s in table()? {
        let (Ok(pid), Ok(value)) = (sysv::last_pid(s.id), sysv::value(s.id)) else { continue };
        let otime = s.otime.map_or(0, |t| t.0);
        line += &format!(
            " {}:{}:{}:{}:{}:{}:{otime}:{pid}:{value}",
            s.id, s.key, s.nsems, s.uid, s.cuid, s.ctime.0
        );
    }
    line.push('\n');
    let _ = io::stdout().write_all(line.as_bytes());
    Ok(())
}

fn reaper(what: &str, uid: Uid) -> nix::Result<()> {
    for set in table()?.iter().filter(|s| s.uid == uid) {
        let pid = Pid::from_raw(sysv::last_pid(set.id)?);
        if what == "every" || signal::kill(pid, None) == Err(Errno::ESRCH) {
            let _ = act::sysv::remove(set.id);
        }
    }
    Ok(())
}

/// The words between the first pair of braces, and those after them.
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
    if let Some(id) = word.strip_prefix('#') {
        return number(id).map(|id| SemId(id as i32));
    }
    let index = number(word)? as usize;
    sets.get(index).copied().ok_or(format!("there is no set {index} yet"))
}

fn add(id: SemId, sets: &mut Vec<SemId>) {
    say("set", id.0);
    sets.push(id);
}

/// Writes one line with one write, because several processes share the pipe.
fn say(word: &str, number: i32) {
    let _ = io::stdout().write_all(format!("{word} {number}\n").as_bytes());
}
