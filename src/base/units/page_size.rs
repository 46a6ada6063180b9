//! The size of a page, and what that makes of pages and bytes.

use crate::base::error::ConfigError;
use crate::base::limits::{PAGE_BYTES_MAX, PAGE_BYTES_MIN};

use super::mask::PAGES_PER_CHUNK;
use super::pages::PageCount;

/// The size of a page: a power of two from 4 KiB to 1 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageSize {
    shift: u32,
}

impl PageSize {
    pub(crate) fn new(bytes: usize) -> Result<Self, ConfigError> {
        let in_range = (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&bytes);
        if !in_range || !bytes.is_power_of_two() {
            return Err(ConfigError::PageSize { page_bytes: bytes });
        }
        Ok(Self { shift: bytes.trailing_zeros() })
    }

    #[inline]
    pub(crate) const fn bytes(self) -> usize {
        1 << self.shift
    }

    /// The bytes of a chunk of such pages.
    pub(crate) const fn chunk_bytes(self) -> usize {
        self.bytes() * PAGES_PER_CHUNK as usize
    }

    /// The bytes of `pages`.
    #[inline]
    pub(crate) const fn bytes_of(self, pages: PageCount) -> usize {
        (pages.get() as usize) << self.shift
    }

    /// The fewest pages that hold `bytes`; `None` if that is more than a region can have.
    #[inline]
    pub(crate) fn pages_to_hold(self, bytes: usize) -> Option<PageCount> {
        u32::try_from(bytes.div_ceil(self.bytes())).ok().map(PageCount::new)
    }

    /// The most pages that `bytes` hold; `None` if that is more than a region can have.
    #[inline]
    pub(crate) fn pages_within(self, bytes: usize) -> Option<PageCount> {
        u32::try_from(bytes >> self.shift).ok().map(PageCount::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_a_power_of_two_in_range() {
        for shift in 0..usize::BITS {
            let bytes = 1_usize << shift;
            assert_eq!(PageSize::new(bytes).is_ok(), (12..=20).contains(&shift), "{bytes}");
        }
        for bytes in [0, 4095, 4097, 3 << 12, (1 << 20) - 1, (1 << 20) + 1, usize::MAX] {
            assert!(PageSize::new(bytes).is_err(), "{bytes}");
        }
    }

    #[test]
    fn bytes_round_up_to_pages_to_hold_and_down_to_pages_within() {
        let size = PageSize::new(4096).unwrap();
        for (bytes, hold, within) in
            [(0, 0, 0), (1, 1, 0), (4095, 1, 0), (4096, 1, 1), (4097, 2, 1)]
        {
            assert_eq!(size.pages_to_hold(bytes), Some(PageCount::new(hold)), "{bytes}");
            assert_eq!(size.pages_within(bytes), Some(PageCount::new(within)), "{bytes}");
        }
        assert_eq!(size.pages_to_hold(usize::MAX), None);
        assert_eq!(size.bytes_of(PageCount::new(u32::MAX)), (u32::MAX as usize) * 4096);
        assert_eq!(size.chunk_bytes(), size.bytes_of(PageCount::new(64)));
    }
}
