//! What the tests of limits share.

use std::io;

use offheap_fault_tests::{Child, again};

/// Does it in a process of its own; it says why, if it cannot be done here. `test` is the name of
/// the test that calls this.
pub fn in_a_process(test: &str, work: fn() -> Result<(), String>) {
    match again() {
        None => Child::run(test, "once").assert_well(test),
        Some(_) => {
            if let Err(reason) = work() {
                println!("@skip {reason}");
            }
        }
    }
}

/// A limit of this process, until it is dropped.
pub struct Limited {
    #[cfg(target_env = "gnu")]
    resource: libc::__rlimit_resource_t,
    #[cfg(not(target_env = "gnu"))]
    resource: libc::c_int,
    before: libc::rlimit,
}

/// Sets the soft limit.
pub fn limit(
    #[cfg(target_env = "gnu")] resource: libc::__rlimit_resource_t,
    #[cfg(not(target_env = "gnu"))] resource: libc::c_int,
    value: usize,
) -> Result<Limited, String> {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes a value of this type.
    let told = unsafe { libc::getrlimit(resource, &raw mut before) };
    let limit = libc::rlimit { rlim_cur: value as libc::rlim_t, ..before };
    // SAFETY: the call reads a value of this type.
    let set = unsafe { libc::setrlimit(resource, &raw const limit) };
    if (told, set) != (0, 0) {
        return Err(format!("no such limit: {}", io::Error::last_os_error()));
    }
    Ok(Limited { resource, before })
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: the call reads a value of this type.
        unsafe { libc::setrlimit(self.resource, &raw const self.before) };
    }
}
