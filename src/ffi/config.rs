//! Configurations: handles with setters, so that options can be added.

use std::time::Duration;

use crate::MemoryManager;
use crate::config::{MemoryManagerBuilder, MemoryMode};
use crate::ledger::free_list;
use crate::ledger::handles::Kind;
use crate::memory::arena::{self, IdleMemory};
use crate::memory::os;
use crate::sharing::{FairShare, Greedy};

use super::Config;
use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::tables::table::LoneTable;

pub(super) static CONFIGS: LoneTable<MemoryManagerBuilder> = LoneTable::new(Kind::Config);

/// Where memory comes from.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Mode {
    /// One region, mapped when the manager is built. The default.
    OffHeap = 0,
    /// The process allocator, page by page as it is asked for.
    Heap = 1,
}

/// Which hole a block takes.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Strategy {
    /// The smallest that fits, so that large ones stay whole. The default.
    SmallestFit = 0,
    /// The largest there is, so that what remains of it is large as well.
    LargestFit = 1,
}

/// When pages are overwritten with zeros.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum ZeroPolicy {
    /// Never: a page may show what its last holder wrote. The default.
    Never = 0,
    /// Before a page is handed out, unless it is known to be zero.
    OnAllocate = 1,
    /// When a page is released.
    OnRelease = 2,
}

/// Which huge pages the region is made of.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum HugePages {
    /// Those that the system makes where it can. The default.
    Transparent = 0,
    /// None: resident bytes grow by 4 KiB at a time.
    Never = 1,
    /// Those that the system sets aside (vm.nr_hugepages). The manager cannot be built without.
    HugeTlb = 2,
}

/// When the region becomes resident.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Populate {
    /// As pages are first touched. The default.
    Lazy = 0,
    /// All of the capacity, before the manager is built.
    Eager = 1,
    /// All of the capacity, by threads of the manager that it does not wait for.
    Background = 2,
}

/// Whether core dumps contain the region.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum CoreDumps {
    /// They do. The default.
    Include = 0,
    /// They do not, where the system can leave it out.
    Exclude = 1,
}

/// How owners share when there is not enough for all. Minimums and limits hold whatever the policy.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Policy {
    /// First come, first served: others are asked for all they hold above their minimums. The
    /// default.
    Greedy = 0,
    /// Equal shares for all owners that hold memory or wait for some. One that holds more is asked
    /// for the rest.
    FairShare = 1,
}

/// Makes a configuration with the defaults; only the capacity has none.
///
/// # Safety
///
/// 1. `out_config` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_config_new(out_config: *mut *mut Config) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_config, "out_config") }?;
        out.write(pointer(CONFIGS.insert(MemoryManager::builder())?));
        Ok(())
    })
}

/// Frees a configuration. Managers that were built from it stay. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_free(config: *mut Config) -> Status {
    if config.is_null() {
        return Status::Ok;
    }
    call(|| CONFIGS.remove(handle(config)))
}

/// The budget in bytes. What remains beyond the last whole page can be reserved, not allocated.
/// The numbers are checked when the manager is built.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_capacity(config: *mut Config, bytes: usize) -> Status {
    set(config, |builder| Ok(builder.capacity(bytes)))
}

/// The budget as a fraction of the memory that is available: what the container allows, or else
/// what the machine has. It takes the place of a capacity, and is above 0 and at most 1.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_fraction_of_available(
    config: *mut Config,
    fraction: f64,
) -> Status {
    set(config, |builder| Ok(builder.fraction_of_available(fraction)))
}

/// The size of a page in bytes: a power of two from 4 KiB to 1 MiB; 32 KiB by default.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_page_size(config: *mut Config, bytes: usize) -> Status {
    set(config, |builder| Ok(builder.page_size(bytes)))
}

/// Where memory comes from: an offheap_mode.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_mode(config: *mut Config, mode: u32) -> Status {
    const MODES: [(u32, MemoryMode); 2] =
        [(Mode::OffHeap as u32, MemoryMode::OffHeap), (Mode::Heap as u32, MemoryMode::Heap)];
    set(config, |builder| Ok(builder.mode(choice("mode", mode, &MODES)?)))
}

/// Which hole a block takes: an offheap_strategy.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_strategy(config: *mut Config, strategy: u32) -> Status {
    const STRATEGIES: [(u32, free_list::Strategy); 2] = [
        (Strategy::SmallestFit as u32, free_list::Strategy::SmallestFit),
        (Strategy::LargestFit as u32, free_list::Strategy::LargestFit),
    ];
    set(config, |builder| Ok(builder.strategy(choice("strategy", strategy, &STRATEGIES)?)))
}

/// When pages are overwritten with zeros: an offheap_zero_policy.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_zero_policy(config: *mut Config, policy: u32) -> Status {
    const POLICIES: [(u32, arena::ZeroPolicy); 3] = [
        (ZeroPolicy::Never as u32, arena::ZeroPolicy::Never),
        (ZeroPolicy::OnAllocate as u32, arena::ZeroPolicy::OnAllocate),
        (ZeroPolicy::OnRelease as u32, arena::ZeroPolicy::OnRelease),
    ];
    set(config, |builder| Ok(builder.zero_policy(choice("policy", policy, &POLICIES)?)))
}

/// How much address space the region takes, as a multiple of the capacity: 4 by default, 1 for none
/// to spare. Never more than the capacity is resident.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_address_space_factor(
    config: *mut Config,
    factor: u32,
) -> Status {
    set(config, |builder| Ok(builder.address_space_factor(factor)))
}

/// Which huge pages the region is made of: an offheap_huge_pages.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_huge_pages(config: *mut Config, huge_pages: u32) -> Status {
    const CHOICES: [(u32, os::HugePages); 3] = [
        (HugePages::Transparent as u32, os::HugePages::Transparent),
        (HugePages::Never as u32, os::HugePages::Never),
        (HugePages::HugeTlb as u32, os::HugePages::HugeTlb),
    ];
    set(config, |builder| Ok(builder.huge_pages(choice("huge_pages", huge_pages, &CHOICES)?)))
}

/// When the region becomes resident: an offheap_populate.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_populate(config: *mut Config, populate: u32) -> Status {
    const CHOICES: [(u32, os::Populate); 3] = [
        (Populate::Lazy as u32, os::Populate::Lazy),
        (Populate::Eager as u32, os::Populate::Eager),
        (Populate::Background as u32, os::Populate::Background),
    ];
    set(config, |builder| Ok(builder.populate(choice("populate", populate, &CHOICES)?)))
}

/// How many threads populate the region: from 1 to 64. Other numbers are taken as the nearest of
/// these.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_populate_threads(config: *mut Config, threads: u32) -> Status {
    set(config, |builder| Ok(builder.populate_threads(threads)))
}

/// Whether core dumps contain the region: an offheap_core_dumps.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_core_dumps(config: *mut Config, core_dumps: u32) -> Status {
    const CHOICES: [(u32, os::CoreDumps); 2] = [
        (CoreDumps::Include as u32, os::CoreDumps::Include),
        (CoreDumps::Exclude as u32, os::CoreDumps::Exclude),
    ];
    set(config, |builder| Ok(builder.core_dumps(choice("core_dumps", core_dumps, &CHOICES)?)))
}

/// The most free pages that each owner keeps at hand for its next allocation of a page.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_depot_pages(config: *mut Config, pages: usize) -> Status {
    set(config, |builder| Ok(builder.depot_pages(pages)))
}

/// Keeps memory that is free and still resident for the next request. The default.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_idle_keep(config: *mut Config) -> Status {
    set(config, |builder| Ok(builder.idle_memory(IdleMemory::Keep)))
}

/// Has the calls that release memory return free resident memory to the system: down to
/// `down_to_bytes`, once there are more than `above_bytes`.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_idle_return_on_release(
    config: *mut Config,
    above_bytes: usize,
    down_to_bytes: usize,
) -> Status {
    let policy = IdleMemory::ReturnOnRelease { above_bytes, down_to_bytes };
    set(config, |builder| Ok(builder.idle_memory(policy)))
}

/// Has a thread of the manager return free resident memory to the system, as
/// offheap_config_set_idle_return_on_release. It looks after every pause of that many milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_idle_return_in_background(
    config: *mut Config,
    above_bytes: usize,
    down_to_bytes: usize,
    pause_milliseconds: u64,
) -> Status {
    let every = Duration::from_millis(pause_milliseconds);
    let policy = IdleMemory::ReturnInBackground { above_bytes, down_to_bytes, every };
    set(config, |builder| Ok(builder.idle_memory(policy)))
}

/// How owners share when there is not enough for all: an offheap_policy.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_policy(config: *mut Config, policy: u32) -> Status {
    const POLICIES: [(u32, Policy); 2] =
        [(Policy::Greedy as u32, Policy::Greedy), (Policy::FairShare as u32, Policy::FairShare)];
    set(config, |builder| {
        Ok(match choice("policy", policy, &POLICIES)? {
            Policy::Greedy => builder.policy(Greedy),
            Policy::FairShare => builder.policy(FairShare),
        })
    })
}

/// Bytes that are set aside, for each of two reclaims at a time. Only an owner that gives memory
/// back may use them, within its reclaim. So it does not fail for want of the pages that it spills
/// through.
///
/// At least a page, and with a page to spare of the capacity; 0 by default, for none. With a
/// reserve, no more than two owners are called to give memory back at a time.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_spill_reserve(config: *mut Config, bytes: usize) -> Status {
    set(config, |builder| Ok(builder.spill_reserve(bytes)))
}

/// How long an offheap_allocate_... call or a reservation waits while owners that were asked give
/// memory back: 5000 milliseconds by default. It is the bound for all of them together. An owner
/// that was asked is waited for as long, and others are asked beside it after a quarter of this
/// time.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_reclaim_timeout(
    config: *mut Config,
    milliseconds: u64,
) -> Status {
    set(config, |builder| Ok(builder.reclaim_timeout(span(milliseconds))))
}

/// How long requests that wait for each other do so: 1000 milliseconds by default. Then the last of
/// them to come is refused with OFFHEAP_STATUS_DEADLOCK. An owner whose threads take longer than
/// this without a change, while one of them waits, is better registered as several.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_deadlock_timeout(
    config: *mut Config,
    milliseconds: u64,
) -> Status {
    set(config, |builder| Ok(builder.deadlock_timeout(span(milliseconds))))
}

/// A time that can be added to any moment: a hundred years at most.
fn span(milliseconds: u64) -> Duration {
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    Duration::from_millis(milliseconds).min(MOST)
}

/// Where the levels of the pressure above normal begin, as shares of the capacity: 0.7, 0.85 and
/// 0.95 by default. Each is above 0, at most 1, and not below the one before.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_config_set_pressure_thresholds(
    config: *mut Config,
    elevated: f64,
    high: f64,
    critical: f64,
) -> Status {
    set(config, |builder| Ok(builder.pressure_thresholds(elevated, high, critical)))
}

/// Changes a configuration.
fn set(
    config: *mut Config,
    change: impl FnOnce(MemoryManagerBuilder) -> Result<MemoryManagerBuilder, Failure>,
) -> Status {
    call(|| {
        let mut builder = CONFIGS.get(handle(config))?;
        *builder = change(builder.clone())?;
        Ok(())
    })
}

/// What a code stands for.
fn choice<T: Copy>(name: &str, code: u32, choices: &[(u32, T)]) -> Result<T, Failure> {
    match choices.iter().find(|(choice, _)| *choice == code) {
        Some((_, value)) => Ok(*value),
        None => {
            let most = choices.len().saturating_sub(1);
            Err(Failure::invalid(format!("`{name}` is {code}, and not from 0 to {most}")))
        }
    }
}
