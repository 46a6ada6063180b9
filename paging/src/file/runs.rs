//! Slots, and a set of units that finds runs of them in logarithmic time.
//!
//! A unit is a bit of a word. Eight words are a leaf of a binary tree, and each node says of its
//! stretch of units how long the runs at its start, inside and at its end are:
//!
//! ```text
//!            [ head 2, longest 5, tail 0 ]            1,024 units
//!           /                             \
//! [ head 2, longest 4, tail 3 ]  [ head 2, longest 2, tail 0 ]     512 units, 8 words each
//! ```
//!
//! The first run of `n` units is in the left half if that has one, else over the middle if the left
//! tail and the right head are long enough, else in the right half.

const WORD_UNITS: u32 = u64::BITS;
const LEAF_WORDS: usize = 8;
const LEAF_UNITS: u32 = WORD_UNITS * 8;
const _: () = assert!(LEAF_UNITS as usize == WORD_UNITS as usize * LEAF_WORDS);

/// The most units of a set, so that the units of its tree can be counted.
pub(super) const UNITS_MAX: u32 = 1 << 31;

/// Where a page or several lie in a spill file: `units` units from the unit `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The number of the first unit.
    pub first: u32,
    /// How many units there are.
    pub units: u32,
}

impl Slot {
    /// The number of the unit after the last.
    pub(super) fn end(self) -> u32 {
        self.first.saturating_add(self.units)
    }

    /// Where it begins in a file with units of `unit_bytes`, in bytes.
    pub(super) fn offset(self, unit_bytes: usize) -> u64 {
        u64::from(self.first) * unit_bytes as u64
    }

    /// The first `units` of it, and the others.
    pub(super) fn split(self, units: u32) -> (Self, Self) {
        let units = units.min(self.units);
        let rest = Self { first: self.first + units, units: self.units - units };
        (Self { units, ..self }, rest)
    }

    /// The words that have bits of it, and which.
    fn masks(self) -> impl Iterator<Item = (usize, u64)> {
        let words = self.first / WORD_UNITS..self.end().div_ceil(WORD_UNITS);
        words.map(move |word| {
            let start = word * WORD_UNITS;
            let from = self.first.saturating_sub(start);
            let to = (self.end() - start).min(WORD_UNITS);
            (word as usize, u64::MAX >> (WORD_UNITS - (to - from)) << from)
        })
    }
}

/// The lengths of the runs of one stretch.
#[derive(Clone, Copy, Default, PartialEq)]
struct Stretch {
    head: u32,
    longest: u32,
    tail: u32,
}

impl Stretch {
    /// Two stretches of `units` each, side by side.
    fn join(left: Self, right: Self, units: u32) -> Self {
        let reach = |first: u32, beyond: u32| if first == units { units + beyond } else { first };
        Self {
            head: reach(left.head, right.head),
            longest: left.longest.max(right.longest).max(left.tail + right.head),
            tail: reach(right.tail, left.tail),
        }
    }

    fn of_leaf(words: &[u64]) -> Self {
        let mut head = None;
        let (mut longest, mut open) = (0, 0);
        for word in words {
            if *word == u64::MAX {
                open += WORD_UNITS;
                continue;
            }
            open += word.trailing_ones();
            head.get_or_insert(open);
            longest = open.max(longest).max(longest_inside(*word, longest));
            open = word.leading_ones();
        }
        Self { head: head.unwrap_or(open), longest: longest.max(open), tail: open }
    }
}

/// The longest run of a word, if it is longer than `known`.
fn longest_inside(word: u64, known: u32) -> u32 {
    let mut units = known;
    // Where runs of one unit more than `units` begin.
    while units < word.count_ones() && starts(word, units + 1) != 0 {
        units += 1;
    }
    units
}

/// The units of a word at which at least `units` of it begin, from 1 to 64.
fn starts(word: u64, units: u32) -> u64 {
    let (mut starts, mut seen) = (word, 1);
    while seen < units {
        let more = seen.min(units - seen);
        starts &= starts >> more;
        seen += more;
    }
    starts
}

/// # Invariants
///
/// - There are `leaves` leaves, a power of two, with `LEAF_WORDS` of the words each.
/// - Of the tree, `1` is the root, the children of `n` are `2 n` and `2 n + 1`, and the leaves
///   begin at `leaves`.
pub(super) struct Runs {
    words: Vec<u64>,
    tree: Vec<Stretch>,
    leaves: usize,
    count: u32,
}

impl Runs {
    pub(super) fn new() -> Self {
        let (words, tree) = (vec![0; LEAF_WORDS], vec![Stretch::default(); 2]);
        Self { words, tree, leaves: 1, count: 0 }
    }

    /// How many units are in the set.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The units of the longest run.
    pub(super) fn longest(&self) -> u32 {
        self.tree[1].longest
    }

    /// Whether a unit of `slot` is in the set.
    pub(super) fn touches(&self, slot: Slot) -> bool {
        slot.masks().any(|(word, mask)| self.words.get(word).is_some_and(|it| it & mask != 0))
    }

    /// Adds the units of `slot`, none of which is there.
    pub(super) fn insert(&mut self, slot: Slot) {
        self.fit(slot.end());
        for (word, mask) in slot.masks() {
            debug_assert!(self.words[word] & mask == 0);
            self.words[word] |= mask;
        }
        self.count += slot.units;
        self.refresh(slot);
    }

    /// Takes the units of `slot` out, all of which are there.
    pub(super) fn remove(&mut self, slot: Slot) {
        for (word, mask) in slot.masks() {
            debug_assert!(self.words[word] & mask == mask);
            self.words[word] &= !mask;
        }
        self.count -= slot.units;
        self.refresh(slot);
    }

    /// Where the first run of at least `units` begins.
    pub(super) fn first(&self, units: u32) -> Option<u32> {
        if units == 0 || self.longest() < units {
            return None;
        }
        let (mut node, mut start, mut span) = (1, 0, self.span());
        while node < self.leaves {
            span /= 2;
            let [left, right] = [self.tree[2 * node], self.tree[2 * node + 1]];
            if left.longest >= units {
                node *= 2;
            } else if left.tail + right.head >= units {
                return Some(start + span - left.tail);
            } else {
                (node, start) = (2 * node + 1, start + span);
            }
        }
        let mut open = 0;
        for word in self.leaf(node - self.leaves) {
            if open + word.trailing_ones() >= units {
                return Some(start - open);
            }
            let inside = if units <= WORD_UNITS { starts(*word, units) } else { 0 };
            if inside != 0 {
                return Some(start + inside.trailing_zeros());
            }
            open = if *word == u64::MAX { open + WORD_UNITS } else { word.leading_ones() };
            start += WORD_UNITS;
        }
        None
    }

    /// The last run of at least `units`, the whole of it.
    pub(super) fn last(&self, units: u32) -> Option<Slot> {
        if units == 0 || self.longest() < units {
            return None;
        }
        let (mut node, mut start, mut span) = (1, 0, self.span());
        while node < self.leaves {
            span /= 2;
            let [left, right] = [self.tree[2 * node], self.tree[2 * node + 1]];
            if right.longest >= units {
                (node, start) = (2 * node + 1, start + span);
            } else if left.tail + right.head >= units {
                return Some(self.around(start + span - left.tail));
            } else {
                node *= 2;
            }
        }
        let mut open = 0;
        for word in self.leaf(node - self.leaves).iter().rev() {
            if open + word.leading_ones() >= units {
                return Some(self.around(start + span - word.leading_ones()));
            }
            let inside = if units <= WORD_UNITS { starts(*word, units) } else { 0 };
            if let Some(last) = inside.checked_ilog2() {
                return Some(self.around(start + span - WORD_UNITS + last));
            }
            open = if *word == u64::MAX { open + WORD_UNITS } else { word.trailing_ones() };
            span -= WORD_UNITS;
        }
        None
    }

    /// The whole run that `unit` is in.
    fn around(&self, unit: u32) -> Slot {
        let (mut first, mut end) = (unit, unit);
        while let Some(last) = first.checked_sub(1) {
            // The units of its word up to `last`, which is brought to the highest bit.
            let units = last % WORD_UNITS + 1;
            let inside = (self.word(last) << (WORD_UNITS - units)).leading_ones();
            first -= inside;
            if inside < units {
                break;
            }
        }
        loop {
            let inside = (self.word(end) >> (end % WORD_UNITS)).trailing_ones();
            end += inside;
            if inside == 0 || end % WORD_UNITS != 0 {
                return Slot { first, units: end - first };
            }
        }
    }

    /// The word that `unit` is in.
    fn word(&self, unit: u32) -> u64 {
        self.words.get((unit / WORD_UNITS) as usize).copied().unwrap_or_default()
    }

    /// The units that the tree spans.
    fn span(&self) -> u32 {
        // As many as `UNITS_MAX` at most, by `fit`.
        u32::try_from(self.leaves).unwrap_or(u32::MAX).saturating_mul(LEAF_UNITS)
    }

    /// The words of a leaf.
    fn leaf(&self, leaf: usize) -> &[u64] {
        &self.words[leaf * LEAF_WORDS..][..LEAF_WORDS]
    }

    /// Makes room for the units before `end`.
    fn fit(&mut self, end: u32) {
        assert!(end <= UNITS_MAX, "{end} units are more than {UNITS_MAX}");
        if end <= self.span() {
            return;
        }
        // INVARIANT: the leaves are a power of two, and words and tree grow with them.
        self.leaves = (end.div_ceil(LEAF_UNITS) as usize).next_power_of_two();
        self.words.resize(self.leaves * LEAF_WORDS, 0);
        self.tree = vec![Stretch::default(); 2 * self.leaves];
        self.refresh(Slot { first: 0, units: self.span() });
    }

    /// Brings the tree up to date above `slot`, whose bits have changed.
    fn refresh(&mut self, slot: Slot) {
        let Some(last) = slot.units.checked_sub(1).map(|units| slot.first + units) else { return };
        let leaf = |unit: u32| (unit / LEAF_UNITS) as usize;
        let (mut from, mut to) = (leaf(slot.first), leaf(last));
        for at in from..=to {
            self.tree[self.leaves + at] = Stretch::of_leaf(self.leaf(at));
        }
        (from, to) = (from + self.leaves, to + self.leaves);
        let mut span = LEAF_UNITS;
        while from > 1 {
            (from, to) = (from / 2, to / 2);
            let mut is_as_before = true;
            for node in from..=to {
                let [left, right] = [self.tree[2 * node], self.tree[2 * node + 1]];
                let joined = Stretch::join(left, right, span);
                is_as_before &= self.tree[node] == joined;
                self.tree[node] = joined;
            }
            // Then so is what is above.
            if is_as_before {
                return;
            }
            span *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The runs of `units`, from the first on.
    fn runs(units: &BTreeSet<u32>) -> Vec<Slot> {
        let mut runs: Vec<Slot> = Vec::new();
        for unit in units {
            match runs.last_mut() {
                Some(last) if last.end() == *unit => last.units += 1,
                _ => runs.push(Slot { first: *unit, units: 1 }),
            }
        }
        runs
    }

    fn assert_same(set: &Runs, model: &BTreeSet<u32>) {
        let runs = runs(model);
        let longest = runs.iter().map(|run| run.units).max().unwrap_or(0);
        assert_eq!((set.count() as usize, set.longest()), (model.len(), longest));
        for units in [1, 2, 3, 63, 64, 65, 511, 512, 513, 1024, longest, longest + 1] {
            let enough = |run: &&Slot| run.units >= units && units > 0;
            let first = runs.iter().find(enough).map(|run| run.first);
            assert_eq!(set.first(units), first, "the first of {units}");
            assert_eq!(set.last(units), runs.iter().rev().find(enough).copied(), "of {units}");
        }
    }

    /// Where runs begin and how long they are: often at the edge of a word or a leaf.
    fn slot() -> impl Strategy<Value = Slot> {
        let edge = prop_oneof![Just(1_u32), Just(64), Just(512), Just(1024)];
        let first = (edge, 0..8_u32, 0..3_u32)
            .prop_map(|(edge, times, off)| (edge * times + off).saturating_sub(1));
        let units = prop_oneof![1..4_u32, 60..70_u32, 500..520_u32, Just(1024), Just(1700)];
        (first, units).prop_map(|(first, units)| Slot { first, units })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_finds_what_a_plain_set_finds(steps in prop::collection::vec(slot(), 1..40)) {
            let (mut set, mut model) = (Runs::new(), BTreeSet::new());
            for slot in steps {
                let inside = (slot.first..slot.end()).filter(|unit| model.contains(unit)).count();
                assert_eq!(set.touches(slot), inside > 0);
                match inside {
                    0 => {
                        set.insert(slot);
                        model.extend(slot.first..slot.end());
                    }
                    all if all == slot.units as usize => {
                        set.remove(slot);
                        model.retain(|unit| !(slot.first..slot.end()).contains(unit));
                    }
                    _ => {
                        // The part that is in the set goes, the other comes.
                        for unit in slot.first..slot.end() {
                            let one = Slot { first: unit, units: 1 };
                            if model.remove(&unit) {
                                set.remove(one);
                            } else {
                                set.insert(one);
                                model.insert(unit);
                            }
                        }
                    }
                }
                assert_same(&set, &model);
            }
        }
    }

    #[test]
    fn a_run_over_everything_is_one_run() {
        let mut set = Runs::new();
        set.insert(Slot { first: 0, units: 512 * 5 });
        assert_eq!((set.longest(), set.first(512 * 5)), (512 * 5, Some(0)));
        assert_eq!(set.last(1), Some(Slot { first: 0, units: 512 * 5 }));
        set.remove(Slot { first: 1023, units: 2 });
        assert_eq!((set.longest(), set.first(1024)), (512 * 5 - 1025, Some(1025)));
        assert_eq!(set.first(1023), Some(0));
    }
}
