//! The calls of the C ABI, with numbers for handles. Each checks that a call that fails leaves the
//! places for its results as they were.

use std::ffi::{CStr, c_void};
use std::ptr;

use offheap::ffi::{self, Status};

use crate::marking::Marking;

/// The size of a page.
pub(super) const PAGE: usize = 4096;

/// Whose handle it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Config,
    Manager,
    Owner,
    Segment,
    Reservation,
    Worker,
    SpillReserve,
    Subscription,
}

/// The pages of a configuration that was not changed.
pub(super) const PAGES_FIRST: usize = 16;

/// What stands in the place for a result before a call.
const BEFORE: usize = 0x5a5a_5a5a;

/// A handle as C has it.
pub(super) fn handle<T>(bits: usize) -> *mut T {
    ptr::without_provenance_mut(bits)
}

/// Makes a call with a place for a handle.
pub(super) fn handle_from<T>(call: impl FnOnce(*mut *mut T) -> Status) -> Result<usize, Status> {
    let mut out = handle::<T>(BEFORE);
    let status = call(&raw mut out);
    answer(status, out.addr())
}

/// Makes a call with a place for a number.
pub(super) fn number_from(call: impl FnOnce(*mut usize) -> Status) -> Result<usize, Status> {
    let mut out = BEFORE;
    let status = call(&raw mut out);
    answer(status, out)
}

fn answer(status: Status, out: usize) -> Result<usize, Status> {
    assert_eq!(out != BEFORE, status == Status::Ok, "{status:?}");
    if status == Status::Ok { Ok(out) } else { Err(status) }
}

pub(super) fn last_message() -> String {
    // SAFETY: a C string that is valid until the next failure on this thread.
    let message = unsafe { CStr::from_ptr(ffi::offheap_last_error_message()) };
    message.to_string_lossy().into_owned()
}

pub(super) fn config_new() -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    let config = handle_from(|out| unsafe { ffi::offheap_config_new(out) })?;
    assert_eq!(ffi::offheap_config_set_page_size(handle(config), PAGE), Status::Ok);
    assert_eq!(set_capacity(config, PAGES_FIRST * PAGE), Status::Ok);
    assert_eq!(set_address_space_factor(config, 1), Status::Ok);
    // Small regions, made and dropped by the thousand.
    let never = ffi::HugePages::Never as u32;
    assert_eq!(ffi::offheap_config_set_huge_pages(handle(config), never), Status::Ok);
    Ok(config)
}

pub(super) fn set_capacity(config: usize, bytes: usize) -> Status {
    ffi::offheap_config_set_capacity(handle(config), bytes)
}

pub(super) fn set_mode(config: usize, mode: u32) -> Status {
    ffi::offheap_config_set_mode(handle(config), mode)
}

pub(super) fn set_strategy(config: usize, strategy: u32) -> Status {
    ffi::offheap_config_set_strategy(handle(config), strategy)
}

pub(super) fn set_spill_reserve(config: usize, bytes: usize) -> Status {
    ffi::offheap_config_set_spill_reserve(handle(config), bytes)
}

pub(super) fn set_policy(config: usize, policy: u32) -> Status {
    ffi::offheap_config_set_policy(handle(config), policy)
}

/// The timeouts, of which none is waited for here.
pub(super) fn set_timeouts(config: usize, milliseconds: u64) -> Status {
    match ffi::offheap_config_set_reclaim_timeout(handle(config), milliseconds) {
        Status::Ok => ffi::offheap_config_set_deadlock_timeout(handle(config), milliseconds),
        refused => refused,
    }
}

pub(super) fn set_pressure_thresholds(config: usize, shares: [f64; 3]) -> Status {
    let [elevated, high, critical] = shares;
    ffi::offheap_config_set_pressure_thresholds(handle(config), elevated, high, critical)
}

pub(super) fn set_zero_policy(config: usize, policy: u32) -> Status {
    ffi::offheap_config_set_zero_policy(handle(config), policy)
}

pub(super) fn set_depot_pages(config: usize, pages: usize) -> Status {
    ffi::offheap_config_set_depot_pages(handle(config), pages)
}

pub(super) fn set_address_space_factor(config: usize, factor: u32) -> Status {
    ffi::offheap_config_set_address_space_factor(handle(config), factor)
}

pub(super) fn manager_new(config: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_manager_new(handle(config), out) })
}

pub(super) fn register(manager: usize, minimum: usize, limit: usize) -> Result<usize, Status> {
    let name = c"owner".as_ptr();
    handle_from(|out| {
        // SAFETY: 1: a C string. 2: the place is good.
        unsafe { ffi::offheap_owner_register(handle(manager), name, minimum, limit, out) }
    })
}

/// How an owner is registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) minimum: usize,
    pub(super) limit: usize,
    pub(super) flags: u32,
}

impl Options {
    fn record(self) -> ffi::OwnerOptions {
        ffi::OwnerOptions {
            size: size_of::<ffi::OwnerOptions>(),
            minimum_bytes: self.minimum,
            limit_bytes: self.limit,
            priority: 1,
            flags: self.flags,
        }
    }
}

pub(super) fn register_with(manager: usize, options: Options) -> Result<usize, Status> {
    let (name, record) = (c"owner".as_ptr(), options.record());
    handle_from(|out| {
        // SAFETY: 1: a C string. 2: a record that says its size. 3: the place is good.
        unsafe { ffi::offheap_owner_register_with(handle(manager), name, &raw const record, out) }
    })
}

pub(super) fn child(owner: usize, options: Options) -> Result<usize, Status> {
    let (name, record) = (c"child".as_ptr(), options.record());
    let Options { minimum, limit, flags } = options;
    handle_from(|out| match flags {
        // SAFETY: 1: a C string. 2: the place is good.
        0 => unsafe { ffi::offheap_owner_register_child(handle(owner), name, minimum, limit, out) },
        // SAFETY: 1: a C string. 2: a record that says its size. 3: the place is good.
        _ => unsafe {
            ffi::offheap_owner_register_child_with(handle(owner), name, &raw const record, out)
        },
    })
}

pub(super) fn page(owner: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_allocate_page(handle(owner), out) })
}

pub(super) fn try_page(owner: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_try_allocate_page(handle(owner), out) })
}

pub(super) fn block(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_allocate(handle(owner), bytes, out) })
}

pub(super) fn try_block(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_try_allocate(handle(owner), bytes, out) })
}

pub(super) fn acquire_block(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_acquire(handle(owner), bytes, 0, out) })
}

pub(super) fn up_to(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_allocate_up_to(handle(owner), bytes, out) })
}

/// How memory is asked for. Here none of these waits: no owner can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    Allocate,
    Try,
    /// In line, for no time.
    Acquire,
}

/// Asks for pages.
pub(super) fn pages(owner: usize, count: usize, manner: Manner) -> Result<Vec<usize>, Status> {
    let mut out = vec![handle(BEFORE); count];
    let (owner, places) = (handle(owner), out.as_mut_ptr());
    let status = match manner {
        // SAFETY: 1: there are as many places.
        Manner::Allocate => unsafe { ffi::offheap_allocate_pages(owner, count, places) },
        // SAFETY: 1: as above.
        Manner::Try => unsafe { ffi::offheap_try_allocate_pages(owner, count, places) },
        // SAFETY: 1: as above.
        Manner::Acquire => unsafe { ffi::offheap_acquire_pages(owner, count, 0, places) },
    };
    let before = out.iter().filter(|page| page.addr() == BEFORE).count();
    assert_eq!(before, if status == Status::Ok { 0 } else { count });
    if status == Status::Ok { Ok(bits(&out)) } else { Err(status) }
}

pub(super) fn scattered(owner: usize, bytes: usize, room: usize) -> Result<Vec<usize>, Status> {
    let mut out = vec![handle(BEFORE); room];
    let places = out.as_mut_ptr();
    let count = number_from(|out_count| {
        // SAFETY: 1: there are as many places. 2: the place is good.
        unsafe { ffi::offheap_allocate_scattered(handle(owner), bytes, places, room, out_count) }
    });
    let before = out.iter().filter(|block| block.addr() == BEFORE).count();
    assert_eq!(room - before, count.unwrap_or(0));
    out.truncate(count?);
    Ok(bits(&out))
}

fn bits(handles: &[*mut ffi::Segment]) -> Vec<usize> {
    handles.iter().map(|handle| handle.addr()).collect()
}

pub(super) fn reserve(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_reserve_memory(handle(owner), bytes, out) })
}

pub(super) fn try_reserve(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_try_reserve_memory(handle(owner), bytes, out) })
}

pub(super) fn acquire_memory(owner: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_acquire_memory(handle(owner), bytes, 0, out) })
}

pub(super) fn grow(reservation: usize, bytes: usize) -> Status {
    ffi::offheap_reservation_grow(handle(reservation), bytes)
}

pub(super) fn shrink(reservation: usize, bytes: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    number_from(|out| unsafe { ffi::offheap_reservation_release(handle(reservation), bytes, out) })
}

pub(super) fn reserved(reservation: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    number_from(|out| unsafe { ffi::offheap_reservation_size(handle(reservation), out) })
}

pub(super) fn worker_new(owner: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_worker_new(handle(owner), out) })
}

pub(super) fn worker_page(worker: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_worker_allocate_page(handle(worker), out) })
}

pub(super) fn worker_try_page(worker: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    handle_from(|out| unsafe { ffi::offheap_worker_try_allocate_page(handle(worker), out) })
}

pub(super) fn worker_release(worker: usize, segment: usize) -> Status {
    ffi::offheap_worker_release(handle(worker), handle(segment))
}

pub(super) fn size(segment: usize) -> Result<usize, Status> {
    // SAFETY: 1: the place is good.
    number_from(|out| unsafe { ffi::offheap_segment_size(handle(segment), out) })
}

pub(super) fn address(segment: usize) -> Result<*mut c_void, Status> {
    let mut out = handle(BEFORE);
    // SAFETY: 1: the place is good.
    let status = unsafe { ffi::offheap_segment_address(handle(segment), &raw mut out) };
    answer(status, out.addr()).map(|_| out)
}

/// The address and the size in one call, of which none is written if it fails.
pub(super) fn range(segment: usize) -> Result<(usize, usize), Status> {
    let (mut address, mut bytes) = (handle(BEFORE), BEFORE);
    // SAFETY: 1 and 2: the places are good.
    let status =
        unsafe { ffi::offheap_segment_range(handle(segment), &raw mut address, &raw mut bytes) };
    let address = answer(status, address.addr());
    Ok((address?, answer(status, bytes)?))
}

/// The bytes of a held segment.
fn bytes_of<'a>(segment: usize) -> &'a mut [u8] {
    let (address, size) = (address(segment).unwrap_or(handle(1)), size(segment).unwrap_or(0));
    // SAFETY: the segment is held, so the memory is there; it is ours, on this one thread, and the
    // slice is gone when the caller returns. If it is not held, the slice is empty.
    unsafe { std::slice::from_raw_parts_mut(address.cast(), size) }
}

pub(super) fn fill(segment: usize, pattern: u8) {
    bytes_of(segment).fill(pattern);
}

pub(super) fn is_filled(segment: usize, pattern: u8) -> bool {
    Marking::whole(PAGE).is_marked(bytes_of(segment), pattern)
}

pub(super) fn release(segment: usize) -> Status {
    ffi::offheap_release(handle(segment))
}

pub(super) fn release_many(segments: &[usize]) -> Status {
    let handles: Vec<_> = segments.iter().map(|segment| handle(*segment)).collect();
    // SAFETY: 1: there are as many handles.
    unsafe { ffi::offheap_release_many(handles.as_ptr(), handles.len()) }
}

pub(super) fn free(bits: usize, kind: Kind) -> Status {
    match kind {
        Kind::Config => ffi::offheap_config_free(handle(bits)),
        Kind::Manager => ffi::offheap_manager_free(handle(bits)),
        Kind::Owner => ffi::offheap_owner_free(handle(bits)),
        Kind::Segment => ffi::offheap_release(handle(bits)),
        Kind::Reservation => ffi::offheap_reservation_free(handle(bits)),
        Kind::Worker => ffi::offheap_worker_free(handle(bits)),
        Kind::SpillReserve => ffi::offheap_owner_answer_end(handle(bits)),
        Kind::Subscription => ffi::offheap_subscription_free(handle(bits)),
    }
}

pub(super) fn verify_empty(manager: usize) -> Status {
    ffi::offheap_manager_verify_empty(handle(manager))
}

pub(super) fn shutdown(manager: usize) -> Status {
    ffi::offheap_manager_shutdown(handle(manager))
}

pub(super) fn check(manager: usize) -> Status {
    ffi::offheap_manager_check(handle(manager))
}

/// The bytes that are neither held nor promised.
pub(super) fn available(manager: usize) -> Result<usize, Status> {
    let size = size_of::<ffi::ManagerStats>();
    let mut stats = ffi::ManagerStats { size, available_bytes: BEFORE, ..Default::default() };
    // SAFETY: 1: a record that says its size.
    let status = unsafe { ffi::offheap_manager_get_stats(handle(manager), &raw mut stats) };
    answer(status, stats.available_bytes)
}
