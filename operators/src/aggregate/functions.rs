//! What becomes of the rows of a group.

/// Folds the rows of a group into a state of a fixed size, which begins at a multiple of eight
/// bytes. A tuple of some is one that does all of them, side by side.
pub trait Aggregate {
    /// The bytes of a state.
    fn state_bytes(&self) -> usize;

    /// Makes `state`, which contains anything, that of a group without rows: all zeros, if nothing
    /// else is said.
    fn init(&self, state: &mut [u8]) {
        state.fill(0);
    }

    /// Adds a row.
    fn update(&self, state: &mut [u8], input: &[u8]);

    /// Adds the rows that `other` has.
    fn merge(&self, state: &mut [u8], other: &[u8]);
}

/// No state: the groups are the distinct keys. To count the distinct values of each group, hand
/// group and value as a key to one aggregation, and its groups to another one that counts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Distinct;

/// The rows of a group.
#[derive(Clone, Copy, Default, Debug)]
pub struct Count;

/// The sum of the numbers at one place of the input, as an `i128`: that of 2^64 of them fits.
#[derive(Clone, Copy, Debug)]
pub struct Sum(pub Column);

/// The least of the numbers at one place of the input.
#[derive(Clone, Copy, Debug)]
pub struct Min(pub Column);

/// The largest of the numbers at one place of the input.
#[derive(Clone, Copy, Debug)]
pub struct Max(pub Column);

/// Sum and number of the numbers at one place of the input.
#[derive(Clone, Copy, Debug)]
pub struct Average(pub Column);

/// A number in the input: the little-endian `i64` that begins at this byte. An input that is
/// shorter has none, as a null: then the row counts for nothing but [`Count`].
#[derive(Clone, Copy, Debug)]
pub struct Column(pub usize);

impl Column {
    #[inline]
    fn of(self, input: &[u8]) -> Option<i64> {
        Some(i64::from_le_bytes(*input.get(self.0..)?.first_chunk()?))
    }
}

impl Count {
    /// The rows of the group with this state.
    #[must_use]
    pub fn value(&self, state: &[u8]) -> u64 {
        state.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl Sum {
    /// The sum of the group with this state.
    #[must_use]
    pub fn value(&self, state: &[u8]) -> i128 {
        wide(state)
    }
}

impl Average {
    /// The sum of the group with this state, and of how many numbers it is.
    #[must_use]
    pub fn value(&self, state: &[u8]) -> (i128, u64) {
        (wide(state), Count.value(state.get(16..).unwrap_or_default()))
    }
}

impl Aggregate for Distinct {
    fn state_bytes(&self) -> usize {
        0
    }

    fn update(&self, _: &mut [u8], _: &[u8]) {}

    fn merge(&self, _: &mut [u8], _: &[u8]) {}
}

impl Aggregate for Count {
    fn state_bytes(&self) -> usize {
        8
    }

    #[inline]
    fn update(&self, state: &mut [u8], _: &[u8]) {
        let count = self.value(state) + 1;
        state[..8].copy_from_slice(&count.to_le_bytes());
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        let count = self.value(state) + self.value(other);
        state[..8].copy_from_slice(&count.to_le_bytes());
    }
}

impl Aggregate for Sum {
    fn state_bytes(&self) -> usize {
        16
    }

    #[inline]
    fn update(&self, state: &mut [u8], input: &[u8]) {
        if let Some(number) = self.0.of(input) {
            add(state, i128::from(number));
        }
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        add(state, wide(other));
    }
}

impl Aggregate for Average {
    fn state_bytes(&self) -> usize {
        24
    }

    #[inline]
    fn update(&self, state: &mut [u8], input: &[u8]) {
        if let Some(number) = self.0.of(input) {
            add(state, i128::from(number));
            Count.update(&mut state[16..], &[]);
        }
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        add(state, wide(other));
        Count.merge(&mut state[16..], &other[16..]);
    }
}

macro_rules! extreme {
    ($name:ident, $better:expr, $value:literal) => {
        impl $name {
            #[doc = $value]
            #[must_use]
            pub fn value(&self, state: &[u8]) -> Option<i64> {
                some(state)
            }
        }

        impl Aggregate for $name {
            fn state_bytes(&self) -> usize {
                16
            }

            #[inline]
            fn update(&self, state: &mut [u8], input: &[u8]) {
                choose(state, self.0.of(input), $better);
            }

            fn merge(&self, state: &mut [u8], other: &[u8]) {
                choose(state, some(other), $better);
            }
        }
    };
}

extreme!(Min, i64::min, "The least number of the group with this state; `None` if it has none.");
extreme!(Max, i64::max, "The largest number of the group with this state; `None` if it has none.");

/// Adds to the sum that a state begins with.
fn add(state: &mut [u8], number: i128) {
    let sum = wide(state).wrapping_add(number);
    state[..16].copy_from_slice(&sum.to_le_bytes());
}

fn wide(state: &[u8]) -> i128 {
    state.first_chunk().map_or(0, |bytes| i128::from_le_bytes(*bytes))
}

/// The number of a state of a number and of whether there is one.
fn some(state: &[u8]) -> Option<i64> {
    let number = i64::from_le_bytes(*state.first_chunk()?);
    state.get(8).is_some_and(|has| *has == 1).then_some(number)
}

fn choose(state: &mut [u8], number: Option<i64>, better: fn(i64, i64) -> i64) {
    let Some(number) = number else { return };
    let best = some(state).map_or(number, |best| better(best, number));
    state[..8].copy_from_slice(&best.to_le_bytes());
    state[8] = 1;
}

/// Where the next state begins after one of so many bytes.
const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

macro_rules! tuple {
    ($($name:ident $at:tt),+) => {
        impl<$($name: Aggregate),+> Aggregate for ($($name,)+) {
            fn state_bytes(&self) -> usize {
                0 $(+ padded(self.$at.state_bytes()))+
            }

            fn init(&self, state: &mut [u8]) {
                let mut rest = state;
                $({
                    let bytes = self.$at.state_bytes();
                    let (own, others) = rest.split_at_mut(padded(bytes));
                    self.$at.init(&mut own[..bytes]);
                    // What lay there before is nobody's business.
                    own[bytes..].fill(0);
                    rest = others;
                })+
                let _ = rest;
            }

            #[inline]
            fn update(&self, state: &mut [u8], input: &[u8]) {
                let mut rest = state;
                $({
                    let bytes = self.$at.state_bytes();
                    let (own, others) = rest.split_at_mut(padded(bytes));
                    self.$at.update(&mut own[..bytes], input);
                    rest = others;
                })+
                let _ = rest;
            }

            fn merge(&self, state: &mut [u8], other: &[u8]) {
                let (mut rest, mut theirs) = (state, other);
                $({
                    let bytes = self.$at.state_bytes();
                    let (own, others) = rest.split_at_mut(padded(bytes));
                    let (their, their_others) = theirs.split_at(padded(bytes));
                    self.$at.merge(&mut own[..bytes], &their[..bytes]);
                    (rest, theirs) = (others, their_others);
                })+
                let _ = (rest, theirs);
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);

/// An aggregate by reference does the same.
impl<A: Aggregate + ?Sized> Aggregate for &A {
    fn state_bytes(&self) -> usize {
        (**self).state_bytes()
    }

    fn init(&self, state: &mut [u8]) {
        (**self).init(state);
    }

    fn update(&self, state: &mut [u8], input: &[u8]) {
        (**self).update(state, input);
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        (**self).merge(state, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(aggregate: &impl Aggregate, numbers: &[i64]) -> Vec<u8> {
        let mut state = vec![0xff; aggregate.state_bytes()];
        aggregate.init(&mut state);
        numbers.iter().for_each(|number| aggregate.update(&mut state, &number.to_le_bytes()));
        state
    }

    #[test]
    fn states_merge_to_that_of_all_rows() {
        let all = (Count, Sum(Column(0)), Min(Column(0)), Max(Column(0)), Average(Column(0)));
        let numbers = [5, -7, i64::MAX, i64::MAX, 0];
        for cut in 0..=numbers.len() {
            let (front, back) = numbers.split_at(cut);
            let mut merged = state(&all, front);
            all.merge(&mut merged, &state(&all, back));
            assert_eq!(merged, state(&all, &numbers), "{cut}");
        }
        let state = state(&all, &numbers);
        let sum = i128::from(i64::MAX) * 2 - 2;
        assert_eq!(Count.value(&state), 5);
        assert_eq!(all.1.value(&state[8..]), sum);
        assert_eq!(all.2.value(&state[24..]), Some(-7));
        assert_eq!(all.3.value(&state[40..]), Some(i64::MAX));
        assert_eq!(all.4.value(&state[56..]), (sum, 5));
    }

    #[test]
    fn what_is_between_states_is_zero() {
        #[derive(Debug)]
        struct Odd;
        impl Aggregate for Odd {
            fn state_bytes(&self) -> usize {
                3
            }

            fn update(&self, _: &mut [u8], _: &[u8]) {}

            fn merge(&self, _: &mut [u8], _: &[u8]) {}
        }
        assert_eq!(state(&(Odd, Count, Odd), &[]), [0; 24]);
    }

    #[test]
    fn an_input_without_the_number_counts_only_as_a_row() {
        let all = (Count, Min(Column(4)), Average(Column(4)));
        let mut state = vec![0; all.state_bytes()];
        all.init(&mut state);
        all.update(&mut state, &[1; 11]);
        assert_eq!(Count.value(&state), 1);
        assert_eq!(all.1.value(&state[8..]), None);
        assert_eq!(all.2.value(&state[24..]), (0, 0));
    }
}
