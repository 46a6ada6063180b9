//! Sequences of calls to the C ABI, with handles of all sorts, against a plain model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::abi::Input;

fuzz_target!(|input: Input| offheap_fuzz::abi::run(&input));
