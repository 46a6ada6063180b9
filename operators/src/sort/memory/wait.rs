//! Waiting on a thread for a future, no longer than somebody wants.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::Interrupt;
use crate::sort::SortError;

/// How often it looks whether somebody asked for a stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Blocks the thread until `future` is ready; `None` if that takes longer than `timeout`.
pub(super) fn block_on<T>(
    future: impl Future<Output = T>,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Option<T>, SortError> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // A deadline beyond what the clock can tell is none.
    let deadline = Instant::now().checked_add(timeout);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(Some(value));
        }
        if interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => return Ok(None),
            left => thread::park_timeout(left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)),
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
