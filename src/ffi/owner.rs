//! Owners: how they come, go, and are described in numbers.

use std::ffi::c_char;

use crate::config::OwnerBuilder;
use crate::ledger::handles::Handle;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, OutRecord, handle, pointer, record, text};
use super::convert::records::{OwnerOptions, OwnerStats};
use super::convert::status::Status;
use super::manager::MANAGERS;
use super::tables::registered::{OWNERS, Registered};
use super::{Manager, Owner};

/// With this flag the priority counts; otherwise it is that of the owner above, or 0.
pub const OFFHEAP_OWNER_HAS_PRIORITY: u32 = 1;

/// With this flag the owner is asked to give memory back by a number, which it reads with
/// offheap_owner_reclaim_requested.
pub const OFFHEAP_OWNER_POLLED_RECLAIM: u32 = 2;

/// With this flag the owner is asked also for requests of its own.
pub const OFFHEAP_OWNER_SELF_RECLAIM: u32 = 4;

/// Registers an owner; returns its handle.
fn register(owner: OwnerBuilder) -> Result<Handle, Failure> {
    Registered::insert(owner.register()?)
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

/// Registers an owner. It can always have `minimum` bytes, which are promised to no other owner. It
/// never has more than `limit` bytes; OFFHEAP_NO_LIMIT is for all there is. The name is copied. It
/// is for messages and need not be unique. In these it is on one line: control characters, slashes
/// and the like are escaped, and it is cut to 255 bytes.
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

/// Registers an owner below another one. What it holds, or is promised, counts there as well, and
/// is never more than the limit there. It keeps the owner above it.
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
/// minimum is kept as long. NULL is fine.
///
/// Its reclaimer is taken off first, as by offheap_owner_clear_reclaimer. So it may wait for a call
/// that is under way, for as long as that takes.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_owner_free(owner: *mut Owner) -> Status {
    if owner.is_null() {
        return Status::Ok;
    }
    call(|| {
        OWNERS.get(handle(owner))?.end_reclaimer();
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
