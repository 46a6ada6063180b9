//! Several pools on one spill file.

use std::sync::Arc;
use std::thread;

use offheap_paging::PagingError;

use crate::support::*;

#[test]
fn pools_that_share_a_file_do_not_see_each_others_pages() {
    let manager = manager(48);
    let file = Arc::new(file().create().unwrap());
    let pools = ["one", "two", "three"].map(|name| {
        let owner = manager.owner(name).limit(14 * PAGE).register().unwrap();
        builder(&owner).spill_file(Arc::clone(&file)).build().unwrap()
    });
    thread::scope(|scope| {
        for (which, pool) in pools.iter().enumerate() {
            scope.spawn(move || {
                let mut all = pages(pool, 60);
                for round in 1..10 {
                    for (number, page) in all.iter_mut().enumerate() {
                        let content = number + which * 1000;
                        let before = if round == 1 { number } else { content + (round - 1) * 100 };
                        check(&page.read().unwrap(), before);
                        stamp(page, content + round * 100);
                    }
                }
                // One of several, which are loaded together.
                for first in 0..50 {
                    let some: Vec<_> = all[first..first + 4].iter().collect();
                    let guards = pool.read_many(&some).unwrap();
                    let content = |near| first + near + which * 1000 + 900;
                    guards.iter().enumerate().for_each(|(near, it)| check(it, content(near)));
                }
            });
        }
    });
    assert_eq!(file.used_bytes(), 0);
    assert!(file.size_bytes() > 0);
    drop(pools);
    assert_empty(&manager);
}

#[test]
fn scans_of_one_pool_do_not_read_ahead_into_another_ones_pages() {
    let manager = manager(64);
    let file = Arc::new(file().create().unwrap());
    let pools = ["one", "two"].map(|name| {
        let owner = manager.owner(name).limit(20 * PAGE).register().unwrap();
        builder(&owner).spill_file(Arc::clone(&file)).build().unwrap()
    });
    let mut all = [Vec::new(), Vec::new()];
    for number in 0..200 {
        for (pool, all) in pools.iter().zip(&mut all) {
            let mut page = pool.allocate().unwrap();
            stamp(&mut page, number);
            all.push(page);
        }
    }
    for _ in 0..3 {
        all.iter().for_each(|all| check_all(all));
    }
}

#[test]
fn a_file_with_units_of_another_size_is_refused() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let file = Arc::new(file().unit_bytes(8192).create().unwrap());
    let error = builder(&owner).spill_file(file).build().unwrap_err();
    let PagingError::UnitBytes { unit_bytes: 8192, page_bytes: PAGE } = error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("8192") && error.to_string().contains("4096"), "{error}");
    assert_eq!(owner.used_bytes(), 0);
}

#[test]
fn a_limit_on_the_file_is_a_limit_for_all_its_pools_and_all_go_on() {
    let manager = manager(48);
    let file = Arc::new(file().bytes_max(20 * PAGE as u64).create().unwrap());
    let pools = ["one", "two"].map(|name| {
        let owner = manager.owner(name).limit(20 * PAGE).register().unwrap();
        builder(&owner).spill_file(Arc::clone(&file)).build().unwrap()
    });
    let mut all = [Vec::new(), Vec::new()];
    let mut refused = [false; 2];
    for step in 0..200 {
        let which = step % 2;
        match pools[which].allocate() {
            Ok(mut page) => {
                stamp(&mut page, all[which].len());
                all[which].push(page);
            }
            Err(error) => {
                assert!(error.is_for_want_of_disk(), "{error}");
                let text = error.to_string();
                assert!(text.contains(&(20 * PAGE).to_string()), "{text}");
                refused[which] = true;
            }
        }
    }
    assert_eq!(refused, [true; 2]);
    assert!(file.size_bytes() <= 20 * PAGE as u64);
    all.iter().for_each(|all| check_all(all));
    // Room in the file is had again when pages go.
    let [mut one, two] = all;
    let count = one.len();
    one.truncate(count / 2);
    one.push(pools[0].allocate().unwrap());
    stamp(one.last_mut().unwrap(), count / 2);
    check_all(&one);
    check_all(&two);
}
