//! Replays the committed corpus, and seeded random input, without a fuzzer.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::fs;
use std::path::Path;

use offheap_fuzz::{Target, random_bytes};

/// Runs what is in the corpus of a target; the number of calls.
fn replay(target: Target) -> u64 {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name());
    let inputs = fs::read_dir(corpus).unwrap();
    inputs.map(|input| target.run_bytes(&fs::read(input.unwrap().path()).unwrap())).sum()
}

/// Runs bytes at random, as a fuzzer would at first; the number of calls.
fn run_random(target: Target, inputs: u64, input_bytes: usize) -> u64 {
    (0..inputs).map(|seed| target.run_bytes(&random_bytes(seed, input_bytes))).sum()
}

#[test]
fn the_corpus_agrees_with_the_models() {
    for target in Target::ALL {
        let calls = replay(target);
        assert!(calls > 500, "{}: a corpus of {calls} calls is no corpus", target.name());
    }
}

#[test]
fn random_bytes_agree_with_the_models() {
    for target in Target::ALL {
        let calls = run_random(target, 200, 2048);
        assert!(calls > 5000, "{}: only {calls} calls", target.name());
    }
}

#[test]
fn seeded_sequences_agree_with_the_models() {
    for target in Target::ALL {
        // Those of short sequences.
        let seeds = [0, 1, 8, 9, 16, 17];
        let calls: u64 = seeds.into_iter().map(|seed| target.run_seed(seed)).sum();
        assert!(calls > 500, "{}: only {calls} calls", target.name());
    }
}
