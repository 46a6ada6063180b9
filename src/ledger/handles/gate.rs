//! One gate: which calls may use a slot, and which one has it alone in the end.
//!
//! # Protocol
//!
//! 1. The call that has a slot alone puts a value in and opens its gate, for the next generation.
//! 2. A call enters while the gate is open for the generation of its handle, and leaves again.
//!    While a call is inside, the value stays.
//! 3. One attempt to shut a gate that is open for a generation succeeds. Nobody enters afterwards.
//! 4. The call that shuts a gate with nobody inside has the slot alone, and otherwise the last one
//!    to leave. That one takes the value out. So the call that ends a handle waits for nobody.
//! 5. Opening and leaving are Release; entering, and finding that one has the slot alone, are
//!    Acquire. So each sees what the others did to the value.

use crate::base::sync::{AtomicU64, Ordering, read, write};

use super::handle::Generation;
use super::word::{GateWord, ONE_INSIDE};

/// The word of a slot.
pub struct Gate(AtomicU64);

/// Why a call was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotEntered {
    /// The handle was ended.
    Ended,
    /// The slot was not opened for that generation yet: the number is no handle.
    Foreign,
    /// Another call is inside, and this one has to be alone; or too many are.
    Busy,
}

/// What shutting a gate came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// Nobody was inside: the slot is the caller's alone.
    Empty,
    /// Others are inside: the slot goes to the last of them.
    Busy,
}

impl Default for Gate {
    fn default() -> Self {
        Self(AtomicU64::new(GateWord::NEW.into_bits()))
    }
}

impl Gate {
    /// Opens the gate of a slot that the caller has alone, for the next generation; `None` if
    /// it was open for all there are.
    pub fn open(&self) -> Option<Generation> {
        // ORDERING: Relaxed. Nobody changes the word of a slot that we have to ourselves
        // (Protocol, 1).
        let word = GateWord::from_bits(read(&self.0, Ordering::Relaxed));
        let generation = word.generation().next()?;
        self.open_for(generation);
        Some(generation)
    }

    /// Opens it for this generation: the one after the last, or the last one again for a caller
    /// that has just shut it and found nobody inside.
    pub(super) fn open_for(&self, generation: Generation) {
        // ORDERING: Release. Pairs with the Acquire of calls that enter or shut (Protocol, 5).
        write(&self.0, GateWord::opened(generation).into_bits(), Ordering::Release);
    }

    /// Whether a slot that the caller has alone cannot be opened again.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        // ORDERING: Relaxed. As in `open`.
        GateWord::from_bits(read(&self.0, Ordering::Relaxed)).generation() == Generation::LAST
    }

    /// Enters; a caller that entered must leave.
    ///
    /// # Errors
    ///
    /// If the gate is not open for that generation.
    #[inline]
    pub fn enter(&self, generation: Generation) -> Result<(), NotEntered> {
        self.change(generation, |word| word.entered().ok_or(NotEntered::Busy)).map(|_| ())
    }

    /// Enters if nobody is inside; others may enter afterwards, unless they want to be alone too.
    ///
    /// # Errors
    ///
    /// If the gate is not open for that generation, or a call is inside.
    #[inline]
    pub fn enter_alone(&self, generation: Generation) -> Result<(), NotEntered> {
        let alone = |word: GateWord| match word.inside() {
            0 => word.entered().ok_or(NotEntered::Busy),
            _ => Err(NotEntered::Busy),
        };
        self.change(generation, alone).map(|_| ())
    }

    /// Leaves. Whether the slot is the caller's alone now (Protocol, 4).
    #[inline]
    #[must_use = "somebody has to take the value out"]
    pub fn leave(&self) -> bool {
        // ORDERING: AcqRel. Release for the call that has the slot alone in the end: it finds our
        // step in the word, with this Acquire or that of `shut` (Protocol, 5).
        let before = self.0.fetch_sub(ONE_INSIDE, Ordering::AcqRel);
        let before = GateWord::from_bits(before);
        debug_assert!(before.inside() > 0);
        !before.is_open() && before.inside() == 1
    }

    /// Shuts the gate; of several calls that try, one succeeds (Protocol, 3).
    ///
    /// # Errors
    ///
    /// If the gate is not open for that generation.
    #[inline]
    pub fn shut(&self, generation: Generation) -> Result<Closed, NotEntered> {
        let before = self.change(generation, |word| Ok(word.shut()))?;
        Ok(if before.inside() == 0 { Closed::Empty } else { Closed::Busy })
    }

    /// Whether the gate is open for `generation`. The answer can be out of date at once.
    #[inline]
    pub(super) fn look(&self, generation: Generation) -> Result<(), NotEntered> {
        // ORDERING: Acquire. Pairs with the Release of `open`: a call that finds the gate open
        // sees what was put into the slot before (Protocol, 5).
        let word = GateWord::from_bits(read(&self.0, Ordering::Acquire));
        if word.is_open_for(generation) { Ok(()) } else { Err(Self::why(word, generation)) }
    }

    fn why(word: GateWord, generation: Generation) -> NotEntered {
        let was_given = generation <= word.generation() && generation > Generation::NONE;
        if was_given { NotEntered::Ended } else { NotEntered::Foreign }
    }

    /// Changes the word of a gate that is open for `generation`; returns the word before.
    #[inline]
    fn change(
        &self,
        generation: Generation,
        change: impl Fn(GateWord) -> Result<GateWord, NotEntered>,
    ) -> Result<GateWord, NotEntered> {
        // ORDERING: Relaxed. The exchange acquires what counts.
        let mut word = GateWord::from_bits(read(&self.0, Ordering::Relaxed));
        loop {
            if !word.is_open_for(generation) {
                return Err(Self::why(word, generation));
            }
            match self.0.compare_exchange_weak(
                word.into_bits(),
                change(word)?.into_bits(),
                // ORDERING: Acquire. Pairs with the Release of `open`, and, for a call that shuts
                // it with nobody inside, with that of all that left (Protocol, 5).
                Ordering::Acquire,
                // ORDERING: Relaxed. As for the first load.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(word),
                Err(found) => word = GateWord::from_bits(found),
            }
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_was_open_for_the_last_generation_stays_shut() {
        let gate = Gate::default();
        let first = gate.open().unwrap();
        assert_eq!(gate.look(first), Ok(()));
        assert_eq!(gate.shut(first), Ok(Closed::Empty));
        assert!(!gate.is_used_up());
        gate.open_for(Generation::LAST);
        assert!(gate.is_used_up());
        assert_eq!(gate.enter(first), Err(NotEntered::Ended));
        assert_eq!(gate.shut(Generation::LAST), Ok(Closed::Empty));
        assert_eq!(gate.open(), None);
    }

    #[test]
    fn a_generation_that_no_gate_was_open_for_is_foreign() {
        let gate = Gate::default();
        let first = gate.open().unwrap();
        for foreign in [Generation::NONE, Generation::LAST] {
            assert_eq!(gate.enter(foreign), Err(NotEntered::Foreign));
        }
        assert_eq!(gate.enter(first), Ok(()));
    }
}
