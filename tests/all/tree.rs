//! Owners below owners: what holds for one of them holds for all above.

use offheap::{
    MemoryManager,
    error::{OwnerError, Reason},
};

use crate::support::{PAGE, in_both_modes, manager};

#[test]
fn what_a_child_holds_counts_against_the_limit_of_its_parent() {
    in_both_modes(|mode| {
        let manager = manager(mode, 64, PAGE);
        let query = manager.owner("query").limit(10 * PAGE).register().unwrap();
        let join = query.child("join").register().unwrap();
        let sort = query.child("sort").register().unwrap();
        let own = query.allocate_page().unwrap();
        let joined = join.allocate_pages(6).unwrap();
        let sorted = sort.allocate_pages(3).unwrap();
        let refused = sort.allocate_page().unwrap_err();
        assert_eq!(refused.reason(), Reason::ParentLimit);
        assert_eq!(
            refused.to_string(),
            "cannot allocate 4096 bytes for owner `query/sort`: `query` holds 40960 bytes of its \
             limit of 40960 bytes; held by `query/join`: 24576 bytes (minimum 0, limit 40960, \
             reclaimable 0), `query/sort`: 12288 bytes (minimum 0, limit 40960, reclaimable 0), \
             `query`: 4096 bytes (minimum 0, limit 40960, reclaimable 0)"
        );
        assert_eq!((query.used_bytes(), sort.used_bytes()), (10 * PAGE, 3 * PAGE));
        assert_eq!((query.available_bytes(), join.available_bytes()), (0, 0));
        assert_eq!(manager.available_bytes(), 54 * PAGE);
        drop(joined);
        assert_eq!((sort.available_bytes(), query.available_bytes()), (6 * PAGE, 6 * PAGE));
        drop(sort.allocate_pages(6).unwrap());
        drop((own, sorted));
        manager.check_consistency().unwrap();
        manager.verify_empty().unwrap();
    });
}

#[test]
fn a_minimum_of_a_child_is_taken_from_its_parent_once() {
    in_both_modes(|mode| {
        let manager = manager(mode, 20, PAGE);
        let query = manager.owner("query").minimum(10 * PAGE).register().unwrap();
        let join = query.child("join").minimum(6 * PAGE).register().unwrap();
        assert_eq!(manager.available_bytes(), 10 * PAGE, "the minimum of the query has it");
        let refused = query.child("sort").minimum(15 * PAGE).register().unwrap_err();
        assert!(matches!(refused, OwnerError::MinimumUnavailable { .. }), "{refused}");
        let greedy = manager.owner("greedy").register().unwrap();
        let all = greedy.allocate_pages(10).unwrap();
        assert!(greedy.allocate_page().is_err());
        let sort = query.child("sort").register().unwrap();
        let sorted = sort.allocate_pages(4).unwrap();
        assert_eq!(sort.allocate_page().unwrap_err().reason(), Reason::Budget);
        let joined = join.allocate_pages(6).unwrap();
        assert!(join.allocate_page().is_err());
        manager.check_consistency().unwrap();
        drop((all, sorted, joined));
        manager.verify_empty().unwrap();
        assert_eq!(manager.available_bytes(), 10 * PAGE);
        drop((query, join, sort));
        assert_eq!(manager.available_bytes(), 20 * PAGE);
    });
}

#[test]
fn owners_go_in_any_order_with_memory_out() {
    in_both_modes(|mode| {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            let manager = manager(mode, 64, PAGE);
            let node = manager.owner("node").minimum(4 * PAGE).register().unwrap();
            let query = node.child("query").minimum(2 * PAGE).register().unwrap();
            let sort = query.child("sort").minimum(PAGE).limit(8 * PAGE).register().unwrap();
            let mut held = vec![sort.allocate_pages(5).unwrap(), query.allocate_pages(1).unwrap()];
            held.push(node.allocate_pages(3).unwrap());
            let mut owners = [Some(node), Some(query), Some(sort)];
            for which in order {
                owners[which] = None;
                manager.check_consistency().unwrap();
            }
            assert_eq!(manager.stats().owners.len(), 3, "memory keeps its owners");
            for which in order {
                held[which].clear();
                manager.check_consistency().unwrap();
            }
            assert_eq!(manager.available_bytes(), 64 * PAGE);
            assert_eq!(manager.stats().owners.len(), 0);
            manager.verify_empty().unwrap();
        }
    });
}

#[test]
fn what_a_sibling_keeps_at_hand_is_not_missing_below_a_limit() {
    let manager = MemoryManager::builder().capacity(4096 * PAGE).page_size(PAGE).build().unwrap();
    let query = manager.owner("query").limit(64 * PAGE).register().unwrap();
    let (left, right) =
        (query.child("left").register().unwrap(), query.child("right").register().unwrap());
    let mut worker = left.worker();
    for page in left.allocate_pages(40).unwrap() {
        worker.release(page);
    }
    drop(left.allocate_page().unwrap());
    assert!(worker.cached_pages() > 0);
    let all = right.allocate_pages(64).unwrap();
    assert!(right.allocate_page().is_err());
    drop(all);
    let all: Vec<_> = (0..64).map(|_| right.allocate_page().unwrap()).collect();
    assert_eq!((query.used_bytes(), query.available_bytes()), (64 * PAGE, 0));
    drop(all);
    drop(worker);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

#[test]
fn a_tree_has_sixteen_levels_at_most() {
    let manager = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE).build().unwrap();
    let mut owners = vec![manager.owner("o").register().unwrap()];
    while owners.len() < 16 {
        let next = owners[owners.len() - 1].child("o").register().unwrap();
        owners.push(next);
    }
    let deepest = &owners[15];
    let refused = deepest.child("x").register().unwrap_err();
    assert!(matches!(refused, OwnerError::TooDeep { levels_max: 16, .. }), "{refused}");
    assert!(refused.to_string().ends_with("o/x`: a tree of owners has at most 16 levels"));
    let page = deepest.allocate_page().unwrap();
    assert_eq!(owners[0].used_bytes(), PAGE);
    drop(page);
    assert_eq!(deepest.path(), ["o"; 16].join("/"));
    manager.check_consistency().unwrap();
}
