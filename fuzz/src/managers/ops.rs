//! The calls that a sequence is made of, and the configuration it runs under.

use arbitrary::{Arbitrary, Unstructured};
use offheap::{
    MemoryManager, Strategy,
    config::{HugePages, MemoryManagerBuilder, MemoryMode, ZeroPolicy},
};

use crate::marking::Marking;

/// Owners per manager.
pub const OWNERS: usize = 3;

/// A configuration and a sequence of calls.
#[derive(Clone, Debug)]
pub struct Input {
    /// The configuration.
    pub config: Config,
    /// The calls.
    pub ops: Vec<Op>,
    /// Whether the manager is shut down at the end, with memory out.
    pub shut_down: bool,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let config = Config::arbitrary(bytes)?;
        let shut_down = bool::arbitrary(bytes)?;
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { config, ops, shut_down })
    }
}

/// A configuration, mostly valid.
#[derive(Arbitrary, Clone, Debug)]
pub struct Config {
    /// The pages of the capacity, before the rest.
    pub pages: u16,
    /// Bytes beyond the last whole page; the highest bits choose where segments are marked.
    pub rest_bytes: u16,
    /// The page size as a power of two, of which few are used: 12 and 13 are valid, 11 is not.
    pub page_shift: u8,
    /// Largest fit instead of smallest fit.
    pub largest_fit: bool,
    /// Heap mode instead of off-heap mode.
    pub heap: bool,
    /// The zero policy, how many pages owners keep at hand, and the spare address space.
    pub zero_policy: u8,
    /// The owners.
    pub owners: [OwnerConfig; OWNERS],
}

/// An owner, with shares of the capacity in 255ths.
#[derive(Arbitrary, Clone, Debug)]
pub struct OwnerConfig {
    /// The minimum; of a quarter of the capacity.
    pub minimum: u8,
    /// The limit; 255 is no limit.
    pub limit: u8,
}

/// A call.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    Page {
        owner: u8,
    },
    WorkerPage {
        owner: u8,
    },
    WorkerRelease {
        owner: u8,
        which: u8,
    },
    Pages {
        owner: u8,
        count: u8,
    },
    Block {
        owner: u8,
        bytes: u32,
    },
    UpTo {
        owner: u8,
        bytes: u32,
    },
    Scattered {
        owner: u8,
        bytes: u32,
    },
    Reserve {
        owner: u8,
        bytes: u32,
    },
    Shrink {
        which: u8,
        bytes: u32,
    },
    Unreserve {
        which: u8,
    },
    Release {
        which: u8,
    },
    ReleaseMany {
        count: u8,
    },
    Check,
    /// Drops the owner, or registers it again.
    TurnOver {
        owner: u8,
    },
    Split {
        which: u8,
        pages: u8,
    },
    ShrinkSegment {
        which: u8,
        bytes: u32,
    },
    GrowSegment {
        which: u8,
        bytes: u32,
    },
    /// Grows a reservation, whether as much is free or not.
    Overdraw {
        which: u8,
        bytes: u32,
    },
    /// Resizes a reservation.
    Resize {
        which: u8,
        bytes: u32,
    },
    SplitReservation {
        which: u8,
        bytes: u32,
    },
    /// Merges a reservation with the next one.
    Merge {
        which: u8,
    },
}

impl Config {
    /// At most 300 pages: five chunks, the last one in part.
    fn pages(&self) -> usize {
        usize::from(self.pages % 301)
    }

    fn page_bytes(&self) -> usize {
        1 << (11 + self.page_shift % 3).max(if self.page_shift == 0 { 11 } else { 12 })
    }

    fn capacity_bytes(&self) -> usize {
        self.pages() * self.page_bytes() + usize::from(self.rest_bytes) % self.page_bytes()
    }

    /// Held segments have their patterns throughout in one input of eight.
    pub(crate) fn marking(&self) -> Marking {
        let page_bytes = self.page_bytes();
        match self.rest_bytes >> 13 {
            0 => Marking::whole(page_bytes),
            _ => Marking::edges(page_bytes),
        }
    }

    /// Whether a manager can be built from it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.page_bytes() >= 4096 && self.pages() > 0
    }

    /// The zero policy.
    #[must_use]
    pub fn zero_policy(&self) -> ZeroPolicy {
        match self.zero_policy % 3 {
            0 => ZeroPolicy::Never,
            1 => ZeroPolicy::OnAllocate,
            _ => ZeroPolicy::OnRelease,
        }
    }

    pub(crate) fn strategy(&self) -> Strategy {
        if self.largest_fit { Strategy::LargestFit } else { Strategy::SmallestFit }
    }

    /// The address space as a multiple of the capacity.
    fn address_space_factor(&self) -> u32 {
        [1, 4, 2, 1][usize::from(self.zero_policy / 3 % 4)]
    }

    pub(crate) fn builder(&self) -> MemoryManagerBuilder {
        MemoryManager::builder()
            .capacity(self.capacity_bytes())
            .page_size(self.page_bytes())
            .mode(if self.heap { MemoryMode::Heap } else { MemoryMode::OffHeap })
            .strategy(self.strategy())
            .zero_policy(self.zero_policy())
            .depot_pages(usize::from(self.zero_policy / 3))
            .address_space_factor(self.address_space_factor())
            // Small regions, made and dropped by the thousand.
            .huge_pages(HugePages::Never)
    }
}

impl Op {
    /// The same call with sizes that mostly fit, and with fewer checks and turns: for long
    /// sequences that are not steered by coverage. `index` is its place in the sequence.
    #[must_use]
    pub(crate) fn tamed(self, index: usize) -> Self {
        // Up to 4 MiB, about as many in each power of two.
        let tame = |bytes: u32| (bytes % (1 << 22)) >> (bytes >> 28);
        match self {
            Self::Pages { owner, count } => Self::Pages { owner, count: count >> (count % 4 * 2) },
            Self::Block { owner, bytes } => Self::Block { owner, bytes: tame(bytes) },
            Self::UpTo { owner, bytes } => Self::UpTo { owner, bytes: tame(bytes) },
            Self::Scattered { owner, bytes } => Self::Scattered { owner, bytes: tame(bytes) },
            Self::Reserve { owner, bytes } => Self::Reserve { owner, bytes: tame(bytes) },
            Self::Shrink { which, bytes } => Self::Shrink { which, bytes: tame(bytes) },
            Self::ShrinkSegment { which, bytes } => {
                Self::ShrinkSegment { which, bytes: tame(bytes) }
            }
            Self::GrowSegment { which, bytes } => Self::GrowSegment { which, bytes: tame(bytes) },
            Self::Overdraw { which, bytes } => Self::Overdraw { which, bytes: tame(bytes) >> 4 },
            Self::Resize { which, bytes } => Self::Resize { which, bytes: tame(bytes) },
            Self::SplitReservation { which, bytes } => {
                Self::SplitReservation { which, bytes: tame(bytes) }
            }
            Self::ReleaseMany { count } => Self::ReleaseMany { count: count >> (count % 8) },
            // The low bits of a place in a sequence choose nothing else.
            #[expect(clippy::cast_possible_truncation, reason = "any segment will do")]
            Self::Check if !index.is_multiple_of(32) => Self::Release { which: index as u8 },
            Self::TurnOver { owner } if owner >= 8 => Self::WorkerPage { owner },
            other => other,
        }
    }
}

impl OwnerConfig {
    /// The minimum and the limit in bytes.
    #[must_use]
    pub fn bytes(&self, capacity: usize) -> (usize, usize) {
        let limit = match self.limit {
            u8::MAX => usize::MAX,
            share => capacity * usize::from(share) / 255,
        };
        (capacity / 4 * usize::from(self.minimum) / 255, limit)
    }
}
