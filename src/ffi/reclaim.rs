//! Memory that owners give back when others need it.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;

use crate::ledger::handles::Handle;
use crate::reclaim::ReclaimGuard;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::callback::{Context, FreeFn};
use super::tables::registered::{Functions, OWNERS};
use super::tables::reserves::{OpenReserve, RESERVES};
use super::{Owner, Segment, SpillReserve};

/// Says how many bytes an owner could give back now, about. The owner that can give the most is
/// asked first.
pub type ReclaimableFn = Option<unsafe extern "C" fn(context: *mut c_void) -> usize>;

/// Gives about `target_bytes` of an owner back, or more, or less, by releasing segments and
/// reservations. What was given back shows by itself. The reserve is memory to spill through; its
/// handle ends when the function returns.
pub type ReclaimFn = Option<
    unsafe extern "C" fn(context: *mut c_void, target_bytes: usize, reserve: *mut SpillReserve),
>;

/// Has `reclaim` called when others need memory that the owner has above its minimum, before they
/// are refused it. `reclaimable` says what to expect. It takes the place of polling, and of a
/// reclaimer that was set before, which is taken off as by offheap_owner_clear_reclaimer.
///
/// The functions are called on threads of the library's. A runtime may have to be told about these:
/// a JVM attaches them. No two run at once for the same owner. The library has nothing locked
/// meanwhile, so they may call everything in this header.
///
/// Within them no owner is asked for memory, and no call waits for it. A request that does not fit
/// is refused, and the reserve is there for that. They do not end by an exception or a longjmp. One
/// that does not return within the reclaim timeout is no longer waited for, and not called again
/// before it has returned.
///
/// The library uses the context until it calls `free_context` with it, which may be NULL. That
/// happens once, when the reclaimer was taken off and no call is under way, on any thread. If this
/// call fails, nothing gets the context, and it stays the caller's.
///
/// It waits for a call of the reclaimer before it, for as long as that takes.
///
/// # Safety
///
/// 1. The functions may be called with `context` on any thread, also after this returns. That ends
///    when the reclaimer is off and no call is under way; `free_context` may be called then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_set_reclaimer(
    owner: *mut Owner,
    reclaimable: ReclaimableFn,
    reclaim: ReclaimFn,
    context: *mut c_void,
    free_context: FreeFn,
) -> Status {
    call(|| {
        let reclaimable = reclaimable.ok_or_else(|| Failure::null("reclaimable"))?;
        let reclaim = reclaim.ok_or_else(|| Failure::null("reclaim"))?;
        let owner = OWNERS.get(handle(owner))?;
        // SAFETY: 1: by the caller's contract, 1.
        let context = unsafe { Context::new(context, free_context) };
        // SAFETY: 1: by the caller's contract, 1.
        owner.begin_reclaimer(unsafe { Functions::new(context, reclaimable, reclaim) });
        Ok(())
    })
}

/// Takes the reclaimer of an owner off, if it has one: it is not called any more. Waits for a call
/// that is under way, for as long as that takes. So once this has returned none is, none begins,
/// and the context was freed. The caller has nothing locked that such a call takes.
///
/// Within any function that the library calls, this does not wait, since others could wait for that
/// function. No call begins any more then, and the context is freed when the one that is under way
/// ends.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_clear_reclaimer(owner: *mut Owner) -> Status {
    call(|| {
        OWNERS.get(handle(owner))?.end_reclaimer();
        Ok(())
    })
}

/// The bytes that others ask an owner to give back; 0 if none do. It is for an owner that was
/// registered with OFFHEAP_OWNER_POLLED_RECLAIM. The owner looks here at its safe points, and
/// answers, or just releases memory, which is noticed, too. Requests with a timeout wait for it;
/// others are refused at once.
///
/// # Safety
///
/// 1. `out_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_reclaim_requested(
    owner: *mut Owner,
    out_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_bytes, "out_bytes") }?;
        out.write(OWNERS.get(handle(owner))?.reclaim_requested_bytes());
        Ok(())
    })
}

/// Says how many bytes an owner could give back if it were asked. Without it that is all it uses.
/// For an owner with OFFHEAP_OWNER_POLLED_RECLAIM; with others it changes nothing.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_set_reclaimable(owner: *mut Owner, bytes: usize) -> Status {
    call(|| {
        OWNERS.get(handle(owner))?.set_reclaimable(bytes);
        Ok(())
    })
}

/// Answers what others ask of an owner: says how many bytes that is, and hands out memory to spill
/// through. The answer ends with offheap_owner_answer_end, on the same thread, and with the thread
/// at the latest.
///
/// Until then the owner is at work on it and is not asked again. On this thread it and the owners
/// below it do not wait for memory: what does not fit is refused.
///
/// If none ask, or all of the spill reserve is in use just now, there is nothing to answer. Then
/// both results are 0, and nothing is to be ended. It never waits.
///
/// # Safety
///
/// 1. `out_target_bytes` is NULL or may be written to.
/// 2. `out_reserve` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_answer_begin(
    owner: *mut Owner,
    out_target_bytes: *mut usize,
    out_reserve: *mut *mut SpillReserve,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out_target_bytes = unsafe { Out::new(out_target_bytes, "out_target_bytes") }?;
        // SAFETY: 1: by the caller's contract, 2.
        let out_reserve = unsafe { Out::new(out_reserve, "out_reserve") }?;
        let (target_bytes, reserve) = match OWNERS.get(handle(owner))?.begin_guard() {
            Some(answer) => (answer.target_bytes(), pointer(keep(answer)?)),
            None => (0, ptr::null_mut()),
        };
        out_target_bytes.write(target_bytes);
        out_reserve.write(reserve);
        Ok(())
    })
}

/// Ends an answer, and its reserve. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_answer_end(reserve: *mut SpillReserve) -> Status {
    if reserve.is_null() {
        return Status::Ok;
    }
    call(|| {
        let reserve = handle(reserve);
        drop(RESERVES.get(reserve)?);
        let own = ANSWERS.try_with(|answers| {
            let mut answers = answers.borrow_mut();
            let own = answers.iter().position(|answer| answer.reserve.handle() == reserve)?;
            Some(answers.swap_remove(own))
        });
        match own {
            Ok(Some(own)) => {
                drop(own);
                Ok(())
            }
            _ => {
                let bits = reserve.into_bits();
                Err(Failure::invalid(format!("reserve {bits:#x} is of no answer of this thread")))
            }
        }
    })
}

/// Allocates a block of the spill reserve, rounded up to pages. It is released as any other segment
/// is, on any thread. What is still out at the end of the reclaim is taken back then, and its
/// handle is stale.
///
/// Refused beyond the size of the reserve, and if the manager has none. It never waits.
///
/// # Safety
///
/// 1. `out_segment` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_spill_reserve_allocate(
    reserve: *mut SpillReserve,
    bytes: usize,
    out_segment: *mut *mut Segment,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_segment, "out_segment") }?;
        out.write(pointer(RESERVES.get(handle(reserve))?.allocate(bytes)?));
        Ok(())
    })
}

/// The bytes that are left of a spill reserve.
///
/// # Safety
///
/// 1. `out_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_spill_reserve_available(
    reserve: *mut SpillReserve,
    out_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_bytes, "out_bytes") }?;
        out.write(RESERVES.get(handle(reserve))?.available_bytes());
        Ok(())
    })
}

/// An answer that is under way. Its reserve ends first.
struct Answering {
    reserve: OpenReserve,
    _answer: ReclaimGuard<'static>,
}

thread_local! {
    /// The answers of this thread, which end with it.
    static ANSWERS: RefCell<Vec<Answering>> = const { RefCell::new(Vec::new()) };
}

/// Keeps an answer; returns the handle of its reserve.
fn keep(answer: ReclaimGuard<'static>) -> Result<Handle, Failure> {
    let reserve = OpenReserve::new(answer.reserve().lend())?;
    let handle = reserve.handle();
    let answering = Answering { reserve, _answer: answer };
    let kept = ANSWERS.try_with(|answers| answers.borrow_mut().push(answering));
    kept.map_err(|_| Failure::invalid("a thread that is about to end cannot answer".to_owned()))?;
    Ok(handle)
}
