//! What a call costs others: a refusal by an owner's own limit leaves all others alone, and numbers
//! of many owners agree.

use offheap::{MemoryManager, Owner, error::Reason};

use crate::support::{PAGE, assert_empty};

fn manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.depot_pages(64).build().unwrap()
}

fn register(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

#[test]
fn a_refusal_by_the_own_limit_leaves_what_others_keep_at_hand() {
    let manager = manager(4000);
    let other = register(&manager, "other");
    let mut worker = other.worker();
    let page = worker.allocate_page().unwrap();
    worker.release(page);
    drop(other.allocate_page().unwrap());
    let limited = manager.owner("limited").limit(2 * PAGE).register().unwrap();
    let child = limited.child("child").register().unwrap();
    let _held = (limited.allocate_pages(1).unwrap(), child.allocate_pages(1).unwrap());
    let before = (manager.stats().cached_bytes, worker.cached_pages());
    assert!(before.0 > 0 && before.1 > 0);
    let refused = limited.allocate_page().unwrap_err();
    assert_eq!((refused.reason(), refused.refusal().holders.len()), (Reason::OwnerLimit, 0));
    let refused = child.allocate_page().unwrap_err();
    assert_eq!(refused.reason(), Reason::ParentLimit);
    let named: Vec<_> = refused.refusal().holders.iter().map(|holder| &*holder.path).collect();
    assert_eq!(named, ["limited", "limited/child"]);
    assert_eq!((manager.stats().cached_bytes, worker.cached_pages()), before);
    // One by the budget brings them back.
    assert!(other.reserve_memory(4000 * PAGE).is_err());
    assert_eq!((manager.stats().cached_bytes, worker.cached_pages()), (0, 0));
}

#[test]
fn what_an_owner_and_its_children_keep_at_hand_is_there_at_its_limit() {
    let manager = manager(4000);
    let parent = manager.owner("parent").limit(300 * PAGE).register().unwrap();
    let children: Vec<_> = (0..5).map(|_| parent.child("child").register().unwrap()).collect();
    let mut workers: Vec<_> = children.iter().map(Owner::worker).collect();
    for (child, worker) in children.iter().zip(&mut workers) {
        drop(child.allocate_page().unwrap());
        let page = worker.allocate_page().unwrap();
        worker.release(page);
        drop(child.reserve_memory(1).unwrap());
    }
    assert!(manager.stats().cached_bytes > 0);
    assert_eq!((parent.used_bytes(), parent.available_bytes()), (0, 300 * PAGE));
    drop(parent.allocate_pages(300).unwrap());
    drop(children[0].reserve_memory(300 * PAGE).unwrap());
    drop((workers, children, parent));
    assert_empty(&manager);
}

#[test]
fn a_call_that_asks_nobody_names_nobody_and_all_holders_are_told_on_request() {
    let manager = manager(100);
    let owners: Vec<_> = (0..12).map(|at| register(&manager, &format!("owner {at:02}"))).collect();
    let held: Vec<_> =
        owners.iter().enumerate().map(|(at, owner)| owner.allocate_pages(at).unwrap()).collect();
    let asking = register(&manager, "asking");
    for refusal in [
        asking.try_allocate_pages(50).unwrap_err().into_refusal(),
        asking.try_allocate(50 * PAGE).unwrap_err().into_refusal(),
        asking.try_reserve_memory(50 * PAGE).unwrap_err().into_refusal(),
    ] {
        assert_eq!((refusal.reason, refusal.available_bytes), (Reason::Budget, 34 * PAGE));
        assert_eq!((refusal.holders.len(), refusal.other_holders), (0, 0));
        assert!(refusal.to_string().ends_with("bytes are free"), "{refusal}");
    }
    let refusal = asking.allocate_pages(50).unwrap_err().into_refusal();
    let named: Vec<_> = refusal.holders.iter().map(|holder| &*holder.path).collect();
    assert_eq!(named, ["owner 11", "owner 10", "owner 09"]);
    assert_eq!((refusal.other_holders, refusal.other_holders_bytes), (8, 36 * PAGE));
    assert!(refusal.to_string().ends_with(", and 8 more"), "{refusal}");
    let told = manager.holders();
    assert_eq!(told.len(), 11, "one holds nothing");
    assert!(told.windows(2).all(|pair| pair[0].used_bytes > pair[1].used_bytes));
    assert_eq!(told[..3], refusal.holders);
    drop(held);
    assert_eq!(manager.holders(), []);
}

#[test]
fn the_numbers_of_many_owners_in_a_tree_agree() {
    let manager = manager(20_000);
    let mut owners: Vec<Owner> = Vec::new();
    for at in 0..2000_usize {
        let parent = if at % 7 == 0 {
            None
        } else {
            owners.get((at.saturating_sub(1)).saturating_sub(at % 3))
        };
        let name = format!("owner {at}");
        let builder = parent.map_or_else(|| manager.owner(&name), |parent| parent.child(&name));
        owners.push(builder.register().unwrap_or_else(|_| register(&manager, &name)));
    }
    let mut held: Vec<_> = owners
        .iter()
        .enumerate()
        .map(|(at, owner)| owner.allocate_pages(at % 4).unwrap())
        .collect();
    for (owner, held) in owners.iter().zip(&mut held).step_by(5) {
        held.push(owner.allocate_page().unwrap());
        held.truncate(1);
    }
    let own: Vec<_> = held.iter().map(|held| held.len() * PAGE).collect();
    let out: usize = own.iter().sum();
    let stats = manager.stats();
    assert_eq!(stats.owners.iter().map(|owner| owner.own_bytes).collect::<Vec<_>>(), own);
    assert_eq!((stats.used_bytes, stats.available_bytes), (out, 20_000 * PAGE - out));
    assert_eq!(stats.reserved_bytes, out + stats.cached_bytes);
    for (owner, stats) in owners.iter().zip(&stats.owners).step_by(13) {
        assert_eq!((owner.used_bytes(), owner.path()), (stats.used_bytes, &*stats.path));
        assert_eq!(owner.available_bytes(), 20_000 * PAGE - out);
    }
    assert_eq!(manager.holders().iter().map(|holder| holder.used_bytes).sum::<usize>(), out);
    manager.check_consistency().unwrap();
    drop(held);
    // Half of them go, with gaps in between.
    let mut at = 0;
    owners.retain(|_| {
        at += 1;
        at % 2 == 0
    });
    assert_eq!(manager.available_bytes(), 20_000 * PAGE);
    drop(register(&manager, "all").reserve_memory(20_000 * PAGE).unwrap());
    assert_eq!(manager.stats().cached_bytes, 0);
    manager.check_consistency().unwrap();
}
