//! One worker inside: a magazine in front of its owner's depot and of the free list.

use std::panic::RefUnwindSafe;
use std::sync::Arc;

use crate::base::sync::thread_number;
use crate::ledger::at_hand::magazine::{Entered, FIRST_ROOM_PAGES, Magazine};
use crate::ledger::budget::HasWaiters;
use crate::ledger::chunks::HeldRun;
use crate::owners::node::charge::Grant;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::page_cache::grant;
use crate::owners::node::page_source::PageSource;

/// How many pages go to a magazine, or from it, at a time.
const BATCH_PAGES: usize = FIRST_ROOM_PAGES / 2;

/// A worker's magazine, and what it needs beside it on the way to a page.
pub(crate) struct WorkerNode {
    owner: Arc<OwnerNode>,
    source: PageSource,
    /// The owner is charged with every page in it. Drainers find it at its place with the owner.
    magazine: Arc<Magazine>,
    place: usize,
}

/// As [`OwnerNode`]: a magazine is left as it is entered, also by a panic.
impl RefUnwindSafe for WorkerNode {}

impl WorkerNode {
    pub(crate) fn new(owner: &Arc<OwnerNode>) -> Self {
        // Here and not when a page is first released, where the magazine is in hand.
        owner.open_depot();
        let (magazine, place) = owner.pages().add_magazine(owner.supply().fences);
        let source = *owner.pages().source();
        let worker = Self { owner: Arc::clone(owner), source, magazine, place };
        worker.open_first();
        worker
    }

    /// Opens the magazine, be there plenty or not.
    fn open_first(&self) {
        if !self.has_magazines() {
            return;
        }
        let magazine = self.magazine.enter();
        self.owner.open_if_any(|| magazine.open());
    }

    pub(crate) fn owner(&self) -> &Arc<OwnerNode> {
        &self.owner
    }

    pub(crate) fn magazine(&self) -> &Magazine {
        &self.magazine
    }

    /// A page from the magazine, after filling it if need be; `None` if there is none at hand. For
    /// the worker's thread alone.
    #[inline]
    pub(crate) fn page_at_hand(&self) -> Option<Grant> {
        let magazine = self.magazine.enter();
        let page = magazine.pop().or_else(|| self.refill(&magazine))?;
        drop(magazine);
        // SAFETY: 1: the page was in the magazine of a worker of this owner. 2: by `new`.
        Some(unsafe { grant(&self.source, &self.owner, page) })
    }

    /// Fills the magazine, from the depot or else from the free list, and takes a page out.
    #[cold]
    fn refill(&self, magazine: &Entered<'_>) -> Option<HeldRun> {
        if !self.reopen(magazine) {
            return None;
        }
        magazine.note_empty();
        let push = |page| {
            let pushed = magazine.push(page);
            assert!(pushed.is_ok(), "an empty magazine has room for a batch");
        };
        match self.owner.pages().depot().and_then(|depot| depot.try_lock_stocked(thread_number())) {
            Some(shelf) => shelf.pop_many(BATCH_PAGES).for_each(push),
            None => self.owner.put_by(BATCH_PAGES, push)?,
        }
        magazine.pop()
    }

    /// Whether workers have magazines at all.
    fn has_magazines(&self) -> bool {
        self.owner.supply().cache_limits.has_magazines
    }

    /// Whether the magazine takes pages, now that it may again.
    fn reopen(&self, magazine: &Entered<'_>) -> bool {
        if magazine.is_shut() && self.has_magazines() {
            self.owner.open_if_plenty(FIRST_ROOM_PAGES, || magazine.open());
        }
        !magazine.is_shut()
    }

    /// The size of what it takes in bytes; 0 in heap mode, where nothing is taken.
    #[inline]
    pub(crate) fn page_bytes(&self) -> usize {
        self.source.page_bytes()
    }

    /// Takes a page of its owner into the magazine. For the worker's thread alone.
    #[inline]
    pub(crate) fn release(&self, Grant { block, charge }: Grant) {
        let page = self.source.take_back(block);
        charge.into_cached();
        let magazine = self.magazine.enter();
        match magazine.push(page) {
            Ok(()) => {}
            Err(page) => self.put_away(magazine, page),
        }
    }

    /// Gives back all that the magazine has, for which drainers do not look any more then. For the
    /// worker's thread alone, which is about to drop it.
    pub(crate) fn end(&self) -> HasWaiters {
        let magazine = self.magazine.enter();
        let awaited = self.owner.give_back(magazine.pop_many(usize::MAX));
        drop(magazine);
        self.owner.pages().remove_magazine(self.place);
        awaited
    }

    /// Does what there is to do with a page for which the magazine has no room, and leaves it.
    #[cold]
    fn put_away(&self, magazine: Entered<'_>, page: HeldRun) {
        let awaited = self.make_room(&magazine, page);
        drop(magazine);
        self.owner.serve_if(awaited);
    }

    /// Puts `page` into a magazine that is full after all, or gives it back if that is shut.
    fn make_room(&self, magazine: &Entered<'_>, page: HeldRun) -> HasWaiters {
        if !self.reopen(magazine) {
            return self.owner.give_back([page].into_iter());
        }
        let mut awaited = HasWaiters::NO;
        if !magazine.grow(self.owner.supply().cache_limits.magazine_pages) {
            awaited = self.flush(magazine);
        }
        match magazine.push(page) {
            Ok(()) => awaited,
            Err(page) => awaited.or(self.owner.give_back([page].into_iter())),
        }
    }

    /// Takes a batch out of the magazine: to the depot, as far as there is room, and otherwise back
    /// to the free list.
    fn flush(&self, magazine: &Entered<'_>) -> HasWaiters {
        let depot = self.owner.pages().depot();
        let mut batch = magazine.pop_many(BATCH_PAGES);
        let mut left_over = None;
        let shelf = depot.and_then(|depot| depot.try_lock(thread_number()));
        if let Some(shelf) = shelf.filter(|shelf| self.owner.reopen(shelf)) {
            left_over = batch.find_map(|page| shelf.push(page).err());
        }
        self.owner.give_back(left_over.into_iter().chain(batch))
    }
}
