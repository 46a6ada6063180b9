//! Reservations: bytes of the budget for memory that is held elsewhere.

use crate::ledger::handles::Kind;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::registered::OWNERS;
use super::tables::table::LoneTable;
use super::{Owner, Reservation};

static RESERVATIONS: LoneTable<crate::Reservation> = LoneTable::new(Kind::Reservation);

/// Reserves bytes of the budget for memory that is held elsewhere: accounting only. A reservation
/// keeps its owner. Two calls at a time with one reservation are refused with OFFHEAP_STATUS_BUSY.
///
/// It may wait for the reclaim timeout, as offheap_allocate_page.
///
/// # Safety
///
/// 1. `out_reservation` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_reserve_memory(
    owner: *mut Owner,
    bytes: usize,
    out_reservation: *mut *mut Reservation,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { reserve_one(owner, out_reservation, |owner| Ok(owner.reserve_memory(bytes)?)) }
}

/// Reserves bytes of what is free, as offheap_reserve_memory. Never waits for memory, and asks
/// nobody to give some back.
///
/// # Safety
///
/// 1. `out_reservation` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_try_reserve_memory(
    owner: *mut Owner,
    bytes: usize,
    out_reservation: *mut *mut Reservation,
) -> Status {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { reserve_one(owner, out_reservation, |owner| Ok(owner.try_reserve_memory(bytes)?)) }
}

/// Reserves more bytes. If it is refused, the reservation is as before. It may wait for the reclaim
/// timeout, as offheap_allocate_page.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_reservation_grow(reservation: *mut Reservation, bytes: usize) -> Status {
    call(|| Ok(RESERVATIONS.get(handle(reservation))?.grow(bytes)?))
}

/// Gives bytes back, or all there are if that is less; says how many.
///
/// # Safety
///
/// 1. `out_released_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_reservation_release(
    reservation: *mut Reservation,
    bytes: usize,
    out_released_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_released_bytes, "out_released_bytes") }?;
        out.write(RESERVATIONS.get(handle(reservation))?.shrink(bytes));
        Ok(())
    })
}

/// The bytes of a reservation.
///
/// # Safety
///
/// 1. `out_bytes` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_reservation_size(
    reservation: *mut Reservation,
    out_bytes: *mut usize,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_bytes, "out_bytes") }?;
        out.write(RESERVATIONS.get(handle(reservation))?.size());
        Ok(())
    })
}

/// Gives all bytes of a reservation back and frees it. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_reservation_free(reservation: *mut Reservation) -> Status {
    if reservation.is_null() {
        return Status::Ok;
    }
    call(|| RESERVATIONS.remove(handle(reservation)))
}

/// A call that makes one reservation.
///
/// # Safety
///
/// 1. `out_reservation` is NULL or may be written to.
pub(super) unsafe fn reserve_one(
    owner: *mut Owner,
    out_reservation: *mut *mut Reservation,
    reserve: impl FnOnce(&crate::Owner) -> Result<crate::Reservation, Failure>,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_reservation, "out_reservation") }?;
        let reservation = reserve(&*OWNERS.get(handle(owner))?)?;
        out.write(pointer(RESERVATIONS.insert(reservation)?));
        Ok(())
    })
}
