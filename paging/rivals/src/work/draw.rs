//! Which page is next: uniform, or few of them most of the time.

use clap::ValueEnum;

/// How pages are picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Distribution {
    Uniform,
    /// Zipf with exponent 0.99, as in YCSB; the ranks are scattered over the pages.
    Zipf,
}

/// Numbers that look random, the same in every run.
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.word()) * end as u128) >> 64) as usize
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Draws pages.
pub struct Draw {
    random: Random,
    /// Of each rank, how likely it or a lower one is.
    up_to: Vec<f64>,
    page_of_rank: Vec<usize>,
}

impl Draw {
    #[must_use]
    pub fn new(distribution: Distribution, pages: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut page_of_rank: Vec<usize> = (0..pages).collect();
        for place in (1..pages).rev() {
            page_of_rank.swap(place, random.below(place + 1));
        }
        let mut up_to = Vec::new();
        if distribution == Distribution::Zipf {
            let mut sum = 0.0;
            up_to.extend((1..=pages).map(|rank| {
                sum += (rank as f64).powf(-0.99);
                sum
            }));
            up_to.iter_mut().for_each(|share| *share /= sum);
        }
        Self { random, up_to, page_of_rank }
    }

    pub fn page(&mut self) -> usize {
        if self.up_to.is_empty() {
            return self.random.below(self.page_of_rank.len());
        }
        let fraction = self.random.fraction();
        let rank = self.up_to.partition_point(|&share| share < fraction);
        self.page_of_rank[rank.min(self.page_of_rank.len() - 1)]
    }

    /// True `percent` times of a hundred.
    pub fn happens(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    /// `count` pages, all different. There must be so many.
    pub fn pages(&mut self, count: usize, found: &mut Vec<usize>) {
        found.clear();
        while found.len() < count {
            let page = self.page();
            if !found.contains(&page) {
                found.push(page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_picks_a_hundredth_of_the_pages_most_of_the_time() {
        let share = |distribution| {
            let mut draw = Draw::new(distribution, 10_000, 1);
            let hot: Vec<usize> = draw.page_of_rank[..100].to_vec();
            (0..20_000).filter(|_| hot.contains(&draw.page())).count() as f64 / 20_000.0
        };
        assert!((0.4..0.7).contains(&share(Distribution::Zipf)));
        assert!((0.005..0.02).contains(&share(Distribution::Uniform)));
    }

    #[test]
    fn a_batch_has_no_page_twice() {
        let mut found = Vec::new();
        Draw::new(Distribution::Zipf, 16, 3).pages(16, &mut found);
        found.sort_unstable();
        assert_eq!(found, (0..16).collect::<Vec<_>>());
    }
}
