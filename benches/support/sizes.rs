//! Block sizes and a seeded source of random numbers, the same for every bench.

#![allow(dead_code)] // not every bench uses all of it

/// Which sizes blocks have, from 1 to 128 pages.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// 1, 2, 4 ... 128 pages, equally often.
    PowersOfTwo,
    /// 1 to 128 pages, equally often.
    Any,
}

/// splitmix64 (Steele et al., OOPSLA 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).unwrap_or(0)
    }

    pub fn pages(&mut self, sizes: Sizes) -> usize {
        match sizes {
            Sizes::PowersOfTwo => 1 << self.below(8),
            Sizes::Any => 1 + self.below(128),
        }
    }
}
