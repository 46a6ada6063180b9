//! Pools that come second, and memory that is asked for before it is needed.

use offheap::MemoryManager;
use offheap::sharing::FairShare;

use crate::support::*;

fn fair_manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.policy(FairShare).build().unwrap()
}

#[test]
fn a_pool_gets_its_share_of_one_that_has_all() {
    let manager = fair_manager(128);
    let owners = ["first", "second"].map(|name| owner(&manager, name));
    let first = pool(&owners[0]);
    let first_pages = pages(&first, 300);
    assert!(manager.available_bytes() < PAGE);
    let second = pool(&owners[1]);
    let second_pages = pages(&second, 300);
    let [had, has] = owners.each_ref().map(|owner| owner.used_bytes() / PAGE);
    assert!(has >= 60 && had >= 60, "{had} and {has} pages");
    check_all(&first_pages);
    check_all(&second_pages);
    drop((first_pages, second_pages, first, second));
    assert_empty(&manager);
}

#[test]
fn a_pool_grows_by_what_is_free_and_by_what_others_give() {
    let manager = fair_manager(64);
    let owners = ["first", "second"].map(|name| owner(&manager, name));
    let [first, second] = owners.each_ref().map(pool);
    let all = pages(&first, 100);
    let before = owners[1].used_bytes();
    assert!(second.grow(8, LONG));
    assert_eq!(owners[1].used_bytes(), before + 8 * PAGE);
    // More than its share is not to be had.
    assert!(!second.grow(50, SHORT));
    assert_eq!(owners[1].used_bytes(), before + 8 * PAGE);
    check_all(&all);
    // What it does not use goes to others.
    let third = owner(&manager, "third");
    drop(third.acquire_pages_timeout(20, LONG).unwrap());
    drop((all, first, second));
    assert_empty(&manager);
}

#[test]
fn a_pool_alone_is_not_held_up_by_asking() {
    let manager = manager(32);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let all = pages(&pool, 100);
    // For ever, if there was anybody to wait for.
    assert!(!pool.grow(1, LONG * 1000));
    check_all(&all);
}
