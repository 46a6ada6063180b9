//! Foreign code that panics: reclaimers, policies, callbacks, wakers and listeners.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Makes a call into foreign code; `None` if it panics, whatever the payload. The panic's message
/// was printed by then.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            // A payload that is no message may panic again when it is dropped, so it never is.
            if !payload.is::<&str>() && !payload.is::<String>() {
                mem::forget(payload);
            }
            None
        }
    }
}
