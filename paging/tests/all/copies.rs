//! Pages that are copied out.

use std::thread;

use offheap_paging::PagingError;

use crate::support::*;

#[test]
fn a_copy_needs_no_frame() {
    let manager = manager(BOOKED + 8);
    let pool = builder(&owner(&manager, "pool")).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 40);
    let in_memory = resident(&all);
    let pins: Vec<_> = in_memory.iter().map(|at| all[*at].read().unwrap()).collect();
    let mut copy = vec![0; PAGE];
    let before = pool.stats();
    for (number, page) in all.iter().enumerate() {
        page.read_into(&mut copy).unwrap();
        check(&copy, number);
    }
    let stats = pool.stats();
    let spilled = (all.len() - in_memory.len()) as u64;
    assert_eq!((stats.loads - before.loads, stats.waits), (spilled, before.waits));
    assert_eq!(resident(&all), in_memory, "what is copied stays where it is");
    drop(pins);
    check_all(&all);
}

#[test]
fn copies_and_reads_of_one_page_meet() {
    let manager = manager(BOOKED + 6);
    let pool = builder(&owner(&manager, "pool")).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 24);
    thread::scope(|scope| {
        for start in 0..4 {
            let all = &all;
            scope.spawn(move || {
                let mut copy = vec![0; PAGE];
                for step in 0..2000 {
                    let number = (start + step * 7) % all.len();
                    if (step + start) % 2 == 0 {
                        all[number].read_into(&mut copy).unwrap();
                        check(&copy, number);
                    } else {
                        check(&all[number].read().unwrap(), number);
                    }
                }
            });
        }
    });
    check_all(&all);
}

#[test]
fn a_target_of_another_size_is_refused_with_both() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let page = pool.allocate_pages(2).unwrap();
    for bytes in [0, PAGE, 2 * PAGE - 1, 3 * PAGE] {
        let error = page.read_into(&mut vec![0; bytes]).unwrap_err();
        assert!(matches!(error, PagingError::TargetBytes { .. }), "{error}");
        let numbers =
            format!("a page of 8192 bytes is copied to as many, and the target has {bytes}");
        assert_eq!(error.to_string(), numbers);
    }
}

#[test]
fn only_what_is_in_memory_is_pinned_without_a_wait() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 24);
    let out = spilled(&all)[0];
    let page = all.remove(out).try_pin().unwrap_err();
    check(&page.read().unwrap(), out);
    let pinned = page.try_pin().unwrap();
    check(&pinned, out);
    check(&pinned.unpin().read().unwrap(), out);
}
