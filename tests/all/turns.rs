//! Who of those who wait is served first under a policy.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use offheap::{FairShare, MemoryManager};

use crate::support::{PAGE, assert_empty};

#[test]
fn whoever_is_below_his_fair_share_goes_before_one_who_has_it() {
    let builder = MemoryManager::builder().capacity(12 * PAGE).page_size(PAGE).policy(FairShare);
    let manager = builder.deadlock_timeout(Duration::from_secs(600)).build().unwrap();
    let [rich, even, poor] = ["rich", "even", "poor"].map(|name| manager.owner(name).register());
    let (rich, even, poor) = (rich.unwrap(), even.unwrap(), poor.unwrap());
    let (mut much, share) = (rich.allocate_pages(8).unwrap(), even.allocate_pages(4).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let (mut came_first, mut came_last) =
        (pin!(even.acquire_pages(1)), pin!(poor.acquire_pages(1)));
    assert!(came_first.as_mut().poll(&mut context).is_pending());
    assert!(came_last.as_mut().poll(&mut context).is_pending());
    while [&rich, &even, &poor].iter().any(|it| it.current_share().first_bytes != 4 * PAGE) {
        thread::yield_now();
    }
    much.truncate(7);
    let Poll::Ready(page) = came_last.as_mut().poll(&mut context) else { panic!("he has less") };
    assert!(came_first.as_mut().poll(&mut context).is_pending());
    much.truncate(6);
    let Poll::Ready(another) = came_first.as_mut().poll(&mut context) else { panic!("his turn") };
    drop((much, share, page, another));
    assert_empty(&manager);
}
