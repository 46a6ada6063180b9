//! Threads of the library's own: they end with what they work for, and never keep it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::sync::{Condvar, Guard, Lock, Rank, assert_nothing_is_held};

/// When a thread works next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// After a pause, or when it is woken.
    After(Duration),
    /// When it is woken.
    WhenWoken,
    /// It is done.
    Done,
}

/// Threads that end together. Dropping it has them end, and waits for that: a thread keeps what it
/// works for only while it works, so none works any more then.
pub(crate) struct Threads {
    threads: Lock<Vec<(Arc<Wakeup>, JoinHandle<()>)>>,
}

/// Wakes a thread to work, or to end, also in the middle of a pause.
pub(crate) struct Wakeup {
    signals: Lock<Signals>,
    changed: Condvar,
}

/// A thread that is started when it is first needed: by the next call, if the system has none for
/// the first.
pub(crate) struct OnDemand {
    wakeup: OnceLock<Arc<Wakeup>>,
    /// Held by the caller that starts it.
    starting: Lock<()>,
}

impl Default for OnDemand {
    fn default() -> Self {
        Self { wakeup: OnceLock::new(), starting: Lock::new(Rank::Starting, ()) }
    }
}

impl OnDemand {
    /// What wakes the thread, if there is one yet.
    pub(crate) fn started(&self) -> Option<&Arc<Wakeup>> {
        self.wakeup.get()
    }

    /// What wakes the thread, which `start` starts if there is none yet.
    pub(crate) fn start(
        &self,
        start: impl FnOnce() -> io::Result<Arc<Wakeup>>,
    ) -> io::Result<&Arc<Wakeup>> {
        if let Some(wakeup) = self.wakeup.get() {
            return Ok(wakeup);
        }
        let _only = self.starting.lock();
        if let Some(wakeup) = self.wakeup.get() {
            return Ok(wakeup);
        }
        let wakeup = start()?;
        Ok(self.wakeup.get_or_init(|| wakeup))
    }
}

/// What a thread is woken for.
#[derive(Clone, Copy)]
struct Signals {
    work: bool,
    end: bool,
}

impl Default for Threads {
    fn default() -> Self {
        Self { threads: Lock::new(Rank::Threads, Vec::new()) }
    }
}

impl Threads {
    /// Starts a thread that does `work` when `first` says, and then each time as `work` says. It
    /// ends when `work` is done, or finds nothing left to work for and returns `None`.
    pub(crate) fn start(
        &self,
        name: &str,
        first: Next,
        mut work: impl FnMut() -> Option<Next> + Send + 'static,
    ) -> io::Result<Arc<Wakeup>> {
        let wakeup = Arc::new(Wakeup::new());
        let heard = Arc::clone(&wakeup);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let mut next = first;
            while heard.wait(next) {
                let Some(then) = work() else { return };
                next = then;
            }
        })?;
        self.threads.lock().push((Arc::clone(&wakeup), thread));
        Ok(wakeup)
    }
}

impl Wakeup {
    fn new() -> Self {
        let signals = Signals { work: false, end: false };
        Self { signals: Lock::new(Rank::Wakeup, signals), changed: Condvar::new() }
    }

    /// Wakes the thread to work. Never waits for it.
    pub(crate) fn wake(&self) {
        self.signals().work = true;
        self.changed.notify_all();
    }

    fn end(&self) {
        self.signals().end = true;
        self.changed.notify_all();
    }

    /// Pauses; whether there is work to do.
    fn wait(&self, next: Next) -> bool {
        let nothing = |signals: &mut Signals| !signals.work && !signals.end;
        let signals = self.signals();
        let mut signals = match next {
            Next::Done => return false,
            Next::WhenWoken => signals.wait_while(&self.changed, nothing),
            Next::After(pause) => signals.wait_timeout_while(&self.changed, pause, nothing),
        };
        signals.work = false;
        !signals.end
    }

    fn signals(&self) -> Guard<'_, Signals> {
        self.signals.lock()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.iter().for_each(|(wakeup, _)| wakeup.end());
        for (_, thread) in threads {
            // What is dropped here may have been kept alive last by a thread of ours at work.
            if thread.thread().id() != thread::current().id() {
                assert_nothing_is_held("the end of a thread");
                // A thread that panicked has ended as well.
                let _ = thread.join();
            }
        }
    }
}
