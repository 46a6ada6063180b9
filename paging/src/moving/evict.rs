//! Eviction: clean pages leave their frames, without any I/O.
//!
//! All of it is done under the lock of the books, and so by one thread at a time.

use offheap::MemorySegment;

use super::forget;
use crate::entry::{IsDead, Phase};
use crate::frames::queues::{Look, Victim};
use crate::frames::slab::Frames;
use crate::frames::table::Table;
use crate::pool::books::{Books, FREE_MAX};
use crate::pool::counters::Counters;
use crate::pool::shared::Shared;

/// While there are readers in epochs, so many pages are evicted at a time: each time costs a call
/// to the system.
const AT_A_TIME: usize = 16;
/// A victim that is pinned just after it was looked at is passed by, so often in a call.
const PASSED_MAX: usize = 64;

/// What became of it.
pub(crate) enum Evicted {
    /// A frame, with what was in it.
    Frame(MemorySegment),
    /// There is none, but this one could be written first. It is set aside.
    Dirty(u32),
    /// All are pinned, or are being written or loaded. So many frames wait for epochs to end.
    Nothing,
}

/// What is left to do once the lock of the books is free.
#[derive(Default)]
#[must_use = "what was dropped meanwhile is buried by `finish`"]
pub(crate) struct Rest {
    /// Pages that were dropped while they were evicted.
    dead: Vec<u32>,
    /// Frames that the pool does not keep.
    frames: Vec<MemorySegment>,
}

impl Rest {
    /// Keeps a frame for the next page, or gives it back later.
    pub(crate) fn keep(&mut self, books: &mut Books, segment: MemorySegment, shared: &Shared) {
        self.frames.extend(books.keep(segment, shared.page_bytes));
    }

    pub(crate) fn finish(self, shared: &Shared) {
        self.dead.into_iter().for_each(|number| forget::bury(shared, number, false));
        drop(self.frames);
    }
}

/// Evicts a page: the coldest of the clean ones, as far as they are known.
pub(crate) fn evict(shared: &Shared, books: &mut Books, rest: &mut Rest) -> Evicted {
    if let Some(segment) = leave_limbo(shared, books, rest) {
        return Evicted::Frame(segment);
    }
    let at_a_time = if books.had_readers { AT_A_TIME } else { 1 };
    let mut begun = Vec::new();
    let next = begin(shared, books, at_a_time, &mut begun);
    if begun.is_empty() {
        return next;
    }
    if let Evicted::Dirty(frame) = next {
        // It was found on the way, and comes again.
        books.queues.cleaned(frame);
    }
    let stamp = shared.epochs.retire();
    books.had_readers = !stamp.is_of_nobody();
    let segment = match &begun[..] {
        [frame] if stamp.is_of_nobody() => complete(shared, books, *frame, rest),
        _ => {
            books.limbo.extend(begun.into_iter().map(|frame| (stamp, frame)));
            leave_limbo(shared, books, rest)
        }
    };
    segment.map_or(Evicted::Nothing, Evicted::Frame)
}

/// Begins to evict so many pages, or those that can be.
fn begin(shared: &Shared, books: &mut Books, at_a_time: usize, begun: &mut Vec<u32>) -> Evicted {
    let Books { frames, queues, .. } = books;
    for _ in 0..PASSED_MAX + at_a_time {
        let look = |frame| look(&shared.table, &shared.counters, frames, frame);
        match queues.next_victim(look) {
            Some(Victim::Clean(frame)) => {
                if shared.entry(frames.entry_of(frame)).state.begin_evict().is_err() {
                    // It was pinned since the look.
                    continue;
                }
                begun.push(frame);
                if begun.len() == at_a_time {
                    break;
                }
            }
            Some(Victim::Dirty(frame)) => return Evicted::Dirty(frame),
            None => break,
        }
    }
    Evicted::Nothing
}

/// A frame that no reader looks at any more; more of them are kept for the next ones.
fn leave_limbo(shared: &Shared, books: &mut Books, rest: &mut Rest) -> Option<MemorySegment> {
    let mut first = None;
    while let Some((stamp, frame)) = books.limbo.front().copied() {
        if !shared.epochs.has_passed(stamp) {
            break;
        }
        if first.is_some() && books.free.len() >= FREE_MAX {
            break;
        }
        books.limbo.pop_front();
        let Some(segment) = complete(shared, books, frame, rest) else { continue };
        if first.is_none() {
            first = Some(segment);
        } else {
            rest.keep(books, segment, shared);
        }
    }
    first
}

/// Takes a page out of its frame, which it is being evicted from.
fn complete(
    shared: &Shared,
    books: &mut Books,
    frame: u32,
    rest: &mut Rest,
) -> Option<MemorySegment> {
    let number = books.frames.entry_of(frame);
    let entry = shared.entry(number);
    let segment = books.evict(entry);
    shared.counters.evicted.add(1);
    if entry.state.finish_evict() == IsDead::Yes {
        rest.dead.push(number);
    }
    shared.loads.wake(number);
    segment
}

/// A page that is to be read waits for epochs to end before it is evicted: so it stays.
pub(crate) fn stay(shared: &Shared, number: u32) {
    let mut books = shared.books();
    let entry = shared.entry(number);
    // Under the lock only those that wait are being evicted.
    if entry.state.seen().phase() == Phase::Evicting {
        let frame = entry.frame();
        books.limbo.retain(|(_, waits)| *waits != frame);
        if entry.state.cancel_evict() == IsDead::Yes {
            drop(books);
            forget::bury(shared, number, true);
        }
    }
}

/// What is seen of a frame; its uses are counted and forgotten.
pub(crate) fn look(table: &Table, counters: &Counters, frames: &Frames, frame: u32) -> Look {
    let state = &table.get(frames.entry_of(frame)).state;
    let seen = state.seen();
    if seen.phase() != Phase::Resident || seen.pins() > 0 || seen.is_writing() {
        return Look::Pinned;
    }
    let (uses, is_used) = state.take_uses();
    counters.hits.add(u64::from(uses));
    if uses > 0 || is_used {
        return Look::Used;
    }
    if seen.is_dirty() { Look::Dirty } else { Look::Unused }
}
