//! Reservations: bytes of the budget for memory that is held elsewhere.

use crate::ledger::handles::Kind;

use super::convert::failure::call;
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::registered::OWNERS;
use super::tables::table::LoneTable;
use super::{Owner, Reservation};

pub(super) static RESERVATIONS: LoneTable<crate::Reservation> = LoneTable::new(Kind::Reservation);

/// Reserves bytes of the budget for memory that is held elsewhere: accounting only. A reservation
/// keeps its owner. Two calls at a time with one reservation are refused with OFFHEAP_STATUS_BUSY.
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
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_reservation, "out_reservation") }?;
        let reservation = OWNERS.get(handle(owner))?.reserve_memory(bytes)?;
        out.write(pointer(RESERVATIONS.insert(reservation)?));
        Ok(())
    })
}

/// Reserves more bytes. If it is refused, the reservation is as before.
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
