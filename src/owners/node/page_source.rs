//! What the way to a single page needs to know, and how much may be kept at hand.

use std::sync::{Arc, OnceLock};
use std::thread;

#[cfg(offheap_seeded)]
use crate::base::seeded::{Bug, is_planted};
use crate::base::sync::{Lock, Rank};
use crate::base::units::PageSize;
use crate::ledger::at_hand::depot::{Depot, SHELF_PAGES};
use crate::ledger::at_hand::magazine::{Fences, Magazine};
use crate::ledger::chunks::HeldRun;
use crate::memory::arena::{Arena, ZeroPolicy};
use crate::memory::block::Block;
use crate::memory::region::PageFrames;

/// The shelves that an owner's depot has at most: more threads than that share them.
const SHELVES_MAX: usize = 32;
/// The fewest pages that are worth a shelf.
const SHELF_PAGES_MIN: usize = 4;
/// The share of all pages that an owner keeps in its depot by default.
const DEPOT_SHARE: usize = 32;
/// The share of an owner's depot that it asks of the budget beyond what it needs.
const QUANTA: usize = 4;
/// The share of all pages that a worker's magazine grows to.
const MAGAZINE_SHARE: usize = 4;

/// How many free pages each owner of a manager may keep at hand.
#[derive(Clone, Copy)]
pub(crate) struct CacheLimits {
    /// The shelves of an owner's depot; 0 for none.
    pub(crate) shelves: usize,
    /// The pages on a shelf.
    pub(crate) shelf_pages: usize,
    /// The pages in a worker's magazine.
    pub(crate) magazine_pages: usize,
    /// Whether workers have magazines at all.
    pub(crate) has_magazines: bool,
    /// The bytes that an owner asks of the budget beyond what it needs; 0 for none.
    pub(crate) quantum_bytes: u64,
}

impl CacheLimits {
    /// The limits for a manager of so many pages, 0 if none is kept at hand, and a depot of at most
    /// `depot_pages`, or of the default size.
    pub(crate) fn new(pages: usize, page_size: PageSize, depot_pages: Option<usize>) -> Self {
        let depot_pages = depot_pages.unwrap_or(pages / DEPOT_SHARE).min(pages);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let shelves = (depot_pages / SHELF_PAGES_MIN).min(threads.min(SHELVES_MAX));
        let quantum = if shelves == 0 { 0 } else { depot_pages / QUANTA * page_size.bytes() };
        Self {
            shelves,
            shelf_pages: (depot_pages / shelves.max(1)).min(SHELF_PAGES),
            magazine_pages: pages / MAGAZINE_SHARE,
            has_magazines: true,
            quantum_bytes: quantum as u64,
        }
    }

    /// For a manager whose policy is asked about each grant: nothing is kept at hand.
    pub(crate) const fn nothing() -> Self {
        Self {
            shelves: 0,
            shelf_pages: 0,
            magazine_pages: 0,
            has_magazines: false,
            quantum_bytes: 0,
        }
    }
}

/// What the way to a single page needs to know, for an owner and for each of its workers.
#[derive(Clone, Copy)]
pub(crate) struct PageSource {
    pub(super) frames: PageFrames,
    pub(super) zero_policy: ZeroPolicy,
}

impl PageSource {
    pub(crate) fn new(arena: &Arena) -> Self {
        Self { frames: arena.frames(), zero_policy: arena.zero_policy() }
    }

    /// The size of a page in bytes; 0 in heap mode, where none is kept at hand.
    #[inline]
    pub(crate) fn page_bytes(&self) -> usize {
        self.frames.page_bytes()
    }

    /// The page whose memory `block` is, which its holder is done with.
    #[inline]
    pub(crate) fn take_back(&self, mut block: Block) -> HeldRun {
        if self.zero_policy == ZeroPolicy::OnRelease {
            wipe(&mut block);
        }
        #[cfg(offheap_seeded)]
        let twin = is_planted(Bug::UseAfterRelease).then(|| block.twin());
        let page = self.frames.page(block);
        #[cfg(offheap_seeded)]
        twin.into_iter().for_each(|mut late| late.bytes_mut()[0] = 0);
        page
    }
}

#[cold]
fn wipe(block: &mut Block) {
    block.wipe();
}

/// The single pages that an owner keeps at hand.
pub(crate) struct OwnerPages {
    source: PageSource,
    /// Made when the first page is asked for, in off-heap mode only.
    depot: OnceLock<Depot>,
    /// Made with the first worker.
    workers: OnceLock<Lock<Workers>>,
}

impl OwnerPages {
    pub(crate) fn new(arena: &Arena) -> Self {
        let source = PageSource::new(arena);
        Self { source, depot: OnceLock::new(), workers: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn source(&self) -> &PageSource {
        &self.source
    }

    #[inline]
    pub(crate) fn depot(&self) -> Option<&Depot> {
        self.depot.get()
    }

    pub(crate) fn make_depot(&self, make: impl FnOnce() -> Depot) -> &Depot {
        self.depot.get_or_init(make)
    }

    /// A new magazine, which drainers find from now on, and its place among those of the owner.
    pub(crate) fn add_magazine(&self, fences: Fences) -> (Arc<Magazine>, usize) {
        let magazine = Arc::new(Magazine::new(fences));
        let workers = self.workers.get_or_init(|| Lock::new(Rank::Registry, Workers::default()));
        let place = workers.lock().add(Arc::clone(&magazine));
        (magazine, place)
    }

    /// Drainers do not look for a magazine any more that is empty.
    pub(crate) fn remove_magazine(&self, place: usize) {
        let removed = self.workers.get().and_then(|workers| workers.lock().remove(place));
        drop(removed);
    }

    /// The free pages that are kept at hand, on shelves and in magazines.
    pub(crate) fn cached(&self) -> usize {
        let in_magazines = self.magazines().iter().map(|magazine| magazine.pages()).sum::<usize>();
        in_magazines + self.depot().map_or(0, Depot::pages)
    }

    /// The magazines of the owner's workers.
    pub(crate) fn magazines(&self) -> Vec<Arc<Magazine>> {
        let workers = self.workers.get().map(Lock::lock);
        workers.iter().flat_map(|workers| workers.magazines.iter().flatten().cloned()).collect()
    }
}

/// The magazines of an owner's workers. A place that is free is taken again.
#[derive(Default)]
struct Workers {
    magazines: Vec<Option<Arc<Magazine>>>,
    free: Vec<usize>,
}

impl Workers {
    fn add(&mut self, magazine: Arc<Magazine>) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.magazines[place] = Some(magazine);
                place
            }
            None => {
                self.magazines.push(Some(magazine));
                self.magazines.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize) -> Option<Arc<Magazine>> {
        self.free.push(place);
        self.magazines.get_mut(place)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(depot_pages: Option<usize>, pages: usize) -> CacheLimits {
        CacheLimits::new(pages, PageSize::new(4096).unwrap(), depot_pages)
    }

    #[test]
    fn a_depot_is_cut_into_shelves_and_never_larger_than_it_was_asked_to_be() {
        let CacheLimits { shelves, shelf_pages, magazine_pages, quantum_bytes, .. } =
            limits(Some(7), 640);
        assert_eq!((shelves, shelf_pages), (1, 7), "two would be too small");
        assert_eq!((magazine_pages, quantum_bytes), (160, 4096));
        let many = limits(Some(64), 640);
        assert!(many.shelves >= 1 && many.shelves * many.shelf_pages <= 64);
        assert_eq!(many.quantum_bytes, 16 * 4096);
        let by_default = limits(None, 128);
        assert_eq!((by_default.shelves, by_default.shelf_pages), (1, 4));
    }

    #[test]
    fn a_depot_too_small_for_a_shelf_is_none_and_asks_for_nothing_more() {
        for (depot_pages, pages) in [(Some(0), 640), (Some(3), 640), (None, 127)] {
            let limits = limits(depot_pages, pages);
            assert_eq!((limits.shelves, limits.quantum_bytes), (0, 0));
            assert_eq!(limits.magazine_pages, pages / 4);
        }
    }
}
