//! Sequences of calls to the C ABI, with handles of all sorts, against a plain model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::{Target, ledger};

fuzz_target!(|bytes: &[u8]| ledger::run_guided(Target::Abi, bytes));
