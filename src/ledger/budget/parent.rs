//! What accounts take their bytes from, and in whose turn.

use super::Refused;

/// What an account takes its bytes from: the budget, or an account that itself has a parent.
///
/// The levels of a request are counted from the account it is made for: that is level 0, its
/// parent level 1, and the budget the last one. A parent counts from itself.
pub trait Parent {
    /// The most bytes it may hold.
    fn limit(&self) -> u64;

    /// The bytes that could be had from it; `None` while somebody waits for them, here or above.
    fn free_bytes(&self) -> Option<u64>;

    /// The bytes that could be had from it at a moment at which no request is in flight, had its
    /// own parents as many; 0 while somebody waits for them.
    fn settled_free_bytes(&self) -> u64;

    /// Whether the budget is closed.
    fn is_closed(&self) -> bool;

    /// Takes `bytes` for a request in flight, to be settled or undone.
    ///
    /// # Errors
    ///
    /// If there are fewer, or others are first in line for them, or the budget is closed.
    fn begin(&self, bytes: u64, turn: Turn) -> Result<(), Refused>;

    /// A request in flight keeps its bytes.
    fn settle(&self);

    /// A request in flight gives `bytes` back. Whoever waits in line waits for that, too, so he is
    /// told of it only if they were given back for another reason.
    fn undo(&self, bytes: u64) -> Awaited;

    /// Gives back `bytes` that were taken.
    fn release(&self, bytes: u64) -> Awaited;

    /// Says, at a level, that somebody waits for what is given back there, or no longer.
    fn set_awaited(&self, level: u32, awaited: Awaited);
}

/// Whether somebody waits in line for what was given back: whoever gave it back serves the line,
/// once he has let go of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "those who wait in line are to be served"]
pub struct Awaited(bool);

impl Awaited {
    /// Nobody waits.
    pub const NO: Self = Self(false);
    /// Somebody waits.
    pub const YES: Self = Self(true);

    pub(crate) const fn new(awaited: bool) -> Self {
        Self(awaited)
    }

    /// Whether somebody waits, here or there.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 || other.0)
    }

    /// Whether somebody waits.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        self.0
    }
}

/// Whose turn it is to make a request: at which levels others are first in line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Bit `n` is set if level `n` is left to others while it is awaited.
    yields: u32,
}

/// The most levels below the budget.
pub const LEVELS_MAX: u32 = 16;

const _: () = assert!(LEVELS_MAX < u32::BITS);

impl Turn {
    /// That of whoever does not wait in line: after all who do.
    pub const LAST: Self = Self { yields: u32::MAX };

    /// That of the first in line everywhere.
    pub const FIRST: Self = Self { yields: 0 };

    /// The same, but for one more level at which others are first.
    #[must_use]
    pub const fn after_others_at(self, level: u32) -> Self {
        Self { yields: self.yields | 1 << level }
    }

    /// Whether others are first here, at level 0.
    pub(super) const fn yields(self) -> bool {
        self.yields & 1 != 0
    }

    /// The same turn, as the parent counts levels.
    pub(super) const fn above(self) -> Self {
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
        let turn = Turn::FIRST.after_others_at(2).after_others_at(0);
        let levels = [turn, turn.above(), turn.above().above(), turn.above().above().above()];
        assert_eq!(levels.map(Turn::yields), [true, false, true, false]);
        assert_eq!(turn.after_others_at(2), turn, "it was told that already");
    }

    #[test]
    fn the_last_turn_yields_at_every_level() {
        let mut turn = Turn::LAST;
        for _ in 0..2 * u32::BITS {
            assert!(turn.yields());
            turn = turn.above();
        }
    }
}
