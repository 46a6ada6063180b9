//! The pages of a region with spare address space: those that count, and those that do not.
//!
//! ```text
//!            0                capacity                                  factor * capacity
//!   warm     |1 1 0 0 0 1 1 1 1|0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0|
//!   cold     |0 0 0 0 0 0 0 0 0|1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1|
//!                  held                            free: a set bit
//! ```
//!
//! # Protocol
//!
//! 1. Every page is *warm* or *cold*: warm pages may be resident; cold pages are not, and are
//!    zero. A cold page is free in the cold list or on its way. A warm page is free in the warm
//!    list, held by a caller, or on its way.
//! 2. **There are always exactly as many warm pages as the capacity has.** So what is resident is
//!    at most the capacity. A page that is allocated comes out of the warm list, and every page
//!    goes back there; that path never looks at the cold list.
//! 3. A block for which the warm list has no hole *exchanges*. It takes a run of pages, warm and
//!    cold, and for the cold ones as many warm ones elsewhere, in whatever pieces. It gives those
//!    back to the system. Only then it puts them into the cold list and uses the run.
//! 4. The pieces are there for sure: the caller has a reservation for them (`free_list`, Protocol,
//!    9), and an exchange takes no more than that out of the warm list at any moment.
//! 5. Where the system refuses, all pages go back to where they came from.
//! 6. The capacity changes by pages that become warm before anybody may reserve them, or cold while
//!    the one that changes it has a reservation for them.

mod cheapest_run;
mod exchange;
mod page_set;
mod populate;
mod residency;
mod resize;
mod trim;
mod unheld;
mod warm_cold;

pub use exchange::{Exchange, NoExchange};
#[cfg(not(offheap_loom))]
pub(crate) use page_set::PageSet;
pub use residency::{HugeFrames, Residency};
#[cfg(not(offheap_loom))]
pub use trim::TrimCursor;
pub use warm_cold::Stock;
