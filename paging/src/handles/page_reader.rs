//! Reading many pages without an atomic write: epochs.

use std::fmt;
use std::slice;
use std::sync::Arc;

use super::page::Page;
use crate::entry::Participant;
use crate::pool::shared::Shared;

/// One thread's way to read pages that are in memory without pinning them. Made by
/// [`PagePool::reader`](crate::PagePool::reader).
pub struct PageReader {
    participant: Participant,
    shared: Arc<Shared>,
}

/// A time in which no frame is used again that was in use at its begin. So pages are read without
/// being pinned, for as long as it lasts.
///
/// Keep it short: frames of pages that are evicted meanwhile are free only at its end. A thread
/// that is within one does not call what may wait for a frame, as [`Page::read`] of a page that is
/// not in memory.
pub struct Epoch<'r> {
    reader: &'r mut PageReader,
}

impl PageReader {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { participant: shared.epochs.register(), shared: Arc::clone(shared) }
    }

    /// Begins an epoch: one plain store, and a full fence where the system has no `membarrier`.
    #[inline]
    pub fn enter(&mut self) -> Epoch<'_> {
        self.participant.enter();
        Epoch { reader: self }
    }
}

impl Epoch<'_> {
    /// The bytes of a page, if it is in memory; `None` if it is not, or is of another pool. Waits
    /// for nothing. To have a page that is not there, end the epoch, and read it with a guard.
    #[inline]
    #[must_use]
    pub fn get<'a>(&'a self, page: &'a Page) -> Option<&'a [u8]> {
        if !Arc::ptr_eq(page.shared(), &self.reader.shared) {
            return None;
        }
        let entry = page.entry();
        if !entry.state.is_resident_now() {
            return None;
        }
        let bytes = entry.pages() as usize * self.reader.shared.page_bytes;
        // SAFETY: the page was resident within the epoch, so its frame stays as it is until that
        // ends, and the slice borrows it. Its bytes are initialized, as those of a segment. Nobody
        // changes them, since that takes the page by `&mut`, and the slice borrows it.
        Some(unsafe { slice::from_raw_parts(entry.base(), bytes) })
    }
}

impl Drop for Epoch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.reader.participant.leave();
    }
}

impl fmt::Debug for PageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageReader").finish_non_exhaustive()
    }
}

impl fmt::Debug for Epoch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").finish_non_exhaustive()
    }
}
