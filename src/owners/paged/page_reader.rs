//! Bytes of segments that are read one after the other, or at any position.

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

use crate::owners::segment::memory_segment::MemorySegment;

use super::chain::{Chain, offset, sought};
use super::consuming_reader::ConsumingReader;

/// Reads the bytes of segments, one segment after the other, as one stream.
///
/// Made of a [`PageWriter`](super::PageWriter), or of segments. As a [`BufRead`] it shows the bytes
/// where they are, up to the end of their segment, and copies none. It holds all segments until it
/// is dropped; [`into_consuming`](Self::into_consuming) gives each back once it was read.
///
/// A position may lie beyond the end: there is nothing to read there.
///
/// Flink: `org.apache.flink.runtime.memory.AbstractPagedInputView`.
pub struct PageReader {
    chain: Chain,
    position: u64,
    len: usize,
}

impl PageReader {
    /// Reads the first `len` bytes of these segments, or all if they have fewer. They may be of any
    /// sizes and owners.
    #[must_use]
    pub fn new(segments: Vec<MemorySegment>, len: usize) -> Self {
        Self::over(Chain::new(segments), len)
    }

    pub(super) fn over(chain: Chain, len: usize) -> Self {
        let len = len.min(chain.size());
        Self { chain, position: 0, len }
    }

    /// The bytes that can be read, from the first one on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that it holds: those of all segments.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.chain.size()
    }

    /// The segments, in order.
    #[must_use]
    pub fn into_segments(self) -> Vec<MemorySegment> {
        self.chain.into_segments()
    }

    /// A reader of what is left, which gives each segment back once it was read: those before the
    /// position at once.
    #[must_use]
    pub fn into_consuming(self) -> ConsumingReader {
        let position = offset(self.position).min(self.len);
        ConsumingReader::new(self.chain.into_segments(), position, self.len - position)
    }

    /// What is left from the position on, to the end of its segment.
    fn rest(&self) -> &[u8] {
        let position = offset(self.position);
        let left = self.len.saturating_sub(position);
        let rest = self.chain.rest_at(position);
        &rest[..rest.len().min(left)]
    }
}

/// All bytes of the segments.
impl From<Vec<MemorySegment>> for PageReader {
    fn from(segments: Vec<MemorySegment>) -> Self {
        Self::new(segments, usize::MAX)
    }
}

impl Read for PageReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < target.len() {
            let rest = self.rest();
            let part = rest.len().min(target.len() - read);
            if part == 0 {
                break;
            }
            target[read..read + part].copy_from_slice(&rest[..part]);
            read += part;
            self.position += part as u64;
        }
        Ok(read)
    }
}

impl BufRead for PageReader {
    /// What is left of the segment at the position; nothing at the end, and beyond.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, bytes: usize) {
        self.position += bytes.min(self.rest().len()) as u64;
    }
}

/// To any position, also beyond the end. One before the beginning is
/// [`InvalidInput`](io::ErrorKind::InvalidInput), and the position stays.
impl Seek for PageReader {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.position = sought(target, self.position, self.len as u64)?;
        Ok(self.position)
    }
}

impl fmt::Debug for PageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageReader")
            .field("position", &self.position)
            .field("len", &self.len)
            .field("held", &self.held_bytes())
            .finish_non_exhaustive()
    }
}
