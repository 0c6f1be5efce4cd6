//! Work that no signal may end half way. Touches the signal mask.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Does `work` with all signals held that can be (sigprocmask(2)), and lets them come afterwards.
pub fn held<T>(work: impl FnOnce() -> T) -> T {
    let mut before = SigSet::empty();
    let held = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before));
    let outcome = work();
    if held.is_ok() {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
    outcome
}

/// Lets a signal end this program no more, nor any thread that it begins from now on. Programs that it
/// runs are free of that again (std::process::Command).
pub fn outlive(signal: Signal) {
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_block();
}

/// Takes back a signal that is held and has come: a write beyond a limit of file sizes sends one,
/// though it has failed already (setrlimit(2), `RLIMIT_FSIZE`).
pub fn forget(signal: Signal) {
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = SignalFd::with_flags(&only, SfdFlags::SFD_NONBLOCK).and_then(|fd| fd.read_signal());
}
