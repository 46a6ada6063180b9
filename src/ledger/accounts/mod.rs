//! Whose bytes: the accounts of owners under the budget, with what they took ahead.
//!
//! The protocol is at the head of the room `budget`.
//!
//! ```text
//! adjust  giving_back        what changes of it while it is in use; giving back what it holds
//! account                    what one owner holds, under a limit and with a guaranteed minimum
//! guarantee                  what it is guaranteed, as a number that can change
//! allowance                  what its parent granted beyond what it uses
//! allowance_word             the state of an allowance, as a pure value
//! ```

mod account;
mod adjust;
mod allowance;
mod allowance_word;
mod giving_back;
mod guarantee;

pub use account::{Account, InFlight};
pub use adjust::NotAdjusted;
