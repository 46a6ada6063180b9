//! Several gates of one slot, so that threads that use a value at a time do not share a word.
//!
//! # Protocol
//!
//! 1. All gates are opened for the same generation, the first one last. A call enters one of them.
//! 2. The call that shuts the first gate ends the handle, and shuts the others as well. So when
//!    that is done, nobody enters any more.
//! 3. For each gate, one call finds that nobody is inside for good: the one that shut it, or the
//!    last one to leave it. That one counts it as done. The call that counts the last gate has the
//!    slot alone.

use crate::base::sync::{AtomicU64, Ordering};

use super::gate::{Closed, Gate, NotEntered};
use super::handle::Generation;

/// A gate on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Alone(Gate);

/// The gates of a slot.
pub struct Gates<const N: usize> {
    gates: [Alone; N],
    /// The number of gates that are not done yet: a call is inside, or may yet enter.
    left: AtomicU64,
}

impl<const N: usize> Default for Gates<N> {
    fn default() -> Self {
        const { assert!(N > 0) };
        Self { gates: std::array::from_fn(|_| Alone::default()), left: AtomicU64::new(0) }
    }
}

impl<const N: usize> Gates<N> {
    fn first(&self) -> &Gate {
        &self.gates[0].0
    }

    /// The gate for the thread of that number.
    #[inline]
    fn gate(&self, thread: usize) -> &Gate {
        &self.gates[thread % N].0
    }

    /// Opens the gates of a slot that the caller has alone, for the next generation; `None`
    /// if they were open for all there are.
    pub fn open(&self) -> Option<Generation> {
        // ORDERING: Relaxed. Opening the gates publishes it to calls that enter or shut them.
        self.left.store(N as u64, Ordering::Relaxed);
        for other in &self.gates[1..] {
            other.0.open()?;
        }
        self.first().open()
    }

    /// Whether a slot that the caller has alone cannot be opened again.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.first().is_used_up()
    }

    /// Enters by the gate of a thread; a caller that entered must leave by the same one.
    ///
    /// # Errors
    ///
    /// If it is not open for that generation.
    #[inline]
    pub fn enter(&self, thread: usize, generation: Generation) -> Result<(), NotEntered> {
        self.gate(thread).enter(generation)
    }

    /// Enters a slot of one gate if nobody is inside.
    ///
    /// # Errors
    ///
    /// If it is not open for that generation, or a call is inside.
    #[inline]
    pub fn enter_alone(&self, generation: Generation) -> Result<(), NotEntered> {
        const { assert!(N == 1) };
        self.first().enter_alone(generation)
    }

    /// Leaves by the gate that the thread entered by. Whether the slot is the caller's alone now.
    #[inline]
    #[must_use = "somebody has to take the value out"]
    pub fn leave(&self, thread: usize) -> bool {
        self.gate(thread).leave() && self.done()
    }

    /// Shuts all gates; of several calls that try, one succeeds. Returns whether the slot is the
    /// caller's alone now, and not that of a call that is inside.
    ///
    /// # Errors
    ///
    /// If the first gate is not open for that generation.
    #[must_use = "somebody has to take the value out"]
    pub fn shut(&self, generation: Generation) -> Result<bool, NotEntered> {
        let mut is_mine = self.first().shut(generation)? == Closed::Empty && self.done();
        for other in &self.gates[1..] {
            // It is open: only the call that shut the first gate shuts the others.
            is_mine |= other.0.shut(generation)? == Closed::Empty && self.done();
        }
        Ok(is_mine)
    }

    /// Counts a gate that nobody is inside of for good; whether it was the last one.
    fn done(&self) -> bool {
        // ORDERING: AcqRel. Each call hands on what it saw of the value's users to the last one,
        // which takes the value out (Protocol, 3).
        N == 1 || self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_a_gate_to_enter_and_to_leave() {
        let gates = Gates::<3>::default();
        let generation = gates.open().unwrap();
        for thread in 0..100 {
            assert_eq!(gates.enter(thread, generation), Ok(()));
            assert!(!gates.leave(thread));
        }
        assert_eq!(gates.shut(generation), Ok(true));
        assert_eq!(gates.enter(7, generation), Err(NotEntered::Ended));
    }

    #[test]
    fn they_are_used_up_after_the_last_generation() {
        let gates = Gates::<2>::default();
        assert!(!gates.is_used_up());
        gates.first().open_for(Generation::LAST);
        assert!(gates.is_used_up());
    }
}
