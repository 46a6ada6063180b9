//! Segments one behind the other, as one row of bytes.

use std::io::{self, ErrorKind, SeekFrom};

use crate::owners::segment::memory_segment::MemorySegment;

/// Segments whose bytes are numbered through.
///
/// # Invariants
///
/// - `ends` has an entry for each segment: where its bytes end, counted from the first segment on.
pub(super) struct Chain {
    segments: Vec<MemorySegment>,
    ends: Vec<usize>,
}

impl Chain {
    pub(super) fn new(segments: Vec<MemorySegment>) -> Self {
        let mut chain = Self { segments: Vec::new(), ends: Vec::new() };
        chain.extend(segments);
        chain
    }

    /// The bytes of all segments.
    pub(super) fn size(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(super) fn extend(&mut self, segments: impl IntoIterator<Item = MemorySegment>) {
        for segment in segments {
            // INVARIANT: both grow by one. No address space holds segments whose sizes overflow.
            self.ends.push(self.size() + segment.size());
            self.segments.push(segment);
        }
    }

    /// The bytes from `position` on, to the end of their segment; none beyond the last one.
    pub(super) fn rest_at(&self, position: usize) -> &[u8] {
        match self.locate(position) {
            Some((index, offset)) => &self.segments[index][offset..],
            None => &[],
        }
    }

    /// The same, to write.
    pub(super) fn rest_at_mut(&mut self, position: usize) -> &mut [u8] {
        match self.locate(position) {
            Some((index, offset)) => &mut self.segments[index][offset..],
            None => &mut [],
        }
    }

    /// The segment that has the byte at `position`, and where in it that is.
    fn locate(&self, position: usize) -> Option<(usize, usize)> {
        if position >= self.size() {
            return None;
        }
        // Mostly all segments are pages of one size. A guess that is wrong costs a search.
        let guess = position / self.ends[0];
        let is_there = |index: usize| self.start(index) <= position && position < self.ends[index];
        let index = if guess < self.ends.len() && is_there(guess) {
            guess
        } else {
            self.ends.partition_point(|end| *end <= position)
        };
        Some((index, position - self.start(index)))
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    pub(super) fn into_segments(self) -> Vec<MemorySegment> {
        self.segments
    }
}

/// Where `target` leads, from `position` in a row of `len` bytes: also beyond its end, but not
/// before its beginning.
pub(super) fn sought(target: SeekFrom, position: u64, len: u64) -> io::Result<u64> {
    let sought = match target {
        SeekFrom::Start(position) => Some(position),
        SeekFrom::Current(offset) => position.checked_add_signed(offset),
        SeekFrom::End(offset) => len.checked_add_signed(offset),
    };
    let beyond = "a seek to a position that is negative or above what can be counted";
    sought.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, beyond))
}

/// A position as an offset in memory: one beyond what can be addressed is the last that can.
pub(super) fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
