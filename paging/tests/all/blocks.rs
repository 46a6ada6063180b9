//! Pages that are several pages of the region.

use offheap_paging::{PAGES_MAX, PagingError};

use crate::support::*;

#[test]
fn a_page_has_from_one_to_so_many_pages_of_the_region() {
    let manager = manager(16);
    let pool = pool(&owner(&manager, "pool"));
    for pages in [0, PAGES_MAX + 1, usize::MAX] {
        let error = pool.allocate_pages(pages).unwrap_err();
        assert!(matches!(error, PagingError::Pages { pages: told } if told == pages), "{error}");
        assert!(error.to_string().contains(&pages.to_string()), "{error}");
    }
    for pages in 1..=6 {
        assert_eq!(pool.allocate_pages(pages).unwrap().size(), pages * PAGE);
    }
}

#[test]
fn what_is_more_than_there_ever_is_is_refused_and_nothing_is_lost() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let all = pages(&pool, 6);
    let error = pool.allocate_pages(100).unwrap_err();
    assert!(error.to_string().contains(&(100 * PAGE).to_string()), "{error}");
    check_all(&all);
    drop((all, pool));
    assert_empty(&manager);
}

/// Blocks of so many pages, in buffers of so many, of which more are made than fit.
fn come_back(units: usize, staging_pages: usize) {
    let manager = manager(BOOKED + 2 * staging_pages + 3 * units);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).staging_bytes(staging_pages * PAGE).build().unwrap();
    let mut all = pages_of(&pool, units, 12);
    assert!(spilled(&all).len() >= 6, "{:?}", pool.stats());
    for round in 0..3 {
        for (number, page) in all.iter_mut().enumerate() {
            check(&page.read().unwrap(), number + round * 100);
            stamp(page, number + (round + 1) * 100);
        }
    }
    drop(all);
    assert_eq!(pool.spill_file().used_bytes(), 0);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn blocks_that_fit_into_a_buffer_come_back_as_they_were() {
    come_back(2, 8);
    come_back(3, 3);
    come_back(7, 8);
}

#[test]
fn blocks_that_are_larger_than_a_buffer_come_back_as_they_were() {
    come_back(2, 1);
    come_back(5, 2);
    come_back(40, 8);
}

#[test]
fn blocks_and_single_pages_take_the_place_of_each_other() {
    let manager = manager(40);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut all = Vec::new();
    for number in 0..200 {
        let mut page = pool.allocate_pages([1, 4, 1, 2, 8, 1][number % 6]).unwrap();
        stamp(&mut page, number);
        all.push(page);
    }
    for step in 0..3 {
        for number in (0..200).step_by(step + 1) {
            check(&all[number].read().unwrap(), number);
        }
    }
    drop(all);
    assert_eq!(pool.spill_file().used_bytes(), 0);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn a_block_is_made_of_frames_that_the_pool_keeps() {
    let manager = manager(BOOKED + 8);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    drop(pages(&pool, 8));
    assert!(pool.stats().free_bytes > 4 * PAGE, "{:?}", pool.stats());
    let mut block = pool.allocate_pages(6).unwrap();
    stamp(&mut block, 1);
    check(&block.read().unwrap(), 1);
    assert_eq!(pool.stats().waits, 0, "{:?}", pool.stats());
}

#[test]
fn for_a_block_not_many_more_pages_are_evicted_than_it_has() {
    let manager = manager(BOOKED + 64);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let all = pages(&pool, 128);
    // However long ago it was that the owner had no memory left.
    for single in 0..40 {
        let before = pool.stats();
        let block = pool.allocate_pages(4).unwrap();
        let evicted = pool.stats().evictions - before.evictions;
        assert!(evicted <= 8, "{evicted} pages were evicted for a block of 4");
        drop(block);
        check(&all[single].read().unwrap(), single);
        check(&all[127 - single].read().unwrap(), 127 - single);
    }
    check_all(&all);
}
