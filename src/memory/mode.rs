//! Where memory comes from.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::base::error::UnknownWord;

/// Where memory comes from. In text, `off-heap` or `heap`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
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

/// What modes are written as.
const WORDS: [&str; 2] = ["off-heap", "heap"];

impl Display for MemoryMode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OffHeap => WORDS[0],
            Self::Heap => WORDS[1],
        })
    }
}

impl FromStr for MemoryMode {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            _ if word == WORDS[0] => Ok(Self::OffHeap),
            _ if word == WORDS[1] => Ok(Self::Heap),
            _ => Err(UnknownWord::new("mode", word, &WORDS)),
        }
    }
}
