//! The manager's own threads: they end with it, and never keep it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Shared;

/// What a thread does between two pauses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It comes back.
    Again,
    /// It is done.
    Done,
}

/// The threads of a manager. Dropping it has them end, and waits for that: a thread has no handle
/// of the manager but while it works, so none works any more then.
pub(super) struct Background {
    stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Tells the threads to end, also in the middle of a pause.
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Background {
    pub(super) fn new() -> Self {
        let stop = Stop { is_set: Mutex::new(false), changed: Condvar::new() };
        Self { stop: Arc::new(stop), threads: Mutex::new(Vec::new()) }
    }

    /// Starts a thread that does `work` after each pause until that is done or the manager is gone.
    pub(super) fn start(
        &self,
        name: &str,
        manager: Weak<Shared>,
        pause: Duration,
        mut work: impl FnMut(&Shared) -> Next + Send + 'static,
    ) -> io::Result<()> {
        let stop = Arc::clone(&self.stop);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            while !stop.wait(pause) {
                let Some(manager) = manager.upgrade() else { return };
                if work(&manager) == Next::Done {
                    return;
                }
            }
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }
}

impl Stop {
    /// Pauses; whether it is time to end.
    fn wait(&self, pause: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.changed.wait_timeout_while(is_set, pause, |is_set| !*is_set);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }

    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.set();
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // The last handle may have been the one that a thread of ours had while it worked.
            if thread.thread().id() != thread::current().id() {
                // A thread that panicked has ended as well.
                let _ = thread.join();
            }
        }
    }
}
