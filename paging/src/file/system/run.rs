//! Neighbours in the file, which are read or written by one call.

use std::ops::Deref;

/// Bytes in a row in the file, which lie in one buffer or in several in memory.
pub(in super::super) struct Run<B> {
    pub(in super::super) offset: u64,
    pub(in super::super) bytes: usize,
    pub(in super::super) buffers: Vec<B>,
    /// All bytes were moved. Else any part of them was.
    pub(in super::super) is_done: bool,
}

impl<B: Deref<Target = [u8]>> Run<B> {
    pub(in super::super) fn new(offset: u64, buffers: Vec<B>) -> Self {
        let bytes = buffers.iter().map(|buffer| buffer.len()).sum();
        Self { offset, bytes, buffers, is_done: false }
    }
}
