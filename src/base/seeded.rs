//! Bugs that can be planted, one at a time, to see that a checker reports them.
//!
//! Compiled in with `cfg(offheap_seeded)`; the environment variable `OFFHEAP_SEEDED` then names the
//! bug. Otherwise [`is_planted`] is false when the crate is compiled, and nothing of it remains.

/// A mistake that the core could make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// `use-after-release`: the first byte of a page is written to after the page was taken back.
    #[cfg(offheap_seeded)]
    UseAfterRelease,
    /// `overrun`: a scratch places an object that begins within its memory and ends behind it.
    Overrun,
    /// `skipped-zeroing`: a page is handed out with what its last holder wrote, under the policy
    /// that wants zeros.
    SkippedZeroing,
    /// `leak`: a segment that is dropped does not go back.
    Leak,
    /// `unordered`: a shelf of pages is unlocked without publishing what was done to the pages.
    Unordered,
}

/// Whether this bug is there.
#[cfg(not(offheap_seeded))]
#[inline(always)]
pub(crate) const fn is_planted(_: Bug) -> bool {
    false
}

/// Whether this bug is there.
#[cfg(offheap_seeded)]
pub(crate) fn is_planted(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    *PLANTED.get_or_init(|| Bug::named(&std::env::var("OFFHEAP_SEEDED").ok()?)) == Some(bug)
}

#[cfg(offheap_seeded)]
impl Bug {
    fn named(name: &str) -> Option<Self> {
        match name {
            "use-after-release" => Some(Self::UseAfterRelease),
            "overrun" => Some(Self::Overrun),
            "skipped-zeroing" => Some(Self::SkippedZeroing),
            "leak" => Some(Self::Leak),
            "unordered" => Some(Self::Unordered),
            _ => None,
        }
    }
}
