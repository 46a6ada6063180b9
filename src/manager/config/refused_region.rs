//! Why there is no region, in numbers.

use std::io;

use crate::base::error::ConfigError;
use crate::memory::arena::{AddressSpace, OffHeapOptions};
use crate::memory::os::{self, HugePages};

/// A region of these options that the system refused.
pub(in crate::manager) fn refused_region(
    options: &OffHeapOptions,
    capacity_bytes: usize,
    source: io::Error,
) -> ConfigError {
    let bytes = options.page_size.bytes_of(options.pages_max);
    match options.address_space {
        _ if options.huge_pages == HugePages::HugeTlb => ConfigError::HugeTlb {
            needed: bytes / os::HUGE_PAGE_BYTES,
            free: os::free_huge_tlb_pages(),
            group_limit: os::huge_tlb_limit(bytes).map(Box::new),
            source,
        },
        AddressSpace::Exactly(factor) if factor > 1 => {
            let address_space_bytes = bytes.saturating_mul(factor as usize);
            ConfigError::AddressSpace { factor, address_space_bytes, source }
        }
        _ => ConfigError::Region { capacity_bytes, source },
    }
}
