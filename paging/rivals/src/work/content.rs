//! What pages contain: words that tell the page and its version, so that one sum checks a page.

/// One step from a word to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a page turned out to contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    Right,
    /// All of an older version: a cache that drops what it cannot write gives that.
    Older,
    Wrong,
}

/// The pages of one thread, and which version each is in.
pub struct Content {
    salt: u64,
    versions: Vec<u32>,
}

impl Content {
    /// `pages` pages in version 0. Pages under another `salt` are different.
    #[must_use]
    pub fn new(salt: u64, pages: usize) -> Self {
        Self { salt, versions: vec![0; pages] }
    }

    #[must_use]
    pub fn pages(&self) -> usize {
        self.versions.len()
    }

    /// Writes `page` as it is now.
    pub fn fill(&self, page: usize, bytes: &mut [u8]) {
        let mut word = self.first_word(page, self.versions[page]);
        for place in bytes.chunks_exact_mut(8) {
            place.copy_from_slice(&word.to_le_bytes());
            word = word.wrapping_add(STEP);
        }
    }

    /// Sums the whole of `page`.
    #[must_use]
    pub fn seen(&self, page: usize, bytes: &[u8]) -> Seen {
        let mut sum = 0_u64;
        for place in bytes.chunks_exact(8) {
            sum = sum.wrapping_add(word_of(place));
        }
        self.judge(page, ends(bytes), sum, bytes.len() / 8)
    }

    #[must_use]
    pub fn is_right(&self, page: usize, bytes: &[u8]) -> bool {
        self.seen(page, bytes) == Seen::Right
    }

    /// Looks at the first and the last word of `page` only.
    #[must_use]
    pub fn is_right_at_the_ends(&self, page: usize, bytes: &[u8]) -> bool {
        let first = self.first_word(page, self.versions[page]);
        ends(bytes) == (first, last_word(first, bytes.len() / 8))
    }

    /// Sums the whole of `page`, and brings it to the next version.
    #[must_use]
    pub fn change(&mut self, page: usize, bytes: &mut [u8]) -> Seen {
        let ends = ends(bytes);
        let version = self.versions[page];
        let next = self.first_word(page, version.wrapping_add(1));
        let added = next.wrapping_sub(self.first_word(page, version));
        let mut sum = 0_u64;
        for place in bytes.chunks_exact_mut(8) {
            let word = word_of(place);
            sum = sum.wrapping_add(word);
            place.copy_from_slice(&word.wrapping_add(added).to_le_bytes());
        }
        let seen = self.judge(page, ends, sum, bytes.len() / 8);
        self.versions[page] = version.wrapping_add(1);
        seen
    }

    /// What it means that `words` words begin and end with `ends`, and have this sum.
    fn judge(&self, page: usize, ends: (u64, u64), sum: u64, words: usize) -> Seen {
        let is_of = |version| {
            let first = self.first_word(page, version);
            ends == (first, last_word(first, words)) && sum == sum_of(first, words)
        };
        let version = self.versions[page];
        match () {
            () if is_of(version) => Seen::Right,
            () if (0..version).any(is_of) => Seen::Older,
            () => Seen::Wrong,
        }
    }

    fn first_word(&self, page: usize, version: u32) -> u64 {
        let mixed = (self.salt ^ page as u64).wrapping_mul(STEP) ^ u64::from(version) << 32;
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

fn last_word(first: u64, words: usize) -> u64 {
    first.wrapping_add(STEP.wrapping_mul(words as u64 - 1))
}

fn sum_of(first: u64, words: usize) -> u64 {
    let words = words as u64;
    let steps = (words * (words - 1) / 2).wrapping_mul(STEP);
    first.wrapping_mul(words).wrapping_add(steps)
}

/// The first and the last word.
fn ends(bytes: &[u8]) -> (u64, u64) {
    (word_of(&bytes[..8]), word_of(&bytes[bytes.len() - 8..]))
}

/// `bytes` are eight.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_right_until_any_word_differs() {
        let mut content = Content::new(7, 3);
        let mut bytes = vec![0; 4096];
        content.fill(2, &mut bytes);
        assert!(content.is_right(2, &bytes) && !content.is_right(1, &bytes));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(!content.is_right(2, &bytes), "byte {at}");
            bytes[at] ^= 1;
        }
        assert_eq!(content.change(2, &mut bytes), Seen::Right);
        assert!(content.is_right(2, &bytes));
    }

    #[test]
    fn an_older_version_is_told() {
        let mut content = Content::new(7, 1);
        let mut bytes = vec![0; 4096];
        content.fill(0, &mut bytes);
        let mut older = bytes.clone();
        assert_eq!(content.change(0, &mut bytes), Seen::Right);
        assert_eq!(content.seen(0, &older), Seen::Older);
        assert_eq!(content.change(0, &mut older), Seen::Older);
    }
}
