//! Why a configuration makes no manager, and why a capacity is not changed.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::base::available::CapacitySource;
use crate::base::limits::{PAGE_BYTES_MAX, PAGE_BYTES_MIN};

use crate::base::refused::ReservationError;

/// A configuration that no manager can be built from. Nothing is left of the attempt.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The capacity does not hold a single page.
    CapacityTooSmall {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
    },
    /// The capacity is more than can be addressed, or has more pages than can be numbered.
    CapacityTooLarge {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// The largest capacity at this page size, in bytes.
        capacity_bytes_max: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
    },
    /// The capacity was given as a fraction, and that is not above 0 and at most 1.
    CapacityFraction {
        /// The fraction asked for.
        fraction: f64,
    },
    /// The capacity was given as a fraction of the available memory, and the system does not tell
    /// how much that is.
    AvailableMemory {
        /// What the operating system said.
        source: io::Error,
    },
    /// The capacity was given as a fraction of the available memory, and what that comes to is
    /// refused.
    OfAvailableMemory {
        /// What the capacity was taken from.
        capacity_source: CapacitySource,
        /// Why that capacity is refused.
        refused: Box<ConfigError>,
    },
    /// The maximum of the capacity is below the capacity, or more than can be managed, or there is
    /// one and the region cannot change.
    MaxCapacity {
        /// The maximum asked for, in bytes.
        max_capacity_bytes: usize,
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// The highest maximum that there can be, in bytes.
        capacity_bytes_max: usize,
    },
    /// The page size is not a power of two, or out of range.
    PageSize {
        /// The page size asked for, in bytes.
        page_bytes: usize,
    },
    /// The address space factor is 0, or more than can be addressed and numbered.
    AddressSpaceFactor {
        /// The factor asked for.
        factor: u32,
        /// The largest factor for this capacity and page size.
        factor_max: u32,
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
    },
    /// The operating system refused the address space that an explicit factor asks for.
    AddressSpace {
        /// The factor asked for.
        factor: u32,
        /// The address space that it comes to, in bytes.
        address_space_bytes: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// The policy for idle memory has its lower mark above the upper one, or no pause.
    IdleMemory {
        /// The idle bytes above which it trims.
        above_bytes: usize,
        /// The idle bytes that it leaves.
        down_to_bytes: usize,
        /// The pause between two looks, for a policy that has one.
        every: Option<Duration>,
    },
    /// The spill reserve holds no page, or leaves none of the capacity.
    SpillReserve {
        /// The bytes asked for, for each reclaim.
        spill_reserve_bytes: usize,
        /// How many reclaims it is set aside for.
        reserves: usize,
        /// The capacity in bytes.
        capacity_bytes: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
    },
    /// The thresholds of the pressure are not above 0, at most 1, and in ascending order.
    PressureThresholds {
        /// Where elevated pressure was to begin, as a share of the capacity.
        elevated: f64,
        /// Where high pressure was to begin, as a share of the capacity.
        high: f64,
        /// Where critical pressure was to begin, as a share of the capacity.
        critical: f64,
    },
    /// The operating system refused a thread for work in the background.
    Thread {
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system does not have the reserved huge pages that
    /// [`HugePages::HugeTlb`](crate::config::HugePages::HugeTlb) asks for, or a group of the
    /// process may not have so many.
    HugeTlb {
        /// The huge pages that the region takes, of 2 MiB each.
        needed: usize,
        /// The reserved huge pages that are free; `None` if the system does not tell.
        free: Option<usize>,
        /// The limit of a group of the process that does not leave as much, if there is one.
        group_limit: Option<Box<HugeTlbLimit>>,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused the region.
    Region {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What a group of the process may have of reserved huge pages, when a region of them was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HugeTlbLimit {
    /// The file of the group that sets the limit: `hugetlb.2MB.max` or `hugetlb.2MB.rsvd.max` in
    /// cgroup v2, `hugetlb.2MB.limit_in_bytes` or `hugetlb.2MB.rsvd.limit_in_bytes` in v1.
    pub file: String,
    /// The path of the group: that of the process, or an ancestor of it.
    pub group: String,
    /// The most bytes of huge pages that the group may have.
    pub limit_bytes: usize,
    /// The bytes of them that it has.
    pub used_bytes: usize,
}

/// As a phrase: `hugetlb.2MB.max of the group at /a is 4194304 bytes, of which 0 are used`.
impl Display for HugeTlbLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { file, group, limit_bytes, used_bytes } = self;
        write!(f, "{file} of the group at {group} is {limit_bytes} bytes, of which {used_bytes} ")?;
        f.write_str("are used")
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapacityTooSmall { capacity_bytes: 0, .. } => {
                f.write_str("no capacity was set, in bytes or as a fraction of what is available")
            }
            Self::CapacityTooSmall { capacity_bytes, page_bytes } => {
                write!(f, "a capacity of {capacity_bytes} bytes does not hold one page ")?;
                write!(f, "of {page_bytes} bytes")
            }
            Self::CapacityTooLarge { capacity_bytes, capacity_bytes_max, page_bytes } => {
                write!(f, "a capacity of {capacity_bytes} bytes is above the most that can be ")?;
                write!(f, "managed in pages of {page_bytes} bytes, {capacity_bytes_max} bytes")
            }
            Self::CapacityFraction { fraction } => {
                write!(f, "a capacity of {fraction} of the available memory is not a fraction ")?;
                f.write_str("above 0 and at most 1")
            }
            Self::AvailableMemory { source } => {
                write!(f, "cannot tell how much memory is available: {source}")
            }
            Self::OfAvailableMemory { capacity_source, refused } => {
                write!(f, "{refused}; the capacity is {capacity_source}")
            }
            Self::MaxCapacity { max_capacity_bytes: max, capacity_bytes, capacity_bytes_max } => {
                write!(f, "a maximum of {max} bytes for the capacity is not from the capacity, ")?;
                write!(f, "{capacity_bytes} bytes, to {capacity_bytes_max} bytes")
            }
            Self::PageSize { page_bytes } => {
                write!(f, "a page size of {page_bytes} bytes is not a power of two from ")?;
                write!(f, "{PAGE_BYTES_MIN} to {PAGE_BYTES_MAX}")
            }
            Self::AddressSpaceFactor { factor, factor_max, capacity_bytes } => {
                write!(f, "an address space of {factor} times the capacity of {capacity_bytes} ")?;
                write!(f, "bytes is not from 1 to {factor_max} times")
            }
            Self::AddressSpace { factor, address_space_bytes, source } => {
                write!(f, "cannot map {address_space_bytes} bytes of address space, {factor} ")?;
                write!(f, "times the capacity: {source}")
            }
            Self::IdleMemory { above_bytes, down_to_bytes, every } => {
                write!(f, "idle memory above {above_bytes} bytes cannot be returned down to ")?;
                write!(f, "{down_to_bytes} bytes")?;
                every.map_or(Ok(()), |every| write!(f, " every {every:?}"))
            }
            Self::SpillReserve { spill_reserve_bytes, reserves, capacity_bytes, page_bytes } => {
                write!(f, "a spill reserve of {spill_reserve_bytes} bytes for each of ")?;
                write!(f, "{reserves} ")?;
                write!(f, "reclaims does not hold a page of {page_bytes} bytes, or leaves none ")?;
                write!(f, "of the capacity of {capacity_bytes} bytes")
            }
            Self::PressureThresholds { elevated, high, critical } => {
                write!(f, "pressure thresholds of {elevated}, {high} and {critical} are not ")?;
                f.write_str("above 0, at most 1, and in ascending order")
            }
            Self::Thread { source } => {
                write!(f, "cannot start a thread in the background: {source}")
            }
            Self::HugeTlb { needed, free, group_limit, source } => {
                write!(f, "cannot map {needed} reserved huge pages of 2 MiB, ")?;
                write_free(f, *free)?;
                f.write_str(" (vm.nr_hugepages says how many it keeps)")?;
                group_limit.iter().try_for_each(|limit| write!(f, ", and {limit}"))?;
                write!(f, ": {source}")
            }
            Self::Region { capacity_bytes, source } => {
                write!(f, "cannot map a region of {capacity_bytes} bytes: {source}")
            }
        }
    }
}

/// How many reserved huge pages are free.
fn write_free(f: &mut Formatter<'_>, free: Option<usize>) -> fmt::Result {
    match free {
        Some(free) => write!(f, "{free} are free"),
        None => f.write_str("the system does not tell how many are free"),
    }
}

impl ConfigError {
    /// What the operating system said, if it was what refused.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Region { source, .. }
            | Self::AddressSpace { source, .. }
            | Self::HugeTlb { source, .. }
            | Self::AvailableMemory { source }
            | Self::Thread { source } => Some(source),
            Self::OfAvailableMemory { refused, .. } => refused.io_error(),
            Self::CapacityTooSmall { .. }
            | Self::CapacityTooLarge { .. }
            | Self::CapacityFraction { .. }
            | Self::MaxCapacity { .. }
            | Self::PageSize { .. }
            | Self::AddressSpaceFactor { .. }
            | Self::IdleMemory { .. }
            | Self::SpillReserve { .. }
            | Self::PressureThresholds { .. } => None,
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.io_error().map(|source| source as &(dyn Error + 'static))
    }
}

/// A capacity that is not changed: it is as before.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResizeError {
    /// The capacity would be above the maximum that the manager was built with.
    AboveMaximum {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// The maximum, in bytes.
        capacity_bytes_max: usize,
    },
    /// The capacity would be below what is promised to owners and set aside, or hold no page.
    BelowPromised {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// The minimums of all owners, and the spill reserve, in bytes.
        promised_bytes: usize,
        /// The lowest capacity that there can be now, in bytes.
        capacity_bytes_min: usize,
    },
    /// Owners hold too much, and did not give enough back in time.
    Refused {
        /// The capacity asked for, in bytes.
        capacity_bytes: usize,
        /// Why what is to be taken off the capacity could not be reserved.
        refused: ReservationError,
    },
    /// Another thread changes the capacity just now.
    UnderWay,
    /// The system cannot take back the memory of this region: it is of reserved huge pages, or no
    /// mapping of its own.
    Fixed {
        /// The capacity in bytes.
        capacity_bytes: usize,
    },
    /// The capacity was named in bytes, so there is nothing to look up again.
    NotAFraction {
        /// The capacity in bytes.
        capacity_bytes: usize,
    },
    /// The operating system refused to take memory back, or does not tell how much there is.
    System {
        /// What the operating system said.
        source: io::Error,
    },
    /// The manager has been shut down.
    ShutDown,
}

impl Display for ResizeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboveMaximum { capacity_bytes, capacity_bytes_max } => {
                write!(f, "a capacity of {capacity_bytes} bytes is above the maximum of ")?;
                write!(f, "{capacity_bytes_max} bytes")
            }
            Self::BelowPromised { capacity_bytes, promised_bytes, capacity_bytes_min } => {
                write!(f, "a capacity of {capacity_bytes} bytes is below {capacity_bytes_min} ")?;
                write!(f, "bytes, as {promised_bytes} bytes are promised or set aside")
            }
            Self::Refused { capacity_bytes, refused } => {
                write!(f, "the capacity cannot fall to {capacity_bytes} bytes: {refused}")
            }
            Self::UnderWay => f.write_str("another thread changes the capacity just now"),
            Self::Fixed { capacity_bytes } => {
                write!(
                    f,
                    "the capacity of {capacity_bytes} bytes cannot change: the system does "
                )?;
                f.write_str("not take this memory back")
            }
            Self::NotAFraction { capacity_bytes } => {
                write!(f, "the capacity of {capacity_bytes} bytes is no fraction of what is ")?;
                f.write_str("available")
            }
            Self::System { source } => write!(f, "the system refused: {source}"),
            Self::ShutDown => f.write_str("the memory manager has been shut down"),
        }
    }
}

impl Error for ResizeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { source } => Some(source),
            Self::Refused { refused, .. } => Some(refused),
            _ => None,
        }
    }
}

// It is only read, so a panic finds it whole. `io::Error` does not claim that for itself.
impl UnwindSafe for ResizeError {}
impl RefUnwindSafe for ResizeError {}

// It is only read, so a panic finds it whole. `io::Error` does not claim that for itself.
impl UnwindSafe for ConfigError {}
impl RefUnwindSafe for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_that_is_a_fraction_is_refused_for_what_the_capacity_is_refused_for() {
        let source = io::Error::other("no");
        let refused = Box::new(ConfigError::Region { capacity_bytes: 1, source });
        let error =
            ConfigError::OfAvailableMemory { capacity_source: CapacitySource::Named, refused };
        assert_eq!(error.source().unwrap().to_string(), "no");
        let refused = Box::new(ConfigError::PageSize { page_bytes: 1 });
        let error =
            ConfigError::OfAvailableMemory { capacity_source: CapacitySource::Named, refused };
        assert!(error.source().is_none());
    }
}
