//! Several threads and many steps, in random orders: what is too large for loom.
#![cfg(offheap_shuttle)]

mod paging;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::Strategy;
use offheap::model::{
    Budget, Depot, Entered, Fences, FreeList, HeldRun, Locked, Magazine, NoExchange, PageCount,
    Parent, Span, Stock, full_fence,
};
use offheap_loom_tests::engine::rand::{Rng, thread_rng};
use offheap_loom_tests::engine::thread;
use offheap_loom_tests::manager::Manager;
use offheap_loom_tests::tree::Tree;
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

/// Runs a scenario in as many orders as `SHUTTLE_SCHEDULES` says.
fn check(scenario: fn()) {
    let schedules = std::env::var("SHUTTLE_SCHEDULES").ok();
    let schedules = schedules.map_or(4_000, |number| number.parse().expect("a number"));
    let mut config = Config::new();
    // It would say that all orderings are taken for the strongest. loom looks at those.
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new(schedules), config).run(scenario);
}

/// Runs each of `steps` in a thread of its own, and waits for all of them.
fn all<T: Send + Sync + 'static>(world: &Arc<T>, steps: impl IntoIterator<Item = fn(&T)>) {
    let spawn = |step: fn(&T)| {
        let world = Arc::clone(world);
        thread::spawn(move || step(&world))
    };
    let threads: Vec<_> = steps.into_iter().map(spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn one_in(number: u32) -> bool {
    thread_rng().gen_range(0..number) == 0
}

/// Who holds which page: not one of the engine's words, and so as exact as the steps of a thread.
struct Holders(Vec<AtomicU64>);

impl Holders {
    fn new(pages: u32) -> Self {
        Self((0..pages).map(|_| AtomicU64::new(0)).collect())
    }

    fn set(&self, pages: &HeldRun, from: u64, to: u64) {
        let first = pages.first().get();
        for page in first..first + pages.pages().get() {
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            let was = self.0[page as usize].swap(to, Ordering::Relaxed);
            assert_eq!(was, from, "page {page} has one holder");
        }
    }

    fn take(&self, pages: HeldRun) -> HeldRun {
        self.set(&pages, 0, 1);
        pages
    }

    fn release(&self, pages: HeldRun) -> HeldRun {
        self.set(&pages, 1, 0);
        pages
    }
}

/// The pages on both sides of a border, two workers with a magazine each, and a depot.
struct Cached {
    free_list: FreeList,
    budget: Budget,
    magazines: [Magazine; 2],
    depot: Depot,
    holders: Holders,
}

/// The pages below them, which are held all the while.
const BELOW: u32 = 60;
/// The pages that the budget has.
const PAGES: u32 = 10;

impl Cached {
    fn new() -> Arc<Self> {
        let all = PageCount::new(BELOW + PAGES);
        let free_list = FreeList::new(all, Strategy::SmallestFit);
        let below = free_list.take_run(PageCount::new(BELOW));
        assert_eq!(below.expect("all are free").first().get(), 0);
        let (budget, depot) = (Budget::new(u64::from(PAGES)), Depot::new(2));
        let magazines = [Fences::Heavy, Fences::Symmetric].map(Magazine::new);
        let holders = Holders::new(BELOW + PAGES);
        Arc::new(Self { free_list, budget, magazines, depot, holders })
    }

    /// As `WorkerShared::page_at_hand`, and `OwnerShared::allocate_page` behind it.
    fn allocate_page(&self, worker: usize) -> HeldRun {
        let magazine = self.magazines[worker].enter();
        let page = magazine.pop().or_else(|| self.refill(&magazine, worker));
        drop(magazine);
        self.holders.take(page.unwrap_or_else(|| {
            self.reserve(1);
            self.free_list.take_pages(PageCount::new(1)).into_runs().next().expect("a page")
        }))
    }

    fn refill(&self, magazine: &Entered<'_>, worker: usize) -> Option<HeldRun> {
        if magazine.is_shut() && !self.may_open() {
            return None;
        }
        magazine.open();
        magazine.note_empty();
        if let Some(shelf) = self.depot.try_lock_stocked(worker) {
            shelf.pop_many(2).for_each(|page| magazine.push(page).expect("there is room"));
        } else {
            self.budget.reserve(2).ok()?;
            let mut left = 2;
            while left > 0 {
                let pages = self.free_list.take_pages(PageCount::new(left));
                left -= pages.pages();
                pages.into_runs().for_each(|page| magazine.push(page).expect("there is room"));
            }
        }
        magazine.pop()
    }

    /// As `WorkerShared::release`, or as a segment that is dropped: then both go to one shelf.
    fn release_page(&self, worker: usize, page: HeldRun) {
        let page = self.holders.release(page);
        if one_in(2) {
            let kept = match self.depot.try_lock(0) {
                Some(shelf) => {
                    self.open(&shelf);
                    shelf.push(page)
                }
                None => Err(page),
            };
            return kept.unwrap_or_else(|page| self.give_back([page]));
        }
        let magazine = self.magazines[worker].enter();
        if let Err(page) = magazine.push(page) {
            self.flush(&magazine, worker);
            if let Err(page) = magazine.push(page) {
                self.give_back([page]);
            }
        }
    }

    fn open(&self, shelf: &Locked<'_>) {
        if shelf.room() == 0 && self.may_open() {
            shelf.open(3);
        }
    }

    fn flush(&self, magazine: &Entered<'_>, worker: usize) {
        let mut batch = magazine.pop_many(2);
        let mut left_over = None;
        if let Some(shelf) = self.depot.try_lock(worker) {
            self.open(&shelf);
            left_over = batch.find_map(|page| shelf.push(page).err());
        }
        self.give_back(left_over.into_iter().chain(batch));
    }

    /// A block, if there is a hole.
    fn allocate(&self, pages: u32) -> Option<HeldRun> {
        self.reserve(pages);
        let block = self.free_list.take_run(PageCount::new(pages));
        if block.is_none() {
            let _ = self.budget.release(u64::from(pages));
        }
        block.map(|block| self.holders.take(block))
    }

    fn release(&self, block: HeldRun) {
        let pages = block.pages().get();
        self.free_list.release_runs([self.holders.release(block)]);
        let _ = self.budget.release(u64::from(pages));
    }

    fn give_back(&self, pages: impl IntoIterator<Item = HeldRun>) {
        let pages: Vec<_> = pages.into_iter().collect();
        let bytes = pages.len() as u64;
        self.free_list.release_runs(pages);
        let _ = self.budget.release(bytes);
    }

    /// Reserves what is there, with what others keep at hand.
    fn reserve(&self, pages: u32) {
        let reserve = || self.budget.reserve(u64::from(pages));
        if reserve().is_err() {
            self.drained(reserve).expect("the others have no more than the rest");
        }
    }

    /// Whether something may be opened: no drainer is at work.
    fn may_open(&self) -> bool {
        Parent::free_bytes(&self.budget).is_some()
    }

    /// As a drainer: one shelf or magazine after the other, and nothing locked in the end.
    fn drained<T>(&self, attempt: impl FnOnce() -> T) -> T {
        self.budget.drainers().begin();
        for shelf in self.depot.shelves() {
            let shelf = shelf.lock();
            self.give_back(shelf.take_all());
        }
        for magazine in &self.magazines {
            let announced = loop {
                match magazine.announce() {
                    Some(announced) => break announced,
                    None => thread::yield_now(),
                }
            };
            full_fence();
            let magazine = announced.wait();
            self.give_back(magazine.take_all());
        }
        let answer = attempt();
        self.budget.drainers().end();
        answer
    }

    /// A worker that has up to `pages_max` pages at a time, and ends with what is in its magazine.
    fn work(&self, worker: usize, pages_max: usize) {
        let mut held = Vec::new();
        for _ in 0..7 {
            if held.len() < pages_max && (held.is_empty() || one_in(2)) {
                held.push(self.allocate_page(worker));
            } else if let Some(page) = held.pop() {
                self.release_page(worker, page);
            }
        }
        held.into_iter().for_each(|page| self.release_page(worker, page));
    }
}

/// Goal: a thread that has no more than the others leave it gets it, pages as well as bytes, while
/// they come and go between magazines, shelves, the free list and blocks over a border; no page has
/// two holders; and all is free and filed in the end, also what workers that ended had at hand.
#[test]
fn pages_blocks_magazines_and_drainers() {
    check(|| {
        let cached = Cached::new();
        let steps: [fn(&Cached); 4] = [
            |cached| cached.work(0, 3),
            |cached| cached.work(1, 3),
            |cached| {
                for pages in [4, 3, 4] {
                    if let Some(block) = cached.allocate(pages) {
                        cached.release(block);
                    }
                }
            },
            |cached| (0..2).for_each(|_| cached.drained(|| {})),
        ];
        all(&cached, steps);
        cached.drained(|| {});
        assert_eq!(cached.budget.free_bytes(), u64::from(PAGES));
        assert_eq!(cached.free_list.free_pages(), PAGES);
        cached.free_list.check().unwrap();
    });
}

/// Goal: of many who wait for the same byte each gets it, alone, and nobody hangs, although some
/// give up at any moment, in line or just served.
#[test]
fn a_line_whose_places_are_given_up() {
    fn wait(manager: &Manager, owner: usize) {
        for _ in 0..3 {
            let charge = manager.acquire(owner, 1).expect("the budget is open");
            manager.release(charge);
        }
    }
    fn give_up(manager: &Manager, owner: usize) {
        for _ in 0..4 {
            let ticket = manager.join(owner, 1);
            if one_in(2) {
                thread::yield_now();
            }
            manager.give_up(owner, ticket);
        }
    }
    check(|| {
        let owners = (0..5).fold(Tree::new(1), |tree, _| tree.with(None, 0, 1));
        let manager = Manager::new(owners.holding(0, 1));
        let steps: [fn(&Manager); 5] = [
            |manager| manager.release(manager.held(0, 1)),
            |manager| wait(manager, 1),
            |manager| wait(manager, 2),
            |manager| give_up(manager, 3),
            |manager| give_up(manager, 4),
        ];
        all(&manager, steps);
        manager.tree.check();
        assert_eq!(manager.tree.budget.free_bytes(), 1);
    });
}

/// Goal: the same for requests of different sizes, below the limit of a parent and beside it, with
/// allowances that are brought back for those who wait.
#[test]
fn a_line_below_a_limit() {
    fn wait(manager: &Manager, owner: usize, sizes: [u64; 3]) {
        for bytes in sizes {
            let charge = manager.acquire(owner, bytes).expect("the budget is open");
            let _: offheap_loom_tests::manager::Charge = charge;
            manager.credit(owner, bytes);
        }
    }
    check(|| {
        let tree = Tree::new(20).with(None, 1, 4).with(Some(0), 0, 4).with(Some(0), 1, 4);
        let tree = tree.with(None, 0, 20).with_allowance_of(3).with(None, 0, 20);
        let manager = Manager::new(tree.holding(4, 15));
        let steps: [fn(&Manager); 4] = [
            |manager| wait(manager, 1, [3, 1, 2]),
            |manager| wait(manager, 2, [2, 4, 1]),
            |manager| wait(manager, 3, [5, 1, 2]),
            |manager| (0..3).for_each(|_| manager.credit(4, 5)),
        ];
        all(&manager, steps);
        manager.drained(|| {});
        manager.tree.check();
    });
}

/// Accounts in a tree, and their drainers.
struct Accounts {
    tree: Tree,
}

impl Accounts {
    /// Reserves what is there, with what others keep at hand.
    fn reserve(&self, owner: usize, bytes: u64) {
        if self.tree.reserve(owner, bytes).is_err() {
            self.tree
                .drained(|| self.tree.reserve(owner, bytes))
                .expect("the others leave as much");
        }
    }

    /// Holds up to `bytes_max` bytes at a time, and makes requests that fail.
    fn work(&self, owner: usize, bytes_max: u64) {
        let mut held = 0;
        for _ in 0..7 {
            match thread_rng().gen_range(0..4) {
                0 | 1 if held < bytes_max => {
                    let bytes = thread_rng().gen_range(1..=bytes_max - held);
                    self.reserve(owner, bytes);
                    held += bytes;
                }
                2 if held < bytes_max => self.tree.fail(owner, bytes_max - held),
                _ if held > 0 => {
                    let bytes = thread_rng().gen_range(1..=held);
                    let _ = self.tree.release(owner, bytes);
                    held -= bytes;
                }
                _ => {}
            }
        }
        if held > 0 {
            let _ = self.tree.release(owner, held);
        }
    }
}

/// Goal: in a tree of accounts with minimums and allowances none is refused what the others leave
/// it, requests that fail are in no other's way, and every byte is where it belongs in the end.
#[test]
fn a_tree_of_accounts() {
    check(|| {
        // The budget has what the owners hold at the most, and their minimums are among that.
        let tree = Tree::new(20).with(None, 2, 9).with(Some(0), 1, 9).with(Some(0), 0, 9);
        let tree = tree.with_allowance_of(2).with(None, 0, 20).with_allowance_of(3);
        let accounts = Arc::new(Accounts { tree });
        let steps: [fn(&Accounts); 3] = [
            |accounts| accounts.work(1, 4),
            |accounts| accounts.work(2, 5),
            |accounts| accounts.work(3, 11),
        ];
        all(&accounts, steps);
        accounts.tree.drained(|| {});
        accounts.tree.check();
    });
}

/// A stock, and which of its pages the system has made resident.
struct Exchanged {
    stock: Stock,
    budget: Budget,
    holders: Holders,
    resident: AtomicU64,
}

/// The pages that may be resident, of four times as many. The third one is held all the while, so
/// that there is not always a run.
const CAPACITY: u32 = 6;

impl Exchanged {
    fn new() -> Arc<Self> {
        let (capacity, mapped) = (PageCount::new(CAPACITY), PageCount::new(4 * CAPACITY));
        let stock = Stock::new(capacity, mapped, Strategy::SmallestFit);
        let low = stock.take_pages(PageCount::new(3)).into_runs();
        stock.release_runs(low.filter(|page| page.first().get() != 2));
        let (budget, holders) = (Budget::new(u64::from(CAPACITY) - 1), Holders::new(4 * CAPACITY));
        Arc::new(Self { stock, budget, holders, resident: AtomicU64::new(0b111) })
    }

    /// A thread that has pages writes to them.
    fn touch(&self, pages: HeldRun) -> HeldRun {
        let pages = self.holders.take(pages);
        let (first, count) = (pages.first().get(), pages.pages().get());
        // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
        let resident = self.resident.fetch_or(bits(first, count), Ordering::Relaxed);
        let resident = (resident | bits(first, count)).count_ones();
        assert!(resident <= CAPACITY, "{resident} pages are resident, of {CAPACITY}");
        pages
    }

    /// The system takes pages back, or does not.
    fn give_back(&self, spans: &[Span]) -> bool {
        let agrees = !one_in(3);
        for span in spans.iter().filter(|_| agrees) {
            let gone = bits(span.first.get(), span.pages.get());
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            self.resident.fetch_and(!gone, Ordering::Relaxed);
        }
        agrees
    }

    fn use_pages(&self, pages: u32) {
        self.budget.reserve(u64::from(pages)).expect("the others leave as much");
        let run = self.stock.take_run(PageCount::new(pages)).map_or_else(
            || self.stock.exchange(PageCount::new(pages), |it| self.give_back(it.leaving.spans())),
            Ok,
        );
        match run {
            Ok(run) => {
                let run = self.touch(run);
                linger();
                self.stock.release_runs([self.holders.release(run)]);
            }
            Err(why) => assert_eq!(why, NoExchange::Refused, "a run is to be had all the while"),
        }
        let _ = self.budget.release(u64::from(pages));
    }

    fn use_a_page(&self) {
        self.budget.reserve(1).expect("the others leave as much");
        let page = self.stock.take_pages(PageCount::new(1)).into_runs().next().expect("a page");
        let page = self.touch(page);
        linger();
        self.stock.release_runs([self.holders.release(page)]);
        let _ = self.budget.release(1);
    }
}

/// Has others run for about as long as it takes them to get what they want.
fn linger() {
    (0..40).for_each(|_| thread::yield_now());
}

fn bits(first: u32, pages: u32) -> u64 {
    ((1 << pages) - 1) << first
}

/// Goal: exchanges that the system refuses at times, pages that come and go, and a trim: never are
/// more pages resident than the capacity has, no page has two holders, no thread misses what it
/// reserved, and both lists are whole in the end.
#[test]
fn exchanges_pages_and_a_trim() {
    check(|| {
        let exchanged = Exchanged::new();
        let steps: [fn(&Exchanged); 4] = [
            |exchanged| (0..3).for_each(|_| exchanged.use_pages(2)),
            |exchanged| (0..3).for_each(|_| exchanged.use_pages(2)),
            |exchanged| (0..4).for_each(|_| exchanged.use_a_page()),
            |exchanged| {
                exchanged.stock.trim(0, |pages| exchanged.give_back(pages.spans()));
            },
        ];
        all(&exchanged, steps);
        exchanged.stock.check().unwrap();
        assert_eq!(exchanged.stock.warm().free_pages(), CAPACITY - 1);
    });
}
