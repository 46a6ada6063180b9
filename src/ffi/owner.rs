//! Owners, and what they allocate.

use std::ffi::c_char;
use std::ops::Deref;

use crate::MemorySegment;
use crate::config::OwnerBuilder;
use crate::ledger::handles::{Handle, Kind};
use crate::owners::segment::gathered;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, OutArray, OutRecord, handle, pointer, record, text};
use super::convert::records::{OwnerOptions, OwnerStats};
use super::convert::status::Status;
use super::manager::MANAGERS;
use super::reclaim::Reclaims;
use super::tables::segment_table;
use super::tables::table::Table;
use super::{Manager, Owner, Segment};

/// With these options the priority counts; otherwise it is that of the owner above, or 0.
pub const OFFHEAP_OWNER_HAS_PRIORITY: u32 = 1;

/// With these options the owner is asked to give memory back by a number that it reads with
/// offheap_owner_reclaim_requested.
pub const OFFHEAP_OWNER_POLLED_RECLAIM: u32 = 2;

/// With these options the owner is asked also for requests of its own.
pub const OFFHEAP_OWNER_SELF_RECLAIM: u32 = 4;

/// An owner's handle is used by many threads, for every page: so they are spread over gates.
const GATES: usize = 8;

pub(super) static OWNERS: Table<Registered, GATES> = Table::new(Kind::Owner);

/// An owner, and whom to call for it.
pub(super) struct Registered {
    pub(super) owner: crate::Owner,
    pub(super) reclaims: Reclaims,
}

impl Deref for Registered {
    type Target = crate::Owner;

    #[inline]
    fn deref(&self) -> &crate::Owner {
        &self.owner
    }
}

/// Registers an owner; returns its handle.
fn register(owner: OwnerBuilder) -> Result<Handle, Failure> {
    OWNERS.insert(Registered { owner: owner.register()?, reclaims: Reclaims::default() })
}

/// The registration with these options.
fn with_options(owner: OwnerBuilder, options: &OwnerOptions) -> Result<OwnerBuilder, Failure> {
    const KNOWN: u32 =
        OFFHEAP_OWNER_HAS_PRIORITY | OFFHEAP_OWNER_POLLED_RECLAIM | OFFHEAP_OWNER_SELF_RECLAIM;
    let OwnerOptions { size: _, minimum_bytes, limit_bytes, priority, flags } = *options;
    if flags & !KNOWN != 0 {
        let rule = format!("`flags` is {flags:#x}, and may have the bits of {KNOWN:#x} only");
        return Err(Failure::invalid(rule));
    }
    let has = |flag: u32| flags & flag != 0;
    let owner = owner.minimum(minimum_bytes).limit(limit_bytes);
    let owner = if has(OFFHEAP_OWNER_HAS_PRIORITY) { owner.priority(priority) } else { owner };
    let owner = if has(OFFHEAP_OWNER_POLLED_RECLAIM) { owner.polled_reclaim() } else { owner };
    Ok(if has(OFFHEAP_OWNER_SELF_RECLAIM) { owner.self_reclaim() } else { owner })
}

/// Registers an owner. It can always have `minimum` bytes, which are promised to nobody else, and
/// never more than `limit` bytes; OFFHEAP_NO_LIMIT for all there is. The name is copied; it is for
/// messages and need not be unique.
///
/// # Safety
///
/// 1. `name` is NULL or a C string.
/// 2. `out_owner` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_register(
    manager: *mut Manager,
    name: *const c_char,
    minimum: usize,
    limit: usize,
    out_owner: *mut *mut Owner,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 2.
        let out = unsafe { Out::new(out_owner, "out_owner") }?;
        // SAFETY: 1: by the caller's contract, 1.
        let name = unsafe { text(name, "name") }?;
        let manager = MANAGERS.get(handle(manager))?;
        let owner = manager.owner(name).minimum(minimum).limit(limit);
        out.write(pointer(register(owner)?));
        Ok(())
    })
}

/// Registers an owner below another one: what it holds, or is promised, counts there as well, and
/// is never more than that one's limit. It keeps the owner above it.
///
/// # Safety
///
/// 1. `name` is NULL or a C string.
/// 2. `out_owner` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_register_child(
    owner: *mut Owner,
    name: *const c_char,
    minimum: usize,
    limit: usize,
    out_owner: *mut *mut Owner,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 2.
        let out = unsafe { Out::new(out_owner, "out_owner") }?;
        // SAFETY: 1: by the caller's contract, 1.
        let name = unsafe { text(name, "name") }?;
        let child = OWNERS.get(handle(owner))?.child(name);
        out.write(pointer(register(child.minimum(minimum).limit(limit))?));
        Ok(())
    })
}

/// Registers an owner with options.
///
/// # Safety
///
/// 1. `name` is NULL or a C string.
/// 2. `options` is NULL or points to a record whose size it says.
/// 3. `out_owner` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_register_with(
    manager: *mut Manager,
    name: *const c_char,
    options: *const OwnerOptions,
    out_owner: *mut *mut Owner,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 3.
        let out = unsafe { Out::new(out_owner, "out_owner") }?;
        // SAFETY: 1: by the caller's contract, 1.
        let name = unsafe { text(name, "name") }?;
        // SAFETY: 1 and 2: by the caller's contract, 2.
        let options = unsafe { record(options, "options") }?;
        let owner = with_options(MANAGERS.get(handle(manager))?.owner(name), &options)?;
        out.write(pointer(register(owner)?));
        Ok(())
    })
}

/// Registers an owner with options below another one.
///
/// # Safety
///
/// 1. `name` is NULL or a C string.
/// 2. `options` is NULL or points to a record whose size it says.
/// 3. `out_owner` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_register_child_with(
    owner: *mut Owner,
    name: *const c_char,
    options: *const OwnerOptions,
    out_owner: *mut *mut Owner,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 3.
        let out = unsafe { Out::new(out_owner, "out_owner") }?;
        // SAFETY: 1: by the caller's contract, 1.
        let name = unsafe { text(name, "name") }?;
        // SAFETY: 1 and 2: by the caller's contract, 2.
        let options = unsafe { record(options, "options") }?;
        let child = with_options(OWNERS.get(handle(owner))?.child(name), &options)?;
        out.write(pointer(register(child)?));
        Ok(())
    })
}

/// Frees the handle of an owner. What it holds stays valid, and counts, until it is released; its
/// minimum is kept as long. Its reclaimer is taken off first, as by offheap_owner_clear_reclaimer,
/// which may have to wait for a call that is under way. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_free(owner: *mut Owner) -> Status {
    if owner.is_null() {
        return Status::Ok;
    }
    call(|| {
        OWNERS.get(handle(owner))?.take_reclaimer_off();
        OWNERS.remove(handle(owner))
    })
}

/// The owner in numbers.
///
/// # Safety
///
/// 1. `out_stats` is NULL or points to a record whose size it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_owner_get_stats(
    owner: *mut Owner,
    out_stats: *mut OwnerStats,
) -> Status {
    call(|| {
        // SAFETY: 1 and 2: by the caller's contract, 1.
        let out = unsafe { OutRecord::new(out_stats, "out_stats") }?;
        let owner = OWNERS.get(handle(owner))?;
        out.write(OwnerStats {
            size: 0,
            used_bytes: owner.used_bytes(),
            available_bytes: owner.available_bytes(),
            minimum_bytes: owner.minimum(),
            limit_bytes: owner.limit(),
        });
        Ok(())
    })
}

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
