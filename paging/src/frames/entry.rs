//! What is known of one page: its state, and where its bytes are.

use std::ptr;

use crate::base::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::entry::State;

/// The most pages of the region that one [`Page`](crate::Page) can have: 2 GiB of pages of 32 KiB.
pub const PAGES_MAX: usize = u16::MAX as usize;

/// No slot, no frame, no entry.
pub(crate) const NONE: u32 = u32::MAX;

/// Advice: nothing was said.
pub(crate) const NORMAL: u32 = 0;
/// Advice: to be kept.
pub(crate) const KEEP: u32 = 1;
/// Advice: not to be read again.
pub(crate) const COLD: u32 = 2;
/// Advice: not to be read again, and what follows in the file is read next.
pub(crate) const SEQUENTIAL: u32 = 3;

/// One page of a pool.
///
/// ```text
/// 0        8        16       20      24      28      30                32
/// | state  | base   | frame  | slot  | seal  | pages | version, advice |
/// ```
///
/// The state says who may write the other fields: who loads the page, writes it to the file, or
/// evicts it; and, while it is vacant, who has taken the entry. They change hands with the state,
/// by its releases and acquires, so their own accesses order nothing. Advice may come at any time:
/// it, and the version beside it, change under the lock of the books.
pub(crate) struct Entry {
    pub(crate) state: State,
    /// The first byte of its frame, while it is resident.
    base: AtomicPtr<u8>,
    /// The number of its frame while it is resident; while it is spilled, when it was evicted;
    /// while it is vacant, the next vacant entry.
    frame: AtomicU32,
    /// The first unit of its slot in the file.
    slot: AtomicU32,
    seal: AtomicU32,
    rest: AtomicU32,
}

/// The bits of the version and of the advice.
const VERSION_SHIFT: u32 = 16;
const VERSION_MASK: u32 = 0x3fff;
const ADVICE_SHIFT: u32 = 30;

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    pub(crate) fn new() -> Self {
        let none = || AtomicU32::new(NONE);
        Self {
            state: State::new(),
            base: AtomicPtr::new(ptr::null_mut()),
            frame: none(),
            slot: none(),
            seal: AtomicU32::new(0),
            rest: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        // ORDERING: Relaxed. Whoever reads it has the page pinned, or is at work on it, and so
        // acquired what `set_resident` wrote by the state.
        self.base.load(Ordering::Relaxed)
    }

    pub(crate) fn frame(&self) -> u32 {
        get(&self.frame)
    }

    /// The bytes of the page are in this frame from now on.
    pub(crate) fn set_resident(&self, base: *mut u8, frame: u32) {
        // ORDERING: Relaxed. The caller publishes the state after it.
        self.base.store(base, Ordering::Relaxed);
        set(&self.frame, frame);
    }

    /// When the page was evicted, or the next vacant entry.
    pub(crate) fn set_frame(&self, frame: u32) {
        set(&self.frame, frame);
    }

    /// The first unit of its slot.
    pub(crate) fn slot(&self) -> Option<u32> {
        Some(get(&self.slot)).filter(|slot| *slot != NONE)
    }

    pub(crate) fn set_slot(&self, slot: Option<u32>) {
        set(&self.slot, slot.unwrap_or(NONE));
    }

    pub(crate) fn seal(&self) -> u32 {
        get(&self.seal)
    }

    /// It was written so, as this version. The caller has the lock of the books.
    pub(crate) fn set_seal(&self, seal: u32, version: u32) {
        set(&self.seal, seal);
        let others = get(&self.rest) & !(VERSION_MASK << VERSION_SHIFT);
        set(&self.rest, others | version << VERSION_SHIFT);
    }

    /// Its size, in pages of the region.
    #[inline]
    pub(crate) fn pages(&self) -> u32 {
        get(&self.rest) & 0xffff
    }

    /// How often it was written, modulo 2<sup>14</sup>.
    pub(crate) fn version(&self) -> u32 {
        get(&self.rest) >> VERSION_SHIFT & VERSION_MASK
    }

    /// The version that is written next.
    pub(crate) fn next_version(&self) -> u32 {
        (self.version() + 1) & VERSION_MASK
    }

    /// What was said of it: two bits.
    pub(crate) fn advice(&self) -> u32 {
        get(&self.rest) >> ADVICE_SHIFT
    }

    pub(crate) fn set_advice(&self, advice: u32) {
        let others = get(&self.rest) & !(u32::MAX << ADVICE_SHIFT);
        set(&self.rest, others | advice << ADVICE_SHIFT);
    }

    /// Makes it that of a new page.
    pub(crate) fn begin(&self, pages: u16) {
        set(&self.slot, NONE);
        set(&self.rest, u32::from(pages));
    }
}

#[inline]
fn get(field: &AtomicU32) -> u32 {
    // ORDERING: Relaxed. The fields change hands with the state, which orders them.
    field.load(Ordering::Relaxed)
}

fn set(field: &AtomicU32, value: u32) {
    // ORDERING: Relaxed. As in `get`.
    field.store(value, Ordering::Relaxed);
}
