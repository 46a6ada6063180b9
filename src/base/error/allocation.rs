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

#[cfg(test)]
mod tests {
    use super::super::refusal::{Holder, ReclaimStatus};
    use super::*;

    fn holder(path: &str, used_bytes: usize, minimum_bytes: usize) -> Holder {
        let path = path.into();
        Holder {
            path,
            used_bytes,
            minimum_bytes,
            limit_bytes: 1000,
            reclaimable_bytes: 7,
            reclaim: ReclaimStatus::Idle,
        }
    }

    #[test]
    fn a_refusal_names_the_largest_holders_and_counts_the_rest() {
        let refusal = Refusal {
            owner_path: "sorter".into(),
            requested_bytes: 600,
            available_bytes: 50,
            owner_used_bytes: 100,
            owner_total_bytes: 100,
            owner_limit_bytes: 1000,
            capacity_bytes: 1000,
            reason: Reason::Budget,
            parent: None,
            holders: vec![
                holder("join", 500, 0),
                holder("sorter", 300, 200),
                holder("scan", 100, 0),
            ],
            other_holders: 1,
            other_holders_bytes: 50,
        };
        assert_eq!(
            AllocationError::new(refusal.clone()).to_string(),
            "cannot allocate 600 bytes for owner `sorter`: only 50 of 1000 bytes are free; held by \
             `join`: 500 bytes (minimum 0, limit 1000, reclaimable 7), \
             `sorter`: 300 bytes (minimum 200, limit 1000, reclaimable 7), \
             `scan`: 100 bytes (minimum 0, limit 1000, reclaimable 7), and 1 more"
        );
        let limited = Refusal { reason: Reason::OwnerLimit, ..refusal };
        assert_eq!(
            ReservationError::new(limited).to_string(),
            "cannot reserve 600 bytes for owner `sorter`: it holds 100 bytes of its limit of 1000 \
             bytes"
        );
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
                capacity_bytes: 1000,
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
