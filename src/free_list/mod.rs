//! The lock-free set of free pages: one word per chunk, and hints that find the right chunk.
//!
//! ```text
//!   bins (hints)            page chunks (hint)      64 bins: all chunks by longest free run;
//!   |1|2|3| ... |63|64|     | |                     bin 64 are the whole chunks
//!      |          |           |
//!   [chunk 0][chunk 1][chunk 2] ...                 the words (truth): a set bit is a free page
//! ```
//!
//! # Protocol
//!
//! 1. **The word is the truth.** Pages are taken by a compare-exchange that clears their bits and
//!    released by a `fetch_or` that sets them. Whoever cleared a bit holds the page.
//! 2. Releasing is Release and taking is Acquire, on the same word, so what a holder wrote to a
//!    page, and the release itself, happen before the next holder's first access.
//! 3. Everything else is a hint. A chunk is *due* in some sets: a chunk with role `Pages` in
//!    `page_chunks` while a page of it is free; one with role `Blocks` in the bin of its longest
//!    free run; any chunk in bin 64 while it is whole. A chunk may be filed where it is not due,
//!    but once all is quiet it is filed wherever it is due.
//! 4. After changing a word, read the role, **then** file the chunk in every set where it is due
//!    now and was not before; always with a read-modify-write.
//! 5. Whoever finds a chunk filed where it is not due takes it out, **reads word and role again**,
//!    and files it again if it is due after all. As both are read-modify-writes of the same hint,
//!    the one who files comes second and stands, or comes first and is seen by the reading.
//! 6. A role changes only with the compare-exchange that takes the first pages of a whole chunk.
//!    Who changes it holds pages of the chunk until done, so nobody else can. Having stored the
//!    role it reads the word with a read-modify-write and files by what it finds: a change before
//!    that is in the word it reads, a change after it sees the new role, by 4.
//! 7. A run that crosses chunks is taken chunk by chunk in ascending order. Where a page is gone,
//!    all that was taken is released again **and the claim has failed**: the search starts over.
//!    No search reports "no hole" while such a claim was in flight (`claims`).
//! 8. A page that is reserved in a budget exists: pages are released before they are credited.
//!    So a search for single pages goes on until it finds one; each round that it loses, another
//!    thread won a page.

mod claims;
mod pieces;
mod search;
mod strategy;
mod summary;
mod word;

use std::ops::Range;

use crate::sync::{AtomicU64, Ordering, read, words};
use crate::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageIndex, Span};

pub(crate) use claims::{Claim, Claims};
pub use pieces::Lent;
pub use strategy::Strategy;
pub use summary::{SetIndex, Summary};
use word::{ChunkWord, PageMask, chunk_parts};

/// The free pages of a region.
pub struct FreeList {
    /// The truth, a word per chunk.
    chunks: Box<[AtomicU64]>,
    /// A bit per chunk: what it was opened for (Protocol, 6).
    roles: Box<[AtomicU64]>,
    /// Chunks with role `Blocks` by longest free run, and in bin 64 all whole chunks.
    bins: Summary,
    /// Chunks with role `Pages` that have a free page.
    page_chunks: Summary,
    claims: Claims,
    /// The chunks from the first one on that can have free pages: all others need no search.
    reached: AtomicU64,
    strategy: Strategy,
}

/// Adjacent pages that belong to whoever has this value.
///
/// Neither `Clone` nor constructible elsewhere, so releasing pages twice does not compile.
#[must_use = "a dropped `HeldRun` is lost to its free list"]
#[derive(PartialEq, Eq, Debug)]
pub struct HeldRun {
    first: PageIndex,
    pages: PageCount,
}

/// Pages of one chunk, adjacent or not, that belong to whoever has this value.
#[must_use = "dropped `HeldPages` are lost to their free list"]
pub struct HeldPages {
    chunk: ChunkIndex,
    mask: PageMask,
}

/// What a chunk is used for as long as it is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// Blocks: filed by longest free run.
    Blocks,
    /// Single pages: filed while a page is free. Filing such chunks by longest free run, too,
    /// would cost every page a read-modify-write or two.
    Pages,
}

/// A set in which a chunk can be filed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Filed {
    /// In the bin of this length.
    Bin(u32),
    /// Among the page chunks.
    PageChunk,
}

impl HeldRun {
    /// The first page.
    #[must_use]
    pub fn first(&self) -> PageIndex {
        self.first
    }

    /// The number of pages.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// Its pages, as numbers.
    pub(crate) fn span(&self) -> Span {
        Span { first: self.first, pages: self.pages }
    }

    /// The run that a holder described by these numbers has.
    ///
    /// Only for a holder that took a `HeldRun` apart and vouches, by owning the memory itself,
    /// that it is the only one with these pages.
    pub(crate) fn reassemble(first: PageIndex, pages: PageCount) -> Self {
        Self { first, pages }
    }
}

impl HeldPages {
    /// The pages one by one, from the lowest up.
    pub fn into_runs(self) -> impl Iterator<Item = HeldRun> {
        let mut rest = self.mask.into_bits();
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                HeldRun { first: self.chunk.page(bit), pages: PageCount::ONE }
            })
        })
    }

    /// The number of pages.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        self.mask.pages()
    }
}

impl Filed {
    fn set(self) -> SetIndex {
        match self {
            Self::Bin(length) => SetIndex(length - 1),
            Self::PageChunk => SetIndex(0),
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
        let free_in = |chunk: u32| ChunkIndex::new(chunk).bits_of(&free);
        let free_list = Self {
            chunks: words((0..count).map(free_in)),
            roles: words((0..count.div_ceil(u64::BITS)).map(|_| 0)),
            bins: Summary::new(PAGES_PER_CHUNK, count),
            page_chunks: Summary::new(1, count),
            claims: Claims::new(),
            reached: AtomicU64::new(u64::from(PageCount::new(free.end).chunks())),
            strategy,
        };
        for chunk in (0..count).map(ChunkIndex::new) {
            free_list.file(chunk, ChunkWord::FULL, free_list.word(chunk));
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
        for run in runs {
            for part in chunk_parts(run.first.get(), run.pages.get()) {
                let mask = PageMask::of(part.hole);
                open = match open {
                    Some((chunk, pages)) if chunk == part.chunk => Some((chunk, pages.with(mask))),
                    gathered => {
                        if let Some((chunk, pages)) = gathered {
                            self.release_in(chunk, pages);
                        }
                        Some((part.chunk, mask))
                    }
                };
            }
        }
        if let Some((chunk, pages)) = open {
            self.release_in(chunk, pages);
        }
    }

    fn release_in(&self, chunk: ChunkIndex, mask: PageMask) {
        // ORDERING: AcqRel. Release: what we wrote to the pages happens before the next holder's
        // accesses (Protocol, 2). Acquire: the role we read next is the one it was opened with
        // (Protocol, 4 and 6).
        let old = self.chunk(chunk).fetch_or(mask.into_bits(), Ordering::AcqRel);
        let old = ChunkWord::from_bits(old);
        assert!(!old.has_any(mask), "pages of chunk {} were released twice", chunk.get());
        self.file(chunk, old, old.released(mask));
    }

    /// Takes all pages of `mask` if they are free.
    fn take_in(&self, chunk: ChunkIndex, mask: PageMask, role: Role) -> bool {
        self.take_with(chunk, role, |word| word.has_all(mask).then_some(mask)).is_some()
    }

    /// Takes what `pick` picks from the chunk's word, and again after each change of the word,
    /// until it is taken or `pick` gives up. A whole chunk gets `role`.
    fn take_with(
        &self,
        chunk: ChunkIndex,
        role: Role,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<PageMask> {
        let mut word = self.word(chunk);
        loop {
            let mask = pick(word)?;
            let taken = word.taken(mask);
            let exchanged = self.chunk(chunk).compare_exchange_weak(
                word.into_bits(),
                taken.into_bits(),
                // ORDERING: AcqRel. Acquire: pairs with the Release of whoever released these
                // pages (Protocol, 2). Release: a search that sees them gone sees the claim that
                // took them (`claims`, 3).
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop only compares it; a search that fails in the end
                // reads the word again.
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => {
                    self.file_taken(chunk, word, taken, role);
                    return Some(mask);
                }
                Err(now) => word = ChunkWord::from_bits(now),
            }
        }
    }

    fn file_taken(&self, chunk: ChunkIndex, old: ChunkWord, new: ChunkWord, role: Role) {
        if old == ChunkWord::WHOLE && self.role(chunk) != role {
            self.set_role(chunk, role);
            // ORDERING: Release. Whoever changes the word after this sees the role (Protocol, 6).
            // What was changed before this is in the value that it returns.
            let now = self.chunk(chunk).fetch_or(0, Ordering::Release);
            self.file(chunk, ChunkWord::FULL, ChunkWord::from_bits(now));
        } else {
            self.file(chunk, old, new);
        }
    }

    /// Files `chunk`, whose word went from `old` to `new`, where it is due now and was not before.
    fn file(&self, chunk: ChunkIndex, old: ChunkWord, new: ChunkWord) {
        let insert = |set: Filed| self.summary(set).insert(set.set(), chunk);
        match self.role(chunk) {
            Role::Pages => {
                if old == ChunkWord::FULL && new != ChunkWord::FULL {
                    insert(Filed::PageChunk);
                }
                if new == ChunkWord::WHOLE {
                    insert(Filed::Bin(PAGES_PER_CHUNK));
                }
            }
            Role::Blocks => {
                let longest = new.longest_run();
                if longest != 0 && longest != old.longest_run() {
                    insert(Filed::Bin(longest));
                }
            }
        }
    }

    /// Takes `chunk` out of a set where it was found and was not due (Protocol, 5).
    fn unfile(&self, chunk: ChunkIndex, set: Filed) {
        self.summary(set).remove(set.set(), chunk);
        if self.is_due(chunk, self.word(chunk), set) {
            self.summary(set).insert(set.set(), chunk);
        }
    }

    /// Whether `chunk`, having this word, belongs in `set`.
    fn is_due(&self, chunk: ChunkIndex, word: ChunkWord, set: Filed) -> bool {
        match set {
            Filed::Bin(PAGES_PER_CHUNK) => word == ChunkWord::WHOLE,
            Filed::Bin(length) => self.role(chunk) == Role::Blocks && word.longest_run() == length,
            Filed::PageChunk => self.role(chunk) == Role::Pages && word != ChunkWord::FULL,
        }
    }

    fn summary(&self, set: Filed) -> &Summary {
        match set {
            Filed::Bin(_) => &self.bins,
            Filed::PageChunk => &self.page_chunks,
        }
    }

    fn role(&self, chunk: ChunkIndex) -> Role {
        let (word, bit) = self.role_bit(chunk);
        // ORDERING: Relaxed. Read after the chunk's word was acquired, which orders it after the
        // store that matters (Protocol, 6); any other value only costs a detour.
        match read(word, Ordering::Relaxed) & bit {
            0 => Role::Blocks,
            _ => Role::Pages,
        }
    }

    fn set_role(&self, chunk: ChunkIndex, role: Role) {
        let (word, bit) = self.role_bit(chunk);
        match role {
            // ORDERING: Relaxed, both. The read-modify-write of the chunk's word that follows
            // publishes it (Protocol, 6).
            Role::Blocks => word.fetch_and(!bit, Ordering::Relaxed),
            // ORDERING: see above.
            Role::Pages => word.fetch_or(bit, Ordering::Relaxed),
        };
    }

    fn role_bit(&self, chunk: ChunkIndex) -> (&AtomicU64, u64) {
        let index = chunk.get();
        (&self.roles[(index / u64::BITS) as usize], 1 << (index % u64::BITS))
    }

    fn word(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: Acquire. What is read after it, the role (Protocol, 5 and 6) and the claims
        // in flight (`claims`, 3), is at least as new as the word.
        ChunkWord::from_bits(read(self.chunk(chunk), Ordering::Acquire))
    }

    fn chunk(&self, chunk: ChunkIndex) -> &AtomicU64 {
        &self.chunks[chunk.get() as usize]
    }

    /// The chunks that can have free pages.
    fn chunk_indices(&self) -> impl DoubleEndedIterator<Item = ChunkIndex> + use<> {
        // ORDERING: Relaxed. Whoever has a page there for the first time comes after `reach`, and
        // so does whoever knows, by a reservation or by the chunk's word, that it was released.
        let reached = read(&self.reached, Ordering::Relaxed);
        // At most the number of words, of which `new` made one per chunk of a `PageCount`.
        (0..u32::try_from(reached).unwrap_or(u32::MAX)).map(ChunkIndex::new)
    }

    fn all_chunks(&self) -> impl DoubleEndedIterator<Item = ChunkIndex> + use<> {
        (0..u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)).map(ChunkIndex::new)
    }
}

/// Looking at the whole list. Exact when nobody changes it meanwhile.
impl FreeList {
    /// The word of each chunk: a set bit is a free page.
    pub fn free_words(&self) -> impl Iterator<Item = u64> {
        self.all_chunks().map(|chunk| self.word(chunk).into_bits())
    }

    /// The number of free pages.
    #[must_use]
    pub fn free_pages(&self) -> u32 {
        self.all_chunks().map(|chunk| self.word(chunk).free_pages()).sum()
    }

    /// The number of chunks per bin: entry `n` counts those whose longest free run is `n` pages.
    #[must_use]
    pub fn chunks_per_bin(&self) -> Vec<u32> {
        let mut counts = vec![0; PAGES_PER_CHUNK as usize + 1];
        for chunk in self.all_chunks() {
            counts[self.word(chunk).longest_run() as usize] += 1;
        }
        counts
    }

    /// Checks that every chunk is filed wherever it is due. Call it in a quiet moment: while
    /// pages come and go a filing can be on its way.
    ///
    /// # Errors
    ///
    /// A sentence about the first chunk that is not.
    pub fn check(&self) -> Result<(), String> {
        for chunk in self.all_chunks() {
            let word = self.word(chunk);
            for set in (1..=PAGES_PER_CHUNK).map(Filed::Bin).chain([Filed::PageChunk]) {
                let is_filed = self.summary(set).contains(set.set(), chunk);
                if self.is_due(chunk, word, set) && !is_filed {
                    let (role, free) = (self.role(chunk), word.into_bits());
                    let chunk = chunk.get();
                    return Err(format!(
                        "chunk {chunk} (free pages {free:#x}, {role:?}) is not filed in {set:?}"
                    ));
                }
            }
        }
        Ok(())
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
        let whole = Filed::Bin(64);
        free_list.bins.remove(whole.set(), ChunkIndex::new(0));
        let complaint = free_list.check().unwrap_err();
        assert!(complaint.contains("chunk 0") && complaint.contains("Bin(64)"), "{complaint}");
        let block = free_list.take_run(PageCount::new(64)).unwrap();
        assert_eq!(block.first().get(), 0, "the words know it");
    }
}
