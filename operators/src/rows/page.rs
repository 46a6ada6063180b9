//! A page of rows.

use offheap_paging::PinnedPage;

use super::index::Place;
use super::row::{self, Row, row_bytes};

/// The bytes before the first row.
pub(crate) const PAGE_HEADER_BYTES: usize = 8;

/// A page in memory that rows are added to.
pub(crate) struct RowPage {
    page: PinnedPage,
    filled: usize,
    rows: u32,
}

impl RowPage {
    /// A page without rows.
    pub(crate) fn new(page: PinnedPage) -> Self {
        let mut new = Self { page, filled: PAGE_HEADER_BYTES, rows: 0 };
        new.note();
        new
    }

    /// One with the rows that it has.
    pub(crate) fn with_rows(page: PinnedPage) -> Self {
        let (filled, rows) = header(&page);
        Self { page, filled, rows }
    }

    /// Whether it takes a row of so many bytes. Rows begin where a [place](Place) can say it.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.filled + bytes <= self.page.len() && self.filled < Place::OFFSET_END
    }

    /// Adds a row, for which there is room, with a value of so many bytes that `fill` is to write.
    /// Returns where it begins.
    #[inline]
    pub(crate) fn push(
        &mut self,
        hash: u64,
        key: &[u8],
        value: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> usize {
        let at = self.filled;
        row::write(&mut self.page[at..], hash, key, value, fill);
        self.filled += row_bytes(key.len(), value);
        self.rows += 1;
        self.note();
        at
    }

    /// Adds a row as it lies on another page.
    #[inline]
    pub(crate) fn push_row(&mut self, row: Row<'_>) -> usize {
        let value = row.value();
        self.push(row.hash(), row.key(), value.len(), |target| target.copy_from_slice(value))
    }

    /// Whether there is a row at this place, which is where one ends or the first one begins.
    #[inline]
    pub(crate) fn has_row_at(&self, at: usize) -> bool {
        at < self.filled
    }

    #[inline]
    pub(crate) fn row(&self, at: usize) -> Row<'_> {
        Row::at(&self.page[at..])
    }

    /// The value of a row, to be changed.
    #[inline]
    pub(crate) fn value_mut(&mut self, at: usize) -> &mut [u8] {
        row::value_mut(&mut self.page[at..])
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        rows_of(&self.page)
    }

    pub(crate) fn row_count(&self) -> u32 {
        self.rows
    }

    /// The bytes of the page, filled or not.
    pub(crate) fn size(&self) -> usize {
        self.page.len()
    }

    pub(crate) fn into_page(self) -> PinnedPage {
        self.page
    }

    #[inline]
    fn note(&mut self) {
        #[expect(clippy::cast_possible_truncation, reason = "a block of pages is below 4 GiB")]
        let filled = self.filled as u32;
        let header = u64::from(filled) | u64::from(self.rows) << 32;
        self.page[..PAGE_HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    }
}

/// The bytes that are filled, and the rows, of the page that these are.
fn header(bytes: &[u8]) -> (usize, u32) {
    let header = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken one by one")]
    let (filled, rows) = (header as u32 as usize, (header >> 32) as u32);
    (filled, rows)
}

/// The rows of a page, each with where it begins.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The rows of the page that these bytes are.
pub(crate) fn rows_of(bytes: &[u8]) -> Rows<'_> {
    let (filled, _) = header(bytes);
    Rows { bytes: &bytes[..filled.min(bytes.len())], at: PAGE_HEADER_BYTES }
}

impl<'a> Iterator for Rows<'a> {
    type Item = (usize, Row<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if at >= self.bytes.len() {
            return None;
        }
        let row = Row::at(&self.bytes[at..]);
        self.at += row.size();
        Some((at, row))
    }
}
