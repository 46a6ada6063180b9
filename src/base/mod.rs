//! Floor 0: typed indices and sizes, errors, and the switch to the atomics of a model.
//!
//! The lowest room first: a file uses its own room and those above it in this list.
//!
//! ```text
//! sync/        atomics and locks: of std, of a model, or counting; waiting; numbers of threads
//! seeded       bugs to be planted, to see that a checker reports them
//! panics       calls of foreign code, which may panic
//! threads      threads of the library's own, which end with what they work for
//! safety_nets  whether such a thread looks again although nothing has woken it
//! limits       the smallest and the largest page, capacity and address space
//! available    what a capacity was taken from
//! refused/     a request that was refused, in numbers and as a sentence
//! error/       why a call failed, in numbers and as a sentence
//! units/       pages, chunks, masks of pages, the size of a page, which level a level is
//! names        names that callers give, as they are kept and shown
//! bytes        numbers of bytes: in 64 bits, as sizes, as fractions
//! members      those that are present, as weak handles that a copy shares
//! sites        where what is out was allocated, a feature
//! events       rare events, told to listeners, a feature
//! ```

pub(crate) mod available;
#[cfg(not(offheap_loom))]
pub(crate) mod bytes;
pub(crate) mod error;
#[cfg(not(offheap_loom))]
pub(crate) mod events;
pub(crate) mod limits;
#[cfg(not(offheap_loom))]
pub(crate) mod members;
#[cfg(not(offheap_loom))]
pub(crate) mod names;
#[cfg(not(offheap_loom))]
pub(crate) mod panics;
mod refused;
#[cfg(not(offheap_loom))]
pub(crate) mod safety_nets;
pub(crate) mod seeded;
#[cfg(not(offheap_loom))]
pub(crate) mod sites;
pub(crate) mod sync;
#[cfg(not(offheap_loom))]
pub(crate) mod threads;
pub(crate) mod units;
