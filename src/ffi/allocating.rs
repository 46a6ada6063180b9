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

/// Allocates `count` pages, all or none, and writes their handles to an array of that many. If they
/// fit the limits, it succeeds. Cheaper than one by one.
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
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { OutArray::new(out_segments, count, "out_segments") }?;
        let pages = OWNERS.get(handle(owner))?.allocate_pages(count)?;
        out.write(insert_all(pages)?.into_iter().map(pointer));
        Ok(())
    })
}

/// Allocates one block of contiguous memory, rounded up to pages, from the hole that the manager's
/// strategy picks, or from spare address space if there is none.
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

/// Allocates one block of at least a page and at most `bytes`, rounded up to pages: what the limits
/// and the strategy find. Its size says how much that is.
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
/// many these are. If they fit the limits, it succeeds. `capacity` is how many handles the array
/// has room for: as many as there are pages are always enough; with less the call can be refused
/// with OFFHEAP_STATUS_BUFFER_TOO_SMALL.
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

/// Handles for all of these segments, or none.
pub(super) fn insert_all(segments: Vec<MemorySegment>) -> Result<Vec<Handle>, Failure> {
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
