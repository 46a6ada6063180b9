//! Workers: one thread's fast path to pages.

use crate::MemorySegment;
use crate::ledger::handles::Kind;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::registered::OWNERS;
use super::tables::segment_table;
use super::tables::table::LoneTable;
use super::{Owner, Segment, Worker};

static WORKERS: LoneTable<crate::Worker> = LoneTable::new(Kind::Worker);

/// Makes a worker of an owner: the fast path to pages for one thread, which keeps some at hand.
/// They are not lost to others: a request that would be refused gets them first. A worker keeps its
/// owner.
///
/// It may be handed to another thread, but two calls at a time are refused with
/// OFFHEAP_STATUS_BUSY.
///
/// # Safety
///
/// 1. `out_worker` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_worker_new(
    owner: *mut Owner,
    out_worker: *mut *mut Worker,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_worker, "out_worker") }?;
        let worker = OWNERS.get(handle(owner))?.worker();
        out.write(pointer(WORKERS.insert(worker)?));
        Ok(())
    })
}

/// Allocates a page, as offheap_allocate_page, and may wait as that does.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_worker_allocate_page(
    worker: *mut Worker,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { page_of(worker, out_segment, |worker| Ok(worker.allocate_page()?)) }
}

/// Allocates a page of what is free, as offheap_try_allocate_page. Never waits for memory.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_worker_try_allocate_page(
    worker: *mut Worker,
    out_segment: *mut *mut Segment,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { page_of(worker, out_segment, |worker| Ok(worker.try_allocate_page()?)) }
}

/// Gives a segment back. A page of the worker's owner goes to the pages that the worker keeps at
/// hand, anything else to where it came from. NULL is fine for the segment.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_worker_release(worker: *mut Worker, segment: *mut Segment) -> Status {
    call(|| {
        let mut worker = WORKERS.get(handle(worker))?;
        if !segment.is_null() {
            worker.release(segment_table::remove(handle(segment))?);
        }
        Ok(())
    })
}

/// Frees a worker. The pages that it keeps at hand go back. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_worker_free(worker: *mut Worker) -> Status {
    if worker.is_null() {
        return Status::Ok;
    }
    call(|| WORKERS.remove(handle(worker)))
}

/// A call that allocates one page.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[inline]
unsafe fn page_of(
    worker: *mut Worker,
    out_segment: *mut *mut Segment,
    allocate: impl FnOnce(&mut crate::Worker) -> Result<MemorySegment, Failure>,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_segment, "out_segment") }?;
        let page = allocate(&mut *WORKERS.get(handle(worker))?)?;
        out.write(pointer(segment_table::insert(page)?));
        Ok(())
    })
}
