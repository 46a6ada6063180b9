//! The one region of a process: pages by their addresses.

use std::error::Error;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{HugePages, IdleMemory, Populate},
    stats::ManagerStats,
};

/// With colours, the region is made of frames of this size, which is also how much colour there is.
const COLOUR_BYTES: usize = 4 << 10;
/// How far two neighbouring colours lie apart: a cache line.
const COLOUR_STEP_BYTES: usize = 64;
/// What regions of reserved huge pages are rounded to.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// What a region is made of.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The number of pages that it has to have.
    pub(crate) pages: usize,
    /// The bytes of a page, a power of two.
    pub(crate) page_bytes: usize,
    /// Whether pages begin at different offsets from multiples of 4 KiB, so that the same offset
    /// of many pages does not fall into the same lines of a cache. Each page then takes 4 KiB more.
    pub(crate) colour: bool,
    pub(crate) huge_pages: HugePages,
    pub(crate) populate: Populate,
    pub(crate) idle_memory: IdleMemory,
}

impl Config {
    /// The unit that the manager counts in: a page, or with colours the smallest one there is.
    fn frame_bytes(&self) -> usize {
        if self.colour { COLOUR_BYTES } else { self.page_bytes }
    }

    /// The bytes of the region that one page takes.
    fn stride_bytes(&self) -> usize {
        if self.colour { self.page_bytes.saturating_add(COLOUR_BYTES) } else { self.page_bytes }
    }

    fn capacity_bytes(&self) -> usize {
        let bytes = self.pages.saturating_mul(self.stride_bytes());
        match self.huge_pages {
            HugePages::HugeTlb => bytes.checked_next_multiple_of(HUGE_PAGE_BYTES).unwrap_or(bytes),
            _ => bytes,
        }
    }
}

/// Pages that are known by their addresses, for callers who cannot hold a [`MemorySegment`].
pub(crate) struct Region {
    owner: Owner,
    manager: MemoryManager,
    config: Config,
    /// The address of the first byte.
    base: usize,
    /// The segments that are out, by the frame that they begin in.
    out: Box<[Mutex<Option<MemorySegment>>]>,
}

impl Region {
    pub(crate) fn new(config: Config) -> Result<Self, Box<dyn Error + Send + Sync>> {
        if config.colour && !config.page_bytes.is_multiple_of(COLOUR_BYTES) {
            let page_bytes = config.page_bytes;
            return Err(format!("a page of {page_bytes} bytes is not a multiple of 4096").into());
        }
        let manager = MemoryManager::builder()
            .capacity(config.capacity_bytes())
            .page_size(config.frame_bytes())
            // Pages alone need no spare address space, and a region without has a first address.
            .address_space_factor(1)
            .huge_pages(config.huge_pages)
            .populate(config.populate)
            .idle_memory(config.idle_memory)
            // The caller keeps pages at hand.
            .depot_pages(0)
            .build()?;
        let owner = manager.owner("flink").register()?;
        let whole = owner.allocate(manager.total_pages() * manager.page_size())?;
        let base = whole.as_ptr() as usize;
        drop(whole);
        if config.populate == Populate::Lazy {
            // Nobody has touched what was only asked for its address.
            manager.trim();
        }
        let out = (0..manager.total_pages()).map(|_| Mutex::new(None)).collect();
        Ok(Self { owner, manager, config, base, out })
    }

    /// The addresses of the region.
    pub(crate) fn range(&self) -> Range<usize> {
        self.base..self.base + self.out.len() * self.config.frame_bytes()
    }

    /// The distance of two addresses that surely belong to different frames.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.config.frame_bytes()
    }

    /// Allocates as many pages as there are, up to the length of `addresses`, and writes where they
    /// are; returns how many.
    pub(crate) fn allocate(&self, addresses: &mut [usize]) -> usize {
        let mut count = 0;
        let mut batch = addresses.len();
        while batch > 0 && count < addresses.len() {
            let wanted = batch.min(addresses.len() - count);
            match self.allocate_batch(wanted) {
                Some(segments) => {
                    for segment in segments {
                        addresses[count] = self.put_out(segment);
                        count += 1;
                    }
                }
                // All or none: fewer may still be had.
                None => batch /= 2,
            }
        }
        count
    }

    fn allocate_batch(&self, count: usize) -> Option<Vec<MemorySegment>> {
        if !self.config.colour {
            return self.owner.allocate_pages(count).ok();
        }
        let blocks = (0..count).map(|_| self.owner.allocate(self.config.stride_bytes()));
        blocks.collect::<Result<_, _>>().ok()
    }

    /// Files a segment under its frame; returns its address, or that of its colour in it.
    fn put_out(&self, mut segment: MemorySegment) -> usize {
        // The pointer is of an exclusive borrow, so the holder of the address may write there until
        // the segment goes back. Nobody borrows its bytes meanwhile.
        let start = segment.as_mut_ptr().expose_provenance();
        let frame = (start - self.base) / self.frame_bytes();
        *self.slot(frame) = Some(segment);
        start + self.colour_of(frame)
    }

    fn colour_of(&self, frame: usize) -> usize {
        if self.config.colour { frame * COLOUR_STEP_BYTES % COLOUR_BYTES } else { 0 }
    }

    /// Gives pages back; returns how many of the addresses are not of a page that is out. Those are
    /// passed over.
    pub(crate) fn release(&self, addresses: &[usize]) -> usize {
        let segments: Vec<_> =
            addresses.iter().filter_map(|address| self.take_in(*address)).collect();
        let refused = addresses.len() - segments.len();
        self.owner.release_all(segments);
        refused
    }

    fn take_in(&self, address: usize) -> Option<MemorySegment> {
        let offset = address.checked_sub(self.base)?;
        let frame = offset / self.frame_bytes();
        if frame >= self.out.len() || offset % self.frame_bytes() != self.colour_of(frame) {
            return None;
        }
        self.slot(frame).take()
    }

    fn slot(&self, frame: usize) -> MutexGuard<'_, Option<MemorySegment>> {
        // No thread panics while it has a slot, and a slot is whole at every moment.
        self.out[frame].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free memory back to the system until at most `idle_bytes` of it may be resident;
    /// returns how many bytes.
    pub(crate) fn trim_to(&self, idle_bytes: usize) -> usize {
        self.manager.trim_to(idle_bytes)
    }

    /// The bytes that the kernel counts as resident; 0 where it does not tell.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.manager.resident_bytes().unwrap_or(0)
    }

    pub(crate) fn stats(&self) -> ManagerStats {
        self.manager.stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 32 << 10;

    fn region(pages: usize, colour: bool) -> Region {
        Region::new(Config {
            pages,
            page_bytes: PAGE,
            colour,
            huge_pages: HugePages::Transparent,
            populate: Populate::Lazy,
            idle_memory: IdleMemory::Keep,
        })
        .unwrap()
    }

    fn all_of(region: &Region, at_most: usize) -> Vec<usize> {
        let mut addresses = vec![0; at_most];
        let count = region.allocate(&mut addresses);
        addresses.truncate(count);
        addresses
    }

    #[test]
    fn every_page_is_handed_out_once_and_lies_in_the_range() {
        for colour in [false, true] {
            let region = region(100, colour);
            let mut addresses = all_of(&region, 1000);
            assert_eq!(addresses.len(), 100);
            addresses.sort_unstable();
            assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= PAGE));
            let range = region.range();
            assert!(addresses[0] >= range.start);
            assert!(addresses[addresses.len() - 1] + PAGE <= range.end);
            assert_eq!(region.release(&addresses), 0);
            assert_eq!(region.owner.used_bytes(), 0);
            assert_eq!(all_of(&region, 1000).len(), 100);
        }
    }

    #[test]
    fn nobody_touches_the_region_before_a_page_is_used() {
        let region = region(1000, false);
        assert_eq!(region.stats().touched_bytes, 0);
        assert!(region.resident_bytes() < 2 << 20, "{} bytes", region.resident_bytes());
    }

    #[test]
    fn an_address_that_is_of_no_page_that_is_out_is_refused_and_changes_nothing() {
        for colour in [false, true] {
            let region = region(10, colour);
            let pages = all_of(&region, 4);
            let range = region.range();
            let free = range.clone().step_by(region.frame_bytes()).find(|at| !pages.contains(at));
            let strange = [
                0,
                usize::MAX,
                range.start - 1,
                range.end,
                range.end - 1,
                pages[0] + 1,
                pages[1] + 64,
                pages[2] + PAGE / 2,
                free.unwrap(),
            ];
            for address in strange {
                assert_eq!(region.release(&[address]), 1, "{address:#x}");
            }
            assert_eq!(region.release(&[pages[0], pages[0], pages[1]]), 1);
            assert_eq!(region.release(&pages[..2]), 2);
            assert_eq!(region.release(&pages[2..]), 0);
            assert_eq!(region.owner.used_bytes(), 0);
        }
    }

    #[test]
    fn a_batch_that_is_too_large_gets_what_is_left() {
        let region = region(100, false);
        assert_eq!(all_of(&region, 37).len(), 37);
        assert_eq!(all_of(&region, 64).len(), 63);
        assert_eq!(all_of(&region, 64).len(), 0);
    }

    #[test]
    fn neighbours_begin_at_different_colours_and_their_bytes_do_not_meet() {
        let region = region(70, true);
        let addresses = all_of(&region, 70);
        let mut colours: Vec<_> = addresses.iter().map(|at| at % COLOUR_BYTES).collect();
        assert!(colours.iter().all(|colour| colour % COLOUR_STEP_BYTES == 0));
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.len() >= 32, "{} colours", colours.len());
    }

    #[test]
    fn coloured_pages_are_had_in_whatever_order_they_come_and_go() {
        let region = region(70, true);
        let mut out = all_of(&region, 70);
        let mut state = 7_u64;
        for _ in 0..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let keep = usize::try_from(state >> 33).unwrap() % out.len();
            let from = out.len() - keep;
            // A rotation by a random part, and so pages in an order of their own.
            out.rotate_left(keep);
            let given_back: Vec<_> = out.drain(..from.min(out.len() - 1)).collect();
            assert_eq!(region.release(&given_back), 0);
            let wanted = 70 - out.len();
            let fresh = all_of(&region, wanted);
            assert_eq!(fresh.len(), wanted);
            out.extend(fresh);
        }
    }

    #[test]
    fn two_threads_that_give_the_same_pages_back_do_it_once() {
        let region = region(64, false);
        let pages = all_of(&region, 64);
        let refused: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| region.release(&pages))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(refused, 64);
        assert_eq!(all_of(&region, 64).len(), 64);
    }
}
