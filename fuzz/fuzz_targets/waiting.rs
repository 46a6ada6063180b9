//! Owners that wait in line, against the model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::{Target, ledger};

fuzz_target!(|bytes: &[u8]| ledger::run_guided(Target::Waiting, bytes));
