//! Every example builds, runs without input, ends well, and says what it is to show.

use offheap_test_support::Examples;

const EXAMPLES: Examples = Examples {
    package: env!("CARGO_MANIFEST_DIR"),
    names: &[
        "quickstart",
        "spill_when_refused",
        "async_service",
        "polled_reclaim",
        "blocks_and_strategies",
        "metrics",
    ],
    lines_max: 99,
};

/// Each example, the features that it needs, and a part of what it prints.
const SHOWN: [(&str, &str, &str); 6] = [
    (
        "quickstart",
        "",
        "it holds 7143424 bytes of its limit of 8388608 bytes\nall memory is back\n",
    ),
    ("spill_when_refused", "", "60000 groups in 1048576 bytes, with "),
    ("async_service", "", " tasks served, "),
    ("polled_reclaim", "", "sorter: asked for 1048576 bytes, spills 32 pages\nquery: got 32 pages"),
    ("blocks_and_strategies", "", "but the largest free block has 65536 bytes"),
    ("metrics", "metrics", "offheap_owner_used_bytes{manager=\"main\",owner=\"sort\"} 524288\n"),
];

#[test]
fn every_example_shows_what_it_is_to_show() {
    assert_eq!(SHOWN.map(|(name, ..)| name), EXAMPLES.names);
    for (name, features, shown) in SHOWN {
        let told = EXAMPLES.run(name, features, "");
        assert!(told.contains(shown), "{name} does not say {shown:?}:\n{told}");
    }
}

#[test]
fn every_example_is_run_and_short_and_says_what_one_learns() {
    EXAMPLES.check();
}
