//! What went wrong, and which version it was.

use std::ffi::{CStr, c_char};

use crate::base::error::{Reason, Refusal};

use super::convert::failure::{Failure, call, last_message, last_refusal};
use super::convert::pointers::OutRecord;
use super::convert::records::RefusalInfo;
use super::convert::status::Status;
use super::{OFFHEAP_ABI_VERSION, OFFHEAP_UNKNOWN};

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// The version of the ABI of the library that runs; OFFHEAP_ABI_VERSION is that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_abi_version() -> u32 {
    OFFHEAP_ABI_VERSION
}

/// The version of the library that runs, as a text.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The name of a status in this header, or "unknown" if the library has no such status.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_status_name(status: i32) -> *const c_char {
    Status::name_of(status).unwrap_or(c"unknown").as_ptr()
}

/// A sentence about the last call that failed on this thread. It says what was wanted, which number
/// or rule stood against it, and which owners hold the most. Empty if none failed; a call that
/// succeeds leaves it as it is. It is valid until the next call that fails on this thread, and
/// until the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_last_error_message() -> *const c_char {
    last_message()
}

/// The numbers of the last call that failed on this thread, if that was a request for memory that
/// was refused. Otherwise it fails with OFFHEAP_STATUS_INVALID_ARGUMENT, and what failed before is
/// forgotten.
///
/// # Safety
///
/// 1. `out_refusal` is NULL or points to a record whose size it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_last_refusal(out_refusal: *mut RefusalInfo) -> Status {
    call(|| {
        // SAFETY: 1 and 2: by the caller's contract, 1.
        let out = unsafe { OutRecord::new(out_refusal, "out_refusal") }?;
        let info = last_refusal(|refusal| refusal.map(info));
        let none = || Failure::invalid("the last failure was no refusal of memory".to_owned());
        out.write(info.ok_or_else(none)?);
        Ok(())
    })
}

fn info(refusal: &Refusal) -> RefusalInfo {
    RefusalInfo {
        size: 0,
        requested_bytes: refusal.requested_bytes,
        available_bytes: refusal.available_bytes,
        owner_used_bytes: refusal.owner_used_bytes,
        owner_limit_bytes: refusal.owner_limit_bytes,
        capacity_bytes: refusal.capacity_bytes,
        largest_free_block_bytes: match refusal.reason {
            Reason::Fragmented { largest_free_block_bytes } => largest_free_block_bytes,
            _ => OFFHEAP_UNKNOWN,
        },
    }
}
