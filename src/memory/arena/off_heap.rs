//! Pages and blocks out of a region, and what of it is resident.

use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use crate::base::limits::ADDRESS_SPACE_BYTES_MAX;
use crate::base::seeded::{Bug, is_planted};
use crate::base::sync::{AtomicU64, Lock, Ordering, Rank, read};
use crate::base::units::{PageCount, PageIndex, PageSize, Span};
use crate::ledger::chunks::{HeldRun, Lent};
use crate::ledger::free_list::Strategy;
use crate::ledger::stock::{Exchange, NoExchange, PageSet, Stock, TrimCursor};
use crate::memory::block::Block;
use crate::memory::os::{CoreDumps, HugePages, Populate, checker};
use crate::memory::region::{PageFrames, Region, RegionOptions};

use super::idle::IdleMemory;
use super::no_memory::NoMemory;
use super::on_release::{OnRelease, Progress};
use super::zero_policy::ZeroPolicy;

/// A region and its free pages.
pub(crate) struct OffHeap {
    region: Region,
    stock: Stock,
    strategy: Strategy,
    zero_policy: ZeroPolicy,
    /// The pages that were handed out since the system gave them to us: all others are known to be
    /// zero. `None` where nobody asks.
    written: Option<PageSet>,
    /// The policy of threads that release, if there is one.
    on_release: Option<OnRelease>,
    /// The thread that has it trims: one at a time, as two would only find less each. How far those
    /// have come that release.
    trimming: Lock<Progress>,
    exchanges: AtomicU64,
    given_back_pages: AtomicU64,
}

/// What is asked of an off-heap arena.
#[derive(Clone)]
pub(crate) struct OffHeapOptions {
    pub(crate) pages: PageCount,
    pub(crate) page_size: PageSize,
    pub(crate) strategy: Strategy,
    pub(crate) zero_policy: ZeroPolicy,
    pub(crate) address_space: AddressSpace,
    pub(crate) idle_memory: IdleMemory,
    pub(crate) huge_pages: HugePages,
    pub(crate) populate: Populate,
    pub(crate) populate_threads: u32,
    pub(crate) core_dumps: CoreDumps,
}

/// How much address space a region takes, as a multiple of its pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AddressSpace {
    /// That much, or there is no region.
    Exactly(u32),
    /// That much, or half of it as often as it takes.
    UpTo(u32),
}

/// What an arena can tell about its residency at no cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ResidencyStats {
    pub(crate) mapped_bytes: usize,
    pub(crate) mappings: u64,
    pub(crate) touched_bytes: usize,
    pub(crate) exchanges: u64,
    pub(crate) given_back_bytes: u64,
}

impl AddressSpace {
    /// The most that can be had for `pages`, at least 1.
    pub(crate) fn factor_max(pages: PageCount, page_size: PageSize) -> u32 {
        let by_number = u32::MAX / pages.get();
        let by_bytes = ADDRESS_SPACE_BYTES_MAX / page_size.bytes_of(pages);
        by_number.min(u32::try_from(by_bytes).unwrap_or(u32::MAX)).max(1)
    }

    /// The factors to try, one after the other.
    fn factors(self, max: u32) -> impl Iterator<Item = u32> {
        let (first, more) = match self {
            Self::Exactly(factor) => (factor, false),
            Self::UpTo(factor) => (factor.min(max), true),
        };
        std::iter::successors(Some(first), move |factor| (more && *factor > 1).then(|| factor / 2))
    }
}

impl OffHeap {
    pub(crate) fn new(options: &OffHeapOptions) -> io::Result<Self> {
        let &OffHeapOptions { pages, page_size, strategy, zero_policy, address_space, .. } =
            options;
        let mapped = |factor: u32| PageCount::new(pages.get().saturating_mul(factor));
        let max = AddressSpace::factor_max(pages, page_size);
        let mut refused = io::Error::from(io::ErrorKind::Unsupported);
        for factor in address_space.factors(max) {
            let &OffHeapOptions { huge_pages, core_dumps, .. } = options;
            let mapped = mapped(factor);
            let region =
                RegionOptions { pages: mapped, warm: pages, page_size, huge_pages, core_dumps };
            match Region::new(&region) {
                Ok(region) => {
                    let units = region.units(pages);
                    let off_heap = Self {
                        region,
                        stock: Stock::with_units(pages, mapped, strategy, units),
                        strategy,
                        zero_policy,
                        written: (zero_policy == ZeroPolicy::OnAllocate)
                            .then(|| PageSet::new(mapped)),
                        on_release: OnRelease::new(options.idle_memory, page_size),
                        trimming: Lock::new(Rank::Trimming, Progress::default()),
                        exchanges: AtomicU64::new(0),
                        given_back_pages: AtomicU64::new(0),
                    };
                    // A huge page of the system's is proved to be there by making it resident.
                    // Where it is not, a later touch would end the process.
                    let proves = huge_pages == HugePages::HugeTlb;
                    if proves || options.populate == Populate::Eager {
                        off_heap.populate_all(options.populate_threads)?;
                    }
                    return Ok(off_heap);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    pub(crate) fn stock(&self) -> &Stock {
        &self.stock
    }

    pub(crate) fn zero_policy(&self) -> ZeroPolicy {
        self.zero_policy
    }

    /// The resident bytes of the region; `None` where the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        self.region.resident_bytes()
    }

    pub(crate) fn residency_stats(&self) -> ResidencyStats {
        let page_bytes = self.region.page_size().bytes();
        let touched = usize::try_from(self.stock.residency().marked_pages()).unwrap_or(usize::MAX);
        ResidencyStats {
            mapped_bytes: self.region.bytes(),
            mappings: self.region.mappings(),
            touched_bytes: touched.saturating_mul(page_bytes),
            // ORDERING: Relaxed, both. Counts for statistics.
            exchanges: read(&self.exchanges, Ordering::Relaxed),
            // ORDERING: as above.
            given_back_bytes: read(&self.given_back_pages, Ordering::Relaxed) * page_bytes as u64,
        }
    }

    /// Takes `count` pages out of the free list one by one, to be handed out in the opposite
    /// order.
    pub(crate) fn take_stack(&self, count: PageCount, mut push: impl FnMut(HeldRun)) {
        let mut left = count.get();
        while left > 0 {
            let pages = self.stock.take_pages(PageCount::new(left));
            left -= pages.pages();
            pages.into_runs_from_top().for_each(&mut push);
        }
    }

    /// Takes `count` pages out of the free list without handing them out yet.
    pub(super) fn take_runs(&self, count: PageCount, mut take: impl FnMut(HeldRun)) {
        let mut left = count.get();
        while left > 0 {
            let pages = self.stock.take_pages(PageCount::new(left));
            left -= pages.pages();
            pages.into_runs().for_each(&mut take);
        }
    }

    /// Gives pages back to the free list that were never handed out, or were taken back.
    #[inline]
    pub(crate) fn release_runs(&self, runs: impl IntoIterator<Item = HeldRun>) {
        match &self.on_release {
            None => self.stock.release_runs(runs),
            Some(policy) => {
                let mut pages = 0;
                let count = |run: &HeldRun| pages += u64::from(run.pages().get());
                self.stock.release_runs(runs.into_iter().inspect(count));
                if policy.is_due(pages)
                    && let Some(mut progress) = self.trimming.try_lock()
                {
                    let trim = |cursor: &mut TrimCursor, pages_max, strides_max| {
                        let system = |pages: &Lent<'_>| self.trim_some(pages);
                        self.stock.trim_step(cursor, pages_max, strides_max, system)
                    };
                    policy.look(&self.stock, &mut progress, pages, trim);
                }
            }
        }
    }

    /// Gives free pages back to the system until at most `idle_bytes_max` of those that are left
    /// may be resident; returns the bytes of them that were. Waits for another trim.
    pub(crate) fn trim(&self, idle_bytes_max: usize) -> usize {
        let _only = self.trimming.lock();
        let page_size = self.region.page_size();
        let given_back = Cell::new(0);
        self.stock.trim((idle_bytes_max / page_size.bytes()) as u64, |pages| {
            let resident = self.region.resident_bytes_of(pages, self.stock.residency());
            let is_given_back = self.trim_some(pages);
            if is_given_back {
                given_back.set(given_back.get() + resident);
            }
            is_given_back
        });
        given_back.get()
    }

    /// The bytes of free pages that may be resident. Looks at every chunk.
    pub(crate) fn idle_bytes(&self) -> usize {
        let pages = usize::try_from(self.stock.idle_pages()).unwrap_or(usize::MAX);
        pages.saturating_mul(self.region.page_size().bytes())
    }

    /// Gives pages back that a trim lends; whether the system took them.
    fn trim_some(&self, pages: &Lent<'_>) -> bool {
        let residency = self.stock.residency();
        let given_back = self.region.give_back(pages, residency).is_ok();
        if given_back {
            self.note_given_back(pages.spans());
            // None of it is resident now, so it can begin anew.
            let spans = pages.spans().iter();
            spans.for_each(|span| self.region.use_huge_pages_within(*span, residency));
        }
        given_back
    }

    /// A block of exactly `pages`, not yet as the policy wants it.
    pub(super) fn block(&self, pages: PageCount) -> Result<Block, NoMemory> {
        if pages == PageCount::ONE {
            // A single page is a hole wherever it is, so it is found as surely as any page.
            return Ok(self.hand_out(self.stock.take_run_of_one()));
        }
        match self.stock.take_run(pages) {
            Some(run) => Ok(self.hand_out(run)),
            None => self.exchange(pages).map(|run| self.hand_out(run)),
        }
    }

    /// A block of at most `pages_max`, not yet as the policy wants it. It is all of `pages_max` if
    /// the strategy is the smallest fit and an exchange can make room; else the largest hole.
    pub(super) fn block_up_to(&self, pages_max: PageCount) -> Block {
        if self.strategy == Strategy::SmallestFit
            && self.stock.cold().is_some()
            && let Ok(block) = self.block(pages_max)
        {
            return block;
        }
        self.hand_out(self.stock.take_run_up_to(pages_max))
    }

    fn exchange(&self, pages: PageCount) -> Result<HeldRun, NoMemory> {
        let run = self.stock.exchange(pages, |exchange| self.give_back_for(exchange).is_ok());
        let run = run.map_err(|no_exchange| match no_exchange {
            NoExchange::NoRun => NoMemory::Fragmented,
            NoExchange::Refused => NoMemory::NotExchanged,
        })?;
        self.note_exchanged(run.span());
        Ok(run)
    }

    /// A run was had by an exchange, and is held by the caller.
    pub(super) fn note_exchanged(&self, run: Span) {
        self.region.use_huge_pages_within(run, self.stock.residency());
        // ORDERING: Relaxed. A count for statistics.
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of steps in which the capacity is populated.
    pub(crate) fn populate_steps(&self) -> u32 {
        self.stock.populate_steps()
    }

    /// Makes pages of a step resident that are free and are not.
    pub(crate) fn populate(&self, step: u32) -> io::Result<()> {
        self.stock.populate(step, |pages| self.region.populate(pages)).unwrap_or(Ok(()))
    }

    /// Makes the whole capacity resident: each thread takes the next step until none is left.
    fn populate_all(&self, threads: u32) -> io::Result<()> {
        let steps = self.populate_steps();
        let next = AtomicU64::new(0);
        let populate = || loop {
            // ORDERING: Relaxed. Only the numbers have to differ.
            let step = next.fetch_add(1, Ordering::Relaxed);
            match u32::try_from(step).ok().filter(|step| *step < steps) {
                Some(step) => self.populate(step)?,
                None => return Ok(()),
            }
        };
        thread::scope(|scope| {
            // Where there is no thread to be had, there is one less.
            let start = |_| thread::Builder::new().spawn_scoped(scope, populate).ok();
            let others: Vec<_> = (1..threads.clamp(1, steps)).filter_map(start).collect();
            let mine = populate();
            others.into_iter().fold(mine, |result, other| {
                result.and(other.join().unwrap_or_else(|panic| resume_unwind(panic)))
            })
        })
    }

    /// The system's part of an exchange.
    pub(super) fn give_back_for(&self, exchange: &Exchange<'_>) -> io::Result<()> {
        let residency = self.stock.residency();
        self.region.use_no_huge_page_across(exchange.run, residency)?;
        self.region.give_back(&exchange.leaving, residency)?;
        self.note_given_back(exchange.leaving.spans());
        Ok(())
    }

    /// These pages are zero now.
    fn note_given_back(&self, spans: &[Span]) {
        let mut pages = 0;
        for (chunk, given_back) in spans.iter().flat_map(|span| span.chunks()) {
            let marked = self.stock.residency().marked_of(chunk) & given_back;
            pages += u64::from(marked.pages());
            if let Some(written) = &self.written {
                written.remove_all(chunk, given_back);
            }
        }
        // ORDERING: Relaxed. A count for statistics.
        self.given_back_pages.fetch_add(pages, Ordering::Relaxed);
    }

    /// The first page of a block of this region.
    pub(super) fn first_page(&self, block: &Block) -> PageIndex {
        self.region.first_page(block)
    }

    pub(super) fn frames(&self) -> PageFrames {
        self.region.frames()
    }

    pub(super) fn page_size(&self) -> PageSize {
        self.region.page_size()
    }

    pub(super) fn hand_out(&self, run: HeldRun) -> Block {
        let block = self.region.block(run);
        if self.zero_policy == ZeroPolicy::OnRelease {
            block.note_zero();
        }
        block
    }

    /// The memory of a run, as the policy wants it.
    pub(super) fn hand_out_ready(&self, run: HeldRun) -> Block {
        let mut block = self.hand_out(run);
        self.make_ready(&mut block);
        block
    }

    pub(super) fn make_ready(&self, block: &mut Block) {
        let Some(written) = &self.written else { return };
        // What is not in `written` is, and the rest is about to be.
        block.note_zero();
        let page_size = self.region.page_size();
        let first = self.region.first_page(block).get();
        let pages = page_size.pages_within(block.size()).map_or(0, PageCount::get);
        let bytes = |page| page_size.bytes_of(PageCount::new(page));
        for (chunk, mask) in Span::new(first..first + pages).chunks() {
            let stale = written.of(chunk) & mask;
            written.insert_all(chunk, mask);
            for run in stale.runs() {
                let page = chunk.page(run.first_bit).get() - first;
                let stale = bytes(page)..bytes(page + run.pages);
                checker::note_stale(block.base(), stale.clone());
                if !is_planted(Bug::SkippedZeroing) {
                    block.bytes_mut()[stale].fill(0);
                }
            }
        }
    }

    /// The run of a block that a caller is done with.
    pub(super) fn take_back(&self, mut block: Block) -> HeldRun {
        if self.zero_policy == ZeroPolicy::OnRelease {
            block.wipe();
        }
        self.region.run(block)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_halved_down_to_one_and_a_wish_is_not() {
        let factors = |space: AddressSpace| space.factors(6).collect::<Vec<_>>();
        assert_eq!(factors(AddressSpace::UpTo(4)), [4, 2, 1]);
        assert_eq!(factors(AddressSpace::UpTo(9)), [6, 3, 1]);
        assert_eq!(factors(AddressSpace::Exactly(4)), [4]);
    }
}
