//! Groups of one level: those at work in memory, found by an index, and partitions of the others.
//!
//! ```text
//!             index                     hot pages: one of each partition is being filled
//!   hash --> [ slot ] ----------------> [ group | group | ... ]
//!                                         | when memory is full: reset
//!                                         v
//!                           partitions: [ page ][ page ][ page ] ...     in memory or on disk
//! ```
//!
//! A group can be in several pages of its partition, once for each reset between its rows. They
//! are folded into one when the partition is.

use std::hint::black_box;

use offheap_paging::Page;

use super::functions::Aggregate;
use crate::OperatorError;
use crate::rows::hash::Level;
use crate::rows::index::{Found, Index, Place};
use crate::rows::memory::Memory;
use crate::rows::page::{PAGE_HEADER_BYTES, RowPage};
use crate::rows::partitions::Partition;
use crate::rows::row::row_bytes;

/// So many rows are looked up side by side.
pub(super) const ROWS_AT_A_TIME: usize = 32;

/// The groups of one level.
pub(super) struct Table {
    level: Level,
    index: Index,
    hot: Vec<Hot>,
    /// The page of each partition that is being filled, among the hot ones.
    open: Vec<Option<usize>>,
    parts: Vec<Partition>,
    resets: u64,
}

/// A page in memory.
struct Hot {
    partition: usize,
    page: RowPage,
}

/// What a level comes to.
pub(super) enum Folded {
    /// All groups are on these pages, each once.
    Groups(Vec<Page>),
    /// Partitions, of which each has its groups to itself.
    Partitions(Level, Vec<Partition>),
}

impl Table {
    /// # Errors
    ///
    /// If there is no page for the index.
    pub(super) fn new(memory: &mut Memory, level: Level) -> Result<Self, OperatorError> {
        let page = memory.first_page()?;
        let count = level.partitions();
        let mut parts = Vec::with_capacity(count);
        parts.resize_with(count, Partition::default);
        let (index, open) = (Index::new(page), vec![None; count]);
        Ok(Self { level, index, hot: Vec::new(), open, parts, resets: 0 })
    }

    pub(super) fn resets(&self) -> u64 {
        self.resets
    }

    /// Folds a row with this hash, key and input into its group.
    ///
    /// # Errors
    ///
    /// If there is no memory for a new group.
    #[inline]
    pub(super) fn fold_row<A: Aggregate>(
        &mut self,
        aggregate: &A,
        memory: &mut Memory,
        (hash, key, input): (u64, &[u8], &[u8]),
    ) -> Result<(), OperatorError> {
        self.fold(
            memory,
            (hash, key),
            aggregate.state_bytes(),
            |state| aggregate.update(state, input),
            |state| {
                aggregate.init(state);
                aggregate.update(state, input);
            },
        )
    }

    /// Folds the rows that `state` has into their group.
    ///
    /// # Errors
    ///
    /// If there is no memory for a new group.
    #[inline]
    pub(super) fn fold_state<A: Aggregate>(
        &mut self,
        aggregate: &A,
        memory: &mut Memory,
        key: (u64, &[u8]),
        state: &[u8],
    ) -> Result<(), OperatorError> {
        self.fold(
            memory,
            key,
            state.len(),
            |own| aggregate.merge(own, state),
            |own| own.copy_from_slice(state),
        )
    }

    /// Folds a row into its group: `old` changes the state of one that is at work, and `new` fills
    /// that of another one.
    ///
    /// # Errors
    ///
    /// If there is no memory for a new group.
    #[inline]
    fn fold(
        &mut self,
        memory: &mut Memory,
        (hash, key): (u64, &[u8]),
        state_bytes: usize,
        old: impl FnOnce(&mut [u8]),
        new: impl FnOnce(&mut [u8]),
    ) -> Result<(), OperatorError> {
        let mut found = self.find(hash, key);
        if let Found::Free(_) = found {
            let (partition, bytes) = self.wanted(hash, key, state_bytes);
            if self.index.is_full() || !self.has_room(partition, bytes) {
                self.make_room(memory, partition, bytes)?;
                // A larger index has groups again that a reset had it forget.
                found = self.find(hash, key);
            }
        }
        let at = match found {
            Found::Row(place) => {
                old(self.hot[place.page].page.value_mut(place.offset));
                return Ok(());
            }
            Found::Free(at) => at,
        };
        let (partition, _) = self.wanted(hash, key, state_bytes);
        // There is one since the steps above.
        let page = self.open[partition].ok_or(OperatorError::Lost)?;
        let offset = self.hot[page].page.push(hash, key, state_bytes, new);
        self.index.insert(at, hash, Place { page, offset });
        Ok(())
    }

    /// Looks at where the groups of these hashes may be, at all of them before any is used: so the
    /// processor waits for memory once, and not for each.
    pub(super) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let mut places = [None; ROWS_AT_A_TIME];
        for (place, hash) in places.iter_mut().zip(hashes) {
            *place = self.index.first(hash);
        }
        let rows = places.iter().flatten().map(|place| self.hot[place.page].page.row(place.offset));
        black_box(rows.fold(0, |sum, row| sum ^ row.hash()));
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Found {
        self.index.find(hash, |place| {
            let row = self.hot[place.page].page.row(place.offset);
            row.hash() == hash && row.key() == key
        })
    }

    /// The partition of a new group, and the bytes of its row.
    #[inline]
    fn wanted(&self, hash: u64, key: &[u8], state_bytes: usize) -> (usize, usize) {
        (self.level.partition(hash), row_bytes(key.len(), state_bytes))
    }

    #[inline]
    fn has_room(&self, partition: usize, bytes: usize) -> bool {
        self.open[partition].is_some_and(|page| self.hot[page].page.has_room(bytes))
    }

    /// Sees to room for one more group.
    #[cold]
    fn make_room(
        &mut self,
        memory: &mut Memory,
        partition: usize,
        bytes: usize,
    ) -> Result<(), OperatorError> {
        memory.check()?;
        if self.index.is_full() && !self.extend_index(memory)? {
            self.reset(memory);
        }
        if self.has_room(partition, bytes) {
            return Ok(());
        }
        // The page that is full need not stay.
        self.open[partition] = None;
        let bytes = bytes + PAGE_HEADER_BYTES;
        let page = match memory.page(bytes)? {
            Some(page) => page,
            None => {
                self.reset(memory);
                match memory.page(bytes)? {
                    Some(page) => page,
                    None => {
                        self.close_all(memory);
                        memory.last_page(bytes)?
                    }
                }
            }
        };
        self.open[partition] = Some(self.hot.len());
        self.hot.push(Hot { partition, page: RowPage::new(page) });
        Ok(())
    }

    /// Makes the index twice as large, if there is memory for that.
    fn extend_index(&mut self, memory: &mut Memory) -> Result<bool, OperatorError> {
        let Some(pages) = memory.pages(self.index.pages_to_extend())? else { return Ok(false) };
        self.index.extend(pages);
        // Those on pages that are full since before the last reset are on no hot page; those on
        // pages that were open then come in again, which makes them one with later ones.
        for (page, hot) in self.hot.iter().enumerate() {
            for (offset, row) in hot.page.rows() {
                let other = |place: Place| {
                    let other = self.hot[place.page].page.row(place.offset);
                    other.hash() == row.hash() && other.key() == row.key()
                };
                if let Found::Free(at) = self.index.find(row.hash(), other) {
                    self.index.insert(at, row.hash(), Place { page, offset });
                }
            }
        }
        Ok(true)
    }

    /// Lets the full pages go to disk, and forgets where their groups are.
    pub(super) fn reset(&mut self, memory: &mut Memory) {
        self.resets += 1;
        let mut left = Vec::new();
        for (number, hot) in std::mem::take(&mut self.hot).into_iter().enumerate() {
            match self.open[hot.partition] == Some(number) {
                true => left.push(hot),
                false => self.put_away(memory, hot),
            }
        }
        for (number, hot) in left.iter().enumerate() {
            self.open[hot.partition] = Some(number);
        }
        self.hot = left;
        self.index.clear();
        memory.look_around();
        if memory.has_too_much() {
            self.close_all(memory);
            self.index.shrink(1).into_iter().for_each(|page| memory.release(page));
        }
        memory.keep();
    }

    /// Lets all pages go to disk.
    fn close_all(&mut self, memory: &mut Memory) {
        for hot in std::mem::take(&mut self.hot) {
            self.put_away(memory, hot);
        }
        self.open.fill(None);
        self.index.clear();
    }

    fn put_away(&mut self, memory: &mut Memory, hot: Hot) {
        let rows = u64::from(hot.page.row_count());
        let page = memory.unpin(hot.page.into_page());
        self.parts[hot.partition].push(page, rows);
    }

    /// Ends the level.
    pub(super) fn finish(mut self, memory: &mut Memory) -> Folded {
        let groups = self.resets == 0;
        if !groups {
            self.close_all(memory);
        }
        let Self { level, index, hot, parts, .. } = self;
        index.into_pages().into_iter().for_each(|page| memory.release(page));
        match groups {
            true => {
                let pages = hot.into_iter().map(|hot| memory.unpin(hot.page.into_page()));
                Folded::Groups(pages.collect())
            }
            false => Folded::Partitions(level, parts),
        }
    }
}
