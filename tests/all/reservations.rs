//! Reservations that are resized, merged and split, and what is held beyond the limits.

use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;

use offheap::{
    MemoryManager, Owner, Reservation, config::MemoryMode, error::Reason, pressure::Pressure,
};
use offheap_test_support::{Random, Woken};

use crate::support::{
    PAGE, assert_empty, changes_nothing, in_both_modes, is_woken_soon, leak_text, manager,
};

#[test]
fn a_reservation_is_resized_to_exactly_so_many_bytes_or_stays() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let owner = manager.owner("owner").limit(3 * PAGE).register().unwrap();
        let mut reservation = owner.reserve_memory(0).unwrap();
        for bytes in [1, 3 * PAGE, 0, 17, 16, 16, PAGE] {
            reservation.resize(bytes).unwrap();
            assert_eq!((reservation.size(), owner.used_bytes()), (bytes, bytes));
            reservation.try_resize(bytes / 2).unwrap();
            reservation.try_resize(bytes).unwrap();
        }
        for bytes in [3 * PAGE + 1, 4 * PAGE + 1, usize::MAX] {
            let [asking, not_asking] = [
                changes_nothing(&manager, || reservation.resize(bytes).unwrap_err()),
                changes_nothing(&manager, || reservation.try_resize(bytes).unwrap_err()),
            ];
            assert_eq!(asking.refusal().requested_bytes, bytes - PAGE);
            assert_eq!((asking.reason(), reservation.size()), (not_asking.reason(), PAGE));
        }
        assert_eq!(reservation.try_grow(2 * PAGE + 1).unwrap_err().reason(), Reason::OwnerLimit);
        reservation.try_grow(2 * PAGE).unwrap();
        drop(reservation);
        assert_empty(&manager);
    });
}

#[test]
fn reservations_of_one_owner_are_merged_and_split_without_a_byte_between() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let (sort, join) = (manager.owner("sort"), manager.owner("join"));
    let (sort, join) = (sort.register().unwrap(), join.register().unwrap());
    let mut all = sort.reserve_memory(1000).unwrap();
    let same_owner = sort.clone();
    all.merge(same_owner.reserve_memory(500).unwrap()).unwrap();
    all.merge(sort.reserve_memory(0).unwrap()).unwrap();
    assert_eq!((all.size(), sort.used_bytes()), (1500, 1500));
    let foreign = join.reserve_memory(7).unwrap();
    let refused = changes_nothing(&manager, || all.merge(foreign).unwrap_err());
    let text = "cannot merge a reservation of 7 bytes of owner `join` into one of owner `sort`";
    assert_eq!((refused.to_string().as_str(), refused.reservation().size()), (text, 7));
    let foreign = refused.into_reservation();
    assert_eq!((foreign.owner().name(), join.used_bytes()), ("join", 7));
    let parts: Vec<_> = [0, 1, 499, 2000].map(|bytes| all.split_off(bytes)).into();
    let sizes: Vec<_> = parts.iter().map(Reservation::size).collect();
    assert_eq!((all.size(), sizes), (0, vec![0, 1, 499, 1000]));
    assert_eq!(sort.used_bytes(), 1500);
    drop(all);
    for part in parts {
        let before = sort.used_bytes();
        let bytes = part.size();
        drop(part);
        assert_eq!(sort.used_bytes(), before - bytes);
    }
    drop(foreign);
    assert_empty(&manager);
}

#[test]
fn what_is_overdrawn_is_shown_in_numbers_and_in_errors() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let query = manager.owner("query").register().unwrap();
    let sort = query.child("sort").limit(3 * PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let mut table = sort.reserve_memory(PAGE).unwrap();
    assert_eq!(table.grow_overdrawn(2 * PAGE), 0, "it is free");
    assert_eq!(table.grow_overdrawn(PAGE + 1), PAGE + 1);
    assert_eq!((table.size(), table.overdrawn_bytes()), (4 * PAGE + 1, PAGE + 1));
    for (owner, overdrawn) in [(&sort, PAGE + 1), (&query, PAGE + 1), (&other, 0)] {
        assert_eq!(owner.overdrawn_bytes(), overdrawn);
    }
    let stats = manager.stats();
    assert_eq!((stats.used_bytes, stats.overdrawn_bytes), (3 * PAGE, PAGE + 1));
    assert_eq!((stats.available_bytes, manager.available_bytes()), (0, 0));
    let of_owners: Vec<_> = stats.owners.iter().map(|owner| owner.overdrawn_bytes).collect();
    assert_eq!(of_owners, [PAGE + 1, PAGE + 1, 0]);
    let refused = changes_nothing(&manager, || sort.try_reserve_memory(1).unwrap_err());
    assert_eq!(refused.refusal().owner_overdrawn_bytes, PAGE + 1);
    assert_eq!(
        refused.to_string(),
        "cannot reserve 1 bytes for owner `query/sort`: it holds 12288 bytes of its limit of 12288 \
         bytes, and 4097 bytes are overdrawn"
    );
    // A page is free, and more than that is overdrawn: no page comes of it.
    let refused = changes_nothing(&manager, || other.allocate_page().unwrap_err());
    assert_eq!((refused.reason(), refused.refusal().overdrawn_bytes), (Reason::Budget, PAGE + 1));
    let text = refused.to_string();
    let start = "cannot allocate 4096 bytes for owner `other`: nothing of 16384 bytes is free, and \
                 4097 bytes are overdrawn";
    assert!(text.starts_with(start), "{text}");
    table.shrink(PAGE + 1);
    assert_eq!((table.overdrawn_bytes(), manager.available_bytes()), (0, PAGE));
    drop(other.allocate_page().unwrap());
    drop(table);
    assert_empty(&manager);
}

#[test]
fn an_overdraft_alone_is_a_leak_and_outlives_a_shutdown() {
    let manager = manager(MemoryMode::Heap, 1, PAGE);
    let owner = manager.owner("late").register().unwrap();
    let mut reservation = owner.reserve_memory(0).unwrap();
    manager.shutdown().unwrap();
    assert_eq!(reservation.grow_overdrawn(9), 9);
    let leak = manager.verify_empty().unwrap_err();
    assert_eq!((leak.used_bytes(), leak.overdrawn_bytes()), (0, 9));
    assert_eq!(
        leak_text(&leak),
        "0 bytes and 9 overdrawn bytes have not been released; held by `late`: 0 bytes (minimum 0, \
         limit 4096, overdrawn 9, reclaimable 0)"
    );
    assert_eq!(reservation.pay_overdraft(), 9);
    drop(reservation);
    assert_empty(&manager);
}

#[test]
fn an_overdraft_never_wraps_around() {
    let manager = manager(MemoryMode::OffHeap, 1, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut reservations: Vec<_> = (0..3).map(|_| owner.reserve_memory(0).unwrap()).collect();
    let all = reservations.iter_mut().map(|reservation| reservation.grow_overdrawn(usize::MAX));
    assert_eq!(all.collect::<Vec<_>>(), [1 << 62, 0, 0]);
    assert_eq!(manager.overdrawn_bytes(), 1 << 62);
    assert_eq!((manager.available_bytes(), owner.available_bytes()), (0, 0));
    assert_eq!(manager.pressure(), Pressure::Critical);
    drop(reservations);
    assert_empty(&manager);
}

#[test]
fn an_overdraft_is_paid_by_what_the_same_reservation_gives_back_and_then_by_what_is_free() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let mut page = Some(other.allocate_page().unwrap());
    let mut table = owner.reserve_memory(3 * PAGE).unwrap();
    assert_eq!(table.grow_overdrawn(2 * PAGE), 2 * PAGE);
    assert_eq!((table.shrink(PAGE), table.overdrawn_bytes()), (PAGE, PAGE));
    assert_eq!((manager.available_bytes(), table.pay_overdraft()), (0, PAGE));
    drop(page.take());
    assert_eq!(manager.available_bytes(), 0, "what others give back pays for it");
    assert!(other.try_allocate_page().is_err());
    assert_eq!((table.pay_overdraft(), owner.used_bytes()), (0, 4 * PAGE));
    assert_eq!(manager.overdrawn_bytes(), 0);
    // It stays with the first one as long as that has enough.
    table.grow_overdrawn(PAGE);
    let half = table.split_off(4 * PAGE);
    assert_eq!((table.overdrawn_bytes(), half.overdrawn_bytes()), (PAGE, 0));
    let rest = table.split_off(PAGE / 2);
    assert_eq!((table.overdrawn_bytes(), rest.overdrawn_bytes()), (PAGE / 2, PAGE / 2));
    table.merge(rest).unwrap();
    drop(half);
    // Growth charges what is overdrawn, too.
    table.try_grow(10).unwrap();
    assert_eq!((table.size(), table.overdrawn_bytes()), (PAGE + 10, 0));
}

#[test]
fn minimums_are_kept_whatever_is_overdrawn() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let saver = manager.owner("saver").minimum(2 * PAGE).register().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let mut table = owner.reserve_memory(0).unwrap();
    assert_eq!(table.grow_overdrawn(9 * PAGE), 7 * PAGE);
    assert_eq!(saver.available_bytes(), 2 * PAGE);
    let pages = saver.allocate_pages(2).unwrap();
    assert_eq!(saver.try_allocate_page().unwrap_err().reason(), Reason::Budget);
    // Its own overdraft counts against its own limit, and the minimum is below that.
    let mut own = saver.reserve_memory(0).unwrap();
    own.grow_overdrawn(PAGE);
    drop(pages);
    assert_eq!(saver.available_bytes(), 2 * PAGE);
    drop(saver.allocate_pages(2).unwrap());
    drop((own, table));
    assert_empty(&manager);
}

#[test]
fn an_overdraft_raises_the_pressure_and_tells_those_that_listen() {
    let builder = MemoryManager::builder().capacity(100 * PAGE).page_size(PAGE);
    let manager = builder.pressure_thresholds(0.5, 0.8, 0.9).build().unwrap();
    let owner = manager.owner("owner").limit(40 * PAGE).register().unwrap();
    let (tell, told) = channel();
    let _subscription = manager
        .on_pressure(move |level| {
            let _ = tell.send(level);
        })
        .unwrap();
    let mut table = owner.reserve_memory(40 * PAGE).unwrap();
    assert_eq!(manager.pressure(), Pressure::Normal);
    table.grow_overdrawn(41 * PAGE);
    assert_eq!(manager.pressure(), Pressure::High);
    assert_eq!(told.recv().unwrap(), Pressure::High);
    table.shrink(41 * PAGE);
    assert_eq!(manager.pressure(), Pressure::Normal);
    assert_eq!(told.recv().unwrap(), Pressure::Normal);
}

#[test]
fn a_request_that_waits_is_served_when_an_overdraft_is_paid() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let owner = manager.owner("owner").limit(PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let mut table = owner.reserve_memory(PAGE).unwrap();
    table.grow_overdrawn(3 * PAGE);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut wanted = pin!(other.acquire_pages(3));
    assert!(wanted.as_mut().poll(&mut context).is_pending());
    table.shrink(PAGE);
    assert!(!woken.is_woken());
    table.shrink(2 * PAGE);
    assert!(is_woken_soon(&woken));
    assert!(matches!(wanted.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}

/// What an owner of the model holds.
struct Account {
    parent: Option<usize>,
    minimum: usize,
    limit: usize,
    charged: usize,
    overdrawn: usize,
}

/// Owners in a tree, in plain sums.
struct Model {
    capacity: usize,
    accounts: Vec<Account>,
}

impl Model {
    fn children(&self, owner: usize) -> impl Iterator<Item = usize> {
        (0..self.accounts.len()).filter(move |other| self.accounts[*other].parent == Some(owner))
    }

    /// What an owner holds, and what those below it hold or are promised.
    fn used(&self, owner: usize) -> usize {
        let promised = |child| self.used(child).max(self.accounts[child].minimum);
        self.accounts[owner].charged + self.children(owner).map(promised).sum::<usize>()
    }

    fn overdrawn(&self, owner: usize) -> usize {
        let below = self.children(owner).map(|child| self.overdrawn(child));
        self.accounts[owner].overdrawn + below.sum::<usize>()
    }

    fn tops(&self) -> impl Iterator<Item = usize> {
        (0..self.accounts.len()).filter(|owner| self.accounts[*owner].parent.is_none())
    }

    fn free_of_all(&self) -> usize {
        let taken = self.tops().map(|top| self.used(top).max(self.accounts[top].minimum));
        let overdrawn = self.tops().map(|top| self.overdrawn(top));
        (self.capacity - taken.sum::<usize>()).saturating_sub(overdrawn.sum())
    }

    fn free(&self, owner: usize) -> usize {
        let Account { parent, minimum, limit, .. } = self.accounts[owner];
        let above = parent.map_or_else(|| self.free_of_all(), |parent| self.free(parent));
        let (used, overdrawn) = (self.used(owner), self.overdrawn(owner));
        (minimum.saturating_sub(used) + above).min(limit.saturating_sub(used + overdrawn))
    }

    /// What a reservation of `owner` has overdrawn is charged as far as it is free.
    fn settle(&mut self, owner: usize, held: &mut (usize, usize)) {
        let owed = std::mem::take(&mut held.1);
        self.accounts[owner].overdrawn -= owed;
        self.take(owner, held, owed);
    }

    /// `bytes` more, of which all that are not free are overdrawn.
    fn take(&mut self, owner: usize, held: &mut (usize, usize), bytes: usize) {
        let charged = bytes.min(self.free(owner));
        held.0 += charged;
        held.1 += bytes - charged;
        self.accounts[owner].charged += charged;
        self.accounts[owner].overdrawn += bytes - charged;
    }

    fn give(&mut self, owner: usize, held: &mut (usize, usize), bytes: usize) {
        let paid = bytes.min(held.1);
        held.1 -= paid;
        held.0 -= bytes - paid;
        self.accounts[owner].overdrawn -= paid;
        self.accounts[owner].charged -= bytes - paid;
    }
}

/// Owners of a manager, each with what the model says of it.
fn tree(mode: MemoryMode) -> (MemoryManager, Vec<Owner>, Model) {
    let manager = manager(mode, 100, PAGE);
    let top = manager.owner("top").limit(60 * PAGE).register().unwrap();
    let left = top.child("left").minimum(10 * PAGE).limit(30 * PAGE).register().unwrap();
    let right = top.child("right").register().unwrap();
    let alone = manager.owner("alone").minimum(5 * PAGE).register().unwrap();
    let account = |parent, minimum: usize, limit: usize| Account {
        parent,
        minimum: minimum * PAGE,
        limit: limit * PAGE,
        charged: 0,
        overdrawn: 0,
    };
    let accounts = vec![
        account(None, 0, 60),
        account(Some(0), 10, 30),
        account(Some(0), 0, 60),
        account(None, 5, 100),
    ];
    (manager, vec![top, left, right, alone], Model { capacity: 100 * PAGE, accounts })
}

#[test]
fn random_reservations_in_a_tree_do_what_plain_sums_do() {
    in_both_modes(|mode| {
        for seed in 0..20 {
            run_against_sums(mode, seed);
        }
    });
}

fn run_against_sums(mode: MemoryMode, seed: u64) {
    let (manager, owners, mut model) = tree(mode);
    let mut random = Random::new(seed);
    let mut held: Vec<(usize, Reservation, (usize, usize))> = owners
        .iter()
        .enumerate()
        .map(|(owner, handle)| (owner, handle.reserve_memory(0).unwrap(), (0, 0)))
        .collect();
    for step in 0..400 {
        let which = random.below(held.len());
        let power = random.below(7);
        let bytes = random.below(PAGE << power);
        let (owner, reservation, numbers) = &mut held[which];
        let owner = *owner;
        match random.below(8) {
            0..=1 => {
                model.settle(owner, numbers);
                let fits = bytes <= model.free(owner);
                let grown = reservation.try_grow(bytes);
                assert_eq!(grown.is_ok(), fits || bytes == 0, "{seed} {step}: {grown:?}");
                if grown.is_ok() {
                    model.take(owner, numbers, bytes);
                }
            }
            2 => {
                model.settle(owner, numbers);
                model.take(owner, numbers, bytes);
                assert_eq!(reservation.grow_overdrawn(bytes), numbers.1, "{seed} {step}");
            }
            3..=4 => {
                let given = bytes.min(reservation.size());
                assert_eq!(reservation.shrink(bytes), given);
                model.give(owner, numbers, given);
            }
            5 => {
                model.settle(owner, numbers);
                assert_eq!(reservation.pay_overdraft(), numbers.1, "{seed} {step}");
            }
            6 => {
                let split = reservation.split_off(bytes);
                let charged = bytes.min(numbers.0);
                let overdrawn = (bytes - charged).min(numbers.1);
                *numbers = (numbers.0 - charged, numbers.1 - overdrawn);
                held.push((owner, split, (charged, overdrawn)));
            }
            _ => {
                let other = random.below(held.len());
                if other != which && held.len() > 4 {
                    let (of, merged, more) = held.swap_remove(other);
                    let which = if which == held.len() { other } else { which };
                    let (owner, reservation, numbers) = &mut held[which];
                    match reservation.merge(merged) {
                        Ok(()) => {
                            assert_eq!(*owner, of);
                            *numbers = (numbers.0 + more.0, numbers.1 + more.1);
                        }
                        Err(refused) => {
                            assert_ne!(*owner, of);
                            held.push((of, refused.into_reservation(), more));
                        }
                    }
                }
            }
        }
        check(&manager, &owners, &model, &held);
    }
    drop(held);
    assert_empty(&manager);
}

fn check(
    manager: &MemoryManager,
    owners: &[Owner],
    model: &Model,
    held: &[(usize, Reservation, (usize, usize))],
) {
    for (_, reservation, (charged, overdrawn)) in held {
        assert_eq!(reservation.overdrawn_bytes(), *overdrawn);
        assert_eq!(reservation.size(), charged + overdrawn);
    }
    for (owner, handle) in owners.iter().enumerate() {
        assert_eq!(handle.overdrawn_bytes(), model.overdrawn(owner));
        assert_eq!(handle.available_bytes(), model.free(owner), "{}", handle.path());
    }
    assert_eq!(manager.available_bytes(), model.free_of_all());
    assert_eq!(manager.check_consistency(), Ok(()));
}

#[test]
fn threads_that_overdraw_and_pay_leave_nothing_behind() {
    let (manager, owners, _) = tree(MemoryMode::OffHeap);
    let start = Arc::new(Barrier::new(owners.len()));
    let threads = owners.into_iter().zip(0..).map(|(owner, seed)| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            let mut random = Random::new(seed);
            let mut reservation = owner.reserve_memory(0).unwrap();
            start.wait();
            for _ in 0..2000 {
                let bytes = random.below(40 * PAGE);
                let _ = match random.below(4) {
                    0 => reservation.grow_overdrawn(bytes),
                    1 => reservation.try_grow(bytes).map_or(0, |()| bytes),
                    2 => reservation.pay_overdraft(),
                    _ => reservation.shrink(2 * bytes),
                };
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(manager.overdrawn_bytes(), 0);
    assert_empty(&manager);
}
