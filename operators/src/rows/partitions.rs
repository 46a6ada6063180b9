//! Rows by their hashes, on pages that chain: those that are full may go to disk.

use offheap_paging::Page;

use super::hash::Level;
use super::memory::Memory;
use super::page::{PAGE_HEADER_BYTES, RowPage};
use super::row::Row;
use crate::OperatorError;

/// The rows of some hashes.
#[derive(Default)]
pub(crate) struct Partition {
    /// Pages that may be on disk.
    pub(crate) pages: Vec<Page>,
    /// The bytes of all of its pages.
    pub(crate) bytes: usize,
    pub(crate) rows: u64,
}

/// Rows that are added to the partitions of one level.
pub(crate) struct Partitions {
    level: Level,
    parts: Vec<Partition>,
    /// The page of each that is being filled.
    open: Vec<Option<RowPage>>,
}

impl Partition {
    /// Adds a page with so many rows, which may go to disk from now on.
    pub(crate) fn push(&mut self, page: Page, rows: u64) {
        self.bytes += page.size();
        self.rows += rows;
        self.pages.push(page);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

impl Partitions {
    pub(crate) fn new(level: Level) -> Self {
        let count = level.partitions();
        let mut open = Vec::with_capacity(count);
        open.resize_with(count, || None);
        let mut parts = Vec::with_capacity(count);
        parts.resize_with(count, Partition::default);
        Self { level, parts, open }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Adds a row, to be filled in by `fill`.
    ///
    /// # Errors
    ///
    /// If there is no page for it.
    #[inline]
    pub(crate) fn push(
        &mut self,
        memory: &mut Memory,
        (hash, key): (u64, &[u8]),
        value: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), OperatorError> {
        let bytes = super::row::row_bytes(key.len(), value);
        let page = self.page_for(memory, self.level.partition(hash), bytes)?;
        page.push(hash, key, value, fill);
        Ok(())
    }

    /// Adds a row as it lies on another page.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    #[inline]
    pub(crate) fn push_row(
        &mut self,
        memory: &mut Memory,
        row: Row<'_>,
    ) -> Result<(), OperatorError> {
        let partition = self.level.partition(row.hash());
        self.page_for(memory, partition, row.size())?.push_row(row);
        Ok(())
    }

    #[inline]
    fn page_for(
        &mut self,
        memory: &mut Memory,
        partition: usize,
        bytes: usize,
    ) -> Result<&mut RowPage, OperatorError> {
        let has_room = self.open[partition].as_ref().is_some_and(|page| page.has_room(bytes));
        if !has_room {
            self.next_page(memory, partition, bytes)?;
        }
        // There is one since the step above.
        self.open[partition].as_mut().ok_or(OperatorError::Lost)
    }

    #[cold]
    fn next_page(
        &mut self,
        memory: &mut Memory,
        partition: usize,
        bytes: usize,
    ) -> Result<(), OperatorError> {
        memory.check()?;
        self.close(memory, partition);
        let bytes = bytes + PAGE_HEADER_BYTES;
        // A page for each partition is the least to work with.
        let page = match memory.page(bytes)? {
            Some(page) => Some(page),
            None => memory.extra_page(bytes)?,
        };
        let page = match page {
            Some(page) => page,
            None => {
                // Some pages go half empty, which costs room on disk.
                self.close_all(memory);
                memory.last_page(bytes)?
            }
        };
        self.open[partition] = Some(RowPage::new(page));
        Ok(())
    }

    /// Whether the partition takes a row without more memory than the operator may have.
    pub(crate) fn make_room(
        &mut self,
        memory: &mut Memory,
        partition: usize,
        bytes: usize,
    ) -> Result<bool, OperatorError> {
        if self.open[partition].as_ref().is_some_and(|page| page.has_room(bytes)) {
            return Ok(true);
        }
        self.close(memory, partition);
        let page = memory.page(bytes + PAGE_HEADER_BYTES)?;
        self.open[partition] = page.map(RowPage::new);
        Ok(self.open[partition].is_some())
    }

    fn close(&mut self, memory: &mut Memory, partition: usize) {
        if let Some(page) = self.open[partition].take() {
            let rows = u64::from(page.row_count());
            let page = memory.unpin(page.into_page());
            self.parts[partition].push(page, rows);
        }
    }

    /// Lets all pages go to disk that are being filled.
    pub(crate) fn close_all(&mut self, memory: &mut Memory) {
        (0..self.open.len()).for_each(|partition| self.close(memory, partition));
    }

    /// The partitions, of which no page is in memory for certain.
    pub(crate) fn finish(mut self, memory: &mut Memory) -> Vec<Partition> {
        self.close_all(memory);
        self.parts
    }
}
