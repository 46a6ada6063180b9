//! What owners get when there is not enough for all, as the policy in force says.
//!
//! ```text
//! levels    what each owner may claim, level by level in the tree; the thread that a policy has
//! verdicts  what the policy says to requests that are about to be granted
//! ```

pub(crate) mod levels;
pub(crate) mod verdicts;
