//! Threads for calls into owners: a few that are used again, and one more for each that hangs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::base::sync::{Condvar, Lock, Rank};

use crate::owners::deciding::questions::SIDE_BY_SIDE;

/// How long a thread without work stays.
const STAYS: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// Threads that run what they are given, each one thing at a time. Nobody waits for them, neither
/// for what they run nor for their end, since what they run is foreign. Those without work end
/// with this.
pub(super) struct ReclaimThreads {
    shared: Arc<Shared>,
}

struct Shared {
    state: Lock<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    /// The threads that wait for some.
    idle: usize,
    has_ended: bool,
}

impl Default for ReclaimThreads {
    fn default() -> Self {
        let state = Lock::new(Rank::Wakeup, State::default());
        Self { shared: Arc::new(Shared { state, changed: Condvar::new() }) }
    }
}

impl ReclaimThreads {
    /// Runs `work` on a thread that has none, or on a new one.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it: then `work` is dropped.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let work: Work = Box::new(work);
        let mut state = self.shared.state.lock();
        if state.idle > state.work.len() {
            state.work.push_back(work);
            self.shared.changed.notify_one();
            return Ok(());
        }
        drop(state);
        let shared = Arc::clone(&self.shared);
        let run = move || {
            work();
            while let Some(work) = shared.next() {
                work();
            }
        };
        thread::Builder::new().name("offheap-reclaim".into()).spawn(run).map(drop)
    }
}

impl Drop for ReclaimThreads {
    fn drop(&mut self) {
        self.shared.state.lock().has_ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// What a thread is to run next; `None` if it is to end.
    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        // Questions and calls go side by side. More have no work only after some have hung.
        if state.idle >= 2 * SIDE_BY_SIDE {
            return None;
        }
        state.idle += 1;
        let nothing = |state: &mut State| state.work.is_empty() && !state.has_ended;
        let mut state = state.wait_timeout_while(&self.changed, STAYS, nothing);
        state.idle -= 1;
        state.work.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_is_used_again_and_one_that_hangs_is_replaced() {
        let threads = ReclaimThreads::default();
        let (tell, told) = channel();
        let run = || {
            let tell = tell.clone();
            threads.run(move || tell.send(thread::current().id()).unwrap()).unwrap();
            told.recv().unwrap()
        };
        let first = run();
        while threads.shared.state.lock().idle == 0 {
            thread::yield_now();
        }
        assert_eq!(run(), first);
        while threads.shared.state.lock().idle == 0 {
            thread::yield_now();
        }
        let (let_go, hangs) = channel::<()>();
        threads.run(move || assert!(hangs.recv().is_err())).unwrap();
        assert_ne!(run(), first, "that one hangs");
        drop(let_go);
        let shared = Arc::clone(&threads.shared);
        drop(threads);
        // Those without work end, and with them what they share.
        while Arc::strong_count(&shared) > 1 {
            thread::yield_now();
        }
    }
}
