//! What the operating system does for a region: one mapping, its advice, its residency.

pub(crate) mod checker;

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod available;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod cgroup;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod memory_limit;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(crate) use available::available_memory;

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod huge_tlb;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(crate) use huge_tlb::{free_huge_tlb_pages, huge_tlb_limit};

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(crate) use linux::{CAN_GIVE_BACK, Mapping, heavy_fence, register_heavy_fence};

#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
mod portable;
#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
pub(crate) use portable::{
    CAN_GIVE_BACK, Mapping, available_memory, free_huge_tlb_pages, heavy_fence, huge_tlb_limit,
    register_heavy_fence,
};

mod mappings;
pub(crate) use mappings::mappings_max;

mod options;
pub use options::{CoreDumps, HugePages, Populate};
pub(crate) use options::{HUGE_PAGE_BYTES, MappingOptions};
