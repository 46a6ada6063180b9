//! Whose bytes: the accounts of owners under the budget, with what they took ahead.
//!
//! The protocol is at the head of the room `budget`.
//!
//! ```text
//! adjust                     what changes of it while it is in use
//! account                    what one owner holds, under a limit and with a guaranteed minimum
//! guarantee                  what it is guaranteed, as a number that can change
//! allowance                  what its parent granted beyond what it uses
//! allowance_word             the state of an allowance, as a pure value
//! ```

mod account;
mod adjust;
mod allowance;
mod allowance_word;
mod guarantee;

pub use account::{Account, InFlight};
pub use adjust::NotAdjusted;
