//! Replays the committed corpus, and seeded random input, without a fuzzer.

use std::fs;
use std::io;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use offheap_fuzz::{Input, abi, run, waiting};

/// Bytes for a fuzz input, from a seed (splitmix64, Steele et al., OOPSLA 2014).
fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

fn run_bytes(bytes: &[u8]) -> usize {
    match Input::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(input) => {
            run(&input);
            input.ops.len()
        }
        Err(_) => 0,
    }
}

fn run_abi_bytes(bytes: &[u8]) -> usize {
    match abi::Input::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(input) => {
            abi::run(&input);
            input.ops.len()
        }
        Err(_) => 0,
    }
}

/// What is in the corpus of a target.
fn corpus(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::read_dir(corpus)?.map(|entry| fs::read(entry?.path())).collect()
}

#[test]
fn the_corpus_agrees_with_the_model() {
    let ops: usize = corpus("managers").unwrap().iter().map(|bytes| run_bytes(bytes)).sum();
    assert!(ops > 1000, "a corpus of {ops} calls is no corpus");
}

#[test]
fn the_corpus_of_the_c_abi_agrees_with_the_model() {
    let ops: usize = corpus("abi").unwrap().iter().map(|bytes| run_abi_bytes(bytes)).sum();
    assert!(ops > 1000, "a corpus of {ops} calls is no corpus");
}

#[test]
fn random_calls_to_the_c_abi_agree_with_the_model() {
    let ops: usize = (0..300).map(|seed| run_abi_bytes(&random_bytes(seed, 4096))).sum();
    assert!(ops > 10_000, "only {ops} calls");
}

#[test]
fn random_sequences_agree_with_the_model() {
    let ops: usize = (0..300).map(|seed| run_bytes(&random_bytes(seed, 4096))).sum();
    assert!(ops > 10_000, "only {ops} calls");
}

fn wait_by_bytes(bytes: &[u8]) -> usize {
    match waiting::Input::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(input) => {
            waiting::run(&input);
            input.ops.len()
        }
        Err(_) => 0,
    }
}

#[test]
fn random_waits_agree_with_the_model() {
    let ops: usize = (0..300).map(|seed| wait_by_bytes(&random_bytes(seed, 1024))).sum();
    assert!(ops > 10_000, "only {ops} calls");
}
