//! The plain model: a list of pages and a sum per owner.

use std::ops::Range;

use offheap::{
    MemoryManager, MemorySegment, Strategy,
    config::{MemoryMode, ZeroPolicy},
};

use super::Config;

/// What the manager should look like.
pub(crate) struct Model {
    page_bytes: usize,
    capacity: usize,
    /// Free or taken, page by page, with the spare address space, which is free here; in heap mode
    /// only the number of pages matters.
    pages: Vec<Page>,
    capacity_pages: usize,
    strategy: Strategy,
    /// The address of the first page; 0 in heap mode.
    base: usize,
    zero_policy: ZeroPolicy,
    owners: Vec<OwnerModel>,
    patterns: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Free,
    Taken,
}

#[derive(Clone)]
struct OwnerModel {
    used: usize,
    /// What it holds beyond the limits.
    overdrawn: usize,
    minimum: usize,
    limit: usize,
    /// The handle and the reservations, which have one each. Without any, the owner lives on, and
    /// keeps its minimum, until it holds nothing.
    handles: usize,
}

impl Model {
    pub(crate) fn new(manager: &MemoryManager, config: &Config) -> Self {
        let pages = vec![Page::Free; manager.total_pages().max(manager.occupancy().pages)];
        let base = match manager.mode() {
            MemoryMode::Heap => 0,
            MemoryMode::OffHeap => {
                let owner = manager.owner("probe").register();
                let whole = owner.map(|owner| owner.allocate_up_to(usize::MAX));
                let Ok(Ok(whole)) = whole else { unreachable!("the manager is fresh") };
                assert_eq!(whole.size(), manager.total_pages() * manager.page_size());
                whole.as_ptr() as usize
            }
            other => unreachable!("no configuration is of {other}"),
        };
        Self {
            page_bytes: manager.page_size(),
            capacity: manager.capacity(),
            pages,
            capacity_pages: manager.total_pages(),
            strategy: config.strategy(),
            base,
            zero_policy: config.zero_policy(),
            owners: Vec::new(),
            patterns: 0,
        }
    }

    /// Registers an owner; its number, or `None` if it must be refused.
    pub(crate) fn register(&mut self, minimum: usize, limit: usize) -> Option<usize> {
        if minimum > limit || minimum > self.free() {
            return None;
        }
        let owner = OwnerModel { used: 0, overdrawn: 0, minimum, limit, handles: 1 };
        // The number of one that is gone is free, so that a long sequence has few.
        let is_gone = |owner: &OwnerModel| owner.handles == 0 && owner.used == 0;
        if let Some(number) = self.owners.iter().position(is_gone) {
            self.owners[number] = owner;
            return Some(number);
        }
        self.owners.push(owner);
        Some(self.owners.len() - 1)
    }

    /// Whether a page never shows its last holder's bytes.
    pub(crate) fn is_zeroed(&self) -> bool {
        self.zero_policy != ZeroPolicy::Never
    }

    pub(crate) fn has_handle(&self, owner: usize) -> bool {
        self.owners[owner].handles > 0
    }

    pub(crate) fn drop_handle(&mut self, owner: usize) {
        self.owners[owner].handles -= 1;
        self.bury(owner);
    }

    /// A reservation is made.
    pub(crate) fn reserve(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].handles += 1;
        self.owners[owner].used += bytes;
    }

    /// A reservation of `bytes` is dropped.
    pub(crate) fn unreserve(&mut self, owner: usize, bytes: usize) {
        self.release_bytes(owner, bytes);
        self.drop_handle(owner);
    }

    /// The bytes that `owner` can have.
    pub(crate) fn free_bytes(&self, owner: usize) -> usize {
        let OwnerModel { used, overdrawn, minimum, limit, .. } = self.owners[owner];
        let left = limit.min(self.capacity).saturating_sub(used + overdrawn);
        (self.free() + minimum.saturating_sub(used)).min(left)
    }

    pub(crate) fn fits(&self, owner: usize, bytes: usize) -> bool {
        bytes <= self.free_bytes(owner)
    }

    /// The bytes of all whole pages.
    pub(crate) fn page_bytes_total(&self) -> usize {
        self.capacity_pages * self.page_bytes
    }

    /// The longest run of pages that nobody holds. In heap mode there are no holes, only a budget.
    pub(crate) fn largest_hole(&self) -> usize {
        if self.base == 0 {
            return self.pages.len();
        }
        let runs = self.pages.split(|page| *page == Page::Taken);
        runs.map(<[Page]>::len).max().unwrap_or(0)
    }

    /// The pages that a request for up to `pages` is granted, which are within the budget.
    pub(crate) fn grant(&self, manager: &MemoryManager, pages: usize) -> usize {
        if self.pages.len() == self.capacity_pages {
            return pages.min(self.largest_hole());
        }
        if self.strategy == Strategy::SmallestFit && pages <= self.largest_hole() {
            return pages;
        }
        // Without an exchange, which of the pages are spare matters: the manager knows, once its
        // magazines are empty.
        let _ = manager.verify_empty();
        let map = manager.occupancy();
        let free: Vec<bool> = (0..map.pages).map(|page| map.is_free(page)).collect();
        let holes = free.split(|is_free| !is_free);
        pages.min(holes.map(<[bool]>::len).max().unwrap_or(0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.owners.iter().all(|owner| owner.used == 0 && owner.overdrawn == 0)
    }

    /// A reservation holds `bytes` more that are not free.
    pub(crate) fn overdraw(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].overdrawn += bytes;
    }

    /// A reservation holds so many fewer of those.
    pub(crate) fn pay(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].overdrawn -= bytes;
    }

    /// A reservation holds `bytes` more.
    pub(crate) fn charge(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].used += bytes;
    }

    /// There is one more reservation, of bytes that another one had, or of none.
    pub(crate) fn add_reservation(&mut self, owner: usize) {
        self.owners[owner].handles += 1;
    }

    /// How many pages behind a segment nobody holds, at most `pages_max`.
    pub(crate) fn unheld_behind(&self, segment: &MemorySegment, pages_max: usize) -> usize {
        let end = (segment.as_ptr() as usize - self.base + segment.size()) / self.page_bytes;
        let behind = self.pages[end..].iter().take(pages_max);
        behind.take_while(|page| **page == Page::Free).count()
    }

    /// A segment became longer, or shorter, or two: it had `old_bytes`.
    pub(crate) fn resized(&mut self, owner: usize, segment: &MemorySegment, old_bytes: usize) {
        let address = segment.as_ptr() as usize;
        let [old, new] = [old_bytes, segment.size()].map(|bytes| address + bytes);
        if new > old {
            self.mark_range(old..new, Page::Free, Page::Taken);
            self.owners[owner].used += new - old;
        } else if new < old {
            self.mark_range(new..old, Page::Taken, Page::Free);
            self.release_bytes(owner, old - new);
        }
    }

    /// What a segment that was cut off another one is to be filled with.
    pub(crate) fn next_pattern(&mut self) -> u8 {
        self.patterns = self.patterns % u8::MAX + 1; // never 0
        self.patterns
    }

    pub(crate) fn is_in_heap(&self) -> bool {
        self.base == 0
    }

    pub(crate) fn release_bytes(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].used -= bytes;
        self.bury(owner);
    }

    /// A segment is held from now on; returns what it is to be filled with.
    pub(crate) fn hold(&mut self, owner: usize, segment: &MemorySegment) -> u8 {
        self.owners[owner].used += segment.size();
        self.mark(segment, Page::Free, Page::Taken);
        self.next_pattern()
    }

    pub(crate) fn forget(&mut self, owner: usize, segment: &MemorySegment) {
        self.mark(segment, Page::Taken, Page::Free);
        self.release_bytes(owner, segment.size());
    }

    /// What all numbers of the manager say: dear, as some are the operating system's.
    pub(crate) fn check_stats(&self, manager: &MemoryManager) {
        let largest = self.largest_hole().min(self.free() / self.page_bytes) * self.page_bytes;
        let stats = manager.stats();
        assert_eq!(stats.largest_free_block_bytes, largest);
        assert!(stats.resident_bytes.is_none_or(|bytes| bytes <= self.page_bytes_total()));
        self.check(manager);
    }

    pub(crate) fn check(&self, manager: &MemoryManager) {
        assert_eq!(manager.available_bytes(), self.free());
        if self.base != 0 {
            let map = manager.occupancy();
            let mut spare = 0;
            for (index, page) in self.pages.iter().enumerate() {
                let (is_free, is_spare) = (map.is_free(index), map.is_spare(index));
                assert!(!(is_free && is_spare), "page {index}");
                assert_eq!(is_free || is_spare, *page == Page::Free, "page {index}");
                spare += usize::from(is_spare);
            }
            assert_eq!(spare, self.pages.len() - self.capacity_pages);
        }
    }

    fn mark(&mut self, segment: &MemorySegment, from: Page, to: Page) {
        assert_eq!(segment.as_ptr() as usize % 4096, 0, "an unaligned segment");
        if self.base == 0 {
            return;
        }
        let address = segment.as_ptr() as usize;
        self.mark_range(address..address + segment.size(), from, to);
    }

    fn mark_range(&mut self, addresses: Range<usize>, from: Page, to: Page) {
        let page_of = |address: usize| {
            assert_eq!((address - self.base) % self.page_bytes, 0, "an unaligned page");
            (address - self.base) / self.page_bytes
        };
        let (first, end) = (page_of(addresses.start), page_of(addresses.end));
        for page in &mut self.pages[first..end] {
            assert!(*page == from, "a page with two holders, or with none");
            *page = to;
        }
    }

    /// What is neither held nor promised.
    fn free(&self) -> usize {
        let taken = self.owners.iter().map(|owner| owner.used.max(owner.minimum));
        let overdrawn = self.owners.iter().map(|owner| owner.overdrawn);
        (self.capacity - taken.sum::<usize>()).saturating_sub(overdrawn.sum())
    }

    /// A dropped owner that holds nothing is gone, and its minimum with it.
    fn bury(&mut self, owner: usize) {
        let owner = &mut self.owners[owner];
        if owner.handles == 0 && owner.used == 0 {
            owner.minimum = 0;
        }
    }
}
