//! Segments: where they are, and giving them back.

use std::ffi::c_void;

use crate::owners::segment::gathered;

use super::Segment;
use super::convert::failure::call;
use super::convert::pointers::{Out, array, handle};
use super::convert::status::Status;
use super::tables::segment_table;

/// The address of a segment's first byte. It is aligned to 4096 bytes, and good until the segment
/// is released: afterwards the memory belongs to another owner.
///
/// # Safety
///
/// 1. `out_address` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_segment_address(
    segment: *mut Segment,
    out_address: *mut *mut c_void,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_address, "out_address") }?;
        let (address, _) = segment_table::range(handle(segment))?;
        out.write(address.cast());
        Ok(())
    })
}

/// The size of a segment in bytes: a number of whole pages.
///
/// # Safety
///
/// 1. `out_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_segment_size(
    segment: *mut Segment,
    out_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_bytes, "out_bytes") }?;
        let (_, bytes) = segment_table::range(handle(segment))?;
        out.write(bytes);
        Ok(())
    })
}

/// The address of a segment's first byte and its size in bytes: offheap_segment_address and
/// offheap_segment_size in one call, which looks the handle up once.
///
/// # Safety
///
/// 1. `out_address` is NULL or may be written to.
/// 2. `out_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_segment_range(
    segment: *mut Segment,
    out_address: *mut *mut c_void,
    out_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out_address = unsafe { Out::new(out_address, "out_address") }?;
        // SAFETY: 1: by the caller's contract, 2.
        let out_bytes = unsafe { Out::new(out_bytes, "out_bytes") }?;
        let (address, bytes) = segment_table::range(handle(segment))?;
        out_address.write(address.cast());
        out_bytes.write(bytes);
        Ok(())
    })
}

/// Gives a segment back to where it came from, on any thread. NULL is fine. A segment that was
/// released before is refused with OFFHEAP_STATUS_STALE_HANDLE. That is so, too, if its memory is
/// in other hands by now, which stay untouched.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_release(segment: *mut Segment) -> Status {
    if segment.is_null() {
        return Status::Ok;
    }
    call(|| {
        drop(segment_table::remove(handle(segment))?);
        Ok(())
    })
}

/// Gives many segments back, all or none. It is cheaper than one by one, where neighbours follow
/// each other. They may be of several owners and managers. NULLs among them are fine.
///
/// If one of them was released before, or is in the array twice, none is released. While the call
/// finds that out, other calls with these segments can be refused as stale.
///
/// # Safety
///
/// 1. `segments` is NULL, or `count` handles can be read from there on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_release_many(
    segments: *const *mut Segment,
    count: usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let segments = unsafe { array(segments, count, "segments") }?;
        gathered::release_all(segment_table::remove_all(segments.iter().copied().map(handle))?);
        Ok(())
    })
}
