//! Who of those who wait is served first under a policy.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, sharing::FairShare};

use crate::support::{PAGE, assert_empty};

#[test]
fn whoever_is_below_his_fair_share_goes_before_one_who_has_it() {
    let builder = MemoryManager::builder().capacity(12 * PAGE).page_size(PAGE).policy(FairShare);
    let manager = builder.deadlock_timeout(Duration::from_secs(600)).build().unwrap();
    let [rich, even, poor] = ["rich", "even", "poor"].map(|name| manager.owner(name).register());
    let (rich, even, poor) = (rich.unwrap(), even.unwrap(), poor.unwrap());
    let (mut much, share) = (rich.allocate_pages(6).unwrap(), even.allocate_pages(6).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let (mut came_first, mut came_last) =
        (pin!(even.acquire_pages(1)), pin!(poor.acquire_pages(1)));
    assert!(came_first.as_mut().poll(&mut context).is_pending());
    assert!(came_last.as_mut().poll(&mut context).is_pending());
    // What the poor one claims is little, and the others have half of the rest.
    let shares = [(&rich, 11 * PAGE / 2), (&even, 11 * PAGE / 2), (&poor, PAGE)];
    while shares.iter().any(|(it, bytes)| it.current_share().first_bytes != *bytes) {
        thread::yield_now();
    }
    much.truncate(5);
    let Poll::Ready(page) = came_last.as_mut().poll(&mut context) else { panic!("it has less") };
    assert!(came_first.as_mut().poll(&mut context).is_pending());
    much.truncate(4);
    let Poll::Ready(another) = came_first.as_mut().poll(&mut context) else { panic!("its turn") };
    drop((much, share, page, another));
    assert_empty(&manager);
}

#[test]
fn whoever_waits_for_what_he_is_promised_is_not_behind_one_who_waits_for_more_than_there_is() {
    let builder = MemoryManager::builder().capacity(8 * PAGE).page_size(PAGE);
    let manager = builder.deadlock_timeout(Duration::from_secs(600)).build().unwrap();
    let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
    let greedy = manager.owner("greedy").register().unwrap();
    let (mut own, all) = (saver.allocate_pages(4).unwrap(), greedy.allocate_pages(4).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let (mut more, mut promised) = (pin!(greedy.acquire_pages(2)), pin!(saver.acquire_pages(1)));
    assert!(more.as_mut().poll(&mut context).is_pending());
    assert!(promised.as_mut().poll(&mut context).is_pending());
    own.truncate(3);
    assert!(promised.as_mut().poll(&mut context).is_ready());
    assert!(more.as_mut().poll(&mut context).is_pending());
    drop((own, all));
}
