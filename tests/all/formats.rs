//! What values show of themselves when they are formatted for debugging.

use offheap::config::MemoryMode;

use crate::support::{PAGE, manager};

#[test]
fn values_show_their_owner_and_their_size() {
    let manager = manager(MemoryMode::OffHeap, 10, PAGE);
    let owner = manager.owner("sorter").minimum(2 * PAGE).register().unwrap();
    assert_eq!(owner.minimum(), 2 * PAGE);
    let shown = format!("{manager:?}");
    assert!(shown.starts_with("MemoryManager") && shown.contains("capacity: 40960"), "{shown}");
    let reservation = owner.reserve_memory(777).unwrap();
    let shown = format!("{reservation:?}");
    assert_eq!(shown, "Reservation { size: 777, owner: \"sorter\" }");
    let shown = format!("{:?}", owner.worker());
    assert!(shown.contains("sorter") && shown.contains("cached_pages: 0"), "{shown}");
    let shown = format!("{:?}", owner.scratch(3 * PAGE));
    assert!(shown.contains("held: 0") && shown.contains("limit: 12288"), "{shown}");
}
