//! Owners that wait in line, against the model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offheap_fuzz::waiting::{Input, run};

fuzz_target!(|input: Input| run(&input));
