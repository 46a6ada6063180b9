//! What the pool's own thread is asked to do.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;

use super::error::PagingError;

/// Loads that nobody has come to yet.
const PREFETCHES_MAX: usize = 4096;

/// One thing to do.
pub(crate) enum Job {
    /// Pages that may be read soon.
    Prefetch(Vec<u32>),
    /// What lies in so many units from this one on will be read soon, by a scan.
    ReadAhead(u32, u32),
    /// Pages that a future waits for.
    Load(Arc<AsyncLoad>),
    /// Free frames are to be kept ahead.
    KeepAhead,
}

/// Whether the caller is to start the thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// It is, or says by [`Jobs::no_thread`] that there is none.
    Due,
    /// There is one, or another caller starts it.
    IsThere,
}

/// A load that a future waits for.
pub(crate) struct AsyncLoad {
    pub(crate) numbers: Vec<u32>,
    state: Mutex<LoadState>,
}

#[derive(Default)]
struct LoadState {
    waker: Option<Waker>,
    error: Option<PagingError>,
    is_over: bool,
}

/// The jobs of one pool.
#[derive(Default)]
pub(crate) struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    keep_ahead: bool,
    has_thread: bool,
    has_ended: bool,
}

impl AsyncLoad {
    pub(crate) fn new(numbers: Vec<u32>) -> Arc<Self> {
        Arc::new(Self { numbers, state: Mutex::default() })
    }

    /// What became of it: `None` while it is under way, with `waker` to be woken at its end.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Result<(), PagingError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return Some(state.error.take().map_or(Ok(()), Err));
        }
        state.waker = Some(waker.clone());
        None
    }

    pub(crate) fn end(&self, result: Result<(), PagingError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        state.error = result.err();
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Jobs {
    /// Asks for it. One that only may be of use is dropped if there is too much to do.
    ///
    /// Whether the caller is to start the thread: that is told to one caller, from then on. It is
    /// decided together with the queue, so that no load is left there without a thread that comes
    /// to it: a thread that ends, or cannot be started, takes all with it that are there.
    #[must_use = "nobody does it without a thread"]
    pub(crate) fn put(&self, job: Job) -> Start {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match job {
            job if state.has_ended => {
                drop(state);
                end_all([job].into());
                return Start::IsThere;
            }
            Job::KeepAhead => state.keep_ahead = true,
            Job::Prefetch(_) if state.jobs.len() >= PREFETCHES_MAX => return Start::IsThere,
            job => state.jobs.push_back(job),
        }
        let has_thread = std::mem::replace(&mut state.has_thread, true);
        drop(state);
        self.changed.notify_one();
        if has_thread { Start::IsThere } else { Start::Due }
    }

    /// Free frames are to be kept ahead, by the thread that there is. Without one it is done once
    /// there is one.
    pub(crate) fn keep_ahead(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).keep_ahead = true;
        self.changed.notify_one();
    }

    /// What lies in so many units from `first` on is to be loaded, by the thread that there is.
    /// Whether there is one that has time for it.
    pub(crate) fn read_ahead(&self, first: u32, units: u32) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.has_thread || state.has_ended || state.jobs.len() >= PREFETCHES_MAX {
            return false;
        }
        state.jobs.push_back(Job::ReadAhead(first, units));
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Whether there is anything to do but to keep frames free.
    pub(crate) fn are_waiting(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        !state.jobs.is_empty()
    }

    /// The next one, for which it waits; `None` at the end.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.has_ended {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if std::mem::take(&mut state.keep_ahead) {
                return Some(Job::KeepAhead);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// There is no thread any more, or it could not be started. Loads that it has not come to end
    /// as if they had been cancelled: who waits for one of them asks for a thread again.
    pub(crate) fn no_thread(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.has_thread = false;
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        end_all(left);
    }

    /// Nothing more is done. Loads that nobody has come to end as if they had been cancelled.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.has_ended = true;
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        self.changed.notify_all();
        end_all(left);
    }
}

fn end_all(jobs: VecDeque<Job>) {
    for job in jobs {
        if let Job::Load(load) = job {
            load.end(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts a load, which is woken for nobody.
    fn put(jobs: &Jobs) -> (Start, Arc<AsyncLoad>) {
        let load = AsyncLoad::new(vec![7]);
        (jobs.put(Job::Load(Arc::clone(&load))), load)
    }

    fn has_ended(load: &AsyncLoad) -> bool {
        load.poll(Waker::noop()).is_some()
    }

    #[test]
    fn one_caller_is_to_start_the_thread() {
        let jobs = Jobs::default();
        assert_eq!(put(&jobs).0, Start::Due);
        assert_eq!(put(&jobs).0, Start::IsThere);
        assert_eq!(jobs.put(Job::KeepAhead), Start::IsThere);
        assert_eq!(jobs.put(Job::Prefetch(vec![1])), Start::IsThere);
    }

    #[test]
    fn no_load_waits_for_a_thread_that_was_not_to_be_had() {
        let jobs = Jobs::default();
        let (first, one) = put(&jobs);
        // Another caller counts on the thread that the first one starts.
        let (second, other) = put(&jobs);
        assert_eq!((first, second), (Start::Due, Start::IsThere));
        assert!(!has_ended(&one) && !has_ended(&other));
        jobs.no_thread();
        assert!(has_ended(&one) && has_ended(&other));
        let (start, late) = put(&jobs);
        assert!(start == Start::Due || has_ended(&late), "it waits for a thread that is not there");
    }

    #[test]
    fn what_is_put_is_done_in_turn() {
        let jobs = Jobs::default();
        assert_eq!(jobs.put(Job::KeepAhead), Start::Due);
        let (_, load) = put(&jobs);
        let Some(Job::Load(next)) = jobs.next() else { unreachable!("a load comes first") };
        assert!(Arc::ptr_eq(&next, &load));
        assert!(matches!(jobs.next(), Some(Job::KeepAhead)));
        jobs.end();
        assert!(jobs.next().is_none());
        let (_, late) = put(&jobs);
        assert!(has_ended(&late), "nobody comes to it any more");
    }
}
