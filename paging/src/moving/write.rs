//! Dirty pages are written to the file, several at a time, from a copy.

use std::slice;

use super::evict::look;
use super::forget;
use crate::entry::Written;
use crate::file::{Slot, SpillError, Write, seal};
use crate::frames::entry::{Entry, NONE};
use crate::pool::books::Books;
use crate::pool::error::PagingError;
use crate::pool::shared::Shared;
use crate::pool::staging::Buffer;

/// So many frames are looked at for each page that a buffer has room for.
const LOOKS_A_PAGE: u32 = 4;

/// A page that is being written.
struct Draft {
    number: u32,
    frame: u32,
    pages: u32,
    /// Where its copy begins in the buffer.
    at: usize,
    seal: u32,
    version: u32,
    slot: Option<Slot>,
    /// The slot is its own from before, whose content is stale.
    is_in_place: bool,
    is_written: bool,
}

/// Writes dirty pages, the coldest first: at most what a buffer takes. `first` is one of their
/// frames, which was set aside. Returns how many pages are clean now, which may be none.
///
/// # Errors
///
/// If none could be written, since the disk is full or does not answer. They stay dirty.
pub(crate) fn write(shared: &Shared, first: Option<u32>) -> Result<usize, PagingError> {
    shared.check_process()?;
    let buffer = shared.staging.take();
    let drafts = pick(shared, first, usize::MAX);
    write_drafts(shared, buffer, drafts, None)
}

/// Writes the dirty page in this frame, which was set aside, to this slot if it is as large as the
/// page. Otherwise, and if the page need not be written any more, the slot is free.
///
/// # Errors
///
/// As [`write`].
pub(crate) fn write_to(shared: &Shared, frame: u32, slot: Slot) -> Result<usize, PagingError> {
    let buffer = shared.staging.take();
    let drafts = pick(shared, Some(frame), 1);
    let fits = drafts.first().is_some_and(|draft| draft.pages == slot.units);
    if !fits {
        shared.file.free(slot);
    }
    write_drafts(shared, buffer, drafts, fits.then_some(slot))
}

fn write_drafts(
    shared: &Shared,
    mut buffer: Buffer<'_>,
    mut drafts: Vec<Draft>,
    slot: Option<Slot>,
) -> Result<usize, PagingError> {
    if drafts.is_empty() {
        return Ok(0);
    }
    // One that is larger than the buffer is alone, and is written from where it is.
    let is_large = shared.bytes(drafts[0].pages) > buffer.bytes().len();
    if !is_large {
        copy(shared, &mut drafts, buffer.bytes());
    }
    let mut refused = match slot {
        None => place(shared, &mut drafts).err(),
        Some(_) => {
            drafts[0].slot = slot;
            None
        }
    };
    let failure = if is_large {
        write_large(shared, &mut drafts)
    } else {
        write_runs(shared, &mut drafts, buffer.bytes())
    };
    drop(buffer);
    refused = failure.or(refused);
    let written = drafts.iter().filter(|draft| draft.is_written);
    let bytes: usize = written.clone().map(|draft| shared.bytes(draft.pages)).sum();
    let written = written.count();
    shared.counters.written_bytes.add(bytes as u64);
    shared.counters.written_pages.add(written as u64);
    settle(shared, &drafts);
    match refused {
        Some(error) if written == 0 => {
            shared.counters.failed_writes.add(1);
            Err(error.into())
        }
        _ => Ok(written),
    }
}

/// Which pages are written: as many as fit, and at most so many.
fn pick(shared: &Shared, first: Option<u32>, count_max: usize) -> Vec<Draft> {
    let buffer_bytes = shared.staging.buffer_bytes();
    let pages_max = shared.pages(buffer_bytes);
    let mut drafts: Vec<Draft> = Vec::new();
    let mut books = shared.books();
    let mut next = first;
    let mut at = 0;
    loop {
        let Books { queues, frames, .. } = &mut *books;
        let look = |frame| look(&shared.table, &shared.counters, frames, frame);
        let frame = next.take().or_else(|| queues.next_dirty(look, pages_max * LOOKS_A_PAGE));
        let Some(frame) = frame else { break };
        let number = frames.entry_of(frame);
        if number == NONE {
            // The page was dropped since its frame was set aside.
            continue;
        }
        let entry = shared.entry(number);
        let bytes = shared.bytes(entry.pages());
        if at + bytes > buffer_bytes && !drafts.is_empty() {
            queues.cleaned(frame);
            break;
        }
        if entry.state.begin_write().is_err() {
            // It was pinned since the look.
            queues.cleaned(frame);
            continue;
        }
        let (pages, version) = (entry.pages(), entry.next_version());
        drafts.push(Draft {
            number,
            frame,
            pages,
            at,
            seal: 0,
            version,
            slot: None,
            is_in_place: false,
            is_written: false,
        });
        at += bytes;
        if at >= buffer_bytes || drafts.len() >= count_max {
            break;
        }
    }
    drafts
}

/// The bytes of a page that is being written.
///
/// # Safety
///
/// 1. `begin_write` has succeeded for it, and `end_copy` follows only after the bytes were used.
unsafe fn bytes_of<'a>(shared: &Shared, entry: &'a Entry) -> &'a [u8] {
    // SAFETY: the frame is not taken away while the page is being written, and nobody writes to it
    // before `end_copy`, by the contract, 1. All of its bytes are initialized: it is a segment.
    unsafe { slice::from_raw_parts(entry.base(), shared.bytes(entry.pages())) }
}

fn copy(shared: &Shared, drafts: &mut [Draft], buffer: &mut [u8]) {
    for draft in drafts {
        let entry = shared.entry(draft.number);
        let target = &mut buffer[draft.at..draft.at + shared.bytes(draft.pages)];
        // SAFETY: 1: `pick` has begun to write it, and the copy ends below.
        target.copy_from_slice(unsafe { bytes_of(shared, entry) });
        entry.state.end_copy();
        draft.seal = seal(target, draft.number, draft.version);
    }
}

/// Finds slots for the pages: side by side if the file has room, or in the slots they have.
fn place(shared: &Shared, drafts: &mut [Draft]) -> Result<(), SpillError> {
    let mut next = 0;
    while next < drafts.len() {
        let left = &mut drafts[next..];
        let most = left.iter().map(|draft| draft.pages).sum();
        let run = match shared.file.allocate_run(left[0].pages, most) {
            Ok(run) => run,
            Err(error) => {
                for draft in left {
                    draft.slot = Shared::slot(shared.entry(draft.number));
                    draft.is_in_place = true;
                }
                return Err(error);
            }
        };
        let (mut at, end) = (run.first, run.first + run.units);
        for draft in left {
            if draft.pages > end - at {
                break;
            }
            draft.slot = Some(Slot { first: at, units: draft.pages });
            at += draft.pages;
            next += 1;
        }
        if at < end {
            shared.file.free(Slot { first: at, units: end - at });
        }
    }
    Ok(())
}

/// Writes those that have a slot, neighbours together. Returns what failed last.
fn write_runs(shared: &Shared, drafts: &mut [Draft], buffer: &[u8]) -> Option<SpillError> {
    let mut writes: Vec<Write<'_>> = Vec::new();
    // For each of them, how many drafts it is of.
    let mut counts: Vec<usize> = Vec::new();
    // Where in the buffer the last one ends.
    let mut written_to = 0;
    for draft in drafts.iter() {
        let Some(slot) = draft.slot else { continue };
        let end = draft.at + shared.bytes(draft.pages);
        match (writes.last_mut(), counts.last_mut()) {
            // Side by side in the file and in the buffer, where one without a slot may lie between.
            (Some(run), Some(count))
                if run.slot.first + run.slot.units == slot.first && written_to == draft.at =>
            {
                run.slot.units += slot.units;
                run.bytes = &buffer[end - shared.bytes(run.slot.units)..end];
                *count += 1;
            }
            _ => {
                writes.push(Write { slot, bytes: &buffer[draft.at..end], result: Ok(()) });
                counts.push(1);
            }
        }
        written_to = end;
    }
    shared.counters.writes.add(writes.len() as u64);
    shared.file.write_many(&mut writes);
    let mut failure = None;
    let mut placed = drafts.iter_mut().filter(|draft| draft.slot.is_some());
    for (write, count) in writes.into_iter().zip(counts) {
        let is_written = write.result.is_ok();
        placed.by_ref().take(count).for_each(|draft| draft.is_written = is_written);
        failure = write.result.err().or(failure);
    }
    failure
}

/// Writes a page that is larger than the buffer. Writers wait meanwhile; readers do not.
fn write_large(shared: &Shared, drafts: &mut [Draft]) -> Option<SpillError> {
    let mut failure = None;
    for draft in drafts {
        let entry = shared.entry(draft.number);
        // SAFETY: 1: `pick` has begun to write it, and the copy ends below.
        let bytes = unsafe { bytes_of(shared, entry) };
        if let Some(slot) = draft.slot {
            draft.seal = seal(bytes, draft.number, draft.version);
            shared.counters.writes.add(1);
            failure = shared.file.write(slot, bytes).err();
            draft.is_written = failure.is_none();
        }
        entry.state.end_copy();
    }
    failure
}

/// Notes where the pages are in the file, or that they are not.
fn settle(shared: &Shared, drafts: &[Draft]) {
    let mut free = Vec::new();
    let mut dead = Vec::new();
    let mut books = shared.books();
    for draft in drafts {
        let entry = shared.entry(draft.number);
        let written = if draft.is_written {
            if !draft.is_in_place {
                free.extend(Shared::slot(entry));
                books.set_slot(draft.number, entry, draft.slot.map(|slot| slot.first));
            }
            entry.set_seal(draft.seal, draft.version);
            Written::Yes
        } else {
            free.extend(draft.slot.filter(|_| !draft.is_in_place));
            Written::No
        };
        books.queues.cleaned(draft.frame);
        let end = entry.state.end_write(written);
        if end.dirty && draft.is_written {
            shared.counters.dirtied_again.add(1);
        }
        if end.dead {
            dead.push(draft.number);
        }
    }
    drop(books);
    free.into_iter().for_each(|slot| shared.file.free(slot));
    dead.into_iter().for_each(|number| forget::bury(shared, number, true));
    shared.wants.notify();
}
