//! Memory that pages are copied to, to be written from there.

use std::sync::{Condvar, Mutex, PoisonError};

use offheap::MemorySegment;

/// Buffers, each for one write, which are there from the start.
pub(crate) struct Staging {
    idle: Mutex<Vec<MemorySegment>>,
    changed: Condvar,
    buffer_bytes: usize,
}

/// A buffer in use.
pub(crate) struct Buffer<'a> {
    staging: &'a Staging,
    segment: Option<MemorySegment>,
}

impl Staging {
    /// All of the same size.
    pub(crate) fn new(buffers: Vec<MemorySegment>) -> Self {
        let buffer_bytes = buffers.first().map_or(0, MemorySegment::size);
        Self { idle: Mutex::new(buffers), changed: Condvar::new(), buffer_bytes }
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Takes a buffer, and waits for one while all are being written.
    pub(crate) fn take(&self) -> Buffer<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(segment) = idle.pop() {
                return Buffer { staging: self, segment: Some(segment) };
            }
            idle = self.changed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Buffer<'_> {
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.segment.as_deref_mut().unwrap_or(&mut [])
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let mut idle = self.staging.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.segment.take());
        drop(idle);
        self.staging.changed.notify_one();
    }
}
