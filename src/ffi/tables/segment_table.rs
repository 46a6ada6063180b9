//! The table of segments: what a handle costs on the way to a page.
//!
//! A thread keeps a few spare slots, as a worker keeps pages, so that a lock is taken once in many
//! handles. To end a handle is one exchange on the word of its slot. Address and size are read
//! without writing anything.

use std::cell::{Cell, UnsafeCell};
use std::ptr;

use crate::MemorySegment;
use crate::ledger::handles::{Generation, Handle, Kind, LabelledGate, NotEntered, Spares};

use super::slots::Slots;
use crate::ffi::convert::failure::Failure;

/// The spare slots that a thread keeps at most.
const KEPT_MAX: usize = 64;
/// How many of them move to or from the shared ones at a time.
const BATCH: usize = KEPT_MAX / 2;

/// # Invariants
///
/// - While the gate is open there is a segment, and the label is about it.
/// - Otherwise the slot is one thread's alone, or spare.
#[derive(Default)]
struct Slot {
    /// Its label is the address of the segment's first byte, with its provenance exposed, and its
    /// size in bytes.
    gate: LabelledGate,
    segment: UnsafeCell<Option<MemorySegment>>,
}

const _: () = {
    const fn may_move<T: Send>() {}
    may_move::<MemorySegment>();
};
const _: () = assert!(size_of::<Slot>() == 48);

// SAFETY: a segment in a slot is put in and taken out, perhaps by different threads, and none has a
// reference to it meanwhile. It is `Send` (checked above).
unsafe impl Sync for Slot {}

impl Slot {
    /// The segment.
    ///
    /// # Safety
    ///
    /// 1. The caller has the slot alone, for as long as it uses the reference.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "by the contract it is the only one")]
    unsafe fn segment_alone(&self) -> &mut Option<MemorySegment> {
        // SAFETY: by the caller's contract, 1, nobody else has a reference to it.
        unsafe { &mut *self.segment.get() }
    }
}

static SLOTS: Slots<Slot> = Slots::new();
static SPARES: Spares = Spares::new();

/// Spare slots of one thread.
struct Kept {
    slots: [Cell<u32>; KEPT_MAX],
    count: Cell<usize>,
}

thread_local! {
    static KEPT: Kept =
        const { Kept { slots: [const { Cell::new(0) }; KEPT_MAX], count: Cell::new(0) } };
}

impl Kept {
    #[inline]
    fn take(&self) -> Option<u32> {
        if self.count.get() == 0 {
            SPARES.take(BATCH, |slot| self.push(slot));
        }
        let last = self.count.get().checked_sub(1)?;
        self.count.set(last);
        self.slots.get(last).map(Cell::get)
    }

    #[inline]
    fn put(&self, slot: u32) {
        if self.count.get() == KEPT_MAX {
            SPARES.put(self.slots[BATCH..].iter().map(Cell::get));
            self.count.set(BATCH);
        }
        self.push(slot);
    }

    /// Adds a slot, for which there is room.
    #[inline]
    fn push(&self, slot: u32) {
        let count = self.count.get();
        if let Some(place) = self.slots.get(count) {
            place.set(slot);
            self.count.set(count + 1);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        SPARES.put(self.slots[..self.count.get()].iter().map(Cell::get));
    }
}

#[inline]
fn take_spare() -> Option<u32> {
    // A thread that is about to end has nothing to keep them in.
    KEPT.try_with(Kept::take).unwrap_or_else(|_| SPARES.take_one())
}

#[inline]
fn put_spare(slot: u32) {
    if KEPT.try_with(|kept| kept.put(slot)).is_err() {
        SPARES.put([slot]);
    }
}

/// Keeps a segment; returns its handle.
#[inline]
pub(crate) fn insert(segment: MemorySegment) -> Result<Handle, Failure> {
    let Some(index) = take_spare() else { return Err(Failure::table_full(Kind::Segment)) };
    let slot = SLOTS.get_or_make(index);
    let label = [segment.as_ptr().expose_provenance() as u64, segment.size() as u64];
    // SAFETY: 1: the slot was spare, and is ours until its gate is open.
    *unsafe { slot.segment_alone() } = Some(segment);
    match slot.gate.open(label) {
        Some(generation) => Ok(Handle::new(Kind::Segment, index, generation)),
        // Slots that are used up do not become spare.
        None => Err(Failure::table_full(Kind::Segment)),
    }
}

/// The address and the size of a segment.
#[inline]
pub(crate) fn range(handle: Handle) -> Result<(*mut u8, usize), Failure> {
    let (slot, generation) = slot(handle)?;
    match slot.gate.read(generation) {
        Ok([address, size]) => {
            Ok((ptr::with_exposed_provenance_mut(word_to_size(address)), word_to_size(size)))
        }
        Err(why) => Err(Failure::handle(Kind::Segment, handle, why)),
    }
}

/// Ends a handle and takes its segment out.
#[inline]
pub(crate) fn remove(handle: Handle) -> Result<MemorySegment, Failure> {
    Ok(end(handle)?.take())
}

/// Ends all of these handles, or none, and takes their segments out. Those that are NULL are left
/// out.
pub(crate) fn remove_all(
    handles: impl ExactSizeIterator<Item = Handle>,
) -> Result<impl Iterator<Item = MemorySegment>, Failure> {
    let mut ended = Vec::with_capacity(handles.len());
    for (position, handle) in handles.enumerate().filter(|(_, handle)| handle.into_bits() != 0) {
        ended.push(end(handle).map_err(|failure| failure.at(position))?);
    }
    Ok(ended.into_iter().map(Ended::take))
}

/// A slot whose gate we shut: its segment is ours, or is put back as if nothing had been.
///
/// # Invariants
///
/// - The slot is ours alone, and has its segment.
struct Ended {
    index: u32,
    slot: &'static Slot,
    generation: Generation,
}

#[inline]
fn end(handle: Handle) -> Result<Ended, Failure> {
    let (slot, generation) = slot(handle)?;
    match slot.gate.shut(generation) {
        // INVARIANT: we shut the gate.
        Ok(()) => Ok(Ended { index: handle.index(), slot, generation }),
        Err(why) => Err(Failure::handle(Kind::Segment, handle, why)),
    }
}

impl Ended {
    #[inline]
    fn take(self) -> MemorySegment {
        let Self { index, slot, .. } = self;
        std::mem::forget(self);
        // SAFETY: 1: by the type invariant.
        let segment = unsafe { slot.segment_alone() }.take();
        if !slot.gate.is_used_up() {
            put_spare(index);
        }
        match segment {
            Some(segment) => segment,
            None => unreachable!("there is a segment behind an open gate"),
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.slot.gate.reopen(self.generation);
    }
}

#[inline]
fn slot(handle: Handle) -> Result<(&'static Slot, Generation), Failure> {
    let is_segment = handle.is_of(Kind::Segment);
    match SLOTS.get(handle.index()).filter(|_| is_segment) {
        Some(slot) => Ok((slot, handle.generation())),
        None => Err(Failure::handle(Kind::Segment, handle, NotEntered::Foreign)),
    }
}

/// A word that holds a size or an address.
#[inline]
fn word_to_size(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
