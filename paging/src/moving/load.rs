//! Pages come back from the file.

use std::time::Instant;

use offheap::MemorySegment;

use super::{evict, forget, obtain};
use crate::entry::{IsDead, LoadTurn, Phase, Publish};
use crate::file::{Read, Slot, seal};
use crate::frames::entry::{COLD, Entry, KEEP, SEQUENTIAL};
use crate::frames::queues::{Came, Stamp};
use crate::pool::error::PagingError;
use crate::pool::shared::Shared;

/// So many bytes are read ahead at most.
const AHEAD_BYTES: usize = 1 << 20;

/// Whether the page is pinned at the end of a load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Yes,
    No,
}

/// A page that the caller loads: nobody else does meanwhile.
pub(crate) struct Loading {
    pub(crate) number: u32,
    slot: Slot,
    stamp: u32,
    segment: Option<MemorySegment>,
}

/// Pins a page that was not in memory just now.
///
/// # Errors
///
/// If there is no frame for it, or it cannot be read.
#[cold]
pub(crate) fn pin(shared: &Shared, number: u32) -> Result<(), PagingError> {
    let since = Instant::now();
    let entry = shared.entry(number);
    while !entry.state.pin() {
        if load(shared, number, Pin::Yes)? {
            break;
        }
    }
    shared.counters.stalled(since);
    Ok(())
}

/// Pins a page to change it that was not in memory just now.
///
/// # Errors
///
/// As [`pin`].
#[cold]
pub(crate) fn pin_for_write(shared: &Shared, number: u32) -> Result<(), PagingError> {
    let since = Instant::now();
    let entry = shared.entry(number);
    while !entry.state.pin_for_write() {
        // With a pin it stays until it is pinned to be changed: otherwise a pool that has no other
        // page to evict could go on to load and evict this one.
        if load(shared, number, Pin::Yes)? {
            let is_pinned = entry.state.pin_for_write();
            entry.state.unpin();
            if is_pinned {
                break;
            }
        }
    }
    shared.counters.stalled(since);
    Ok(())
}

/// Loads a page if it is spilled, or waits while others load it. Whether it is pinned now, which
/// it is only if the caller has loaded it and wants that.
pub(crate) fn load(shared: &Shared, number: u32, pin: Pin) -> Result<bool, PagingError> {
    shared.check_process()?;
    let entry = shared.entry(number);
    match entry.state.begin_load() {
        LoadTurn::Mine => {}
        // It is there, or nobody wants it any more.
        LoadTurn::Resident | LoadTurn::Gone => return Ok(false),
        LoadTurn::Evicting => {
            evict::stay(shared, number);
            return Ok(false);
        }
        LoadTurn::Loading => {
            let is_under_way = || entry.state.seen().phase() == Phase::Loading;
            shared.loads.wait_while(number, is_under_way);
            return Ok(false);
        }
    }
    let mut loading = Loading::begun(shared, number);
    match obtain::frame(shared, loading.slot.units) {
        Ok(segment) => loading.segment = Some(segment),
        Err(error) if error.is_for_want_of_disk() => {
            return match loading.swap(shared, error, pin) {
                Ok(()) => Ok(pin == Pin::Yes),
                Err(error) => Err(error),
            };
        }
        Err(error) => {
            loading.fail(shared);
            return Err(error);
        }
    }
    let mut batch = vec![loading];
    let slot = batch[0].slot;
    let end = slot.first + slot.units;
    let is_scan = shared.scans.lock().is_ok_and(|mut scans| scans.note(slot.first, end));
    if is_scan || entry.advice() == SEQUENTIAL {
        add_ahead(shared, &mut batch, end);
    }
    let mut first = None;
    for (at, result) in read(shared, batch, |at| if at == 0 { pin } else { Pin::No }) {
        if at == 0 {
            first = Some(result);
        }
    }
    first.unwrap_or(Ok(()))?;
    Ok(pin == Pin::Yes)
}

impl Loading {
    /// A load that `begin_load` has begun.
    pub(crate) fn begun(shared: &Shared, number: u32) -> Self {
        let entry = shared.entry(number);
        let first = entry.slot().unwrap_or_else(|| unreachable!("a spilled page has a slot"));
        let slot = Slot { first, units: entry.pages() };
        Self { number, slot, stamp: entry.frame(), segment: None }
    }

    pub(crate) fn pages(&self) -> u32 {
        self.slot.units
    }

    pub(crate) fn set_frame(&mut self, segment: MemorySegment) {
        self.segment = Some(segment);
    }

    /// The load has failed: the page is in the file as before.
    pub(crate) fn fail(self, shared: &Shared) {
        let is_dead = shared.entry(self.number).state.fail_load() == IsDead::Yes;
        shared.loads.wake(self.number);
        if is_dead {
            forget::bury(shared, self.number, false);
        }
        if let Some(segment) = self.segment {
            let rest = shared.books().keep(segment, shared.page_bytes);
            drop(rest);
            shared.wants.notify();
        }
    }

    /// The load has succeeded.
    fn publish(mut self, shared: &Shared, publish: Publish) {
        let Some(segment) = self.segment.take() else { return };
        let entry = shared.entry(self.number);
        let came = came(entry, self.stamp);
        let mut books = shared.books();
        books.spilled_pages -= self.slot.units as usize;
        if publish.dirty {
            books.set_slot(self.number, entry, None);
        }
        books.install((self.number, entry), segment, came);
        drop(books);
        let is_dead = entry.state.publish(publish) == IsDead::Yes;
        shared.loads.wake(self.number);
        if is_dead {
            forget::bury(shared, self.number, true);
        }
    }

    /// Loads a page although nothing can be evicted, since the disk is full: into a spare frame.
    /// Its slot is free then, and takes a page whose frame is spare in turn.
    fn swap(mut self, shared: &Shared, cause: PagingError, pin: Pin) -> Result<(), PagingError> {
        let spare = if self.slot.units == 1 { obtain::spare(shared) } else { None };
        let Some(spare) = spare else {
            self.fail(shared);
            return Err(cause);
        };
        self.segment = Some(spare);
        if let Err(error) = self.read_alone(shared) {
            self.fail(shared);
            obtain::end_swap(shared, None);
            return Err(error);
        }
        shared.counters.loads.add(1);
        shared.counters.loaded_bytes.add(shared.bytes(1) as u64);
        shared.counters.swaps.add(1);
        let slot = self.slot;
        self.publish(shared, Publish { pin: pin == Pin::Yes, dirty: true });
        obtain::end_swap(shared, Some(slot));
        Ok(())
    }

    fn read_alone(&mut self, shared: &Shared) -> Result<(), PagingError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        shared.file.read(self.slot, segment)?;
        check(shared, self.number, self.slot, segment)
    }
}

/// Reads pages that have frames, those side by side at once, and publishes them. Returns the result
/// of each with its place in the batch.
pub(crate) fn read(
    shared: &Shared,
    mut batch: Vec<Loading>,
    pin: impl Fn(usize) -> Pin,
) -> Vec<(usize, Result<(), PagingError>)> {
    let mut results = Vec::with_capacity(batch.len());
    if let [one] = &mut batch[..] {
        results.push(one.read_alone(shared));
    } else {
        let mut reads = Vec::with_capacity(batch.len());
        for loading in &mut batch {
            let bytes = loading.segment.as_deref_mut().unwrap_or(&mut []);
            reads.push(Read { slot: loading.slot, bytes, result: Ok(()) });
        }
        shared.file.read_many(&mut reads);
        let read = reads.into_iter().map(|read| read.result);
        results.extend(read.map(|result| result.map_err(PagingError::from)));
        for (loading, result) in batch.iter().zip(&mut results) {
            if let (Ok(()), Some(segment)) = (&result, &loading.segment) {
                *result = check(shared, loading.number, loading.slot, segment);
            }
        }
    }
    let loaded = batch.into_iter().zip(results).enumerate();
    loaded
        .map(|(at, (loading, result))| {
            if result.is_ok() {
                shared.counters.loads.add(1);
                shared.counters.loaded_bytes.add(shared.bytes(loading.slot.units) as u64);
                loading.publish(shared, Publish { pin: pin(at) == Pin::Yes, dirty: false });
            } else {
                loading.fail(shared);
            }
            (at, result)
        })
        .collect()
}

/// Whether what was read is what was written.
fn check(shared: &Shared, number: u32, slot: Slot, bytes: &[u8]) -> Result<(), PagingError> {
    let entry = shared.entry(number);
    if seal(bytes, number, entry.version()) == entry.seal() {
        return Ok(());
    }
    Err(PagingError::Damaged {
        dir: shared.file.dir().to_path_buf(),
        offset: u64::from(slot.first) * shared.page_bytes as u64,
        bytes: bytes.len(),
    })
}

/// How a page comes back.
fn came(entry: &Entry, stamp: u32) -> Came {
    match entry.advice() {
        KEEP => Came::Keep,
        COLD | SEQUENTIAL => Came::Cold,
        _ => Came::Back(Stamp::from_bits(stamp)),
    }
}

/// Adds the pages that follow in the file, as far as there are frames at hand for them.
fn add_ahead(shared: &Shared, batch: &mut Vec<Loading>, end: u32) {
    let mut unit = end;
    let units_max = shared.pages(AHEAD_BYTES);
    while unit - end < units_max {
        let Some(number) = shared.books().at_slot(unit) else { break };
        let entry = shared.entry(number);
        if entry.pages() != 1 || !matches!(entry.state.begin_load(), LoadTurn::Mine) {
            break;
        }
        // It may have been dropped, and used again, since the look at the slot.
        let mut loading = Loading::begun(shared, number);
        match obtain::cheap(shared) {
            Some(segment) if loading.slot.units == 1 => loading.set_frame(segment),
            other => {
                loading.segment = other;
                loading.fail(shared);
                break;
            }
        }
        unit = loading.slot.first + 1;
        batch.push(loading);
        shared.counters.ahead.add(1);
    }
    if let Ok(mut scans) = shared.scans.lock() {
        scans.read_to(end, unit);
    }
}
