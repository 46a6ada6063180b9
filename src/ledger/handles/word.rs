//! The word of a gate: a generation, whether it is open, and how many are inside.

use super::handle::{GENERATION_BITS, Generation};

/// The bits of a word, from the lowest up: `inside:33 open:1 generation:30`.
const INSIDE_BITS: u32 = u64::BITS - 1 - GENERATION_BITS;
const OPEN: u64 = 1 << INSIDE_BITS;
const INSIDE_MAX: u64 = OPEN - 1;

/// One caller inside: what leaving takes off a word.
pub(super) const ONE_INSIDE: u64 = 1;

/// A word of a gate as a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GateWord(u64);

impl GateWord {
    /// That of a gate that was never opened.
    pub(super) const NEW: Self = Self(0);

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn into_bits(self) -> u64 {
        self.0
    }

    /// Open for `generation`, with nobody inside.
    pub(super) const fn opened(generation: Generation) -> Self {
        Self(generation.into_bits() << (INSIDE_BITS + 1) | OPEN)
    }

    /// The generation that it is, or was last, open for.
    pub(super) const fn generation(self) -> Generation {
        Generation::from_bits(self.0 >> (INSIDE_BITS + 1))
    }

    pub(super) fn is_open_for(self, generation: Generation) -> bool {
        self.0 & OPEN != 0 && self.generation() == generation
    }

    pub(super) const fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    pub(super) const fn inside(self) -> u64 {
        self.0 & INSIDE_MAX
    }

    /// With one more inside; `None` if that is more than can be counted.
    pub(super) fn entered(self) -> Option<Self> {
        (self.inside() < INSIDE_MAX).then(|| Self(self.0 + ONE_INSIDE))
    }

    /// Shut, for the same generation, around the same callers.
    pub(super) const fn shut(self) -> Self {
        Self(self.0 & !OPEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_parts() {
        for generation in [1, 2, Generation::LAST.into_bits()].map(Generation::from_bits) {
            let word = GateWord::opened(generation);
            assert!(word.is_open_for(generation) && word.inside() == 0);
            let entered = word.entered().and_then(GateWord::entered).unwrap();
            assert!(entered.is_open_for(generation) && entered.inside() == 2);
            let shut = entered.shut();
            assert!(!shut.is_open_for(generation) && !shut.is_open());
            assert_eq!((shut.generation(), shut.inside()), (generation, 2));
        }
        assert!(!GateWord::NEW.is_open());
        assert_eq!(GateWord::NEW.generation(), Generation::NONE);
    }

    #[test]
    fn a_crowd_does_not_reach_the_other_bits() {
        let crowd = GateWord::from_bits(GateWord::opened(Generation::LAST).0 + INSIDE_MAX);
        assert_eq!((crowd.inside(), crowd.entered()), (INSIDE_MAX, None));
        assert!(crowd.is_open_for(Generation::LAST));
    }
}
