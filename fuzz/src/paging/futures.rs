//! The operations that do not block, each checked against the map.

use std::sync::Arc;

use offheap_paging::{Page, PagingError, ReadGuard, WriteGuard};
use offheap_test_support::{block_on, poll_and_cancel};

use super::held::{compare, pattern};
use super::{PAGE, Run};

/// How a future is used.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// It is polled so often, and then let go of.
    Polled(usize),
    /// It is waited for.
    Awaited,
}

impl Use {
    fn of<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::Polled(polls) => poll_and_cancel(future, polls),
            Self::Awaited => Some(block_on(future)),
        }
    }
}

impl Run {
    /// Polls a read, a write or a read of many, or waits for it.
    pub(super) fn poll(&mut self, page: u8, polls: u8) {
        let polled = Use::Polled(usize::from(polls % 16));
        match polls / 16 {
            0..8 => self.read_async(page, polled),
            8..10 => self.write_async(page, polls, polled),
            10..12 => self.write_async(page, polls, Use::Awaited),
            12..14 => self.read_many_async(page, polls, polled),
            _ => self.read_many_async(page, polls, Use::Awaited),
        }
    }

    pub(super) fn read_async(&mut self, page: u8, how: Use) {
        let Some(at) = self.at(page) else { return };
        self.has_threads = true;
        let page = Arc::clone(&self.held[at].page);
        match how.of(page.read_async()) {
            Some(result) => self.checked(at, result),
            None => self.calls += 1,
        }
    }

    /// Writes to a page that nobody else holds.
    fn write_async(&mut self, page: u8, seed: u8, how: Use) {
        let Some(at) = self.at(page) else { return };
        self.has_threads = true;
        let held = &mut self.held[at];
        let Some(page) = Arc::get_mut(&mut held.page) else { return };
        self.calls += 1;
        let size = page.size();
        let wrote = |mut bytes: WriteGuard<'_>| {
            let content = held.content.get_or_insert_with(|| bytes.to_vec());
            compare(&bytes, content);
            *content = pattern(seed.into(), size);
            bytes.copy_from_slice(content);
        };
        let result = how.of(page.write_async()).map(|result| result.map(wrote));
        if let Some(Err(error)) = result {
            self.expect_reason(&error, size / PAGE);
        }
    }

    /// Reads some pages, of both pools if there are two, and one of them twice.
    fn read_many_async(&mut self, first: u8, count: u8, how: Use) {
        let Some((_, pool)) = self.pool(count.is_multiple_of(2)) else { return };
        let mut places = self.places(first, count, 1 + first % 3);
        places.extend(places.first().copied());
        self.has_threads |= !places.is_empty();
        self.calls += 1;
        let pages: Vec<Arc<Page>> =
            places.iter().map(|at| Arc::clone(&self.held[*at].page)).collect();
        let pages: Vec<&Page> = pages.iter().map(|page| &**page).collect();
        if let Some(result) = how.of(pool.read_many_async(&pages)) {
            self.checked_many(places, result);
        }
    }

    /// Compares what was read, in the order in which it was asked for, or the error.
    pub(super) fn checked_many(
        &mut self,
        places: Vec<usize>,
        result: Result<Vec<ReadGuard<'_>>, PagingError>,
    ) {
        match result {
            Ok(guards) => {
                assert_eq!(guards.len(), places.len());
                for (at, bytes) in places.into_iter().zip(&guards) {
                    self.held[at].check(bytes);
                }
            }
            // They may be more than there are frames.
            Err(error) => self.expect_reason(&error, usize::MAX),
        }
    }
}
