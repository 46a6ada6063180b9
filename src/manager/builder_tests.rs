//! What a configuration comes to.

use super::*;

#[test]
fn the_threads_that_populate_are_as_many_as_named_within_reason() {
    for (named, threads) in [(0, 1), (7, 7), (1_000, POPULATE_THREADS_MAX)] {
        let populate_threads = Some(named);
        let builder = MemoryManagerBuilder { populate_threads, ..MemoryManagerBuilder::new() };
        assert_eq!(builder.threads(), threads);
    }
}

#[test]
fn a_region_of_reserved_huge_pages_has_no_spare_address_space() {
    let [pages, page_size] = [512, 4096];
    let (pages, page_size) = (PageCount::new(pages), PageSize::new(page_size as usize).unwrap());
    let address_space = |huge_pages| {
        MemoryManagerBuilder::new().huge_pages(huge_pages).address_space(pages, page_size)
    };
    let none = AddressSpace::Exactly(1);
    assert_eq!(address_space(HugePages::HugeTlb).unwrap(), none);
    assert_eq!(address_space(HugePages::Never).unwrap() == none, !os::CAN_GIVE_BACK);
}
