//! Many requests in line: what one of them costs the others, and what wakers may do.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemorySegment, Owner, config::HugePages};
use offheap_test_support::{Count, Flag, waker};

use crate::support::{PAGE, assert_empty};

/// More than a small stack has room for, were each a call within the last one.
const MANY: usize = 10_000;
const SMALL_STACK_BYTES: usize = 256 << 10;

type Waits = Pin<Box<dyn Future<Output = Vec<MemorySegment>> + Send>>;

fn manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let builder = builder.huge_pages(HugePages::Never).depot_pages(0);
    builder.deadlock_timeout(Duration::from_secs(600)).build().unwrap()
}

fn waits(owner: &Owner) -> Waits {
    let owner = owner.clone();
    Box::pin(async move { owner.acquire_pages(1).await.unwrap() })
}

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(SMALL_STACK_BYTES).spawn(test).unwrap();
    thread.join().unwrap();
}

/// Requests for the one page that there is, each of which is polled by its waker, or dropped by it:
/// both let the next one have the page. Returns how many were served.
fn served_by_wakers(polls: fn(usize) -> bool) -> usize {
    let manager = manager(1);
    let owner = manager.owner("owner").register().unwrap();
    let page = owner.allocate_page().unwrap();
    let (served, woken) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let places: Arc<Vec<Mutex<Option<Waits>>>> =
        Arc::new((0..MANY).map(|_| Mutex::new(Some(waits(&owner)))).collect());
    for number in 0..MANY {
        let wakes = {
            let (places, served) = (Arc::clone(&places), Arc::clone(&served));
            let woken = Arc::clone(&woken);
            waker(move || {
                let Some(mut future) = places[number].lock().unwrap().take() else { return };
                if polls(number) {
                    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert!(polled.is_ready(), "it was woken");
                    served.add(1);
                }
                drop(future);
                woken.add(1);
            })
        };
        let mut place = places[number].lock().unwrap();
        let future = place.as_mut().unwrap();
        assert!(future.as_mut().poll(&mut Context::from_waker(&wakes)).is_pending());
    }
    drop(page);
    // The manager's own thread may have served some, and may wake them yet.
    while woken.get() < MANY {
        thread::yield_now();
    }
    assert_empty(&manager);
    served.get()
}

#[test]
fn wakers_that_poll_at_once_are_not_called_within_each_other() {
    on_a_small_stack(|| assert_eq!(served_by_wakers(|_| true), MANY));
}

#[test]
fn wakers_that_drop_what_was_granted_are_not_called_within_each_other() {
    on_a_small_stack(|| assert_eq!(served_by_wakers(|number| number % 2 == 0), MANY / 2));
}

#[test]
fn a_waker_that_blocks_waits_for_no_waker_after_it() {
    let manager = manager(1);
    let owner = manager.owner("owner").register().unwrap();
    let page = owner.allocate_page().unwrap();
    let (first, second) = (Arc::new(Mutex::new(Some(waits(&owner)))), Mutex::new(waits(&owner)));
    let second = Arc::new(second);
    let takes = {
        let second = Arc::clone(&second);
        waker(move || {
            let mut second = second.lock().unwrap();
            let polled = second.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "it was woken");
        })
    };
    let had = Arc::new(Flag::default());
    let blocks = {
        let (owner, first, had) = (owner.clone(), Arc::clone(&first), Arc::clone(&had));
        waker(move || {
            // What was granted goes on to the second one, and from that to this thread.
            drop(first.lock().unwrap().take());
            if owner.acquire_pages_timeout(1, Duration::from_secs(5)).is_ok() {
                had.set();
            }
        })
    };
    let mut place = first.lock().unwrap();
    assert!(place.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&blocks)).is_pending());
    drop(place);
    let mut place = second.lock().unwrap();
    assert!(place.as_mut().poll(&mut Context::from_waker(&takes)).is_pending());
    drop(place);
    drop(page);
    assert!(had.is_set());
    assert_empty(&manager);
}

/// What an owner gives back at its own limit is for those that wait there, however many wait at
/// other limits and at the budget.
#[test]
fn what_comes_back_at_one_level_is_for_those_that_wait_there_or_above() {
    let manager = manager(8);
    let owners = ["one", "two", "three"].map(|name| manager.owner(name).limit(2 * PAGE).register());
    let [one, two, three] = owners.map(Result::unwrap);
    let mut held = [&one, &two].map(|owner| owner.allocate_pages(2).unwrap());
    let rest = manager.owner("rest").register().unwrap();
    let all = rest.allocate_pages(4).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut of_one = pin!(one.acquire_pages(1));
    let mut of_two = pin!(two.acquire_pages(1));
    let mut of_budget = pin!(three.acquire_pages(1));
    assert!(of_budget.as_mut().poll(&mut context).is_pending());
    assert!(of_one.as_mut().poll(&mut context).is_pending());
    assert!(of_two.as_mut().poll(&mut context).is_pending());
    // It came first, and waits above.
    held[0].pop();
    let Poll::Ready(page) = of_budget.as_mut().poll(&mut context) else { panic!("it is there") };
    assert!(of_one.as_mut().poll(&mut context).is_pending(), "it waits at the budget by now");
    assert!(of_two.as_mut().poll(&mut context).is_pending());
    held[1].pop();
    let Poll::Ready(another) = of_one.as_mut().poll(&mut context) else { panic!("it came first") };
    assert!(of_two.as_mut().poll(&mut context).is_pending());
    drop((page, another));
    assert!(of_two.as_mut().poll(&mut context).is_ready());
    drop((held, all));
}
