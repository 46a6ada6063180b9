//! What the holder of a page knows of it.

use offheap_paging::{Advice, Page};

use crate::support::*;

#[test]
fn pages_that_are_fetched_ahead_are_in_memory_when_they_are_read() {
    let manager = manager(BOOKED + 16);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 48);
    // All of them are in the file.
    drop(other.allocate_pages(16).unwrap());
    assert_eq!(resident(&all), [] as [usize; 0]);
    // First there is free memory, and then there are clean pages.
    for numbers in [0..16, 16..22, 22..28] {
        let before = pool.stats();
        pool.prefetch(&all[numbers.clone()].iter().collect::<Vec<_>>());
        until(|| all[numbers.clone()].iter().all(Page::is_resident));
        let stats = pool.stats();
        assert_eq!(stats.loads_ahead, before.loads_ahead + numbers.len() as u64);
        for number in numbers {
            check(&all[number].try_read().unwrap(), number);
        }
        assert_eq!((stats.writes, stats.waits), (before.writes, before.waits));
    }
    check_all(&all);
}

#[test]
fn to_fetch_ahead_writes_nothing_and_takes_no_frame_that_is_dirty() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 24);
    for at in resident(&all) {
        stamp(&mut all[at], at);
    }
    let (before, in_memory) = (pool.stats(), resident(&all));
    let out: Vec<_> = spilled(&all).into_iter().map(|at| &all[at]).collect();
    pool.prefetch(&out);
    pool.prefetch(&out);
    // The pool's thread does one after the other, so both are over.
    let some = offheap_test_support::block_on(out[0].read_async()).map(drop);
    some.unwrap();
    let stats = pool.stats();
    assert!(stats.written_pages - before.written_pages <= 1, "{before:?} {stats:?}");
    let left = in_memory.iter().filter(|at| all[**at].is_resident()).count();
    assert!(left + 1 >= in_memory.len(), "{left} of {}", in_memory.len());
    check_all(&all);
}

#[test]
fn to_fetch_ahead_what_is_there_or_of_another_pool_does_nothing() {
    let manager = manager(40);
    let (one, two) = (owner(&manager, "one"), owner(&manager, "two"));
    let (one, two) = (pool(&one), pool(&two));
    let (mine, others) = (pages(&one, 4), pages(&two, 4));
    one.prefetch(&[]);
    one.prefetch(&[&mine[0], &others[0], &others[1]]);
    two.prefetch(&[&others[2]]);
    check_all(&mine);
    check_all(&others);
    assert_eq!((one.stats().loads, two.stats().loads), (0, 0));
}

#[test]
fn what_is_to_be_kept_stays_while_others_go() {
    for advice in [Advice::Keep, Advice::DeadSoon] {
        let manager = manager(BOOKED + 16);
        let pool = pool(&owner(&manager, "pool"));
        let kept = pages(&pool, 6);
        kept.iter().for_each(|page| page.advise(advice));
        let others = pages(&pool, 200);
        check_all(&others);
        assert_eq!(spilled(&kept), [] as [usize; 0], "{advice:?}");
        check_all(&kept);
        // Memory comes first.
        kept.iter().for_each(|page| page.advise(Advice::Normal));
        check_all(&others);
        check_all(&others);
        assert!(!spilled(&kept).is_empty(), "{advice:?} does not end");
    }
}

#[test]
fn what_is_to_be_kept_goes_all_the_same_when_there_is_nothing_else() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = Vec::new();
    for number in 0..32 {
        all.push(pool.allocate().unwrap());
        stamp(&mut all[number], number);
        all[number].advise(Advice::Keep);
    }
    check_all(&all);
}

#[test]
fn what_is_cold_goes_first() {
    for advice in [Advice::Cold, Advice::Sequential] {
        let manager = manager(BOOKED + 16);
        let pool = pool(&owner(&manager, "pool"));
        let all = pages(&pool, 16);
        assert_eq!(spilled(&all), [] as [usize; 0]);
        let cold = [3, 7, 11];
        cold.iter().for_each(|at| all[*at].advise(advice));
        let more = pages(&pool, 3);
        assert_eq!(spilled(&all), cold, "{advice:?}");
        check_all(&all);
        check_all(&more);
    }
}

#[test]
fn advice_survives_the_way_through_the_file() {
    let manager = manager(BOOKED + 16);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 64);
    let out = spilled(&all)[0];
    all[out].advise(Advice::Keep);
    check(&all[out].read().unwrap(), out);
    for _ in 0..4 {
        for (number, page) in all.iter().enumerate().filter(|(number, _)| *number != out) {
            check(&page.read().unwrap(), number);
        }
    }
    assert!(all[out].is_resident());
}
