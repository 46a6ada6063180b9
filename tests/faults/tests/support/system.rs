//! Disks of a test's own, and children.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Mounts memory of so many bytes as a disk, for this process and its mounts alone.
pub fn mount(dir: &Path, bytes: usize, flags: libc::c_ulong) -> Result<(), String> {
    let error = |what| format!("{what}: {}", io::Error::last_os_error());
    let path = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: the call takes a number.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(error("no mounts of its own"));
    }
    let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the call reads strings that end in a zero byte.
    let status = unsafe { libc::mount(none, root, std::ptr::null(), private, std::ptr::null()) };
    if status != 0 {
        return Err(error("no private mounts"));
    }
    let size = CString::new(format!("size={bytes}")).unwrap();
    let kind = c"tmpfs".as_ptr();
    // SAFETY: as above.
    let status = unsafe { libc::mount(none, path.as_ptr(), kind, flags, size.as_ptr().cast()) };
    if status == 0 { Ok(()) } else { Err(error("no mount")) }
}

/// Takes the disk away.
pub fn unmount(dir: &Path) {
    let path = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: the call reads a string that ends in a zero byte.
    unsafe { libc::umount(path.as_ptr()) };
}

/// Does it in a child after `fork`; whether that came to an end and was right.
pub fn in_a_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: this process has no other thread with anything in hand, so a child may go on.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", io::Error::last_os_error()),
        0 => {
            let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: the call takes a number and does not return.
            unsafe { libc::_exit(i32::from(!right.unwrap_or(false))) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the call writes a number.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}
