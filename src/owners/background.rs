//! The manager's own threads: they end with it, and never keep it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::manager::Shared;

/// When a thread works next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// After a pause, or when it is called.
    After(Duration),
    /// When it is called.
    WhenCalled,
    /// It is done.
    Done,
}

/// The threads of a manager. Dropping it has them end, and waits for that: a thread has no handle
/// of the manager but while it works, so none works any more then.
pub(crate) struct Background {
    threads: Mutex<Vec<(Arc<Bell>, JoinHandle<()>)>>,
}

/// Calls a thread to work, or to end, also in the middle of a pause.
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

/// A thread that is started when it is first called: by the next call, if the system has none for
/// the first.
#[derive(Default)]
pub(crate) struct OnCall {
    bell: OnceLock<Arc<Bell>>,
    /// Held by whoever starts it.
    starting: Mutex<()>,
}

impl OnCall {
    /// The bell of the thread, if there is one yet.
    pub(crate) fn started(&self) -> Option<&Arc<Bell>> {
        self.bell.get()
    }

    /// The bell of the thread, which `start` starts if there is none yet.
    pub(crate) fn start(
        &self,
        start: impl FnOnce() -> io::Result<Arc<Bell>>,
    ) -> io::Result<&Arc<Bell>> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let _only = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let bell = start()?;
        Ok(self.bell.get_or_init(|| bell))
    }
}

/// What a thread is called for.
#[derive(Clone, Copy)]
struct Rung {
    work: bool,
    end: bool,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self { threads: Mutex::new(Vec::new()) }
    }

    /// Starts a thread that does `work` when `first` says, and then as it says itself each time,
    /// until it is done or the manager is gone. The bell calls it.
    pub(crate) fn start(
        &self,
        name: &str,
        manager: Weak<Shared>,
        first: Next,
        mut work: impl FnMut(&Arc<Shared>) -> Next + Send + 'static,
    ) -> io::Result<Arc<Bell>> {
        let bell = Arc::new(Bell::new());
        let heard = Arc::clone(&bell);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let mut next = first;
            while heard.wait(next) {
                let Some(manager) = manager.upgrade() else { return };
                next = work(&manager);
            }
        })?;
        self.threads().push((Arc::clone(&bell), thread));
        Ok(bell)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<(Arc<Bell>, JoinHandle<()>)>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    fn new() -> Self {
        let rung = Rung { work: false, end: false };
        Self { rung: Mutex::new(rung), changed: Condvar::new() }
    }

    /// Calls the thread to work. Never waits for it.
    pub(crate) fn ring(&self) {
        self.rung().work = true;
        self.changed.notify_all();
    }

    fn call_to_end(&self) {
        self.rung().end = true;
        self.changed.notify_all();
    }

    /// Pauses; whether there is work to do.
    fn wait(&self, next: Next) -> bool {
        let nothing = |rung: &mut Rung| !rung.work && !rung.end;
        let rung = self.rung();
        let mut rung = match next {
            Next::Done => return false,
            Next::WhenCalled => {
                let result = self.changed.wait_while(rung, nothing);
                result.unwrap_or_else(PoisonError::into_inner)
            }
            Next::After(pause) => {
                let result = self.changed.wait_timeout_while(rung, pause, nothing);
                result.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        rung.work = false;
        !rung.end
    }

    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads());
        threads.iter().for_each(|(bell, _)| bell.call_to_end());
        for (_, thread) in threads {
            // The last handle may have been the one that a thread of ours had while it worked.
            if thread.thread().id() != thread::current().id() {
                // A thread that panicked has ended as well.
                let _ = thread.join();
            }
        }
    }
}
