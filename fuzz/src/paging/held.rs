//! The pages that there are, and what they contain.

use std::sync::Arc;

use offheap_paging::Page;

use crate::bytes::random_bytes;

/// A page, and what it contains.
pub(super) struct Held {
    pub(super) page: Arc<Page>,
    /// The pool that it is of.
    pub(super) pool: usize,
    /// `None` while it was neither read nor written.
    pub(super) content: Option<Vec<u8>>,
}

impl Held {
    pub(super) fn new(page: Page, pool: usize, content: Option<Vec<u8>>) -> Self {
        Self { page: Arc::new(page), pool, content }
    }

    /// Compares what was read; what was unknown is known from now on.
    pub(super) fn check(&mut self, bytes: &[u8]) {
        let expected = self.content.get_or_insert_with(|| bytes.to_vec());
        compare(bytes, expected);
    }
}

/// Fails at the first byte that is another one.
pub(super) fn compare(bytes: &[u8], expected: &[u8]) {
    assert_eq!(bytes.len(), expected.len(), "a page of another size");
    if bytes != expected {
        let at = bytes.iter().zip(expected).position(|(byte, expected)| byte != expected);
        unreachable!("another content from byte {at:?} on, of {}", bytes.len());
    }
}

/// Bytes by a seed: cheap, and other ones in each stretch of 512 bytes.
pub(super) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = random_bytes(seed, length.min(512));
    for number in 1_u64.. {
        if bytes.len() >= length {
            break;
        }
        let start = bytes.len() - 512;
        bytes.extend_from_within(start..);
        let mark = number.to_le_bytes();
        let start = bytes.len() - 512;
        bytes[start..start + 8].copy_from_slice(&mark);
    }
    bytes.truncate(length);
    bytes
}
