//! Pages that are read in turn, each once.

use std::ops::Deref;

use offheap_paging::{Page, PinnedPage, ReadGuard};

use super::memory::Memory;
use crate::OperatorError;

/// So many pages are fetched ahead of the one that is read.
const AHEAD: usize = 8;

/// Pages that may be on disk, from the first one to the last one. Those that are, and were not
/// fetched ahead, are read through a buffer: so they take no memory from what others hold.
pub(crate) struct Pages {
    /// In the opposite order.
    left: Vec<Page>,
    current: Option<Page>,
    buffer: Option<PinnedPage>,
}

/// The bytes of a page.
pub(crate) enum Bytes<'a> {
    InMemory(ReadGuard<'a>),
    Copied(&'a [u8]),
}

impl Pages {
    /// Takes the buffer of `memory`, until [`end`](Self::end).
    pub(crate) fn new(memory: &mut Memory, mut pages: Vec<Page>) -> Self {
        pages.reverse();
        Self { left: pages, current: None, buffer: memory.buffer() }
    }

    /// The bytes of the next one; `None` at the end. The one before is dropped.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or somebody asked for a stop.
    pub(crate) fn next(&mut self, memory: &Memory) -> Result<Option<Bytes<'_>>, OperatorError> {
        memory.check()?;
        self.current = self.left.pop();
        if self.left.len().is_multiple_of(AHEAD) {
            let ahead: Vec<_> = self.left.iter().rev().take(AHEAD).collect();
            memory.pool().prefetch(&ahead);
        }
        let Some(page) = &self.current else { return Ok(None) };
        if let Some(guard) = page.try_read() {
            return Ok(Some(Bytes::InMemory(guard)));
        }
        match self.buffer.as_deref_mut().filter(|buffer| buffer.len() == page.size()) {
            Some(buffer) => {
                page.read_into(buffer)?;
                Ok(Some(Bytes::Copied(buffer)))
            }
            // A block of several pages has no buffer.
            None => Ok(Some(Bytes::InMemory(page.read()?))),
        }
    }

    /// The page whose bytes came last, to be kept.
    pub(crate) fn take(&mut self) -> Option<Page> {
        self.current.take()
    }

    pub(crate) fn end(self, memory: &mut Memory) {
        memory.set_buffer(self.buffer);
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::InMemory(guard) => guard,
            Self::Copied(bytes) => bytes,
        }
    }
}
