//! Memory that is out although none should be, and where it was allocated.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::word::words;
use crate::base::refused::{Holder, write_holders};

/// How many sites an error names.
const SITES_NAMED_MAX: usize = 8;

/// Memory that is still held although none should be: when a manager is shut down, or on request.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeakError {
    /// The owners that hold memory, the largest holder first.
    pub holders: Vec<Holder>,
    /// Where it was allocated, the largest site first. Known with the feature
    /// `track-allocations` only, and otherwise empty.
    pub sites: Vec<AllocationSite>,
}

/// What one thread allocated at one place for one owner, and has not been released.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AllocationSite {
    /// The owner's path: the names from the root, its own last.
    pub owner_path: Arc<str>,
    /// What was allocated.
    pub kind: AllocationKind,
    /// How many of these are out.
    pub count: usize,
    /// Their bytes in all.
    pub bytes: usize,
    /// The source file of the call.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
    /// The name of the thread, or its number if it has none.
    pub thread: String,
}

/// A kind of allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum AllocationKind {
    /// A segment of one page.
    Page,
    /// A larger segment.
    Block,
    /// Bytes without memory behind them, at the place where they last became more.
    Reservation,
}

impl LeakError {
    /// The bytes that are out, of all holders together.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.holders.iter().map(|holder| holder.used_bytes).sum()
    }

    /// The bytes that are held beyond the limits, of all holders together.
    #[must_use]
    pub fn overdrawn_bytes(&self) -> usize {
        let overdrawn = self.holders.iter().map(|holder| holder.overdrawn_bytes);
        overdrawn.fold(0, usize::saturating_add)
    }

    /// The sites of the owners with this path, as text.
    #[cfg(feature = "tracing")]
    pub(crate) fn sites_of(&self, path: &str) -> String {
        let sites = self.sites.iter().filter(|site| &*site.owner_path == path);
        sites.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Display for LeakError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ", self.used_bytes())?;
        match self.overdrawn_bytes() {
            0 => {}
            overdrawn => write!(f, "and {overdrawn} overdrawn bytes ")?,
        }
        f.write_str("have not been released")?;
        write_holders(f, &self.holders, 0)?;
        for (index, site) in self.sites.iter().take(SITES_NAMED_MAX).enumerate() {
            let lead = if index == 0 { ";" } else { "," };
            write!(f, "{lead} {site}")?;
        }
        match self.sites.len().saturating_sub(SITES_NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, ", and from {more} more places"),
        }
    }
}

impl Error for LeakError {}

impl Display for AllocationSite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { owner_path, kind, count, bytes, file, line, column, thread } = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {kind}{plural} allocated at {file}:{line}:{column} by thread ")?;
        write!(f, "`{thread}` for `{owner_path}`: {bytes} bytes")
    }
}

words!(AllocationKind, "kind of allocation", {
    Page => "page",
    Block => "block",
    Reservation => "reservation",
});

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use super::*;

    #[test]
    fn the_sites_of_an_owner_are_those_of_its_path() {
        let site = |path: &str, file: &str| AllocationSite {
            owner_path: path.into(),
            kind: AllocationKind::Page,
            count: 1,
            bytes: 4096,
            file: file.into(),
            line: 1,
            column: 1,
            thread: "main".into(),
        };
        let sites = vec![site("join", "join.rs"), site("sort", "sort.rs")];
        let error = LeakError { holders: Vec::new(), sites };
        let text = error.sites_of("sort");
        assert!(text.contains("sort.rs") && !text.contains("join.rs"), "{text}");
    }
}
