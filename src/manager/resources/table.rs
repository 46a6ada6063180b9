//! Resources that several lease by name: their size is taken from the budget once.
//!
//! # Protocol
//!
//! 1. A name has a slot from when a thread begins to open its resource until it is closed. While
//!    one thread opens or closes it, the slot is busy, and others that ask for the name wait. Names
//!    are told apart as they were given, and shown as those of owners are.
//! 2. Nothing foreign runs under the lock: no initializer, no drop of a resource, no reservation.
//!    The slot is what keeps others out meanwhile.
//! 3. A slot counts its leases, and has the resource, too. A lease lets go of the resource before
//!    it is counted off. So the thread that counts the last one off finds the slot's to be the last
//!    reference, and drops the resource.
//! 4. A thread that waits says for which name. A thread that finds, from name to thread to name,
//!    that it would wait for itself is refused instead.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::base::error::LeaseError;
use crate::base::names::shown;
use crate::base::sync::{Condvar, Lock, Rank};
use crate::owners::reservation::Reservation;

/// A shared resource in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SharedResourceStats {
    /// Its name, as it is shown: as [`Owner::name`](crate::Owner::name) of the owner that holds its
    /// bytes.
    pub name: Arc<str>,
    /// The bytes that its initializer was given.
    pub size_bytes: usize,
    /// Whether these are none of the budget's.
    pub is_external: bool,
    /// The leases that are out.
    pub leases: usize,
}

/// The resources of a manager.
pub(in crate::manager) struct SharedResources {
    table: Lock<Table>,
    /// A slot is no longer busy.
    changed: Condvar,
}

impl Default for SharedResources {
    fn default() -> Self {
        let table = Lock::new(Rank::Resources, Table::default());
        Self { table, changed: Condvar::new() }
    }
}

#[derive(Default)]
struct Table {
    slots: HashMap<Arc<str>, Slot>,
    /// What threads wait for (Protocol, 4).
    waiting: HashMap<ThreadId, Arc<str>>,
}

enum Slot {
    /// This thread opens or closes it.
    Busy(ThreadId),
    Open(Open),
}

pub(in crate::manager) struct Open {
    pub(in crate::manager) resource: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
    bytes: usize,
    /// `None` for a resource whose memory is not the budget's.
    pub(in crate::manager) reservation: Option<Reservation>,
    leases: usize,
}

/// A slot that this thread keeps busy. Dropping it vacates the slot.
pub(in crate::manager) struct Busy<'a> {
    resources: &'a SharedResources,
    name: &'a Arc<str>,
}

/// What there is of a name, once nobody else opens or closes it.
pub(in crate::manager) enum Joined<'a, T> {
    /// The resource, with one lease more, and its bytes.
    Open(Arc<T>, usize),
    /// Nothing, and this thread is to open it.
    Vacant(Busy<'a>),
}

impl SharedResources {
    /// The resources that are leased, by name.
    pub(in crate::manager) fn stats(&self) -> Vec<SharedResourceStats> {
        let table = self.table.lock();
        let open = table.slots.iter().filter_map(|(name, slot)| Some((name, slot.open()?)));
        let mut stats: Vec<_> = open.map(|(name, open)| open.stats(name)).collect();
        stats.sort_by(|one, two| one.name.cmp(&two.name));
        stats
    }

    /// A slot that this thread keeps busy, to close what was in it.
    pub(in crate::manager) fn closing<'a>(&'a self, name: &'a Arc<str>) -> Busy<'a> {
        Busy { resources: self, name }
    }

    /// Waits until nobody opens or closes the resource, and joins its leases or begins to open it.
    pub(in crate::manager) fn join<'a, T: Send + Sync + 'static, E>(
        &'a self,
        name: &'a Arc<str>,
    ) -> Result<Joined<'a, T>, LeaseError<E>> {
        let me = thread::current().id();
        let mut table = self.table.lock();
        loop {
            match table.slots.get_mut(name) {
                None => {
                    table.slots.insert(Arc::clone(name), Slot::Busy(me));
                    return Ok(Joined::Vacant(Busy { resources: self, name }));
                }
                Some(Slot::Open(open)) => {
                    let resource = open.lease(name)?;
                    return Ok(Joined::Open(resource, open.bytes));
                }
                Some(Slot::Busy(_)) => {}
            }
            if table.waits_for(name, me) {
                return Err(LeaseError::WaitsForItself { name: shown(name) });
            }
            table.waiting.insert(me, Arc::clone(name));
            table = table.wait(&self.changed);
            table.waiting.remove(&me);
        }
    }

    /// Changes a slot that this thread kept busy, and wakes threads that wait for it.
    fn change(&self, change: impl FnOnce(&mut HashMap<Arc<str>, Slot>)) {
        change(&mut self.table.lock().slots);
        self.changed.notify_all();
    }
}

impl Table {
    /// Whether the thread that keeps `name` busy waits for `thread`, or is it (Protocol, 4).
    fn waits_for(&self, name: &Arc<str>, thread: ThreadId) -> bool {
        let mut name = name;
        while let Some(Slot::Busy(by)) = self.slots.get(name) {
            if *by == thread {
                return true;
            }
            let Some(next) = self.waiting.get(by) else { return false };
            name = next;
        }
        false
    }
}

impl Slot {
    fn open(&self) -> Option<&Open> {
        match self {
            Self::Busy(_) => None,
            Self::Open(open) => Some(open),
        }
    }
}

impl Open {
    /// A resource that was just opened, with one lease.
    pub(in crate::manager) fn new<T: Send + Sync + 'static>(
        resource: &Arc<T>,
        bytes: usize,
        reservation: Option<Reservation>,
    ) -> Self {
        Self {
            resource: Arc::clone(resource) as Arc<dyn Any + Send + Sync>,
            type_name: type_name::<T>(),
            bytes,
            reservation,
            leases: 1,
        }
    }

    /// One lease more.
    fn lease<T: Send + Sync + 'static, E>(
        &mut self,
        name: &Arc<str>,
    ) -> Result<Arc<T>, LeaseError<E>> {
        let resource = Arc::clone(&self.resource).downcast::<T>();
        let resource = resource.map_err(|_| LeaseError::OtherType {
            name: shown(name),
            leased: self.type_name,
            wanted: type_name::<T>(),
        })?;
        self.leases += 1;
        Ok(resource)
    }

    fn stats(&self, name: &Arc<str>) -> SharedResourceStats {
        SharedResourceStats {
            name: shown(name),
            size_bytes: self.bytes,
            is_external: self.reservation.is_none(),
            leases: self.leases,
        }
    }
}

impl Busy<'_> {
    /// The resource is there.
    pub(in crate::manager) fn open(self, open: Open) {
        let name = Arc::clone(self.name);
        self.resources.change(|slots| {
            slots.insert(name, Slot::Open(open));
        });
        std::mem::forget(self);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.resources.change(|slots| {
            slots.remove(self.name);
        });
    }
}

impl SharedResources {
    /// Counts a lease off. With the last one, the resource is handed over to be closed, and its
    /// slot is busy.
    pub(in crate::manager) fn count_off(&self, name: &Arc<str>) -> Option<Open> {
        let mut table = self.table.lock();
        let slot = table.slots.get_mut(name)?;
        let Slot::Open(open) = slot else { return None };
        open.leases -= 1;
        if open.leases > 0 {
            return None;
        }
        match std::mem::replace(slot, Slot::Busy(thread::current().id())) {
            Slot::Open(open) => Some(open),
            Slot::Busy(_) => None,
        }
    }
}
