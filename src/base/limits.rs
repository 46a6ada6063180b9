//! The smallest and the largest that there are.

/// The smallest page: 4 KiB, as in Flink.
pub(crate) const PAGE_BYTES_MIN: usize = 4 << 10;
/// The largest page: 1 MiB.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// The page size of a manager that names none: 32 KiB, as in Flink.
pub(crate) const PAGE_BYTES_DEFAULT: usize = 32 << 10;

/// The largest capacity: half of what a 64-bit process can address on today's machines, and small
/// enough for a budget to count bytes in 48 bits.
pub(crate) const CAPACITY_BYTES_MAX: usize = 1 << 46;

/// The most address space that a region takes: again half of what there is.
pub(crate) const ADDRESS_SPACE_BYTES_MAX: usize = 1 << 46;
/// The address space of a manager that names none, as a multiple of its capacity. With twice the
/// capacity no block failed in long simulations; the rest is for the worst of them.
pub(crate) const ADDRESS_SPACE_FACTOR_DEFAULT: u32 = 4;

const _: () = assert!(PAGE_BYTES_MIN.is_power_of_two() && PAGE_BYTES_MAX.is_power_of_two());
const _: () = assert!(PAGE_BYTES_MIN <= PAGE_BYTES_DEFAULT && PAGE_BYTES_DEFAULT <= PAGE_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX <= CAPACITY_BYTES_MAX);
const _: () = assert!(CAPACITY_BYTES_MAX <= ADDRESS_SPACE_BYTES_MAX);
