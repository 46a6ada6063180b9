//! Handles: numbers that name a value once, and never another one after it is gone.
//!
//! A [`Handle`] is the index of a slot and the generation that the slot was opened for. A [`Gate`]
//! is the word of a slot: it lets calls in whose handle is good, and finds who has the slot
//! alone once the handle is ended. [`Gates`] are several of them for one slot, so that threads do
//! not meet at one word; a [`LabelledGate`] has numbers that are read without entering. [`Spares`]
//! are the slots that no handle names.

mod gate;
mod gates;
mod handle;
mod label;
#[cfg(not(offheap_loom))]
mod spares;
mod word;

pub use gate::NotEntered;
#[cfg(offheap_loom)]
pub use gate::{Closed, Gate};
pub use gates::Gates;
pub use handle::{Generation, Handle, Kind, SLOTS_MAX};
pub use label::LabelledGate;
#[cfg(not(offheap_loom))]
pub use spares::Spares;
