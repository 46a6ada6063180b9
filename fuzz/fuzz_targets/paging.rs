//! Pages that may lie in a file, whose calls fail, against a plain map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::{Target, ledger};

fuzz_target!(|bytes: &[u8]| ledger::run_guided(Target::Paging, bytes));
