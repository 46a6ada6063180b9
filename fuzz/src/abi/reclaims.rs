//! The calls by which owners give memory back, each beside what the model expects. Nobody waits
//! here, so nothing is asked for but by chance, and nothing is called.

use std::ffi::c_void;
use std::ptr;

use offheap::ffi::{self, Status};
use offheap_test_support::Count;

use super::calls::{self, Kind, PAGE, handle, handle_from, number_from};
use super::ops::Pick;
use super::run::{Run, Value};

/// How often a context was freed.
static FREED: Count = Count::new();

unsafe extern "C" fn reclaimable(_context: *mut c_void) -> usize {
    0
}

unsafe extern "C" fn reclaim(_: *mut c_void, _bytes: usize, _reserve: *mut ffi::SpillReserve) {}

unsafe extern "C" fn on_pressure(_context: *mut c_void, _pressure: u32) {}

unsafe extern "C" fn free(_context: *mut c_void) {
    FREED.add(1);
}

/// Checks that a context is freed as often by what is done with it.
fn frees(times: usize, work: impl FnOnce()) {
    let before = FREED.get();
    work();
    assert_eq!(FREED.get() - before, times);
}

fn set_reclaimer(owner: usize) -> Status {
    let (owner, context) = (handle(owner), ptr::null_mut());
    // SAFETY: 1: the functions may be called with any context.
    unsafe {
        ffi::offheap_owner_set_reclaimer(
            owner,
            Some(reclaimable),
            Some(reclaim),
            context,
            Some(free),
        )
    }
}

fn clear_reclaimer(owner: usize) -> Status {
    ffi::offheap_owner_clear_reclaimer(handle(owner))
}

fn subscribe(manager: usize) -> Result<usize, Status> {
    let (manager, context) = (handle(manager), ptr::null_mut());
    handle_from(|out| {
        // SAFETY: 1: the functions may be called with any context. 2: the place is good.
        unsafe {
            ffi::offheap_manager_on_pressure(manager, Some(on_pressure), context, Some(free), out)
        }
    })
}

fn pressure(manager: usize) -> Result<u32, Status> {
    let mut out = u32::MAX;
    // SAFETY: 1: the place is good.
    let status = unsafe { ffi::offheap_manager_pressure(handle(manager), &raw mut out) };
    assert_eq!(out != u32::MAX, status == Status::Ok);
    if status == Status::Ok { Ok(out) } else { Err(status) }
}

fn requested(owner: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    number_from(|out| unsafe { ffi::offheap_owner_reclaim_requested(handle(owner), out) })
}

fn set_reclaimable(owner: usize, bytes: usize) -> Status {
    ffi::offheap_owner_set_reclaimable(handle(owner), bytes)
}

/// The bytes that are asked for, and the handle of the reserve.
fn answer_begin(owner: usize) -> Result<(usize, usize), Status> {
    let mut reserve = 0;
    let target = number_from(|out_target| {
        let begun = handle_from(|out_reserve| {
            // SAFETY: 1 and 2: the places are good.
            unsafe { ffi::offheap_owner_answer_begin(handle(owner), out_target, out_reserve) }
        });
        begun.map_or_else(
            |status| status,
            |bits| {
                reserve = bits;
                Status::Ok
            },
        )
    });
    target.map(|target| (target, reserve))
}

fn reserve_allocate(reserve: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_spill_reserve_allocate(handle(reserve), bytes, out) })
}

fn reserve_available(reserve: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    number_from(|out| unsafe { ffi::offheap_spill_reserve_available(handle(reserve), out) })
}

impl Run {
    /// Looks whether an owner is asked, which it is by chance only, and answers.
    pub(super) fn answer(&mut self, pick: Pick, bytes: usize) {
        let owner = self.pick(pick, Kind::Owner);
        let status = set_reclaimable(owner.bits, bytes);
        let (asked, begun) = (requested(owner.bits), answer_begin(owner.bits));
        if owner.value.is_err() {
            owner.expect(status);
            let (Err(asked), Err(begun)) = (asked, begun) else { unreachable!("{owner:?}") };
            owner.expect(asked);
            return owner.expect(begun);
        }
        let (Ok(_), Ok((target, reserve))) = (asked, begun) else { unreachable!("{owner:?}") };
        assert_eq!((status, target > 0), (Status::Ok, reserve != 0));
        if reserve == 0 {
            return assert_eq!(ffi::offheap_owner_answer_end(handle(reserve)), Status::Ok);
        }
        self.given.push((reserve, Kind::SpillReserve));
        self.spill(reserve, bytes);
    }

    /// Takes memory of a reserve, which ends with it.
    fn spill(&mut self, reserve: usize, bytes: usize) {
        let Ok(available) = reserve_available(reserve) else { unreachable!("it is open") };
        let fits = (1..=available).contains(&bytes.next_multiple_of(PAGE));
        let segment = reserve_allocate(reserve, bytes);
        assert!(fits || segment.is_err(), "{bytes} of {available} bytes");
        if let Ok(segment) = segment {
            calls::fill(segment, 1);
            if bytes.is_multiple_of(2) {
                assert_eq!(calls::release(segment), Status::Ok);
            }
        }
        assert_eq!(calls::free(reserve, Kind::SpillReserve), Status::Ok);
        assert_eq!(calls::free(reserve, Kind::SpillReserve), Status::StaleHandle);
        if let Ok(segment) = segment {
            self.given.push((segment, Kind::Segment));
            assert_eq!(calls::size(segment), Err(Status::StaleHandle));
        }
    }

    /// A spill reserve, which is never open here.
    pub(super) fn spill_late(&mut self, pick: Pick, bytes: usize) {
        let reserve = self.pick(pick, Kind::SpillReserve);
        let (segment, available) =
            (reserve_allocate(reserve.bits, bytes), reserve_available(reserve.bits));
        let (Err(segment), Err(available)) = (segment, available) else {
            unreachable!("{reserve:?} is open");
        };
        reserve.expect(segment);
        reserve.expect(available);
    }

    /// Sets a reclaimer, or one after the other, and takes it off.
    pub(super) fn set_reclaimer(&mut self, pick: Pick, again: bool) {
        let owner = self.pick(pick, Kind::Owner);
        let status = clear_reclaimer(owner.bits);
        if owner.value.is_err() {
            owner.expect(status);
            return frees(0, || owner.expect(set_reclaimer(owner.bits)));
        }
        assert_eq!(status, Status::Ok);
        frees(0, || assert_eq!(set_reclaimer(owner.bits), Status::Ok));
        if again {
            frees(1, || assert_eq!(set_reclaimer(owner.bits), Status::Ok));
        }
        frees(1, || assert_eq!(clear_reclaimer(owner.bits), Status::Ok));
        frees(0, || assert_eq!(clear_reclaimer(owner.bits), Status::Ok));
    }

    /// Reads the pressure, and subscribes to it.
    pub(super) fn pressure(&mut self, pick: Pick, subscribes: bool) {
        let manager = self.pick(pick, Kind::Manager);
        match (pressure(manager.bits), manager.value) {
            (Ok(level), Ok(_)) => assert!(level <= ffi::Pressure::Critical as u32),
            (Err(status), _) => manager.expect(status),
            (Ok(_), _) => unreachable!("the pressure of {manager:?}"),
        }
        if !subscribes {
            return;
        }
        match (subscribe(manager.bits), manager.value) {
            (Ok(subscription), Ok(Value::Manager(_))) => {
                self.given.push((subscription, Kind::Subscription));
                let end = || calls::free(subscription, Kind::Subscription);
                frees(1, || assert_eq!(end(), Status::Ok));
                frees(0, || assert_eq!(end(), Status::StaleHandle));
            }
            (Err(status), _) => manager.expect(status),
            (Ok(_), _) => unreachable!("a subscription of {manager:?}"),
        }
    }
}
