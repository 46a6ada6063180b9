//! Foreign code that panics: reclaimers, policies, callbacks, wakers and listeners.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::base::sync::{assert_nothing_is_held, is_out_of_order};

/// Makes a call into foreign code, with nothing locked; `None` if it panics, whatever the payload.
/// The panic's message was printed by then.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    assert_nothing_is_held("foreign code");
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Some(answer),
        // A bug of ours, which is not to pass for one of the caller's.
        Err(payload) if is_out_of_order(&*payload) => resume_unwind(payload),
        Err(payload) => {
            // A payload that is no message may panic again when it is dropped, so it never is.
            if !payload.is::<&str>() && !payload.is::<String>() {
                mem::forget(payload);
            }
            None
        }
    }
}
