//! The capacity, in bytes or as a fraction of what the process may use.

use crate::base::available::CapacitySource;
use crate::base::bytes::fraction_of;
use crate::base::error::ConfigError;
use crate::base::limits::CAPACITY_BYTES_MAX;
use crate::base::units::{PageCount, PageSize};
use crate::memory::os;

/// How much a manager is to have.
#[derive(Clone, Copy, Debug)]
pub(in crate::manager) enum Capacity {
    Bytes(usize),
    FractionOfAvailable(f64),
}

impl Capacity {
    /// The bytes, and what they were taken from.
    pub(in crate::manager) fn resolve(self) -> Result<(usize, CapacitySource), ConfigError> {
        let fraction = match self {
            Self::Bytes(bytes) => return Ok((bytes, CapacitySource::Named)),
            Self::FractionOfAvailable(fraction) => fraction,
        };
        let of = |bytes| {
            let part = fraction_of(bytes, fraction);
            part.map_err(|_| ConfigError::CapacityFraction { fraction })
        };
        // The fraction is wrong on every machine, so it is checked before any is asked.
        of(0)?;
        let available =
            os::available_memory().map_err(|source| ConfigError::AvailableMemory { source })?;
        let bytes = of(available.bytes)?;
        Ok((bytes, CapacitySource::Fraction { fraction, available }))
    }
}

/// The most that a capacity can come to have.
pub(in crate::manager) struct Most {
    pub(in crate::manager) bytes: usize,
    pub(in crate::manager) pages: PageCount,
}

impl Most {
    /// The named maximum, or the capacity if none was named, or if it cannot change.
    pub(in crate::manager) fn new(
        named: Option<usize>,
        capacity_bytes: usize,
        page_size: PageSize,
        is_fixed: bool,
    ) -> Result<Self, ConfigError> {
        let bytes = named.unwrap_or(capacity_bytes);
        let capacity_bytes_max = if is_fixed { capacity_bytes } else { Self::bytes_max(page_size) };
        match page_size.pages_within(bytes) {
            Some(pages) if (capacity_bytes..=capacity_bytes_max).contains(&bytes) => {
                Ok(Self { bytes, pages })
            }
            _ => Err(ConfigError::MaxCapacity {
                max_capacity_bytes: bytes,
                capacity_bytes,
                capacity_bytes_max,
            }),
        }
    }

    /// The largest capacity at a page size, in bytes.
    pub(in crate::manager) fn bytes_max(page_size: PageSize) -> usize {
        CAPACITY_BYTES_MAX.min(page_size.bytes_of(PageCount::new(u32::MAX)))
    }
}

/// The same error, with what the capacity was taken from if that is what is refused.
pub(in crate::manager) fn with_source(
    error: ConfigError,
    capacity_source: &CapacitySource,
) -> ConfigError {
    let is_about_capacity = matches!(
        error,
        ConfigError::CapacityTooSmall { .. }
            | ConfigError::CapacityTooLarge { .. }
            | ConfigError::MaxCapacity { .. }
            | ConfigError::AddressSpace { .. }
            | ConfigError::HugeTlb { .. }
            | ConfigError::Region { .. }
    );
    if !is_about_capacity || *capacity_source == CapacitySource::Named {
        return error;
    }
    let capacity_source = capacity_source.clone();
    ConfigError::OfAvailableMemory { capacity_source, refused: Box::new(error) }
}
