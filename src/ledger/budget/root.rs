//! The budget of a manager: the root of the tree of accounts.
//!
//! The protocol is at the head of the room.

use crate::base::sync::{AtomicU64, Ordering, Patience, read};
use crate::ledger::overdraft::Overdraft;

use super::account_word::{AccountWord, IN_FLIGHT, RESERVED_BYTES_MAX, set_awaited, tell_of_paid};
use super::outcome::Refused;
use super::parent::{Drainers, Parent};
use super::queue_position::{HasWaiters, QueuePosition};
use super::watch::Watch;

/// Bytes under a limit, which can change while they are in use.
///
/// The word counts what is free. So a request looks at one word, which has the limit in it. What is
/// added to the limit becomes free in one step, once the memory is there. What is taken off it was
/// reserved before, and is never given back.
pub struct Budget {
    word: AtomicU64,
    limit: AtomicU64,
    /// The highest limit that there can be.
    limit_max: u64,
    drainers: Drainers,
    /// The most bytes that were reserved while no request was in flight.
    peak: AtomicU64,
    watch: Watch,
    /// The bytes that are held beyond the limit, or beyond that of an account.
    overdraft: Overdraft,
}

impl Budget {
    /// A budget of `limit` bytes, all free.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self::growing(limit, limit)
    }

    /// A budget of `limit` bytes, all free, which may come to have `limit_max`.
    #[must_use]
    pub fn growing(limit: u64, limit_max: u64) -> Self {
        debug_assert!(limit <= limit_max && limit_max <= RESERVED_BYTES_MAX);
        let [word, limit, peak] = [limit, limit, 0].map(AtomicU64::new);
        let (drainers, overdraft) = (Drainers::none(), Overdraft::none());
        Self { word, limit, limit_max, drainers, peak, watch: Watch::new(), overdraft }
    }

    /// The limit in bytes.
    #[must_use]
    #[inline]
    pub fn limit(&self) -> u64 {
        // ORDERING: Relaxed. A number to show and to go by: what is granted does not depend on it.
        self.limit.load(Ordering::Relaxed)
    }

    /// The highest limit that there can be.
    #[must_use]
    pub const fn limit_max(&self) -> u64 {
        self.limit_max
    }

    /// Says that the limit is `bytes` higher. They count as reserved, until [`add`](Self::add)
    /// makes them free, or [`retire`](Self::retire) takes them off again. By one thread at a time.
    pub fn raise(&self, bytes: u64) {
        debug_assert!(bytes <= self.limit_max - self.limit());
        // ORDERING: Relaxed. As in `limit`.
        self.limit.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Makes `bytes` free that the limit was raised by. There is memory for them now.
    pub fn add(&self, bytes: u64) -> HasWaiters {
        let awaited = Parent::release(self, bytes);
        // The bounds are shares of the limit.
        self.watch.tell();
        awaited
    }

    /// Takes `bytes` that are reserved, and whose memory is no longer there, off the limit.
    pub fn retire(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `limit`.
        self.limit.fetch_sub(bytes, Ordering::Relaxed);
        self.watch.tell();
    }

    /// The bytes that are reserved, those of requests in flight among them. While the limit is
    /// changed, at most by as much as it changes too high, and never below what owners hold.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        loop {
            let limit = self.limit();
            let free = self.word().budget_free_bytes();
            if self.limit() == limit {
                return limit.saturating_sub(free);
            }
        }
    }

    /// The bytes that are free: none while more is overdrawn.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes_with(0)
    }

    /// The bytes that were free, had it got `returned` bytes back.
    #[must_use]
    pub fn free_bytes_with(&self, returned: u64) -> u64 {
        let free = self.word().budget_free_bytes() + returned;
        free.saturating_sub(self.overdraft.bytes())
    }

    /// The bytes that are held beyond the limit, or beyond that of an account.
    #[must_use]
    pub fn overdrawn_bytes(&self) -> u64 {
        self.overdraft.bytes()
    }

    /// Counts `bytes` that are held beyond a limit, as far as they can be counted; returns how
    /// many were.
    pub fn overdraw(&self, bytes: u64) -> u64 {
        let counted = self.overdraft.add_up_to_max(bytes);
        self.watch.tell();
        counted
    }

    /// Takes `bytes` off that were overdrawn (`overdraft`, 4).
    pub fn pay_overdraft(&self, bytes: u64) -> HasWaiters {
        self.overdraft.pay(bytes);
        self.watch.tell();
        tell_of_paid(&self.word)
    }

    /// The most bytes that were reserved at any moment at which no request was in flight.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to show; nothing is done on its strength.
        read(&self.peak, Ordering::Relaxed)
    }

    /// Reserves `bytes` for good.
    ///
    /// # Errors
    ///
    /// If fewer are free, or the budget is closed.
    pub fn reserve(&self, bytes: u64) -> Result<(), Refused> {
        let word = self.exchange(bytes, QueuePosition::LAST, |word| word.taken(bytes))?;
        self.note_peak(word);
        Ok(())
    }

    /// Has `passed` called when the reserved bytes pass a bound, or when a request begins to wait
    /// or none does any longer: once, until the bounds are set again. It is called in the middle of
    /// the call that passed the bound, so it only wakes another thread. The first one that is set
    /// stays.
    pub fn watch(&self, passed: impl Fn() + Send + Sync + 'static) {
        self.watch.call(passed);
    }

    /// Sets the bounds that are watched. They may have been passed just before.
    pub fn set_bounds(&self, below: u64, above: u64) {
        let free_with = |reserved| self.limit().saturating_sub(reserved);
        self.watch.set_bounds(free_with(above), free_with(below));
    }

    /// Whether a request waits in line for what is given back.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.word().is_awaited()
    }

    /// Those that bring back what is kept at hand below it (Protocol, 9).
    pub fn drainers(&self) -> &Drainers {
        &self.drainers
    }

    /// Refuses everything from now on (Protocol, 4).
    pub fn close(&self) {
        // ORDERING: Relaxed. Every reservation is a read-modify-write of this word, so it comes
        // before or after; nothing else is published.
        self.word.fetch_or(AccountWord::closed().into_bits(), Ordering::Relaxed);
    }

    /// Waits until nothing is in flight. Once the budget is closed, and all allowances have ended,
    /// nobody gets a byte after that.
    pub fn wait_until_settled(&self) {
        let _ = self.settled_free_bytes();
    }

    /// Whether the budget is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.word().is_closed()
    }

    /// What is free when the word is this.
    fn free_of(&self, word: AccountWord) -> u64 {
        word.budget_free_bytes().saturating_sub(self.overdraft.bytes())
    }

    fn word(&self) -> AccountWord {
        // ORDERING: Acquire. A request that refuses on the strength of it reads an account again
        // (Protocol, 3), and must see what an undone request gave back to it.
        AccountWord::from_bits(read(&self.word, Ordering::Acquire))
    }

    fn exchange(
        &self,
        bytes: u64,
        turn: QueuePosition,
        next: impl Fn(AccountWord) -> AccountWord,
    ) -> Result<AccountWord, Refused> {
        let mut patience = Patience::new();
        let mut word = self.word();
        loop {
            let free = self.free_of(word);
            if word.is_closed() {
                return Err(Refused::Closed);
            }
            if bytes > 0 && turn.yields() && word.is_awaited() {
                return Err(Refused::Turn { level: 0 });
            }
            if bytes > free && !word.has_in_flight() {
                return Err(Refused::Budget { free });
            }
            if bytes > free || word.is_crowded() {
                patience.wait();
                word = self.word();
                continue;
            }
            let reserved = next(word);
            match self.word.compare_exchange_weak(
                word.into_bits(),
                reserved.into_bits(),
                // ORDERING: Acquire. Pairs with the Release of `release` and `undo`: the memory
                // that the credit stands for is there (Protocol, 1).
                Ordering::Acquire,
                // ORDERING: Acquire. As in `word`.
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(reserved),
                Err(now) => word = AccountWord::from_bits(now),
            }
        }
    }

    fn note_peak(&self, word: AccountWord) {
        let free = word.budget_free_bytes();
        self.watch.look(free);
        let bytes = self.limit().saturating_sub(free);
        if bytes > self.peak_bytes() && !word.has_in_flight() {
            // ORDERING: Relaxed. A number to show; the maximum is kept whatever the order.
            self.peak.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

impl Parent for Budget {
    fn limit_max(&self) -> u64 {
        self.limit_max
    }

    fn free_bytes(&self) -> Option<u64> {
        let word = self.word();
        let is_kept_back = word.is_awaited() || word.is_closed() || self.drainers.are_any();
        (!is_kept_back).then(|| self.free_of(word))
    }

    fn settled_free_bytes(&self) -> u64 {
        let mut patience = Patience::new();
        loop {
            let word = self.word();
            if !word.has_in_flight() {
                return if word.is_awaited() { 0 } else { self.free_of(word) };
            }
            patience.wait();
        }
    }

    fn is_closed(&self) -> bool {
        self.word().is_closed()
    }

    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused> {
        self.exchange(bytes, turn, |word| word.taken(bytes).begun_again()).map(drop)
    }

    fn settle(&self) {
        // ORDERING: Release. A thread that finds nothing in flight after closing sees what the
        // accounts got (`wait_until_settled`).
        let old = self.word.fetch_sub(IN_FLIGHT, Ordering::Release);
        self.note_peak(AccountWord::from_bits(old - IN_FLIGHT));
    }

    fn undo(&self, bytes: u64) -> HasWaiters {
        // ORDERING: Release. What it took and gave back, of memory and of its account, happens
        // before the next reservation (Protocol, 1 and 2).
        let back = bytes.wrapping_sub(IN_FLIGHT);
        let old = self.word.fetch_add(back, Ordering::Release);
        self.note_peak(AccountWord::from_bits(old.wrapping_add(back)));
        HasWaiters::new(AccountWord::from_bits(old).is_awaited())
    }

    fn release(&self, bytes: u64) -> HasWaiters {
        // ORDERING: Release. The memory was given back before (Protocol, 1).
        let old = AccountWord::from_bits(self.word.fetch_add(bytes, Ordering::Release));
        let free = old.budget_free_bytes() + bytes;
        debug_assert!(free <= self.limit_max, "credit beyond the limit");
        self.watch.look(free);
        HasWaiters::new(old.is_awaited())
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        debug_assert_eq!(level, 0, "nothing is above the budget");
        set_awaited(&self.word, awaited);
        self.watch.tell();
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::sync::Arc;

    use crate::base::sync::Mutex;

    use super::*;

    #[test]
    fn it_gives_out_its_limit_and_not_a_byte_more() {
        let budget = Budget::new(100);
        assert_eq!(budget.reserve(101), Err(Refused::Budget { free: 100 }));
        assert_eq!(budget.reserve(60), Ok(()));
        assert_eq!(budget.reserve(41), Err(Refused::Budget { free: 40 }));
        assert_eq!(budget.reserve(40), Ok(()));
        assert_eq!(budget.reserve(1), Err(Refused::Budget { free: 0 }));
        let _ = budget.release(60);
        assert_eq!((budget.free_bytes(), budget.peak_bytes()), (60, 100));
    }

    #[test]
    fn a_limit_that_changes_takes_what_is_reserved_and_gives_what_is_there() {
        let budget = Budget::growing(100, 150);
        budget.reserve(60).unwrap();
        budget.raise(50);
        assert_eq!((budget.limit(), budget.free_bytes(), budget.reserved_bytes()), (150, 40, 110));
        assert_eq!(budget.reserve(41), Err(Refused::Budget { free: 40 }), "nothing is there yet");
        assert_eq!(budget.add(50), HasWaiters::NO);
        assert_eq!((budget.free_bytes(), budget.reserved_bytes()), (90, 60));
        budget.reserve(80).unwrap();
        budget.retire(80);
        assert_eq!((budget.limit(), budget.free_bytes(), budget.reserved_bytes()), (70, 10, 60));
        let _ = budget.release(60);
        assert_eq!((budget.free_bytes(), budget.limit_max()), (70, 150));
    }

    #[test]
    fn a_closed_budget_refuses_and_still_takes_back() {
        let budget = Budget::new(100);
        budget.reserve(60).unwrap();
        budget.close();
        assert_eq!(budget.reserve(1), Err(Refused::Closed));
        let _ = budget.release(60);
        assert_eq!((budget.is_closed(), budget.reserved_bytes()), (true, 0));
    }

    #[test]
    fn the_peak_does_not_count_what_was_undone() {
        let budget = Budget::new(100);
        budget.begin(80, QueuePosition::LAST).unwrap();
        let _ = budget.undo(80);
        assert_eq!((budget.peak_bytes(), budget.free_bytes()), (0, 100));
        budget.begin(70, QueuePosition::LAST).unwrap();
        budget.settle();
        assert_eq!((budget.peak_bytes(), budget.free_bytes()), (70, 30));
    }

    #[test]
    fn while_it_is_awaited_it_gives_to_those_whose_turn_it_is() {
        let budget = Budget::new(100);
        budget.reserve(60).unwrap();
        assert_eq!(budget.release(10), HasWaiters::NO);
        budget.set_awaited(0, HasWaiters::YES);
        assert_eq!(budget.reserve(1), Err(Refused::Turn { level: 0 }));
        assert_eq!(budget.begin(0, QueuePosition::LAST), Ok(()), "nothing is nobody's turn");
        assert_eq!(budget.undo(0), HasWaiters::YES);
        assert_eq!((budget.free_bytes(), Parent::free_bytes(&budget)), (50, None));
        assert_eq!(budget.begin(50, QueuePosition::FIRST), Ok(()));
        budget.settle();
        assert_eq!(budget.begin(1, QueuePosition::FIRST), Err(Refused::Budget { free: 0 }));
        assert_eq!(budget.release(20), HasWaiters::YES);
        budget.set_awaited(0, HasWaiters::NO);
        assert_eq!(budget.reserve(20), Ok(()));
    }

    #[test]
    fn what_is_overdrawn_counts_as_taken_until_it_is_paid() {
        let budget = Budget::new(100);
        budget.reserve(90).unwrap();
        assert_eq!(budget.overdraw(15), 15);
        assert_eq!((budget.free_bytes(), budget.free_bytes_with(8)), (0, 3));
        assert_eq!(budget.reserve(1), Err(Refused::Budget { free: 0 }));
        assert_eq!(budget.reserve(0), Ok(()), "nothing is always there");
        let _ = budget.release(20);
        assert_eq!(budget.reserve(16), Err(Refused::Budget { free: 15 }));
        assert_eq!((Parent::free_bytes(&budget), budget.settled_free_bytes()), (Some(15), 15));
        assert_eq!(budget.begin(15, QueuePosition::LAST), Ok(()));
        budget.settle();
        assert_eq!((budget.pay_overdraft(15), budget.free_bytes()), (HasWaiters::NO, 15));
        budget.set_awaited(0, HasWaiters::YES);
        budget.overdraw(1);
        assert_eq!((budget.pay_overdraft(1), budget.overdrawn_bytes()), (HasWaiters::YES, 0));
        assert_eq!((budget.reserved_bytes(), budget.peak_bytes()), (85, 90));
    }

    #[test]
    fn whoever_watches_is_called_when_a_bound_is_passed() {
        let (budget, calls) = (Budget::new(100), Arc::new(Mutex::new(0)));
        budget.watch({
            let calls = Arc::clone(&calls);
            move || *calls.lock().unwrap() += 1
        });
        let calls = || *calls.lock().unwrap();
        budget.reserve(60).unwrap();
        budget.set_bounds(50, 70);
        let _ = budget.release(10);
        assert_eq!(calls(), 0, "50 bytes are within the bounds");
        let _ = budget.release(1);
        assert_eq!(calls(), 1);
        budget.set_bounds(40, 70);
        budget.reserve(21).unwrap();
        assert_eq!(calls(), 1, "70 bytes are within the bounds");
        budget.begin(1, QueuePosition::LAST).unwrap();
        budget.settle();
        assert_eq!(calls(), 2);
        budget.set_awaited(0, HasWaiters::YES);
        assert_eq!(calls(), 3, "somebody waits");
    }
}
