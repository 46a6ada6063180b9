//! One of eight threads that do everything a manager is for, in no order.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use offheap::{
    AllocationError, MemoryManager, MemorySegment, Owner, Reservation, Worker,
    error::LeaseError,
    pressure::PressureSubscription,
    reclaim::{Reclaimer, SpillReserve},
    resources::Lease,
    segments::Scratch,
};
use offheap_test_support::{Count, Random, poll_and_cancel};

/// The pages that a thread would hold, of which there are not enough for all.
const HELD_SEGMENTS_MAX: usize = 150;

/// What is done, in the order of [`Tally`].
pub const DEEDS: [&str; 18] = [
    "page",
    "pages",
    "block",
    "up to",
    "scattered",
    "worker's page",
    "reservation",
    "scratch",
    "cancelled wait",
    "wait",
    "child",
    "new owner",
    "trim",
    "pressure",
    "lease",
    "given to another thread",
    "answer",
    "statistics",
];

/// How often what was done, and how often that was refused.
#[derive(Default)]
pub struct Tally {
    pub done: [Count; DEEDS.len()],
    pub refused: [Count; DEEDS.len()],
    pub reclaimed: Count,
}

/// A segment with a byte all over it.
pub struct Stamped(MemorySegment);

impl Stamped {
    fn new(mut segment: MemorySegment) -> Self {
        let stamp = stamp_of(&segment);
        segment.fill(stamp);
        Self(segment)
    }

    /// The segment, in which nobody else has written.
    fn checked(self) -> MemorySegment {
        let Self(segment) = self;
        let stamp = stamp_of(&segment);
        let is_whole = segment[0] == stamp && segment[1..] == segment[..segment.size() - 1];
        assert!(is_whole, "{segment:?} was written by somebody else");
        segment
    }
}

/// A byte that differs between neighbours.
fn stamp_of(segment: &MemorySegment) -> u8 {
    let page = segment.as_ptr().addr() >> 12;
    u8::try_from((page.wrapping_mul(0x9e37_79b9) >> 8) & 0xff).unwrap()
}

/// What a thread holds and gives back when it is asked.
pub struct Bag {
    segments: Mutex<Vec<Stamped>>,
    tally: Arc<Tally>,
}

impl Bag {
    fn put(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        let segments: Vec<_> = segments.into_iter().map(Stamped::new).collect();
        self.segments().extend(segments);
    }

    /// Takes about so many out, from the end.
    fn take(&self, count: usize) -> Vec<Stamped> {
        let mut segments = self.segments();
        let left = segments.len().saturating_sub(count);
        segments.split_off(left)
    }

    fn segments(&self) -> std::sync::MutexGuard<'_, Vec<Stamped>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaimer for Bag {
    fn reclaimable(&self) -> usize {
        self.segments().iter().map(|stamped| stamped.0.size()).sum()
    }

    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>) {
        let _page = reserve.allocate_page();
        let mut given = 0;
        while given < target_bytes {
            let Some(stamped) = self.take(1).pop() else { break };
            given += stamped.0.size();
            drop(stamped.checked());
        }
        self.tally.reclaimed.add(1);
    }
}

/// What all threads share.
pub struct Common {
    pub manager: MemoryManager,
    pub tally: Arc<Tally>,
    /// Segments on their way from one thread to another.
    pub passed: Mutex<Vec<Stamped>>,
}

/// A thread's own.
pub struct Hand<'a> {
    common: &'a Common,
    random: Random,
    owner: Owner,
    worker: Worker,
    bag: Arc<Bag>,
    reservations: Vec<Reservation>,
    scratch: Scratch,
    leases: Vec<Lease<Arc<str>>>,
    subscriptions: Vec<PressureSubscription>,
    page_bytes: usize,
}

/// Registers an owner, one in three ways to be asked.
fn register(common: &Common, random: &mut Random, bag: &Arc<Bag>) -> Owner {
    let owner = common.manager.owner("hand");
    let minimum = if random.below(4) == 0 { common.manager.page_size() } else { 0 };
    let owner = match random.below(3) {
        0 => owner.reclaimer(bag),
        1 => owner.polled_reclaim(),
        _ => owner,
    };
    match owner.minimum(minimum).register() {
        Ok(owner) => owner,
        Err(_) => common.manager.owner("hand").register().unwrap(),
    }
}

impl<'a> Hand<'a> {
    pub fn new(common: &'a Common, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let bag = Arc::new(Bag { segments: Mutex::default(), tally: Arc::clone(&common.tally) });
        let owner = register(common, &mut random, &bag);
        let (worker, page_bytes) = (owner.worker(), owner.page_size());
        let scratch = owner.scratch(4 * page_bytes);
        Self {
            common,
            random,
            owner,
            worker,
            bag,
            reservations: Vec::new(),
            scratch,
            leases: Vec::new(),
            subscriptions: Vec::new(),
            page_bytes,
        }
    }

    /// Does so many things.
    pub fn work(mut self, steps: usize) {
        for _ in 0..steps {
            let deed = self.random.below(DEEDS.len());
            let is_done = self.act(deed);
            let tally = &self.common.tally;
            let counts = if is_done { &tally.done } else { &tally.refused };
            counts[deed].add(1);
            self.let_go();
        }
        self.bag.take(usize::MAX).into_iter().for_each(|stamped| drop(stamped.checked()));
    }

    /// Does one of [`DEEDS`]; whether it was granted.
    fn act(&mut self, deed: usize) -> bool {
        let (pages, page_bytes) = (1 + self.random.below(48), self.page_bytes);
        match deed {
            0 => self.keep(self.owner.allocate_page().map(|page| vec![page])),
            1 => self.keep(self.owner.allocate_pages(pages)),
            2 => self.keep(self.owner.allocate(pages * page_bytes - 1).map(|block| vec![block])),
            3 => {
                let block = self.owner.allocate_up_to(pages * page_bytes);
                self.keep(block.map(|block| vec![block]))
            }
            4 => self.keep(self.owner.allocate_scattered(pages * page_bytes)),
            5 => self.use_worker(pages),
            6 => self.reserve(pages * page_bytes / 2),
            7 => self.use_scratch(),
            8 => {
                let polls = self.random.below(4);
                match poll_and_cancel(self.owner.acquire_pages(pages), polls) {
                    Some(answer) => self.keep(answer),
                    None => false,
                }
            }
            9 => {
                let timeout = Duration::from_micros(self.random.below(2000) as u64);
                self.keep(self.owner.acquire_pages_timeout(pages, timeout))
            }
            10 => self.raise_child(pages),
            11 => self.be_another(),
            12 => self.common.manager.trim_to(self.random.below(200) * page_bytes) > 0,
            13 => self.subscribe(),
            14 => self.lease(pages),
            15 => self.pass_on(pages),
            16 => self.answer(),
            _ => {
                let stats = self.common.manager.stats();
                assert!(stats.reserved_bytes <= self.common.manager.capacity());
                assert!(stats.touched_bytes <= self.common.manager.capacity());
                self.common.manager.occupancy().free_pages() > 0
            }
        }
    }

    fn keep(&self, answer: Result<Vec<MemorySegment>, AllocationError>) -> bool {
        match answer {
            Ok(segments) => {
                self.bag.put(segments);
                true
            }
            Err(refused) => {
                assert!(refused.is_for_want_of_memory(), "{refused}");
                false
            }
        }
    }

    /// Gives something back, more of it the more is held.
    fn let_go(&mut self) {
        let held = self.bag.segments().len();
        if self.random.below(HELD_SEGMENTS_MAX) < held {
            let count = 1 + self.random.below(held);
            for stamped in self.bag.take(count) {
                match self.random.below(3) {
                    0 => self.worker.release(stamped.checked()),
                    1 => self.owner.release(stamped.checked()),
                    _ => drop(stamped.checked()),
                }
            }
        }
        if self.random.below(4) < self.reservations.len() {
            let index = self.random.below(self.reservations.len());
            drop(self.reservations.swap_remove(index));
        }
        if self.random.below(40) == 0 {
            self.leases.pop();
            self.subscriptions.pop();
        }
    }

    fn use_worker(&mut self, pages: usize) -> bool {
        for _ in 0..pages {
            match self.worker.allocate_page() {
                Ok(page) => self.bag.put([page]),
                Err(refused) => return self.keep(Err(refused)),
            }
        }
        true
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        match self.owner.reserve_memory(bytes) {
            Ok(mut reservation) => {
                let more = reservation.grow(self.page_bytes);
                assert_eq!(
                    reservation.size(),
                    bytes + if more.is_ok() { self.page_bytes } else { 0 }
                );
                reservation.shrink(bytes / 3);
                self.reservations.push(reservation);
                true
            }
            Err(_) => false,
        }
    }

    fn use_scratch(&mut self) -> bool {
        let text = "some text that is a little longer than a word";
        let number = self.random.below(1 << 20);
        let is_done = {
            let (one, two) = (self.scratch.alloc(number), self.scratch.alloc_str(text));
            match (one, two) {
                (Ok(one), Ok(two)) => {
                    assert_eq!((*one, &*two), (number, text));
                    true
                }
                _ => false,
            }
        };
        if !is_done || self.random.below(8) == 0 {
            self.scratch.reset();
        }
        is_done
    }

    /// An owner below this one that goes, while what it allocated stays out.
    fn raise_child(&mut self, pages: usize) -> bool {
        let child = self.owner.child("child").limit(pages * self.page_bytes).register();
        let Ok(child) = child else { return false };
        assert!(child.allocate_pages(pages + 1).is_err(), "above its limit");
        let pages = child.allocate_pages(pages);
        drop(child);
        self.keep(pages)
    }

    /// This owner goes, while what it allocated stays out, and another one comes.
    fn be_another(&mut self) -> bool {
        self.reservations.clear();
        self.owner = register(self.common, &mut self.random, &self.bag);
        self.worker = self.owner.worker();
        self.scratch = self.owner.scratch(4 * self.page_bytes);
        true
    }

    fn subscribe(&mut self) -> bool {
        let inside: Weak<Bag> = Arc::downgrade(&self.bag);
        let subscription = self.common.manager.on_pressure(move |_| drop(inside.upgrade()));
        self.subscriptions.push(subscription.unwrap());
        if self.subscriptions.len() > 4 {
            drop(self.subscriptions.remove(0));
        }
        let mut changes = self.common.manager.pressure_changes().unwrap();
        let _: Option<_> = poll_and_cancel(changes.next(), 1);
        true
    }

    fn lease(&mut self, pages: usize) -> bool {
        let name = ["cache", "index", "table"][self.random.below(3)];
        let open = |_| Ok::<_, std::convert::Infallible>(Arc::from(name));
        match self.common.manager.lease(name, pages * self.page_bytes / 8, open) {
            Ok(lease) => {
                assert_eq!(&**lease, name);
                self.leases.push(lease);
                true
            }
            Err(error) => {
                assert!(matches!(error, LeaseError::Refused { .. }), "{error}");
                false
            }
        }
    }

    /// Puts segments where another thread takes them from, and takes others.
    fn pass_on(&mut self, count: usize) -> bool {
        let mine = self.bag.take(count.min(8));
        let theirs = {
            let mut passed = self.common.passed.lock().unwrap();
            let left = passed.len().saturating_sub(count.min(8));
            let theirs = passed.split_off(left);
            passed.extend(mine);
            theirs
        };
        let is_any = !theirs.is_empty();
        theirs.into_iter().for_each(|stamped| drop(stamped.checked()));
        is_any
    }

    fn answer(&mut self) -> bool {
        self.owner.set_reclaimable(self.bag.reclaimable());
        if self.owner.reclaim_requested_bytes() == 0 {
            return false;
        }
        let Some(answer) = self.owner.begin_reclaim() else { return false };
        let target = answer.target_bytes();
        self.bag.take(1 + target / self.page_bytes).into_iter().for_each(|it| drop(it.checked()));
        true
    }
}
