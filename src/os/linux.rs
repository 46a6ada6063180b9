//! The mapping on Linux: anonymous memory between guard pages.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use super::{CoreDumps, HugePages, MappingOptions, Populate};

/// Inaccessible bytes at each end, so that an overrun faults instead of reaching other memory.
const GUARD_BYTES: usize = 128 << 10;
/// The largest OS page of the machines that Linux runs on: guards begin and end on one.
const OS_PAGE_BYTES_MAX: usize = 64 << 10;
const NAME: &std::ffi::CStr = c"offheap";

/// ```text
/// | guard and slack | bytes, aligned, readable and writable | guard and slack |
/// ^ mmap            ^ base
/// ```
///
/// # Invariants
///
/// - `base` is aligned as asked for and points to `bytes` readable, writable and initialized
///   bytes inside `mmap`, which live as long as this value.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    /// Unmaps everything on drop; never turned into a reference to its bytes.
    _mmap: MmapRaw,
}

// SAFETY: a `Mapping` owns its memory and hands out nothing but its address and size.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(options: MappingOptions) -> io::Result<Self> {
        let MappingOptions { bytes, align, .. } = options;
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let total = bytes.checked_add(align + 2 * GUARD_BYTES).ok_or_else(too_large)?;
        let mmap = MmapOptions::new().len(total).no_reserve_swap().map_anon()?;
        let mmap = MmapRaw::from(mmap);
        let start = mmap.as_mut_ptr();
        let offset = GUARD_BYTES + (start as usize + GUARD_BYTES).wrapping_neg() % align;
        protect(start, offset)?;
        let tail = offset + bytes.next_multiple_of(OS_PAGE_BYTES_MAX);
        protect(start.wrapping_add(tail), total - tail)?;
        let base = NonNull::new(start.wrapping_add(offset)).ok_or_else(too_large)?;
        // INVARIANT: `offset` is at most `GUARD_BYTES + align`, so `bytes` from there lie
        // before the tail guard; anonymous memory is zero, which is initialized.
        let mapping = Self { base, bytes, _mmap: mmap };
        mapping.advise(&options)?;
        Ok(mapping)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The bytes that the kernel counts as resident; `None` where it does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let start = self.base.as_ptr() as usize;
        Some(resident_bytes_in(&smaps, start..start + self.bytes))
    }

    fn advise(&self, options: &MappingOptions) -> io::Result<()> {
        // Advice and the name are wishes: an old kernel, or one built without them, refuses, and
        // the memory is good all the same.
        let _ = self.name();
        match options.huge_pages {
            HugePages::Transparent => drop(self.madvise(libc::MADV_HUGEPAGE)),
            HugePages::Never => drop(self.madvise(libc::MADV_NOHUGEPAGE)),
        }
        if options.core_dumps == CoreDumps::Exclude {
            let _ = self.madvise(libc::MADV_DONTDUMP);
        }
        match options.populate {
            Populate::Lazy => Ok(()),
            Populate::Eager => self.populate(),
        }
    }

    fn populate(&self) -> io::Result<()> {
        match self.madvise(libc::MADV_POPULATE_WRITE) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // A kernel before 5.14: touch every OS page.
                for offset in (0..self.bytes).step_by(4 << 10) {
                    let byte = self.base.as_ptr().wrapping_add(offset);
                    // SAFETY: in bounds by the loop; nobody else knows the memory yet, by being
                    // called from `new` only.
                    unsafe { byte.write_volatile(0) };
                }
                Ok(())
            }
            result => result,
        }
    }

    fn madvise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: by the type invariant the range is ours, and none of the advice given here
        // changes what it contains.
        let status = unsafe { libc::madvise(self.base.as_ptr().cast(), self.bytes, advice) };
        check(status)
    }

    /// Names the mapping in `/proc/self/maps`.
    fn name(&self) -> io::Result<()> {
        // SAFETY: the call names a range of ours, by the type invariant, and copies a string that
        // ends in a zero byte.
        let status = unsafe {
            libc::prctl(
                libc::PR_SET_VMA,
                libc::PR_SET_VMA_ANON_NAME,
                self.base.as_ptr(),
                self.bytes,
                NAME.as_ptr(),
            )
        };
        check(status)
    }
}

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` of `linux/membarrier.h`.
const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
/// `MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED` of the same.
const REGISTER_PRIVATE_EXPEDITED: libc::c_long = 1 << 4;

/// Whether the kernel takes all threads of this process through a fence on request.
pub(crate) fn register_heavy_fence() -> bool {
    membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
}

/// Takes all threads of this process, this one among them, through a full fence. `false` if the
/// kernel refuses, which it may begin to do when the process gives up the right to the call.
pub(crate) fn heavy_fence() -> bool {
    // A child after `fork` has to register for itself.
    membarrier(PRIVATE_EXPEDITED) || register_heavy_fence()
}

fn membarrier(command: libc::c_long) -> bool {
    let no_flags: libc::c_long = 0;
    // SAFETY: the call takes numbers only and changes no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, no_flags, no_flags) == 0 }
}

/// Makes `bytes` bytes from `start` on inaccessible, the OS pages at the edges only as a whole.
fn protect(start: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller's range is part of a fresh mapping that nobody else knows.
    check(unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_NONE) })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The sum of `Rss` over the mappings of `smaps` that begin in `range`.
fn resident_bytes_in(smaps: &str, range: Range<usize>) -> usize {
    let mut inside = false;
    let mut kilobytes = 0;
    for line in smaps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(first) = fields.next() else { continue };
        if let Some((start, _)) = first.split_once('-') {
            inside = usize::from_str_radix(start, 16).is_ok_and(|start| range.contains(&start));
        } else if inside && first == "Rss:" {
            kilobytes += fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
        }
    }
    kilobytes * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bytes: usize) -> MappingOptions {
        MappingOptions {
            bytes,
            align: 2 << 20,
            huge_pages: HugePages::Never,
            populate: Populate::Lazy,
            core_dumps: CoreDumps::Exclude,
        }
    }

    /// The permissions of the mapping that contains `address`.
    fn permissions(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let parse = |text| usize::from_str_radix(text, 16).unwrap();
            (parse(start)..parse(end)).contains(&address).then(|| fields.next().unwrap().into())
        })
    }

    #[test]
    fn it_is_aligned_and_stands_between_guards() {
        let bytes = 96 << 10; // not a multiple of the largest OS page
        let mapping = Mapping::new(options(bytes)).unwrap();
        let base = mapping.base().as_ptr() as usize;
        assert_eq!(base % (2 << 20), 0);
        for inside in [base, base + bytes - 1] {
            assert_eq!(permissions(inside).as_deref(), Some("rw-p"));
        }
        let guard = base + bytes.next_multiple_of(OS_PAGE_BYTES_MAX);
        for outside in [base - GUARD_BYTES, base - 1, guard, guard + OS_PAGE_BYTES_MAX - 1] {
            assert_eq!(permissions(outside).as_deref(), Some("---p"));
        }
    }

    #[test]
    fn resident_bytes_grow_with_what_is_touched() {
        let mapping = Mapping::new(options(64 << 10)).unwrap();
        assert_eq!(mapping.resident_bytes(), Some(0));
        // SAFETY: the first byte of 64 KiB that only this test knows.
        unsafe { mapping.base().as_ptr().write(1) };
        assert_eq!(mapping.resident_bytes(), Some(4 << 10));
        let populated = MappingOptions { populate: Populate::Eager, ..options(64 << 10) };
        assert_eq!(Mapping::new(populated).unwrap().resident_bytes(), Some(64 << 10));
    }

    #[test]
    fn a_mapping_larger_than_the_address_space_is_an_error() {
        assert!(Mapping::new(options(1 << 60)).is_err());
        assert!(Mapping::new(options(usize::MAX - 4096)).is_err());
    }

    #[test]
    fn smaps_is_summed_over_the_range() {
        let smaps = "1000-3000 rw-p 0 00:00 0\nSize: 8 kB\nRss:   4 kB\n\
                     3000-4000 ---p 0 00:00 0\nRss: 1 kB\nSwap: 9 kB\n\
                     4000-5000 rw-p 0 00:00 0 [heap]\nRss: 32 kB\n";
        assert_eq!(resident_bytes_in(smaps, 0x1000..0x4000), 5 << 10);
        assert_eq!(resident_bytes_in(smaps, 0x4000..0x5000), 32 << 10);
        assert_eq!(resident_bytes_in(smaps, 0x5000..0x6000), 0);
    }
}
