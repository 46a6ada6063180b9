//! Memory that owners give back when others need it.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use crate::base::sync::{Lock, Rank};
use crate::ledger::handles::{Handle, Kind};
use crate::owners::reclaim::LentReserve;
use crate::reclaim::{ReclaimGuard, Reclaimer};

use super::callback::{Context, FreeFn};
use super::failure::{Failure, call};
use super::owner::{OWNERS, Registered};
use super::pointers::{Out, handle, pointer};
use super::status::Status;
use super::table::Table;
use super::{Owner, Segment, SpillReserve, segment_table};

/// Says how many bytes an owner could give back now, about. Who can give the most is asked first.
pub type ReclaimableFn = Option<unsafe extern "C" fn(context: *mut c_void) -> usize>;

/// Gives about `target_bytes` of an owner back, by releasing segments and reservations, or more, or
/// less. What was given back shows by itself. The reserve is memory to spill through; its handle
/// ends when the function returns.
pub type ReclaimFn = Option<
    unsafe extern "C" fn(context: *mut c_void, target_bytes: usize, reserve: *mut SpillReserve),
>;

static RESERVES: Table<Reserve, 1> = Table::new(Kind::SpillReserve);

/// The spill reserve of one reclaim, and the segments that were taken of it.
struct Reserve {
    memory: LentReserve,
    segments: Lock<Vec<Handle>>,
}

impl Reserve {
    fn allocate(&self, bytes: usize) -> Result<Handle, Failure> {
        let segment = self.memory.allocate(bytes).ok_or_else(|| Failure::no_reserve(bytes))??;
        let segment = segment_table::insert(segment)?;
        let mut segments = self.segments.lock();
        if segments.len() == segments.capacity() {
            segments.retain(|segment| segment_table::range(*segment).is_ok());
        }
        segments.push(segment);
        Ok(segment)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        for segment in self.segments.get_mut().drain(..) {
            // Those that were released before are not ours any more.
            drop(segment_table::remove(segment));
        }
    }
}

/// A spill reserve that has a handle. What was not given back of it by the end is taken back.
struct Opened(Handle);

impl Opened {
    fn new(memory: LentReserve) -> Result<Self, Failure> {
        let segments = Lock::new(Rank::SpillReserve, Vec::new());
        Ok(Self(RESERVES.insert(Reserve { memory, segments })?))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Nobody else ends the handle.
        let _ = RESERVES.remove(self.0);
    }
}

/// Functions to call for an owner.
struct Functions {
    context: Context,
    reclaimable: unsafe extern "C" fn(*mut c_void) -> usize,
    reclaim: unsafe extern "C" fn(*mut c_void, usize, *mut SpillReserve),
}

impl Reclaimer for Functions {
    fn reclaimable(&self) -> usize {
        let Some(call) = self.context.enter() else { return 0 };
        // SAFETY: by the contract of `offheap_owner_set_reclaimer`, 1; the context is not over
        // while the call is under way.
        unsafe { (self.reclaimable)(call.context()) }
    }

    fn reclaim(&self, target_bytes: usize, reserve: &crate::reclaim::SpillReserve<'_>) {
        let Some(call) = self.context.enter() else { return };
        let Ok(reserve) = Opened::new(reserve.lend()) else { return };
        // SAFETY: as above.
        unsafe { (self.reclaim)(call.context(), target_bytes, pointer(reserve.0)) };
    }
}

/// Whom to call for an owner. This keeps it, since the owner does not.
pub(super) struct Reclaims(Lock<Option<Arc<Functions>>>);

impl Default for Reclaims {
    fn default() -> Self {
        Self(Lock::new(Rank::Reclaimer, None))
    }
}

impl Registered {
    fn set_reclaimer(&self, functions: Functions) {
        let functions = Arc::new(functions);
        let before = {
            let mut current = self.reclaims.0.lock();
            self.owner.set_reclaimer(&functions);
            current.replace(functions)
        };
        if let Some(before) = before {
            before.context.end();
        }
    }

    pub(super) fn take_reclaimer_off(&self) {
        let before = {
            let mut current = self.reclaims.0.lock();
            if current.is_some() {
                self.owner.clear_reclaimer();
            }
            current.take()
        };
        if let Some(before) = before {
            before.context.end();
        }
    }
}

/// Has `reclaim` called when others need memory that the owner has above its minimum, before they
/// are refused it, and `reclaimable` to know what to expect. In place of a reclaimer that was set
/// before, which is taken off as by offheap_owner_clear_reclaimer, and of polling.
///
/// The functions are called on threads of the library's, which a runtime may have to be told about
/// (a JVM attaches them); never two of them at once for the same owner, and never while the library
/// has anything locked, so that they may call everything in this header. Within them nobody is
/// asked for memory and nobody waits for it: a request that does not fit is refused, and the
/// reserve is there for that. They do not end by an exception or a longjmp. One that does not
/// return within the reclaim timeout is no longer waited for, and not called again before it has
/// returned.
///
/// The context is the caller's, until `free_context`, which may be NULL, is called with it: once,
/// when the reclaimer was taken off and no call is under way, on whatever thread that shows. If
/// this call fails, nothing gets the context.
///
/// # Safety
///
/// 1. The functions may be called with `context` on any thread, also after this returns, until the
///    reclaimer is off and no call is under way; `free_context` after that.
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
        owner.set_reclaimer(Functions { context, reclaimable, reclaim });
        Ok(())
    })
}

/// Takes the reclaimer of an owner off, if it has one: it is not called any more. Waits for a call
/// that is under way, so once this has returned none is, none begins, and the context was freed.
///
/// Within a function that the library calls, whichever that is, this does not wait, since others
/// could wait for that one: then no call begins any more, and the context is freed when the one
/// that is under way ends. The caller has nothing locked that such a call takes.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_clear_reclaimer(owner: *mut Owner) -> Status {
    call(|| {
        OWNERS.get(handle(owner))?.take_reclaimer_off();
        Ok(())
    })
}

/// The bytes that others ask an owner to give back; 0 if nobody does. For an owner that was
/// registered with OFFHEAP_OWNER_POLLED_RECLAIM: it looks here at its safe points, and answers, or
/// just releases memory, which is noticed, too. Those who wait with a timeout wait for it; others
/// are refused at once.
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

/// Says how many bytes an owner could give back if it were asked: all it uses, if it never says.
/// For an owner with OFFHEAP_OWNER_POLLED_RECLAIM; with others it changes nothing.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_set_reclaimable(owner: *mut Owner, bytes: usize) -> Status {
    call(|| {
        OWNERS.get(handle(owner))?.set_reclaimable(bytes);
        Ok(())
    })
}

/// Answers what others ask of an owner: says how many bytes that is, and hands out memory to spill
/// through. Until offheap_owner_answer_end the owner is at work on it and is not asked again, and
/// on this thread it and the owners below it are refused what does not fit instead of waiting for
/// it. The answer ends on the same thread, and with it at the latest.
///
/// If nobody asks, or all of the spill reserve is in use just now, there is nothing to answer: then
/// both results are 0, and nothing is to be ended.
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
            let own = answers.iter().position(|answer| answer.reserve.0 == reserve)?;
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
/// is, on any thread; what was not by the end of the reclaim is taken back then, and its handle is
/// stale. Refused beyond the size of the reserve, and if the manager has none.
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
        out.write(RESERVES.get(handle(reserve))?.memory.available_bytes());
        Ok(())
    })
}

/// An answer that is under way. Its reserve ends first.
struct Answering {
    reserve: Opened,
    _answer: ReclaimGuard<'static>,
}

thread_local! {
    /// The answers of this thread, which end with it.
    static ANSWERS: RefCell<Vec<Answering>> = const { RefCell::new(Vec::new()) };
}

/// Keeps an answer; returns the handle of its reserve.
fn keep(answer: ReclaimGuard<'static>) -> Result<Handle, Failure> {
    let reserve = Opened::new(answer.reserve().lend())?;
    let handle = reserve.0;
    let answering = Answering { reserve, _answer: answer };
    let kept = ANSWERS.try_with(|answers| answers.borrow_mut().push(answering));
    kept.map_err(|_| Failure::invalid("a thread that is about to end cannot answer".to_owned()))?;
    Ok(handle)
}
