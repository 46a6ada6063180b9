//! Bytes, and the inputs that they stand for.

use arbitrary::{Arbitrary, Unstructured};
use offheap_test_support::Random;

/// Bytes for an input, from a seed.
#[must_use]
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    Random::new(seed).bytes(length)
}

/// The input that `bytes` stand for.
pub(crate) fn decoded<'a, Input: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<Input> {
    Input::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}
