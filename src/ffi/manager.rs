//! Managers.

use std::ffi::c_char;
use std::fmt::Write;

use crate::MemoryManager;
use crate::base::error::Holder;
use crate::ledger::handles::Kind;

use super::config::CONFIGS;
use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, OutRecord, handle, pointer, write_text};
use super::convert::records::ManagerStats;
use super::convert::status::Status;
use super::tables::table::Table;
use super::{Config, Manager, OFFHEAP_UNKNOWN};

pub(super) static MANAGERS: Table<MemoryManager, 1> = Table::new(Kind::Manager);

/// Builds a manager, which maps its region unless it is in heap mode. The configuration stays the
/// caller's: for more of the same, or to be freed.
///
/// With OFFHEAP_POPULATE_EAGER it returns when all of the capacity is resident.
///
/// # Safety
///
/// 1. `out_manager` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_new(
    config: *mut Config,
    out_manager: *mut *mut Manager,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_manager, "out_manager") }?;
        let manager = CONFIGS.get(handle(config))?.build()?;
        out.write(pointer(MANAGERS.insert(manager)?));
        Ok(())
    })
}

/// Frees the handle of a manager. The manager itself, with its region, lives until its last owner,
/// worker, reservation and segment are gone too. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_manager_free(manager: *mut Manager) -> Status {
    if manager.is_null() {
        return Status::Ok;
    }
    call(|| MANAGERS.remove(handle(manager)))
}

/// The manager in numbers. It looks at every chunk of 64 pages, and asks the kernel what is
/// resident: it is for reports, not for decisions.
///
/// # Safety
///
/// 1. `out_stats` is NULL or points to a record whose size it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_get_stats(
    manager: *mut Manager,
    out_stats: *mut ManagerStats,
) -> Status {
    call(|| {
        // SAFETY: 1 and 2: by the caller's contract, 1.
        let out = unsafe { OutRecord::new(out_stats, "out_stats") }?;
        out.write(record(&MANAGERS.get(handle(manager))?.stats()));
        Ok(())
    })
}

fn record(stats: &crate::stats::ManagerStats) -> ManagerStats {
    ManagerStats {
        size: 0,
        capacity_bytes: stats.capacity_bytes,
        page_bytes: stats.page_bytes,
        total_pages: stats.total_pages,
        reserved_bytes: stats.reserved_bytes,
        cached_bytes: stats.cached_bytes,
        available_bytes: stats.available_bytes,
        peak_reserved_bytes: stats.peak_reserved_bytes,
        resident_bytes: stats.resident_bytes.unwrap_or(OFFHEAP_UNKNOWN),
        largest_free_block_bytes: stats.largest_free_block_bytes,
        mapped_bytes: stats.mapped_bytes,
        touched_bytes: stats.touched_bytes,
        idle_bytes: stats.idle_bytes,
        owners: stats.owners.len(),
        exchanges: stats.exchanges,
        given_back_bytes: stats.given_back_bytes,
        used_bytes: stats.used_bytes,
        waiting_requests: stats.waiting_requests,
        reclaims: stats.reclaims,
        reclaimed_bytes: stats.reclaimed_bytes,
    }
}

/// The owners that hold memory, as a text with a line for each, the largest holder first. A line is
/// "`query/sort`: 65536 bytes (minimum 0, limit 1048576, reclaimable 0)". The text is empty if none
/// does.
///
/// Writes as much as fits into `capacity` bytes, with a terminator, and says how long the whole
/// text is without it. With a capacity of 0, the buffer may be NULL.
///
/// # Safety
///
/// 1. `capacity` bytes may be written from `buffer` on, or it is NULL.
/// 2. `out_length` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_holders(
    manager: *mut Manager,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 2.
        let out = unsafe { Out::new(out_length, "out_length") }?;
        let leaks = MANAGERS.get(handle(manager))?.leaks();
        let lines = lines(&leaks.map(|leaks| leaks.holders).unwrap_or_default());
        // SAFETY: 1: by the caller's contract, 1.
        unsafe { write_text(buffer, capacity, &lines) }?;
        out.write(lines.len());
        Ok(())
    })
}

fn lines(holders: &[Holder]) -> String {
    holders.iter().fold(String::new(), |mut lines, holder| {
        let Holder { path, used_bytes, minimum_bytes, limit_bytes, reclaimable_bytes, .. } = holder;
        // Writing to a string succeeds.
        let _ = write!(lines, "`{path}`: {used_bytes} bytes (minimum {minimum_bytes}, ");
        let _ = writeln!(lines, "limit {limit_bytes}, reclaimable {reclaimable_bytes})");
        lines
    })
}

/// Checks that no owner holds memory: no page, no block and no reservation. OFFHEAP_STATUS_LEAK if
/// one does; the message says which.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_manager_verify_empty(manager: *mut Manager) -> Status {
    call(|| Ok(MANAGERS.get(handle(manager))?.verify_empty()?))
}

/// Refuses every allocation, reservation and registration from now on, and those that wait. What is
/// out stays valid and goes back as usual. OFFHEAP_STATUS_LEAK if an owner still holds memory; the
/// manager is shut down all the same.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_manager_shutdown(manager: *mut Manager) -> Status {
    call(|| Ok(MANAGERS.get(handle(manager))?.shutdown()?))
}

/// Gives free resident memory back to the system until at most `idle_bytes` of what is left may be
/// resident; says how many bytes that were.
///
/// # Safety
///
/// 1. `out_given_back_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_trim(
    manager: *mut Manager,
    idle_bytes: usize,
    out_given_back_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_given_back_bytes, "out_given_back_bytes") }?;
        out.write(MANAGERS.get(handle(manager))?.trim_to(idle_bytes));
        Ok(())
    })
}

/// Checks the manager against itself, for tests and soaks. It wants a quiet moment: while memory
/// comes and goes, parts of a change can be under way. OFFHEAP_STATUS_INCONSISTENT if something
/// does not agree; the message says what.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_manager_check(manager: *mut Manager) -> Status {
    call(|| {
        let manager = MANAGERS.get(handle(manager))?;
        manager.check_consistency().map_err(Failure::inconsistent)
    })
}
