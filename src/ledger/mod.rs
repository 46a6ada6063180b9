//! Floor 1: numbers only. No memory and no unsafe code, so that loom and shuttle can check it.
//!
//! A file uses its own room, those below it here, and floor 0.
//!
//! ```text
//!   pages                                            bytes
//!
//!   at_hand/    magazine, depot: free pages kept     waiting/   the line; what owners are asked
//!               near a thread                                   to give back
//!   stock/      warm and cold pages: exchange,       budget/    a limit, the accounts under it,
//!               trim, residency                                 what they took ahead
//!   free_list/  finding, taking and releasing runs
//!   hints/      which chunks have free pages         the C ABI
//!   chunks/     the words: which pages are free,
//!               and the pages that are held          handles/   generations and gates
//! ```

pub(crate) mod at_hand;
pub(crate) mod budget;
pub(crate) mod chunks;
pub(crate) mod free_list;
#[cfg(any(feature = "c-abi", offheap_loom))]
pub(crate) mod handles;
pub(crate) mod hints;
pub(crate) mod stock;
pub(crate) mod waiting;
