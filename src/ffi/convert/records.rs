//! What C reads: records in numbers, which later versions may add to.

/// A record that begins with its size in bytes. It is made of numbers, so that any bytes are one.
pub(crate) trait Record: Copy {
    /// The size that it had in the first version.
    const FIRST_SIZE: usize;

    fn size_mut(&mut self) -> &mut usize;
}

/// Declares that a record had `size` bytes in the first version.
macro_rules! record {
    ($name:ident, $size:literal) => {
        impl Record for $name {
            const FIRST_SIZE: usize = $size;

            fn size_mut(&mut self) -> &mut usize {
                &mut self.size
            }
        }
    };
}

record!(ManagerStats, 128);
record!(OwnerStats, 40);
record!(RefusalInfo, 56);
record!(OwnerOptions, 32);

/// A manager in numbers, at one moment. Numbers that change while they are read need not agree.
///
/// Set `size` to the size of the record before the call; afterwards it says how much of the record
/// the library knows.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct ManagerStats {
    /// The size of the record in bytes.
    pub size: usize,
    /// The capacity in bytes.
    pub capacity_bytes: usize,
    /// The size of a page in bytes.
    pub page_bytes: usize,
    /// The pages that the capacity holds.
    pub total_pages: usize,
    /// The bytes that owners hold, are promised, or keep at hand as free pages.
    pub reserved_bytes: usize,
    /// The bytes of free pages at hand. A request that needs them gets them.
    pub cached_bytes: usize,
    /// The bytes that are neither held nor promised.
    pub available_bytes: usize,
    /// The most bytes that owners ever held, were promised, or kept at hand.
    pub peak_reserved_bytes: usize,
    /// The bytes of the region that the kernel counts as resident; OFFHEAP_UNKNOWN in heap mode and
    /// where the system does not tell.
    pub resident_bytes: usize,
    /// The size in bytes of the largest block that an owner without a limit or a minimum could
    /// allocate.
    pub largest_free_block_bytes: usize,
    /// The address space of the region in bytes; 0 in heap mode.
    pub mapped_bytes: usize,
    /// The bytes that may be resident, as far as is known without asking the kernel.
    pub touched_bytes: usize,
    /// Of these, the bytes that are free: what a trim would give back.
    pub idle_bytes: usize,
    /// The number of owners.
    pub owners: usize,
    /// How many blocks took spare address space because they fitted no hole.
    pub exchanges: u64,
    /// The bytes that were given back to the system while the region stayed mapped.
    pub given_back_bytes: u64,
    /// The bytes that owners hold.
    pub used_bytes: usize,
    /// The requests that wait in line.
    pub waiting_requests: usize,
    /// How often owners were asked to give memory back.
    pub reclaims: u64,
    /// The bytes that they gave back then, as their accounts say.
    pub reclaimed_bytes: u64,
}

/// An owner in numbers, at one moment. Set `size` before the call, as for a manager.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct OwnerStats {
    /// The size of the record in bytes.
    pub size: usize,
    /// The bytes that it and the owners below it hold, as pages, blocks and reservations.
    pub used_bytes: usize,
    /// The bytes it could take now.
    pub available_bytes: usize,
    /// The bytes it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
}

/// How an owner is registered. Set `size` to the size of the record, and the limit. What is
/// 0 of the rest is the default.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct OwnerOptions {
    /// The size of the record in bytes.
    pub size: usize,
    /// The bytes that it can always have, which are promised to no other owner.
    pub minimum_bytes: usize,
    /// The most bytes it may hold; OFFHEAP_NO_LIMIT for all there is.
    pub limit_bytes: usize,
    /// Owners of the lowest priority are asked first when others need memory. It counts with
    /// OFFHEAP_OWNER_HAS_PRIORITY.
    pub priority: i32,
    /// The flags that are wanted, added up: OFFHEAP_OWNER_HAS_PRIORITY,
    /// OFFHEAP_OWNER_POLLED_RECLAIM, OFFHEAP_OWNER_SELF_RECLAIM.
    pub flags: u32,
}

/// The numbers of a refused request for memory. Set `size` before the call, as for a manager.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct RefusalInfo {
    /// The size of the record in bytes.
    pub size: usize,
    /// The bytes that were wanted; rounded up to pages if the capacity holds that many.
    pub requested_bytes: usize,
    /// The bytes that the owner could have had.
    pub available_bytes: usize,
    /// The bytes that the owner held.
    pub owner_used_bytes: usize,
    /// The owner's limit in bytes.
    pub owner_limit_bytes: usize,
    /// The manager's capacity in bytes.
    pub capacity_bytes: usize,
    /// The bytes of the largest free block, where that was the reason; otherwise OFFHEAP_UNKNOWN.
    pub largest_free_block_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record never has less than it had: callers that were compiled against the first version
    /// pass its size.
    #[test]
    fn records_only_grow() {
        assert!(size_of::<ManagerStats>() >= 128);
        assert!(size_of::<OwnerStats>() >= 40);
        assert!(size_of::<RefusalInfo>() >= 56);
        assert!(size_of::<OwnerOptions>() >= 32);
    }
}
