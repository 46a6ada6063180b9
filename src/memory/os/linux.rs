//! The mapping on Linux: anonymous memory between guard pages.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use super::huge_tlb::{with_huge_tlb, write_zeros};
use super::options::{CoreDumps, HUGE_PAGE_BYTES, HugePages, MappingOptions};

/// Inaccessible bytes at each end, so that an overrun faults instead of reaching other memory.
const GUARD_BYTES: usize = 128 << 10;
const NAME: &std::ffi::CStr = c"offheap";

/// Whether memory can be given back to the system while it stays mapped.
pub(crate) const CAN_GIVE_BACK: bool = true;

/// ```text
/// | guard and slack | bytes, aligned, readable and writable | rest of an OS page | guard |
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
    os_page_bytes: usize,
    has_huge_pages: bool,
    /// The system would not keep such a page for us until we touch it again, so none is given back.
    is_huge_tlb: bool,
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
        let os_page_bytes = os_page_bytes();
        let tail = offset + bytes.next_multiple_of(os_page_bytes);
        protect(start.wrapping_add(tail), total - tail)?;
        let base = NonNull::new(start.wrapping_add(offset)).ok_or_else(too_large)?;
        let is_huge_tlb = options.huge_pages == HugePages::HugeTlb;
        let mmap = if is_huge_tlb { with_huge_tlb(mmap, offset, bytes)? } else { mmap };
        // INVARIANT: `offset` is at most `GUARD_BYTES + align`, so `bytes` from there lie
        // before the tail guard; anonymous memory is zero, which is initialized.
        let mut mapping = Self {
            base,
            bytes,
            os_page_bytes,
            has_huge_pages: is_huge_tlb,
            is_huge_tlb,
            _mmap: mmap,
        };
        mapping.advise(&options);
        mapping.check_spare(&options)?;
        Ok(mapping)
    }

    /// Whether a byte that is touched can make the [`HUGE_PAGE_BYTES`] around it resident.
    pub(crate) fn has_huge_pages(&self) -> bool {
        self.has_huge_pages
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

    /// The bytes of `range` that are resident; `None` where the system does not tell.
    pub(crate) fn resident_bytes_of(&self, range: Range<usize>) -> Option<usize> {
        assert!(range.start <= range.end && range.end <= self.bytes, "beyond the mapping");
        let start = self.base.as_ptr().wrapping_add(range.start);
        let mut pages = vec![0_u8; range.len().div_ceil(self.os_page_bytes)];
        // SAFETY: the range is ours, checked above and by the type invariant. There is a byte for
        // each of its OS pages.
        let status = unsafe { libc::mincore(start.cast(), range.len(), pages.as_mut_ptr()) };
        let resident = pages.iter().filter(|page| *page & 1 == 1).count();
        check(status).ok().map(|()| (resident * self.os_page_bytes).min(range.len()))
    }

    /// Gives `range` back to the system: its bytes are zero from now on, and not resident.
    ///
    /// # Safety
    ///
    /// 1. The range lies within the mapping, and nobody else accesses it meanwhile.
    pub(crate) unsafe fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        let is_whole = (range.start | range.end).is_multiple_of(self.os_page_bytes);
        if !is_whole || self.is_huge_tlb {
            // The system would round an end that is not whole up, and take what is not meant.
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: the caller's contract, 1, is that of `madvise` for this advice.
        unsafe { self.madvise(range, libc::MADV_DONTNEED) }
    }

    /// Has the system use no huge page in `range` from now on. Those that are there stay.
    pub(crate) fn forbid_huge_pages(&self, range: Range<usize>) -> io::Result<()> {
        self.advise_on(range, libc::MADV_NOHUGEPAGE)
    }

    /// Lets the system use huge pages in `range`: a wish.
    pub(crate) fn allow_huge_pages(&self, range: Range<usize>) {
        let _ = self.advise_on(range, libc::MADV_HUGEPAGE);
    }

    /// Makes `range` resident, whatever it contains. Fails where a page cannot be had.
    ///
    /// # Safety
    ///
    /// 1. The range lies within the mapping, and nobody else accesses it meanwhile.
    /// 2. Of reserved huge pages, it contains zeros, or what nobody wants.
    pub(crate) unsafe fn populate(&self, range: Range<usize>) -> io::Result<()> {
        match self.advise_on(range.clone(), libc::MADV_POPULATE_WRITE) {
            // Of memory like this, a touch of our own that fails would be a signal.
            Err(error) if self.is_huge_tlb && error.raw_os_error() == Some(libc::EINVAL) => {
                let start = self.base.as_ptr().wrapping_add(range.start);
                // SAFETY: 1: by the caller's contract, 1 and 2.
                unsafe { write_zeros(start, range.len()) }
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // A kernel before 5.14: touch every OS page.
                for offset in range.step_by(self.os_page_bytes) {
                    let byte = self.base.as_ptr().wrapping_add(offset);
                    // SAFETY: within the mapping, and nobody else's, by the caller's contract, 1.
                    let old = unsafe { byte.read_volatile() };
                    // SAFETY: as above.
                    unsafe { byte.write_volatile(old) };
                }
                Ok(())
            }
            result => result,
        }
    }

    fn advise(&mut self, options: &MappingOptions) {
        // Advice and the name are wishes: an old kernel, or one built without them, refuses, and
        // the memory is good all the same.
        let _ = self.name();
        let has_spare = options.spare_from < self.bytes;
        // With larger pages of the system, huge pages are too large to be kept apart.
        let fits = self.os_page_bytes == 4 << 10;
        if options.huge_pages == HugePages::Transparent && (fits || !has_spare) {
            let advised = self.advise_on(0..self.bytes, libc::MADV_HUGEPAGE).is_ok();
            self.has_huge_pages = advised && fits;
        } else if options.huge_pages != HugePages::HugeTlb {
            let _ = self.advise_on(0..self.bytes, libc::MADV_NOHUGEPAGE);
        }
        if options.core_dumps == CoreDumps::Exclude {
            let _ = self.advise_on(0..self.bytes, libc::MADV_DONTDUMP);
        }
    }

    /// Whether the spare address space can be used as such: what is not resident stays so, and what
    /// is can be given back.
    fn check_spare(&self, options: &MappingOptions) -> io::Result<()> {
        let MappingOptions { bytes, spare_from, piece_bytes, .. } = *options;
        if spare_from == bytes {
            return Ok(());
        }
        if !piece_bytes.is_multiple_of(self.os_page_bytes) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // No huge pages in the piece with both kinds of pages, nor in the last one if it is shorter
        // than a huge page: the system has huge pages of other sizes, too, and those fit there.
        for edge in [spare_from, bytes] {
            let ragged = edge - edge % HUGE_PAGE_BYTES;
            if self.has_huge_pages && ragged < edge {
                self.forbid_huge_pages(ragged..bytes.min(ragged + HUGE_PAGE_BYTES))?;
            }
        }
        // Fails where the process has all of its memory locked.
        // SAFETY: within the mapping, which nobody knows yet.
        unsafe { self.give_back(spare_from..bytes) }
    }

    /// Advice that does not change what the memory contains.
    fn advise_on(&self, range: Range<usize>, advice: libc::c_int) -> io::Result<()> {
        debug_assert_ne!(advice, libc::MADV_DONTNEED);
        // SAFETY: `madvise` checks the range, and the advice does not change what it contains.
        unsafe { self.madvise(range, advice) }
    }

    /// # Safety
    ///
    /// 1. If the advice changes what the memory contains, nobody else accesses the range meanwhile.
    unsafe fn madvise(&self, range: Range<usize>, advice: libc::c_int) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.bytes, "beyond the mapping");
        let start = self.base.as_ptr().wrapping_add(range.start);
        // SAFETY: the range is ours, checked above and by the type invariant; that it may change is
        // the caller's contract, 1.
        let status = unsafe { libc::madvise(start.cast(), range.len(), advice) };
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

fn os_page_bytes() -> usize {
    // SAFETY: the call reads a number of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4 << 10)
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The sum of what is resident over the mappings of `smaps` that begin in `range`.
fn resident_bytes_in(smaps: &str, range: Range<usize>) -> usize {
    let mut inside = false;
    let mut kilobytes = 0;
    for line in smaps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(first) = fields.next() else { continue };
        if let Some((start, _)) = first.split_once('-') {
            inside = usize::from_str_radix(start, 16).is_ok_and(|start| range.contains(&start));
        } else if inside && matches!(first, "Rss:" | "Private_Hugetlb:" | "Shared_Hugetlb:") {
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
            spare_from: bytes,
            piece_bytes: 4 << 10,
            align: 2 << 20,
            huge_pages: HugePages::Never,
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
        let bytes = 3 * os_page_bytes(); // an odd number of OS pages: no room before the guard
        let mapping = Mapping::new(options(bytes)).unwrap();
        let base = mapping.base().as_ptr() as usize;
        assert_eq!(base % (2 << 20), 0);
        for inside in [base, base + bytes - 1] {
            assert_eq!(permissions(inside).as_deref(), Some("rw-p"));
        }
        let end = base + bytes;
        for outside in [base - GUARD_BYTES, base - 1, end, end + GUARD_BYTES - 1] {
            assert_eq!(permissions(outside).as_deref(), Some("---p"));
        }
    }

    /// The flags of the mapping that contains `address`.
    fn flags(address: usize) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let mut inside = false;
        for line in smaps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let first = fields.next().unwrap_or_default();
            if let Some((start, end)) = first.split_once('-') {
                let parse = |text| usize::from_str_radix(text, 16).unwrap_or(0);
                inside = (parse(start)..parse(end)).contains(&address);
            } else if inside && first == "VmFlags:" {
                return fields.map(str::to_owned).collect();
            }
        }
        Vec::new()
    }

    #[test]
    fn no_huge_page_of_any_size_is_where_spare_pages_could_be_in_one_with_others() {
        const MIB: usize = 1 << 20;
        // Of 7 MiB, 3 are there from the start: the pieces at 2 and at 6 MiB are to be apart.
        let huge_pages = HugePages::Transparent;
        let ragged = MappingOptions { spare_from: 3 * MIB, huge_pages, ..options(7 * MIB) };
        let mapping = Mapping::new(ragged).unwrap();
        let base = mapping.base().as_ptr() as usize;
        let apart: Vec<_> =
            (0..7).map(|mib| flags(base + mib * MIB).contains(&"nh".to_owned())).collect();
        if mapping.has_huge_pages() {
            assert_eq!(apart, [false, false, true, true, false, false, true]);
        } else {
            assert_eq!(apart, [false; 7], "there are none, or they are none of ours");
        }
    }

    #[test]
    fn the_system_is_told_what_is_wanted_of_a_mapping() {
        let (bytes, never) = (4 << 20, HugePages::Never);
        for (huge_pages, core_dumps) in [
            (HugePages::Transparent, CoreDumps::Include),
            (never, CoreDumps::Exclude),
            (never, CoreDumps::Include),
        ] {
            let wanted = MappingOptions { huge_pages, core_dumps, ..options(bytes) };
            let mapping = Mapping::new(wanted).unwrap();
            let flags = flags(mapping.base().as_ptr() as usize);
            let has = |flag: &str| flags.iter().any(|other| other == flag);
            assert_eq!(has("dd"), core_dumps == CoreDumps::Exclude, "{flags:?}");
            // A system without huge pages refuses both.
            if mapping.advise_on(0..bytes, libc::MADV_HUGEPAGE).is_ok() {
                let is_wanted = huge_pages == HugePages::Transparent;
                assert_eq!((has("hg"), has("nh")), (is_wanted, !is_wanted), "{flags:?}");
                assert_eq!(mapping.has_huge_pages(), is_wanted && mapping.os_page_bytes == 4096);
            }
        }
    }

    #[test]
    fn a_mapping_is_named_where_the_system_has_names() {
        let mapping = Mapping::new(options(64 << 10)).unwrap();
        let start = format!("{:x}-", mapping.base().as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.starts_with(&start)).unwrap();
        assert_eq!(line.ends_with("[anon:offheap]"), mapping.name().is_ok(), "{line}");
    }

    #[test]
    fn a_fence_that_the_system_does_not_know_is_refused() {
        assert!(!membarrier(1 << 30));
    }

    #[test]
    fn resident_bytes_grow_with_what_is_touched() {
        let mapping = Mapping::new(options(64 << 10)).unwrap();
        assert_eq!(mapping.resident_bytes(), Some(0));
        // SAFETY: the first byte of 64 KiB that only this test knows.
        unsafe { mapping.base().as_ptr().write(1) };
        assert_eq!(mapping.resident_bytes(), Some(4 << 10));
        // SAFETY: as above.
        unsafe { mapping.populate(0..64 << 10) }.unwrap();
        assert_eq!(mapping.resident_bytes(), Some(64 << 10));
        // SAFETY: as above.
        unsafe { mapping.give_back(16 << 10..48 << 10) }.unwrap();
        assert_eq!(mapping.resident_bytes(), Some(32 << 10));
        // SAFETY: as above, and nothing is given back.
        let part = unsafe { mapping.give_back(0..1 << 10) };
        assert_eq!(part.unwrap_err().kind(), io::ErrorKind::Unsupported);
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
                     4000-5000 rw-p 0 00:00 0 [heap]\nRss: 30 kB\nPrivate_Hugetlb: 2 kB\n";
        assert_eq!(resident_bytes_in(smaps, 0x1000..0x4000), 5 << 10);
        assert_eq!(resident_bytes_in(smaps, 0x4000..0x5000), 32 << 10);
        assert_eq!(resident_bytes_in(smaps, 0x5000..0x6000), 0);
    }
}
