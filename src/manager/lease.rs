//! Leasing resources: each is sized once, and closed with its last lease.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::base::error::LeaseError;
use crate::base::names::shown;
use crate::base::sync::assert_nothing_is_held;
use crate::owners::reservation::Reservation;

use super::memory_manager::{ManagerInner, MemoryManager};
use super::resources::table::{Joined, Open, SharedResourceStats};

/// A share in a resource that others may have leased, too: see [`MemoryManager::lease`].
///
/// Dereferences to the resource, which is closed, by dropping it, with the last lease. Then its
/// bytes go back to the budget. Leases keep the manager alive.
///
/// # Blocking
///
/// Dropping the last lease runs the resource's own drop on this thread, with nothing locked.
/// Dropping another one takes a lock for a moment.
///
/// Flink: `org.apache.flink.runtime.memory.OpaqueMemoryResource`.
#[must_use = "a dropped lease is given back at once"]
pub struct Lease<T> {
    /// Goes before the lease is counted off (`table`, 3).
    resource: Arc<T>,
    counted: Counted,
    bytes: usize,
}

/// Where the memory of a resource comes from.
#[derive(Clone, Copy)]
enum Memory {
    Managed,
    External,
}

/// That a slot counts a lease. Dropping it counts the lease off.
struct Counted {
    manager: Arc<ManagerInner>,
    name: Arc<str>,
}

impl MemoryManager {
    /// Leases the resource of this name. If nobody has it leased, its `bytes` are reserved for an
    /// owner of the same name, and `initialize` is called with them to open it. Otherwise nothing
    /// more is reserved, and the resource keeps the size that it was opened with.
    ///
    /// Two names are one only if they are the same text, also where they are shown as the same: see
    /// [`owner`](Self::owner).
    ///
    /// Nothing is locked while `initialize` runs, so it may use the manager, and lease other
    /// resources. If it fails or panics, one of the threads that wait for the name tries its own
    /// initializer.
    ///
    /// Flink: `MemoryManager.getSharedMemoryResourceForManagedMemory`.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
    /// let open = |bytes| Ok::<_, Infallible>(vec![0_u8; bytes]);
    /// let cache = manager.lease("cache", 64 << 10, open)?;
    /// let same = manager.lease("cache", 64 << 10, open)?;
    /// assert_eq!((cache.len(), manager.available_bytes()), (64 << 10, (1 << 20) - (64 << 10)));
    /// drop((cache, same));
    /// assert_eq!(manager.available_bytes(), 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// Waits while another thread opens or closes the resource of this name: for its initializer,
    /// or for the resource's drop. That is foreign code, so there is no bound. To reserve the bytes
    /// it may also wait as [`reserve_memory`](crate::Owner::reserve_memory).
    ///
    /// # Errors
    ///
    /// If the budget has less left, `initialize` fails, the resource of this name is of another
    /// type, or the manager has been shut down.
    ///
    /// Also if the call would wait for itself: it comes from the initializer or the drop of this
    /// resource, or from one that another thread waits for in turn. That is not noticed where an
    /// initializer has yet another thread ask, and waits for that.
    #[track_caller]
    pub fn lease<T: Send + Sync + 'static, E>(
        &self,
        name: impl AsRef<str>,
        bytes: usize,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, LeaseError<E>> {
        self.lease_from(name.as_ref().into(), bytes, Memory::Managed, initialize)
    }

    /// Like [`lease`](Self::lease), with `fraction` of the capacity as the size, rounded down: see
    /// [`compute_memory_size`](Self::compute_memory_size).
    ///
    /// # Blocking
    ///
    /// As [`lease`](Self::lease).
    ///
    /// # Errors
    ///
    /// As [`lease`](Self::lease), and if `fraction` is not above 0 and at most 1.
    #[track_caller]
    pub fn lease_fraction<T: Send + Sync + 'static, E>(
        &self,
        name: impl AsRef<str>,
        fraction: f64,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, LeaseError<E>> {
        let bytes = self.compute_memory_size(fraction).map_err(LeaseError::Fraction)?;
        self.lease(name, bytes, initialize)
    }

    /// Like [`lease`](Self::lease), for a resource whose memory is not this manager's: `bytes` are
    /// given to the initializer, and none are reserved.
    ///
    /// Flink: `MemoryManager.getExternalSharedMemoryResource`.
    ///
    /// # Blocking
    ///
    /// As [`lease`](Self::lease), but for the budget.
    ///
    /// # Errors
    ///
    /// As [`lease`](Self::lease), but for the budget.
    pub fn lease_external<T: Send + Sync + 'static, E>(
        &self,
        name: impl AsRef<str>,
        bytes: usize,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, LeaseError<E>> {
        self.lease_from(name.as_ref().into(), bytes, Memory::External, initialize)
    }

    /// The resources that are leased, by name. Takes the lock of their table for a moment.
    #[must_use]
    pub fn shared_resources(&self) -> Vec<SharedResourceStats> {
        self.inner().resources.stats()
    }

    #[track_caller]
    fn lease_from<T: Send + Sync + 'static, E>(
        &self,
        name: Arc<str>,
        bytes: usize,
        memory: Memory,
        initialize: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Lease<T>, LeaseError<E>> {
        let counted = || Counted { manager: Arc::clone(self.inner()), name: Arc::clone(&name) };
        let busy = match self.inner().resources.join(&name)? {
            Joined::Open(resource, bytes) => {
                return Ok(Lease { resource, counted: counted(), bytes });
            }
            Joined::Vacant(busy) => busy,
        };
        let reservation = match memory {
            Memory::Managed => Some(self.reserve_for_resource(&name, bytes)?),
            Memory::External => None,
        };
        assert_nothing_is_held("an initializer");
        let resource = initialize(bytes);
        let resource =
            resource.map_err(|source| LeaseError::Initializer { name: shown(&name), source })?;
        let resource = Arc::new(resource);
        busy.open(Open::new(&resource, bytes, reservation));
        Ok(Lease { resource, counted: counted(), bytes })
    }

    #[track_caller]
    fn reserve_for_resource<E>(
        &self,
        name: &Arc<str>,
        bytes: usize,
    ) -> Result<Reservation, LeaseError<E>> {
        let owner = self.owner(Arc::clone(name)).limit(bytes).register();
        owner.map_err(LeaseError::Owner)?.reserve_memory(bytes).map_err(LeaseError::Refused)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let resources = &self.manager.resources;
        let Some(open) = resources.count_off(&self.name) else { return };
        // In this order, also if the resource's drop panics: the resource, its bytes, its name.
        let _busy = resources.closing(&self.name);
        let Open { resource, reservation: _reservation, .. } = open;
        assert_nothing_is_held("a resource");
        drop(resource);
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
