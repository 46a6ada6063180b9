//! Pages and blocks out of region and free list, or out of the process heap; wiping them.
//!
//! Callers have reserved the bytes in a budget before they ask for memory, and credit them after
//! they gave it back.

mod extending;
mod idle;
mod modes;
mod no_memory;
mod off_heap;
mod on_release;
mod zero_policy;
mod zeroed;

pub(crate) use extending::NoRoomBehind;
pub use idle::IdleMemory;
pub(crate) use modes::Arena;
pub(crate) use no_memory::NoMemory;
pub(crate) use off_heap::{AddressSpace, OffHeap, OffHeapOptions};
pub use zero_policy::ZeroPolicy;
pub(crate) use zeroed::Stale;
