//! Sorts whose spill file is damaged, against the standard library's sort.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::{Target, ledger};

fuzz_target!(|bytes: &[u8]| ledger::run_guided(Target::Spill, bytes));
