//! Waiting for memory instead of being refused it.

use std::time::Duration;

use super::allocating::{allocate_many, allocate_one};
use super::convert::status::Status;
use super::reservation::reserve_one;
use super::{OFFHEAP_FOR_EVER, Owner, Reservation, Segment};

/// As offheap_allocate_pages, but waits in line for what others give back, first come, first
/// served. Owners that can give memory back are asked meanwhile.
///
/// It waits for `timeout_milliseconds` at most; OFFHEAP_FOR_EVER is for no end. With a timeout of 0
/// it takes what there is, and waits for nobody.
///
/// - OFFHEAP_STATUS_TIMED_OUT: the time is up.
/// - OFFHEAP_STATUS_DEADLOCK: every owner that holds memory waits for more, and this call came
///   last.
/// - OFFHEAP_STATUS_SHUT_DOWN: the manager was shut down meanwhile.
///
/// What could never be granted is refused at once. So is what does not fit within a function that
/// the library calls to get memory back. Handles may be freed meanwhile: the call goes on.
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
    let timeout = timeout(timeout_milliseconds);
    let acquire = |owner: &crate::Owner| Ok(owner.acquire_pages_timeout(count, timeout)?);
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_many(owner, count, out_segments, acquire) }
}

/// As offheap_allocate, but waits for `timeout_milliseconds` at most, as offheap_acquire_pages. It
/// waits for bytes, not for a hole: it can still be refused with OFFHEAP_STATUS_FRAGMENTED.
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

/// As offheap_reserve_memory, but waits for `timeout_milliseconds` at most, as
/// offheap_acquire_pages.
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
    let timeout = timeout(timeout_milliseconds);
    let acquire = |owner: &crate::Owner| Ok(owner.acquire_memory_timeout(bytes, timeout)?);
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { reserve_one(owner, out_reservation, acquire) }
}

fn timeout(milliseconds: u64) -> Duration {
    match milliseconds {
        OFFHEAP_FOR_EVER => Duration::MAX,
        _ => Duration::from_millis(milliseconds),
    }
}
