//! Every example builds, runs in a folder on a disk, ends well, and says what it is to show.

use offheap_test_support::Examples;

const EXAMPLES: Examples = Examples {
    package: env!("CARGO_MANIFEST_DIR"),
    names: &["paged_map", "cache_gives_way"],
    lines_max: 119,
};

/// Each example, and parts of what it prints.
const SHOWN: [(&str, &[&str]); 2] = [
    (
        "paged_map",
        &[
            "16500 of 16500 keys have their value, and another key has none: true\n",
            "11 times the memory, of 131072 bytes\n",
        ],
    ),
    (
        "cache_gives_way",
        &[
            "64 blobs, 12 MiB of them in memory\n",
            "the query has 10 MiB, the cache ",
            "meanwhile 64 blobs are as they were\n",
            "the cache has 12 MiB again\n64 blobs are as they were\n",
        ],
    ),
];

#[test]
fn every_example_shows_what_it_is_to_show() {
    assert_eq!(SHOWN.map(|(name, _)| name), EXAMPLES.names);
    for (name, parts) in SHOWN {
        let told = EXAMPLES.run(name, "", env!("CARGO_TARGET_TMPDIR"));
        for part in parts {
            assert!(told.contains(part), "{name} does not say {part:?}:\n{told}");
        }
    }
}

#[test]
fn every_example_is_run_and_short_and_says_what_one_learns() {
    EXAMPLES.check();
}
