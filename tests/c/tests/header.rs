//! The header that is checked in is the one that belongs to the code.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::{env, fs};

/// Set it to write the header instead of comparing it.
const WRITE: &str = "OFFHEAP_WRITE_HEADER";

#[test]
fn the_header_is_that_of_the_code() {
    let path = offheap_c_tests::root().join("include/offheap.h");
    let header = offheap_c_tests::header().unwrap();
    if env::var_os(WRITE).is_some() {
        fs::write(&path, &header).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    let differs = (1..).zip(header.lines().zip(checked_in.lines())).find(|(_, (a, b))| a != b);
    assert!(
        header == checked_in,
        "include/offheap.h is stale, from {differs:?} on: run \
         {WRITE}=1 cargo test -p offheap-c-tests --test header"
    );
}
