//! What a process keeps resident can only be tested in a process of its own.
#![cfg(target_os = "linux")]

use rivals::columns::residency::observe;
use rivals::rows::block_rows;
use rivals::sizes::Sizes;
use rivals::work::blocks::Live;

#[test]
fn what_is_touched_and_live_is_resident() {
    let live = Live { mib: 64, sizes: Sizes::PowersOfTwo };
    let mappings = block_rows().len() - 1; // they keep nothing
    let residency = observe(mappings, live, 50).unwrap();
    assert!((0.95..1.1).contains(&residency.mean), "{residency:?}");
    assert!(residency.peak >= residency.mean);
}
