//! Checks the text of the code: what a review would say twice, these tests say once.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

mod argued;
mod circles;
mod crates;
mod house;
mod impls;
mod locks;
mod prose;
mod resolve;
mod scan;
mod source;
mod text;
mod words;

/// Fails with all complaints at once.
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
