//! Long sequences from seeds: the same operations and models, without a fuzzer that steers.

use crate::bytes::{decoded, random_bytes};
use crate::operators::{Input, Op};
use crate::{managers, spill};

/// A sequence of calls to a manager, of a thousand to some hundred thousands of calls.
pub(crate) fn calls(seed: u64) -> u64 {
    let length = 16384 << (seed % 8);
    let Some(mut input) = decoded::<managers::Input>(&random_bytes(seed, length)) else { return 0 };
    let ops = input.ops.into_iter().enumerate();
    input.ops = ops.map(|(index, op)| op.tamed(index)).collect();
    managers::run(&input)
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

/// Some thousand rows. One in four sequences has a file that is damaged, and as many have one that
/// may not grow for ever; in half of them nobody takes memory from the operator.
pub(crate) fn operators(seed: u64, run: fn(&Input) -> u64) -> u64 {
    let Some(mut input) = decoded::<Input>(&random_bytes(seed, 2048)) else { return 0 };
    if seed % 4 != 1 {
        input.file_pages = 0;
    }
    let mut damages = 0;
    let count = input.ops.len();
    let mut index = 0;
    input.ops.retain(|op| {
        index += 1;
        match op {
            Op::EndBuild => index > count / 3,
            Op::Finish => index > count * 2 / 3,
            Op::Interrupt => seed % 16 == 5 && index > count / 2,
            Op::Damage { .. } => {
                damages += 1;
                seed % 4 == 3 && damages % 8 == seed / 4 % 8
            }
            Op::Take { .. } => seed % 8 < 4,
            _ => true,
        }
    });
    run(&input)
}
