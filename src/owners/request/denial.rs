//! Why a request is denied, on whichever floor that was found.

use crate::base::error::Reason;
use crate::ledger::budget::Refused;
use crate::ledger::waiting::wait_queue::WaitEnd;

/// Why a request is denied.
pub(crate) enum Denial {
    Refused(Refused),
    Reason(Reason),
}

impl Denial {
    /// Whether there is too little, and not some other obstacle. Then pages that are kept at hand
    /// could help, or what owners give back.
    pub(crate) fn is_for_want_of_memory(&self) -> bool {
        match self {
            Self::Refused(refused) => *refused != Refused::Closed,
            Self::Reason(reason) => matches!(reason, Reason::Fragmented { .. }),
        }
    }

    /// Whether bytes are short, or those that there are not to be had, and not only holes.
    pub(crate) fn is_about_bytes(&self) -> bool {
        match self {
            Self::Refused(refused) => *refused != Refused::Closed,
            Self::Reason(reason) => matches!(reason, Reason::Policy),
        }
    }
}

impl From<Refused> for Denial {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<WaitEnd> for Denial {
    fn from(ended: WaitEnd) -> Self {
        match ended {
            WaitEnd::Closed => Self::Refused(Refused::Closed),
            WaitEnd::Refused(refused) => Self::Refused(refused),
            WaitEnd::Deadlock => Self::Reason(Reason::Deadlock),
        }
    }
}
