//! Which process this is, without a call to the system: a word that a child does not inherit.

/// The number of this process. A child has another one, however it was forked.
pub(crate) fn id() -> u32 {
    match system::word() {
        Some(word) => cached(word),
        None => std::process::id(),
    }
}

fn cached(word: &super::sync::AtomicU32) -> u32 {
    use super::sync::Ordering;

    // ORDERING: Relaxed, here and below. Every thread of the process stores the same number, and
    // nothing else is read by it.
    match word.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            word.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod system {
    use std::ptr;
    use std::sync::OnceLock;

    use crate::base::sync::AtomicU32;

    /// The smallest mapping is an OS page.
    const BYTES: usize = 4096;

    /// A word that is zero in every child, if the kernel has such memory: Linux 4.14 or later.
    pub(super) fn word() -> Option<&'static AtomicU32> {
        static WORD: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
        *WORD.get_or_init(map)
    }

    fn map() -> Option<&'static AtomicU32> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, at a place that the kernel picks.
        let base = unsafe { libc::mmap(ptr::null_mut(), BYTES, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the advice is about the mapping above, all of it.
        if unsafe { libc::madvise(base, BYTES, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: the mapping is ours, and nobody has a pointer to it.
            unsafe { libc::munmap(base, BYTES) };
            return None;
        }
        // SAFETY: it is mapped for good, begins at an OS page, and is zeroed; all access is atomic.
        Some(unsafe { &*base.cast::<AtomicU32>() })
    }
}

#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
mod system {
    pub(super) fn word() -> Option<&'static crate::base::sync::AtomicU32> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_another_process_than_its_parent() {
        assert_eq!(id(), std::process::id());
        // SAFETY: the child only compares numbers, which takes no lock, and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_known = id() == std::process::id() && id() == std::process::id();
            // SAFETY: it ends this process, which has nothing that is to be cleaned up.
            unsafe { libc::_exit(if is_known { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: there is room for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        assert_eq!(id(), std::process::id());
    }
}
