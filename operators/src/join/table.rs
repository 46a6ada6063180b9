//! Rows of one side in memory, found by their keys.
//!
//! Rows of one key are a chain: the index leads to the first one, and the value of each begins with
//! the place of the next one. So a key with many rows costs no more than others.

use offheap_paging::Page;

use crate::OperatorError;
use crate::rows::index::{Found, Index, Place};
use crate::rows::memory::Memory;
use crate::rows::page::{PAGE_HEADER_BYTES, RowPage};
use crate::rows::row::Row;

/// The bytes of a value before the row: the next one of the key, or a mark.
pub(super) const LINK_BYTES: usize = 8;

/// Pages of rows in memory, and their index.
pub(super) struct JoinTable {
    index: Index,
    /// Each with the number of its partition.
    pages: Vec<(usize, RowPage)>,
}

/// What became of a page.
pub(super) enum Added {
    Yes,
    /// The index has no memory for its rows.
    No(RowPage),
}

impl JoinTable {
    /// # Errors
    ///
    /// If there is no page for the index.
    pub(super) fn new(memory: &mut Memory) -> Result<Self, OperatorError> {
        let page = memory.first_page()?;
        Ok(Self { index: Index::new(page), pages: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Adds the rows of a page. To an empty table it can always be added.
    pub(super) fn add(
        &mut self,
        memory: &mut Memory,
        partition: usize,
        page: RowPage,
    ) -> Result<Added, OperatorError> {
        while !self.index.has_room_for(page.row_count() as usize) {
            if !self.extend_index(memory)? {
                return Ok(Added::No(page));
            }
        }
        self.pages.push((partition, page));
        self.link(self.pages.len() - 1);
        Ok(Added::Yes)
    }

    /// Calls `each` for the rows of a key, until it says that it has enough. Whether there are any.
    #[inline]
    pub(super) fn probe(&self, hash: u64, key: &[u8], mut each: impl FnMut(&[u8]) -> bool) -> bool {
        let Found::Row(first) = self.index.find(hash, |place| self.is(place, hash, key)) else {
            return false;
        };
        let mut next = Some(first);
        while let Some(place) = next {
            let value = self.row(place).value();
            if !each(&value[LINK_BYTES..]) {
                break;
            }
            next = link_of(value);
        }
        true
    }

    /// The rows of a partition, and the bytes of its pages.
    pub(super) fn size_of(&self, number: usize) -> (u64, usize) {
        let pages = self.pages.iter().filter(|(of, _)| *of == number).map(|(_, page)| page);
        let sizes = pages.map(|page| (u64::from(page.row_count()), page.size()));
        sizes.fold((0, 0), |(rows, bytes), (more, size)| (rows + more, bytes + size))
    }

    /// Takes a partition out of memory: its pages may go to disk.
    pub(super) fn remove(&mut self, memory: &mut Memory, number: usize) -> Vec<Page> {
        let (mut out, mut left) = (Vec::new(), Vec::new());
        for (of, page) in std::mem::take(&mut self.pages) {
            match of == number {
                true => out.push(memory.unpin(page.into_page())),
                false => left.push((of, page)),
            }
        }
        self.pages = left;
        match self.pages.is_empty() {
            true => self.index.shrink(1).into_iter().for_each(|page| memory.release(page)),
            false => self.index.clear(),
        }
        (0..self.pages.len()).for_each(|page| self.link(page));
        out
    }

    /// The partition whose pages came last.
    pub(super) fn last_partition(&self) -> Option<usize> {
        self.pages.last().map(|(partition, _)| *partition)
    }

    /// Gives its memory up with the rows.
    pub(super) fn release(self, memory: &mut Memory) {
        let pages = self.pages.into_iter().map(|(_, page)| page.into_page());
        pages.chain(self.index.into_pages()).for_each(|page| memory.release(page));
    }

    fn row(&self, place: Place) -> Row<'_> {
        self.pages[place.page].1.row(place.offset)
    }

    #[inline]
    fn is(&self, place: Place, hash: u64, key: &[u8]) -> bool {
        let row = self.row(place);
        row.hash() == hash && row.key() == key
    }

    /// Puts all rows of a page in front of the chains of their keys.
    fn link(&mut self, page: usize) {
        let mut offset = PAGE_HEADER_BYTES;
        while self.pages[page].1.has_row_at(offset) {
            let row = self.pages[page].1.row(offset);
            let (hash, size) = (row.hash(), row.size());
            let place = Place { page, offset };
            let next = match self.index.find(hash, |other| self.is(other, hash, row.key())) {
                Found::Row(first) => {
                    self.index.replace(hash, first, place);
                    first.to_bits()
                }
                Found::Free(at) => {
                    self.index.insert(at, hash, place);
                    0
                }
            };
            let value = self.pages[page].1.value_mut(offset);
            value[..LINK_BYTES].copy_from_slice(&next.to_le_bytes());
            offset += size;
        }
    }

    fn extend_index(&mut self, memory: &mut Memory) -> Result<bool, OperatorError> {
        let Some(pages) = memory.pages(self.index.pages_to_extend())? else { return Ok(false) };
        self.index.extend(pages);
        (0..self.pages.len()).for_each(|page| self.link(page));
        Ok(true)
    }
}

fn link_of(value: &[u8]) -> Option<Place> {
    Place::from_bits(value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}
