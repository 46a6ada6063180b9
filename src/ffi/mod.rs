//! The C ABI: what `include/offheap.h` declares.
//!
//! A call converts its arguments, calls one function of the library, and converts the result.
//!
//! Handles look like pointers to C and are none: a handle is an index into a table and a
//! generation, and no two values ever have the same one. Every call looks its handles up, so one
//! that was freed, freed twice, or never given out is refused, on whatever thread, and nothing is
//! touched. To use a handle of an owner costs two atomic steps on a word that few threads share;
//! a segment's handle costs one when it is released, none when it is made or read, and a lock at
//! most once in 32. Calls hold no lock while they run in the library, so that what they call may
//! call back.

mod config;
mod failure;
mod manager;
mod owner;
mod pointers;
mod problem;
mod records;
mod reservation;
mod segment;
mod segment_table;
mod slots;
mod status;
mod table;
mod worker;

pub use config::{
    CoreDumps, HugePages, Mode, Populate, Strategy, ZeroPolicy, offheap_config_free,
    offheap_config_new, offheap_config_set_address_space_factor, offheap_config_set_capacity,
    offheap_config_set_core_dumps, offheap_config_set_depot_pages,
    offheap_config_set_fraction_of_available, offheap_config_set_huge_pages,
    offheap_config_set_idle_keep, offheap_config_set_idle_return_in_background,
    offheap_config_set_idle_return_on_release, offheap_config_set_mode,
    offheap_config_set_page_size, offheap_config_set_populate, offheap_config_set_populate_threads,
    offheap_config_set_strategy, offheap_config_set_zero_policy,
};
pub use manager::{
    offheap_manager_check, offheap_manager_free, offheap_manager_get_stats,
    offheap_manager_holders, offheap_manager_new, offheap_manager_shutdown, offheap_manager_trim,
    offheap_manager_verify_empty,
};
pub use owner::{
    offheap_allocate, offheap_allocate_page, offheap_allocate_pages, offheap_allocate_scattered,
    offheap_allocate_up_to, offheap_owner_free, offheap_owner_get_stats, offheap_owner_register,
    offheap_owner_register_child,
};
pub use problem::{
    offheap_abi_version, offheap_last_error_message, offheap_last_refusal, offheap_status_name,
    offheap_version,
};
pub use records::{ManagerStats, OwnerStats, RefusalInfo};
pub use reservation::{
    offheap_reservation_free, offheap_reservation_grow, offheap_reservation_release,
    offheap_reservation_size, offheap_reserve_memory,
};
pub use segment::{
    offheap_release, offheap_release_many, offheap_segment_address, offheap_segment_size,
};
pub use status::Status;
pub use worker::{
    offheap_worker_allocate_page, offheap_worker_free, offheap_worker_new, offheap_worker_release,
};

/// A number that is not known.
pub const OFFHEAP_UNKNOWN: usize = usize::MAX;

/// The limit of an owner that may hold all there is.
pub const OFFHEAP_NO_LIMIT: usize = usize::MAX;

/// The version of the ABI. It changes when something is removed or gets another meaning, which
/// comes with another name of the shared library, and not when something is added.
pub const OFFHEAP_ABI_VERSION: u32 = 0;

/// The configuration of a manager. For one thread at a time.
pub struct Config;

/// A memory manager.
pub struct Manager;

/// Who holds memory: an operator, a task, a query.
pub struct Owner;

/// A page or a block that is held by the caller.
pub struct Segment;

/// Bytes of the budget for memory that is held elsewhere. For one thread at a time.
pub struct Reservation;

/// One thread's fast path to the pages of an owner. For one thread at a time.
pub struct Worker;
