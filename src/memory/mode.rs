//! Where memory comes from.

use crate::base::error::words;

/// Where memory comes from. In text, `off-heap` or `heap`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum MemoryMode {
    /// One region, mapped when the manager is built. Flink calls it off-heap, or managed.
    #[default]
    OffHeap,
    /// The process allocator, page by page as it is asked for, which gets the memory back when a
    /// segment is released. The same interface, budget, owners and errors; without a region there
    /// is no strategy to apply and no residency to tell. Pages come zeroed, whatever the policy,
    /// because memory fresh from an allocator is not initialized.
    Heap,
}

words!(MemoryMode, "mode", {
    OffHeap => "off-heap",
    Heap => "heap",
});
