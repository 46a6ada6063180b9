//! What a pool knows of its frames and slots, under one lock that is held for no I/O.

use std::collections::VecDeque;
use std::time::Instant;

use offheap::MemorySegment;

use crate::entry::Stamp;
use crate::frames::entry::{Entry, NONE};
use crate::frames::queues::{Came, Queues};
use crate::frames::slab::Frames;
use crate::frames::table::Vacancies;

/// The most frames without a page that are kept for the next ones.
pub(crate) const FREE_MAX: usize = 64;
/// Frames for pages that come back although the disk is full.
pub(crate) const SPARES: usize = 2;

/// The books of a pool.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) frames: Frames,
    pub(crate) queues: Queues,
    pub(crate) vacancies: Vacancies,
    /// Frames of one page each without a page.
    pub(crate) free: Vec<MemorySegment>,
    /// Frames of one page each, for when the disk is full.
    pub(crate) spares: Vec<MemorySegment>,
    /// So many there are, if none is in use.
    pub(crate) spares_max: usize,
    /// Pages that come back into one of them just now.
    pub(crate) swaps: usize,
    /// Frames that readers may still look at in epochs that were under way when they were evicted.
    pub(crate) limbo: VecDeque<(Stamp, u32)>,
    /// Whether there were readers in epochs at the last eviction.
    pub(crate) had_readers: bool,
    /// For each unit of the file, the entry whose slot begins there.
    by_slot: Vec<u32>,
    pub(crate) entries: usize,
    pub(crate) resident_pages: usize,
    pub(crate) spilled_pages: usize,
    /// Others are not asked for memory before this, and then for so many pages.
    pub(crate) asks_again: Option<Instant>,
    pub(crate) asks_for_pages: usize,
    /// How often they gave nothing, one time after the other.
    pub(crate) refusals: u32,
}

impl Books {
    /// Puts a page into a frame. The caller publishes its state after it.
    pub(crate) fn install(
        &mut self,
        (number, entry): (u32, &Entry),
        segment: MemorySegment,
        came: Came,
    ) {
        let (frame, base) = self.frames.put(segment, number);
        entry.set_resident(base, frame);
        self.queues.grow_to(self.frames.end());
        self.queues.insert(frame, came);
        self.resident_pages += entry.pages() as usize;
    }

    /// Takes the frame of a page that is dropped.
    pub(crate) fn remove(&mut self, entry: &Entry) -> Option<MemorySegment> {
        let frame = entry.frame();
        self.queues.remove(frame);
        self.resident_pages -= entry.pages() as usize;
        self.frames.take(frame)
    }

    /// Takes the frame of a page that is evicted, and notes when.
    pub(crate) fn evict(&mut self, entry: &Entry) -> Option<MemorySegment> {
        let frame = entry.frame();
        let stamp = self.queues.evicted(frame);
        entry.set_frame(stamp.into_bits());
        self.resident_pages -= entry.pages() as usize;
        self.spilled_pages += entry.pages() as usize;
        self.frames.take(frame)
    }

    /// Keeps a frame for the next page, or returns it.
    pub(crate) fn keep(
        &mut self,
        segment: MemorySegment,
        page_bytes: usize,
    ) -> Option<MemorySegment> {
        if segment.size() != page_bytes {
            return Some(segment);
        }
        let place = match () {
            () if self.spares.len() < self.spares_max => &mut self.spares,
            () if self.free.len() < FREE_MAX => &mut self.free,
            () => return Some(segment),
        };
        place.push(segment);
        None
    }

    /// The entry's slot in the file is this one now.
    pub(crate) fn set_slot(&mut self, number: u32, entry: &Entry, slot: Option<u32>) {
        if let Some(old) = entry.slot()
            && self.by_slot.get(old as usize) == Some(&number)
        {
            self.by_slot[old as usize] = NONE;
        }
        entry.set_slot(slot);
        let Some(slot) = slot else { return };
        if self.by_slot.len() <= slot as usize {
            self.by_slot.resize(slot as usize + 1, NONE);
        }
        self.by_slot[slot as usize] = number;
    }

    /// The entry whose slot begins at this unit of the file.
    pub(crate) fn at_slot(&self, unit: u32) -> Option<u32> {
        self.by_slot.get(unit as usize).copied().filter(|number| *number != NONE)
    }
}
