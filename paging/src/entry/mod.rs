//! Floor 1: the state of a page in one word, and epochs for readers that do not pin.

mod epochs;
#[cfg(test)]
mod epochs_tests;
mod outcome;
mod state;
#[cfg(test)]
mod state_tests;
mod word;

pub use epochs::{Epochs, Participant, Stamp};
pub use outcome::{Death, Dirty, IsDead, LoadTurn, Publish, Written};
#[cfg(offheap_loom)]
pub use outcome::{Kept, WriteEnd};
pub use state::State;
pub use word::Phase;
#[cfg(offheap_loom)]
pub use word::Word;
