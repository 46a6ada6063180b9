//! How owners share when there is not enough for all: what a policy is asked, and what it answers.
//! Numbers only: no owner is known here.
//!
//! ```text
//! decisions    when a foreign policy is to decide, and how long that is waited for
//! rule         which policy is in force
//! fair_share   the policies of the library's own
//! filling      bytes for those that demand some, as water fills vessels of different widths
//! policy       what a policy is, and what it sees of those that share
//! admission    what it sees of a request that is about to be granted
//! kind         whether an owner can give memory back
//! ```

pub(crate) mod admission;
pub(crate) mod decisions;
pub(crate) mod fair_share;
pub(crate) mod filling;
pub(crate) mod kind;
pub(crate) mod policy;
pub(crate) mod rule;
