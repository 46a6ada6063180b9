//! The pool gives memory back when others need it.

use std::sync::Weak;

use offheap::reclaim::{Reclaimer, SpillReserve};

use super::evict::{Evicted, Rest, evict};
use super::write::write;
use crate::entry::Phase;
use crate::pool::books::Books;
use crate::pool::shared::Shared;

/// So many pages are looked at to say what can be given, at most.
const LOOKS_MAX: usize = 1024;

/// The reclaimer of the pool's owner.
pub(crate) struct PoolReclaimer {
    pub(crate) shared: Weak<Shared>,
}

impl Reclaimer for PoolReclaimer {
    /// Frames without a page, and pages that were not found pinned at the last look. It takes no
    /// look of its own at each, which would last, but at some: pins end without a word.
    fn reclaimable(&self) -> usize {
        let Some(shared) = self.shared.upgrade() else { return 0 };
        let books = shared.books();
        let pinned = books.queues.pinned() as usize;
        let evictable = books.resident_pages.saturating_sub(pinned);
        let evictable = if pinned == 0 { evictable } else { evictable.max(seen(&shared, &books)) };
        (books.free.len() + evictable) * shared.page_bytes
    }

    /// Frames without a page go first, then clean pages, then dirty ones, which are written.
    /// Nothing is allocated for it.
    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        if let Some(shared) = self.shared.upgrade() {
            give_back(&shared, target_bytes);
        }
    }
}

/// How many of some pages in memory nobody reads.
fn seen(shared: &Shared, books: &Books) -> usize {
    // The first one is the first to pass.
    let first = books.limbo.front();
    let have_passed = first.is_some_and(|(stamp, _)| shared.epochs.has_passed(*stamp));
    let mut pages = 0;
    for number in books.frames.residents().take(LOOKS_MAX) {
        let entry = shared.entry(number);
        let seen = entry.state.seen();
        let is_idle = match seen.phase() {
            Phase::Resident => seen.pins() == 0,
            Phase::Evicting => have_passed,
            _ => false,
        };
        pages += if is_idle { entry.pages() as usize } else { 0 };
    }
    pages
}

/// Gives about so many bytes back to the owner.
pub(crate) fn give_back(shared: &Shared, target_bytes: usize) -> usize {
    let mut given_bytes = 0;
    while given_bytes < target_bytes {
        let mut rest = Rest::default();
        let mut frames = Vec::new();
        let mut books = shared.books();
        let next = loop {
            if given_bytes >= target_bytes {
                break Evicted::Nothing;
            }
            let next = match books.free.pop() {
                Some(segment) => Evicted::Frame(segment),
                None => evict(shared, &mut books, &mut rest),
            };
            match next {
                Evicted::Frame(segment) => {
                    given_bytes += segment.size();
                    frames.push(segment);
                }
                other => break other,
            }
        };
        drop(books);
        rest.finish(shared);
        let has_given = !frames.is_empty();
        drop(frames);
        match next {
            // A write that fails is told to who needs a frame; others can give instead.
            Evicted::Dirty(frame) => match write(shared, Some(frame)) {
                Ok(written) if written > 0 || has_given => {}
                _ => break,
            },
            _ if has_given => {}
            _ => break,
        }
    }
    given_bytes
}
