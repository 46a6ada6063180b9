//! The front of a key: enough to see of most other keys that they do not come before it.

/// Longer keys are known by so many bytes.
const FRONT_BYTES_MAX: usize = 256;

/// The front of a key, or all of it. One that is before another is of a key that is not after the
/// other's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sort) struct Front {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Front {
    pub(in crate::sort) fn of(key: &[u8]) -> Self {
        let bytes = &key[..key.len().min(FRONT_BYTES_MAX)];
        Self { bytes: bytes.to_vec(), is_cut: bytes.len() < key.len() }
    }

    /// Whether `key` is equal to that of the front or comes after it. Where the front does not
    /// tell, the answer is no.
    pub(in crate::sort) fn is_at_most(&self, key: &[u8]) -> bool {
        match self.is_cut {
            false => self.bytes.as_slice() <= key,
            true => self.bytes.as_slice() < &key[..key.len().min(FRONT_BYTES_MAX)],
        }
    }

    /// The same for keys that come after it.
    pub(in crate::sort) fn is_before(&self, key: &[u8]) -> bool {
        self.is_at_most(key) && self.bytes.as_slice() != key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_order_of_keys_or_nothing() {
        let long = |last: &[u8]| [&[1; FRONT_BYTES_MAX - 1], last].concat();
        let keys = [
            vec![],
            vec![0],
            vec![1],
            vec![1; FRONT_BYTES_MAX - 1],
            long(&[0]),
            long(&[1]),
            long(&[1, 0]),
            long(&[1, 2]),
            long(&[2]),
            vec![2],
        ];
        for first in &keys {
            for second in &keys {
                let says = Front::of(first).is_at_most(second);
                let can_tell = first.len() <= FRONT_BYTES_MAX || !second.starts_with(&long(&[1]));
                assert_eq!(says, can_tell && first <= second, "{first:?} {second:?}");
                let says = Front::of(first).is_before(second);
                assert_eq!(says, can_tell && first < second, "{first:?} {second:?}");
                assert!(Front::of(first) >= Front::of(second) || first <= second);
            }
        }
    }
}
