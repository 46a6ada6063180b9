//! The memory of an operator: pages of a pool, of which it keeps in memory what it works on.

use std::time::{Duration, Instant};

use offheap_paging::{Page, PagePool, PagingError, PinnedPage};

use super::options::Options;
use crate::{Interrupt, OperatorError};

/// Of what it could have, an operator keeps at most this part in memory: in quarters.
const PINNED_QUARTERS: usize = 3;
/// A row is at most this part of what it could have.
const ROW_PART: usize = 16;
/// What a page and a row have besides its key and value, at most.
const HEADERS_BYTES: usize = 64;
/// So long it waits for a page that it can do without: long enough for others to be asked.
const PATIENCE_FOR_MORE: Duration = Duration::from_millis(100);
/// So long it does not wait for more again after it waited in vain, so that it waits a tenth of the
/// time at most.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// So many pages it asks of others at a time, and so long it waits for them.
const ASKS_FOR_PAGES: usize = 16;
const PATIENCE_FOR_OTHERS: Duration = Duration::from_millis(20);

/// Pages of a pool of the operator's own.
pub(crate) struct Memory {
    pool: PagePool,
    interrupt: Interrupt,
    /// Empty pages in memory, with which it goes on when there are no others.
    kept: Vec<PinnedPage>,
    kept_max: usize,
    /// A page to read others through, which then need no frame.
    buffer: Option<PinnedPage>,
    /// What the pool has for itself.
    booked_bytes: usize,
    /// What the owner had and could have had besides when it looked around last.
    could_have_bytes: usize,
    /// The bytes in memory that the operator works on, without the kept ones.
    pinned_bytes: usize,
    /// The most of them, if it can be done with so few.
    pinned_max: usize,
    /// As much as it needs at least.
    pinned_min: usize,
    /// When it waited in vain for others the last time, and how much it could do with then.
    refused: Option<(Instant, usize)>,
    row_bytes_max: usize,
}

impl Memory {
    /// The memory of an operator that keeps `kept` pages for as long as it works.
    ///
    /// # Errors
    ///
    /// If the owner has not as much, or there is no file.
    pub(crate) fn new(
        options: &Options,
        operator: &'static str,
        kept: usize,
        pages_min: usize,
    ) -> Result<Self, OperatorError> {
        let Options { owner, interrupt, .. } = options;
        let page_bytes = owner.page_size();
        let pages_available = owner.available_bytes() / page_bytes;
        let pages_limit = owner.limit() / page_bytes;
        let too_little = |pages_available| OperatorError::TooLittleMemory {
            operator,
            pages_min,
            pages_available,
            page_bytes,
        };
        if pages_limit < pages_min {
            return Err(too_little(pages_limit));
        }
        let pool = match options.pool() {
            Err(OperatorError::Paging(PagingError::Memory(_))) => {
                return Err(too_little(pages_available));
            }
            built => built?,
        };
        let mut memory = Self {
            pool,
            interrupt: interrupt.clone(),
            kept: Vec::with_capacity(kept),
            kept_max: kept,
            buffer: None,
            booked_bytes: owner.used_bytes(),
            could_have_bytes: 0,
            pinned_bytes: 0,
            pinned_max: 0,
            pinned_min: 0,
            refused: None,
            row_bytes_max: 0,
        };
        memory.pinned_min = memory.pinned_of(pages_min * page_bytes);
        memory.look_around();
        memory.row_bytes_max = (memory.share() / ROW_PART).max(page_bytes - HEADERS_BYTES);
        let answer = (0..=kept).try_for_each(|_| memory.keep_first());
        memory.buffer = memory.kept.pop();
        match answer {
            Err(PagingError::AllPinned { .. }) => return Err(too_little(pages_available)),
            answer => answer?,
        }
        // If it had to wait for those, others were told of its share.
        memory.look_at_share();
        Ok(memory)
    }

    pub(crate) fn page_bytes(&self) -> usize {
        self.pool.owner().page_size()
    }

    pub(crate) fn pool(&self) -> &PagePool {
        &self.pool
    }

    /// The bytes that its owner holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.pool.owner().used_bytes()
    }

    /// The bytes that were written to disk.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.pool.stats().written_bytes
    }

    /// The most bytes of a row with its key.
    pub(crate) fn row_bytes_max(&self) -> usize {
        self.row_bytes_max
    }

    /// The most bytes that the operator may have in memory.
    pub(crate) fn pinned_max(&self) -> usize {
        self.pinned_max
    }

    pub(crate) fn pinned_bytes(&self) -> usize {
        self.pinned_bytes
    }

    /// Whether it has more in memory than it may, since others want their share.
    pub(crate) fn has_too_much(&self) -> bool {
        self.pinned_bytes > self.pinned_max
    }

    /// Looks how much it may have in memory from now on. That looks at other owners as well, so it
    /// is for now and then.
    pub(crate) fn look_around(&mut self) {
        let owner = self.pool.owner();
        self.could_have_bytes = owner.used_bytes() + owner.available_bytes();
        self.look_at_share();
    }

    /// The same, as far as others want a part of what the owner has.
    pub(crate) fn look_at_share(&mut self) {
        let owner = self.pool.owner();
        let share = owner.current_share();
        let keeps_bytes = share.first_bytes.max(share.keeps_bytes);
        // It is as large as what the owner wanted when somebody waited last. So it says something
        // of an owner that has as much, while somebody waits: then what is free is not to be had.
        if keeps_bytes < self.could_have_bytes
            && keeps_bytes <= owner.used_bytes()
            && owner.try_allocate_page().is_err()
        {
            self.could_have_bytes = keeps_bytes;
        }
        let pinned_max = self.pinned_of(self.could_have_bytes);
        self.refused.take_if(|(at, _)| at.elapsed() >= PAUSE_AFTER_REFUSAL);
        let possible = self.refused.map_or(usize::MAX, |(_, pinned_bytes)| pinned_bytes);
        self.pinned_max = pinned_max.min(possible).max(self.pinned_min);
    }

    /// Whether it may have so many bytes more in memory. If not, others are asked for some, as the
    /// policy says.
    fn may_have(&mut self, bytes: usize) -> bool {
        let wanted = self.pinned_bytes + bytes;
        self.look_at_share();
        if wanted <= self.pinned_max.min(self.pinned_of(self.held_bytes())) {
            return true;
        }
        // That needs more than it holds: as much may have been free before, and not now.
        self.look_around();
        if wanted <= self.pinned_max {
            return true;
        }
        if self.refused.is_some() {
            return false;
        }
        if !self.pool.grow(ASKS_FOR_PAGES, PATIENCE_FOR_OTHERS) {
            self.refused = Some((Instant::now(), self.pinned_max));
        }
        self.look_around();
        wanted <= self.pinned_max
    }

    /// How much of so many bytes of the owner it may have in memory.
    fn pinned_of(&self, bytes: usize) -> usize {
        let kept = (self.kept_max + 1) * self.page_bytes();
        let pages = bytes.saturating_sub(self.booked_bytes);
        (pages / 4 * PINNED_QUARTERS).saturating_sub(kept)
    }

    /// What it could have for pages.
    fn share(&self) -> usize {
        self.could_have_bytes.saturating_sub(self.booked_bytes)
    }

    /// Into how many partitions falls apart what wants so many bytes: twice as many as must be,
    /// since they differ in size; but each takes a page.
    pub(crate) fn partitions_for(&self, bytes: usize) -> usize {
        let pages = self.pinned_max / self.page_bytes();
        (2 * bytes / self.pinned_max.max(1)).min(pages / 4).max(2)
    }

    /// # Errors
    ///
    /// [`OperatorError::RowTooLarge`] for a key and a value of more bytes than a row may have.
    #[inline]
    pub(crate) fn check_row(&self, key: usize, value: usize) -> Result<(), OperatorError> {
        let (bytes, bytes_max) = (key.saturating_add(value), self.row_bytes_max);
        match bytes > bytes_max {
            true => Err(OperatorError::RowTooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    /// Whether somebody asked for a stop.
    pub(crate) fn check(&self) -> Result<(), OperatorError> {
        if self.interrupt.is_set() { Err(OperatorError::Interrupted) } else { Ok(()) }
    }

    /// A page in memory for `bytes`, with anything in it; `None` if it has as much as it may.
    pub(crate) fn page(&mut self, bytes: usize) -> Result<Option<PinnedPage>, OperatorError> {
        let bytes = bytes.next_multiple_of(self.page_bytes());
        if !self.may_have(bytes) {
            return Ok(None);
        }
        let page = self.pin_if_soon(bytes)?;
        if page.is_none() {
            self.refused = Some((Instant::now(), self.pinned_bytes));
            self.look_at_share();
        }
        Ok(page)
    }

    /// So many pages of the region, each by itself; `None` if it may not have all of them.
    pub(crate) fn pages(&mut self, count: usize) -> Result<Option<Vec<PinnedPage>>, OperatorError> {
        let mut pages = Vec::with_capacity(count);
        while pages.len() < count {
            match self.page(self.page_bytes())? {
                Some(page) => pages.push(page),
                None => {
                    pages.into_iter().for_each(|page| self.release(page));
                    return Ok(None);
                }
            }
        }
        Ok(Some(pages))
    }

    /// A page of the region without which there is nothing to be done.
    pub(crate) fn first_page(&mut self) -> Result<PinnedPage, OperatorError> {
        let bytes = self.page_bytes();
        match self.page(bytes)? {
            Some(page) => Ok(page),
            None => self.last_page(bytes),
        }
    }

    /// The same for an operator that has nothing left to do without.
    pub(crate) fn last_page(&mut self, bytes: usize) -> Result<PinnedPage, OperatorError> {
        if bytes <= self.page_bytes()
            && let Some(page) = self.kept.pop()
        {
            self.pinned_bytes += page.len();
            return Ok(page);
        }
        Ok(self.pin_new(bytes, None)?)
    }

    /// A page beyond what the operator may have, if there is one soon.
    pub(crate) fn extra_page(&mut self, bytes: usize) -> Result<Option<PinnedPage>, OperatorError> {
        if bytes <= self.page_bytes()
            && let Some(page) = self.kept.pop()
        {
            self.pinned_bytes += page.len();
            return Ok(Some(page));
        }
        self.pin_if_soon(bytes)
    }

    /// Takes a page to memory that may be on disk; if the operator has as much as it may, gives it
    /// back.
    pub(crate) fn take(&mut self, page: Page) -> Result<Result<PinnedPage, Page>, OperatorError> {
        let bytes = page.size();
        if !self.may_have(bytes) {
            return Ok(Err(page));
        }
        let page = match page.try_pin() {
            Ok(page) => {
                self.pinned_bytes += bytes;
                return Ok(Ok(page));
            }
            Err(page) => page,
        };
        match self.page(bytes)? {
            Some(target) => copied(&page, target).map(Ok),
            None => Ok(Err(page)),
        }
    }

    /// The same for an operator that has nothing left to do without.
    pub(crate) fn take_last(&mut self, page: Page) -> Result<PinnedPage, OperatorError> {
        let bytes = page.size();
        match page.try_pin() {
            Ok(page) => {
                self.pinned_bytes += bytes;
                Ok(page)
            }
            Err(page) => copied(&page, self.last_page(bytes)?),
        }
    }

    /// The page to read others through, to be [given back](Self::set_buffer).
    pub(crate) fn buffer(&mut self) -> Option<PinnedPage> {
        self.buffer.take()
    }

    pub(crate) fn set_buffer(&mut self, buffer: Option<PinnedPage>) {
        self.buffer = buffer.or(self.buffer.take());
    }

    /// Takes a page to keep, without which there is no operator.
    fn keep_first(&mut self) -> Result<(), PagingError> {
        let page = self.pin_new(self.page_bytes(), None)?;
        self.pinned_bytes -= page.len();
        self.kept.push(page);
        Ok(())
    }

    /// The page need not be in memory.
    pub(crate) fn unpin(&mut self, page: PinnedPage) -> Page {
        self.pinned_bytes -= page.len();
        page.unpin()
    }

    /// What is on the page is of no use any more.
    pub(crate) fn release(&mut self, page: PinnedPage) {
        self.pinned_bytes -= page.len();
        if self.kept.len() < self.kept_max && page.len() == self.page_bytes() {
            self.kept.push(page);
        }
    }

    /// Takes pages to keep, as far as they are to be had. To be called when others were unpinned.
    pub(crate) fn keep(&mut self) {
        while self.kept.len() < self.kept_max {
            let Ok(Some(page)) = self.pin_if_soon(self.page_bytes()) else { break };
            self.pinned_bytes -= page.len();
            self.kept.push(page);
        }
    }

    /// A page that is there soon: at once, if it waited in vain not long ago.
    fn pin_if_soon(&mut self, bytes: usize) -> Result<Option<PinnedPage>, OperatorError> {
        self.refused.take_if(|(at, _)| at.elapsed() >= PAUSE_AFTER_REFUSAL);
        let patience = match self.refused {
            Some(_) => Duration::ZERO,
            None => PATIENCE_FOR_MORE,
        };
        match self.pin_new(bytes, Some(patience)) {
            Ok(page) => Ok(Some(page)),
            Err(PagingError::AllPinned { .. }) => {
                self.refused.get_or_insert_with(|| (Instant::now(), self.pinned_max));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the patience that was set, or for `patience`.
    fn pin_new(
        &mut self,
        bytes: usize,
        patience: Option<Duration>,
    ) -> Result<PinnedPage, PagingError> {
        let count = bytes.div_ceil(self.page_bytes());
        let page = match patience {
            Some(patience) => self.pool.allocate_pages_timeout(count, patience)?,
            None => self.pool.allocate_pages(count)?,
        };
        let page = page.pin().map_err(|error| error.source)?;
        self.pinned_bytes += page.len();
        Ok(page)
    }
}

/// The page, in `target` from now on.
fn copied(page: &Page, mut target: PinnedPage) -> Result<PinnedPage, OperatorError> {
    page.read_into(&mut target)?;
    Ok(target)
}
