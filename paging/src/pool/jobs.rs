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
    /// A page that a future waits for.
    Load(Arc<AsyncLoad>),
    /// Free frames are to be kept ahead.
    KeepAhead,
}

/// A load that a future waits for.
pub(crate) struct AsyncLoad {
    pub(crate) number: u32,
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
    pub(crate) fn new(number: u32) -> Arc<Self> {
        Arc::new(Self { number, state: Mutex::default() })
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
    pub(crate) fn put(&self, job: Job) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match job {
            Job::KeepAhead => state.keep_ahead = true,
            Job::Prefetch(_) if state.jobs.len() >= PREFETCHES_MAX => return,
            job => state.jobs.push_back(job),
        }
        drop(state);
        self.changed.notify_one();
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

    /// Whether the caller is to start the thread: so once only.
    pub(crate) fn begin_thread(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut state.has_thread, true)
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
