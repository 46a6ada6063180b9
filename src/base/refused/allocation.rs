//! Memory that was not allocated, and bytes that were not reserved.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use super::refusal::{Reason, Refusal};

/// Declares an error around a boxed refusal: a pointer wide, so that results stay small.
macro_rules! refusal_error {
    ($(#[$doc:meta])* $name:ident, $verb:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name(Box<Refusal>);

        impl $name {
            pub(crate) fn new(refusal: Refusal) -> Self {
                Self(Box::new(refusal))
            }

            /// The refusal in numbers.
            #[must_use]
            pub fn refusal(&self) -> &Refusal {
                &self.0
            }

            /// What stood against the request.
            #[must_use]
            pub fn reason(&self) -> Reason {
                self.0.reason
            }

            /// Whether the request can succeed once memory was given back:
            /// [`Refusal::is_for_want_of_memory`].
            #[must_use]
            pub fn is_for_want_of_memory(&self) -> bool {
                self.0.is_for_want_of_memory()
            }

            /// The refusal in numbers, taken out of the error.
            #[must_use]
            pub fn into_refusal(self) -> Refusal {
                *self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, concat!("cannot ", $verb, " {}"), self.0)
            }
        }

        impl Error for $name {}

        impl From<$name> for Refusal {
            fn from(error: $name) -> Self {
                error.into_refusal()
            }
        }
    };
}

refusal_error! {
    /// Pages or a block that could not be allocated. Nothing has changed.
    AllocationError, "allocate"
}

impl From<ReservationError> for AllocationError {
    fn from(error: ReservationError) -> Self {
        Self(error.0)
    }
}

refusal_error! {
    /// Bytes that could not be reserved. Nothing has changed.
    ReservationError, "reserve"
}

/// A segment that cannot be made longer, shorter or two. It is as it was before.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SegmentError {
    /// It was to have no bytes.
    NoBytes {
        /// The size of the segment in bytes.
        size_bytes: usize,
    },
    /// It was to be cut where no page of it begins but the first.
    NotAtPage {
        /// Where it was to be cut, in bytes from its start.
        at_bytes: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
        /// The size of the segment in bytes.
        size_bytes: usize,
    },
    /// It is memory of the process heap, as all memory is in
    /// [`MemoryMode::Heap`](crate::config::MemoryMode::Heap). The process allocator changes no
    /// block where it is.
    ProcessHeap {
        /// The size of the segment in bytes.
        size_bytes: usize,
    },
    /// Not all pages right behind it are free. Pages that are kept at hand are not, either.
    NotFree {
        /// The bytes that it was to grow by, in whole pages.
        wanted_bytes: usize,
        /// The bytes right behind it that are free.
        free_bytes: usize,
    },
    /// Spare address space lies behind it, and the system did not take the pages that were to be
    /// exchanged for it.
    NotExchanged {
        /// The bytes that it was to grow by, in whole pages.
        wanted_bytes: usize,
    },
    /// The last handle on its owner is gone. The owner gets nothing more.
    OwnerEnded {
        /// The size of the segment in bytes.
        size_bytes: usize,
    },
    /// The budget or a limit does not allow it, or the manager has been shut down.
    Refused(AllocationError),
}

impl Display for SegmentError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBytes { size_bytes } => {
                write!(f, "cannot shrink a segment of {size_bytes} bytes to none: ")?;
                f.write_str("it has at least one byte")
            }
            Self::NotAtPage { at_bytes, page_bytes, size_bytes } => {
                write!(f, "cannot cut a segment of {size_bytes} bytes at byte {at_bytes}: ")?;
                write!(f, "a cut is at a multiple of {page_bytes}, with bytes on both sides")
            }
            Self::ProcessHeap { size_bytes } => {
                write!(f, "cannot resize a segment of {size_bytes} bytes in place: ")?;
                f.write_str("it is memory of the process heap")
            }
            Self::NotFree { wanted_bytes, free_bytes } => {
                write!(f, "cannot grow by {wanted_bytes} bytes in place: ")?;
                write!(f, "only {free_bytes} bytes behind the segment are free")
            }
            Self::NotExchanged { wanted_bytes } => {
                write!(
                    f,
                    "cannot grow by {wanted_bytes} bytes in place: the system did not take "
                )?;
                f.write_str("pages back for the spare ones behind the segment")
            }
            Self::OwnerEnded { size_bytes } => {
                write!(f, "cannot grow a segment of {size_bytes} bytes in place: ")?;
                f.write_str("the last handle on its owner is gone")
            }
            Self::Refused(error) => write!(f, "cannot grow in place: {error}"),
        }
    }
}

impl Error for SegmentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<AllocationError> for SegmentError {
    fn from(error: AllocationError) -> Self {
        Self::Refused(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::{Holder, ReclaimStatus};
    use super::*;

    fn holder(path: &str, used_bytes: usize, minimum_bytes: usize) -> Holder {
        let path = path.into();
        Holder {
            path,
            used_bytes,
            overdrawn_bytes: 0,
            minimum_bytes,
            limit_bytes: 1000,
            reclaimable_bytes: 7,
            reclaim: ReclaimStatus::Idle,
        }
    }

    /// By the budget, of an owner among four that hold something.
    fn refusal() -> Refusal {
        Refusal {
            owner_path: "sorter".into(),
            requested_bytes: 600,
            available_bytes: 50,
            owner_used_bytes: 100,
            owner_total_bytes: 100,
            owner_limit_bytes: 1000,
            owner_overdrawn_bytes: 0,
            capacity_bytes: 1000,
            overdrawn_bytes: 0,
            reason: Reason::Budget,
            parent: None,
            holders: vec![
                holder("join", 500, 0),
                holder("sorter", 300, 200),
                holder("scan", 100, 0),
            ],
            other_holders: 1,
            other_holders_bytes: 50,
        }
    }

    #[test]
    fn a_refusal_names_the_largest_holders_and_counts_the_rest() {
        let refusal = refusal();
        assert_eq!(
            AllocationError::new(refusal.clone()).to_string(),
            "cannot allocate 600 bytes for owner `sorter`: only 50 of 1000 bytes are free; held by \
             `join`: 500 bytes (minimum 0, limit 1000, reclaimable 7), \
             `sorter`: 300 bytes (minimum 200, limit 1000, reclaimable 7), \
             `scan`: 100 bytes (minimum 0, limit 1000, reclaimable 7), and 1 more"
        );
        let overdrawn = Refusal {
            available_bytes: 0,
            overdrawn_bytes: 70,
            holders: vec![Holder { overdrawn_bytes: 70, ..holder("join", 1000, 0) }],
            other_holders: 0,
            other_holders_bytes: 0,
            ..refusal.clone()
        };
        assert_eq!(
            ReservationError::new(overdrawn).to_string(),
            "cannot reserve 600 bytes for owner `sorter`: nothing of 1000 bytes is free, and 70 \
             bytes are overdrawn; held by \
             `join`: 1000 bytes (minimum 0, limit 1000, overdrawn 70, reclaimable 7)"
        );
        let limited = Refusal { reason: Reason::OwnerLimit, ..refusal };
        assert_eq!(
            ReservationError::new(limited).to_string(),
            "cannot reserve 600 bytes for owner `sorter`: it holds 100 bytes of its limit of 1000 \
             bytes"
        );
    }

    #[test]
    fn a_refusal_names_no_more_than_there_is() {
        let refusal = |used: [usize; 3]| {
            let holders = used.map(|used_bytes| holder("some", used_bytes, 0)).into();
            let refusal = Refusal { holders, available_bytes: 300, ..refusal() };
            let Refusal { available_bytes, holders, other_holders, other_holders_bytes, .. } =
                refusal.agreeing(Some(300));
            (available_bytes, holders.len(), other_holders, other_holders_bytes)
        };
        assert_eq!(refusal([400, 200, 100]), (300, 3, 1, 50));
        assert_eq!(refusal([400, 300, 200]), (100, 3, 1, 50), "others took it meanwhile");
        assert_eq!(refusal([400, 300, 300]), (0, 3, 1, 50));
        assert_eq!(refusal([400, 400, 201]), (200, 2, 2, 251), "some changed hands meanwhile");
    }

    #[test]
    fn only_what_somebody_could_give_back_is_a_want_of_memory() {
        let is_for_want_of_memory = |reason| {
            let refusal = Refusal {
                owner_path: "sorter".into(),
                requested_bytes: 600,
                available_bytes: 50,
                owner_used_bytes: 100,
                owner_total_bytes: 100,
                owner_limit_bytes: 1000,
                owner_overdrawn_bytes: 0,
                capacity_bytes: 1000,
                overdrawn_bytes: 0,
                reason,
                parent: None,
                holders: Vec::new(),
                other_holders: 0,
                other_holders_bytes: 0,
            };
            AllocationError::new(refusal).is_for_want_of_memory()
        };
        let scattered = Reason::Fragmented { largest_free_block_bytes: 1 };
        for reason in [Reason::Budget, Reason::OwnerLimit, Reason::TimedOut, scattered] {
            assert!(is_for_want_of_memory(reason), "{reason:?}");
        }
        for reason in [Reason::Capacity, Reason::NoBytes, Reason::ShutDown] {
            assert!(!is_for_want_of_memory(reason), "{reason:?}");
        }
    }
}
