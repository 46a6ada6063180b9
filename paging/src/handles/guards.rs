//! Pages that are pinned.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use crate::frames::entry::Entry;

/// The bytes of a page, which stays in memory until the guard is dropped.
///
/// No other reader waits for it. But its frame is not to be had for other pages meanwhile: when all
/// pages of a pool are pinned, calls that need a frame wait, and are refused in the end. So hold
/// few guards, and not for long.
///
/// # Invariants
///
/// - `entry` is that of a page that is borrowed for `'a`, and this value has one of its pins.
/// - `bytes` are those of its frame, which are initialized and stay while it is pinned; for `'a`
///   nobody else changes them.
pub struct ReadGuard<'a> {
    entry: &'a Entry,
    bytes: NonNull<[u8]>,
}

/// The bytes of a page, to be changed, which stays in memory until the guard is dropped. What is
/// said of a [`ReadGuard`] holds for it, too.
///
/// # Invariants
///
/// - As those of [`ReadGuard`]; and for `'a` nobody else reads or changes the bytes.
pub struct WriteGuard<'a> {
    pin: ReadGuard<'a>,
    alone: PhantomData<&'a mut [u8]>,
}

// SAFETY: what it gives out are the bytes, for reading, and its pin is an atomic number.
unsafe impl Send for ReadGuard<'_> {}
// SAFETY: as above.
unsafe impl Sync for ReadGuard<'_> {}

impl<'a> ReadGuard<'a> {
    /// A guard that has the caller's pin.
    ///
    /// # Safety
    ///
    /// 1. The caller has a pin of the page, and leaves it to the guard. It got it as the page was
    ///    resident.
    /// 2. The page is borrowed for `'a`: it is not dropped, and nobody has a [`WriteGuard`] of it.
    #[inline]
    pub(super) unsafe fn of(entry: &'a Entry, page_bytes: usize) -> Self {
        let bytes = entry.pages() as usize * page_bytes;
        // SAFETY: the pages are in a frame, by the contract, 1, whose address is not null.
        let base = unsafe { NonNull::new_unchecked(entry.base()) };
        // INVARIANT: by the contract. A frame is a segment, whose bytes are initialized.
        Self { entry, bytes: NonNull::slice_from_raw_parts(base, bytes) }
    }
}

impl<'a> WriteGuard<'a> {
    /// A guard that has the caller's pin.
    ///
    /// # Safety
    ///
    /// 1. As that of [`ReadGuard::of`], and the pin was taken to write.
    /// 2. The page is borrowed for `'a` by nobody else: it is not dropped, and nobody has another
    ///    guard of it.
    #[inline]
    pub(super) unsafe fn of(entry: &'a Entry, page_bytes: usize) -> Self {
        // INVARIANT: by the contract, 2.
        // SAFETY: 1: by the contract, 1. 2: by the contract, 2.
        Self { pin: unsafe { ReadGuard::of(entry, page_bytes) }, alone: PhantomData }
    }
}

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: by the type invariant; nobody changes them while this is borrowed.
        unsafe { self.bytes.as_ref() }
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.entry.state.unpin();
    }
}

impl Deref for WriteGuard<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.pin
    }
}

impl DerefMut for WriteGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let bytes = self.pin.bytes;
        // SAFETY: by the type invariant, and this is borrowed by the caller alone. A write to the
        // file copies only pages that nobody has pinned.
        unsafe { slice::from_raw_parts_mut(bytes.as_ptr().cast::<u8>(), bytes.len()) }
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGuard").field("bytes", &self.bytes.len()).finish()
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard").field("bytes", &self.len()).finish()
    }
}
