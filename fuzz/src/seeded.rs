//! Long sequences from seeds: the same operations and models, without a fuzzer that steers.

use crate::targets::decoded;
use crate::{Input, run, spill};

/// Bytes for an input, from a seed (splitmix64, Steele et al., OOPSLA 2014).
#[must_use]
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    let mut bytes: Vec<u8> = words.take(length.div_ceil(8)).flat_map(u64::to_le_bytes).collect();
    bytes.truncate(length);
    bytes
}

/// A sequence of calls to a manager, of a thousand to some hundred thousands of calls.
pub(crate) fn managers(seed: u64) -> u64 {
    let length = 16384 << (seed % 8);
    let Some(mut input) = decoded::<Input>(&random_bytes(seed, length)) else { return 0 };
    let ops = input.ops.into_iter().enumerate();
    input.ops = ops.map(|(index, op)| op.tamed(index)).collect();
    run(&input)
}

/// A sort of hundreds to thousands of rows. Every other one is of a file that nothing happens to,
/// and the others are damaged once or a few times.
pub(crate) fn sorts(seed: u64) -> u64 {
    let Some(mut input) = decoded::<spill::Input>(&random_bytes(seed, 2048)) else { return 0 };
    let last = input.ops.len() / 2;
    let (mut index, mut damages) = (0, 0);
    input.ops.retain(|op| {
        index += 1;
        match op {
            spill::Op::Finish => index > last,
            spill::Op::Damage { .. } => {
                damages += 1;
                seed % 2 == 1 && damages % 16 == seed / 2 % 16
            }
            _ => true,
        }
    });
    spill::run(&input)
}
