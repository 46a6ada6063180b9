//! Workers: one thread's fast path to pages.

use crate::ledger::handles::Kind;

use super::convert::failure::call;
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::registered::OWNERS;
use super::tables::segment_table;
use super::tables::table::LoneTable;
use super::{Owner, Segment, Worker};

static WORKERS: LoneTable<crate::Worker> = LoneTable::new(Kind::Worker);

/// Makes a worker of an owner: the fast path to pages for one thread, which keeps some at hand.
/// They are not lost to others: whoever would be refused gets them first. A worker keeps its owner.
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

/// Allocates a page, as offheap_allocate_page does.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_worker_allocate_page(
    worker: *mut Worker,
    out_segment: *mut *mut Segment,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_segment, "out_segment") }?;
        let page = WORKERS.get(handle(worker))?.allocate_page()?;
        out.write(pointer(segment_table::insert(page)?));
        Ok(())
    })
}

/// Gives a segment back: to the pages that the worker keeps at hand if it is a page of its owner,
/// and otherwise to where it came from. NULL is fine for the segment.
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
