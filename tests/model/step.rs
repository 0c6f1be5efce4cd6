//! The steps that make up a history.

use crate::random::Random;

/// One step of a history. What exactly it does depends on the number and the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(u64),
    Detach(u64),
    Make(u64),
    /// A set with any telling semid.
    Far(u64),
    HalfMake(u64),
    Give(u64),
    /// A process holds a semid in one place and nowhere else.
    Keep(u64),
    KeeperEnds(u64),
    Forget(u64),
    /// A process executes its program again, and no longer knows anything.
    Renew(u64),
    ForkWorker(u64),
    Touch(u64),
    Lock(u64),
    Unlock(u64),
    Churn(u64),
    Hop(u64),
    Still(u64),
    WorkerEnds(u64),
    WorkerKilled(u64),
    Graceful(u64),
    LeaderKilled(u64),
    InstanceKilled(u64),
    CleanStop(u64),
    AllHttpdKilled,
    UserKilled(u64),
    Reborn(u64),
    Rewind(u64),
    Cgi(u64),
    OwnSet(u64),
    OtherStarts(u64),
    OtherMakes(u64),
    OtherEnds(u64),
    Hoard(u64),
    Upgrade(u64),
    Wait(u64),
    Guard(u64),
    GuardBeside(u64),
    StopGuard(u64),
    GoOn,
}

impl Step {
    pub(crate) fn random(r: &mut Random) -> Step {
        type Make = fn(u64) -> Step;
        const WEIGHTS: &[(usize, Make)] = &[
            (10, Step::Start),
            (14, Step::Detach),
            (8, Step::Make),
            (4, Step::Far),
            (2, Step::HalfMake),
            (3, Step::Give),
            (18, Step::Keep),
            (9, Step::KeeperEnds),
            (3, Step::Forget),
            (3, Step::Renew),
            (18, Step::ForkWorker),
            (14, Step::Touch),
            (5, Step::Lock),
            (5, Step::Unlock),
            (4, Step::Churn),
            (3, Step::Hop),
            (5, Step::Still),
            (5, Step::WorkerEnds),
            (5, Step::WorkerKilled),
            (5, Step::Graceful),
            (6, Step::LeaderKilled),
            (8, Step::InstanceKilled),
            (3, Step::CleanStop),
            (5, |_| Step::AllHttpdKilled),
            (2, Step::UserKilled),
            (8, Step::Reborn),
            (4, Step::Rewind),
            (2, Step::Cgi),
            (3, Step::OwnSet),
            (3, Step::OtherStarts),
            (5, Step::OtherMakes),
            (9, Step::OtherEnds),
            (1, Step::Hoard),
            (1, Step::Upgrade),
            (3, Step::Wait),
            (45, Step::Guard),
            (32, Step::GuardBeside),
            (12, Step::StopGuard),
            (6, |_| Step::GoOn),
        ];
        let mut at = r.below(WEIGHTS.iter().map(|w| w.0).sum());
        for (weight, make) in WEIGHTS {
            if at < *weight {
                return make(r.next());
            }
            at -= weight;
        }
        unreachable!("less than the sum")
    }

    pub(crate) fn runs_a_guard(self) -> bool {
        matches!(self, Step::Guard(_) | Step::GuardBeside(_))
    }
}
