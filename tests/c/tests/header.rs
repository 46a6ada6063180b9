//! The header that is checked in is the one that belongs to the code.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::{env, fs};

use offheap_c_tests::{MAY_BE_DROPPED, declared};

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

#[test]
fn a_status_has_to_be_looked_at_but_for_what_gives_back() {
    let header = offheap_c_tests::header().unwrap();
    let lines: Vec<&str> = header.lines().collect();
    let mut free = Vec::new();
    for pair in lines.windows(2) {
        let Some(name) = declared(pair[1]) else { continue };
        if pair[0] != "OFFHEAP_MUST_USE" {
            free.push(name);
        }
    }
    free.sort_unstable();
    let mut may_be_dropped = MAY_BE_DROPPED;
    may_be_dropped.sort_unstable();
    assert_eq!(free, may_be_dropped, "these exist, and nothing else is without the mark");
}

#[test]
fn the_version_is_that_of_the_library() {
    let manifest = fs::read_to_string(offheap_c_tests::root().join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    let header = offheap_c_tests::header().unwrap();
    assert!(header.contains(&format!("#define OFFHEAP_VERSION {version}\n")), "{version}");
    let numbers: Vec<&str> = version.trim_matches('"').splitn(3, '.').collect();
    for (part, number) in ["MAJOR", "MINOR", "PATCH"].iter().zip(numbers) {
        let line = format!("#define OFFHEAP_VERSION_{part} {number}\n");
        assert!(header.contains(&line), "{line}");
    }
}
