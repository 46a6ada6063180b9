//! Several pages at once.

use std::thread;

use offheap_paging::PagingError;
use offheap_test_support::Random;

use crate::support::*;

#[test]
fn they_come_in_the_order_in_which_they_were_asked_for() {
    let manager = manager(BOOKED + 16);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 64);
    let mut random = Random::new(1);
    for _ in 0..100 {
        let wanted: Vec<_> = (0..12).map(|_| random.below(64)).collect();
        let guards = pool.read_many(&wanted.iter().map(|at| &all[*at]).collect::<Vec<_>>());
        let guards = guards.unwrap();
        assert_eq!(guards.len(), 12);
        guards.iter().zip(&wanted).for_each(|(guard, number)| check(guard, *number));
    }
    assert!(pool.read_many(&[]).unwrap().is_empty());
}

#[test]
fn a_page_may_come_more_than_once() {
    let manager = manager(BOOKED + 4);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 16);
    let out = spilled(&all)[0];
    let loads = pool.stats().loads;
    let guards = pool.read_many(&[&all[out]; 20]).unwrap();
    assert_eq!(guards.len(), 20);
    guards.iter().for_each(|guard| check(guard, out));
    assert_eq!(pool.stats().loads, loads + 1, "it is loaded once");
    drop(guards);
    // No pin is left.
    check_all(&all);
}

#[test]
fn they_may_be_of_several_pools() {
    let manager = manager(40);
    let pools = ["one", "two", "three"].map(|name| {
        let owner = manager.owner(name).limit(12 * PAGE).register().unwrap();
        pool(&owner)
    });
    let pages = pools.each_ref().map(|pool| pages(pool, 30));
    let wanted: Vec<_> = (0..9).map(|at| (at % 3, at)).collect();
    let mixed: Vec<_> = wanted.iter().map(|(pool, at)| &pages[*pool][*at]).collect();
    let guards = pools[1].read_many(&mixed).unwrap();
    guards.iter().zip(&wanted).for_each(|(guard, (_, number))| check(guard, *number));
    drop(guards);
    pages.iter().for_each(|pages| check_all(pages));
}

#[test]
fn more_than_fit_are_refused_and_none_is_pinned() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 32);
    let error = pool.read_many(&all.iter().collect::<Vec<_>>()).unwrap_err();
    assert!(matches!(error, PagingError::AllPinned { .. }), "{error}");
    check_all(&all);
    let again = pool.read_many(&all[..8].iter().collect::<Vec<_>>()).unwrap();
    again.iter().enumerate().for_each(|(number, guard)| check(guard, number));
}

#[test]
fn blocks_and_pages_are_read_together() {
    let manager = manager(BOOKED + 24);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = Vec::new();
    for number in 0..40 {
        all.push(pool.allocate_pages(number % 3 + 1).unwrap());
        stamp(&mut all[number], number);
    }
    for first in 0..32 {
        let guards = pool.read_many(&all[first..first + 8].iter().collect::<Vec<_>>()).unwrap();
        guards.iter().enumerate().for_each(|(near, guard)| check(guard, first + near));
    }
}

#[test]
fn threads_that_want_the_same_pages_all_get_them() {
    let manager = manager(BOOKED + 48);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 96);
    let (pool, all) = (&pool, &all);
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..300 {
                    let wanted: Vec<_> = (0..8).map(|_| random.below(96)).collect();
                    let some: Vec<_> = wanted.iter().map(|at| &all[*at]).collect();
                    let guards = pool.read_many(&some).unwrap();
                    guards.iter().zip(&wanted).for_each(|(guard, number)| check(guard, *number));
                }
            });
        }
    });
}
