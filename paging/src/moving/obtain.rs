//! A frame for a page: one that is free, one of the owner's, or one that another page leaves.

use std::time::{Duration, Instant};

use offheap::{MemorySegment, Owner};

use super::evict::{Evicted, Rest, evict};
use super::write::{write, write_to};
use crate::entry::Phase;
use crate::file::Slot;
use crate::pool::error::PagingError;
use crate::pool::shared::Shared;

/// So long others are asked at a time, before the pool looks again for a frame of its own.
const ASKS_FOR: Duration = Duration::from_millis(20);

/// So many pages are asked of others at a time, to begin with.
const ASKS_FOR_PAGES: usize = 16;
/// So long they are not asked again after they gave nothing: others that were only slow are soon
/// asked again. Twice as long each time from some time on, so that it waits less and less.
const PAUSE_IF_REFUSED: Duration = Duration::from_millis(100);
/// So often not longer.
const REFUSALS_AT_FIRST: u32 = 4;
/// So often twice as long.
const DOUBLINGS_MAX: u32 = 8;
/// The same after they gave something, where there are no shares.
const PAUSE_WITHOUT_SHARE: Duration = Duration::from_millis(100);

/// A frame for `pages` pages of the region, with anything in it.
///
/// # Errors
///
/// If there is none in the pool's `pin_timeout`, since all are pinned; or at once, if pages would
/// have to be written and cannot be.
pub(crate) fn frame(shared: &Shared, pages: u32) -> Result<MemorySegment, PagingError> {
    frame_within(shared, pages, shared.pin_timeout)
}

/// The same, which waits at most so long for pins and for others.
pub(crate) fn frame_within(
    shared: &Shared,
    pages: u32,
    timeout: Duration,
) -> Result<MemorySegment, PagingError> {
    let mut wait = None;
    loop {
        if let Some(segment) = at_hand(shared, pages) {
            return Ok(segment);
        }
        if let Some(segment) = from_others(shared, pages, timeout) {
            return Ok(segment);
        }
        match make_room(shared, pages)? {
            Room::Frame(segment) => return Ok(segment),
            Room::Some => continue,
            // The owner may have memory that it had not when it was asked last.
            Room::None => {
                if shared.ask_next()
                    && let Some(segment) = at_hand(shared, pages)
                {
                    return Ok(segment);
                }
            }
        }
        let since = *wait.get_or_insert_with(Instant::now);
        let answer = wait_for_one(shared, pages, (since, since + timeout));
        if !matches!(answer, Ok(None)) {
            shared.counters.stalled(since);
        }
        if let Some(segment) = answer? {
            return Ok(segment);
        }
    }
}

/// A frame that needs no eviction.
pub(crate) fn at_hand(shared: &Shared, pages: u32) -> Option<MemorySegment> {
    if pages == 1
        && let Some(segment) = shared.books().free.pop()
    {
        return Some(segment);
    }
    shared.grow(pages)
}

/// A frame that others give, before the pool evicts pages of its own. Where the policy has shares,
/// they give until the owner has its own; where it has none, a page now and then.
fn from_others(shared: &Shared, pages: u32, timeout: Duration) -> Option<MemorySegment> {
    if pages != 1 || timeout.is_zero() {
        return None;
    }
    let wanted = {
        let mut books = shared.books();
        let now = Instant::now();
        if books.asks_again.is_some_and(|then| now < then) {
            return None;
        }
        // Other threads need not ask as well.
        books.asks_again = Some(now + ASKS_FOR);
        if has_shares(&shared.owner) { books.asks_for_pages } else { 1 }
    };
    let got = grow(shared, wanted, ASKS_FOR.min(timeout));
    let room = room_pages(&shared.owner).filter(|room| (1..wanted).contains(room));
    let mut books = shared.books();
    let pause = match (got, room) {
        (true, _) => (!has_shares(&shared.owner)).then_some(PAUSE_WITHOUT_SHARE),
        // What was asked for is more than its share, which is known from now on.
        (false, Some(_)) => None,
        (false, None) => {
            let doublings = books.refusals.saturating_sub(REFUSALS_AT_FIRST).min(DOUBLINGS_MAX);
            Some(PAUSE_IF_REFUSED * 2_u32.pow(doublings))
        }
    };
    books.asks_again = pause.map(|pause| Instant::now() + pause);
    books.refusals = if got { 0 } else { books.refusals.saturating_add(1) };
    let pages = if got { 2 * wanted } else { room.unwrap_or(wanted / 2) };
    books.asks_for_pages = pages.clamp(1, ASKS_FOR_PAGES);
    books.free.pop()
}

/// Takes so many frames of others, for pages to come. Waits for them at most so long, and not at
/// all if there are no others that hold anything.
pub(crate) fn grow(shared: &Shared, pages: usize, timeout: Duration) -> bool {
    let owner = &shared.owner;
    if owner.used_bytes() + owner.available_bytes() >= owner.limit() {
        return false;
    }
    let Ok(mut segments) = owner.acquire_pages_timeout(pages, timeout) else { return false };
    shared.books().free.append(&mut segments);
    shared.wants.notify();
    true
}

/// The pages that an owner has less than its share.
fn room_pages(owner: &Owner) -> Option<usize> {
    let most = owner.current_share().first_bytes.min(owner.limit());
    most.checked_sub(owner.used_bytes()).map(|room| room / owner.page_size())
}

/// Whether its policy has told a share. It does once a request of somebody's has waited.
fn has_shares(owner: &Owner) -> bool {
    owner.current_share().first_bytes != usize::MAX
}

/// A frame that needs no write and no wait.
pub(crate) fn cheap(shared: &Shared) -> Option<MemorySegment> {
    if let Some(segment) = at_hand(shared, 1) {
        return Some(segment);
    }
    let mut rest = Rest::default();
    let mut books = shared.books();
    let evicted = evict(shared, &mut books, &mut rest);
    if let Evicted::Dirty(frame) = evicted {
        books.queues.cleaned(frame);
    }
    // What is left to do needs the lock.
    drop(books);
    rest.finish(shared);
    match evicted {
        Evicted::Frame(segment) if segment.size() == shared.page_bytes => Some(segment),
        _ if shared.ask_next() => shared.grow(1),
        _ => None,
    }
}

/// A spare frame, for a page that comes back although the disk is full. While others use all of
/// them, it waits for one to come back.
pub(crate) fn spare(shared: &Shared) -> Option<MemorySegment> {
    let deadline = Instant::now() + shared.pin_timeout;
    loop {
        let mut books = shared.books();
        let spare = books.spares.pop();
        if spare.is_some() {
            books.swaps += 1;
            return spare;
        }
        if books.swaps == 0 {
            return None;
        }
        drop(books);
        if !shared.wants.wait(deadline) {
            return None;
        }
    }
}

/// The page has come back, or not. Another one goes to its slot, and leaves its frame as a spare.
/// Should it fail, the next one that is free is spare.
pub(crate) fn end_swap(shared: &Shared, slot: Option<Slot>) {
    let spare = slot.and_then(|slot| frame_for(shared, slot));
    let mut books = shared.books();
    books.swaps -= 1;
    let rest = spare.and_then(|segment| books.keep(segment, shared.page_bytes));
    drop(books);
    drop(rest);
    shared.wants.notify();
}

/// A frame whose page goes to this slot, if it is dirty.
fn frame_for(shared: &Shared, slot: Slot) -> Option<MemorySegment> {
    let mut slot = Some(slot);
    // What was written is clean at the second look.
    let frame = (0..2).find_map(|_| {
        let mut rest = Rest::default();
        let mut books = shared.books();
        let evicted = evict(shared, &mut books, &mut rest);
        drop(books);
        rest.finish(shared);
        match evicted {
            Evicted::Frame(segment) => Some(segment),
            Evicted::Dirty(frame) => {
                // Should it fail, the frame is as it was.
                let _ = match slot.take() {
                    Some(slot) => write_to(shared, frame, slot),
                    None => write(shared, Some(frame)),
                };
                None
            }
            Evicted::Nothing => None,
        }
    });
    slot.into_iter().for_each(|slot| shared.file.free(slot));
    frame
}

/// What an attempt to make room came to.
enum Room {
    Frame(MemorySegment),
    /// There may be room now.
    Some,
    /// Nothing can be evicted just now.
    None,
}

/// Evicts pages, and writes some first if it must.
fn make_room(shared: &Shared, pages: u32) -> Result<Room, PagingError> {
    let wanted = shared.bytes(pages);
    let mut rest = Rest::default();
    let mut gathered = Vec::new();
    let mut bytes = 0;
    let mut books = shared.books();
    if pages > 1 {
        // Those of one page are room for a block once the owner has them.
        gathered = std::mem::take(&mut books.free);
        bytes = gathered.len() * shared.page_bytes;
    }
    let dirty = loop {
        if bytes >= wanted {
            break None;
        }
        match evict(shared, &mut books, &mut rest) {
            Evicted::Frame(segment) if segment.size() == wanted => {
                gathered.into_iter().for_each(|other| rest.keep(&mut books, other, shared));
                drop(books);
                rest.finish(shared);
                return Ok(Room::Frame(segment));
            }
            Evicted::Frame(segment) => {
                bytes += segment.size();
                gathered.push(segment);
            }
            Evicted::Dirty(frame) => break Some(frame),
            Evicted::Nothing => break None,
        }
    };
    drop(books);
    rest.finish(shared);
    // They go back to the owner, which makes a block of them.
    let has_room = !gathered.is_empty();
    drop(gathered);
    let Some(frame) = dirty else {
        return Ok(if has_room { Room::Some } else { Room::None });
    };
    if shared.writes_behind {
        shared.jobs.keep_ahead();
    }
    match write(shared, Some(frame)) {
        Err(error) if !has_room => Err(error),
        Ok(0) if !has_room => Ok(Room::None),
        _ => Ok(Room::Some),
    }
}

/// Waits for a pin or an epoch to end, or for others to give memory.
fn wait_for_one(
    shared: &Shared,
    pages: u32,
    (since, deadline): (Instant, Instant),
) -> Result<Option<MemorySegment>, PagingError> {
    shared.counters.waits.add(1);
    if !shared.wants.wait(deadline) {
        return Err(all_pinned(shared, pages, since));
    }
    // A pin that lasts is no reason to ask others at once.
    if since.elapsed() < ASKS_FOR {
        return Ok(None);
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let bytes = shared.bytes(pages);
    match shared.owner.acquire_timeout(bytes, left.min(ASKS_FOR)) {
        Ok(segment) => Ok(Some(segment)),
        Err(error) if error.is_for_want_of_memory() => Ok(None),
        Err(error) => match shared.books().resident_pages {
            // It can never have it.
            0 => Err(PagingError::Memory(error)),
            _ => Ok(None),
        },
    }
}

/// Says who has the frames.
pub(crate) fn all_pinned(shared: &Shared, pages: u32, since: Instant) -> PagingError {
    let books = shared.books();
    let (resident_pages, awaiting_epochs) = (books.resident_pages, books.limbo.len());
    let residents: Vec<u32> = books.frames.residents().collect();
    drop(books);
    let (mut pinned_pages, mut guards) = (0, 0);
    for number in residents {
        let entry = shared.entry(number);
        let seen = entry.state.seen();
        if seen.phase() == Phase::Resident && seen.pins() > 0 {
            pinned_pages += entry.pages() as usize;
            guards += seen.pins();
        }
    }
    PagingError::AllPinned {
        owner: shared.owner.path().to_owned(),
        wanted_bytes: shared.bytes(pages),
        resident_pages,
        pinned_pages,
        guards,
        awaiting_epochs,
        waited: since.elapsed(),
    }
}
