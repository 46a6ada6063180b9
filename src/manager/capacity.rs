//! The capacity, in bytes or as a fraction of what the process may use.

use crate::base::available::CapacitySource;
use crate::base::error::ConfigError;
use crate::memory::os;

use crate::manager::fraction_of;

/// How much a manager is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Capacity {
    Bytes(usize),
    FractionOfAvailable(f64),
}

impl Capacity {
    /// The bytes, and what they were taken from.
    pub(crate) fn resolve(self) -> Result<(usize, CapacitySource), ConfigError> {
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

impl ConfigError {
    /// The same, with what the capacity was taken from if that is what is refused.
    pub(crate) fn with_capacity_source(self, capacity_source: &CapacitySource) -> Self {
        let is_about_capacity = matches!(
            self,
            Self::CapacityTooSmall { .. }
                | Self::CapacityTooLarge { .. }
                | Self::AddressSpace { .. }
                | Self::HugeTlb { .. }
                | Self::Region { .. }
        );
        if !is_about_capacity || *capacity_source == CapacitySource::Named {
            return self;
        }
        let capacity_source = capacity_source.clone();
        Self::OfAvailableMemory { capacity_source, refused: Box::new(self) }
    }
}
