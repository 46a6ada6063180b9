//! The free list itself: its words, its hints, and the roles of its chunks.
//!
//! The protocol is at the head of the room.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::{ChunkIndex, Hole, PAGES_PER_CHUNK, PageCount, PageIndex, PageMask, Span};
use crate::ledger::chunks::{ChunkWord, HeldRun, Words, chunk_parts};
use crate::ledger::groups::{Bounds, groups_within};
use crate::ledger::hints::{Bin, LONG_PAGES, SetIndex, Summary};

use super::strategy::Strategy;

/// The free pages of a region.
pub struct FreeList {
    /// The truth.
    pub(super) words: Words,
    /// A bit per chunk: what it was opened for (Protocol, 7).
    pub(super) roles: Box<[AtomicU64]>,
    /// Chunks by the lengths of the free runs that start in them.
    pub(super) bins: Box<Summary>,
    /// Chunks whose pages are all free.
    pub(super) whole: Box<Summary>,
    /// Chunks with role `Pages` that have a free page.
    pub(super) page_chunks: Box<Summary>,
    /// What runs there can be in groups of chunks.
    pub(super) bounds: Bounds,
    /// The chunks from the first one on that can have free pages: all others need no search.
    pub(super) reached: AtomicU64,
    pub(super) strategy: Strategy,
}

/// What a chunk is used for as long as it is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Blocks: filed by free runs.
    Blocks,
    /// Single pages: filed while a page is free. Filing such chunks by free runs, too, would cost
    /// every page a read-modify-write or two.
    Pages,
}

/// A set in which a chunk can be filed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filed {
    /// In this bin.
    Run(Bin),
    /// Among the whole chunks.
    Whole,
    /// Among the page chunks.
    PageChunk,
}

impl Filed {
    pub(super) fn set(self) -> SetIndex {
        match self {
            Self::Run(bin) => bin.set(),
            Self::Whole | Self::PageChunk => SetIndex(0),
        }
    }
}

impl FreeList {
    /// A free list of `pages` pages, all free.
    #[cfg(any(test, offheap_loom))]
    #[must_use]
    pub fn new(pages: PageCount, strategy: Strategy) -> Self {
        Self::with_free(pages, 0..pages.get(), strategy)
    }

    /// A free list of `pages` pages, of which those in `free` are free.
    pub(crate) fn with_free(pages: PageCount, free: Range<u32>, strategy: Strategy) -> Self {
        debug_assert!(free.start <= free.end && free.end <= pages.get());
        let count = pages.chunks();
        let free_list = Self {
            words: Words::with_free(pages, free.clone()),
            roles: zeroed(count.div_ceil(u64::BITS) as usize),
            bins: Summary::new(Bin::COUNT, count).into(),
            whole: Summary::new(1, count).into(),
            page_chunks: Summary::new(1, count).into(),
            bounds: Bounds::new(pages, free.clone(), free.end < pages.get()),
            reached: AtomicU64::new(u64::from(PageCount::new(free.end).chunks())),
            strategy,
        };
        let whole = PageCount::new(free.start).chunks()..free.end / PAGES_PER_CHUNK;
        free_list.whole.insert_all(Filed::Whole.set(), whole);
        if !free.is_empty() {
            let first = PageIndex::new(free.start);
            free_list.insert(first.chunk(), Filed::Run(Bin::of(free.end - free.start)));
        }
        free_list
    }

    /// Makes the pages of all `runs` free: neighbours that lie in one chunk all at once.
    ///
    /// # Panics
    ///
    /// If one of the pages is free already. Safe code cannot bring that about.
    pub fn release_runs(&self, runs: impl IntoIterator<Item = HeldRun>) {
        let mut open: Option<(ChunkIndex, PageMask)> = None;
        for HeldRun { first, pages } in runs {
            let bit = first.bit();
            if pages.get() > PAGES_PER_CHUNK - bit {
                self.release_across(first, pages.get());
                continue;
            }
            let mask = PageMask::of(Hole { first_bit: bit, pages: pages.get() });
            open = match open {
                Some((chunk, pages)) if chunk == first.chunk() => Some((chunk, pages.with(mask))),
                gathered => {
                    if let Some((chunk, pages)) = gathered {
                        self.release_in(chunk, pages);
                    }
                    Some((first.chunk(), mask))
                }
            };
        }
        if let Some((chunk, pages)) = open {
            self.release_in(chunk, pages);
        }
    }

    /// Releases pages of one chunk.
    #[inline]
    pub(super) fn release_in(&self, chunk: ChunkIndex, mask: PageMask) {
        let old = self.words.set_free(chunk, mask);
        self.bounds.note_released(chunk);
        if self.file_released(chunk, old, old.released(mask)) == Role::Blocks {
            self.file_runs(chunk, mask, old.released(mask));
        }
    }

    /// Releases a run that crosses chunks.
    #[inline(never)]
    fn release_across(&self, first: PageIndex, pages: u32) {
        for part in chunk_parts(first, pages) {
            let mask = PageMask::of(part.hole);
            let old = self.words.set_free(part.chunk, mask);
            self.bounds.note_released(part.chunk);
            self.file_released(part.chunk, old, old.released(mask));
        }
        let span = Span { first, pages: PageCount::new(pages) };
        groups_within(span).for_each(|group| self.bounds.set_released(group));
        self.file_runs_across(first, pages);
    }

    /// Takes what `pick` picks from the chunk's word, and again after each change of the word,
    /// until it is taken or `pick` gives up. A whole chunk gets `role`.
    #[inline]
    pub(super) fn take_with(
        &self,
        chunk: ChunkIndex,
        role: Role,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<PageMask> {
        let (mask, old) = self.words.clear_free(chunk, pick)?;
        self.bounds.note_taken(chunk);
        // Taking pages makes nothing due but what is left of a run.
        if !self.open(chunk, old, role) && self.role(chunk) == Role::Blocks {
            self.file_runs(chunk, mask, old.taken(mask));
        }
        Some(mask)
    }

    /// Takes the pages of `mask`, if they are free, as a part of a run of blocks, and returns the
    /// word before that. Its neighbours are filed by the thread that takes the run.
    #[inline]
    pub(super) fn take_part(&self, chunk: ChunkIndex, mask: PageMask) -> Option<ChunkWord> {
        let (_, old) = self.words.clear_free(chunk, |word| word.has_all(mask).then_some(mask))?;
        self.bounds.note_taken(chunk);
        self.open(chunk, old, Role::Blocks);
        Some(old)
    }

    /// Gives `chunk` the `role` and files it, if its first pages were just taken and it had
    /// another role; its word was `old` before.
    #[inline]
    fn open(&self, chunk: ChunkIndex, old: ChunkWord, role: Role) -> bool {
        let changes = old == ChunkWord::WHOLE && self.role(chunk) != role;
        if changes {
            self.change_role(chunk, role);
        }
        changes
    }

    #[cold]
    fn change_role(&self, chunk: ChunkIndex, role: Role) {
        self.set_role(chunk, role);
        // A thread that changes the word after this sees the role (Protocol, 7). What was changed
        // before this is in what it returns.
        let now = self.words.reread(chunk);
        self.file_opened(chunk, now);
    }

    /// Files `chunk`, but not its runs, where it is due since pages were released and its word went
    /// from `old` to `new`. Returns its role.
    #[inline(always)]
    pub(super) fn file_released(&self, chunk: ChunkIndex, old: ChunkWord, new: ChunkWord) -> Role {
        let role = self.role(chunk);
        if role == Role::Pages && old == ChunkWord::FULL {
            self.insert(chunk, Filed::PageChunk);
        }
        if new == ChunkWord::WHOLE {
            self.insert(chunk, Filed::Whole);
        }
        role
    }

    /// Not inlined: most of the time nothing becomes due.
    #[inline(never)]
    pub(super) fn insert(&self, chunk: ChunkIndex, set: Filed) {
        self.summary(set).insert(set.set(), chunk);
    }

    /// Takes `chunk` out of a set where it was found and was not due (Protocol, 5).
    #[inline]
    pub(super) fn unfile(&self, chunk: ChunkIndex, set: Filed) {
        self.summary(set).remove(set.set(), chunk);
        if self.is_due(chunk, set) {
            self.insert(chunk, set);
        }
    }

    /// Whether `chunk` belongs in `set`.
    pub(super) fn is_due(&self, chunk: ChunkIndex, set: Filed) -> bool {
        match set {
            Filed::Run(bin) => self.run_in_bin(chunk, bin, LONG_PAGES).is_some(),
            Filed::Whole => self.word(chunk) == ChunkWord::WHOLE,
            Filed::PageChunk => {
                let word = self.word(chunk);
                self.role(chunk) == Role::Pages && word != ChunkWord::FULL
            }
        }
    }

    pub(super) fn summary(&self, set: Filed) -> &Summary {
        match set {
            Filed::Run(_) => &self.bins,
            Filed::Whole => &self.whole,
            Filed::PageChunk => &self.page_chunks,
        }
    }

    pub(super) fn role(&self, chunk: ChunkIndex) -> Role {
        let (word, bit) = self.role_bit(chunk);
        // ORDERING: Relaxed. Read after the chunk's word was acquired, which orders it after the
        // store that matters (Protocol, 7); any other value only costs a detour.
        match read(word, Ordering::Relaxed) & bit {
            0 => Role::Blocks,
            _ => Role::Pages,
        }
    }

    pub(super) fn set_role(&self, chunk: ChunkIndex, role: Role) {
        let (word, bit) = self.role_bit(chunk);
        match role {
            // ORDERING: Relaxed, both. The read-modify-write of the chunk's word that follows
            // publishes it (Protocol, 7).
            Role::Blocks => word.fetch_and(!bit, Ordering::Relaxed),
            // ORDERING: see above.
            Role::Pages => word.fetch_or(bit, Ordering::Relaxed),
        };
    }

    fn role_bit(&self, chunk: ChunkIndex) -> (&AtomicU64, u64) {
        let index = chunk.get();
        (&self.roles[(index / u64::BITS) as usize], 1 << (index % u64::BITS))
    }

    pub(super) fn word(&self, chunk: ChunkIndex) -> ChunkWord {
        self.words.word(chunk)
    }

    pub(super) fn chunk_count(&self) -> u32 {
        self.words.count()
    }

    /// The chunks that can have free pages.
    pub(super) fn chunk_indices(
        &self,
    ) -> impl DoubleEndedIterator<Item = ChunkIndex> + ExactSizeIterator + use<> {
        (0..self.reached_chunks()).map(ChunkIndex::new)
    }

    /// How many those are.
    pub(super) fn reached_chunks(&self) -> u32 {
        // ORDERING: Relaxed. A thread that has a page there for the first time comes after
        // `reach`. So does one that knows, by a reservation or by the chunk's word, that it was
        // released.
        let reached = read(&self.reached, Ordering::Relaxed);
        // At most the number of words, of which `new` made one per chunk of a `PageCount`.
        u32::try_from(reached).unwrap_or(u32::MAX)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    const PAGE: PageCount = PageCount::ONE;

    fn free_list(pages: u32) -> FreeList {
        FreeList::new(PageCount::new(pages), Strategy::SmallestFit)
    }

    fn take_page(free_list: &FreeList) -> Option<HeldRun> {
        free_list.take_pages(PAGE).into_runs().next()
    }

    #[test]
    #[should_panic(expected = "pages of chunk 0 were released twice")]
    fn a_double_release_is_noticed() {
        let free_list = free_list(64);
        let run = free_list.take_run(PageCount::new(3)).unwrap();
        let again = HeldRun::reassemble(run.first(), PAGE);
        free_list.release_runs([run]);
        free_list.release_runs([again]);
    }

    #[test]
    fn a_double_release_changes_nothing() {
        let free_list = free_list(128);
        let run = free_list.take_run(PageCount::new(70)).unwrap();
        let again = HeldRun::reassemble(PageIndex::new(68), PageCount::new(4));
        let release = || free_list.release_runs([again]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(release)).is_err());
        // Two of the four pages were held, and are free now.
        assert_eq!(free_list.free_pages(), 60);
        drop(run);
    }

    #[test]
    fn pages_and_blocks_gather_in_chunks_of_their_own() {
        let free_list = free_list(3 * 64);
        let page = take_page(&free_list).unwrap();
        let block = free_list.take_run(PAGE).unwrap();
        assert_eq!((page.first().get(), block.first().get()), (0, 64));
        let next = take_page(&free_list).unwrap();
        let next_block = free_list.take_run(PAGE).unwrap();
        assert_eq!((next.first().get(), next_block.first().get()), (1, 65));
        free_list.check().unwrap();
        // A chunk that is whole again is open to either.
        free_list.release_runs([page, next]);
        let third = free_list.take_run(PageCount::new(64)).unwrap();
        assert_eq!(third.first().get(), 0);
        free_list.release_runs([block, next_block, third]);
        free_list.check().unwrap();
        assert_eq!(free_list.largest_run(), 3 * 64);
    }

    #[test]
    fn a_chunk_filed_nowhere_is_complained_about_and_still_found() {
        let free_list = free_list(100);
        for set in [Filed::Whole, Filed::Run(Bin::of(100))] {
            free_list.summary(set).remove(set.set(), ChunkIndex::new(0));
            let complaint = free_list.check().unwrap_err();
            free_list.insert(ChunkIndex::new(0), set);
            let set = format!("{set:?}");
            assert!(complaint.contains("chunk 0") && complaint.contains(&set), "{complaint}");
        }
        free_list.bins.remove(Bin::of(100).set(), ChunkIndex::new(0));
        let block = free_list.take_run(PageCount::new(64)).unwrap();
        assert_eq!(block.first().get(), 0, "the words know it");
    }

    #[test]
    fn a_claim_without_an_end_and_a_page_out_of_reach_are_complained_about() {
        let free_list = FreeList::with_free(PageCount::new(128), 0..64, Strategy::SmallestFit);
        let claim = free_list.words.claims().enter();
        assert_eq!(free_list.check(), Err("1 claims are in flight".to_owned()));
        claim.complete();
        assert_eq!(free_list.check(), Ok(()));
        let _ = free_list.words.set_free(ChunkIndex::new(1), ChunkWord::WHOLE.lowest(1));
        let complaint = free_list.check().unwrap_err();
        assert_eq!(complaint, "chunk 1 (free pages 0x1) is beyond the 1 reached");
    }

    #[test]
    fn pages_that_are_free_from_the_start_are_filed_as_one_run() {
        for free in [0..128, 10..20, 70..128, 1..65] {
            let free_list =
                FreeList::with_free(PageCount::new(128), free.clone(), Strategy::SmallestFit);
            assert_eq!(free_list.check(), Ok(()), "{free:?}");
        }
    }

    #[test]
    fn single_pages_are_filed_for_pages_and_blocks_for_blocks() {
        let chunk = ChunkIndex::new(0);
        let for_pages = free_list(64);
        let _pages = [take_page(&for_pages), take_page(&for_pages)];
        assert!(!for_pages.bins.contains(Bin::of(62).set(), chunk));
        let for_blocks = free_list(64);
        let block = for_blocks.take_run(PageCount::new(64)).unwrap();
        for_blocks.release_runs([block]);
        assert_eq!(for_blocks.page_chunks.first(Filed::PageChunk.set()), None);
    }

    #[test]
    fn pages_of_one_chunk_are_released_at_once() {
        let (free_list, chunk) = (free_list(64), ChunkIndex::new(0));
        let _below = free_list.take_run(PageCount::new(61)).unwrap();
        let runs = [PAGE; 3].map(|pages| free_list.take_run(pages).unwrap());
        free_list.release_runs(runs);
        for (pages, filed) in [(1, false), (2, false), (3, true)] {
            assert_eq!(free_list.bins.contains(Bin::of(pages).set(), chunk), filed, "{pages}");
        }
    }
}
