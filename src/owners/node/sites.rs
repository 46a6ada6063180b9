//! Where what is out was allocated: a table beside the memory, with the feature
//! `track-allocations`.
//!
//! A segment is found by its address, so that it is no larger than without; what is out has an
//! address of its own. An entry goes before its memory does, and so before another one can come
//! for the same address.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use crate::base::error::{AllocationKind, AllocationSite};
use crate::memory::block::Block;

use crate::manager::MemorySegment;
use crate::owners::node::charge::Charge;
use crate::owners::owner::OwnerShared;

/// A place in the source.
pub(crate) type Place = &'static Location<'static>;

/// What is out, of a manager. Its lock is held for a moment, and none is taken meanwhile.
#[derive(Default)]
pub(crate) struct Sites(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    reservations: u64,
}

/// What an entry is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Key {
    /// The address of a segment.
    Segment(usize),
    /// The number of a reservation.
    Reservation(u64),
}

struct Entry {
    owner: Arc<str>,
    kind: AllocationKind,
    bytes: usize,
    place: Place,
    thread: Thread,
}

/// Remembers where a segment is allocated.
#[track_caller]
pub(crate) fn add_segment(block: &Block, charge: &Charge) {
    let owner = charge.owner();
    let manager = owner.manager();
    let is_page = block.size() == manager.page_size.bytes();
    let kind = if is_page { AllocationKind::Page } else { AllocationKind::Block };
    manager.sites.add(Key::of(block), kind, owner.path(), block.size(), Location::caller());
}

/// A segment was allocated at `place`, it turns out.
pub(crate) fn move_segment(segment: &MemorySegment, place: Place) {
    let key = Key::Segment(segment.as_ref().as_ptr().addr());
    segment.owner().manager().sites.move_to(key, place);
}

/// Forgets a segment that is about to go back.
pub(crate) fn remove_segment(owner: &OwnerShared, block: &Block) {
    owner.manager().sites.shrink(Key::of(block), 0);
}

impl Key {
    fn of(block: &Block) -> Self {
        Self::Segment(block.base().addr().get())
    }
}

impl Sites {
    /// A key for a reservation.
    pub(crate) fn new_reservation(&self) -> Key {
        let mut table = self.lock();
        table.reservations += 1;
        Key::Reservation(table.reservations)
    }

    /// This thread has allocated `bytes` at `place`, or has that many now.
    pub(crate) fn add(
        &self,
        key: Key,
        kind: AllocationKind,
        owner: &Arc<str>,
        bytes: usize,
        place: Place,
    ) {
        let (owner, thread) = (Arc::clone(owner), thread::current());
        self.lock().entries.insert(key, Entry { owner, kind, bytes, place, thread });
    }

    /// What is found by `key` was allocated at `place`, it turns out.
    fn move_to(&self, key: Key, place: Place) {
        if let Some(entry) = self.lock().entries.get_mut(&key) {
            entry.place = place;
        }
    }

    /// What is found by `key` has `bytes` left; without any, it is gone.
    pub(crate) fn shrink(&self, key: Key, bytes: usize) {
        let mut table = self.lock();
        match table.entries.get_mut(&key) {
            Some(entry) if bytes > 0 => entry.bytes = bytes,
            _ => drop(table.entries.remove(&key)),
        }
    }

    /// What is out, the largest site first.
    pub(crate) fn list(&self) -> Vec<AllocationSite> {
        let mut sums = HashMap::new();
        for Entry { owner, kind, bytes, place, thread } in self.lock().entries.values() {
            let of_place = (Arc::clone(owner), *kind, *place, thread.id());
            let (count, sum, _) = sums.entry(of_place).or_insert_with(|| (0, 0, thread.clone()));
            *count += 1;
            *sum += bytes;
        }
        let sites = sums.into_iter().map(|((owner, kind, place, _), (count, bytes, thread))| {
            let number = || format!("{:?}", thread.id());
            AllocationSite {
                owner,
                kind,
                count,
                bytes,
                file: place.file().to_owned(),
                line: place.line(),
                column: place.column(),
                thread: thread.name().map_or_else(number, str::to_owned),
            }
        });
        let mut sites: Vec<_> = sites.collect();
        sites.sort_by_cached_key(|site| {
            let AllocationSite { owner, kind, file, line, column, thread, .. } = site;
            let place = (file.clone(), *line, *column);
            (Reverse(site.bytes), Arc::clone(owner), *kind, place, thread.clone())
        });
        sites
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
