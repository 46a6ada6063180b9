//! Huge pages that the system keeps for those who ask for them by name, and what limits them.
//!
//! Such a page can be missing although it was reserved when it was mapped: a group's limit is
//! charged as pages are touched, and a touch that passes it is a signal (`SIGBUS`). So all of a
//! mapping is made resident by calls that fail instead, before anybody else has an address of it.
//! None is given back while the mapping lasts, so what is there stays.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use memmap2::MmapRaw;

use crate::base::error::HugeTlbLimit;

use super::available::limit_text;
use super::cgroup::{Group, Version, groups, number};
use super::options::HUGE_PAGE_BYTES;

/// `mmap` with `bytes` bytes of it from `offset` on, whole huge pages, on reserved huge pages.
pub(super) fn with_huge_tlb(mmap: MmapRaw, offset: usize, bytes: usize) -> io::Result<MmapRaw> {
    debug_assert!(bytes.is_multiple_of(HUGE_PAGE_BYTES));
    // Asking first keeps what follows from failing, but for a race with other processes.
    if free_huge_tlb_pages().is_some_and(|free| free < bytes / HUGE_PAGE_BYTES) {
        return Err(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    let (start, total) = (mmap.as_mut_ptr(), mmap.len());
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE
        | libc::MAP_ANONYMOUS
        | libc::MAP_FIXED
        | libc::MAP_HUGETLB
        | libc::MAP_HUGE_2MB;
    let inside = start.wrapping_add(offset);
    // SAFETY: the range is inside a fresh mapping that nobody else knows, so it may be replaced.
    let mapped = unsafe { libc::mmap(inside.cast(), bytes, protection, flags, -1, 0) };
    if mapped != libc::MAP_FAILED {
        return Ok(mmap);
    }
    let refused = io::Error::last_os_error();
    // What was inside may be unmapped now, and another thread's already. So only the rest goes; the
    // addresses inside are lost, if the system left them as they were.
    std::mem::forget(mmap);
    let tail = offset + bytes;
    for (from, bytes) in [(0, offset), (tail, total - tail)] {
        // SAFETY: the two ends are still as they were mapped, and nobody else knows them.
        unsafe { libc::munmap(start.wrapping_add(from).cast(), bytes) };
    }
    Err(refused)
}

/// Makes `bytes` bytes from `start` on resident, whole huge pages, on a system that has no call for
/// it. The system writes a zero to each page: where there is none to be had, that is an error.
///
/// # Safety
///
/// 1. The range is mapped. Nobody else accesses it meanwhile, and nobody minds a zero there.
pub(super) unsafe fn write_zeros(start: *mut u8, bytes: usize) -> io::Result<()> {
    let zeros = File::open("/dev/zero")?;
    let mut offset = 0;
    while offset < bytes {
        let page = start.wrapping_add(offset);
        // SAFETY: the byte is mapped and may be overwritten, by the caller's contract, 1.
        match unsafe { libc::read(zeros.as_raw_fd(), page.cast(), 1) } {
            1 => offset += HUGE_PAGE_BYTES,
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

/// The reserved huge pages that nobody has; `None` where the system does not tell.
pub(crate) fn free_huge_tlb_pages() -> Option<usize> {
    let read = |name| {
        let path = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}");
        fs::read_to_string(path).ok()?.trim().parse::<usize>().ok()
    };
    Some(read("free_hugepages")?.saturating_sub(read("resv_hugepages")?))
}

/// Of all limits of groups on huge pages of 2 MiB, the one that leaves the least, if that is less
/// than `bytes`.
pub(crate) fn huge_tlb_limit(bytes: usize) -> Option<HugeTlbLimit> {
    tightest(|path| limit_text(path).unwrap_or_default(), bytes)
}

/// The files of a group that limit what is touched and what is mapped, each with the file that says
/// how much of it is used.
fn files(version: Version) -> [(&'static str, &'static str); 2] {
    match version {
        Version::V1 => [
            ("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.usage_in_bytes"),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.usage_in_bytes"),
        ],
        Version::V2 => [
            ("hugetlb.2MB.max", "hugetlb.2MB.current"),
            ("hugetlb.2MB.rsvd.max", "hugetlb.2MB.rsvd.current"),
        ],
    }
}

/// As above, where `read` has the contents of a file, or `None` where there is none.
fn tightest(mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>, bytes: usize) -> Option<HugeTlbLimit> {
    let groups = groups(&mut read, b"hugetlb");
    let mut limit_of = |group: &Group, (limit, used): (&str, &str)| {
        let limit_bytes = group.version.limit(&read(&group.file(limit))?)?;
        let used_bytes = read(&group.file(used)).and_then(|text| number(&text)).unwrap_or(0);
        let to_usize = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Some(HugeTlbLimit {
            file: limit.to_owned(),
            group: group.path(),
            limit_bytes: to_usize(limit_bytes),
            used_bytes: to_usize(used_bytes),
        })
    };
    let files = groups.iter().flat_map(|group| files(group.version).map(|files| (group, files)));
    let limits = files.filter_map(|(group, files)| limit_of(group, files));
    let left = |limit: &HugeTlbLimit| limit.limit_bytes.saturating_sub(limit.used_bytes);
    limits.filter(|limit| left(limit) < bytes).min_by_key(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// What limits `bytes` on a system of these files.
    fn tightest_of(files: &[(&str, &str)], bytes: usize) -> Option<(String, usize, usize)> {
        let cgroup = "9:hugetlb:/v1\n0::/a/b\n";
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                         35 31 0:32 / /hugetlb rw - cgroup cgroup rw,hugetlb\n";
        let limit = tightest(
            |path| {
                let path = std::str::from_utf8(path).unwrap();
                let text = match path {
                    "/proc/self/cgroup" => cgroup,
                    "/proc/self/mountinfo" => mountinfo,
                    _ => files.iter().find(|(name, _)| *name == path)?.1,
                };
                Some(text.as_bytes().to_vec())
            },
            bytes,
        )?;
        Some((format!("{} {}", limit.file, limit.group), limit.limit_bytes, limit.used_bytes))
    }

    #[test]
    fn the_limit_that_leaves_the_least_is_named_with_what_is_used_of_it() {
        let files = [
            ("/sys/fs/cgroup/a/b/hugetlb.2MB.max", "8388608\n"),
            ("/sys/fs/cgroup/a/b/hugetlb.2MB.current", "0\n"),
            ("/sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.max", "max\n"),
            ("/sys/fs/cgroup/a/hugetlb.2MB.max", "max\n"),
            ("/sys/fs/cgroup/a/hugetlb.2MB.rsvd.max", "10485760\n"),
            ("/sys/fs/cgroup/a/hugetlb.2MB.rsvd.current", "6291456\n"),
            ("/hugetlb/v1/hugetlb.2MB.limit_in_bytes", "9223372036854771712\n"),
            ("/hugetlb/hugetlb.2MB.rsvd.limit_in_bytes", "6291456\n"),
        ];
        let reserved = ("hugetlb.2MB.rsvd.max /a".to_owned(), 10 * MIB, 6 * MIB);
        assert_eq!(tightest_of(&files, 5 * MIB), Some(reserved.clone()));
        assert_eq!(tightest_of(&files, 9 * MIB), Some(reserved), "of several");
        assert_eq!(tightest_of(&files, 4 * MIB), None, "so much is left");
        let of_v1 = ("hugetlb.2MB.rsvd.limit_in_bytes /".to_owned(), 6 * MIB, 0);
        assert_eq!(tightest_of(&files[7..], 7 * MIB), Some(of_v1));
        let own = ("hugetlb.2MB.max /a/b".to_owned(), 8 * MIB, 0);
        assert_eq!(tightest_of(&files[..4], 9 * MIB), Some(own));
        assert_eq!(tightest_of(&[], usize::MAX), None, "there are no limits");
    }

    /// Memory that cannot be had, as a group's limit makes it: here it lies beyond the end of a
    /// file.
    #[test]
    fn a_page_that_is_not_to_be_had_is_an_error_and_no_signal() {
        let bytes = 3 * HUGE_PAGE_BYTES;
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * HUGE_PAGE_BYTES as u64).unwrap();
        let mmap = memmap2::MmapOptions::new().len(bytes).map_raw(&file).unwrap();
        // SAFETY: mapped, and known to this test only.
        unsafe { write_zeros(mmap.as_mut_ptr(), 2 * HUGE_PAGE_BYTES) }.unwrap();
        // SAFETY: as above.
        let refused = unsafe { write_zeros(mmap.as_mut_ptr(), bytes) }.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EFAULT));
        // SAFETY: as above.
        let resident = unsafe { write_zeros(mmap.as_mut_ptr().wrapping_add(bytes), 0) };
        resident.unwrap();
    }
}
