//! When pages are overwritten with zeros.

/// When pages are overwritten with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ZeroPolicy {
    /// Never by the manager: a page may show what its last holder wrote. The fastest.
    #[default]
    Never,
    /// Before a page is handed out, unless it was not handed out since the system gave it to us,
    /// and so is known to be zero.
    OnAllocate,
    /// When a page is released, so that no secret outlives its holder. Free pages are then zero.
    OnRelease,
}
