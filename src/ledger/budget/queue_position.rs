//! Whose turn it is to take bytes, and whether a request waits for those that are given back.

/// Whether a request waits in line for what was given back. If so, the thread that gave it back
/// serves the line, once it has nothing locked or in hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "requests that wait in line are to be served"]
pub struct HasWaiters(bool);

impl HasWaiters {
    /// No request waits.
    pub const NO: Self = Self(false);
    /// At least one request waits.
    pub const YES: Self = Self(true);

    pub(crate) const fn new(awaited: bool) -> Self {
        Self(awaited)
    }

    /// Whether a request waits, here or there.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 || other.0)
    }

    /// Whether a request waits.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        self.0
    }
}

/// Whose turn it is to make a request: at which levels others are first in line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuePosition {
    /// Bit `n` is set if level `n` is left to others while it is awaited.
    yields: u32,
}

/// The most levels below the budget.
pub const LEVELS_MAX: u32 = 16;

const _: () = assert!(LEVELS_MAX < u32::BITS);

impl QueuePosition {
    /// That of a request that does not wait in line: after all that do.
    pub const LAST: Self = Self { yields: u32::MAX };

    /// That of the first in line everywhere.
    pub const FIRST: Self = Self { yields: 0 };

    /// The same, but for one more level at which others are first.
    #[must_use]
    pub const fn after_others_at(self, level: u32) -> Self {
        Self { yields: self.yields | 1 << level }
    }

    /// Whether others are first here, at level 0.
    pub(in crate::ledger) const fn yields(self) -> bool {
        self.yields & 1 != 0
    }

    /// The same turn, as the parent counts levels.
    pub(in crate::ledger) const fn above(self) -> Self {
        // What is said of the last level holds for all above.
        let last = self.yields & 1 << (u32::BITS - 1);
        Self { yields: self.yields >> 1 | last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_yields_at_the_levels_it_was_told() {
        let turn = QueuePosition::FIRST.after_others_at(2).after_others_at(0);
        let levels = [turn, turn.above(), turn.above().above(), turn.above().above().above()];
        assert_eq!(levels.map(QueuePosition::yields), [true, false, true, false]);
        assert_eq!(turn.after_others_at(2), turn, "it was told that already");
    }

    #[test]
    fn the_last_turn_yields_at_every_level() {
        let mut turn = QueuePosition::LAST;
        for _ in 0..2 * u32::BITS {
            assert!(turn.yields());
            turn = turn.above();
        }
    }
}
