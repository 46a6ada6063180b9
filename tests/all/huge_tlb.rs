//! Huge pages that the system keeps for those who ask for them by name.

use offheap::{
    MemoryManager,
    config::{HugePages, Populate},
    error::ConfigError,
};

use crate::support::{PAGE, Stamped, assert_empty};

const HUGE_PAGE: usize = 2 << 20;

fn build(capacity: usize, populate: Populate) -> Result<MemoryManager, ConfigError> {
    let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).populate(populate);
    builder.huge_pages(HugePages::HugeTlb).build()
}

/// The huge pages that the system keeps and nobody has, if it tells.
fn free_huge_pages() -> Option<usize> {
    let folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    let read = |name| std::fs::read_to_string(format!("{folder}/{name}")).ok()?.trim().parse().ok();
    let (free, reserved): (usize, usize) = (read("free_hugepages")?, read("resv_hugepages")?);
    Some(free - reserved)
}

#[test]
fn without_enough_of_them_the_error_names_what_is_needed_what_is_free_and_the_knob() {
    let Some(free) = free_huge_pages() else { return };
    let needed = free + 1_000;
    let error = build(needed * HUGE_PAGE, Populate::Lazy).unwrap_err();
    assert!(matches!(error, ConfigError::HugeTlb { .. }));
    let text = error.to_string();
    let expected = format!(
        "cannot map {needed} reserved huge pages of 2 MiB, {free} are free (vm.nr_hugepages says \
         how many it keeps): "
    );
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn a_capacity_below_one_of_them_is_refused() {
    let error = build(HUGE_PAGE - 1, Populate::Lazy).unwrap_err();
    assert!(matches!(error, ConfigError::CapacityTooSmall { page_bytes: HUGE_PAGE, .. }));
}

/// Where the system keeps four of them. On others it has nothing to show.
#[test]
fn a_region_of_them_is_rounded_down_resident_as_it_is_touched_and_never_given_back() {
    if free_huge_pages().is_none_or(|free| free < 4) {
        eprintln!("the system keeps no huge pages");
        return;
    }
    for populate in [Populate::Lazy, Populate::Eager, Populate::Background] {
        let manager = build(5 * HUGE_PAGE - 1, populate).unwrap();
        assert_eq!(manager.capacity(), 4 * HUGE_PAGE);
        assert_eq!(manager.stats().mapped_bytes, 4 * HUGE_PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let block = Stamped::new(owner.allocate(HUGE_PAGE + PAGE).unwrap(), 1);
        let resident = manager.resident_bytes().unwrap();
        match populate {
            Populate::Lazy => assert_eq!(resident, 2 * HUGE_PAGE),
            Populate::Eager => assert_eq!(resident, 4 * HUGE_PAGE),
            Populate::Background => {
                while manager.resident_bytes().unwrap() < 4 * HUGE_PAGE {
                    std::thread::yield_now();
                }
            }
            other => unreachable!("{other} is not in the list"),
        }
        let pages = owner.allocate_pages(owner.available_bytes() / PAGE).unwrap();
        let pages: Vec<_> = pages.into_iter().map(|page| Stamped::new(page, 2)).collect();
        pages.iter().chain([&block]).for_each(Stamped::check);
        assert!(owner.allocate_page().is_err());
        drop((pages, block));
        assert_eq!(manager.trim(), 0);
        assert_eq!(manager.resident_bytes(), Some(4 * HUGE_PAGE));
        assert_empty(&manager);
    }
}
