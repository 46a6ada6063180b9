//! Floor 1: numbers only. No memory and no unsafe code, so that loom and shuttle can check it.
//!
//! The lowest room first: a file uses its own room, those above it in this list, and floor 0.
//!
//! ```text
//! chunks/      which pages are free: a word for each chunk; and the pages that are held
//! hints/       which chunks to look at: sets of chunks, by the lengths of their free runs
//! groups/      what runs there can be in groups of 64 chunks: searches leave out the others
//! free_list/   pages and runs are found, taken and released, by words and hints
//! stock/       warm and cold pages: exchange, trim, residency
//! at_hand/     free pages kept near a thread: magazine and depot
//!
//! overdraft    bytes that are held beyond a limit
//! budget/      whose bytes: a limit, the accounts under it, what they took ahead
//! waiting/     the line of requests; what an owner is asked to give back
//!
//! handles/     generations and gates, for the C ABI
//! ```

pub(crate) mod at_hand;
pub(crate) mod budget;
pub(crate) mod chunks;
pub(crate) mod free_list;
pub(crate) mod groups;
#[cfg(any(feature = "c-abi", offheap_loom))]
pub(crate) mod handles;
pub(crate) mod hints;
pub(crate) mod overdraft;
pub(crate) mod stock;
pub(crate) mod waiting;
