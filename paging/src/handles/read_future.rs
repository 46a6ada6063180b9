//! A read that does not block its thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::guards::ReadGuard;
use super::page::Page;
use crate::moving::{behind, obtain};
use crate::pool::error::PagingError;
use crate::pool::jobs::{AsyncLoad, Job};

/// A page that will be pinned. Made by [`Page::read_async`].
///
/// It needs no runtime of its own. One that is dropped loses nothing: the load may go on, and then
/// the page is in memory without a pin.
#[must_use = "a future does nothing unless it is polled"]
pub struct ReadFuture<'a> {
    page: &'a Page,
    load: Option<Arc<AsyncLoad>>,
    /// The loads that have ended without an error.
    loads: u32,
    since: Instant,
}

/// A page that is gone again so often when its future looks has no frame to stay in.
const LOADS_MAX: u32 = 64;

impl Page {
    /// Pins the page to read it, without blocking the thread: the pool's own thread loads it, one
    /// page after the other. Nothing is begun before the future is polled.
    ///
    /// The future fails as [`read`](Self::read), or with [`PagingError::Thread`] if the system has
    /// no thread for the pool.
    pub fn read_async(&self) -> ReadFuture<'_> {
        ReadFuture { page: self, load: None, loads: 0, since: Instant::now() }
    }
}

impl<'a> Future for ReadFuture<'a> {
    type Output = Result<ReadGuard<'a>, PagingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let page = self.page;
        loop {
            if let Some(guard) = page.try_read() {
                return Poll::Ready(Ok(guard));
            }
            let shared = page.shared();
            let load = match &self.load {
                Some(load) => Arc::clone(load),
                None => {
                    shared.check_process()?;
                    let load = AsyncLoad::new(page.number());
                    behind::ask(shared, Job::Load(Arc::clone(&load)))?;
                    self.load = Some(Arc::clone(&load));
                    load
                }
            };
            match load.poll(context.waker()) {
                None => return Poll::Pending,
                Some(result) => {
                    // It may have been evicted again since: then another load is asked for.
                    self.load = None;
                    self.loads += 1;
                    if result.is_ok() && self.loads == LOADS_MAX {
                        let pages = page.entry().pages();
                        return Poll::Ready(Err(obtain::all_pinned(shared, pages, self.since)));
                    }
                    result.map_err(|error| shared.failed(error))?;
                }
            }
        }
    }
}

impl fmt::Debug for ReadFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadFuture").field("page", self.page).finish_non_exhaustive()
    }
}
