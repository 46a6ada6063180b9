//! Trees of bits: whoever clears a bit reads again, whoever fills a word always sets it.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{ChunkIndex, SetIndex, Summary};
use offheap_loom_tests::check;

const SET: SetIndex = SetIndex(0);

/// Goal: while one thread empties a word and clears the bits above it, another one that files a
/// chunk in the same word is found afterwards.
#[test]
fn a_chunk_filed_in_a_word_that_runs_empty_is_found() {
    check(|| {
        let summary = Arc::new(Summary::new(1, 65));
        summary.insert(SET, ChunkIndex::new(0));
        let other = {
            let summary = Arc::clone(&summary);
            thread::spawn(move || summary.remove(SET, ChunkIndex::new(0)))
        };
        summary.insert(SET, ChunkIndex::new(1));
        other.join().unwrap();
        assert_eq!(summary.first(SET), Some(ChunkIndex::new(1)));
    });
}

/// Goal: two threads that empty and fill one word, each for its own chunk, end with the one that
/// is still filed.
#[test]
fn a_search_that_clears_stale_bits_loses_nothing() {
    check(|| {
        let summary = Arc::new(Summary::new(1, 65));
        let other = {
            let summary = Arc::clone(&summary);
            thread::spawn(move || {
                summary.insert(SET, ChunkIndex::new(64));
                summary.remove(SET, ChunkIndex::new(64));
                summary.insert(SET, ChunkIndex::new(64));
            })
        };
        let _ = summary.first(SET);
        other.join().unwrap();
        assert_eq!(summary.first(SET), Some(ChunkIndex::new(64)));
    });
}
