//! When a foreign policy is to decide, and how long that is waited for.
//!
//! # Protocol
//!
//! 1. A policy decides in rounds, on a thread of its own. A round that was asked for has not begun,
//!    is under way, or has ended. One that has not begun serves all that ask meanwhile.
//! 2. The arbiter asks for a round when it looks, and waits for that one to end, for a bounded
//!    time. Then it goes on: with what was decided, or with what was decided before. So a policy
//!    that hangs is waited for once, and again after it has returned.
//!    For requests that came meanwhile it asks for one more, and lets them be until then.
//! 3. What ends a round wakes the arbiter. It asks for no round then, so that none follows from the
//!    one before: what it has not seen yet, and knew of all that wait, is good enough.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::base::sync::{Guard, Lock, Rank};
use crate::base::threads::{OnDemand, Wakeup};

/// Starts the thread that the policy decides on, and returns what wakes it.
type Start = Box<dyn Fn() -> io::Result<Arc<Wakeup>> + Send + Sync>;

/// When a foreign policy is to decide. Requests are numbered as they come: by `N`.
pub(crate) struct Decisions<N> {
    rounds: Lock<Rounds<N>>,
    thread: OnDemand,
    start: OnceLock<Start>,
}

/// What there is to go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decided<N> {
    /// Nothing yet: it is worth waiting until then.
    NotBefore(Instant),
    /// What was decided for requests up to this one. It is too early for those that came later.
    UpTo(Option<N>),
}

/// A round that has begun.
#[must_use = "the arbiter waits for its end"]
pub(crate) struct Round(u64);

/// Rounds are numbered as they are asked for.
struct Rounds<N> {
    asked: u64,
    begun: u64,
    ended: u64,
    /// The newest request that the last round to end knew of.
    known: Option<N>,
    /// Whether the arbiter has not seen the last round to end.
    is_news: bool,
    waits: Option<Waits>,
}

/// The arbiter waits for the end of a round.
#[derive(Clone, Copy)]
struct Waits {
    since: Instant,
    round: u64,
}

impl<N: Copy + Ord> Default for Decisions<N> {
    fn default() -> Self {
        let rounds =
            Rounds { asked: 0, begun: 0, ended: 0, known: None, is_news: false, waits: None };
        Self {
            rounds: Lock::new(Rank::Decisions, rounds),
            thread: OnDemand::default(),
            start: OnceLock::new(),
        }
    }
}

impl<N: Copy + Ord> Decisions<N> {
    /// How the thread is started, once it is needed. Said once, when the manager is built.
    pub(crate) fn set_thread(&self, start: Start) {
        let was_set = self.start.set(start).is_err();
        debug_assert!(!was_set, "a manager is built once");
    }

    /// What there is to go by for requests up to `newest`, which wait. Never blocks.
    pub(crate) fn look(&self, newest: Option<N>, now: Instant, patience: Duration) -> Decided<N> {
        let (decided, is_asked) = {
            let mut rounds = self.rounds();
            let decided = rounds.look(newest, now, patience);
            (decided, rounds.asked > rounds.begun)
        };
        match !is_asked || self.wake() {
            true => decided,
            // Without a thread for it nothing is to come.
            false => Decided::UpTo(newest),
        }
    }

    /// Has the policy decide once more: there is more to give.
    pub(crate) fn ask(&self) {
        self.rounds().ask();
        self.wake();
    }

    pub(crate) fn begin(&self) -> Round {
        let mut rounds = self.rounds();
        rounds.begun = rounds.asked;
        Round(rounds.begun)
    }

    /// A round has ended that knew of requests up to `newest`.
    pub(crate) fn end(&self, round: Round, newest: Option<N>) {
        let mut rounds = self.rounds();
        rounds.ended = round.0;
        rounds.known = newest;
        rounds.is_news = true;
    }

    /// How many rounds were asked for.
    #[cfg(test)]
    pub(crate) fn rounds_asked(&self) -> u64 {
        self.rounds().asked
    }

    /// Wakes the thread; `false` if the system has none, in which case the next call tries again.
    fn wake(&self) -> bool {
        let Some(start) = self.start.get() else { return false };
        self.thread.start(start).map(|wakeup| wakeup.wake()).is_ok()
    }

    fn rounds(&self) -> Guard<'_, Rounds<N>> {
        self.rounds.lock()
    }
}

impl<N: Copy + Ord> Rounds<N> {
    /// A round that begins from here on.
    fn ask(&mut self) -> u64 {
        self.asked = self.begun + 1;
        self.asked
    }

    fn look(&mut self, newest: Option<N>, now: Instant, patience: Duration) -> Decided<N> {
        // One that takes too long is not waited for: what was decided before holds on.
        let old = || Decided::UpTo(newest);
        let is_enough = self.is_news && self.ended == self.asked && self.known >= newest;
        if let Some(waits) = self.waits {
            let until = waits.since.checked_add(patience).filter(|until| now < *until);
            if self.ended < waits.round {
                return until.map_or_else(old, Decided::NotBefore);
            }
            self.waits = None;
            if until.is_some() {
                self.is_news = false;
                if self.known < newest {
                    // For those that came meanwhile, who are not waited for.
                    self.ask();
                }
                return Decided::UpTo(self.known);
            }
            // What was waited for too long is of then, and not of now.
        } else if is_enough {
            self.is_news = false;
            return Decided::UpTo(newest);
        }
        self.waits = Some(Waits { since: now, round: self.ask() });
        let until = now.checked_add(patience).filter(|until| now < *until);
        until.map_or_else(old, Decided::NotBefore)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::threads::{Next, Threads};

    const PATIENCE: Duration = Duration::from_secs(1);
    /// Requests, in the order in which they came.
    const FIRST: Option<u32> = Some(1);
    const SECOND: Option<u32> = Some(2);

    fn is_to_come(decided: Decided<u32>) -> bool {
        matches!(decided, Decided::NotBefore(_))
    }

    /// Decisions whose thread does nothing, and what ends it.
    fn decisions() -> (Decisions<u32>, Arc<Threads>) {
        let (decisions, threads) = (Decisions::default(), Arc::new(Threads::default()));
        let on = Arc::clone(&threads);
        let start = move || on.start("idle", Next::WhenWoken, || Some(Next::WhenWoken));
        decisions.set_thread(Box::new(start));
        (decisions, threads)
    }

    #[test]
    fn it_is_waited_for_until_it_has_decided_and_that_is_seen_once() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        let until = Decided::NotBefore(now + PATIENCE);
        assert_eq!(decisions.look(FIRST, now, PATIENCE), until);
        let round = decisions.begin();
        assert_eq!(decisions.look(FIRST, now, PATIENCE), until, "it is under way");
        decisions.end(round, FIRST);
        assert_eq!(decisions.look(FIRST, now, PATIENCE), Decided::UpTo(FIRST));
        assert_eq!(decisions.look(FIRST, now, PATIENCE), until, "that was no news any more");
    }

    #[test]
    fn a_round_that_began_before_is_not_enough() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        decisions.ask();
        let before = decisions.begin();
        assert!(is_to_come(decisions.look(FIRST, now, PATIENCE)));
        decisions.end(before, None);
        assert!(is_to_come(decisions.look(FIRST, now, PATIENCE)));
        decisions.end(decisions.begin(), FIRST);
        assert_eq!(decisions.look(FIRST, now, PATIENCE), Decided::UpTo(FIRST));
    }

    #[test]
    fn those_that_come_meanwhile_do_not_prolong_the_wait() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        assert!(is_to_come(decisions.look(FIRST, now, PATIENCE)));
        let round = decisions.begin();
        decisions.ask();
        assert!(is_to_come(decisions.look(SECOND, now, PATIENCE)));
        decisions.end(round, FIRST);
        assert_eq!(decisions.look(SECOND, now, PATIENCE), Decided::UpTo(FIRST));
    }

    #[test]
    fn there_is_a_round_for_those_that_came_meanwhile() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        assert!(is_to_come(decisions.look(FIRST, now, PATIENCE)));
        decisions.end(decisions.begin(), FIRST);
        assert_eq!(decisions.look(SECOND, now, PATIENCE), Decided::UpTo(FIRST));
        assert_eq!(decisions.rounds().asked, 2);
        decisions.end(decisions.begin(), SECOND);
        assert_eq!(decisions.look(SECOND, now, PATIENCE), Decided::UpTo(SECOND));
        assert_eq!(decisions.rounds().asked, 2, "and none after that");
    }

    #[test]
    fn news_that_nobody_waited_for_are_enough_if_they_are_of_all_that_wait() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        let decide = |newest| {
            decisions.ask();
            decisions.end(decisions.begin(), newest);
        };
        decide(FIRST);
        assert_eq!(decisions.look(FIRST, now, PATIENCE), Decided::UpTo(FIRST));
        decide(FIRST);
        assert!(is_to_come(decisions.look(SECOND, now, PATIENCE)), "they are not");
        decisions.end(decisions.begin(), SECOND);
        assert_eq!(decisions.look(SECOND, now, PATIENCE), Decided::UpTo(SECOND));
        decide(SECOND);
        decisions.ask();
        assert!(is_to_come(decisions.look(SECOND, now, PATIENCE)), "more was given back");
    }

    #[test]
    fn one_that_hangs_is_waited_for_once() {
        let (decisions, _threads) = decisions();
        let now = Instant::now();
        assert!(is_to_come(decisions.look(FIRST, now, PATIENCE)));
        let round = decisions.begin();
        let just_before = now + PATIENCE - Duration::from_nanos(1);
        assert!(is_to_come(decisions.look(FIRST, just_before, PATIENCE)));
        for later in [now + PATIENCE, now + 9 * PATIENCE] {
            assert_eq!(decisions.look(SECOND, later, PATIENCE), Decided::UpTo(SECOND));
        }
        // It returns after all, with what was true long ago.
        decisions.end(round, FIRST);
        let later = now + 10 * PATIENCE;
        assert_eq!(decisions.look(SECOND, later, PATIENCE), Decided::NotBefore(later + PATIENCE));
        decisions.end(decisions.begin(), SECOND);
        assert_eq!(decisions.look(SECOND, later, PATIENCE), Decided::UpTo(SECOND));
    }

    #[test]
    fn without_patience_or_a_thread_nothing_is_waited_for() {
        let (patient, _threads) = decisions();
        assert_eq!(patient.look(FIRST, Instant::now(), Duration::ZERO), Decided::UpTo(FIRST));
        let lost = Decisions::default();
        lost.set_thread(Box::new(|| Err(io::ErrorKind::WouldBlock.into())));
        assert_eq!(lost.look(FIRST, Instant::now(), PATIENCE), Decided::UpTo(FIRST));
    }
}
