//! A tree of owners whose requests wait in line, on one thread, checked step by step against a
//! model that serves the line in a loop over plain numbers.

mod model;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use offheap::{
    MemoryManager, Owner, Reservation,
    config::HugePages,
    error::{Reason, ReservationError},
};
use offheap_test_support::Woken;

use model::{Model, ReclaimGuard};

/// The bytes of the budget.
const CAPACITY: usize = 64 << 12;
/// Owners at most.
const OWNERS_MAX: usize = 8;

/// Longer than any sequence takes.
const NEVER: Duration = Duration::from_secs(1 << 20);
/// How often others are let go first before what should be so is wrong.
const YIELDS_MAX: u32 = 1_000_000;

/// A sequence of calls.
#[derive(Clone, Debug)]
pub struct Input {
    /// Whether owners keep bytes of the budget at hand.
    pub keeps: bool,
    /// The calls.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let keeps = bool::arbitrary(bytes)?;
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { keeps, ops })
    }
}

/// A call. Shares are of the capacity, in 255ths.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    Register { parent: u8, minimum: u8, limit: u8 },
    DropOwner { owner: u8 },
    Reserve { owner: u8, share: u8 },
    Shrink { which: u8, share: u8 },
    Release { which: u8 },
    Wait { owner: u8, share: u8 },
    Take { which: u8 },
    Cancel { which: u8 },
}

/// A request that waits, or has what it waited for and was not asked yet.
struct Waiting {
    id: usize,
    future: Pin<Box<dyn Future<Output = Result<Reservation, ReservationError>>>>,
    woken: Arc<Woken>,
}

impl Waiting {
    fn poll(&mut self) -> Poll<Result<Reservation, ReservationError>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// A manager, what was got from it, and the model.
struct Run {
    manager: MemoryManager,
    /// An owner of which the model knows nothing, as it holds nothing.
    probe: Owner,
    owners: Vec<Option<Owner>>,
    reservations: Vec<(usize, Reservation)>,
    waiting: Vec<Waiting>,
    model: Model,
    requests: usize,
    calls: u64,
}

/// Runs `input`. Returns the number of calls
/// that were compared with the model.
///
/// # Panics
///
/// Where the manager and the model disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    let builder = MemoryManager::builder().capacity(CAPACITY).page_size(4096);
    let builder = builder.huge_pages(HugePages::Never).address_space_factor(1);
    // However slow the machine is, no request is told that it waits for ever.
    let builder = builder.deadlock_timeout(NEVER);
    let built = builder.depot_pages(if input.keeps { 16 } else { 0 }).build();
    let Ok(manager) = built else { unreachable!("it is small and valid: {built:?}") };
    let Ok(probe) = manager.owner("probe").register() else { unreachable!("it has no minimum") };
    let mut run = Run {
        manager,
        probe,
        owners: Vec::new(),
        reservations: Vec::new(),
        waiting: Vec::new(),
        model: Model::new(CAPACITY),
        requests: 0,
        calls: 0,
    };
    for op in &input.ops {
        run.step(op);
        run.settle();
        run.check();
    }
    run.finish()
}

impl Run {
    fn step(&mut self, op: &Op) {
        match *op {
            Op::Register { parent, minimum, limit } => self.register(parent, minimum, limit),
            Op::DropOwner { owner } => {
                if let Some(owner) = pick(self.owners.len(), owner)
                    && self.owners[owner].take().is_some()
                {
                    self.calls += 1;
                    self.model.drop_handle(owner);
                }
            }
            Op::Reserve { owner, share } => self.reserve(owner, bytes(share).max(1)),
            Op::Shrink { which, share } => {
                if let Some(which) = pick(self.reservations.len(), which) {
                    self.calls += 1;
                    let (owner, reservation) = &mut self.reservations[which];
                    let released = reservation.shrink(bytes(share));
                    self.model.give_back(*owner, released);
                }
            }
            Op::Release { which } => {
                if let Some(which) = pick(self.reservations.len(), which) {
                    self.calls += 1;
                    let (owner, reservation) = self.reservations.swap_remove(which);
                    let size = reservation.size();
                    drop(reservation);
                    self.model.give_back(owner, size);
                    self.model.drop_handle(owner);
                }
            }
            Op::Wait { owner, share } => self.wait(owner, bytes(share).max(1)),
            Op::Take { which } => {
                if let Some(which) = pick(self.waiting.len(), which) {
                    self.calls += 1;
                    self.take(which);
                }
            }
            Op::Cancel { which } => {
                if let Some(which) = pick(self.waiting.len(), which) {
                    self.calls += 1;
                    let waiting = self.waiting.remove(which);
                    drop(waiting.future);
                    self.model.cancel(waiting.id);
                }
            }
        }
    }

    fn register(&mut self, parent: u8, minimum: u8, limit: u8) {
        let Some(number) = self.model.next_number(OWNERS_MAX) else { return };
        let parent = pick(self.owners.len() + 1, parent).and_then(|parent| parent.checked_sub(1));
        let name = format!("owner {number}");
        let builder = match parent.map(|parent| &self.owners[parent]) {
            None => self.manager.owner(name),
            Some(Some(parent)) => parent.child(name),
            Some(None) => return,
        };
        self.calls += 1;
        let (minimum, limit) = (bytes(minimum) / 4, bytes(limit));
        let registered = builder.minimum(minimum).limit(limit).register();
        let may_be = self.model.register(number, parent, (minimum, limit), registered.is_ok());
        assert!(may_be, "{registered:?}");
        if let Ok(owner) = registered {
            if number == self.owners.len() {
                self.owners.push(None);
            }
            self.owners[number] = Some(owner);
        }
    }

    fn reserve(&mut self, owner: u8, bytes: usize) {
        let Some(owner) = pick(self.owners.len(), owner) else { return };
        let Some(handle) = &self.owners[owner] else { return };
        self.calls += 1;
        let reserved = handle.reserve_memory(bytes);
        let reason = reserved.as_ref().err().map(ReservationError::reason);
        let expected = self.model.answers_to(owner, bytes).map(|answer| match answer {
            ReclaimGuard::Had => None,
            ReclaimGuard::Budget => Some(Reason::Budget),
            ReclaimGuard::Limit { level: 0 } => Some(Reason::OwnerLimit),
            ReclaimGuard::Limit { .. } => Some(Reason::ParentLimit),
            ReclaimGuard::QueuePosition => Some(Reason::OthersWait),
        });
        assert!(expected.contains(&reason), "{reserved:?}, {expected:?}");
        if let Ok(reservation) = reserved {
            self.model.take(owner, bytes);
            self.model.add_handle(owner);
            self.reservations.push((owner, reservation));
        }
    }

    fn wait(&mut self, owner: u8, bytes: usize) {
        let Some(owner) = pick(self.owners.len(), owner) else { return };
        let Some(handle) = self.owners[owner].clone() else { return };
        self.calls += 1;
        let (id, woken) = (self.requests, Arc::default());
        self.requests += 1;
        let future = Box::pin(async move { handle.acquire_memory(bytes).await });
        let mut waiting = Waiting { id, future, woken };
        match waiting.poll() {
            Poll::Ready(Ok(reservation)) => {
                let had = ReclaimGuard::Had;
                assert!(self.model.answers_to(owner, bytes).contains(&had));
                self.model.take(owner, bytes);
                self.model.add_handle(owner);
                self.reservations.push((owner, reservation));
            }
            Poll::Ready(Err(refused)) => {
                assert!(self.model.never_fits(owner, bytes), "{refused}");
            }
            Poll::Pending => {
                assert!(!self.model.never_fits(owner, bytes));
                self.model.wait(id, owner, bytes);
                self.waiting.push(waiting);
            }
        }
    }

    fn take(&mut self, which: usize) {
        let id = self.waiting[which].id;
        match (self.waiting[which].poll(), self.model.granted(id)) {
            (Poll::Ready(Ok(reservation)), Some(owner)) => {
                self.waiting.remove(which);
                // The handle that waited is gone, and the reservation has one.
                self.model.taken(id);
                self.reservations.push((owner, reservation));
            }
            (Poll::Pending, None) => {}
            (Poll::Ready(answer), granted) => {
                unreachable!("{answer:?}, {granted:?}");
            }
            (Poll::Pending, Some(_)) => unreachable!("it was granted"),
        }
    }

    /// Has the line served as the manager's own thread does now and then, if that changes anything.
    fn settle(&mut self) {
        if self.model.serve() {
            let mut probe = Box::pin(self.probe.acquire_memory(1));
            let waker = Waker::noop();
            // A request that leaves the line, or an owner that gives back, serves the line.
            drop(probe.as_mut().poll(&mut Context::from_waker(waker)));
        }
    }

    /// A request that has what it waited for is woken, and no other; and the numbers agree. The
    /// manager's own thread looks at the line as well: it may be about to wake one that it served.
    fn check(&self) {
        for waiting in &self.waiting {
            let is_granted = self.model.granted(waiting.id).is_some();
            let is_woken = || waiting.woken.is_woken();
            assert!(comes_true(|| is_woken() == is_granted), "{}: {is_granted}", waiting.id);
        }
        assert!(comes_true(|| self.manager.available_bytes() == self.model.free()));
        if let Err(complaint) = self.manager.check_consistency() {
            unreachable!("{complaint}");
        }
        for (index, owner) in self.owners.iter().enumerate() {
            if let Some(owner) = owner {
                assert_eq!(owner.used_bytes(), self.model.used_below(index));
                assert_eq!(owner.available_bytes(), self.model.available(index));
            }
        }
    }

    fn finish(mut self) -> u64 {
        self.waiting.clear();
        self.reservations.clear();
        assert!(self.manager.verify_empty().is_ok());
        self.owners.clear();
        assert_eq!(self.manager.available_bytes(), CAPACITY);
        assert!(self.manager.check_consistency().is_ok());
        self.calls
    }
}

/// Whether something is so, once the manager's own thread is done with what it is at.
fn comes_true(is_so: impl Fn() -> bool) -> bool {
    (0..YIELDS_MAX).any(|_| {
        let is = is_so();
        if !is {
            std::thread::yield_now();
        }
        is
    })
}

fn pick(length: usize, which: u8) -> Option<usize> {
    (length > 0).then(|| usize::from(which) % length)
}

fn bytes(share: u8) -> usize {
    CAPACITY * usize::from(share) / 255
}
