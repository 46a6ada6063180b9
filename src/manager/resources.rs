//! Resources that several lease by name: their size is taken from the budget once.
//!
//! # Protocol
//!
//! 1. A name has a slot from when somebody begins to open its resource until it is closed. While
//!    one thread opens or closes it, the slot is busy, and whoever asks for the name waits.
//! 2. Nothing foreign runs under the lock: no initializer, no drop of a resource, no reservation.
//!    The slot is what keeps others out meanwhile.
//! 3. A slot counts its leases, and has the resource, too. A lease lets go of the resource before
//!    it is counted off, so whoever counts the last one off finds the slot's to be the last
//!    reference, and drops the resource.
//! 4. A thread that waits says for which name. Whoever finds, from name to thread to name, that he
//!    would wait for himself is refused instead.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::base::error::ShareError;

use crate::manager::{MemoryManager, Reservation, Shared};

/// A share in a resource that others may have leased, too: see [`MemoryManager::share`].
///
/// Dereferences to the resource, which is closed, by dropping it, with the last lease. Then its
/// bytes go back to the budget. Leases keep the manager alive.
///
/// Flink: `org.apache.flink.runtime.memory.OpaqueMemoryResource`.
#[must_use = "a dropped lease is given back at once"]
pub struct Lease<T> {
    /// Goes before the lease is counted off (Protocol, 3).
    resource: Arc<T>,
    counted: Counted,
    bytes: usize,
}

/// A shared resource in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SharedResourceStats {
    /// Its name, which is also that of the owner that holds its bytes.
    pub name: Arc<str>,
    /// The bytes that its initializer was given.
    pub size_bytes: usize,
    /// Whether these are none of the budget's.
    pub is_external: bool,
    /// The leases that are out.
    pub leases: usize,
}

/// The resources of a manager.
#[derive(Default)]
pub(crate) struct SharedResources {
    table: Mutex<Table>,
    /// A slot is no longer busy.
    changed: Condvar,
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

struct Open {
    resource: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
    bytes: usize,
    /// `None` for a resource whose memory is not the budget's.
    reservation: Option<Reservation>,
    leases: usize,
}

/// Where the memory of a resource comes from.
#[derive(Clone, Copy)]
enum Memory {
    Managed,
    External,
}

/// A slot that this thread keeps busy. Dropping it vacates the slot.
struct Busy<'a> {
    resources: &'a SharedResources,
    name: &'a Arc<str>,
}

/// That a slot counts a lease. Dropping it counts the lease off.
struct Counted {
    manager: Arc<Shared>,
    name: Arc<str>,
}

impl MemoryManager {
    /// Leases the resource of this name. If nobody has it leased, its `bytes` are reserved for an
    /// owner of the same name, and `initialize` is called with them to open it; otherwise nothing
    /// more is reserved, and what the resource has is as it was first asked for.
    ///
    /// Nothing is locked while `initialize` runs, so it may use the manager, and share other
    /// resources. Other threads that ask for the name meanwhile wait for it, and one of them
    /// tries its own initializer if this one fails or panics. So do those who ask while the last
    /// lease is dropped, until the resource is closed.
    ///
    /// Flink: `MemoryManager.getSharedMemoryResourceForManagedMemory`.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
    /// let open = |bytes| Ok::<_, Infallible>(vec![0_u8; bytes]);
    /// let cache = manager.share("cache", 64 << 10, open)?;
    /// let same = manager.share("cache", 64 << 10, open)?;
    /// assert_eq!((cache.len(), manager.available_memory()), (64 << 10, (1 << 20) - (64 << 10)));
    /// drop((cache, same));
    /// assert_eq!(manager.available_memory(), 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the budget has less left, `initialize` fails, the resource of this name is of another
    /// type, or the manager has been shut down. Also if the call comes from what it would wait
    /// for: from the initializer of this resource or from its drop, or from one that another
    /// thread waits for in turn. That is not noticed where an initializer has yet another thread
    /// ask, and waits for that.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn share<T: Send + Sync + 'static, E>(
        &self,
        name: impl Into<Arc<str>>,
        bytes: usize,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, ShareError<E>> {
        self.lease(name.into(), bytes, Memory::Managed, initialize)
    }

    /// Like [`share`](Self::share), with `fraction` of the capacity as the size, rounded down: see
    /// [`compute_memory_size`](Self::compute_memory_size).
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share), and if `fraction` is not above 0 and at most 1.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn share_fraction<T: Send + Sync + 'static, E>(
        &self,
        name: impl Into<Arc<str>>,
        fraction: f64,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, ShareError<E>> {
        let bytes = self.compute_memory_size(fraction).map_err(ShareError::Fraction)?;
        self.share(name, bytes, initialize)
    }

    /// Like [`share`](Self::share), for a resource whose memory is not this manager's: `bytes` are
    /// given to the initializer, and none are reserved.
    ///
    /// Flink: `MemoryManager.getExternalSharedMemoryResource`.
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share), but for the budget.
    pub fn share_external<T: Send + Sync + 'static, E>(
        &self,
        name: impl Into<Arc<str>>,
        bytes: usize,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, ShareError<E>> {
        self.lease(name.into(), bytes, Memory::External, initialize)
    }

    /// The resources that are leased, by name.
    #[must_use]
    pub fn shared_resources(&self) -> Vec<SharedResourceStats> {
        let table = self.shared.resources.lock();
        let open = table.slots.iter().filter_map(|(name, slot)| Some((name, slot.open()?)));
        let mut stats: Vec<_> = open.map(|(name, open)| open.stats(name)).collect();
        stats.sort_by(|one, two| one.name.cmp(&two.name));
        stats
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn lease<T: Send + Sync + 'static, E>(
        &self,
        name: Arc<str>,
        bytes: usize,
        memory: Memory,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, ShareError<E>> {
        let counted = || Counted { manager: Arc::clone(&self.shared), name: Arc::clone(&name) };
        let busy = match self.shared.resources.join(&name)? {
            Joined::Open(resource, bytes) => {
                return Ok(Lease { resource, counted: counted(), bytes });
            }
            Joined::Vacant(busy) => busy,
        };
        let reservation = match memory {
            Memory::Managed => Some(self.reserve_for_resource(&name, bytes)?),
            Memory::External => None,
        };
        let resource = initialize(bytes);
        let resource = resource
            .map_err(|source| ShareError::Initializer { name: Arc::clone(&name), source })?;
        let resource = Arc::new(resource);
        busy.open(Open {
            resource: Arc::clone(&resource) as Arc<dyn Any + Send + Sync>,
            type_name: type_name::<T>(),
            bytes,
            reservation,
            leases: 1,
        });
        Ok(Lease { resource, counted: counted(), bytes })
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn reserve_for_resource<E>(
        &self,
        name: &Arc<str>,
        bytes: usize,
    ) -> Result<Reservation, ShareError<E>> {
        let owner = self.owner(Arc::clone(name)).limit(bytes).register();
        owner.map_err(ShareError::Owner)?.reserve_memory(bytes).map_err(ShareError::Refused)
    }
}

/// What there is of a name, once nobody else opens or closes it.
enum Joined<'a, T> {
    /// The resource, with one lease more, and its bytes.
    Open(Arc<T>, usize),
    /// Nothing, and this thread is to open it.
    Vacant(Busy<'a>),
}

impl SharedResources {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody opens or closes the resource, and joins its leases or begins to open it.
    fn join<'a, T: Send + Sync + 'static, E>(
        &'a self,
        name: &'a Arc<str>,
    ) -> Result<Joined<'a, T>, ShareError<E>> {
        let me = thread::current().id();
        let mut table = self.lock();
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
                return Err(ShareError::WaitsForItself { name: Arc::clone(name) });
            }
            table.waiting.insert(me, Arc::clone(name));
            table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner);
            table.waiting.remove(&me);
        }
    }

    /// Changes a slot that this thread kept busy, and wakes those who wait for it.
    fn change(&self, change: impl FnOnce(&mut HashMap<Arc<str>, Slot>)) {
        change(&mut self.lock().slots);
        self.changed.notify_all();
    }
}

impl Table {
    /// Whether whoever keeps `name` busy waits for `thread`, or is it (Protocol, 4).
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
    /// One lease more.
    fn lease<T: Send + Sync + 'static, E>(
        &mut self,
        name: &Arc<str>,
    ) -> Result<Arc<T>, ShareError<E>> {
        let resource = Arc::clone(&self.resource).downcast::<T>();
        let resource = resource.map_err(|_| ShareError::OtherType {
            name: Arc::clone(name),
            leased: self.type_name,
            wanted: type_name::<T>(),
        })?;
        self.leases += 1;
        Ok(resource)
    }

    fn stats(&self, name: &Arc<str>) -> SharedResourceStats {
        SharedResourceStats {
            name: Arc::clone(name),
            size_bytes: self.bytes,
            is_external: self.reservation.is_none(),
            leases: self.leases,
        }
    }
}

impl Busy<'_> {
    /// The resource is there.
    fn open(self, open: Open) {
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

impl Drop for Counted {
    fn drop(&mut self) {
        let resources = &self.manager.resources;
        let Some(open) = resources.count_off(&self.name) else { return };
        // In this order, also if the resource's drop panics: the resource, its bytes, its name.
        let _busy = Busy { resources, name: &self.name };
        let Open { resource, reservation: _reservation, .. } = open;
        drop(resource);
    }
}

impl SharedResources {
    /// Counts a lease off. With the last one, the resource is handed over to be closed, and its
    /// slot is busy.
    fn count_off(&self, name: &Arc<str>) -> Option<Open> {
        let mut table = self.lock();
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

/// Functions and not methods, so that they do not hide those of the resource.
impl<T> Lease<T> {
    /// The name of the resource.
    #[must_use]
    pub fn name(lease: &Self) -> &str {
        &lease.counted.name
    }

    /// The bytes that the initializer of the resource was given.
    #[must_use]
    pub fn size(lease: &Self) -> usize {
        lease.bytes
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.resource
    }
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.counted.name)
            .field("size", &self.bytes)
            .finish_non_exhaustive()
    }
}
