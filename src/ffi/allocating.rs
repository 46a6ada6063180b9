//! Pages and blocks that an owner allocates.

use crate::MemorySegment;
use crate::ledger::handles::Handle;
use crate::owners::segment::gathered;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, OutArray, handle, pointer};
use super::convert::status::Status;
use super::tables::registered::OWNERS;
use super::tables::segment_table;
use super::{Owner, Segment};

/// Allocates one page. If it fits the limits, it succeeds.
///
/// If it does not fit, it waits while owners that are asked give memory back. That takes the
/// reclaim timeout of the manager at most, however many owners there are. Where none can be asked,
/// it does not wait.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_allocate_page(
    owner: *mut Owner,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.allocate_page()?)) }
}

/// Allocates one page of what is free. Never waits for memory, and asks nobody to give some back.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_try_allocate_page(
    owner: *mut Owner,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.try_allocate_page()?)) }
}

/// Allocates `count` pages, all or none, and writes their handles to an array of that many. If they
/// fit the limits, it succeeds. Cheaper than one by one.
///
/// It may wait for the reclaim timeout, as offheap_allocate_page.
///
/// # Safety
///
/// 1. `out_segments` is NULL, or `count` handles may be written from there on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_allocate_pages(
    owner: *mut Owner,
    count: usize,
    out_segments: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_many(owner, count, out_segments, |owner| Ok(owner.allocate_pages(count)?)) }
}

/// Allocates `count` pages of what is free, all or none, as offheap_allocate_pages. Never waits for
/// memory, and asks nobody to give some back.
///
/// # Safety
///
/// 1. `out_segments` is NULL, or `count` handles may be written from there on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_try_allocate_pages(
    owner: *mut Owner,
    count: usize,
    out_segments: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe {
        allocate_many(owner, count, out_segments, |owner| Ok(owner.try_allocate_pages(count)?))
    }
}

/// Allocates one block of contiguous memory, rounded up to pages. It comes from the hole that the
/// manager's strategy picks, or from spare address space if there is no hole.
///
/// It may wait for the reclaim timeout, as offheap_allocate_page. It waits for bytes, not for a
/// hole: it can still be refused with OFFHEAP_STATUS_FRAGMENTED.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_allocate(
    owner: *mut Owner,
    bytes: usize,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.allocate(bytes)?)) }
}

/// Allocates one block of what is free, as offheap_allocate. Never waits for memory, and asks
/// nobody to give some back.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_try_allocate(
    owner: *mut Owner,
    bytes: usize,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.try_allocate(bytes)?)) }
}

/// Allocates one block of at least a page and at most `bytes`, rounded up to pages: what the limits
/// and the strategy find. Its size says how much that is.
///
/// If there is not even one page, it may wait for the reclaim timeout, as offheap_allocate_page.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_allocate_up_to(
    owner: *mut Owner,
    bytes: usize,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { allocate_one(owner, out_segment, |owner| Ok(owner.allocate_up_to(bytes)?)) }
}

/// Allocates `bytes`, rounded up to pages, in as many blocks as it takes, all or none, and says how
/// many these are. If they fit the limits, it succeeds.
///
/// `capacity` is how many handles the array has room for. As many as there are pages are always
/// enough. With less the call can be refused with OFFHEAP_STATUS_BUFFER_TOO_SMALL.
///
/// It may wait for the reclaim timeout, as offheap_allocate_page.
///
/// # Safety
///
/// 1. `out_segments` is NULL, or `capacity` handles may be written from there on.
/// 2. `out_count` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_allocate_scattered(
    owner: *mut Owner,
    bytes: usize,
    out_segments: *mut *mut Segment,
    capacity: usize,
    out_count: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { OutArray::new(out_segments, capacity, "out_segments") }?;
        // SAFETY: 1: by the caller's contract, 2.
        let out_count = unsafe { Out::new(out_count, "out_count") }?;
        let blocks = OWNERS.get(handle(owner))?.allocate_scattered(bytes)?;
        if blocks.len() > out.capacity() {
            return Err(Failure::buffer_too_small(blocks.len(), out.capacity()));
        }
        let blocks = insert_all(blocks)?;
        out_count.write(blocks.len());
        out.write(blocks.into_iter().map(pointer));
        Ok(())
    })
}

/// A call that allocates one segment.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[inline]
pub(super) unsafe fn allocate_one(
    owner: *mut Owner,
    out_segment: *mut *mut Segment,
    allocate: impl FnOnce(&crate::Owner) -> Result<MemorySegment, Failure>,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_segment, "out_segment") }?;
        let segment = allocate(&*OWNERS.get(handle(owner))?)?;
        out.write(pointer(segment_table::insert(segment)?));
        Ok(())
    })
}

/// A call that allocates `count` segments, all or none.
///
/// # Safety
///
/// 1. `out_segments` is NULL, or `count` handles may be written from there on.
pub(super) unsafe fn allocate_many(
    owner: *mut Owner,
    count: usize,
    out_segments: *mut *mut Segment,
    allocate: impl FnOnce(&crate::Owner) -> Result<Vec<MemorySegment>, Failure>,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { OutArray::new(out_segments, count, "out_segments") }?;
        let segments = allocate(&*OWNERS.get(handle(owner))?)?;
        out.write(insert_all(segments)?.into_iter().map(pointer));
        Ok(())
    })
}

/// Handles for all of these segments, or none.
fn insert_all(segments: Vec<MemorySegment>) -> Result<Vec<Handle>, Failure> {
    let mut handles = Vec::with_capacity(segments.len());
    for segment in segments {
        match segment_table::insert(segment) {
            Ok(handle) => handles.push(handle),
            Err(failure) => {
                // Nobody else knows these handles.
                gathered::release_all(segment_table::remove_all(handles.into_iter())?);
                return Err(failure);
            }
        }
    }
    Ok(handles)
}
