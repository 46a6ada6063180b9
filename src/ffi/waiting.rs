//! Waiting for memory instead of being refused it.

use std::time::Duration;

use super::allocating::{allocate_one, insert_all};
use super::convert::failure::call;
use super::convert::pointers::{Out, OutArray, handle, pointer};
use super::convert::status::Status;
use super::reservation::RESERVATIONS;
use super::tables::registered::OWNERS;
use super::{OFFHEAP_FOR_EVER, Owner, Reservation, Segment};

/// As offheap_allocate_pages, but waits in line for what others give back, first come, first
/// served, for `timeout_milliseconds` at most; OFFHEAP_FOR_EVER for no end. Owners that can give
/// memory back are asked meanwhile. With a timeout of 0 it takes what there is and waits
/// for nobody; offheap_allocate_pages waits for those who are asked.
///
/// OFFHEAP_STATUS_TIMED_OUT if the time is up; OFFHEAP_STATUS_DEADLOCK if everybody who holds
/// memory waits for more and this call came last; OFFHEAP_STATUS_SHUT_DOWN if somebody shuts the
/// manager down meanwhile. What could never be granted is refused at once, and so is what does not
/// fit within a function that the library calls to get memory back. Handles may be freed meanwhile:
/// the call goes on.
///
/// # Safety
///
/// 1. `out_segments` is NULL, or `count` handles may be written from there on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_acquire_pages(
    owner: *mut Owner,
    count: usize,
    timeout_milliseconds: u64,
    out_segments: *mut *mut Segment,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { OutArray::new(out_segments, count, "out_segments") }?;
        let owner = OWNERS.get(handle(owner))?;
        let pages = owner.acquire_pages_timeout(count, timeout(timeout_milliseconds))?;
        out.write(insert_all(pages)?.into_iter().map(pointer));
        Ok(())
    })
}

/// As offheap_allocate, but waits, as offheap_acquire_pages does. It waits for bytes, not for a
/// hole: it can still be refused with OFFHEAP_STATUS_FRAGMENTED.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_acquire(
    owner: *mut Owner,
    bytes: usize,
    timeout_milliseconds: u64,
    out_segment: *mut *mut Segment,
) -> Status {
    let timeout = timeout(timeout_milliseconds);
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.acquire_timeout(bytes, timeout)?)) }
}

/// As offheap_reserve_memory, but waits, as offheap_acquire_pages does.
///
/// # Safety
///
/// 1. `out_reservation` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_acquire_memory(
    owner: *mut Owner,
    bytes: usize,
    timeout_milliseconds: u64,
    out_reservation: *mut *mut Reservation,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_reservation, "out_reservation") }?;
        let owner = OWNERS.get(handle(owner))?;
        let reservation = owner.acquire_memory_timeout(bytes, timeout(timeout_milliseconds))?;
        out.write(pointer(RESERVATIONS.insert(reservation)?));
        Ok(())
    })
}

fn timeout(milliseconds: u64) -> Duration {
    match milliseconds {
        OFFHEAP_FOR_EVER => Duration::MAX,
        _ => Duration::from_millis(milliseconds),
    }
}
