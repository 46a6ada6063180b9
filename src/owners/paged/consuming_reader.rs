//! Bytes of segments that are read once: each segment goes back when its last byte was read.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::vec;

use crate::owners::segment::memory_segment::MemorySegment;

/// Reads the bytes of segments once, and gives each segment back as soon as it was read: for a
/// pipeline whose next stage needs the memory.
///
/// Made by [`PageReader::into_consuming`](super::PageReader::into_consuming). It cannot seek.
pub struct ConsumingReader {
    /// Those that are left, the current one first.
    segments: vec::IntoIter<MemorySegment>,
    /// The bytes of the current one that were read.
    read: usize,
    /// The bytes that are still to be read.
    left: usize,
}

impl ConsumingReader {
    /// Reads `left` bytes from `position` on, which these segments have.
    pub(super) fn new(segments: Vec<MemorySegment>, position: usize, left: usize) -> Self {
        let mut reader = Self { segments: segments.into_iter(), read: position, left };
        reader.release_read();
        reader
    }

    /// The bytes that are still to be read.
    #[must_use]
    pub fn left_bytes(&self) -> usize {
        self.left
    }

    /// The bytes that it still holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.segments.as_slice().iter().map(MemorySegment::size).sum()
    }

    /// Gives back all segments that are read to their end, or to the end of all.
    fn release_read(&mut self) {
        while let Some(current) = self.segments.as_slice().first() {
            let size = current.size();
            if self.read < size && self.left > 0 {
                return;
            }
            self.read = self.read.saturating_sub(size);
            drop(self.segments.next());
        }
    }

    fn rest(&self) -> &[u8] {
        let current = self.segments.as_slice().first();
        let rest = current.and_then(|current| current.get(self.read..)).unwrap_or(&[]);
        &rest[..rest.len().min(self.left)]
    }
}

impl Read for ConsumingReader {
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
            self.consume(part);
        }
        Ok(read)
    }
}

impl BufRead for ConsumingReader {
    /// What is left of the current segment; nothing at the end.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest().len());
        self.read += bytes;
        self.left -= bytes;
        self.release_read();
    }
}

impl fmt::Debug for ConsumingReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumingReader")
            .field("left", &self.left)
            .field("held", &self.held_bytes())
            .finish_non_exhaustive()
    }
}
