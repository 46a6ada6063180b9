//! A region whose capacity changes: pages leave for the system, or come to be used.

use std::io;

use crate::base::units::PageCount;
use crate::ledger::chunks::Lent;

use super::off_heap::OffHeap;

impl OffHeap {
    /// Gives `pages` free pages back to the system, and takes them out of the capacity.
    ///
    /// For a caller with a reservation for them, which ends with this. Waits for a trim that
    /// another thread has begun.
    ///
    /// # Errors
    ///
    /// What the system says. The capacity is then as before.
    pub(crate) fn shrink(&self, pages: PageCount) -> io::Result<()> {
        // Most of it a little at a time, so that nobody waits long for the pages that are out.
        self.trim_free_pages(pages);
        let mut answer = Ok(());
        self.stock().shrink(pages, |leaving| {
            answer = self.give_back(leaving);
            answer.is_ok()
        });
        answer
    }

    /// Adds `pages` pages to the capacity, which may be resident from now on.
    ///
    /// There must be as many, and nobody may reserve them before this has returned.
    ///
    /// # Errors
    ///
    /// What the system says. The capacity is then as before.
    pub(crate) fn grow(&self, pages: PageCount) -> io::Result<()> {
        let mut answer = Ok(());
        self.stock().grow(pages, |coming| {
            answer = self.make_warm(coming);
            answer.is_ok()
        });
        answer
    }

    /// No huge page lies across the border between the pages that come and those that stay cold.
    fn make_warm(&self, coming: &Lent<'_>) -> io::Result<()> {
        let (region, residency) = (self.region(), self.stock().residency());
        let mut spans = coming.spans().iter();
        spans.try_for_each(|span| region.use_no_huge_page_across(*span, residency))?;
        coming.spans().iter().for_each(|span| region.use_huge_pages_within(*span, residency));
        Ok(())
    }
}
