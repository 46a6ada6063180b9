//! A refused request in numbers, and who holds memory.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// How many holders an error names.
pub(crate) const HOLDERS_NAMED_MAX: usize = 3;

/// An owner and what it holds, for errors.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Holder {
    /// The owner's path: the names from the root, its own last.
    pub path: Arc<str>,
    /// The bytes that it holds itself, without those of the owners below it.
    pub used_bytes: usize,
    /// The bytes that it holds itself beyond the limits:
    /// [overdrafts](crate::Reservation#overdrafts) of its reservations.
    pub overdrawn_bytes: usize,
    /// The bytes that it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
    /// The bytes that it said it could give back when it was asked last; 0 before that, but for an
    /// owner that looks for itself: all that it holds.
    pub reclaimable_bytes: usize,
    /// How it gives memory back, and whether it is at work on that.
    pub reclaim: ReclaimStatus,
}

/// How an owner gives memory back, and whether it is at work on that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ReclaimStatus {
    /// It does not: it has no reclaimer, and does not look for itself.
    #[default]
    Never,
    /// Its reclaimer is gone. An owner does not keep its reclaimer: somebody else has to.
    Gone,
    /// It was never asked what it could give back.
    Unasked,
    /// It said what it could give back, and is not asked just now.
    Idle,
    /// It was asked, and has not answered.
    AtWork,
}

impl ReclaimStatus {
    /// What an error says of a holder that could give back so much.
    fn write(self, f: &mut Formatter<'_>, reclaimable_bytes: usize) -> fmt::Result {
        match self {
            Self::Never | Self::Idle => write!(f, "reclaimable {reclaimable_bytes}"),
            Self::Gone => f.write_str("its reclaimer is gone"),
            Self::Unasked => f.write_str("not asked yet"),
            Self::AtWork => f.write_str("asked, without an answer yet"),
        }
    }
}

/// Names the largest of `holders`, and counts the rest of them together with `others`.
pub(in crate::base) fn write_holders(
    f: &mut Formatter<'_>,
    holders: &[Holder],
    others: usize,
) -> fmt::Result {
    for (index, holder) in holders.iter().take(HOLDERS_NAMED_MAX).enumerate() {
        let lead = if index == 0 { "; held by" } else { "," };
        write!(f, "{lead} `{}`: {} bytes", holder.path, holder.used_bytes)?;
        write!(f, " (minimum {}, limit {}", holder.minimum_bytes, holder.limit_bytes)?;
        if holder.overdrawn_bytes > 0 {
            write!(f, ", overdrawn {}", holder.overdrawn_bytes)?;
        }
        f.write_str(", ")?;
        holder.reclaim.write(f, holder.reclaimable_bytes)?;
        f.write_str(")")?;
    }
    match holders.len().saturating_sub(HOLDERS_NAMED_MAX) + others {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

/// Why memory was refused. In text a phrase, and [`as_str`](Self::as_str) is a word for machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reason {
    /// The budget does not have that much left.
    Budget,
    /// The owner would pass its own limit.
    OwnerLimit,
    /// An owner above it would pass its limit.
    ParentLimit,
    /// Other requests wait in line for what is free, and came first.
    OthersWait,
    /// The policy does not admit it now, whatever is free.
    Policy,
    /// It waited in line until its timeout was over.
    TimedOut,
    /// All owners that hold memory wait for more, and this request came last.
    ///
    /// It is a deadlock if all of this holds for the `deadlock_timeout` of the manager, without a
    /// change:
    ///
    /// - Of what a request waits for, every owner that holds more than its minimum waits in line
    ///   itself. If none holds more than its minimum, all that hold anything or have a minimum
    ///   count.
    /// - Each waits with all it has: as many of its requests are in line as it has handles. Clones
    ///   of [`Owner`](crate::Owner) and workers are handles. What only holds memory is none:
    ///   segments, reservations, holdings, scratches and page writers, nor is a future that waits.
    /// - The same is true of what these owners wait for.
    /// - None has anything to give back: it was asked, or cannot be. One that looks for itself does
    ///   not look while all its handles wait. A call that is under way is waited for until it is
    ///   late.
    ///
    /// An owner with another handle may have a thread at work, so nobody is refused on account of
    /// it. Threads that share a handle by reference count as one: give each its own.
    Deadlock,
    /// The scratch would pass its own limit.
    ScratchLimit {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// It is more than the manager could ever give, even with everything free.
    Capacity,
    /// That much is free, but not in one piece.
    Fragmented {
        /// The size of the largest free block in bytes.
        largest_free_block_bytes: usize,
    },
    /// A block of no bytes was asked for.
    NoBytes,
    /// The process allocator has no more memory. This happens in
    /// [`MemoryMode::Heap`](crate::config::MemoryMode::Heap) only.
    ProcessAllocator,
    /// The manager has been shut down.
    ShutDown,
}

impl Reason {
    /// The reason as one word without its numbers, for labels of metrics: `owner_limit`. It stays
    /// the same in later versions.
    ///
    /// The feature `serde` writes the same words with `-` in place of `_`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::OwnerLimit => "owner_limit",
            Self::ParentLimit => "parent_limit",
            Self::OthersWait => "others_wait",
            Self::Policy => "policy",
            Self::TimedOut => "timed_out",
            Self::Deadlock => "deadlock",
            Self::ScratchLimit { .. } => "scratch_limit",
            Self::Capacity => "capacity",
            Self::Fragmented { .. } => "fragmented",
            Self::NoBytes => "no_bytes",
            Self::ProcessAllocator => "process_allocator",
            Self::ShutDown => "shut_down",
        }
    }

    /// Whether an error names the largest holders.
    pub(crate) const fn names_holders(self) -> bool {
        self.is_for_want_of_memory() && !matches!(self, Self::OwnerLimit)
    }

    /// Whether less memory is left than was asked for, or not in one piece.
    const fn is_for_want_of_memory(self) -> bool {
        matches!(
            self,
            Self::Budget
                | Self::OwnerLimit
                | Self::ParentLimit
                | Self::OthersWait
                | Self::Policy
                | Self::TimedOut
                | Self::Deadlock
                | Self::Fragmented { .. }
        )
    }
}

/// The reason as a phrase, with its own numbers. A [`Refusal`] is the whole sentence.
impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget => f.pad("the budget does not have that much left"),
            Self::OwnerLimit => f.pad("the owner would pass its limit"),
            Self::ParentLimit => f.pad("an owner above it would pass its limit"),
            Self::OthersWait => f.pad("others wait in line for what is free"),
            Self::Policy => f.pad("the policy does not admit it now"),
            Self::TimedOut => f.pad("it waited in vain"),
            Self::Deadlock => {
                f.pad("all who hold memory wait for more, and it was the last to come")
            }
            Self::ScratchLimit { limit_bytes } => {
                write!(f, "the scratch would pass its limit of {limit_bytes} bytes")
            }
            Self::Capacity => f.pad("that is above the capacity"),
            Self::Fragmented { largest_free_block_bytes } => {
                write!(f, "the largest free block has {largest_free_block_bytes} bytes")
            }
            Self::NoBytes => f.pad("a block has at least one byte"),
            Self::ProcessAllocator => f.pad("the process allocator has no more memory"),
            Self::ShutDown => f.pad("the memory manager has been shut down"),
        }
    }
}

/// A refused request for memory, in numbers as they were when it was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Refusal {
    /// The path of the owner that asked: the names from the root, its own last.
    pub owner_path: Arc<str>,
    /// The bytes that were asked for. For pages and blocks they are rounded up to whole pages, if
    /// the capacity holds that many.
    pub requested_bytes: usize,
    /// The bytes that the owner could have had.
    pub available_bytes: usize,
    /// The bytes that the owner held itself, without those of the owners below it.
    pub owner_used_bytes: usize,
    /// The bytes that counted against the owner's limit: what it held and what it was promised,
    /// with all owners below it.
    pub owner_total_bytes: usize,
    /// The owner's limit in bytes.
    pub owner_limit_bytes: usize,
    /// The bytes that the owner, and those below it, held beyond the limits.
    pub owner_overdrawn_bytes: usize,
    /// The manager's capacity in bytes.
    pub capacity_bytes: usize,
    /// The bytes that all owners held beyond the limits. They are not free, either.
    pub overdrawn_bytes: usize,
    /// What stood against it.
    pub reason: Reason,
    /// For [`Reason::ParentLimit`], the owner whose limit stood against it. Its `used_bytes`
    /// and `overdrawn_bytes` include those of all owners below it.
    pub parent: Option<Holder>,
    /// Of the owners that hold memory, the largest ones: three at most, the largest first. If there
    /// is a `parent`, only those below it.
    ///
    /// Empty for [`Reason::OwnerLimit`], for which nobody else could give anything back, and for
    /// all that needs no memory. Also empty for calls that ask nobody, `try_*`: so their refusal
    /// does not cost a look at every owner. [`MemoryManager::holders`] lists all of them.
    ///
    /// [`MemoryManager::holders`]: crate::MemoryManager::holders
    pub holders: Vec<Holder>,
    /// How many more owners hold memory, where `holders` lists the largest.
    pub other_holders: usize,
    /// The bytes that these hold together.
    pub other_holders_bytes: usize,
}

impl Refusal {
    /// The same, with numbers that agree. They are read one after the other, while others come and
    /// go. So where what was read later contradicts what the request was refused for, it gives way.
    /// `free` is what was left under the limit or of the budget when it was refused for that.
    pub(crate) fn agreeing(mut self, free: Option<usize>) -> Self {
        let too_little = self.requested_bytes.saturating_sub(1);
        match (&mut self.reason, &mut self.parent) {
            (Reason::Budget, _) => self.available_bytes = self.available_bytes.min(too_little),
            (Reason::OwnerLimit, _) => {
                self.available_bytes = self.available_bytes.min(too_little);
                let (limit, overdrawn) = (self.owner_limit_bytes, self.owner_overdrawn_bytes);
                self.owner_total_bytes = held(limit, overdrawn, free, self.owner_total_bytes);
            }
            (Reason::ParentLimit, Some(parent)) => {
                self.available_bytes = self.available_bytes.min(too_little);
                let (limit, overdrawn) = (parent.limit_bytes, parent.overdrawn_bytes);
                parent.used_bytes = held(limit, overdrawn, free, parent.used_bytes);
            }
            (Reason::Fragmented { largest_free_block_bytes }, _) => {
                // It had all that it asked for, but not in one piece.
                self.available_bytes = self.available_bytes.max(self.requested_bytes);
                *largest_free_block_bytes = (*largest_free_block_bytes).min(too_little);
            }
            _ => {}
        }
        self.name_no_more_than_there_is();
        self
    }

    /// Holders are looked at one after the other, and after the request was refused. What one gave
    /// back meanwhile, and another one took, counts once.
    fn name_no_more_than_there_is(&mut self) {
        let named = |holders: &[Holder]| holders.iter().map(|holder| holder.used_bytes).sum();
        let all_bytes = self.capacity_bytes.saturating_add(self.overdrawn_bytes);
        let mut named_bytes: usize = named(&self.holders);
        while named_bytes > all_bytes {
            let Some(last) = self.holders.pop() else { break };
            self.other_holders += 1;
            self.other_holders_bytes += last.used_bytes;
            named_bytes = named(&self.holders);
        }
        if self.reason == Reason::Budget {
            let left = all_bytes.saturating_sub(named_bytes);
            self.available_bytes = self.available_bytes.min(left);
        }
    }

    /// Whether the request can succeed once memory was given back: by the caller that spills, for
    /// example. It cannot if it is more than the owner, or an owner above it, may ever hold.
    #[must_use]
    pub fn is_for_want_of_memory(&self) -> bool {
        self.reason.is_for_want_of_memory() && self.limit_passed_alone().is_none()
    }

    /// What is overdrawn at the level that stood against it, if anything is.
    fn write_overdrawn(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let overdrawn = match (self.reason, &self.parent) {
            _ if self.limit_passed_alone().is_some() => 0,
            (Reason::OwnerLimit, _) => self.owner_overdrawn_bytes,
            (Reason::ParentLimit, Some(parent)) => parent.overdrawn_bytes,
            (reason, _) => self.overdrawn_if(reason),
        };
        if overdrawn > 0 { write!(f, ", and {overdrawn} bytes are overdrawn") } else { Ok(()) }
    }

    fn overdrawn_if(&self, reason: Reason) -> usize {
        match reason {
            Reason::Budget | Reason::OthersWait | Reason::TimedOut | Reason::Deadlock => {
                self.overdrawn_bytes
            }
            _ => 0,
        }
    }

    /// The limit that the request passes even if nothing else is held.
    fn limit_passed_alone(&self) -> Option<usize> {
        let limit = match (self.reason, &self.parent) {
            (Reason::OwnerLimit, _) => self.owner_limit_bytes,
            (Reason::ParentLimit, Some(parent)) => parent.limit_bytes,
            _ => return None,
        };
        (self.requested_bytes > limit).then_some(limit)
    }
}

/// What is held under a limit of which so much was free and so much is overdrawn; `read` says what
/// was held a little later.
fn held(limit: usize, overdrawn: usize, free: Option<usize>, read: usize) -> usize {
    match free.unwrap_or(0) {
        // More was overdrawn than free, perhaps.
        0 if read.saturating_add(overdrawn) >= limit => read.min(limit),
        free => limit.saturating_sub(free).saturating_sub(overdrawn),
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { owner_path, requested_bytes, available_bytes, capacity_bytes, .. } = self;
        write!(f, "{requested_bytes} bytes for owner `{owner_path}`: ")?;
        match self.reason {
            Reason::Budget if *available_bytes == 0 => {
                write!(f, "nothing of {capacity_bytes} bytes is free")?;
            }
            Reason::Budget => {
                write!(f, "only {available_bytes} of {capacity_bytes} bytes are free")?;
            }
            Reason::OwnerLimit if self.requested_bytes > self.owner_limit_bytes => {
                write!(f, "that is above its limit of {} bytes", self.owner_limit_bytes)?;
            }
            Reason::OwnerLimit => {
                write!(f, "it holds {} bytes ", self.owner_total_bytes)?;
                write!(f, "of its limit of {} bytes", self.owner_limit_bytes)?;
            }
            Reason::ParentLimit => match &self.parent {
                Some(Holder { path, limit_bytes, .. }) if requested_bytes > limit_bytes => {
                    write!(f, "that is above the limit of {limit_bytes} bytes of `{path}`")?;
                }
                Some(Holder { path, used_bytes, limit_bytes, .. }) => {
                    write!(f, "`{path}` holds {used_bytes} bytes ")?;
                    write!(f, "of its limit of {limit_bytes} bytes")?;
                }
                None => write!(f, "{}", self.reason)?,
            },
            Reason::OthersWait if *available_bytes == 0 => {
                write!(f, "others wait in line, and nothing of {capacity_bytes} bytes is free")?;
            }
            Reason::OthersWait => {
                write!(f, "others wait in line for the {available_bytes} of {capacity_bytes} ")?;
                f.write_str("bytes that are free")?;
            }
            Reason::TimedOut if available_bytes >= requested_bytes => {
                write!(f, "{}, and others wait for the {available_bytes} of ", self.reason)?;
                write!(f, "{capacity_bytes} bytes that are free, or these came too late")?;
            }
            Reason::Policy | Reason::TimedOut => {
                write!(f, "{}, {available_bytes} of {capacity_bytes} bytes ", self.reason)?;
                f.write_str("are free")?;
            }
            Reason::Capacity => write!(f, "{} of {capacity_bytes} bytes", self.reason)?,
            Reason::Fragmented { .. } => {
                write!(f, "{available_bytes} bytes are free, but {}", self.reason)?;
            }
            Reason::Deadlock
            | Reason::ScratchLimit { .. }
            | Reason::NoBytes
            | Reason::ProcessAllocator
            | Reason::ShutDown => write!(f, "{}", self.reason)?,
        }
        self.write_overdrawn(f)?;
        match self.reason.names_holders() {
            true => write_holders(f, &self.holders, self.other_holders),
            false => Ok(()),
        }
    }
}
