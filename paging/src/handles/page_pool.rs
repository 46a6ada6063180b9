//! The pool, as its users have it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use offheap::{MemorySegment, Owner};

use super::futures::ReadManyFuture;
use super::guards::ReadGuard;
use super::many;
use super::page::{self, Page};
use super::page_reader::PageReader;
use super::stats::PoolStats;
use crate::entry::Dirty;
use crate::file::SpillFile;
use crate::frames::queues::Came;
use crate::moving::obtain;
use crate::pool::error::{InsertError, InsertReason, PagingError};
use crate::pool::shared::{PIN_TIMEOUT_MAX, Shared};

/// Pages of one owner that lie in memory as long as there is some, and in a file otherwise.
///
/// It takes memory that is free as it needs it, up to the limit of its owner. When there is none
/// it evicts pages of its own: those that are clean at once, others once they are written. When
/// other owners need memory it gives it back by itself: it is the
/// [`Reclaimer`](offheap::reclaim::Reclaimer) of its owner.
///
/// Clones are handles on the same pool, which lives as long as one of them, or a page, does.
#[derive(Clone)]
pub struct PagePool {
    shared: Arc<Shared>,
}

impl PagePool {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A new page of one page of the region. What it contains is up to the manager's
    /// [`ZeroPolicy`](offheap::config::ZeroPolicy), or left from another page of the pool.
    ///
    /// # Errors
    ///
    /// - [`PagingError::AllPinned`] if no frame became free in time, since pages are pinned.
    /// - [`PagingError::Spill`] if the pages that could make room cannot be written.
    /// - [`PagingError::Memory`] if the owner can never have so much.
    /// - [`PagingError::TooManyPages`] if there are as many pages as a pool can have.
    /// - [`PagingError::Forked`] in another process than the one that built the pool.
    ///
    /// # Blocking
    ///
    /// Waits for writes, and for a frame at most the pool's
    /// [`pin_timeout`](crate::PagePoolBuilder::pin_timeout).
    pub fn allocate(&self) -> Result<Page, PagingError> {
        self.allocate_pages(1)
    }

    /// A new page of so many pages of the region, side by side.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); and if it is none, or more than
    /// [`PAGES_MAX`](crate::PAGES_MAX).
    ///
    /// # Blocking
    ///
    /// As [`allocate`](Self::allocate).
    pub fn allocate_pages(&self, pages: usize) -> Result<Page, PagingError> {
        self.allocate_pages_timeout(pages, self.shared.pin_timeout)
    }

    /// The same, which waits at most so long for a frame, whatever the pool's
    /// [`pin_timeout`](crate::PagePoolBuilder::pin_timeout): for a caller that can do without the
    /// page, or can end pins of its own.
    ///
    /// # Errors
    ///
    /// As [`allocate_pages`](Self::allocate_pages).
    ///
    /// # Blocking
    ///
    /// Waits for writes, and for a frame at most `timeout`, which is a year at most.
    pub fn allocate_pages_timeout(
        &self,
        pages: usize,
        timeout: Duration,
    ) -> Result<Page, PagingError> {
        let units = u16::try_from(pages).ok().filter(|pages| *pages > 0);
        let units = units.ok_or(PagingError::Pages { pages })?;
        self.shared.check_process()?;
        let timeout = timeout.min(PIN_TIMEOUT_MAX);
        let segment = obtain::frame_within(&self.shared, u32::from(units), timeout)
            .map_err(|error| self.shared.failed(error))?;
        self.keep(segment, units).map_err(|_| PagingError::TooManyPages)
    }

    /// Takes memory for so many pages to come from the owner, and from others if there is none:
    /// they are asked as the policy says. Whether it was to be had in time; it is all or nothing.
    /// For a caller that could use more than it has. What is not used goes back when others ask.
    ///
    /// A pool does so by itself for pages that it would have to evict others for.
    ///
    /// # Blocking
    ///
    /// Waits for others at most `timeout`, and not at all if no other owner holds memory.
    #[must_use = "whether there is more is the answer"]
    pub fn grow(&self, pages: usize, timeout: Duration) -> bool {
        self.shared.check_process().is_ok() && obtain::grow(&self.shared, pages, timeout)
    }

    /// Makes a page of a segment, with its content, which is not copied. The segment has to be of
    /// the pool's owner, and as large as some number of pages. Waits for nothing.
    ///
    /// # Errors
    ///
    /// If it is not so, or there are as many pages as a pool can have; the error has the segment.
    pub fn insert(&self, segment: MemorySegment) -> Result<Page, InsertError> {
        let page_bytes = self.shared.page_bytes;
        let pages = segment.size() / page_bytes;
        if let Err(PagingError::Forked { made_by, process }) = self.shared.check_process() {
            return Err(InsertError { segment, reason: InsertReason::Forked { made_by, process } });
        }
        if !self.shared.owner.is_owner_of(&segment) {
            let reason = InsertReason::Owner {
                segment: segment.owner_path().to_owned(),
                pool: self.shared.owner.path().to_owned(),
            };
            return Err(InsertError { segment, reason });
        }
        let units = u16::try_from(pages).ok().filter(|_| pages * page_bytes == segment.size());
        let Some(units) = units else {
            let reason = InsertReason::Size { bytes: segment.size(), page_bytes };
            return Err(InsertError { segment, reason });
        };
        self.keep(segment, units)
            .map_err(|segment| InsertError { segment, reason: InsertReason::TooManyPages })
    }

    fn keep(&self, segment: MemorySegment, pages: u16) -> Result<Page, MemorySegment> {
        let mut books = self.shared.books();
        let Some(number) = self.shared.table.take(&mut books.vacancies) else {
            return Err(segment);
        };
        let entry = self.shared.entry(number);
        entry.begin(pages);
        books.entries += 1;
        books.install((number, entry), segment, Came::New);
        drop(books);
        entry.state.make_resident(Dirty::Yes);
        Ok(Page::new(&self.shared, number))
    }

    /// Pins all of the pages, to read them, and returns the guards in their order. Those that are
    /// in the file are read together, in its order. They may be of several pools, and come more
    /// than once.
    ///
    /// All must fit in memory at once, beside what others have pinned: so take some tens of pages
    /// at a time.
    ///
    /// # Errors
    ///
    /// As [`Page::read`], for any of them: then none is pinned.
    ///
    /// # Blocking
    ///
    /// As [`Page::read`].
    pub fn read_many<'a>(&self, pages: &[&'a Page]) -> Result<Vec<ReadGuard<'a>>, PagingError> {
        many::read_many(&self.shared, pages)
    }

    /// Pins all of the pages, to read them, without blocking the thread: the pool's own thread
    /// loads those that are in the file together, in its order. They may be of several pools, which
    /// load one after the other, and come more than once. Nothing is begun before the future is
    /// polled.
    ///
    /// All must fit in memory at once, as for [`read_many`](Self::read_many).
    ///
    /// The future fails as [`Page::read`], for any of the pages, or with [`PagingError::Thread`] if
    /// the system has no thread for the pool: then none is pinned.
    pub fn read_many_async<'a>(&self, pages: &[&'a Page]) -> ReadManyFuture<'a> {
        ReadManyFuture::new(pages)
    }

    /// Says that the pages will be read soon. Those that are in the file are loaded by the pool's
    /// own thread, as far as there are frames for them that need not be written first.
    ///
    /// Fails never, and waits for nothing: where it cannot be done, it is not done.
    pub fn prefetch(&self, pages: &[&Page]) {
        let mine = pages.iter().filter(|page| Arc::ptr_eq(page.shared(), &self.shared));
        let spilled = mine.filter(|page| !page.is_resident());
        page::prefetch(&self.shared, spilled.map(|page| page.number()).collect());
    }

    /// A way to read pages that are in memory without pinning them, for one thread. Make it once a
    /// thread, and keep it.
    #[must_use]
    pub fn reader(&self) -> PageReader {
        PageReader::new(&self.shared)
    }

    /// The pool in numbers. Looks at all pages that are in memory, so it is for reports.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats::of(&self.shared)
    }

    /// The owner whose memory the pages lie in.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.shared.owner
    }

    /// Where pages lie that are not in memory.
    #[must_use]
    pub fn spill_file(&self) -> &Arc<SpillFile> {
        &self.shared.file
    }
}

impl fmt::Debug for PagePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagePool")
            .field("owner", &self.shared.owner.path())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
