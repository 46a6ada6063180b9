//! A capacity that changes while the manager is in use.
//!
//! # Protocol
//!
//! 1. **Up.** The limit rises first: nothing is free for that yet. Then pages become warm, and then
//!    the bytes become free. So what is resident is at most the capacity at every moment, and who
//!    reserves a page finds it.
//! 2. **Down.** An owner of the manager's reserves the difference, as any owner would. Then as many
//!    free pages go back to the system, and then the limit falls by what is reserved.
//! 3. One thread at a time does either. Nothing is locked while it waits.

use std::time::Duration;

use crate::base::available::CapacitySource;
use crate::base::bytes::to_usize;
use crate::base::error::{ConfigError, Reason, ResizeError};
use crate::base::sync::{AtomicU64, Ordering};
use crate::base::units::PageCount;
use crate::owners::sharing::registry::Snapshot;

use super::config::capacity::Capacity;
use super::memory_manager::MemoryManager;

/// The name of the owner that reserves what is taken off the capacity.
const OWNER: &str = "resize";

/// What became of a capacity that was looked up again.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct CapacityRefresh {
    /// The capacity before, in bytes.
    pub before_bytes: usize,
    /// The capacity now, in bytes.
    pub after_bytes: usize,
    /// What it was taken from now.
    pub source: CapacitySource,
}

/// That a thread changes the capacity (Protocol, 3).
struct Resizing<'a>(&'a AtomicU64);

impl<'a> Resizing<'a> {
    fn begin(flag: &'a AtomicU64) -> Option<Self> {
        // ORDERING: Acquire. Pairs with the Release below: the next one sees the whole change.
        (flag.swap(1, Ordering::Acquire) == 0).then_some(Self(flag))
    }
}

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        // ORDERING: Release. See `begin`.
        self.0.store(0, Ordering::Release);
    }
}

impl MemoryManager {
    /// The highest capacity that [`resize`](Self::resize) can go to, in bytes.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        to_usize(self.supply().budget.limit_max())
    }

    /// Changes the capacity to `bytes`, up to
    /// [`max_capacity`](crate::config::MemoryManagerBuilder::max_capacity). All or nothing.
    ///
    /// A higher capacity is there at once, and requests that wait in line are served.
    ///
    /// A lower one takes memory that is free, or that owners give back when they are asked. What is
    /// promised to owners as their minimums, and the spill reserve, stays. The memory goes back to
    /// the system before the capacity falls. So what is resident is at most the capacity at every
    /// moment. While this waits, it is an owner called `resize` with the highest priority, and
    /// waits in line as others do.
    ///
    /// Limits and priorities of owners, what they keep at hand and the thresholds of the pressure
    /// go by the capacity that there is.
    ///
    /// In heap mode there is only the budget, which changes in the same way.
    ///
    /// # Blocking
    ///
    /// Down: in line for `timeout` at most, while others give back. Then for the system calls that
    /// give memory back, which take milliseconds for a gigabyte. Nothing is locked meanwhile, and
    /// other requests go on. Up: for no memory.
    ///
    /// # Errors
    ///
    /// The capacity is then as before.
    ///
    /// - It is above the maximum, or below what is promised and a page: the error has the numbers.
    /// - Others hold too much, and did not give it back in time: the error has the refusal.
    /// - Another thread changes the capacity just now.
    /// - The region is of reserved huge pages, or the system cannot take memory back.
    /// - The system refuses, or the manager has been shut down.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use offheap::MemoryManager;
    /// let builder = MemoryManager::builder().capacity(4 << 20);
    /// # if builder.clone().max_capacity(16 << 20).build().is_err() {
    /// #     return Ok(()); // no system for it
    /// # }
    /// let manager = builder.max_capacity(16 << 20).build()?;
    /// manager.resize(16 << 20, Duration::ZERO)?;
    /// let owner = manager.owner("cache").register()?;
    /// let block = owner.allocate(12 << 20)?;
    /// assert!(manager.resize(8 << 20, Duration::ZERO).is_err());
    /// assert_eq!(manager.capacity(), 16 << 20);
    /// # drop(block);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&self, bytes: usize, timeout: Duration) -> Result<(), ResizeError> {
        let supply = self.supply();
        let _only = Resizing::begin(&self.inner().is_resizing).ok_or(ResizeError::UnderWay)?;
        if supply.is_fixed {
            return Err(ResizeError::Fixed { capacity_bytes: self.capacity() });
        }
        if supply.budget.is_closed() {
            return Err(ResizeError::ShutDown);
        }
        let (before, after) = (supply.budget.limit(), bytes as u64);
        if after >= before { self.grow(before, after) } else { self.shrink(before, after, timeout) }
    }

    /// Looks up again how much memory the process may use, and changes the capacity to the fraction
    /// of that which the manager was built with, up to its maximum. For when the limit of a
    /// container has changed.
    ///
    /// [`capacity_source`](Self::capacity_source) goes on to say what was found when the manager
    /// was built.
    ///
    /// # Blocking
    ///
    /// As [`resize`](Self::resize), for
    /// [`reclaim_timeout`](crate::config::MemoryManagerBuilder::reclaim_timeout) at most. It also
    /// reads a few files of the kernel's.
    ///
    /// # Errors
    ///
    /// As [`resize`](Self::resize). Also if the capacity was named in bytes, or the system does not
    /// tell how much there is.
    pub fn refresh_capacity(&self) -> Result<CapacityRefresh, ResizeError> {
        let CapacitySource::Fraction { fraction, .. } = *self.capacity_source() else {
            return Err(ResizeError::NotAFraction { capacity_bytes: self.capacity() });
        };
        let (bytes, source) =
            Capacity::FractionOfAvailable(fraction).resolve().map_err(|error| match error {
                ConfigError::AvailableMemory { source } => ResizeError::System { source },
                error => ResizeError::System { source: std::io::Error::other(error) },
            })?;
        let before_bytes = self.capacity();
        let after_bytes = bytes.min(self.max_capacity());
        self.resize(after_bytes, self.inner().commons.options.reclaim_timeout)?;
        Ok(CapacityRefresh { before_bytes, after_bytes, source })
    }

    fn grow(&self, before: u64, after: u64) -> Result<(), ResizeError> {
        let budget = &self.supply().budget;
        if after > budget.limit_max() {
            return Err(ResizeError::AboveMaximum {
                capacity_bytes: to_usize(after),
                capacity_bytes_max: self.max_capacity(),
            });
        }
        budget.raise(after - before);
        let pages = self.pages_between(before, after);
        if let Some(off_heap) = self.supply().arena.off_heap()
            && let Err(source) = off_heap.grow(pages)
        {
            budget.retire(after - before);
            return Err(ResizeError::System { source });
        }
        if budget.add(after - before).is_yes() {
            self.inner().commons.serve_from(None);
        }
        Ok(())
    }

    fn shrink(&self, before: u64, after: u64, timeout: Duration) -> Result<(), ResizeError> {
        self.check_promised(after)?;
        let owner = self.sole_owner(OWNER);
        owner.set_priority(i32::MAX);
        let reserved = owner.acquire_memory_timeout(to_usize(before - after), timeout);
        let reserved = reserved.map_err(|refused| match refused.reason() {
            Reason::ShutDown => ResizeError::ShutDown,
            _ => ResizeError::Refused { capacity_bytes: to_usize(after), refused },
        })?;
        let pages = self.pages_between(after, before);
        if let Some(off_heap) = self.supply().arena.off_heap() {
            // What was reserved goes back if the system refuses.
            off_heap.shrink(pages).map_err(|source| ResizeError::System { source })?;
        }
        if let Some(charge) = reserved.into_charge() {
            charge.retire();
        }
        Ok(())
    }

    /// Whether the minimums of owners, the spill reserve, and a page beside it fit a capacity.
    fn check_promised(&self, capacity: u64) -> Result<(), ResizeError> {
        let supply = self.supply();
        let reserve = supply.reserve.limit();
        let promised = self.inner().commons.snapshot(Snapshot::promised_bytes) + reserve;
        let capacity_min = promised.max(reserve + supply.page_size.bytes() as u64);
        if capacity >= capacity_min {
            return Ok(());
        }
        Err(ResizeError::BelowPromised {
            capacity_bytes: to_usize(capacity),
            promised_bytes: to_usize(promised),
            capacity_bytes_min: to_usize(capacity_min),
        })
    }

    /// The pages that a capacity has more than a lower one.
    fn pages_between(&self, low: u64, high: u64) -> PageCount {
        let supply = self.supply();
        let pages = |bytes| supply.pages_within(to_usize(bytes)).get();
        PageCount::new(pages(high) - pages(low))
    }
}
