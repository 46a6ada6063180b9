//! The operations that others happen within.

use std::slice::Iter;
use std::sync::Arc;

use super::held::{Held, compare, pattern};
use super::ops::Op;
use super::{PAGE, Run};

/// Operations are within others so deep at most.
const DEPTH_MAX: usize = 6;

impl Run {
    /// So many operations happen while the caller holds something.
    fn within(&mut self, count: u8, ops: &mut Iter<'_, Op>) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        for _ in 0..count % 16 {
            let Some(op) = ops.next() else { break };
            self.step(op, ops);
        }
        self.depth -= 1;
    }

    pub(super) fn hold(&mut self, page: u8, count: u8, ops: &mut Iter<'_, Op>) {
        let Some(at) = self.at(page) else { return };
        let page = Arc::clone(&self.held[at].page);
        self.calls += 1;
        match page.read() {
            Ok(bytes) => {
                self.held[at].check(&bytes);
                let before = bytes.to_vec();
                self.within(count, ops);
                compare(&bytes, &before);
                // The same thread pins it once more.
                assert!(page.try_read().is_some(), "a page that is pinned is not in memory");
            }
            Err(error) => self.expect_reason(&error, page.size() / PAGE),
        }
    }

    pub(super) fn hold_to_write(&mut self, page: u8, count: u8, seed: u64, ops: &mut Iter<'_, Op>) {
        let Some(at) = self.at(page) else { return };
        let mut held = self.held.swap_remove(at);
        self.calls += 1;
        if let Some(page) = Arc::get_mut(&mut held.page) {
            let size = page.size();
            match page.write() {
                Ok(mut bytes) => {
                    let content = held.content.get_or_insert_with(|| bytes.to_vec());
                    compare(&bytes, content);
                    content[..size / 2].copy_from_slice(&pattern(seed, size / 2));
                    bytes[..size / 2].copy_from_slice(&content[..size / 2]);
                    self.within(count, ops);
                    compare(&bytes, content);
                    content[size / 2..].copy_from_slice(&pattern(!seed, size - size / 2));
                    bytes[size / 2..].copy_from_slice(&content[size / 2..]);
                }
                Err(error) => self.expect_reason(&error, size / PAGE),
            }
        }
        self.held.push(held);
    }

    pub(super) fn epoch(&mut self, pool: bool, page: u8, count: u8, ops: &mut Iter<'_, Op>) {
        let number = usize::from(pool) % self.pools.len();
        let Some(mut reader) = self.readers[number].take() else { return };
        self.calls += 1;
        let epoch = reader.enter();
        // Some of them are of another pool, and so not to be had.
        let places: Vec<usize> =
            (0..4).filter_map(|more| self.at(page.wrapping_add(more))).collect();
        let pages: Vec<_> = places.iter().map(|at| Arc::clone(&self.held[*at].page)).collect();
        let mut found = Vec::new();
        for (at, page) in places.into_iter().zip(&pages) {
            let held: &mut Held = &mut self.held[at];
            if let Some(bytes) = epoch.get(page) {
                assert_eq!(held.pool, number, "a page of another pool");
                held.check(bytes);
                found.push((bytes, bytes.to_vec()));
            }
        }
        self.within(count, ops);
        found.iter().for_each(|(bytes, before)| compare(bytes, before));
        drop(epoch);
        self.readers[number] = Some(reader);
    }
}
