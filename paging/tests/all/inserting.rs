//! Segments that become pages.

use offheap_paging::InsertReason;

use crate::support::*;

#[test]
fn a_segment_keeps_its_content_in_memory_and_in_the_file() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut inserted = Vec::new();
    for number in 0..4 {
        let mut segment = owner.allocate(3 * PAGE).unwrap();
        fill(&mut segment, number);
        let page = pool.insert(segment).unwrap();
        assert_eq!(page.size(), 3 * PAGE);
        assert!(page.is_resident());
        check(&page.read().unwrap(), number);
        inserted.push(page);
        // A frame for the next segment.
        if number > 1 {
            let room = pool.allocate_pages(3).unwrap();
            drop(room);
        }
    }
    assert!(!spilled(&inserted).is_empty(), "{:?}", pool.stats());
    check_all(&inserted);
    assert_eq!(pool.stats().pages, 4);
    drop(inserted);
    assert_eq!(pool.stats().pages, 0);
    assert_eq!(pool.spill_file().used_bytes(), 0);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn a_segment_of_another_owner_comes_back_with_its_content() {
    let manager = manager(16);
    let (one, two) = (owner(&manager, "one"), owner(&manager, "two"));
    let pool = pool(&one);
    let mut segment = two.allocate_page().unwrap();
    fill(&mut segment, 7);
    let before = (one.used_bytes(), two.used_bytes());
    let error = pool.insert(segment).unwrap_err();
    let expected = InsertReason::Owner { segment: "two".into(), pool: "one".into() };
    assert_eq!(error.reason, expected);
    let text = "the segment belongs to owner `two`, and the pool to owner `one`";
    assert_eq!(error.to_string(), text);
    check(&error.segment, 7);
    assert_eq!((one.used_bytes(), two.used_bytes()), before);
    assert_eq!(pool.stats().pages, 0);
    drop(error);
    assert_eq!(two.used_bytes(), 0);
}

#[test]
fn a_segment_of_another_manager_comes_back_whatever_its_owner_is_called() {
    let (here, there) = (manager(16), manager(16));
    let pool = pool(&owner(&here, "pool"));
    let stranger = owner(&there, "pool");
    let mut segment = stranger.allocate_page().unwrap();
    fill(&mut segment, 7);
    let error = pool.insert(segment).unwrap_err();
    assert!(matches!(error.reason, InsertReason::Owner { .. }), "{error}");
    check(&error.segment, 7);
    drop(error);
    assert_empty(&there);
}

#[test]
fn a_page_that_was_inserted_is_like_any_other() {
    let manager = manager(12);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut all = pages(&pool, 4);
    for number in 4..8 {
        let mut segment = owner.allocate_page().unwrap();
        fill(&mut segment, number);
        all.push(pool.insert(segment).unwrap());
    }
    for number in 8..40 {
        all.push(pool.allocate().unwrap());
        stamp(&mut all[number], number);
    }
    check_all(&all);
    stamp(&mut all[5], 5000);
    let others: Vec<_> = all.iter().map(|page| page.read().map(drop)).collect();
    assert!(others.iter().all(Result::is_ok));
    check(&all[5].read().unwrap(), 5000);
}
