//! Where held segments carry a pattern, to be found as it was when they are released.

/// The bytes at each end of a page that are marked when not all of them are.
const EDGE_BYTES: usize = 64;
/// Compared with at a time.
const STRIP_BYTES: usize = 4096;

/// Which bytes of a segment are marked, and looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marking {
    page_bytes: usize,
    edge_bytes: usize,
}

impl Marking {
    /// Every byte.
    pub(crate) fn whole(page_bytes: usize) -> Self {
        Self { page_bytes, edge_bytes: page_bytes / 2 }
    }

    /// The first and the last bytes of each page: enough to see two holders, or another page.
    pub(crate) fn edges(page_bytes: usize) -> Self {
        Self { page_bytes, edge_bytes: EDGE_BYTES }
    }

    pub(crate) fn mark(self, bytes: &mut [u8], pattern: u8) {
        let Self { page_bytes, edge_bytes } = self;
        for page in bytes.chunks_exact_mut(page_bytes) {
            page[..edge_bytes].fill(pattern);
            page[page_bytes - edge_bytes..].fill(pattern);
        }
    }

    pub(crate) fn is_marked(self, bytes: &[u8], pattern: u8) -> bool {
        let Self { page_bytes, edge_bytes } = self;
        let expected = [pattern; STRIP_BYTES];
        let is_filled =
            |edge: &[u8]| edge.chunks(STRIP_BYTES).all(|strip| *strip == expected[..strip.len()]);
        bytes.chunks_exact(page_bytes).all(|page| {
            is_filled(&page[..edge_bytes]) && is_filled(&page[page_bytes - edge_bytes..])
        })
    }
}
