//! Which units of the file are taken, which are free, and which are holes. Pure.
//!
//! ```text
//!             extend                    take
//! (no file) ---------->  free  ------------------------>  taken
//!                       ^    |  <----------------------
//!                  fill |    | punch     give
//!                       |    v
//!                        hole
//! ```
//!
//! A free unit has room on the disk already, so that a write to it finds it. A hole was given back
//! to the disk, and is filled before it is used again. Units that are on their way between the two
//! are in neither set.

use super::runs::{Runs, Slot};

/// A larger part of the file than one in this many is used up before it grows for longer runs.
const FREE_PARTS: u32 = 4;

pub(super) struct Slots {
    free: Runs,
    holes: Runs,
    units: u32,
    used: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { free: Runs::new(), holes: Runs::new(), units: 0, used: 0 }
    }

    /// The units of the file.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// The units that are taken.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// The units that are free, without the holes.
    pub(super) fn free(&self) -> u32 {
        self.free.count()
    }

    /// The units that are holes.
    pub(super) fn holes(&self) -> u32 {
        self.holes.count()
    }

    /// Takes `most` units in a row, or fewer but at least `least` if no run is longer.
    pub(super) fn take(&mut self, least: u32, most: u32) -> Option<Slot> {
        let units = self.free.longest().min(most);
        if units < least {
            return None;
        }
        let slot = Slot { first: self.free.first(units)?, units };
        self.free.remove(slot);
        self.used += units;
        Some(slot)
    }

    /// Takes `most` units in a row. Fewer only while so much is free that the file is not to grow.
    pub(super) fn take_without_growth(&mut self, least: u32, most: u32) -> Option<Slot> {
        let is_roomy = self.free.count() > (self.units - self.holes()) / FREE_PARTS;
        let least = if is_roomy { least } else { most };
        self.take(least, most)
    }

    /// Whether each unit of `slot` is one that was taken.
    pub(super) fn has_taken(&self, slot: Slot) -> bool {
        let inside = slot.units > 0 && slot.end() <= self.units;
        inside && !self.free.touches(slot) && !self.holes.touches(slot)
    }

    /// The units of `slot`, which were taken, are free.
    pub(super) fn give(&mut self, slot: Slot) {
        self.used -= slot.units;
        self.free.insert(slot);
    }

    /// The file is longer by `units`, which are free.
    pub(super) fn extend(&mut self, units: u32) {
        self.free.insert(Slot { first: self.units, units });
        self.units += units;
    }

    /// Takes a hole out, to be filled: the longest up to `most`, and at least `least` units.
    pub(super) fn hole(&mut self, least: u32, most: u32) -> Option<Slot> {
        let units = self.holes.longest().min(most);
        if units < least {
            return None;
        }
        let slot = Slot { first: self.holes.first(units)?, units };
        self.holes.remove(slot);
        Some(slot)
    }

    /// A hole has room on the disk: its units are free.
    pub(super) fn filled(&mut self, slot: Slot) {
        self.free.insert(slot);
    }

    /// Takes the last free run of at least `least` units out, to be punched: all but what is needed
    /// to keep `kept` units free.
    pub(super) fn superfluous(&mut self, least: u32, kept: u32) -> Option<Slot> {
        let most = self.free.count().saturating_sub(kept);
        if most < least {
            return None;
        }
        let run = self.free.last(least)?;
        let (_, slot) = run.split(run.units.saturating_sub(most));
        self.free.remove(slot);
        Some(slot)
    }

    /// The room of a slot on the disk was given back: its units are a hole.
    pub(super) fn punched(&mut self, slot: Slot) {
        self.holes.insert(slot);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Unit {
        Free,
        Taken,
        Hole,
        /// Being punched or filled.
        Moving,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Extend(u32),
        Take(u32, u32),
        TakeWithoutGrowth(u32, u32),
        Give(usize),
        Punch(u32, u32),
        Punched(usize),
        Hole(u32, u32),
        Filled(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..200_u32).prop_map(Step::Extend),
            (1..40_u32, 0..40_u32).prop_map(|(least, more)| Step::Take(least, least + more)),
            (1..40_u32, 0..40_u32)
                .prop_map(|(least, more)| Step::TakeWithoutGrowth(least, least + more)),
            any::<usize>().prop_map(Step::Give),
            (1..30_u32, 0..100_u32).prop_map(|(least, kept)| Step::Punch(least, kept)),
            any::<usize>().prop_map(Step::Punched),
            (1..40_u32, 0..40_u32).prop_map(|(least, more)| Step::Hole(least, least + more)),
            any::<usize>().prop_map(Step::Filled),
        ]
    }

    /// The units one by one, and the slots that are out.
    #[derive(Default)]
    struct Model {
        units: Vec<Unit>,
        taken: Vec<Slot>,
        moving: Vec<Slot>,
    }

    impl Model {
        fn count(&self, what: Unit) -> u32 {
            self.units.iter().filter(|unit| **unit == what).count().try_into().unwrap()
        }

        /// The length of the longest run.
        fn longest(&self, what: Unit) -> u32 {
            let runs = self.units.split(|unit| *unit != what);
            runs.map(<[Unit]>::len).max().unwrap_or(0).try_into().unwrap()
        }

        /// `slot` was one thing and is another now.
        fn turn(&mut self, slot: Slot, from: Unit, to: Unit) {
            for unit in &mut self.units[slot.first as usize..slot.end() as usize] {
                assert_eq!(*unit, from);
                *unit = to;
            }
        }

        /// Whether `got` is as long as `longest` lets it be.
        fn assert_taken(&self, got: Option<Slot>, longest: u32, least: u32, most: u32) {
            let expected = longest.min(most);
            assert_eq!(got.map(|slot| slot.units), (expected >= least).then_some(expected));
        }

        fn step(&mut self, slots: &mut Slots, step: Step) {
            match step {
                Step::Extend(units) => {
                    slots.extend(units);
                    self.units.extend((0..units).map(|_| Unit::Free));
                }
                Step::Take(least, most) => {
                    let got = slots.take(least, most);
                    self.assert_taken(got, self.longest(Unit::Free), least, most);
                    self.take(got);
                }
                Step::TakeWithoutGrowth(least, most) => {
                    let there = slots.units() - self.count(Unit::Hole);
                    let is_roomy = self.count(Unit::Free) > there / FREE_PARTS;
                    let got = slots.take_without_growth(least, most);
                    let least = if is_roomy { least } else { most };
                    self.assert_taken(got, self.longest(Unit::Free), least, most);
                    self.take(got);
                }
                Step::Give(at) if !self.taken.is_empty() => {
                    let slot = self.taken.swap_remove(at % self.taken.len());
                    let (given, kept) = slot.split(u32::try_from(at % 7).unwrap());
                    for part in [given, kept].into_iter().filter(|part| part.units > 0) {
                        assert!(slots.has_taken(part));
                        slots.give(part);
                        assert!(!slots.has_taken(part));
                        self.turn(part, Unit::Taken, Unit::Free);
                    }
                }
                Step::Punch(least, kept) => {
                    let (free, longest) = (self.count(Unit::Free), self.longest(Unit::Free));
                    let got = slots.superfluous(least, kept);
                    let most = free.saturating_sub(kept);
                    assert_eq!(got.is_some(), longest >= least && most >= least);
                    self.move_out(got, Unit::Free);
                    assert!(self.count(Unit::Free) >= kept.min(free));
                }
                Step::Hole(least, most) => {
                    let longest = self.longest(Unit::Hole);
                    let got = slots.hole(least, most);
                    self.assert_taken(got, longest, least, most);
                    self.move_out(got, Unit::Hole);
                }
                Step::Punched(at) if !self.moving.is_empty() => {
                    let slot = self.moving.swap_remove(at % self.moving.len());
                    slots.punched(slot);
                    self.turn(slot, Unit::Moving, Unit::Hole);
                }
                Step::Filled(at) if !self.moving.is_empty() => {
                    let slot = self.moving.swap_remove(at % self.moving.len());
                    slots.filled(slot);
                    self.turn(slot, Unit::Moving, Unit::Free);
                }
                Step::Give(_) | Step::Punched(_) | Step::Filled(_) => {}
            }
        }

        fn take(&mut self, got: Option<Slot>) {
            if let Some(slot) = got {
                self.turn(slot, Unit::Free, Unit::Taken);
                self.taken.push(slot);
            }
        }

        fn move_out(&mut self, got: Option<Slot>, from: Unit) {
            if let Some(slot) = got {
                self.turn(slot, from, Unit::Moving);
                self.moving.push(slot);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn each_unit_is_one_thing(steps in prop::collection::vec(step(), 1..120)) {
            let (mut slots, mut model) = (Slots::new(), Model::default());
            for step in steps {
                model.step(&mut slots, step);
                assert_eq!(slots.units() as usize, model.units.len());
                assert_eq!(slots.used(), model.count(Unit::Taken));
                assert_eq!(slots.free(), model.count(Unit::Free));
                assert_eq!(slots.holes(), model.count(Unit::Hole));
            }
        }
    }
}
