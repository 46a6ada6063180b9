//! Where what is out was allocated: a table beside the memory, with the feature
//! `track-allocations`. Without it, nothing is remembered and nothing of this remains.
//!
//! A segment is found by its address, so that it is no larger than without; what is out has an
//! address of its own. An entry goes before its memory does, and so before another one can come
//! for the same address.

#[cfg(feature = "track-allocations")]
use std::cmp::Reverse;
#[cfg(feature = "track-allocations")]
use std::collections::HashMap;
#[cfg(feature = "track-allocations")]
use std::panic::Location;
use std::sync::Arc;
#[cfg(feature = "track-allocations")]
use std::thread::{self, Thread};

use crate::base::error::{AllocationKind, AllocationSite};
#[cfg(feature = "track-allocations")]
use crate::base::sync::{Guard, Lock, Rank};

/// A place in the source.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    #[cfg(feature = "track-allocations")]
    location: &'static Location<'static>,
}

impl Place {
    /// Where the caller of this was called.
    #[inline]
    #[track_caller]
    pub(crate) fn caller() -> Self {
        Self {
            #[cfg(feature = "track-allocations")]
            location: Location::caller(),
        }
    }
}

/// What is found in the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Key {
    /// The address of a segment.
    Segment(usize),
    /// The number of a reservation.
    Reservation(u64),
}

/// What is out, of a manager. Its lock is held for a moment, and none is taken meanwhile.
#[cfg_attr(not(feature = "track-allocations"), derive(Default))]
pub(crate) struct Sites {
    #[cfg(feature = "track-allocations")]
    table: Lock<Table>,
}

#[cfg(feature = "track-allocations")]
#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    reservations: u64,
}

#[cfg(feature = "track-allocations")]
struct Entry {
    owner: Arc<str>,
    kind: AllocationKind,
    bytes: usize,
    place: Place,
    thread: Thread,
}

#[cfg(not(feature = "track-allocations"))]
#[expect(clippy::unused_self, reason = "there is nothing to remember then")]
impl Sites {
    pub(crate) fn new_reservation(&self) -> Key {
        Key::Reservation(0)
    }

    #[inline]
    pub(crate) fn add(&self, _: Key, _: AllocationKind, _: &Arc<str>, _: usize, _: Place) {}

    pub(crate) fn move_to(&self, _: Key, _: Place) {}

    #[inline]
    pub(crate) fn resize(&self, _: Key, _: usize) {}

    pub(crate) fn split(&self, _: Key, _: usize, _: Key, _: usize) {}

    pub(crate) fn list(&self) -> Vec<AllocationSite> {
        Vec::new()
    }
}

#[cfg(feature = "track-allocations")]
impl Default for Sites {
    fn default() -> Self {
        Self { table: Lock::new(Rank::Sites, Table::default()) }
    }
}

#[cfg(feature = "track-allocations")]
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
    pub(crate) fn move_to(&self, key: Key, place: Place) {
        if let Some(entry) = self.lock().entries.get_mut(&key) {
            entry.place = place;
        }
    }

    /// What is found by `key` has `bytes` now; without any, it is gone.
    pub(crate) fn resize(&self, key: Key, bytes: usize) {
        let mut table = self.lock();
        match table.entries.get_mut(&key) {
            Some(entry) if bytes > 0 => entry.bytes = bytes,
            _ => drop(table.entries.remove(&key)),
        }
    }

    /// What is found by `key` has `left` bytes now. What is found by `new` has the `bytes` that
    /// were split off, and was allocated at the same place.
    pub(crate) fn split(&self, key: Key, left: usize, new: Key, bytes: usize) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&key) else { return };
        entry.bytes = left;
        let (owner, thread) = (Arc::clone(&entry.owner), entry.thread.clone());
        let split = Entry { owner, kind: entry.kind, bytes, place: entry.place, thread };
        table.entries.insert(new, split);
    }

    /// What is out, the largest site first.
    pub(crate) fn list(&self) -> Vec<AllocationSite> {
        let mut sums = HashMap::new();
        for Entry { owner, kind, bytes, place, thread } in self.lock().entries.values() {
            let of_place = (Arc::clone(owner), *kind, place.location, thread.id());
            let (count, sum, _) = sums.entry(of_place).or_insert_with(|| (0, 0, thread.clone()));
            *count += 1;
            *sum += bytes;
        }
        let sites = sums.into_iter().map(|((owner, kind, place, _), (count, bytes, thread))| {
            let number = || format!("{:?}", thread.id());
            AllocationSite {
                owner_path: owner,
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
            let AllocationSite { owner_path, kind, file, line, column, thread, .. } = site;
            let place = (file.clone(), *line, *column);
            (Reverse(site.bytes), Arc::clone(owner_path), *kind, place, thread.clone())
        });
        sites
    }

    fn lock(&self) -> Guard<'_, Table> {
        self.table.lock()
    }
}
