//! What address sanitizer and memcheck are told about the memory of a region: both see one mapping,
//! and not which of its pages are held.
//!
//! Compiled in with `cfg(offheap_asan)` or `cfg(offheap_memcheck)`, by `scripts/asan.sh` and
//! `scripts/valgrind.sh`; otherwise every function here is empty.
//!
//! | a page | address sanitizer | memcheck |
//! |---|---|---|
//! | is free, or kept at hand | poisoned | inaccessible, and freed as a block of the heap |
//! | was handed out | accessible | a block of the heap; undefined until it is written to |
//! | was handed out and is known to be zero | accessible | the same, and defined |

use std::ops::Range;
use std::ptr::NonNull;

/// Of a fresh region, so many bytes are hidden: what lies beyond is after it was used once. The
/// shadow memory of address sanitizer takes an eighth of what is hidden.
const FRESH_BYTES_MAX: usize = 256 << 20;

/// Nobody may access a fresh region.
#[inline]
pub(crate) fn hide_fresh(base: NonNull<u8>, bytes: usize) {
    request::hide(base, bytes.min(FRESH_BYTES_MAX));
}

/// What a region had may be anybody's from now on.
#[inline]
pub(crate) fn forget(base: NonNull<u8>, bytes: usize) {
    request::show(base, bytes);
}

/// A block is handed out.
#[inline]
pub(crate) fn hand_out(base: NonNull<u8>, bytes: usize) {
    request::show(base, bytes);
    request::begin_block(base, bytes);
}

/// A block was taken back.
#[inline]
pub(crate) fn take_back(base: NonNull<u8>, bytes: usize) {
    request::end_block(base);
    request::hide(base, bytes);
}

/// A block is cut in two behind its first `at` bytes; what it shows is known from then on.
#[inline]
pub(crate) fn cut(base: NonNull<u8>, at: usize, bytes: usize) {
    request::resize_block(base, bytes, at);
    let tail = self::at(base, at);
    request::begin_block(tail, bytes - at);
    request::define(tail, bytes - at);
}

/// A block of `bytes` and `more` bytes behind it, which was a block of its own, are one from now
/// on; what they show is known.
#[inline]
pub(crate) fn join(base: NonNull<u8>, bytes: usize, more: usize) {
    let tail = at(base, bytes);
    request::end_block(tail);
    request::resize_block(base, bytes, bytes + more);
    request::define(tail, more);
}

/// A block is known to be zero, though nobody wrote to it since it was handed out.
#[inline]
pub(crate) fn note_zero(base: NonNull<u8>, bytes: usize) {
    request::define(base, bytes);
}

/// Bytes of a block show what their last holder wrote.
#[inline]
pub(crate) fn note_stale(base: NonNull<u8>, range: Range<usize>) {
    request::show(at(base, range.start), range.len());
}

/// Bytes of a block are set aside by its holder.
#[inline]
pub(crate) fn set_aside(base: NonNull<u8>, range: Range<usize>) {
    request::hide(at(base, range.start), range.len());
}

/// Bytes of a block that its holder had set aside are in use.
#[inline]
pub(crate) fn use_again(base: NonNull<u8>, range: Range<usize>) {
    request::show(at(base, range.start), range.len());
}

/// Free pages stay as they are while the system looks at them; where it has to touch them by hand,
/// they are accessible meanwhile.
#[inline]
pub(crate) fn touch<T>(base: NonNull<u8>, range: Range<usize>, touch: impl FnOnce() -> T) -> T {
    request::show(at(base, range.start), range.len());
    let result = touch();
    request::hide(at(base, range.start), range.len());
    result
}

#[inline]
fn at(base: NonNull<u8>, offset: usize) -> NonNull<u8> {
    base.map_addr(|address| address.saturating_add(offset))
}

#[cfg(offheap_asan)]
mod request {
    use std::ptr::NonNull;

    unsafe extern "C" {
        fn __asan_poison_memory_region(base: *const u8, bytes: usize);
        fn __asan_unpoison_memory_region(base: *const u8, bytes: usize);
    }

    pub(super) fn hide(base: NonNull<u8>, bytes: usize) {
        // SAFETY: the call changes the shadow of an address range, and no memory of the program.
        unsafe { __asan_poison_memory_region(base.as_ptr(), bytes) };
    }

    pub(super) fn show(base: NonNull<u8>, bytes: usize) {
        // SAFETY: as for `hide`.
        unsafe { __asan_unpoison_memory_region(base.as_ptr(), bytes) };
    }

    pub(super) fn define(_: NonNull<u8>, _: usize) {}
    pub(super) fn begin_block(_: NonNull<u8>, _: usize) {}
    pub(super) fn resize_block(_: NonNull<u8>, _: usize, _: usize) {}
    pub(super) fn end_block(_: NonNull<u8>) {}
}

#[cfg(all(offheap_memcheck, target_arch = "x86_64", not(offheap_asan)))]
mod request {
    use std::arch::asm;
    use std::ptr::NonNull;

    /// `VG_USERREQ__MALLOCLIKE_BLOCK` of `valgrind.h`.
    const MALLOCLIKE_BLOCK: usize = 0x1301;
    /// `VG_USERREQ__FREELIKE_BLOCK` of the same.
    const FREELIKE_BLOCK: usize = 0x1302;
    /// `VG_USERREQ__RESIZEINPLACE_BLOCK` of the same.
    const RESIZEINPLACE_BLOCK: usize = 0x130b;
    /// `VG_USERREQ__MAKE_MEM_NOACCESS` of `memcheck.h`; the next two follow it.
    const MAKE_NOACCESS: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
    const MAKE_UNDEFINED: usize = MAKE_NOACCESS + 1;
    const MAKE_DEFINED: usize = MAKE_NOACCESS + 2;

    /// Asks valgrind for something; without valgrind it is a few rotations that cancel out.
    fn ask(request: usize, base: NonNull<u8>, bytes: usize) {
        ask_with(request, base, bytes, 0);
    }

    /// The same with one more number.
    fn ask_with(request: usize, base: NonNull<u8>, bytes: usize, more: usize) {
        let question = [request, base.as_ptr().addr(), bytes, more, 0, 0];
        // SAFETY: the rotations of `rdi` add up to none, and the exchange is of a register with
        // itself. valgrind, which knows the sequence, reads the question and answers in `rdx`.
        unsafe {
            asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") question.as_ptr(),
                inout("rdx") 0_usize => _,
                options(nostack),
            );
        }
    }

    pub(super) fn hide(base: NonNull<u8>, bytes: usize) {
        ask(MAKE_NOACCESS, base, bytes);
    }

    pub(super) fn show(base: NonNull<u8>, bytes: usize) {
        ask(MAKE_UNDEFINED, base, bytes);
    }

    pub(super) fn define(base: NonNull<u8>, bytes: usize) {
        ask(MAKE_DEFINED, base, bytes);
    }

    /// The two zeros that the question ends in: without red zones, and not zeroed.
    pub(super) fn begin_block(base: NonNull<u8>, bytes: usize) {
        ask(MALLOCLIKE_BLOCK, base, bytes);
    }

    /// The zero that the question ends in: without red zones.
    pub(super) fn resize_block(base: NonNull<u8>, bytes: usize, new_bytes: usize) {
        ask_with(RESIZEINPLACE_BLOCK, base, bytes, new_bytes);
    }

    pub(super) fn end_block(base: NonNull<u8>) {
        ask(FREELIKE_BLOCK, base, 0);
    }
}

#[cfg(not(any(offheap_asan, all(offheap_memcheck, target_arch = "x86_64"))))]
mod request {
    use std::ptr::NonNull;

    #[inline]
    pub(super) fn hide(_: NonNull<u8>, _: usize) {}
    #[inline]
    pub(super) fn show(_: NonNull<u8>, _: usize) {}
    #[inline]
    pub(super) fn define(_: NonNull<u8>, _: usize) {}
    #[inline]
    pub(super) fn begin_block(_: NonNull<u8>, _: usize) {}
    #[inline]
    pub(super) fn resize_block(_: NonNull<u8>, _: usize, _: usize) {}
    #[inline]
    pub(super) fn end_block(_: NonNull<u8>) {}
}
