//! Sequences of calls to a manager, checked call by call against a model that a reader can check
//! by eye: a list of pages, taken or free, and a sum per owner.

mod model;
mod ops;
mod resizing;

use offheap::{MemoryManager, MemorySegment, Owner, Reservation, Worker};

use crate::marking::Marking;
use model::Model;
pub use ops::{Config, Input, OWNERS, Op, OwnerConfig};

/// A manager, what was got from it, and the model.
struct Run {
    manager: MemoryManager,
    configs: [OwnerConfig; OWNERS],
    owners: [Option<Registered>; OWNERS],
    segments: Vec<Held>,
    reservations: Vec<(usize, Reservation)>,
    model: Model,
    marking: Marking,
    calls: u64,
}

/// An owner and its worker, which keeps the owner as its handle does.
struct Registered {
    owner: Owner,
    worker: Worker,
    /// The number by which the model knows it.
    number: usize,
}

/// A segment and what the model knows of it.
struct Held {
    segment: MemorySegment,
    owner: usize,
    pattern: u8,
}

/// Runs `input`. Returns the number of calls:
/// the operations that reached the manager and were compared with the model.
///
/// # Panics
///
/// Where the manager and the model disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    let Some(mut run) = Run::new(&input.config) else { return 0 };
    for op in &input.ops {
        run.step(op);
    }
    if input.shut_down {
        run.shut_down();
    }
    run.finish()
}

impl Run {
    /// `None` if the configuration is refused, which it must be with a clear rule.
    fn new(config: &Config) -> Option<Self> {
        let manager = config.builder().build().ok()?;
        assert!(config.is_valid(), "{config:?} must be refused");
        let model = Model::new(&manager, config);
        let mut run = Self {
            manager,
            configs: config.owners.clone(),
            owners: [const { None }; OWNERS],
            segments: Vec::new(),
            reservations: Vec::new(),
            model,
            marking: config.marking(),
            calls: 0,
        };
        (0..OWNERS).for_each(|slot| run.register(slot));
        Some(run)
    }

    fn register(&mut self, slot: usize) {
        self.calls += 1;
        let (minimum, limit) = self.configs[slot].bytes(self.manager.capacity());
        let name = format!("owner {slot}");
        let registered = self.manager.owner(name).minimum(minimum).limit(limit).register();
        let number = self.model.register(minimum, limit);
        assert_eq!(registered.is_ok(), number.is_some(), "{registered:?}");
        if let (Ok(owner), Some(number)) = (registered, number) {
            let worker = owner.worker();
            self.owners[slot] = Some(Registered { owner, worker, number });
        }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Page { owner } => {
                self.allocate(owner, 1, |owner| owner.allocate_page().map(|page| vec![page]));
            }
            Op::WorkerPage { owner } => self.worker_page(owner),
            Op::WorkerRelease { owner, which } => self.worker_release(owner, which),
            Op::Pages { owner, count } => {
                let count = usize::from(count);
                self.allocate(owner, count, |owner| owner.allocate_pages(count));
            }
            Op::Block { owner, bytes } => self.block(owner, bytes as usize),
            Op::UpTo { owner, bytes } => self.up_to(owner, bytes as usize),
            Op::Scattered { owner, bytes } => {
                let pages = (bytes as usize).div_ceil(self.manager.page_size());
                self.allocate(owner, pages, |owner| owner.allocate_scattered(bytes as usize));
            }
            Op::Reserve { owner, bytes } => self.reserve(owner, bytes as usize),
            Op::Shrink { which, bytes } => self.shrink(which, bytes as usize),
            Op::Unreserve { which } => {
                if let Some(index) = pick(self.reservations.len(), which) {
                    self.calls += 1;
                    let (owner, reservation) = self.reservations.swap_remove(index);
                    self.forget_reservation(owner, &reservation);
                }
            }
            Op::Split { which, pages } => self.split(which, usize::from(pages)),
            Op::ShrinkSegment { which, bytes } => self.shrink_segment(which, bytes as usize),
            Op::GrowSegment { which, bytes } => self.grow_segment(which, bytes as usize),
            Op::Overdraw { which, bytes } => self.overdraw(which, bytes as usize),
            Op::Resize { which, bytes } => self.resize(which, bytes as usize),
            Op::SplitReservation { which, bytes } => self.split_off(which, bytes as usize),
            Op::Merge { which } => self.merge(which),
            Op::Release { which } => {
                if let Some(index) = pick(self.segments.len(), which) {
                    self.calls += 1;
                    let held = self.segments.swap_remove(index);
                    self.check_and_forget(&held);
                }
            }
            Op::ReleaseMany { count } => {
                self.calls += 1;
                let from = self.segments.len().saturating_sub(usize::from(count));
                let many: Vec<_> = self.segments.drain(from..).collect();
                many.iter().for_each(|held| self.check_and_forget(held));
                self.manager.release_all(many.into_iter().map(|held| held.segment));
            }
            Op::Check => {
                self.calls += 1;
                self.check();
                // Changes nothing that the model knows of, and shows no last holder's bytes.
                self.manager.trim();
                self.check();
            }
            Op::TurnOver { owner } => match self.owners[slot(owner)].take() {
                Some(Registered { number, .. }) => {
                    self.calls += 1;
                    self.model.drop_handle(number);
                }
                None => self.register(slot(owner)),
            },
        }
    }

    /// A request for `pages` pages, in whatever pieces, that succeeds if and only if they fit.
    fn allocate(
        &mut self,
        owner: u8,
        pages: usize,
        allocate: impl FnOnce(&Owner) -> Result<Vec<MemorySegment>, offheap::AllocationError>,
    ) {
        let Some(Registered { owner, number, .. }) = &self.owners[slot(owner)] else { return };
        let index = *number;
        self.calls += 1;
        let bytes = pages * self.manager.page_size();
        let before = self.manager.available_bytes();
        match allocate(owner) {
            Ok(segments) => {
                assert!(self.model.fits(index, bytes), "{bytes} bytes do not fit");
                let total: usize = segments.iter().map(|segment| segment.size()).sum();
                assert_eq!(total, bytes);
                segments.into_iter().for_each(|segment| self.hold(index, segment));
            }
            Err(refusal) => {
                let fits = self.model.fits(index, bytes);
                assert!(!fits || bytes > self.model.page_bytes_total(), "{refusal}");
                // More may be free now, from magazines.
                assert!(self.manager.available_bytes() >= before, "a refusal took something");
            }
        }
    }

    /// A page through the worker of an owner.
    fn worker_page(&mut self, owner: u8) {
        let slot = &mut self.owners[slot(owner)];
        let Some(Registered { worker, number, .. }) = slot else { return };
        let index = *number;
        self.calls += 1;
        let fits = self.model.fits(index, self.manager.page_size());
        match worker.allocate_page() {
            Ok(page) => {
                assert!(fits, "a page that does not fit");
                self.hold(index, page);
            }
            Err(refusal) => assert!(!fits, "{refusal}"),
        }
    }

    /// A page or a block through a worker, of whatever owner it is.
    fn worker_release(&mut self, owner: u8, which: u8) {
        let Some(index) = pick(self.segments.len(), which) else { return };
        self.calls += 1;
        let held = self.segments.swap_remove(index);
        self.check_and_forget(&held);
        match &mut self.owners[slot(owner)] {
            Some(registered) => registered.worker.release(held.segment),
            None => drop(held.segment),
        }
    }

    /// A request that also needs a hole.
    fn block(&mut self, owner: u8, bytes: usize) {
        let Some(Registered { owner, number, .. }) = &self.owners[slot(owner)] else { return };
        let index = *number;
        self.calls += 1;
        let pages = bytes.div_ceil(self.manager.page_size());
        let rounded = pages * self.manager.page_size();
        let has_hole = pages > 0 && self.model.largest_hole() >= pages;
        let fits = has_hole && self.model.fits(index, rounded);
        match owner.allocate(bytes) {
            Ok(segment) => {
                assert!(fits, "a block of {pages} pages where there is no room");
                assert_eq!(segment.size(), rounded);
                self.hold(index, segment);
            }
            Err(refusal) => assert!(!fits, "{refusal}"),
        }
    }

    /// A request that takes what there is.
    fn up_to(&mut self, owner: u8, bytes: usize) {
        let Some(Registered { owner, number, .. }) = &self.owners[slot(owner)] else { return };
        let index = *number;
        self.calls += 1;
        let page = self.manager.page_size();
        let granted = bytes.div_ceil(page).min(self.model.free_bytes(index) / page);
        let expected = self.model.grant(&self.manager, granted) * page;
        match owner.allocate_up_to(bytes) {
            Ok(segment) => {
                assert_eq!(segment.size(), expected, "of {bytes} bytes wanted");
                self.hold(index, segment);
            }
            Err(refusal) => assert_eq!(expected, 0, "{refusal}"),
        }
    }

    fn reserve(&mut self, owner: u8, bytes: usize) {
        let Some(Registered { owner, number, .. }) = &self.owners[slot(owner)] else { return };
        let index = *number;
        self.calls += 1;
        let fits = self.model.fits(index, bytes);
        match owner.reserve_memory(bytes) {
            Ok(reservation) => {
                assert!(fits && reservation.size() == bytes);
                self.model.reserve(index, bytes);
                self.reservations.push((index, reservation));
            }
            Err(refusal) => assert!(!fits, "{refusal}"),
        }
    }

    fn shrink(&mut self, which: u8, bytes: usize) {
        if let Some(index) = pick(self.reservations.len(), which) {
            self.calls += 1;
            let (owner, reservation) = &mut self.reservations[index];
            let (size, overdrawn) = (reservation.size(), reservation.overdrawn_bytes());
            let released = bytes.min(size);
            assert_eq!(reservation.shrink(bytes), released);
            let paid = released.min(overdrawn);
            assert_eq!(reservation.overdrawn_bytes(), overdrawn - paid);
            self.model.pay(*owner, paid);
            self.model.release_bytes(*owner, released - paid);
        }
    }

    fn hold(&mut self, owner: usize, mut segment: MemorySegment) {
        let pattern = self.model.hold(owner, &segment);
        if self.model.is_zeroed() {
            assert!(self.marking.is_marked(&segment, 0), "a last holder's bytes show");
        }
        self.marking.mark(&mut segment, pattern);
        self.segments.push(Held { segment, owner, pattern });
    }

    fn check_and_forget(&mut self, held: &Held) {
        let Held { segment, owner, pattern } = held;
        assert!(self.marking.is_marked(segment, *pattern), "somebody wrote to a held segment");
        self.model.forget(*owner, segment);
    }

    /// Checks everything, and what the manager says of itself.
    fn check_stats(&self) {
        self.check();
        self.model.check_stats(&self.manager);
    }

    fn check(&self) {
        // Empties the magazines, whose pages are free to the model.
        assert_eq!(self.manager.verify_empty().is_ok(), self.model.is_empty());
        if let Err(complaint) = self.manager.check_consistency() {
            unreachable!("{complaint}");
        }
        self.model.check(&self.manager);
    }

    fn shut_down(&mut self) {
        self.calls += 1;
        let leaks = self.manager.shutdown();
        assert_eq!(leaks.is_ok(), self.model.is_empty());
        for Registered { owner, .. } in self.owners.iter().flatten() {
            assert!(owner.allocate_page().is_err());
            assert!(owner.allocate(1).is_err());
            assert!(owner.allocate_up_to(usize::MAX).is_err());
            assert!(owner.reserve_memory(1).is_err());
        }
        assert!(self.manager.owner("late").register().is_err());
    }

    fn finish(mut self) -> u64 {
        self.check_stats();
        let segments = std::mem::take(&mut self.segments);
        for held in segments {
            self.check_and_forget(&held);
        }
        for (owner, reservation) in std::mem::take(&mut self.reservations) {
            self.forget_reservation(owner, &reservation);
        }
        self.check_stats();
        assert!(self.manager.verify_empty().is_ok());
        self.calls
    }
}

fn slot(owner: u8) -> usize {
    usize::from(owner) % OWNERS
}

fn pick(length: usize, which: u8) -> Option<usize> {
    (length > 0).then(|| usize::from(which) % length)
}
