//! When pages are overwritten with zeros.

use crate::base::error::words;

/// When pages are overwritten with zeros. In text, `never`, `on-allocate` or `on-release`.
///
/// It holds for all memory of a manager, however it gets to a caller and in both modes: pages and
/// blocks, those of a [`Worker`](crate::Worker) or a [`Scratch`](crate::segments::Scratch), and the
/// spill reserve. An owner that needs zeros now and then asks for them under any policy: see
/// [`Owner::allocate_zeroed`](crate::Owner::allocate_zeroed).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ZeroPolicy {
    /// Never by the manager: a page may show what its last holder wrote. This is the fastest.
    #[default]
    Never,
    /// Before a page is handed out. A page that is known to be zero is left as it is: it was not
    /// handed out since the system gave it.
    OnAllocate,
    /// When a page is released, so that no secret outlives its holder. Free pages are then zero.
    /// The thread that releases pays for it.
    OnRelease,
}

words!(ZeroPolicy, "zero policy", {
    Never => "never",
    OnAllocate => "on-allocate",
    OnRelease => "on-release",
});
