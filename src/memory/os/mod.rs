//! What the operating system does for a region: one mapping, its advice, its residency.

pub(crate) mod checker;

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod available;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod cgroup;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(crate) use available::available_memory;

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(crate) use linux::{
    CAN_GIVE_BACK, Mapping, free_huge_tlb_pages, heavy_fence, register_heavy_fence,
};

#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
mod portable;
#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
pub(crate) use portable::{
    CAN_GIVE_BACK, Mapping, available_memory, free_huge_tlb_pages, heavy_fence,
    register_heavy_fence,
};

/// Whether the region asks for transparent huge pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum HugePages {
    /// Yes, where the system has them: a first touch costs an eighth, and so do misses of the
    /// translation cache. Resident bytes then grow by 2 MiB at a time.
    #[default]
    Transparent,
    /// No: resident bytes grow by 4 KiB at a time.
    Never,
    /// The region is made of huge pages of 2 MiB that the system keeps for those who ask for them
    /// by name (`vm.nr_hugepages`), and cannot be built without. Nothing is as fast, and none of it
    /// is ever given back before the manager goes: there is no spare address space, and a trim
    /// returns nothing. The capacity is rounded down to whole huge pages.
    HugeTlb,
}

/// When the region becomes resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Populate {
    /// As pages are first touched; at once on systems where the region is a plain allocation.
    #[default]
    Lazy,
    /// All of the capacity, before the manager is built.
    Eager,
    /// All of the capacity, by threads of the manager that it does not wait for. Pages that are in
    /// use when they get there are left to their holders. Where the system refuses, pages become
    /// resident as they are touched.
    Background,
}

/// Whether core dumps contain the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum CoreDumps {
    /// They do.
    #[default]
    Include,
    /// They do not, where the system can leave it out.
    Exclude,
}

/// What is asked of a mapping.
#[derive(Clone, Copy)]
pub(crate) struct MappingOptions {
    pub(crate) bytes: usize,
    /// Where the spare address space begins: at `bytes` if there is none. What is given back later
    /// is given back in pieces of `piece_bytes`, a power of two.
    pub(crate) spare_from: usize,
    pub(crate) piece_bytes: usize,
    /// The alignment of the first byte, a power of two.
    pub(crate) align: usize,
    pub(crate) huge_pages: HugePages,
    pub(crate) core_dumps: CoreDumps,
}

/// The size of a transparent huge page, where the system has small pages of 4 KiB.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;
