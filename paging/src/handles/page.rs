//! One page, as its holder has it.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::guards::{ReadGuard, WriteGuard};
use crate::frames::entry::{self, Entry};
use crate::frames::queues::Standing;
use crate::moving::{behind, forget, load};
use crate::pool::error::PagingError;
use crate::pool::jobs::Job;
use crate::pool::shared::Shared;

/// Memory that may lie in the file while nobody has it pinned.
///
/// It is read and written through guards, which pin it. There is one `Page` for each, so a writer
/// is alone by its type; an [`Arc`] shares it among readers. When it is dropped, its memory and its
/// room in the file are free at once, and what was never written to the file never will be. A drop
/// waits for no read and no write; now and then it gives room in the file back to the disk.
///
/// # Invariants
///
/// - `entry` is the entry `number` of the table of `shared`, and this value is the only holder of
///   the page in it.
#[must_use = "a page that is dropped is gone"]
pub struct Page {
    entry: NonNull<Entry>,
    number: u32,
    shared: Arc<Shared>,
}

/// A page that stays in memory, to be read and changed, until it is [unpinned](Self::unpin) or
/// dropped: for what is at work for longer than a guard can be borrowed.
///
/// It is dirty from the start, as by [`Page::write`]. What is said of a
/// [`ReadGuard`] holds for it, too: its frame is not to be had for other pages. If it is dropped,
/// the page is gone.
///
/// # Invariants
///
/// - `pin` is a pin of `page`, taken to write, which is dropped before it.
/// - `bytes` are those of its frame, which are initialized and stay while it is pinned.
#[must_use = "a page that is dropped is gone"]
pub struct PinnedPage {
    bytes: NonNull<[u8]>,
    pin: Pin,
    page: Page,
}

/// One pin of a page.
///
/// # Invariants
///
/// - `entry` is that of a page that lives as long as this, and this has one of its pins.
struct Pin {
    entry: NonNull<Entry>,
}

/// A page that could not be pinned: here it is, and why.
#[derive(Debug)]
pub struct PinError {
    /// The page, as it was.
    pub page: Page,
    /// What went wrong.
    pub source: PagingError,
}

/// What its holder knows of a page. It beats what the pool guesses, as long as memory allows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing.
    #[default]
    Normal,
    /// It will be read again soon: evict it last.
    Keep,
    /// It will not be read again for long: evict it first.
    Cold,
    /// It is read once, in order with those that were written beside it: what follows in the file
    /// is read with it, and it is evicted first. A scan is also noticed without that.
    Sequential,
    /// It will be dropped soon: to write it would be for nothing, so evict it last.
    DeadSoon,
}

// SAFETY: the entry is reached through shared references and atomics only.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}
// SAFETY: it has the page to itself, which may go to any thread, and a pin is an atomic number.
unsafe impl Send for PinnedPage {}
// SAFETY: through a shared reference its bytes are only read.
unsafe impl Sync for PinnedPage {}

impl Page {
    /// A handle on the page in this entry, which has no other.
    pub(super) fn new(shared: &Arc<Shared>, number: u32) -> Self {
        // INVARIANT: the pool takes an entry for one page at a time.
        let entry = NonNull::from(shared.entry(number));
        Self { entry, number, shared: Arc::clone(shared) }
    }

    #[inline]
    pub(super) fn entry(&self) -> &Entry {
        // SAFETY: by the type invariant. The table's entries stay where they are as long as it
        // lives, which `shared` keeps it.
        unsafe { self.entry.as_ref() }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    #[inline]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Its size in bytes: a number of whole pages of the region.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.bytes(self.entry().pages())
    }

    /// Whether it is in memory just now. Another thread may change that at any moment.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.entry().state.seen().is_resident()
    }

    /// Pins the page to read it.
    ///
    /// # Errors
    ///
    /// If it is in the file and cannot be read, or there is no frame for it. It stays there, and
    /// the same call may do better later.
    ///
    /// - [`PagingError::Damaged`] if what was read is not what was written.
    /// - Otherwise those of [`PagePool::allocate`](crate::PagePool::allocate).
    ///
    /// # Blocking
    ///
    /// A page in memory costs two atomic steps. Another one waits for the disk, and for a frame at
    /// most the pool's [`pin_timeout`](crate::PagePoolBuilder::pin_timeout).
    #[inline]
    pub fn read(&self) -> Result<ReadGuard<'_>, PagingError> {
        if !self.entry().state.pin() {
            load::pin(&self.shared, self.number).map_err(|error| self.shared.failed(error))?;
        }
        // SAFETY: 1: it was pinned above, or by the load.
        Ok(unsafe { self.guard() })
    }

    /// Pins the page to read it, if it is in memory; `None` if it is not. Waits for nothing.
    #[inline]
    #[must_use]
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        if !self.entry().state.pin() {
            return None;
        }
        // SAFETY: 1: it was pinned above.
        Some(unsafe { self.guard() })
    }

    /// Pins the page to change it. It is dirty from then on, whether it is changed or not: so it is
    /// written to the file before its memory is used for another page.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Blocking
    ///
    /// As [`read`](Self::read). While a page that is being written to the file is copied, it waits
    /// for the copy; for one of many pages, for the write.
    #[inline]
    pub fn write(&mut self) -> Result<WriteGuard<'_>, PagingError> {
        if !self.entry().state.pin_for_write() {
            load::pin_for_write(&self.shared, self.number)
                .map_err(|error| self.shared.failed(error))?;
        }
        let page_bytes = self.shared.page_bytes;
        // SAFETY: 1: it was pinned above, to write. 2: `self` is borrowed by the caller alone.
        Ok(unsafe { WriteGuard::of(self.entry(), page_bytes) })
    }

    /// Pins the page to change it, if it is in memory; `None` if it is not. It is dirty from then
    /// on. Waits for nothing but the copy of a page that is being written, as
    /// [`write`](Self::write).
    #[inline]
    #[must_use]
    pub fn try_write(&mut self) -> Option<WriteGuard<'_>> {
        self.write_or_back().ok()
    }

    /// The same, which gives the page back if it is not in memory.
    #[inline]
    pub(super) fn write_or_back(&mut self) -> Result<WriteGuard<'_>, &mut Self> {
        if !self.entry().state.pin_for_write() {
            return Err(self);
        }
        let page_bytes = self.shared.page_bytes;
        // SAFETY: 1: it was pinned above, to write. 2: `self` is borrowed by the caller alone.
        Ok(unsafe { WriteGuard::of(self.entry(), page_bytes) })
    }

    /// Pins the page for as long as the caller likes, to read and to change it.
    ///
    /// ```
    /// # use offheap::MemoryManager;
    /// # use offheap_paging::{MemoryFileSystem, PagePool};
    /// # let manager = MemoryManager::builder().capacity(1 << 20).build()?;
    /// # let owner = manager.owner("join").register()?;
    /// # let pool = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow).build()?;
    /// let mut table = vec![pool.allocate()?.pin()?, pool.allocate()?.pin()?];
    /// table[1][7] = 42; // no call that can fail, and no lifetime
    /// let cold: Vec<_> = table.into_iter().map(|page| page.unpin()).collect();
    /// assert_eq!(cold[1].read()?[7], 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); the error has the page.
    ///
    /// # Blocking
    ///
    /// As [`write`](Self::write).
    pub fn pin(self) -> Result<PinnedPage, PinError> {
        if !self.entry().state.pin_for_write()
            && let Err(error) = load::pin_for_write(&self.shared, self.number)
        {
            let source = self.shared.failed(error);
            return Err(PinError { page: self, source });
        }
        // SAFETY: 1: it was pinned above, to write.
        Ok(unsafe { self.pinned() })
    }

    /// The page with the caller's pin.
    ///
    /// # Safety
    ///
    /// 1. The caller has pinned the page to write, and leaves the pin to what is returned.
    unsafe fn pinned(self) -> PinnedPage {
        // INVARIANT: by the contract, 1. It lies in the same value as the page.
        let pin = Pin { entry: self.entry };
        // SAFETY: the page is in a frame, by the contract, 1, whose address is not null.
        let base = unsafe { NonNull::new_unchecked(self.entry().base()) };
        // INVARIANT: the bytes of the frame. A frame is a segment, whose bytes are initialized.
        PinnedPage { bytes: NonNull::slice_from_raw_parts(base, self.size()), pin, page: self }
    }

    /// Pins the page as [`pin`](Self::pin), if it is in memory; otherwise gives it back. Waits for
    /// nothing but the copy of a page that is being written, as [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// If it is not in memory: with the page.
    pub fn try_pin(self) -> Result<PinnedPage, Self> {
        if !self.entry().state.pin_for_write() {
            return Err(self);
        }
        // SAFETY: 1: it was pinned above, to write.
        Ok(unsafe { self.pinned() })
    }

    /// Copies the page to `target`. One that is in the file is read from there, and stays there:
    /// that takes no frame, so it works also when all are pinned. For a page that is read once, by
    /// a caller that has a buffer.
    ///
    /// The buffer is best aligned to 4 KiB, as a page of a manager is. One that is not, on a disk
    /// that asks for it, makes the whole file go through the system's cache from then on.
    ///
    /// # Errors
    ///
    /// - [`PagingError::TargetBytes`] if `target` is not as large as the page.
    /// - Otherwise as [`read`](Self::read), but that it needs no frame. What is in `target` then is
    ///   of no use.
    ///
    /// # Blocking
    ///
    /// Waits for the disk, unless the page is in memory.
    pub fn read_into(&self, target: &mut [u8]) -> Result<(), PagingError> {
        let (bytes, page_bytes) = (target.len(), self.size());
        if bytes != page_bytes {
            return Err(PagingError::TargetBytes { bytes, page_bytes });
        }
        loop {
            if let Some(guard) = self.try_read() {
                target.copy_from_slice(&guard);
                return Ok(());
            }
            let copied = load::copy(&self.shared, self.number, target);
            if copied.map_err(|error| self.shared.failed(error))? {
                return Ok(());
            }
        }
    }

    /// Says what is known of it. It holds until something else is said, across evictions. Takes a
    /// lock of the pool for a moment.
    pub fn advise(&self, advice: Advice) {
        let (bits, standing) = match advice {
            Advice::Normal => (entry::NORMAL, Standing::Normal),
            Advice::Keep | Advice::DeadSoon => (entry::KEEP, Standing::Keep),
            Advice::Cold => (entry::COLD, Standing::Cold),
            Advice::Sequential => (entry::SEQUENTIAL, Standing::Cold),
        };
        let mut books = self.shared.books();
        let entry = self.entry();
        entry.set_advice(bits);
        // Under the lock only one that is being loaded is about to be resident.
        if entry.state.seen().is_resident() && books.frames.is_of(entry.frame(), self.number) {
            books.queues.advise(entry.frame(), standing);
        }
    }

    /// A guard that has the caller's pin.
    ///
    /// # Safety
    ///
    /// 1. The caller has pinned the page, and leaves the pin to the guard.
    #[inline]
    pub(super) unsafe fn guard(&self) -> ReadGuard<'_> {
        // SAFETY: 1: by the contract, 1. 2: the guard borrows `self`; a writer borrows it alone.
        unsafe { ReadGuard::of(self.entry(), self.shared.page_bytes) }
    }
}

impl PinnedPage {
    /// The page, which may lie in the file again.
    pub fn unpin(self) -> Page {
        let Self { pin, page, .. } = self;
        drop(pin);
        page
    }
}

impl Deref for PinnedPage {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: by the type invariant; nobody changes them while this is borrowed.
        unsafe { self.bytes.as_ref() }
    }
}

impl DerefMut for PinnedPage {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the type invariant, and this is borrowed by the caller alone. A write to the
        // file copies only pages that nobody has pinned.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr().cast::<u8>(), self.bytes.len()) }
    }
}

impl fmt::Debug for PinnedPage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedPage").field("bytes", &self.bytes.len()).finish()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: by the type invariant. The table's entries stay where they are as long as the
        // page lives.
        unsafe { self.entry.as_ref() }.state.unpin();
    }
}

impl Display for PinError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for PinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if self.shared.is_of_this_process() {
            forget::drop_page(&self.shared, self.number);
        }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("size", &self.size())
            .field("is_resident", &self.is_resident())
            .finish_non_exhaustive()
    }
}

/// Pins those of the pages that are spilled later, on the pool's own thread.
pub(super) fn prefetch(shared: &Arc<Shared>, numbers: Vec<u32>) {
    if !numbers.is_empty() && shared.is_of_this_process() {
        // Without a thread it is not done.
        let _ = behind::ask(shared, Job::Prefetch(numbers));
    }
}
