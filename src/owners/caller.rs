//! Where a call was made, for ways to memory that cannot tell it when they have it.

use crate::manager::{MemorySegment, Reservation};
#[cfg(feature = "track-allocations")]
use crate::owners::node::sites::{self, Place};

/// Where a call was made; nothing, unless allocations are tracked.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    #[cfg(feature = "track-allocations")]
    place: Place,
}

#[cfg_attr(
    not(feature = "track-allocations"),
    expect(clippy::unused_self, reason = "there is nothing to remember then")
)]
impl Caller {
    /// The call of whoever calls this.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) fn here() -> Self {
        Self {
            #[cfg(feature = "track-allocations")]
            place: std::panic::Location::caller(),
        }
    }

    /// The call is what allocated `segments`.
    pub(crate) fn allocated(self, segments: &[MemorySegment]) {
        #[cfg(feature = "track-allocations")]
        segments.iter().for_each(|segment| sites::move_segment(segment, self.place));
        let _ = segments;
    }

    /// The call is what made a reservation.
    pub(crate) fn reserved(self, reservation: &Reservation) {
        #[cfg(feature = "track-allocations")]
        reservation.track(self.place);
        let _ = reservation;
    }
}
