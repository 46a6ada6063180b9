//! What the arbiter is told of, without its thread.

use super::*;
use crate::owners::owner::Owner;
use crate::owners::policies::admission::Verdict;
use crate::owners::sharing::queue::WaitMode;
use crate::reclaim::{Reclaimer, SpillReserve};
use crate::{MemoryManager, MemorySegment};

const PAGE: usize = 4 << 10;

/// A polled owner that holds all, and a request of another one that waits. No thread looks.
fn one_that_waits() -> (MemoryManager, Owner, Owner, Vec<MemorySegment>) {
    let builder = MemoryManager::builder().capacity(16 * PAGE).page_size(PAGE).depot_pages(0);
    let manager = builder.build().unwrap();
    let holder = manager.owner("holder").polled_reclaim().register().unwrap();
    let waits = manager.owner("waits").register().unwrap();
    let held = holder.allocate_pages(16).unwrap();
    let wanted = Wanted::new(waits.node(), 8 * PAGE as u64, WaitMode::UntilServed, Verdict::Admit);
    waits.commons().queue.join(Arc::new(wanted));
    waits.commons().serve();
    (manager, holder, waits, held)
}

/// What is noted once the arbiter has looked and `change` was made.
fn noted_of(commons: &Commons, change: impl FnOnce()) -> (bool, bool) {
    commons.attention.take();
    change();
    (commons.attention.has(Noted::CHANGE), commons.attention.has(Noted::RELEASE))
}

struct Willing;

impl Reclaimer for Willing {
    fn reclaimable(&self) -> usize {
        0
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

#[test]
fn what_is_given_back_is_noted_and_more_so_if_it_was_asked_for_or_serves_a_request() {
    let (_manager, holder, waits, mut held) = one_that_waits();
    let commons = waits.commons();
    assert_eq!(noted_of(commons, || held.truncate(15)), (false, true));
    holder.node().sharing().reclaim.asked().request(2 * PAGE as u64);
    assert_eq!(noted_of(commons, || held.truncate(14)), (true, true));
    holder.node().sharing().reclaim.asked().request(0);
    assert_eq!(noted_of(commons, || held.truncate(13)), (false, true));
}

#[test]
fn whatever_else_the_arbiter_goes_by_is_noted_when_it_changes() {
    let (manager, holder, waits, held) = one_that_waits();
    let commons = waits.commons();
    let noted = (true, false);
    assert_eq!(noted_of(commons, || holder.set_reclaimable(PAGE)), noted);
    let willing = Arc::new(Willing);
    assert_eq!(noted_of(commons, || holder.set_reclaimer(&willing)), noted);
    assert_eq!(noted_of(commons, || holder.clear_reclaimer()), noted);
    let other = holder.clone();
    assert_eq!(noted_of(commons, || drop(other)), noted);
    let mut new = None;
    assert_eq!(noted_of(commons, || new = manager.owner("new").register().ok()), noted);
    assert!(noted_of(commons, || drop(new)).0);
    drop(held);
}

#[test]
fn a_note_wakes_a_watching_arbiter_once_and_no_other() {
    let (_manager, _holder, waits, _held) = one_that_waits();
    let attention = &waits.commons().attention;
    attention.rest();
    assert!(!attention.note(Noted::CHANGE), "it does not watch");
    attention.take();
    assert!(attention.is_watched() && !attention.has(Noted::CHANGE));
    assert!(attention.note(Noted::CHANGE) && !attention.note(Noted::CHANGE));
    assert!(attention.note(Noted::RELEASE), "that is another one");
    assert!(attention.take().has(Noted::RELEASE));
    attention.rest();
    assert!(!attention.is_watched());
}
