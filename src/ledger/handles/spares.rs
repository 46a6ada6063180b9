//! The slots that no handle names.

use crate::base::sync::{Guard, Lock, Rank};

use super::handle::SLOTS_MAX;

/// The indices of the slots of a table that no handle names.
pub struct Spares(Lock<Indices>);

struct Indices {
    /// Slots that were used before, the last one on top.
    used: Vec<u32>,
    /// The first slot that was never used; those above were not either.
    fresh: u32,
}

impl Default for Spares {
    fn default() -> Self {
        Self::new()
    }
}

impl Spares {
    /// All slots, none of which was ever used.
    #[must_use]
    pub const fn new() -> Self {
        Self(Lock::new(Rank::Spares, Indices { used: Vec::new(), fresh: 0 }))
    }

    /// Takes up to `count` slots out, one by one; none if all are in use.
    pub fn take(&self, count: usize, mut take: impl FnMut(u32)) {
        let mut indices = self.indices();
        for _ in 0..count {
            match indices.used.pop() {
                Some(index) => take(index),
                None if indices.fresh < SLOTS_MAX => {
                    take(indices.fresh);
                    indices.fresh += 1;
                }
                None => return,
            }
        }
    }

    /// Takes one slot out; `None` if all are in use.
    pub fn take_one(&self) -> Option<u32> {
        let mut taken = None;
        self.take(1, |index| taken = Some(index));
        taken
    }

    /// Puts slots back.
    pub fn put(&self, slots: impl IntoIterator<Item = u32>) {
        self.indices().used.extend(slots);
    }

    fn indices(&self) -> Guard<'_, Indices> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_slots_come_before_fresh_ones() {
        let spares = Spares::new();
        assert_eq!([spares.take_one(), spares.take_one()], [Some(0), Some(1)]);
        spares.put([1, 0]);
        let mut taken = Vec::new();
        spares.take(4, |index| taken.push(index));
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn the_last_slot_is_the_last() {
        let spares = Spares::new();
        spares.indices().fresh = SLOTS_MAX - 1;
        assert_eq!([spares.take_one(), spares.take_one()], [Some(SLOTS_MAX - 1), None]);
    }
}
