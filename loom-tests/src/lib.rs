//! Models of the lock-free code, checked by loom and by shuttle.
//!
//! Each model in `tests/` begins with its goal and lets two threads do two or three steps each,
//! in every order that the memory model allows, up to a bound of preemptions. They run under
//! `--cfg offheap_loom`, see `scripts/loom.sh`, in two modes: as the code is, and with
//! `--cfg offheap_loom_rmw`, which turns the loads of words that only read-modify-writes change
//! into such themselves, because loom does not explore every `load; compare_exchange`.
//!
//! What takes more threads and more steps than that is in `tests/schedules`, which shuttle runs
//! in many random orders, under `--cfg offheap_shuttle` beside the first; see `scripts/shuttle.sh`.
#![cfg(offheap_loom)]
#![expect(missing_debug_implementations, reason = "nobody prints what models use")]

pub mod engine;
pub mod manager;
pub mod paging;
pub mod tree;

use offheap::Strategy;
use offheap::model::{Account, Budget, FreeList, HeldRun, PageCount, QueuePosition};

use engine::cell::UnsafeCell;

/// Runs a model.
#[cfg(not(offheap_shuttle))]
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    check_within(usize::MAX, model);
}

/// Runs a model with so many steps that only this many preemptions can be explored at a time.
#[cfg(not(offheap_shuttle))]
pub fn check_within(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(preemptions_max));
    // A quiescent check reads every word there is, which takes more steps than loom expects.
    builder.max_branches = 5_000;
    builder.check(model);
}

/// Runs a model whose loads may see so many values that fewer preemptions can be explored at a time
/// as the code is, `preemptions_max.0`, than where loads are read-modify-writes, `.1`.
#[cfg(not(offheap_shuttle))]
pub fn check_many_loads(preemptions_max: (usize, usize), model: impl Fn() + Send + Sync + 'static) {
    let (as_it_is, without_loads) = preemptions_max;
    check_within(if cfg!(offheap_loom_rmw) { without_loads } else { as_it_is }, model);
}

/// Makes a request of `bytes` that fails after it was counted, if it gets that far.
pub fn fail(budget: &Budget, account: &Account, bytes: u64) {
    if let Ok((request, _)) = account.begin(budget, bytes, QueuePosition::LAST) {
        let _ = account.undo(budget, request);
    }
}

/// A free list and, for each page, a cell that finds out about two holders at once, and about a
/// hand-over without happens-before.
pub struct Pages {
    /// The free list under test.
    pub free_list: FreeList,
    contents: Vec<UnsafeCell<u64>>,
}

// SAFETY: the cells are accessed by the holders of their pages only; loom checks that there is
// one at a time.
unsafe impl Sync for Pages {}

impl Pages {
    /// `pages` free pages.
    #[must_use]
    pub fn new(pages: u32) -> Self {
        let free_list = FreeList::new(PageCount::new(pages), Strategy::SmallestFit);
        let contents = (0..pages).map(|_| UnsafeCell::new(0)).collect();
        Self { free_list, contents }
    }

    /// One free page between two that are held. A release at the border of a chunk passes a
    /// full fence, which orders more than is promised.
    #[must_use]
    pub fn one_inside() -> Self {
        let pages = Self::new(3);
        let held: Vec<HeldRun> = (0..3).map(|_| pages.take_page()).collect();
        let inside = held.into_iter().find(|run| run.first().get() == 1);
        pages.release(inside.expect("a page each"));
        pages
    }

    /// Takes one page.
    pub fn take_page(&self) -> HeldRun {
        let pages = self.free_list.take_pages(PageCount::new(1));
        self.used(pages.into_runs().next().expect("at least one page"))
    }

    /// Takes the one page that a reservation says is free, in a single round. The hints order
    /// some of what the budget orders, so this looks at the words alone first.
    pub fn take_reserved_page(&self) -> HeldRun {
        assert_eq!(self.free_list.free_pages(), 1, "the page that was reserved is seen to be free");
        let pages = self.free_list.try_take_pages(PageCount::new(1));
        let pages = pages.expect("the page that was reserved is free");
        self.used(pages.into_runs().next().expect("at least one page"))
    }

    /// Takes `count` pages that reservations say are free.
    pub fn take_reserved_pages(&self, count: u32) {
        assert_eq!(self.free_list.free_pages(), count, "what was credited is seen to be free");
        for _ in 0..count {
            let _: HeldRun = self.take_page();
        }
    }

    /// Takes all pages of a region of one chunk, as pages.
    #[must_use]
    pub fn take_chunk(&self) -> Vec<HeldRun> {
        let pages = self.free_list.take_pages(PageCount::new(64));
        pages.into_runs().collect()
    }

    /// Takes a run of `pages`, if there is one.
    pub fn take_run(&self, pages: u32) -> Option<HeldRun> {
        self.free_list.take_run(PageCount::new(pages)).map(|run| self.used(run))
    }

    /// Gives a run back.
    pub fn release(&self, run: HeldRun) {
        self.free_list.release_runs([self.used(run)]);
    }

    /// Writes to the pages of `run`.
    pub fn used(&self, run: HeldRun) -> HeldRun {
        let first = run.first().get() as usize;
        for page in first..first + run.pages().get() as usize {
            self.contents[page].with_mut(|content| {
                // SAFETY: the holder's own page; loom checks it.
                unsafe { content.write(content.read() + 1) };
            });
        }
        run
    }

    /// Checks the hints against the words, in a quiet moment.
    pub fn check(&self) {
        self.free_list.check().expect("every chunk is filed where it is due");
    }
}
