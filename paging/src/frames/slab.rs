//! The frames of a pool, by number.

use offheap::MemorySegment;

use super::entry::NONE;

/// Frames with the pages that are in them.
#[derive(Default)]
pub(crate) struct Frames {
    segments: Vec<Option<MemorySegment>>,
    /// For each frame, the number of the entry whose page is in it.
    entries: Vec<u32>,
    /// Numbers without a frame.
    vacant: Vec<u32>,
}

impl Frames {
    /// Keeps a frame with the page of this entry; returns its number and its first byte.
    pub(crate) fn put(&mut self, mut segment: MemorySegment, entry: u32) -> (u32, *mut u8) {
        let base = segment.as_mut_ptr();
        match self.vacant.pop() {
            Some(frame) => {
                self.segments[frame as usize] = Some(segment);
                self.entries[frame as usize] = entry;
                (frame, base)
            }
            None => {
                self.segments.push(Some(segment));
                self.entries.push(entry);
                (number(self.segments.len() - 1), base)
            }
        }
    }

    /// Takes a frame out, with whatever is in it.
    pub(crate) fn take(&mut self, frame: u32) -> Option<MemorySegment> {
        let segment = self.segments[frame as usize].take()?;
        self.entries[frame as usize] = NONE;
        self.vacant.push(frame);
        Some(segment)
    }

    /// The entry whose page is in this frame.
    pub(crate) fn entry_of(&self, frame: u32) -> u32 {
        self.entries[frame as usize]
    }

    /// Whether the page of this entry is in this frame.
    pub(crate) fn is_of(&self, frame: u32, entry: u32) -> bool {
        self.entries.get(frame as usize) == Some(&entry)
    }

    /// One more than the highest number of a frame.
    pub(crate) fn end(&self) -> u32 {
        number(self.segments.len())
    }

    /// The entries whose pages are in frames.
    pub(crate) fn residents(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().copied().filter(|entry| *entry != NONE)
    }
}

/// A number of frames. There are fewer than entries, whose numbers fit.
fn number(frames: usize) -> u32 {
    u32::try_from(frames).unwrap_or(NONE)
}
