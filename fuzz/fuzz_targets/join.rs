//! Joins beside others, against loops over both sides.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::{Target, ledger};

fuzz_target!(|bytes: &[u8]| ledger::run_guided(Target::Join, bytes));
