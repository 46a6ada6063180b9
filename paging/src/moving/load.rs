//! Pages come back from the file.

use std::time::Instant;

use offheap::MemorySegment;

use super::{evict, forget, obtain};
use crate::entry::{IsDead, LoadTurn, Phase, Publish};
use crate::file::{Read, Slot, seal};
use crate::frames::entry::{COLD, Entry, KEEP, SEQUENTIAL};
use crate::frames::queues::{Came, Stamp};
use crate::pool::error::PagingError;
use crate::pool::scans::Follows;
use crate::pool::shared::Shared;

/// So many bytes are read ahead at a time, at most.
const AHEAD_BYTES: usize = 1 << 20;
/// At most one page in so many is read ahead.
const AHEAD_PART: usize = 8;

/// Whether the page is pinned at the end of a load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Yes,
    No,
}

/// A page that the caller loads: nobody else does meanwhile.
#[must_use = "those that want the page wait until it is published, or has failed"]
pub(crate) struct Loading {
    number: u32,
    slot: Slot,
    stamp: u32,
}

/// The same with a frame to load it into.
#[must_use = "as `Loading`"]
pub(crate) struct Framed {
    loading: Loading,
    segment: MemorySegment,
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
    if !begin(shared, number) {
        return Ok(false);
    }
    let entry = shared.entry(number);
    let loading = Loading::begun(shared, number);
    let slot = loading.slot;
    let segment = match obtain::frame(shared, slot.units) {
        Ok(segment) => segment,
        Err(error) if error.is_for_want_of_disk() => {
            return loading.swap(shared, error, pin).map(|()| pin == Pin::Yes);
        }
        Err(error) => {
            loading.fail(shared);
            return Err(error);
        }
    };
    let mut batch = vec![loading.into(segment)];
    let end = slot.first + slot.units;
    let follows = match shared.scans.lock() {
        Ok(mut scans) => scans.note(slot.first, end),
        Err(_) => Follows::None,
    };
    match follows {
        Follows::None if entry.advice() != SEQUENTIAL => {}
        Follows::None | Follows::Scan => {
            let next = add_ahead(shared, &mut batch, end, end.saturating_add(ahead_units(shared)));
            ask_ahead(shared, end, next);
        }
        Follows::Ahead(next) => ask_ahead(shared, next, next),
        Follows::Late(next) => {
            add_ahead(shared, &mut batch, end, next);
        }
    }
    let results = read(shared, batch, |at| if at == 0 { pin } else { Pin::No });
    // Who reads one of the others that failed is told then.
    results.into_iter().next().unwrap_or(Ok(()))?;
    Ok(pin == Pin::Yes)
}

/// Reads a page that was not in memory just now into `target`, which is as large, without a frame:
/// then it is in the file as before. `false` if it is in memory after all.
///
/// # Errors
///
/// If it cannot be read.
#[cold]
pub(crate) fn copy(shared: &Shared, number: u32, target: &mut [u8]) -> Result<bool, PagingError> {
    shared.check_process()?;
    if !begin(shared, number) {
        return Ok(false);
    }
    let since = Instant::now();
    let loading = Loading::begun(shared, number);
    let result = loading.read(shared, target);
    loading.fail(shared);
    result?;
    shared.counters.loads.add(1);
    shared.counters.loaded_bytes.add(target.len() as u64);
    shared.counters.stalled(since);
    Ok(true)
}

/// Begins to load a page if it is spilled, or waits while others load it. Whether it is the
/// caller's to load.
fn begin(shared: &Shared, number: u32) -> bool {
    let entry = shared.entry(number);
    match entry.state.begin_load() {
        LoadTurn::Mine => return true,
        // It is there, or nobody wants it any more.
        LoadTurn::Resident | LoadTurn::Gone => {}
        LoadTurn::Evicting => evict::stay(shared, number),
        LoadTurn::Loading => {
            let is_under_way = || entry.state.seen().phase() == Phase::Loading;
            shared.loads.wait_while(number, is_under_way);
        }
    }
    false
}

impl Loading {
    /// A load that `begin_load` has begun.
    pub(crate) fn begun(shared: &Shared, number: u32) -> Self {
        let entry = shared.entry(number);
        let first = entry.slot().unwrap_or_else(|| unreachable!("a spilled page has a slot"));
        let slot = Slot { first, units: entry.pages() };
        Self { number, slot, stamp: entry.frame() }
    }

    pub(crate) fn pages(&self) -> u32 {
        self.slot.units
    }

    /// Loads it into this frame, which is as large as the page.
    pub(crate) fn into(self, segment: MemorySegment) -> Framed {
        Framed { loading: self, segment }
    }

    fn read(&self, shared: &Shared, target: &mut [u8]) -> Result<(), PagingError> {
        shared.file.read(self.slot, target)?;
        self.check(shared, target)
    }

    /// Whether what was read is what was written.
    fn check(&self, shared: &Shared, bytes: &[u8]) -> Result<(), PagingError> {
        let entry = shared.entry(self.number);
        if seal(bytes, self.number, entry.version()) == entry.seal() {
            return Ok(());
        }
        Err(PagingError::Damaged {
            dir: shared.file.dir().to_path_buf(),
            offset: u64::from(self.slot.first) * shared.page_bytes as u64,
            bytes: bytes.len(),
        })
    }

    /// The load has failed: the page is in the file as before.
    pub(crate) fn fail(self, shared: &Shared) {
        let is_dead = shared.entry(self.number).state.fail_load() == IsDead::Yes;
        shared.loads.wake(self.number);
        if is_dead {
            forget::bury(shared, self.number, false);
        }
    }

    /// Loads a page although nothing can be evicted, since the disk is full: into a spare frame.
    /// Its slot is free then, and takes a page whose frame is spare in turn.
    fn swap(self, shared: &Shared, cause: PagingError, pin: Pin) -> Result<(), PagingError> {
        let spare = if self.slot.units == 1 { obtain::spare(shared) } else { None };
        let Some(spare) = spare else {
            self.fail(shared);
            return Err(cause);
        };
        let slot = self.slot;
        let mut framed = self.into(spare);
        if let Err(error) = framed.read(shared) {
            framed.fail(shared);
            obtain::end_swap(shared, None);
            return Err(error);
        }
        shared.counters.loads.add(1);
        shared.counters.loaded_bytes.add(shared.bytes(1) as u64);
        shared.counters.swaps.add(1);
        framed.publish(shared, Publish { pin: pin == Pin::Yes, dirty: true });
        obtain::end_swap(shared, Some(slot));
        Ok(())
    }
}

impl Framed {
    fn read(&mut self, shared: &Shared) -> Result<(), PagingError> {
        self.loading.read(shared, &mut self.segment)
    }

    fn check(&self, shared: &Shared) -> Result<(), PagingError> {
        self.loading.check(shared, &self.segment)
    }

    /// The load has failed: the page is in the file as before, and the frame is free.
    fn fail(self, shared: &Shared) {
        self.loading.fail(shared);
        let rest = shared.books().keep(self.segment, shared.page_bytes);
        drop(rest);
        shared.wants.notify();
    }

    /// The load has succeeded.
    fn publish(self, shared: &Shared, publish: Publish) {
        let Loading { number, slot, stamp } = self.loading;
        let entry = shared.entry(number);
        let came = came(entry, stamp);
        let mut books = shared.books();
        books.spilled_pages -= slot.units as usize;
        if publish.dirty {
            books.set_slot(number, entry, None);
        }
        books.install((number, entry), self.segment, came);
        drop(books);
        let is_dead = entry.state.publish(publish) == IsDead::Yes;
        shared.loads.wake(number);
        if is_dead {
            forget::bury(shared, number, true);
        }
    }
}

/// Reads pages, those side by side at once, and publishes them. Returns the result of each, in the
/// order of the batch. `pin` says of each place whether the page is pinned then.
pub(crate) fn read(
    shared: &Shared,
    mut batch: Vec<Framed>,
    pin: impl Fn(usize) -> Pin,
) -> Vec<Result<(), PagingError>> {
    let results = match &mut batch[..] {
        [one] => vec![one.read(shared)],
        several => read_together(shared, several),
    };
    for (at, (framed, result)) in batch.into_iter().zip(&results).enumerate() {
        if result.is_ok() {
            shared.counters.loads.add(1);
            shared.counters.loaded_bytes.add(framed.segment.size() as u64);
            framed.publish(shared, Publish { pin: pin(at) == Pin::Yes, dirty: false });
        } else {
            framed.fail(shared);
        }
    }
    results
}

fn read_together(shared: &Shared, batch: &mut [Framed]) -> Vec<Result<(), PagingError>> {
    let reads = batch.iter_mut().map(|framed| Read::new(framed.loading.slot, &mut framed.segment));
    let mut reads: Vec<_> = reads.collect();
    shared.file.read_many(&mut reads);
    let results: Vec<_> = reads.into_iter().map(|read| read.result).collect();
    let results = batch.iter().zip(results);
    results
        .map(|(framed, result)| {
            result.map_err(PagingError::from).and_then(|()| framed.check(shared))
        })
        .collect()
}

/// How a page comes back.
fn came(entry: &Entry, stamp: u32) -> Came {
    match entry.advice() {
        KEEP => Came::Keep,
        COLD | SEQUENTIAL => Came::Cold,
        _ => Came::Back(Stamp::from_bits(stamp)),
    }
}

/// So many units are read ahead at a time: a part of the memory that there is.
fn ahead_units(shared: &Shared) -> u32 {
    let part = shared.books().resident_pages / AHEAD_PART;
    shared.pages(AHEAD_BYTES).min(u32::try_from(part).unwrap_or(u32::MAX)).max(1)
}

/// Has the pool's thread read what follows `next`, while the caller reads what was read ahead. The
/// page at `next` is left to be loaded when it is read, which tells how far the scan is. `end` is
/// where the scan is known to be.
fn ask_ahead(shared: &Shared, end: u32, next: u32) {
    let first = next.saturating_add(1);
    let units = ahead_units(shared);
    let is_asked = shared.writes_behind && shared.jobs.read_ahead(first, units);
    let asked_to = if is_asked { first.saturating_add(units) } else { next };
    if let Ok(mut scans) = shared.scans.lock() {
        scans.read_to(end, next, asked_to);
    }
}

/// Loads what lies in so many units, as far as there are frames at hand for it.
pub(crate) fn read_ahead(shared: &Shared, first: u32, units: u32) {
    if shared.check_process().is_err() {
        return;
    }
    let mut batch = Vec::new();
    add_ahead(shared, &mut batch, first, first.saturating_add(units));
    if !batch.is_empty() {
        // Who reads one of those that failed is told then.
        drop(read(shared, batch, |_| Pin::No));
    }
}

/// Adds the pages that lie in the file from `end` to `to`, as far as there are frames at hand for
/// them. Returns where they end.
fn add_ahead(shared: &Shared, batch: &mut Vec<Framed>, end: u32, to: u32) -> u32 {
    let mut unit = end;
    while unit < to {
        let Some(number) = shared.books().at_slot(unit) else { break };
        let entry = shared.entry(number);
        if entry.pages() != 1 || !matches!(entry.state.begin_load(), LoadTurn::Mine) {
            break;
        }
        let loading = Loading::begun(shared, number);
        // It may have been dropped, and used again, since the look at the slot.
        let is_next = loading.slot == Slot { first: unit, units: 1 };
        let segment = if is_next { obtain::cheap(shared) } else { None };
        let Some(segment) = segment else {
            loading.fail(shared);
            break;
        };
        batch.push(loading.into(segment));
        unit += 1;
        shared.counters.ahead.add(1);
    }
    unit
}
