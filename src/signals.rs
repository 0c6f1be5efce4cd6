//! Work that no signal may end half way. Touches the signal mask.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

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
