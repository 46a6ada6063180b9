//! How many mappings a process may have.

use std::sync::OnceLock;

/// What the kernel allows unless it is told otherwise.
const MAPPINGS_MAX: u64 = 65_530;

/// The mappings that the system allows a process (`vm.max_map_count`), read once.
pub(crate) fn mappings_max() -> u64 {
    static MAX: OnceLock<u64> = OnceLock::new();
    *MAX.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(MAPPINGS_MAX)
    })
}
