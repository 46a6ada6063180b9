//! Wakers, and futures that are polled by hand.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::Count;

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub struct Woken(Count);

impl Woken {
    /// Whether it was woken.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.0.get() > 0
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.add(1);
    }
}

/// Keeps something until the last waker made of it goes.
#[derive(Debug)]
pub struct Holds<T>(pub T);

impl<T: Send + Sync + 'static> Wake for Holds<T> {
    fn wake(self: Arc<Self>) {}
}

struct Calls<F>(F);

impl<F: Fn() + Send + Sync> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A waker that calls `wakes`.
pub fn waker(wakes: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(wakes)))
}

/// Polls once. Whether it waits.
#[must_use]
pub fn is_pending<T>(future: Pin<&mut impl Future<Output = T>>, waker: &Waker) -> bool {
    future.poll(&mut Context::from_waker(waker)).is_pending()
}

/// Polls a future a few times, and then lets go of it, or has it after all.
pub fn poll_and_cancel<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..=polls {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => return Some(value),
            Poll::Pending => thread::yield_now(),
        }
    }
    None
}

/// Blocks the thread until `future` is ready.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let this = thread::current();
    let waker = waker(move || this.unpark());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
