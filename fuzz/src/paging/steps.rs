//! The operations that change something, each checked against the map.

use std::slice::Iter;
use std::sync::Arc;

use offheap_paging::{Advice, InsertReason, PagingError};

use super::futures::Use;
use super::held::{Held, pattern};
use super::ops::Op;
use super::{PAGE, PAGES_MAX, Run};

/// The pages of the region that one page has at most.
const BLOCK_PAGES_MAX: usize = 4;

impl Run {
    /// One operation, and those that happen within it.
    pub(super) fn step(&mut self, op: &Op, ops: &mut Iter<'_, Op>) {
        match *op {
            Op::Allocate { pool, count, pages, seed } => {
                for number in 0..1 + u64::from(count % 8) {
                    self.allocate(pool, pages, u64::from(seed) << 8 | number);
                }
            }
            Op::Insert { pool, pages, seed, is_wrong: false } => {
                self.insert(pool, pages, seed.into());
            }
            Op::Insert { pool, pages, is_wrong: true, .. } => self.insert_wrong(pool, pages),
            Op::Read { page } => self.read_all(page, 1),
            Op::ReadAll { first, count } => self.read_all(first, usize::from(count % 32)),
            Op::TryRead { page } => self.try_read(page),
            Op::Write { page, offset, length, seed } => {
                self.write(page, (offset.into(), length.into()), seed.into());
            }
            Op::WriteAll { first, count, seed } => {
                for number in 0..count % 16 {
                    let seed = u64::from(seed) << 8 | u64::from(number);
                    self.write(first.wrapping_add(number), (0, usize::MAX), seed);
                }
            }
            Op::Drop { page, chance } => self.drop_page(page, chance),
            Op::ReadMany { pool, first, count, step } => self.read_many(pool, first, count, step),
            Op::Prefetch { pool, first, count, step } => self.prefetch(pool, first, count, step),
            Op::Poll { page, polls } => self.poll(page, polls),
            Op::Await { page } => self.read_async(page, Use::Awaited),
            Op::Advise { page, advice } => self.advise(page, advice),
            Op::Hold { page, ops: count } => self.hold(page, count, ops),
            Op::HoldToWrite { page, ops: count, seed } => {
                self.hold_to_write(page, count, seed.into(), ops);
            }
            Op::Epoch { pool, page, ops: count } => self.epoch(pool, page, count, ops),
            Op::Together { first, count } => self.read_together(first, count),
            Op::Take { pages, asks } => self.take(pages, asks),
            Op::GiveBack { count } => self.give_back(count),
            Op::Trouble(trouble) => self.plan.begin(trouble),
            Op::Heal => self.plan.heal(),
            Op::DropPool { pool, chance } => {
                if chance % 16 == 0 {
                    let number = usize::from(pool) % self.pools.len();
                    self.pools[number] = None;
                }
            }
            Op::Stats { pool } => self.stats(pool),
        }
    }

    /// The pages of the region that are in pages.
    fn pages(&self) -> usize {
        self.held.iter().map(|held| held.page.size() / PAGE).sum()
    }

    fn allocate(&mut self, pool: bool, pages: u8, seed: u64) {
        let Some((number, pool)) = self.pool(pool) else { return };
        if self.pages() >= PAGES_MAX {
            return;
        }
        self.calls += 1;
        // Single pages mostly, blocks, and now and then what cannot be.
        let pages = match pages {
            0 => 0,
            1 => usize::from(u16::MAX) + 1,
            pages @ 2..192 => usize::from(pages / 192) + 1,
            pages => 1 + usize::from(pages) % BLOCK_PAGES_MAX,
        };
        let allocated = match pages {
            1 => pool.allocate(),
            pages => pool.allocate_pages(pages),
        };
        match allocated {
            Ok(page) => {
                assert_eq!(page.size(), pages * PAGE);
                self.held.push(Held::new(page, number, None));
                let at = self.held.len() - 1;
                self.write_at(at, (0, usize::MAX), seed);
            }
            Err(PagingError::Pages { pages: told }) => {
                assert_eq!(told, pages);
                assert!(pages == 0 || pages > usize::from(u16::MAX));
            }
            Err(error) => self.expect_reason(&error, pages),
        }
    }

    fn insert(&mut self, pool: bool, pages: u8, seed: u64) {
        let Some((number, pool)) = self.pool(pool) else { return };
        let pages = 1 + usize::from(pages) % BLOCK_PAGES_MAX;
        if self.pages() >= PAGES_MAX {
            return;
        }
        self.calls += 1;
        let Ok(mut segment) = self.owners[number].allocate(pages * PAGE) else { return };
        let content = pattern(seed, pages * PAGE);
        segment.copy_from_slice(&content);
        match pool.insert(segment) {
            Ok(page) => self.held.push(Held::new(page, number, Some(content))),
            Err(error) => unreachable!("{error}"),
        }
    }

    /// Inserts what is of somebody else.
    fn insert_wrong(&mut self, pool: bool, seed: u8) {
        let Some((number, pool)) = self.pool(pool) else { return };
        let owner = if self.pools.len() == 2 { &self.owners[1 - number] } else { &self.other };
        let Ok(mut segment) = owner.try_allocate_page() else { return };
        self.calls += 1;
        segment.fill(seed);
        match pool.insert(segment) {
            Err(error) => {
                assert!(matches!(error.reason, InsertReason::Owner { .. }), "{error}");
                assert!(error.segment.iter().all(|byte| *byte == seed));
            }
            Ok(_) => unreachable!("it is not of the pool's owner"),
        }
    }

    fn write(&mut self, page: u8, range: (usize, usize), seed: u64) {
        if let Some(at) = self.at(page) {
            self.write_at(at, range, seed);
        }
    }

    /// Writes to a page that nobody else holds.
    fn write_at(&mut self, at: usize, (offset, length): (usize, usize), seed: u64) {
        let held = &mut self.held[at];
        let Some(page) = Arc::get_mut(&mut held.page) else { return };
        self.calls += 1;
        let size = page.size();
        let (offset, end) = (offset % size, (offset % size).saturating_add(length).min(size));
        let error = match page.write() {
            Ok(mut bytes) => {
                let content = held.content.get_or_insert_with(|| bytes.to_vec());
                super::held::compare(&bytes, content);
                content[offset..end].copy_from_slice(&pattern(seed, end - offset));
                bytes[offset..end].copy_from_slice(&content[offset..end]);
                return;
            }
            Err(error) => error,
        };
        self.expect_reason(&error, size / PAGE);
    }

    fn drop_page(&mut self, page: u8, chance: u8) {
        let Some(at) = self.at(page) else { return };
        // So that there are more pages than frames, mostly.
        let is_due = chance.is_multiple_of(4) || self.pages() > PAGES_MAX * 3 / 4;
        if is_due {
            self.calls += 1;
            self.held.swap_remove(at);
        }
    }

    fn advise(&mut self, page: u8, advice: u8) {
        let Some(at) = self.at(page) else { return };
        let advices =
            [Advice::Normal, Advice::Keep, Advice::Cold, Advice::Sequential, Advice::DeadSoon];
        self.held[at].page.advise(advices[usize::from(advice) % advices.len()]);
        self.calls += 1;
    }

    /// Another owner takes pages, and marks them.
    fn take(&mut self, pages: u8, asks: bool) {
        let bytes = PAGE * (1 + usize::from(pages % 8));
        let segment =
            if asks { self.other.allocate(bytes) } else { self.other.try_allocate(bytes) };
        self.calls += 1;
        if let Ok(mut segment) = segment {
            segment.fill(pages);
            self.taken.push((segment, pages));
        }
    }

    fn give_back(&mut self, count: u8) {
        for _ in 0..1 + count % 8 {
            let Some((segment, mark)) = self.taken.pop() else { return };
            self.calls += 1;
            let is_whole = segment.iter().all(|byte| *byte == mark);
            assert!(is_whole, "somebody wrote to memory of another owner");
        }
    }

    fn stats(&mut self, pool: bool) {
        let Some((number, pool)) = self.pool(pool) else { return };
        self.calls += 1;
        let stats = pool.stats();
        let pages = self.held.iter().filter(|held| held.pool == number).count();
        assert!(stats.pages >= pages, "{stats:?} of {pages} pages");
        let capacity = self.manager.capacity();
        assert!(stats.resident_bytes + stats.free_bytes <= capacity, "{stats:?}");
        assert!(stats.file_used_bytes <= stats.file_bytes, "{stats:?}");
    }
}
