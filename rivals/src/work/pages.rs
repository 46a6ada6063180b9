//! One page at a time, in several orders. No page is touched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crew::{Work, wait_until};
use crate::peers::{Pages, Peer};
use crate::sizes::Random;

/// Pages that a thread holds at a time.
pub(crate) const HELD_PAGES: usize = 1024;
/// Pages that a producer hands over together.
pub(crate) const BATCH_PAGES: usize = 64;
/// Batches between a producer and its consumer.
const BATCHES: usize = 16;
/// Orders of release, taken in turn.
const ORDERS: u64 = 8;

/// What a thread does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Allocates a page and releases it, while it holds one other page.
    Pair,
    /// Allocates 1024 pages and releases the last one first.
    Lifo,
    /// Allocates 1024 pages and releases them in random order.
    Random,
    /// Threads in twos: one allocates batches of 64 pages, the other one releases them.
    ProducerConsumer,
}

/// An allocator of pages, whatever its pages are.
pub trait PageRow: Sync {
    /// Its name in the table.
    fn name(&self) -> &str;

    /// What the thread of this number does, made in that thread.
    fn work(&self, kind: Kind, thread: usize) -> Work<'_>;
}

/// A [`Peer`] and what its threads exchange.
pub struct Row<P: Peer> {
    name: &'static str,
    peer: P,
    lanes: Vec<Lane<P::Page>>,
}

/// The way from a producer to its consumer: slots that both walk through in the same order.
struct Lane<T>([Slot<T>; BATCHES]);

/// A batch, which belongs to the consumer while it is full and to the producer otherwise.
struct Slot<T> {
    full: OwnLine<AtomicBool>,
    /// Never contended: a thread that does not own the batch does not lock it.
    pages: OwnLine<Mutex<Vec<T>>>,
}

/// So that waiting for a batch does not slow down the other side's work on it.
#[repr(align(128))]
struct OwnLine<T>(T);

impl<T> Lane<T> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Slot {
            full: OwnLine(AtomicBool::new(false)),
            pages: OwnLine(Mutex::new(Vec::with_capacity(BATCH_PAGES))),
        }))
    }
}

impl<T> Slot<T> {
    /// Waits until the batch is `full` or not, changes it, and hands it to the other side.
    fn exchange(&self, full: bool, change: impl FnOnce(&mut Vec<T>)) {
        // ORDERING: Acquire. Pairs with the Release of the other side.
        wait_until(|| self.full.0.load(Ordering::Acquire) == full);
        change(&mut self.pages.0.lock().unwrap_or_else(PoisonError::into_inner));
        // ORDERING: Release. Pairs with the Acquire of the other side.
        self.full.0.store(!full, Ordering::Release);
    }
}

impl<P: Peer + 'static> Row<P> {
    /// A row for up to `threads` threads.
    pub fn boxed(name: &'static str, threads: usize, peer: P) -> Box<dyn PageRow> {
        let lanes = (0..threads.div_ceil(2)).map(|_| Lane::new()).collect();
        Box::new(Self { name, peer, lanes })
    }
}

impl<P: Peer> PageRow for Row<P> {
    fn name(&self) -> &str {
        self.name
    }

    fn work(&self, kind: Kind, thread: usize) -> Work<'_> {
        let pages = self.peer.pages();
        match kind {
            Kind::Pair => pair(pages),
            Kind::Lifo => lifo(pages),
            Kind::Random => random_order(pages),
            Kind::ProducerConsumer if thread.is_multiple_of(2) => {
                produce(pages, &self.lanes[thread / 2])
            }
            Kind::ProducerConsumer => consume(pages, &self.lanes[thread / 2]),
        }
    }
}

/// Pages that a thread holds, released at its end.
struct Held<A: Pages> {
    from: A,
    pages: Vec<A::Page>,
}

impl<A: Pages> Held<A> {
    fn new(from: A, pages_max: usize) -> Self {
        Self { from, pages: Vec::with_capacity(pages_max) }
    }

    fn allocate(&mut self, pages: usize) {
        for _ in 0..pages {
            let page = self.from.allocate();
            self.pages.push(page);
        }
    }
}

impl<A: Pages> Drop for Held<A> {
    fn drop(&mut self) {
        while let Some(page) = self.pages.pop() {
            self.from.release(page);
        }
    }
}

fn pair<'a>(pages: impl Pages + 'a) -> Work<'a> {
    let mut held = Held::new(pages, 1);
    held.allocate(1);
    Box::new(move |repeats| {
        for _ in 0..repeats {
            let page = held.from.allocate();
            held.from.release(page);
        }
    })
}

fn lifo<'a>(pages: impl Pages + 'a) -> Work<'a> {
    let mut held = Held::new(pages, HELD_PAGES);
    Box::new(move |repeats| {
        for _ in 0..repeats {
            held.allocate(HELD_PAGES);
            while let Some(page) = held.pages.pop() {
                held.from.release(page);
            }
        }
    })
}

fn random_order<'a>(pages: impl Pages + 'a) -> Work<'a> {
    let mut held = Held::new(pages, HELD_PAGES);
    let orders: Vec<Vec<usize>> = (0..ORDERS).map(random_picks).collect();
    let mut orders_in_turn = (0..orders.len()).cycle();
    Box::new(move |repeats| {
        for order in orders_in_turn.by_ref().take(to_usize(repeats)) {
            held.allocate(HELD_PAGES);
            for pick in &orders[order] {
                let page = held.pages.swap_remove(*pick);
                held.from.release(page);
            }
        }
    })
}

/// Which of the pages that are left goes next.
fn random_picks(seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    (1..=HELD_PAGES).rev().map(|left| random.below(left)).collect()
}

fn produce<'a, A: Pages + 'a>(mut pages: A, lane: &'a Lane<A::Page>) -> Work<'a> {
    let mut slots = lane.0.iter().cycle();
    Box::new(move |repeats| {
        for slot in slots.by_ref().take(to_usize(repeats)) {
            slot.exchange(false, |batch| {
                batch.extend((0..BATCH_PAGES).map(|_| pages.allocate()));
            });
        }
    })
}

fn consume<'a, A: Pages + 'a>(mut pages: A, lane: &'a Lane<A::Page>) -> Work<'a> {
    let mut slots = lane.0.iter().cycle();
    Box::new(move |repeats| {
        for slot in slots.by_ref().take(to_usize(repeats)) {
            slot.exchange(true, |batch| batch.drain(..).for_each(|page| pages.release(page)));
        }
    })
}

fn to_usize(repeats: u64) -> usize {
    usize::try_from(repeats).unwrap_or(usize::MAX)
}
