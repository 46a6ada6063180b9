//! Pools of page numbers, as one would write them in an afternoon. No memory lies behind the
//! numbers, and nothing is counted.

use std::sync::{Mutex, PoisonError};

use crossbeam_queue::{ArrayQueue, SegQueue};

use super::{Pages, Peer};

pub struct MutexVec(Mutex<Vec<usize>>);

impl MutexVec {
    pub fn new(pages: usize) -> Self {
        Self(Mutex::new((0..pages).collect()))
    }
}

impl Peer for MutexVec {
    type Page = usize;

    fn pages(&self) -> impl Pages<Page = usize> {
        self
    }
}

impl Pages for &MutexVec {
    type Page = usize;

    #[inline]
    fn allocate(&mut self) -> usize {
        let page = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        page.unwrap_or_else(|| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    }
}

pub fn array_queue(pages: usize) -> ArrayQueue<usize> {
    let queue = ArrayQueue::new(pages);
    (0..pages).for_each(|page| assert!(queue.push(page).is_ok(), "there is room"));
    queue
}

impl Peer for ArrayQueue<usize> {
    type Page = usize;

    fn pages(&self) -> impl Pages<Page = usize> {
        self
    }
}

impl Pages for &ArrayQueue<usize> {
    type Page = usize;

    #[inline]
    fn allocate(&mut self) -> usize {
        self.pop().unwrap_or_else(|| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: usize) {
        self.push(page).unwrap_or_else(|_| std::process::abort());
    }
}

pub fn seg_queue(pages: usize) -> SegQueue<usize> {
    let queue = SegQueue::new();
    (0..pages).for_each(|page| queue.push(page));
    queue
}

impl Peer for SegQueue<usize> {
    type Page = usize;

    fn pages(&self) -> impl Pages<Page = usize> {
        self
    }
}

impl Pages for &SegQueue<usize> {
    type Page = usize;

    #[inline]
    fn allocate(&mut self) -> usize {
        self.pop().unwrap_or_else(|| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: usize) {
        self.push(page);
    }
}
