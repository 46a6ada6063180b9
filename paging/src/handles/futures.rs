//! Reads and writes that do not block their thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::guards::{ReadGuard, WriteGuard};
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
    loads: Loads,
}

/// A page that will be pinned to be changed. Made by [`Page::write_async`].
///
/// What is said of a [`ReadFuture`] holds for it, too: one that is dropped has changed nothing.
#[must_use = "a future does nothing unless it is polled"]
pub struct WriteFuture<'a> {
    /// `None` once the guard has it.
    page: Option<&'a mut Page>,
    loads: Loads,
}

/// Pages that will all be pinned. Made by [`PagePool::read_many_async`].
///
/// It needs no runtime of its own. Those of the pages that are in memory already stay pinned while
/// it waits for the others. One that is dropped has no pin any more; the loads may go on.
///
/// [`PagePool::read_many_async`]: crate::PagePool::read_many_async
#[must_use = "a future does nothing unless it is polled"]
pub struct ReadManyFuture<'a> {
    pages: Vec<&'a Page>,
    /// In the order of the pages; those that are pinned already.
    guards: Vec<Option<ReadGuard<'a>>>,
    loads: Loads,
}

/// A page that is gone again so often when its future looks has no frame to stay in.
const LOADS_MAX: u32 = 64;

/// The loads of a future, one at a time.
struct Loads {
    load: Option<Arc<AsyncLoad>>,
    /// Those that have ended without an error and without a pin for it.
    ended: u32,
    since: Instant,
}

impl Loads {
    fn new() -> Self {
        Self { load: None, ended: 0, since: Instant::now() }
    }

    /// Ready once a load has ended: then the future looks for itself whether its pages are there.
    /// If none is under way, that of `numbers` is begun, which are pages of the pool of `page`.
    fn poll(
        &mut self,
        page: &Page,
        numbers: impl FnOnce() -> Vec<u32>,
        context: &Context<'_>,
    ) -> Poll<Result<(), PagingError>> {
        let shared = page.shared();
        let load = match &self.load {
            Some(load) => Arc::clone(load),
            None => {
                shared.check_process()?;
                let load = AsyncLoad::new(numbers());
                behind::ask(shared, Job::Load(Arc::clone(&load)))?;
                self.load = Some(Arc::clone(&load));
                load
            }
        };
        let Some(result) = load.poll(context.waker()) else { return Poll::Pending };
        // Pages may have been evicted again since: then another load is asked for.
        self.load = None;
        self.ended += 1;
        if result.is_ok() && self.ended == LOADS_MAX {
            let pages = page.entry().pages();
            return Poll::Ready(Err(obtain::all_pinned(shared, pages, self.since)));
        }
        Poll::Ready(result.map_err(|error| shared.failed(error)))
    }
}

impl Page {
    /// Pins the page to read it, without blocking the thread: the pool's own thread loads it, one
    /// page after the other. Nothing is begun before the future is polled.
    ///
    /// The future fails as [`read`](Self::read), or with [`PagingError::Thread`] if the system has
    /// no thread for the pool.
    pub fn read_async(&self) -> ReadFuture<'_> {
        ReadFuture { page: self, loads: Loads::new() }
    }

    /// Pins the page to change it, without waiting for the disk or for a frame: the pool's own
    /// thread loads it. Nothing is begun before the future is polled. A page that is just being
    /// copied, to be written to the file, is waited for all the same, as by
    /// [`write`](Self::write).
    ///
    /// The future fails as [`write`](Self::write), or with [`PagingError::Thread`] if the system
    /// has no thread for the pool. It panics if it is polled after it was ready.
    pub fn write_async(&mut self) -> WriteFuture<'_> {
        WriteFuture { page: Some(self), loads: Loads::new() }
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
            ready!(self.loads.poll(page, || vec![page.number()], context))?;
        }
    }
}

impl<'a> Future for WriteFuture<'a> {
    type Output = Result<WriteGuard<'a>, PagingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let Some(page) = this.page.take() else {
                unreachable!("a future that was ready is not polled again")
            };
            let page = match page.write_or_back() {
                Ok(guard) => return Poll::Ready(Ok(guard)),
                Err(page) => this.page.insert(page),
            };
            ready!(this.loads.poll(page, || vec![page.number()], context))?;
        }
    }
}

impl<'a> ReadManyFuture<'a> {
    pub(super) fn new(pages: &[&'a Page]) -> Self {
        let guards = pages.iter().map(|_| None).collect();
        Self { pages: pages.to_vec(), guards, loads: Loads::new() }
    }

    /// Pins those that are in memory by now. Returns the places of the others.
    fn look(&mut self) -> Vec<usize> {
        let mut missing = Vec::new();
        for (at, (page, guard)) in self.pages.iter().zip(&mut self.guards).enumerate() {
            if guard.is_none() {
                *guard = page.try_read();
                match guard {
                    // It has come on, so it may go on.
                    Some(_) => self.loads.ended = 0,
                    None => missing.push(at),
                }
            }
        }
        missing
    }
}

impl<'a> Future for ReadManyFuture<'a> {
    type Output = Result<Vec<ReadGuard<'a>>, PagingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let missing = this.look();
            let Some(first) = missing.first().map(|at| this.pages[*at]) else {
                return Poll::Ready(Ok(std::mem::take(&mut this.guards)
                    .into_iter()
                    .flatten()
                    .collect()));
            };
            // Each pool loads its own, one pool after the other.
            let numbers = || {
                let missing = missing.iter().map(|at| this.pages[*at]);
                let mine = missing.filter(|page| Arc::ptr_eq(page.shared(), first.shared()));
                mine.map(Page::number).collect()
            };
            let ended = ready!(this.loads.poll(first, numbers, context));
            if let Err(error) = ended {
                this.guards.iter_mut().for_each(|guard| *guard = None);
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl fmt::Debug for ReadFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadFuture").field("page", self.page).finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFuture").field("page", &self.page).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReadManyFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pinned = self.guards.iter().flatten().count();
        let mut this = f.debug_struct("ReadManyFuture");
        this.field("pages", &self.pages.len()).field("pinned", &pinned).finish_non_exhaustive()
    }
}
