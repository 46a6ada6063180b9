//! The calls that allocate, reserve, look and release, each beside what the model expects.

use offheap::ffi::Status;

use super::calls::{self, Kind, Manner, PAGE};
use super::ops::Pick;
use super::run::{Bad, Picked, Run, Value};

impl Run {
    /// A request for `pages` pages that succeeds if and only if they fit.
    pub(super) fn allocate(
        &mut self,
        pick: Pick,
        pages: usize,
        allocate: impl FnOnce(usize) -> Result<Vec<usize>, Status>,
    ) {
        let owner = self.pick(pick, Kind::Owner);
        self.allocated(owner, pages, allocate(owner.bits), &[]);
    }

    /// What a request came to, which may fail with `reasons` although there are as many bytes.
    fn allocated(
        &mut self,
        picked: Picked,
        pages: usize,
        answer: Result<Vec<usize>, Status>,
        reasons: &[Status],
    ) {
        let Ok(Value::Owner(manager, owner) | Value::Worker(manager, owner)) = picked.value else {
            let Err(status) = answer else { unreachable!("pages of {picked:?}") };
            return picked.expect(status);
        };
        let expected = self.managers[manager].refusals(owner, pages * PAGE);
        match answer {
            Ok(segments) => {
                assert!(expected.is_empty(), "{expected:?}");
                let held: usize =
                    segments.into_iter().map(|segment| self.hold(manager, owner, segment)).sum();
                assert_eq!(held, pages * PAGE);
            }
            Err(status) => {
                let is_due = expected.contains(&status) || reasons.contains(&status);
                assert!(is_due, "{status:?}, not {expected:?} nor {reasons:?}");
            }
        }
    }

    /// A request for as many pages.
    pub(super) fn pages(&mut self, pick: Pick, count: usize, manner: Manner) {
        let owner = self.pick(pick, Kind::Owner);
        let reasons = self.timed_out(owner, count * PAGE, manner);
        self.allocated(owner, count, calls::pages(owner.bits, count, manner), &reasons);
    }

    /// What a request that waits for no time may come to, if it does not fit.
    fn timed_out(&self, owner: Picked, bytes: usize, manner: Manner) -> Vec<Status> {
        let Ok(Value::Owner(manager, owner)) = owner.value else { return Vec::new() };
        if manner != Manner::Acquire {
            return Vec::new();
        }
        let is_refused = !self.managers[manager].refusals(owner, bytes).is_empty();
        if is_refused { vec![Status::TimedOut] } else { Vec::new() }
    }

    pub(super) fn block(&mut self, pick: Pick, bytes: usize, manner: Manner) {
        let owner = self.pick(pick, Kind::Owner);
        let mut reasons = self.timed_out(owner, bytes.next_multiple_of(PAGE), manner);
        let call = match manner {
            Manner::Allocate => calls::block,
            Manner::Try => calls::try_block,
            Manner::Acquire => calls::acquire_block,
        };
        let answer = call(owner.bits, bytes).map(|block| vec![block]);
        match owner.value {
            _ if bytes == 0 => reasons.push(Status::NoBytes),
            Ok(Value::Owner(manager, _)) if !self.managers[manager].is_heap => {
                reasons.push(Status::Fragmented);
            }
            _ => {}
        }
        self.allocated(owner, bytes.div_ceil(PAGE), answer, &reasons);
    }

    pub(super) fn up_to(&mut self, pick: Pick, bytes: usize) {
        let picked = self.pick(pick, Kind::Owner);
        let answer = calls::up_to(picked.bits, bytes);
        let (Ok(Value::Owner(manager, owner)), true) = (picked.value, bytes > 0) else {
            let Err(status) = answer else { unreachable!("{bytes} bytes of {picked:?}") };
            return if picked.value.is_ok() {
                assert_eq!(status, Status::NoBytes);
            } else {
                picked.expect(status);
            };
        };
        let expected = self.managers[manager].refusals(owner, PAGE);
        let most = self.managers[manager].free_bytes_of(owner).min(bytes.next_multiple_of(PAGE));
        match answer {
            Ok(segment) => {
                assert!(expected.is_empty(), "{expected:?}");
                let held = self.hold(manager, owner, segment);
                assert!((PAGE..=most).contains(&held), "{held} of {most} bytes");
            }
            Err(status) => assert!(expected.contains(&status), "{status:?}, not {expected:?}"),
        }
    }

    pub(super) fn scattered(&mut self, pick: Pick, bytes: usize, capacity: usize) {
        let owner = self.pick(pick, Kind::Owner);
        let pages = bytes.div_ceil(PAGE);
        let answer = calls::scattered(owner.bits, bytes, capacity);
        let reasons: &[Status] = if capacity < pages { &[Status::BufferTooSmall] } else { &[] };
        self.allocated(owner, pages, answer, reasons);
    }

    pub(super) fn reserve(&mut self, pick: Pick, bytes: usize, manner: Manner) {
        let picked = self.pick(pick, Kind::Owner);
        let reasons = self.timed_out(picked, bytes, manner);
        let call = match manner {
            Manner::Allocate => calls::reserve,
            Manner::Try => calls::try_reserve,
            Manner::Acquire => calls::acquire_memory,
        };
        let answer = call(picked.bits, bytes);
        let Ok(Value::Owner(manager, owner)) = picked.value else {
            let Err(status) = answer else { unreachable!("bytes of {picked:?}") };
            return picked.expect(status);
        };
        let expected = self.managers[manager].refusals(owner, bytes);
        match answer {
            Ok(reservation) => {
                assert!(expected.is_empty(), "{expected:?}");
                self.managers[manager].add_handle(owner);
                self.managers[manager].take(owner, bytes);
                self.give(reservation, Value::Reservation { manager, owner, bytes });
            }
            Err(status) => {
                let is_due = expected.contains(&status) || reasons.contains(&status);
                assert!(is_due, "{status:?}, not {expected:?} nor {reasons:?}");
            }
        }
    }

    pub(super) fn grow(&mut self, pick: Pick, more: usize) {
        let picked = self.pick(pick, Kind::Reservation);
        let status = calls::grow(picked.bits, more);
        let Ok(Value::Reservation { manager, owner, bytes }) = picked.value else {
            return picked.expect(status);
        };
        let expected = self.managers[manager].refusals(owner, more);
        if status == Status::Ok {
            assert!(expected.is_empty(), "{expected:?}");
            self.managers[manager].take(owner, more);
            let bytes = bytes + more;
            self.live.insert(picked.bits, Value::Reservation { manager, owner, bytes });
        } else {
            assert!(expected.contains(&status), "{status:?}, not {expected:?}");
        }
        self.expect_reserved(picked.bits);
    }

    pub(super) fn shrink(&mut self, pick: Pick, less: usize) {
        let picked = self.pick(pick, Kind::Reservation);
        let answer = calls::shrink(picked.bits, less);
        let Ok(Value::Reservation { manager, owner, bytes }) = picked.value else {
            let Err(status) = answer else { unreachable!("bytes of {picked:?}") };
            return picked.expect(status);
        };
        let less = less.min(bytes);
        assert_eq!(answer, Ok(less));
        self.managers[manager].give_back(owner, less);
        let bytes = bytes - less;
        self.live.insert(picked.bits, Value::Reservation { manager, owner, bytes });
        self.expect_reserved(picked.bits);
    }

    fn expect_reserved(&self, reservation: usize) {
        let Some(Value::Reservation { bytes, .. }) = self.live.get(&reservation) else {
            unreachable!("a reservation");
        };
        assert_eq!(calls::reserved(reservation), Ok(*bytes));
    }

    pub(super) fn worker(&mut self, pick: Pick) {
        let owner = self.pick(pick, Kind::Owner);
        match (calls::worker_new(owner.bits), owner.value) {
            (Ok(worker), Ok(Value::Owner(manager, number))) => {
                self.managers[manager].add_handle(number);
                self.give(worker, Value::Worker(manager, number));
            }
            (Err(status), _) => owner.expect(status),
            (Ok(_), _) => unreachable!("a worker of {owner:?}"),
        }
    }

    pub(super) fn worker_page(&mut self, pick: Pick, call: fn(usize) -> Result<usize, Status>) {
        let worker = self.pick(pick, Kind::Worker);
        let answer = call(worker.bits).map(|page| vec![page]);
        self.allocated(worker, 1, answer, &[]);
    }

    pub(super) fn worker_release(&mut self, worker: Pick, segment: Pick) {
        let (worker, segment) =
            (self.pick(worker, Kind::Worker), self.pick(segment, Kind::Segment));
        let status = calls::worker_release(worker.bits, segment.bits);
        match (worker.value, segment.value) {
            (Err(_), _) => worker.expect(status),
            (_, Err(Bad::Null)) => assert_eq!(status, Status::Ok),
            (_, Err(_)) => segment.expect(status),
            _ => {
                assert_eq!(status, Status::Ok);
                self.gone(segment.bits);
            }
        }
    }

    pub(super) fn look(&mut self, pick: Pick) {
        let segment = self.pick(pick, Kind::Segment);
        match segment.value {
            Ok(value) => self.expect_contents(segment.bits, value),
            Err(_) => {
                let size = calls::size(segment.bits).map(|_| ());
                let address = calls::address(segment.bits).map(|_| ());
                for answer in [size, address] {
                    let Err(status) = answer else { unreachable!("{segment:?} is good") };
                    segment.expect(status);
                }
            }
        }
    }

    /// Address and size in one call are those that two calls tell.
    pub(super) fn range(&mut self, pick: Pick) {
        let segment = self.pick(pick, Kind::Segment);
        match (calls::range(segment.bits), segment.value) {
            (Ok((address, bytes)), Ok(_)) => {
                assert_eq!(calls::address(segment.bits).map(|it| it.addr()), Ok(address));
                assert_eq!(calls::size(segment.bits), Ok(bytes));
            }
            (Err(status), _) => segment.expect(status),
            (Ok(_), _) => unreachable!("the range of {segment:?}"),
        }
    }

    pub(super) fn release(&mut self, pick: Pick) {
        let segment = self.pick(pick, Kind::Segment);
        if let Ok(value) = segment.value {
            self.expect_contents(segment.bits, value);
        }
        let status = calls::release(segment.bits);
        match segment.value {
            Err(Bad::Null) => assert_eq!(status, Status::Ok),
            Err(_) => segment.expect(status),
            Ok(_) => {
                assert_eq!(status, Status::Ok);
                self.gone(segment.bits);
            }
        }
    }

    pub(super) fn release_many(&mut self, picks: &[Pick]) {
        let segments: Vec<Picked> =
            picks.iter().map(|pick| self.pick(*pick, Kind::Segment)).collect();
        let bits: Vec<usize> = segments.iter().map(|segment| segment.bits).collect();
        let status = calls::release_many(&bits);
        let is_bad = |segment: &&Picked| !matches!(segment.value, Ok(_) | Err(Bad::Null));
        let mut seen = Vec::new();
        let first_bad = segments.iter().find(|segment| {
            let is_again = segment.bits != 0 && seen.contains(&segment.bits);
            seen.push(segment.bits);
            is_again || is_bad(segment)
        });
        match first_bad {
            None => {
                assert_eq!(status, Status::Ok);
                bits.into_iter().filter(|bits| *bits != 0).for_each(|bits| self.gone(bits));
            }
            Some(bad) if bad.value.is_err() => bad.expect(status),
            Some(_) => assert_eq!(status, Status::StaleHandle, "it is there twice"),
        }
    }

    pub(super) fn free(&mut self, pick: Pick, kind: u8) {
        let kinds = [
            Kind::Config,
            Kind::Manager,
            Kind::Owner,
            Kind::Reservation,
            Kind::Worker,
            Kind::SpillReserve,
            Kind::Subscription,
        ];
        let kind = kinds[usize::from(kind) % kinds.len()];
        let handle = self.pick(pick, kind);
        let status = calls::free(handle.bits, kind);
        match handle.value {
            Err(Bad::Null) => assert_eq!(status, Status::Ok),
            Err(_) => handle.expect(status),
            Ok(_) => {
                assert_eq!(status, Status::Ok);
                self.gone(handle.bits);
            }
        }
    }

    pub(super) fn check(&mut self, pick: Pick) {
        let manager = self.pick(pick, Kind::Manager);
        match (calls::available(manager.bits), manager.value) {
            (Ok(available), Ok(Value::Manager(index))) => {
                let model = &self.managers[index];
                assert_eq!(available, model.free_bytes());
                let is_empty = calls::verify_empty(manager.bits);
                let expected = if model.is_empty() { Status::Ok } else { Status::Leak };
                assert_eq!(is_empty, expected);
                assert_eq!(calls::check(manager.bits), Status::Ok, "{}", calls::last_message());
            }
            (Err(status), _) => manager.expect(status),
            (Ok(_), _) => unreachable!("numbers of {manager:?}"),
        }
    }

    pub(super) fn shut_down(&mut self, pick: Pick) {
        let manager = self.pick(pick, Kind::Manager);
        let status = calls::shutdown(manager.bits);
        let Ok(Value::Manager(index)) = manager.value else { return manager.expect(status) };
        let model = &mut self.managers[index];
        assert_eq!(status, if model.is_empty() { Status::Ok } else { Status::Leak });
        model.is_closed = true;
    }

    /// A segment is held from now on; returns its size.
    fn hold(&mut self, manager: usize, owner: usize, segment: usize) -> usize {
        self.patterns = self.patterns % u8::MAX + 1;
        let Ok(bytes) = calls::size(segment) else { unreachable!("it is held") };
        calls::fill(segment, self.patterns);
        self.managers[manager].take(owner, bytes);
        let pattern = self.patterns;
        self.give(segment, Value::Segment { manager, owner, bytes, pattern });
        bytes
    }

    pub(super) fn expect_contents(&self, bits: usize, value: Value) {
        let Value::Segment { bytes, pattern, .. } = value else { unreachable!("{value:?}") };
        assert_eq!(calls::size(bits), Ok(bytes));
        assert!(calls::is_filled(bits, pattern), "somebody wrote to a held segment");
    }

    /// A handle was ended.
    pub(super) fn gone(&mut self, bits: usize) {
        match self.live.remove(&bits) {
            Some(Value::Segment { manager, owner, bytes, .. }) => {
                self.managers[manager].give_back(owner, bytes);
            }
            Some(Value::Reservation { manager, owner, bytes }) => {
                self.managers[manager].give_back(owner, bytes);
                self.managers[manager].drop_handle(owner);
            }
            Some(Value::Owner(manager, owner) | Value::Worker(manager, owner)) => {
                self.managers[manager].drop_handle(owner);
            }
            Some(Value::Config(_) | Value::Manager(_)) => {}
            None => unreachable!("{bits:#x} was not good"),
        }
    }
}
