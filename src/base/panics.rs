//! Calls of what is foreign: reclaimers, policies, callbacks and wakers.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Makes a call of what is foreign; `None` if it panics, whatever it panics with. The message was
/// printed.
pub(crate) fn shielded<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            // What is no message may panic again when it is dropped, so that never happens.
            if !payload.is::<&str>() && !payload.is::<String>() {
                mem::forget(payload);
            }
            None
        }
    }
}
