//! Whether a thread of the library's looks again after a pause although nothing has woken it.
//!
//! It never has to: whatever can change its mind wakes it. A net is for a bug in that, which then
//! costs a pause and not a request that waits for ever. It also hides such a bug. So there is none
//! in debug builds, where tests run, nor with `--cfg offheap_no_safety_nets`.

use std::time::Duration;

/// How long a thread sleeps at most while others wait for what it decides; `None` without a net.
pub(crate) const fn sleeps_at_most() -> Option<Duration> {
    if cfg!(any(debug_assertions, offheap_no_safety_nets)) {
        None
    } else {
        Some(Duration::from_secs(1))
    }
}
