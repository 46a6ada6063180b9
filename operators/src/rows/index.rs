//! An index from hashes to rows in memory: open addressing on pages that chain.
//!
//! ```text
//! slot:   63 ....... 48  47 ................. 17  16 ............... 0
//!         | salt       | page and one, or none  | offset, in eights  |
//! ```

use offheap_paging::PinnedPage;

use super::hash::salt;
use super::row::ALIGN_BYTES;

const SLOT_BYTES: usize = 8;
const SALT_MASK: u64 = 0xffff << 48;
const OFFSET_BITS: u32 = 17;

/// The bytes of an index for so many rows, at most: it is a quarter full at least, but for those
/// of one page.
pub(crate) fn index_bytes(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX).saturating_mul(4 * SLOT_BYTES)
}

/// Where a row lies: the number of its page among those in memory, and the byte that it begins at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) page: usize,
    pub(crate) offset: usize,
}

/// What a walk came to.
pub(crate) enum Found {
    Row(Place),
    /// There is none. It would go to this slot.
    Free(usize),
}

/// Slots on pages, of which there is a power of two.
pub(crate) struct Index {
    pages: Vec<PinnedPage>,
    /// The binary logarithm of the slots of a page.
    page_shift: u32,
    mask: usize,
    used: usize,
}

impl Place {
    /// Rows begin before this byte of their page: that of the largest pages, and of blocks of more.
    pub(crate) const OFFSET_END: usize = ALIGN_BYTES << OFFSET_BITS;

    /// As a number of 48 bits, which is not zero.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        (self.page as u64 + 1) << OFFSET_BITS | (self.offset / ALIGN_BYTES) as u64
    }

    /// The place with these bits; `None` if all are zero.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let page = (bits >> OFFSET_BITS).checked_sub(1)?;
        let offset = bits & ((1 << OFFSET_BITS) - 1);
        #[expect(clippy::cast_possible_truncation, reason = "it was made of numbers of this size")]
        let place = Self { page: page as usize, offset: offset as usize * ALIGN_BYTES };
        Some(place)
    }
}

impl Index {
    /// An index on one page, without rows.
    pub(crate) fn new(page: PinnedPage) -> Self {
        let slots = page.len() / SLOT_BYTES;
        let page_shift = slots.trailing_zeros();
        let mut index = Self { pages: vec![page], page_shift, mask: slots - 1, used: 0 };
        index.clear();
        index
    }

    /// Whether it is as full as it may be: then it is to be [extended](Self::extend), or cleared.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.used * 2 > self.mask
    }

    /// Whether it takes so many more rows, if each has a key of its own.
    pub(crate) fn has_room_for(&self, rows: usize) -> bool {
        (self.used + rows) * 2 <= self.mask + 1
    }

    /// The pages of which it becomes twice as large.
    pub(crate) fn pages_to_extend(&self) -> usize {
        self.pages.len()
    }

    /// Takes [as many pages](Self::pages_to_extend), and forgets all rows: the caller inserts them
    /// anew.
    pub(crate) fn extend(&mut self, pages: Vec<PinnedPage>) {
        debug_assert_eq!(pages.len(), self.pages.len());
        self.pages.extend(pages);
        self.mask = (self.pages.len() << self.page_shift) - 1;
        self.clear();
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.pages.iter_mut().for_each(|page| page.fill(0));
        self.used = 0;
    }

    /// Gives its pages up, all but `left`, and forgets all rows.
    pub(crate) fn shrink(&mut self, left: usize) -> Vec<PinnedPage> {
        debug_assert!(left.is_power_of_two() && left <= self.pages.len());
        let pages = self.pages.split_off(left);
        self.mask = (left << self.page_shift) - 1;
        self.clear();
        pages
    }

    pub(crate) fn into_pages(self) -> Vec<PinnedPage> {
        self.pages
    }

    /// The first row of this salt for which `is_it`, from the place of the hash on.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(Place) -> bool) -> Found {
        let salt = salt(hash);
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the low bits")]
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slot(at);
            let Some(place) = Place::from_bits(slot & !SALT_MASK) else { return Found::Free(at) };
            if slot & SALT_MASK == salt && is_it(place) {
                return Found::Row(place);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Notes a row in a slot that was found [free](Found::Free) for its hash.
    #[inline]
    pub(crate) fn insert(&mut self, at: usize, hash: u64, place: Place) {
        self.used += 1;
        self.set(at, salt(hash) | place.to_bits());
    }

    /// Has another row stand in the slot of one that was found.
    #[inline]
    pub(crate) fn replace(&mut self, hash: u64, old: Place, new: Place) {
        let (old, new) = (salt(hash) | old.to_bits(), salt(hash) | new.to_bits());
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the low bits")]
        let mut at = hash as usize & self.mask;
        loop {
            match self.slot(at) {
                0 => return,
                slot if slot == old => return self.set(at, new),
                _ => at = (at + 1) & self.mask,
            }
        }
    }

    /// What the slot has at which the walk of a hash begins; `None` if it is free.
    #[inline]
    pub(crate) fn first(&self, hash: u64) -> Option<Place> {
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the low bits")]
        let slot = self.slot(hash as usize & self.mask);
        Place::from_bits(slot & !SALT_MASK)
    }

    #[inline]
    fn slot(&self, at: usize) -> u64 {
        let (page, byte) = self.locate(at);
        let bytes = self.pages[page].get(byte..byte + SLOT_BYTES);
        bytes.and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn set(&mut self, at: usize, slot: u64) {
        let (page, byte) = self.locate(at);
        self.pages[page][byte..byte + SLOT_BYTES].copy_from_slice(&slot.to_le_bytes());
    }

    #[inline]
    fn locate(&self, at: usize) -> (usize, usize) {
        let page = at >> self.page_shift;
        (page, (at - (page << self.page_shift)) * SLOT_BYTES)
    }
}
