//! Floor 5, the C ABI: what `include/offheap.h` declares.
//!
//! A call converts its arguments, calls one function of the library, and converts the result. The
//! rooms, the lowest last:
//!
//! ```text
//! (here)     owner      allocating  waiting   reservation     what an owner is and holds    unsafe
//!            segment    worker      reclaim                   and how it gives it back      unsafe
//!            config     manager     pressure                  what comes before owners      unsafe
//!            problem                                          what went wrong; versions     unsafe
//! tables/    what handles stand for: the values, and which calls use them                   unsafe
//! convert/   from what C passes to what the library takes, and back                         unsafe
//! ```
//!
//! Handles look like pointers to C and are none. A handle is an index into a table and a
//! generation, and no two values ever have the same one. Every call looks its handles up. So a
//! handle that was freed, freed twice, or never given out is refused, on every thread, and nothing
//! is touched.
//!
//! To use a handle of an owner costs two atomic steps on a word that few threads share. A segment's
//! handle costs one step when it is released, none when it is made or read, and a lock at most once
//! in 32. Calls hold no lock while they run in the library, so what they call may call back.

mod allocating;
mod config;
mod convert;
mod manager;
mod owner;
mod pressure;
mod problem;
mod reclaim;
mod reservation;
mod segment;
mod tables;
mod waiting;
mod worker;

pub use allocating::{
    offheap_allocate, offheap_allocate_page, offheap_allocate_pages, offheap_allocate_scattered,
    offheap_allocate_up_to, offheap_try_allocate, offheap_try_allocate_page,
    offheap_try_allocate_pages,
};
pub use config::{
    CoreDumps, HugePages, Mode, Policy, Populate, Strategy, ZeroPolicy, offheap_config_free,
    offheap_config_new, offheap_config_set_address_space_factor, offheap_config_set_capacity,
    offheap_config_set_core_dumps, offheap_config_set_deadlock_timeout,
    offheap_config_set_depot_pages, offheap_config_set_fraction_of_available,
    offheap_config_set_huge_pages, offheap_config_set_idle_keep,
    offheap_config_set_idle_return_in_background, offheap_config_set_idle_return_on_release,
    offheap_config_set_mode, offheap_config_set_page_size, offheap_config_set_policy,
    offheap_config_set_populate, offheap_config_set_populate_threads,
    offheap_config_set_pressure_thresholds, offheap_config_set_reclaim_timeout,
    offheap_config_set_spill_reserve, offheap_config_set_strategy, offheap_config_set_zero_policy,
};
pub use convert::records::{ManagerStats, OwnerOptions, OwnerStats, RefusalInfo};
pub use convert::status::Status;
pub use convert::types::{
    Config, Manager, OFFHEAP_ABI_VERSION, OFFHEAP_FOR_EVER, OFFHEAP_NO_LIMIT, OFFHEAP_UNKNOWN,
    Owner, Reservation, Segment, SpillReserve, Subscription, Worker,
};
pub use manager::{
    offheap_manager_check, offheap_manager_free, offheap_manager_get_stats,
    offheap_manager_holders, offheap_manager_new, offheap_manager_shutdown, offheap_manager_trim,
    offheap_manager_verify_empty,
};
pub use owner::{
    OFFHEAP_OWNER_HAS_PRIORITY, OFFHEAP_OWNER_POLLED_RECLAIM, OFFHEAP_OWNER_SELF_RECLAIM,
    offheap_owner_free, offheap_owner_get_stats, offheap_owner_register,
    offheap_owner_register_child, offheap_owner_register_child_with, offheap_owner_register_with,
};
pub use pressure::{
    Pressure, PressureFn, offheap_manager_on_pressure, offheap_manager_pressure,
    offheap_subscription_free,
};
pub use problem::{
    offheap_abi_version, offheap_last_error_message, offheap_last_refusal, offheap_status_name,
    offheap_version,
};
pub use reclaim::{
    ReclaimFn, ReclaimableFn, offheap_owner_answer_begin, offheap_owner_answer_end,
    offheap_owner_clear_reclaimer, offheap_owner_reclaim_requested, offheap_owner_set_reclaimable,
    offheap_owner_set_reclaimer, offheap_spill_reserve_allocate, offheap_spill_reserve_available,
};
pub use reservation::{
    offheap_reservation_free, offheap_reservation_grow, offheap_reservation_release,
    offheap_reservation_size, offheap_reserve_memory, offheap_try_reserve_memory,
};
pub use segment::{
    offheap_release, offheap_release_many, offheap_segment_address, offheap_segment_range,
    offheap_segment_size,
};
pub use tables::callback::FreeFn;
pub use waiting::{offheap_acquire, offheap_acquire_memory, offheap_acquire_pages};
pub use worker::{
    offheap_worker_allocate_page, offheap_worker_free, offheap_worker_new, offheap_worker_release,
    offheap_worker_try_allocate_page,
};
