//! The operations that read, each checked against the map.

use std::sync::Arc;
use std::thread;

use offheap_paging::{Page, PagingError, ReadGuard};

use super::held::{Held, compare};
use super::{PAGE, Run};

impl Run {
    /// Reads pages, one after the other.
    pub(super) fn read_all(&mut self, first: u8, count: usize) {
        for number in 0..count.min(self.held.len()) {
            let at = (usize::from(first) + number) % self.held.len();
            let page = Arc::clone(&self.held[at].page);
            self.checked(at, page.read());
        }
    }

    /// Compares what was read, or the error.
    pub(super) fn checked(&mut self, at: usize, result: Result<ReadGuard<'_>, PagingError>) {
        self.calls += 1;
        let held = &mut self.held[at];
        match result {
            Ok(bytes) => held.check(&bytes),
            Err(error) => {
                let pages = held.page.size() / PAGE;
                self.expect_reason(&error, pages);
            }
        }
    }

    /// Reads what is in memory, and copies what is not.
    pub(super) fn try_read(&mut self, page: u8) {
        let Some(at) = self.at(page) else { return };
        let page = Arc::clone(&self.held[at].page);
        if let Some(bytes) = page.try_read() {
            return self.checked(at, Ok(bytes));
        }
        self.calls += 1;
        let mut copy = vec![0; page.size()];
        match page.read_into(&mut copy) {
            Ok(()) => self.held[at].check(&copy),
            Err(error) => {
                assert!(!matches!(error, PagingError::AllPinned { .. }), "it takes no frame");
                self.expect_reason(&error, page.size() / PAGE);
            }
        }
    }

    /// Places of pages, some of them more than once.
    pub(super) fn places(&self, first: u8, count: u8, step: u8) -> Vec<usize> {
        let places = (0..usize::from(count % 12)).map(|number| {
            let place = usize::from(first) + number * usize::from(step);
            place.checked_rem(self.held.len())
        });
        places.flatten().collect()
    }

    pub(super) fn read_many(&mut self, pool: bool, first: u8, count: u8, step: u8) {
        let Some((_, pool)) = self.pool(pool) else { return };
        let places = self.places(first, count, step);
        let pages: Vec<Arc<Page>> =
            places.iter().map(|at| Arc::clone(&self.held[*at].page)).collect();
        let pages: Vec<&Page> = pages.iter().map(|page| &**page).collect();
        self.calls += 1;
        let result = pool.read_many(&pages);
        self.checked_many(places, result);
    }

    pub(super) fn prefetch(&mut self, pool: bool, first: u8, count: u8, step: u8) {
        let Some((_, pool)) = self.pool(pool) else { return };
        let places = self.places(first, count, step);
        let pages: Vec<&Page> = places.iter().map(|at| &*self.held[*at].page).collect();
        pool.prefetch(&pages);
        self.has_threads |= !pages.is_empty();
        self.calls += 1;
    }

    /// Two threads read the same pages, from both ends.
    pub(super) fn read_together(&mut self, first: u8, count: u8) {
        let places = self.places(first, count, 1);
        self.calls += 1;
        let read = |at: &usize| {
            let Held { page, content, .. } = &self.held[*at];
            if let (Ok(bytes), Some(content)) = (page.read(), content) {
                compare(&bytes, content);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| places.iter().rev().for_each(read));
            places.iter().for_each(read);
        });
    }
}
