//! Whose bytes: the accounts of owners under the budget, with what they took ahead.
//!
//! The protocol is at the head of the room `budget`.
//!
//! ```text
//! account                    what one owner holds, under a limit and with a guaranteed minimum
//! allowance                  what its parent granted beyond what it uses
//! allowance_word             the state of an allowance, as a pure value
//! ```

mod account;
mod allowance;
mod allowance_word;

pub use account::{Account, InFlight};
