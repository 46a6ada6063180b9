//! Trees of bits: who clears a bit reads again, who fills a word always sets it.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{ChunkIndex, SetIndex, Summary};
use offheap_loom_tests::check;

const SET: SetIndex = SetIndex(0);

/// Two words under a root, and nine under one more below the root.
const CHUNKS: [u32; 2] = [65, 513];

/// Goal: while one thread empties a word and clears the bits above it, another one that files a
/// chunk in the same word, or beside it, is found afterwards.
#[test]
fn a_chunk_filed_in_a_word_that_runs_empty_is_found() {
    for (chunks, filed) in CHUNKS.into_iter().flat_map(|chunks| [(chunks, 1), (chunks, 64)]) {
        check(move || {
            let summary = Arc::new(Summary::new(1, chunks));
            summary.insert(SET, ChunkIndex::new(0));
            let other = {
                let summary = Arc::clone(&summary);
                thread::spawn(move || summary.remove(SET, ChunkIndex::new(0)))
            };
            summary.insert(SET, ChunkIndex::new(filed));
            other.join().unwrap();
            assert_eq!(summary.first(SET), Some(ChunkIndex::new(filed)));
            assert_eq!(summary.first_set(0, 0), Some(SET));
        });
    }
}

/// Goal: two threads that empty and fill one word, each for its own chunk, end with the one that
/// is still filed.
#[test]
fn a_search_that_clears_stale_bits_loses_nothing() {
    for chunks in CHUNKS {
        check(move || {
            let summary = Arc::new(Summary::new(1, chunks));
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
            assert!(summary.contains(SET, ChunkIndex::new(64)));
        });
    }
}
