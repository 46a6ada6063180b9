//! A refused request in numbers, and who holds memory.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// How many holders an error names.
const HOLDERS_NAMED_MAX: usize = 3;

/// An owner and what it holds, for errors.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Holder {
    /// The owner's path: its name, after the names of those above it.
    pub name: Arc<str>,
    /// The bytes that it holds itself, without those of the owners below it.
    pub used_bytes: usize,
    /// The bytes it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
    /// The bytes that it could give back if it were asked, as far as it says.
    pub reclaimable_bytes: usize,
}

pub(super) fn write_holders(f: &mut Formatter<'_>, holders: &[Holder]) -> fmt::Result {
    for (index, holder) in holders.iter().take(HOLDERS_NAMED_MAX).enumerate() {
        let lead = if index == 0 { "; held by" } else { "," };
        write!(f, "{lead} `{}`: {} bytes", holder.name, holder.used_bytes)?;
        write!(f, " (minimum {}, limit {}", holder.minimum_bytes, holder.limit_bytes)?;
        write!(f, ", reclaimable {})", holder.reclaimable_bytes)?;
    }
    match holders.len().saturating_sub(HOLDERS_NAMED_MAX) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

/// Why memory was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reason {
    /// The budget does not have that much left.
    Budget,
    /// The owner would pass its limit.
    OwnerLimit,
    /// An owner above it would pass its limit.
    ParentLimit,
    /// Others wait in line for what is free, and were first.
    OthersWait,
    /// It waited in line as long as it was to.
    TimedOut,
    /// Everybody who holds memory waits for more, and this request came last.
    Deadlock,
    /// The scratch would pass its limit.
    ScratchLimit {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// More than the manager could ever give, were everything free.
    Capacity,
    /// That much is free, but not in one piece.
    Fragmented {
        /// The bytes of the largest free block.
        largest_free_block_bytes: usize,
    },
    /// A block of no bytes was asked for.
    NoBytes,
    /// The process allocator has no more memory. It backs
    /// [`MemoryMode::Heap`](crate::config::MemoryMode::Heap).
    ProcessAllocator,
    /// The manager has been shut down.
    ShutDown,
}

/// A refused request for memory, in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Refusal {
    /// The name of the owner that asked.
    pub owner: Arc<str>,
    /// The bytes that were wanted; rounded up to pages if the capacity holds that many.
    pub requested_bytes: usize,
    /// The bytes that the owner could have had.
    pub available_bytes: usize,
    /// The bytes that the owner held.
    pub owner_used_bytes: usize,
    /// The owner's limit in bytes.
    pub owner_limit_bytes: usize,
    /// The manager's capacity in bytes.
    pub capacity_bytes: usize,
    /// What stood against it.
    pub reason: Reason,
    /// The owner above whose limit stood against it, with what all below it hold.
    pub parent: Option<Holder>,
    /// Who holds memory, the largest holder first: below that parent, if there is one.
    pub holders: Vec<Holder>,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { owner, requested_bytes, available_bytes, capacity_bytes, .. } = self;
        write!(f, "{requested_bytes} bytes for owner `{owner}`: ")?;
        match self.reason {
            Reason::Budget => {
                write!(f, "only {available_bytes} of {capacity_bytes} bytes are free")?;
            }
            Reason::OwnerLimit => {
                write!(f, "it holds {} bytes ", self.owner_used_bytes)?;
                write!(f, "of its limit of {} bytes", self.owner_limit_bytes)?;
            }
            Reason::ParentLimit => match &self.parent {
                Some(Holder { name, used_bytes, limit_bytes, .. }) => {
                    write!(f, "`{name}` holds {used_bytes} bytes ")?;
                    write!(f, "of its limit of {limit_bytes} bytes")?;
                }
                None => f.write_str("an owner above it would pass its limit")?,
            },
            Reason::OthersWait => {
                write!(f, "others wait in line for the {available_bytes} of {capacity_bytes} ")?;
                f.write_str("bytes that are free")?;
            }
            Reason::TimedOut => {
                write!(f, "it waited in vain, {available_bytes} of {capacity_bytes} bytes ")?;
                f.write_str("are free")?;
            }
            Reason::Deadlock => {
                f.write_str("all who hold memory wait for more, and it was the last to come")?;
            }
            Reason::ScratchLimit { limit_bytes } => {
                write!(f, "the scratch would pass its limit of {limit_bytes} bytes")?;
            }
            Reason::Capacity => {
                write!(f, "that is above the capacity of {capacity_bytes} bytes")?;
            }
            Reason::Fragmented { largest_free_block_bytes } => {
                write!(f, "{available_bytes} bytes are free, but the largest free block has ")?;
                write!(f, "{largest_free_block_bytes} bytes")?;
            }
            Reason::NoBytes => f.write_str("a block has at least one byte")?,
            Reason::ProcessAllocator => f.write_str("the process allocator has no more memory")?,
            Reason::ShutDown => f.write_str("the memory manager has been shut down")?,
        }
        match self.reason {
            Reason::Budget
            | Reason::ParentLimit
            | Reason::OthersWait
            | Reason::TimedOut
            | Reason::Deadlock
            | Reason::Fragmented { .. } => write_holders(f, &self.holders),
            _ => Ok(()),
        }
    }
}
