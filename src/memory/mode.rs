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
    /// The process allocator. Each page or block is allocated when it is asked for, and goes back
    /// when its segment is released. Interface, budget, owners and errors are the same.
    ///
    /// There is no region, so no strategy is applied and no residency is told. Pages come zeroed
    /// under every policy, because memory fresh from an allocator is not initialized.
    Heap,
}

words!(MemoryMode, "mode", {
    OffHeap => "off-heap",
    Heap => "heap",
});
