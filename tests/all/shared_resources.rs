//! Flink's shared resources (SR1 to SR11), and what threads see of each other.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;

use offheap::{
    MemoryManager,
    config::MemoryMode,
    error::{LeaseError, Reason},
    resources::Lease,
};
use offheap_test_support::Count;

use crate::support::{PAGE, assert_empty, changes_nothing, leak_text, manager};

/// A resource that counts how often it was closed.
struct Resource {
    bytes: usize,
    closed: Arc<Count>,
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.closed.add(1);
    }
}

/// A manager of 10 pages, and how often resources were closed.
struct Fixture {
    manager: MemoryManager,
    closed: Arc<Count>,
}

impl Fixture {
    fn new() -> Self {
        Self { manager: manager(MemoryMode::OffHeap, 10, PAGE), closed: Arc::default() }
    }

    fn open(&self) -> impl FnOnce(usize) -> Result<Resource, Infallible> + use<> {
        let closed = Arc::clone(&self.closed);
        |bytes| Ok(Resource { bytes, closed })
    }

    fn lease(&self, name: &str, bytes: usize) -> Lease<Resource> {
        self.manager.lease(name, bytes, self.open()).unwrap()
    }

    fn closed(&self) -> usize {
        self.closed.get()
    }

    fn available_pages(&self) -> usize {
        self.manager.available_bytes() / PAGE
    }
}

fn never_called(_: usize) -> Result<Resource, String> {
    panic!("the initializer was called")
}

fn fails(_: usize) -> Result<Resource, String> {
    Err("no such device".into())
}

#[test]
fn sr1_leases_of_one_name_are_of_one_resource() {
    let fixture = Fixture::new();
    let one = fixture.lease("cache", PAGE);
    let two = fixture.manager.lease("cache", PAGE, never_called).unwrap();
    assert!(std::ptr::eq(&raw const *one, &raw const *two));
    assert_eq!((Lease::name(&two), Lease::size(&two)), ("cache", PAGE));
}

#[test]
fn sr2_leases_of_two_names_are_of_two_resources() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.lease("one", PAGE), fixture.lease("two", PAGE));
    assert!(!std::ptr::eq(&raw const *one, &raw const *two));
    drop(one);
    assert_eq!((fixture.closed(), fixture.available_pages()), (1, 9));
    drop(two);
    assert_eq!((fixture.closed(), fixture.available_pages()), (2, 10));
}

#[test]
fn sr3_the_initializer_gets_a_fraction_of_the_budget_and_the_budget_has_less() {
    let fixture = Fixture::new();
    let lease = fixture.manager.lease_fraction("cache", 0.3, fixture.open()).unwrap();
    assert_eq!((lease.bytes, fixture.manager.capacity()), (3 * PAGE, 10 * PAGE));
    assert_eq!(fixture.available_pages(), 7);
    let all = fixture.manager.lease_fraction("all", 1.5, never_called).unwrap_err();
    let text = "cannot size a shared resource: a fraction of 1.5 is not above 0 and at most 1";
    assert_eq!(all.to_string(), text);
}

#[test]
fn sr4_a_second_lease_reserves_nothing_more() {
    let fixture = Fixture::new();
    let _one = fixture.lease("cache", 6 * PAGE);
    let two = fixture.lease("cache", 9 * PAGE);
    assert_eq!((two.bytes, fixture.available_pages()), (6 * PAGE, 4), "as first asked for");
}

#[test]
fn sr5_what_the_budget_does_not_have_is_refused_without_the_initializer() {
    let fixture = Fixture::new();
    let held = fixture.lease("held", 8 * PAGE);
    for bytes in [3 * PAGE, 11 * PAGE, usize::MAX] {
        let refused = changes_nothing(&fixture.manager, || {
            fixture.manager.lease("more", bytes, never_called).unwrap_err()
        });
        let LeaseError::Refused(error) = refused else { panic!("{refused}") };
        assert_eq!(
            (&*error.refusal().owner_path, error.refusal().requested_bytes),
            ("more", bytes)
        );
        let held = error.refusal().holders.iter().map(|holder| holder.used_bytes);
        let named = if bytes == 3 * PAGE { vec![8 * PAGE] } else { Vec::new() };
        assert_eq!(held.collect::<Vec<_>>(), named, "nobody could help beyond the capacity");
    }
    let refused = fixture.manager.lease("more", 3 * PAGE, fails).unwrap_err();
    let text = "cannot share a resource: cannot reserve 12288 bytes for owner `more`: only 8192 of \
                40960 bytes are free; held by `held`: 32768 bytes (minimum 0, limit \
                32768, reclaimable 0)";
    assert_eq!(refused.to_string(), text);
    assert_eq!((held.bytes, fixture.closed()), (8 * PAGE, 0), "others are unaffected");
    assert_eq!(fixture.lease("more", 2 * PAGE).bytes, 2 * PAGE);
}

#[test]
fn sr6_while_one_of_two_leases_is_left_the_resource_and_its_bytes_stay() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.lease("cache", 4 * PAGE), fixture.lease("cache", 4 * PAGE));
    drop(one);
    assert_eq!((fixture.closed(), fixture.available_pages()), (0, 6));
    assert_eq!(two.bytes, 4 * PAGE);
    let leak = fixture.manager.verify_empty().unwrap_err();
    let text = "16384 bytes have not been released; held by `cache`: 16384 bytes \
                (minimum 0, limit 16384, reclaimable 0)";
    assert_eq!(leak_text(&leak), text);
}

#[test]
fn sr7_with_the_last_lease_the_resource_is_closed_and_its_bytes_go_back() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.lease("cache", 4 * PAGE), fixture.lease("cache", 4 * PAGE));
    drop((one, two));
    assert_eq!(fixture.closed(), 1);
    assert_empty(&fixture.manager);
    assert_eq!(fixture.available_pages(), 10);
    drop(fixture.lease("cache", 10 * PAGE));
    assert_eq!(fixture.closed(), 2, "it can be opened again");
}

struct PanicsWhenClosed;

impl Drop for PanicsWhenClosed {
    fn drop(&mut self) {
        panic!("closed");
    }
}

#[test]
fn sr7_the_bytes_go_back_also_if_closing_panics() {
    let fixture = Fixture::new();
    let open = |_| Ok::<_, Infallible>(PanicsWhenClosed);
    let lease = fixture.manager.lease("cache", 4 * PAGE, open).unwrap();
    catch_unwind(AssertUnwindSafe(|| drop(lease))).unwrap_err();
    assert_empty(&fixture.manager);
    assert_eq!(fixture.manager.shared_resources(), []);
    assert_eq!(fixture.lease("cache", 10 * PAGE).bytes, 10 * PAGE);
}

#[test]
fn sr8_a_failed_initializer_leaves_nothing_and_its_error_is_passed_on() {
    let fixture = Fixture::new();
    let failed = fixture.manager.lease("disk", PAGE, fails).unwrap_err();
    assert_empty(&fixture.manager);
    assert_eq!(fixture.available_pages(), 10);
    let text = "the initializer of the shared resource `disk` failed: no such device";
    assert_eq!(failed.to_string(), text);
    let LeaseError::Initializer { source, .. } = failed else { panic!("{failed}") };
    assert_eq!(source, "no such device");
    let panics = |_| -> Result<Resource, String> { panic!("opened") };
    let share = || fixture.manager.lease("disk", PAGE, panics);
    catch_unwind(AssertUnwindSafe(share)).unwrap_err();
    assert_empty(&fixture.manager);
    assert_eq!(fixture.lease("disk", 10 * PAGE).bytes, 10 * PAGE);
}

#[test]
fn sr9_an_external_resource_takes_nothing_of_the_budget_and_is_shared_alike() {
    let fixture = Fixture::new();
    let share = || fixture.manager.lease_external("mapped", 100 * PAGE, fixture.open()).unwrap();
    let (one, two) = (share(), share());
    assert!(std::ptr::eq(&raw const *one, &raw const *two));
    assert_eq!((one.bytes, fixture.available_pages()), (100 * PAGE, 10));
    assert_empty(&fixture.manager);
    let listed = fixture.manager.shared_resources();
    assert_eq!((listed[0].size_bytes, listed[0].is_external), (100 * PAGE, true));
    drop(one);
    assert_eq!(fixture.closed(), 0);
    drop(two);
    assert_eq!(fixture.closed(), 1);
}

#[test]
fn sr10_resources_are_counted_while_they_are_leased() {
    let fixture = Fixture::new();
    let numbers = || -> Vec<_> {
        let listed = fixture.manager.shared_resources();
        listed.iter().map(|it| (it.name.to_string(), it.size_bytes, it.leases)).collect()
    };
    assert_eq!(numbers(), []);
    let one = fixture.lease("b", 2 * PAGE);
    let other = fixture.lease("a", PAGE);
    let two = fixture.lease("b", 2 * PAGE);
    assert_eq!(numbers(), [("a".into(), PAGE, 1), ("b".into(), 2 * PAGE, 2)]);
    drop((one, other));
    assert_eq!(numbers(), [("b".into(), 2 * PAGE, 1)]);
    drop(two);
    assert_eq!(numbers(), []);
}

#[test]
fn sr11_a_resource_is_closed_once_whichever_thread_drops_the_last_lease() {
    let fixture = Fixture::new();
    for round in 1..=200 {
        let leases: Vec<_> = (0..4).map(|_| fixture.lease("cache", PAGE)).collect();
        thread::scope(|scope| {
            for lease in leases {
                scope.spawn(|| drop(lease));
            }
        });
        assert_eq!(fixture.closed(), round);
        assert_empty(&fixture.manager);
    }
}

#[test]
fn a_name_in_use_with_another_type_is_refused_by_both_names() {
    let fixture = Fixture::new();
    let _lease = fixture.lease("cache", PAGE);
    let open = |_| Ok::<Vec<u8>, Infallible>(Vec::new());
    let refused = changes_nothing(&fixture.manager, || {
        fixture.manager.lease("cache", PAGE, open).unwrap_err()
    });
    let text = format!(
        "the shared resource `cache` is a `{}`, not a `alloc::vec::Vec<u8>`",
        std::any::type_name::<Resource>()
    );
    assert_eq!(refused.to_string(), text);
    assert_eq!(fixture.manager.shared_resources()[0].leases, 1);
}

#[test]
fn after_a_shutdown_no_resource_is_opened_and_those_that_are_can_be_leased() {
    let fixture = Fixture::new();
    let held = fixture.lease("held", PAGE);
    let leak = fixture.manager.shutdown().unwrap_err();
    assert_eq!(&*leak.holders[0].path, "held");
    let refused = fixture.manager.lease("late", PAGE, never_called).unwrap_err();
    let is_shut_down = match &refused {
        LeaseError::Owner(_) => true,
        LeaseError::Refused(error) => error.reason() == Reason::ShutDown,
        _ => false,
    };
    assert!(is_shut_down, "{refused}");
    drop((fixture.manager.lease("held", PAGE, never_called).unwrap(), held));
    fixture.manager.shutdown().unwrap();
}

#[test]
fn an_initializer_may_share_other_resources_and_use_the_manager() {
    let fixture = Fixture::new();
    let manager = &fixture.manager;
    let outer = manager.lease("outer", 2 * PAGE, |bytes| {
        assert_eq!(manager.shared_resources(), []);
        let owner = manager.owner("initializer").register()?;
        let page = owner.allocate_page()?;
        let inner = manager.lease("inner", bytes, fixture.open())?;
        Ok::<_, Box<dyn std::error::Error>>((inner, page))
    });
    let outer = outer.unwrap();
    assert_eq!((outer.0.bytes, fixture.available_pages()), (2 * PAGE, 5));
    drop(outer);
    assert_eq!(fixture.closed(), 1);
    assert_empty(manager);
}

#[test]
fn whoever_would_wait_for_himself_is_refused() {
    let fixture = Fixture::new();
    let manager = &fixture.manager;
    let outer = manager.lease("cache", PAGE, |_| manager.lease("cache", PAGE, never_called));
    let refused = outer.unwrap_err();
    let text = "the initializer of the shared resource `cache` failed: the shared resource `cache` \
                is being opened or closed by code that waits for this lease";
    assert_eq!(refused.to_string(), text);
    assert_empty(manager);
}

#[test]
fn of_two_initializers_that_would_wait_for_each_other_one_is_refused() {
    let fixture = Fixture::new();
    let (manager, both_busy) = (&fixture.manager, &Barrier::new(2));
    let ask = |mine: &'static str, others: &'static str| {
        let lease = manager.lease(mine, PAGE, |_| {
            both_busy.wait();
            manager.lease(others, PAGE, fixture.open())
        });
        let is_refused = |error: LeaseError<LeaseError<Infallible>>| {
            let LeaseError::Initializer { source, .. } = error else { return false };
            matches!(source, LeaseError::WaitsForItself { .. })
        };
        lease.err().map(|error| assert!(is_refused(error))).is_some()
    };
    thread::scope(|scope| {
        let one = scope.spawn(|| ask("a", "b"));
        let other = scope.spawn(|| ask("b", "a"));
        assert_eq!([one, other].map(|it| usize::from(it.join().unwrap())).iter().sum::<usize>(), 1);
    });
    assert_empty(manager);
}

/// What becomes of four threads that ask at once, if the first `failures` initializers fail.
fn ask_at_once(failures: usize) -> (usize, usize) {
    let fixture = Fixture::new();
    let (opened, start) = (Count::new(), Barrier::new(4));
    let open = |bytes| {
        let fails = opened.add(1) < failures;
        // The others get here meanwhile.
        (0..100).for_each(|_| thread::yield_now());
        if fails { Err("not yet") } else { Ok(fixture.open()(bytes).unwrap()) }
    };
    let leases: Vec<_> = thread::scope(|scope| {
        let ask = || {
            start.wait();
            fixture.manager.lease("cache", 6 * PAGE, open)
        };
        let threads = [(); 4].map(|()| scope.spawn(ask));
        threads.map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    let leased = leases.iter().filter(|lease| lease.is_ok()).count();
    if leased > 0 {
        assert_eq!(fixture.manager.shared_resources()[0].leases, leased);
    }
    drop(leases);
    assert_eq!(fixture.closed(), usize::from(leased > 0));
    assert_empty(&fixture.manager);
    (leased, opened.get())
}

#[test]
fn of_threads_that_ask_at_once_one_opens_and_the_others_share() {
    for _ in 0..20 {
        assert_eq!(ask_at_once(0), (4, 1));
    }
}

#[test]
fn if_the_first_initializer_fails_another_thread_tries_its_own() {
    for _ in 0..20 {
        assert_eq!(ask_at_once(2), (2, 3));
        assert_eq!(ask_at_once(4), (0, 4));
    }
}

#[test]
fn whoever_asks_while_it_is_closed_gets_a_new_one_and_never_two_at_once() {
    let fixture = Fixture::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            // Two of them at once would not fit.
            scope.spawn(|| (0..200).for_each(|_| drop(fixture.lease("cache", 6 * PAGE))));
        }
    });
    assert!(fixture.closed() > 0);
    assert_empty(&fixture.manager);
}

#[test]
fn a_lease_keeps_its_manager() {
    let Fixture { manager, closed } = Fixture::new();
    let open = |bytes| Ok::<_, Infallible>(Resource { bytes, closed: Arc::clone(&closed) });
    let lease = manager.lease("cache", PAGE, open).unwrap();
    drop(manager);
    assert_eq!(lease.bytes, PAGE);
    drop(lease);
    assert_eq!(closed.get(), 1);
}
