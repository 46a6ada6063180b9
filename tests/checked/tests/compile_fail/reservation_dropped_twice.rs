//! A reservation gives its bytes back once.

use offheap::Reservation;

fn misuse(reservation: Reservation) {
    drop(reservation);
    drop(reservation);
}

fn main() {}
