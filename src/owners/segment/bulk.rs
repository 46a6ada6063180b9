//! Bytes of a segment in bulk: slices, copies, comparisons, streams.

use std::cmp::Ordering;
use std::io::{self, Read, Write};

use crate::base::error::OutOfBounds;

use super::bounds;
use super::memory_segment::MemorySegment;

/// Bytes in bulk.
impl MemorySegment {
    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// If they do not lie within the segment.
    pub fn slice(&self, offset: usize, length: usize) -> Result<&[u8], OutOfBounds> {
        bounds::slice(self, offset, length)
    }

    /// `length` bytes from `offset` on, to write.
    ///
    /// # Errors
    ///
    /// If they do not lie within the segment.
    pub fn slice_mut(&mut self, offset: usize, length: usize) -> Result<&mut [u8], OutOfBounds> {
        bounds::slice_mut(self, offset, length)
    }

    /// Fills `target` with the bytes from `offset` on.
    ///
    /// Flink: `MemorySegment.get`.
    ///
    /// # Errors
    ///
    /// If there are fewer; `target` is then as before.
    pub fn get_bytes(&self, offset: usize, target: &mut [u8]) -> Result<(), OutOfBounds> {
        target.copy_from_slice(self.slice(offset, target.len())?);
        Ok(())
    }

    /// Writes `source` from `offset` on.
    ///
    /// Flink: `MemorySegment.put`.
    ///
    /// # Errors
    ///
    /// If it does not fit; the segment is then as before.
    pub fn put_bytes(&mut self, offset: usize, source: &[u8]) -> Result<(), OutOfBounds> {
        self.slice_mut(offset, source.len())?.copy_from_slice(source);
        Ok(())
    }

    /// Copies `length` bytes from `offset` on to `target`, from `target_offset` on.
    ///
    /// Flink: `MemorySegment.copyTo`.
    ///
    /// # Errors
    ///
    /// If they do not lie within both; nothing is copied then.
    pub fn copy_to(
        &self,
        offset: usize,
        target: &mut Self,
        target_offset: usize,
        length: usize,
    ) -> Result<(), OutOfBounds> {
        let source = self.slice(offset, length)?;
        target.put_bytes(target_offset, source)
    }

    /// Compares `length` bytes from `offset` on with as many of `other`, from `other_offset` on,
    /// byte by byte as unsigned numbers.
    ///
    /// Flink: `MemorySegment.compare`.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn compare(
        &self,
        offset: usize,
        other: &Self,
        other_offset: usize,
        length: usize,
    ) -> Result<Ordering, OutOfBounds> {
        self.compare_lengths(offset, length, other, other_offset, length)
    }

    /// Like [`compare`](Self::compare) with a length for each side: where the shorter one is a
    /// prefix of the longer one, it comes first.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn compare_lengths(
        &self,
        offset: usize,
        length: usize,
        other: &Self,
        other_offset: usize,
        other_length: usize,
    ) -> Result<Ordering, OutOfBounds> {
        Ok(self.slice(offset, length)?.cmp(other.slice(other_offset, other_length)?))
    }

    /// Whether `length` bytes from `offset` on equal those of `other` from `other_offset` on.
    ///
    /// Flink: `MemorySegment.equalTo`.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn equal_to(
        &self,
        offset: usize,
        other: &Self,
        other_offset: usize,
        length: usize,
    ) -> Result<bool, OutOfBounds> {
        Ok(self.slice(offset, length)? == other.slice(other_offset, length)?)
    }

    /// Exchanges `length` bytes from `offset` on with those of `other` from `other_offset` on.
    ///
    /// Flink: `MemorySegment.swapBytes`.
    ///
    /// # Errors
    ///
    /// If they do not lie within both; nothing is exchanged then.
    pub fn swap_bytes(
        &mut self,
        offset: usize,
        other: &mut Self,
        other_offset: usize,
        length: usize,
    ) -> Result<(), OutOfBounds> {
        let mine = self.slice_mut(offset, length)?;
        mine.swap_with_slice(other.slice_mut(other_offset, length)?);
        Ok(())
    }

    /// Reads exactly `length` bytes from `source` and writes them from `offset` on.
    ///
    /// # Blocking
    ///
    /// As long as `source` blocks.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if they do not fit; whatever `source` fails with,
    /// [`io::ErrorKind::UnexpectedEof`] if it ends early. Some of the bytes may then be written.
    pub fn read_from(
        &mut self,
        source: &mut impl Read,
        offset: usize,
        length: usize,
    ) -> io::Result<()> {
        source.read_exact(self.slice_mut(offset, length)?)
    }

    /// Writes `length` bytes from `offset` on to `target`.
    ///
    /// # Blocking
    ///
    /// As long as `target` blocks.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if they do not lie within the segment; whatever `target`
    /// fails with.
    pub fn write_to(
        &self,
        target: &mut impl Write,
        offset: usize,
        length: usize,
    ) -> io::Result<()> {
        target.write_all(self.slice(offset, length)?)
    }
}
