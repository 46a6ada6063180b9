//! What an operator works with, and which errors are due.

use std::thread;
use std::time::{Duration, Instant};

use offheap::config::HugePages;
use offheap::sharing::{FairShare, Greedy};
use offheap::{MemoryManager, MemorySegment, Owner};
use offheap_operators::{Interrupt, OperatorError};
use offheap_paging::PagingError;

use super::ops::{Input, Op};
use crate::bytes::random_bytes;
use crate::damage::SpillDir;

/// The bytes of a page.
pub(super) const PAGE: usize = 4096;
/// So long an operator waits for memory that others have.
pub(super) const PATIENCE: Duration = Duration::from_millis(1);
/// So long memory may take to come back from a pool's thread.
const END_MAX: Duration = Duration::from_secs(60);

/// An owner for an operator, another one, and what was done to them.
pub(super) struct Surroundings<'a> {
    pub(super) dir: &'a SpillDir,
    pub(super) owner: Owner,
    pub(super) interrupt: Interrupt,
    /// The most bytes of the spill file.
    pub(super) file_bytes_max: Option<u64>,
    pages_min: usize,
    pages: usize,
    manager: MemoryManager,
    other: Owner,
    taken: Vec<MemorySegment>,
    /// Whether memory was taken from the operator, ever.
    has_taken: bool,
    is_damaged: bool,
}

/// Rows of keys and values.
pub(super) struct Rows {
    count: u64,
    keys: u64,
    key_bytes: usize,
    row_bytes: usize,
    seed: u64,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(dir: &'a SpillDir, input: &Input, pages_min: usize) -> Self {
        // Mostly few.
        let pages = pages_min + usize::from(input.pages % 64) * usize::from(input.pages) / 256;
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let builder = builder.huge_pages(HugePages::Never).address_space_factor(1);
        let builder = match input.is_fair {
            true => builder.policy(FairShare),
            false => builder.policy(Greedy),
        };
        let built = builder.build();
        let Ok(manager) = built else { unreachable!("it is small and valid: {built:?}") };
        let owners = (manager.owner("operator").register(), manager.owner("other").register());
        let (Ok(owner), Ok(other)) = owners else { unreachable!("they have no minimum") };
        let file_pages = u64::from(input.file_pages);
        Self {
            dir,
            owner,
            interrupt: Interrupt::default(),
            file_bytes_max: (file_pages > 0).then_some(file_pages * PAGE as u64),
            pages_min,
            pages,
            manager,
            other,
            taken: Vec::new(),
            has_taken: false,
            is_damaged: false,
        }
    }

    /// Does what is done beside an operator. Returns whether it was something else.
    pub(super) fn step(&mut self, op: &Op) -> bool {
        match *op {
            Op::Damage { damage, offset, other_offset, length } => {
                self.is_damaged |= self.dir.damage(damage, offset, other_offset, length.into());
            }
            Op::Take { pages } => {
                let pages = 1 + usize::from(pages) % self.pages;
                let taken = self.other.acquire_pages_timeout(pages, PATIENCE);
                self.has_taken |= taken.is_ok();
                self.taken.extend(taken.into_iter().flatten());
            }
            Op::GiveBack => self.taken.clear(),
            Op::SetLimit { pages } => {
                let pages = (self.pages_min + usize::from(pages)).min(self.pages);
                // One below what it holds is kept from then on.
                self.has_taken |= self.owner.set_limit(pages * PAGE).is_ok();
            }
            Op::Interrupt => self.interrupt.set(),
            _ => return true,
        }
        false
    }

    /// Sees that an error has a cause.
    pub(super) fn expect(&self, error: &OperatorError) {
        let is_due = match error {
            OperatorError::Interrupted => self.interrupt.is_set(),
            OperatorError::Paging(PagingError::Damaged { .. }) => self.is_damaged,
            OperatorError::Paging(PagingError::Spill(_)) if self.is_damaged => true,
            OperatorError::Paging(error) if error.is_for_want_of_disk() => {
                self.file_bytes_max.is_some()
            }
            OperatorError::Paging(PagingError::AllPinned { .. } | PagingError::Memory(_))
            | OperatorError::CannotSplit { .. }
            | OperatorError::TooLittleMemory { .. } => self.has_taken,
            _ => false,
        };
        assert!(is_due, "{error}: {error:?}");
    }

    /// Sees that everything came back.
    pub(super) fn end(mut self) {
        self.taken.clear();
        drop(self.owner);
        let since = Instant::now();
        // A pool's thread that is at work sees after it that the pool is gone.
        while let Err(error) = self.manager.verify_empty() {
            assert!(since.elapsed() < END_MAX, "an operator keeps memory: {error}");
            thread::yield_now();
        }
        assert_eq!(self.manager.check_consistency(), Ok(()));
        assert!(self.dir.is_empty(), "an operator leaves a file");
    }
}

impl Rows {
    /// The rows that are pushed, if any are.
    pub(super) fn of(op: &Op) -> Option<Self> {
        let (count, keys, key_bytes, row_bytes, seed) = match *op {
            Op::Push { count, keys, key_bytes, row_bytes, seed } => {
                (u64::from(count) % 64, keys, key_bytes, row_bytes, seed)
            }
            Op::PushMany { count, keys, row_bytes, seed } => {
                let row_bytes = u16::from(row_bytes) / 4 * 4 + 1;
                (200 + 4 * u64::from(count), keys.max(100), 8, row_bytes, seed)
            }
            _ => return None,
        };
        let row_bytes = match row_bytes % 4 {
            0 => usize::from(row_bytes) % (PAGE + 64),
            _ => usize::from(row_bytes) % 128,
        };
        let (keys, key_bytes) = (1 + u64::from(keys) % 4096, 2 + usize::from(key_bytes) % 40);
        Some(Self { count: 1 + count, keys, key_bytes, row_bytes, seed: seed.into() })
    }

    /// Each key with its row, which begins with a number.
    pub(super) fn each(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let numbers = self.seed << 16..(self.seed << 16) + self.count;
        numbers.map(|number| {
            let which = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let mut key = vec![0; self.key_bytes];
            // Keys of different lengths are different, and some are alike but for their end.
            let text = (which % self.keys).to_be_bytes();
            let length = self.key_bytes.min(8);
            key[self.key_bytes - length..].copy_from_slice(&text[8 - length..]);
            let mut row = number.to_le_bytes().to_vec();
            row.extend(random_bytes(number, self.row_bytes));
            (key, row)
        })
    }
}
