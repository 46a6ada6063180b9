//! A gate with a label: two numbers that are read without entering.
//!
//! # Protocol
//!
//! 1. The caller that has the slot alone writes the numbers before the gate is opened.
//! 2. A reader finds the gate open, reads the numbers, and looks at the gate again. If one of the
//!    numbers is of a later generation, it sees by then that the gate was shut. For the caller that
//!    wrote it had the slot alone before, and the reader acquires what that one knew.

use crate::base::sync::{AtomicU64, Ordering};

use super::gate::{Gate, NotEntered};
use super::handle::Generation;

/// A gate with a label. Nobody enters: one opens it, many read the label, one shuts it.
#[derive(Default)]
pub struct LabelledGate {
    gate: Gate,
    label: [AtomicU64; 2],
}

impl LabelledGate {
    /// Opens the gate of a slot that the caller has alone, for the next generation and with
    /// this label; `None` if it was open for all there are.
    #[inline]
    pub fn open(&self, label: [u64; 2]) -> Option<Generation> {
        for (word, number) in self.label.iter().zip(label) {
            // ORDERING: Release. Pairs with the Acquire of `read` (Protocol, 2).
            word.store(number, Ordering::Release);
        }
        self.gate.open()
    }

    /// The label, of a gate that is open for that generation.
    ///
    /// # Errors
    ///
    /// If it is not.
    #[inline]
    pub fn read(&self, generation: Generation) -> Result<[u64; 2], NotEntered> {
        self.gate.look(generation)?;
        let [first, second] = &self.label;
        // ORDERING: Acquire. Pairs with the Release of `open` (Protocol, 2).
        let first = first.load(Ordering::Acquire);
        // ORDERING: Acquire. As for the first one.
        let second = second.load(Ordering::Acquire);
        self.gate.look(generation)?;
        Ok([first, second])
    }

    /// Shuts the gate; of several calls that try, one succeeds, and has the slot alone.
    ///
    /// # Errors
    ///
    /// If the gate is not open for that generation.
    #[inline]
    pub fn shut(&self, generation: Generation) -> Result<(), NotEntered> {
        self.gate.shut(generation).map(|_| ())
    }

    /// Opens it again, for a caller that has just shut it, as if it had stayed open.
    pub fn reopen(&self, generation: Generation) {
        self.gate.open_for(generation);
    }

    /// Whether a slot that the caller has alone cannot be opened again.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.gate.is_used_up()
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_up_after_the_last_generation() {
        let gate = LabelledGate::default();
        assert!(!gate.is_used_up());
        gate.reopen(Generation::LAST);
        assert!(gate.is_used_up());
    }
}
