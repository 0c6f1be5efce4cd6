//! Work that no signal may interrupt half way. Touches the signal mask.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Does `work` with all blockable signals blocked (sigprocmask(2)); they are delivered afterwards.
pub fn held<T>(work: impl FnOnce() -> T) -> T {
    let mut before = SigSet::empty();
    let held = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before));
    let outcome = work();
    if held.is_ok() {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
    outcome
}

/// Keeps a signal from ending this program, including threads started from now on. Programs that it
/// runs are not affected (std::process::Command).
pub fn outlive(signal: Signal) {
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_block();
}

/// Discards a blocked signal that is pending: a write beyond the file size limit raises one in addition
/// to its error (setrlimit(2), `RLIMIT_FSIZE`).
pub fn forget(signal: Signal) {
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = SignalFd::with_flags(&only, SfdFlags::SFD_NONBLOCK).and_then(|fd| fd.read_signal());
}
