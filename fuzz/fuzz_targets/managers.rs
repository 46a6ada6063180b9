//! Sequences of calls to a manager and its owners, against a plain model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::Input;

fuzz_target!(|input: Input| offheap_fuzz::run(&input));
