//! What is asked of a mapping.

use crate::base::error::words;

/// Which huge pages the region is made of. In text, `transparent`, `never` or `huge-tlb`.
///
/// Without effect in heap mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum HugePages {
    /// Transparent ones, where the system has them: a first touch costs an eighth, and so do misses
    /// of the translation cache. Resident bytes then grow by 2 MiB at a time.
    ///
    /// Where free pages beside others in use are given back, the system is told to use none there,
    /// which cuts the region into several mappings. It takes at most a quarter of what a process
    /// may have (`vm.max_map_count`) for all managers, and an eighth for each. Beyond that, larger
    /// parts of the region do without huge pages until they are free again.
    #[default]
    Transparent,
    /// None: resident bytes grow by 4 KiB at a time.
    Never,
    /// Huge pages of 2 MiB that the system reserves (`vm.nr_hugepages`). Without enough of them the
    /// manager is not built:
    /// [`ConfigError::HugeTlb`](crate::error::ConfigError::HugeTlb) says how many it takes.
    ///
    /// Nothing is as fast. None of them is given back before the manager goes: there is no spare
    /// address space, and a trim returns nothing. The capacity is rounded down to whole huge pages.
    ///
    /// All of the capacity is resident when the manager is built, whatever [`Populate`] says. A
    /// group of the process may have a limit on huge pages (`hugetlb.2MB.max`) that is charged for
    /// each page as it is touched first, and a touch above it would end the process. So the pages
    /// are had at once, or the manager is refused with the numbers of that group.
    HugeTlb,
}

words!(HugePages, "huge page policy", {
    Transparent => "transparent",
    Never => "never",
    HugeTlb => "huge-tlb",
});

/// When the region becomes resident. In text, `lazy`, `eager` or `background`.
///
/// Without effect in heap mode; with [`HugePages::HugeTlb`] it is always `Eager`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Populate {
    /// As pages are first touched. Where the region is a plain allocation, that is when the manager
    /// is built.
    #[default]
    Lazy,
    /// All of the capacity, before `build` returns.
    Eager,
    /// All of the capacity, by threads of the manager; `build` does not wait for them. They leave
    /// pages that are in use to their holders. Where the system refuses, pages become resident as
    /// they are touched.
    Background,
}

words!(Populate, "populate policy", {
    Lazy => "lazy",
    Eager => "eager",
    Background => "background",
});

/// Whether core dumps of the process contain the region. In text, `include` or `exclude`.
///
/// Without effect in heap mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CoreDumps {
    /// They do.
    #[default]
    Include,
    /// They do not, where the system can leave it out.
    Exclude,
}

words!(CoreDumps, "core dump policy", {
    Include => "include",
    Exclude => "exclude",
});

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
