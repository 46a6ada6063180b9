//! What a parent granted to one account beyond what it uses: accounts that are used by different
//! threads take from their own, in between, and share no counter.
//!
//! # Protocol
//!
//! 1. As with an account, giving is Release and taking is Acquire on the same word. So a thread
//!    that takes bytes finds the memory for them. A request that may still fail is in flight.
//! 2. Before a request is refused, a drainer shuts the allowance, counts itself among its drainers,
//!    waits until nothing is in flight, and credits the parent with what is there. While it is shut
//!    nothing is given or taken; what comes back goes to the parent. So the parent then says what
//!    is free. Nobody opens it before the last of its drainers lets go of it.
//! 3. It is open only while there is plenty, and nobody waits for any of it: requests that wait do
//!    not see what comes back to an open allowance. A request that begins to wait marks what it
//!    waits for, and then has every allowance drained. A thread that opens one looks whether it
//!    may, opens, and looks again. If the drainer was there in between, this second look finds the
//!    mark, since emptying is Release and opening is Acquire. Then it shuts it again, and collects.
//!    Before all that it lets drainers find the allowance (`budget`, 9).
//! 4. What is on its way back to the parent for other reasons is in flight *there*, so that nobody
//!    is refused for it.
//! 5. A thread that shuts it waits for what is in flight here. So a request in flight gives nothing
//!    to an allowance before it is settled or undone: what it does not need goes to the parent.

use crate::base::sync::{AtomicU64, Ordering, Patience, read};

use crate::ledger::budget::{HasWaiters, Parent, QueuePosition};

use super::allowance_word::{AllowanceWord, DRAINER, IN_FLIGHT};

/// Bytes of its parent's that one account may take without asking.
pub(crate) struct Allowance {
    word: AtomicU64,
    /// The bytes asked of the parent beyond what is needed, 0 for none: more than twice as many are
    /// not kept. It never changes.
    quantum: AtomicU64,
}

/// How many times the quantum must be free for the parent to grant one.
const FREE_PER_QUANTUM: u64 = 16;

impl Allowance {
    pub(crate) fn new(quantum: u64) -> Self {
        Self {
            word: AtomicU64::new(AllowanceWord::SHUT.into_bits()),
            quantum: AtomicU64::new(quantum),
        }
    }

    fn quantum(&self) -> u64 {
        // ORDERING: Relaxed. It never changes.
        self.quantum.load(Ordering::Relaxed)
    }

    /// The bytes at hand.
    pub(crate) fn bytes(&self) -> u64 {
        self.word().bytes()
    }

    /// Takes `bytes` for a request in flight, to be settled or undone; whether there were as many.
    pub(crate) fn begin(&self, bytes: u64) -> bool {
        self.quantum() > 0 && self.exchange(|word| word.begun(bytes)).is_some()
    }

    /// A request in flight keeps its bytes.
    pub(crate) fn settle(&self) {
        // ORDERING: Release. As in `Budget::settle`.
        self.word.fetch_sub(IN_FLIGHT, Ordering::Release);
    }

    /// A request in flight gives `bytes` back.
    pub(crate) fn undo(&self, bytes: u64) {
        // ORDERING: Release. As in `Budget::undo`.
        self.word.fetch_add(bytes.wrapping_sub(IN_FLIGHT), Ordering::Release);
    }

    /// Gives `bytes` back, to `parent` if they may not be kept here.
    pub(crate) fn give(&self, parent: &impl Parent, bytes: u64) -> HasWaiters {
        let quantum = self.quantum();
        if quantum == 0 || bytes > 2 * quantum {
            return parent.release(bytes);
        }
        match self.exchange(|word| word.given(bytes)) {
            None => parent.release(bytes),
            Some(word) if word.bytes() > 2 * quantum => self.give_surplus(parent),
            Some(_) => HasWaiters::NO,
        }
    }

    /// What to ask of `parent` beyond what is needed.
    pub(crate) fn quantum_of(&self, parent: &impl Parent) -> u64 {
        if !self.word().is_shut() && self.has_plenty(parent) { self.quantum() } else { 0 }
    }

    /// Keeps a quantum that `parent` just granted.
    pub(crate) fn keep(&self, parent: &impl Parent, quantum: u64) -> HasWaiters {
        if self.exchange(|word| word.given(quantum)).is_none() {
            return parent.release(quantum);
        }
        HasWaiters::NO
    }

    /// Shuts it for a drainer, and credits `parent` (Protocol, 2); `None` if there are too many.
    pub(crate) fn hold(&self, parent: &impl Parent) -> Option<HasWaiters> {
        self.exchange(AllowanceWord::held)?;
        Some(self.bring_back(parent))
    }

    /// The same because the owner goes, or for want of plenty.
    pub(crate) fn collect(&self, parent: &impl Parent, end: AllowanceWord) -> HasWaiters {
        // ORDERING: Relaxed. What takes the bytes out acquires; nothing is done before.
        self.word.fetch_or(end.into_bits(), Ordering::Relaxed);
        self.bring_back(parent)
    }

    /// Credits `parent` with what is there, once nothing is in flight.
    fn bring_back(&self, parent: &impl Parent) -> HasWaiters {
        let mut patience = Patience::new();
        // Unless another one opens what was shut for want of plenty: it looked after we did.
        while self.word().is_shut() && self.word().has_in_flight() {
            patience.wait();
        }
        // Also if there is nothing: taking it acquires what is in flight of the thread that took
        // it.
        match parent.begin(0, QueuePosition::LAST) {
            Ok(()) => parent.undo(self.take_all()),
            // It is closed: nobody is refused for want of these.
            Err(_) => parent.release(self.take_all()),
        }
    }

    /// A drainer that has it lets go, after the attempt that it was collected for.
    pub(crate) fn let_go(&self) {
        // ORDERING: Relaxed. A thread that opens it acquires, by way of this, what was before it
        // was emptied (Protocol, 3), and nothing else is published.
        self.word.fetch_sub(DRAINER, Ordering::Relaxed);
    }

    /// Takes all there is, of an allowance that is shut, or whose account is closed.
    pub(crate) fn take_all(&self) -> u64 {
        let mut word = self.word();
        loop {
            match self.replace(word, word.emptied()) {
                Ok(()) => return word.bytes(),
                Err(now) => word = now,
            }
        }
    }

    /// Whether it is shut for no reason that lasts, and there is plenty.
    pub(crate) fn may_open(&self, parent: &impl Parent) -> bool {
        self.quantum() > 0 && self.word().opened().is_some() && self.has_plenty(parent)
    }

    /// Opens what is new, or was shut for a drainer, if there is plenty (Protocol, 3).
    pub(crate) fn open(&self, parent: &impl Parent) -> HasWaiters {
        let opened = self.has_plenty(parent) && self.exchange(AllowanceWord::opened).is_some();
        if opened && !self.has_plenty(parent) {
            return self.collect(parent, AllowanceWord::SHUT);
        }
        HasWaiters::NO
    }

    /// Whether so much is free that some of it may be kept here.
    fn has_plenty(&self, parent: &impl Parent) -> bool {
        let enough = FREE_PER_QUANTUM * self.quantum();
        enough > 0 && parent.free_bytes().is_some_and(|free| free >= enough)
    }

    /// Gives all but a quantum back to `parent` (Protocol, 4).
    fn give_surplus(&self, parent: &impl Parent) -> HasWaiters {
        if parent.begin(0, QueuePosition::LAST).is_err() {
            // It is closed, and the thread that closed it collects this.
            return HasWaiters::NO;
        }
        let surplus = self.bytes().saturating_sub(self.quantum());
        let taken = surplus > 0 && self.exchange(|word| word.taken(surplus)).is_some();
        parent.undo(if taken { surplus } else { 0 })
    }

    /// Goes from one state to the `next`, which is returned, unless there is none.
    fn exchange(
        &self,
        next: impl Fn(AllowanceWord) -> Option<AllowanceWord>,
    ) -> Option<AllowanceWord> {
        let mut word = self.word();
        loop {
            let after = next(word)?;
            match self.replace(word, after) {
                Ok(()) => return Some(after),
                Err(now) => word = now,
            }
        }
    }

    fn replace(&self, word: AllowanceWord, next: AllowanceWord) -> Result<(), AllowanceWord> {
        let (from, to) = (word.into_bits(), next.into_bits());
        // ORDERING: AcqRel, then Relaxed. Acquire for what is taken and Release for what is given
        // (Protocol, 1). On failure the loops try again with the new value only.
        match self.word.compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(now) => Err(AllowanceWord::from_bits(now)),
        }
    }

    fn word(&self) -> AllowanceWord {
        // ORDERING: Relaxed. A thread that changes it acquires by that; others show it, or wait.
        AllowanceWord::from_bits(read(&self.word, Ordering::Relaxed))
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::ledger::budget::Budget;

    #[test]
    fn what_is_given_is_taken_without_the_budget() {
        let budget = Budget::new(1000);
        let allowance = Allowance::new(10);
        let _ = allowance.open(&budget);
        budget.reserve(30).unwrap();
        let _ = allowance.give(&budget, 15);
        assert_eq!((allowance.bytes(), budget.reserved_bytes()), (15, 30));
        assert!(allowance.begin(4) && !allowance.begin(12));
        allowance.settle();
        let _ = allowance.give(&budget, 15);
        assert_eq!((allowance.bytes(), budget.reserved_bytes()), (10, 14), "a surplus goes back");
    }

    #[test]
    fn what_is_collected_goes_to_the_budget_until_there_is_plenty() {
        let budget = Budget::new(1000);
        let allowance = Allowance::new(10);
        let _ = allowance.open(&budget);
        budget.reserve(1000).unwrap();
        let _ = allowance.give(&budget, 10);
        let _ = allowance.hold(&budget).unwrap();
        allowance.let_go();
        assert_eq!((allowance.bytes(), budget.free_bytes()), (0, 10));
        let _ = allowance.give(&budget, 10);
        assert_eq!((allowance.bytes(), budget.free_bytes()), (0, 20), "it is shut");
        assert_eq!(allowance.quantum_of(&budget), 0);
        assert!(!allowance.may_open(&budget), "there is not enough");
        let _ = budget.release(300);
        assert!(allowance.may_open(&budget));
        let _ = allowance.open(&budget);
        assert!(!allowance.may_open(&budget), "it is open");
        let _ = allowance.give(&budget, 10);
        assert_eq!((allowance.bytes(), budget.free_bytes()), (10, 320));
        let _ = allowance.collect(&budget, AllowanceWord::sealed());
        assert!(!allowance.may_open(&budget), "it is sealed");
        let _ = allowance.open(&budget);
        let _ = allowance.give(&budget, 10);
        assert_eq!(allowance.bytes(), 0, "it is sealed");
    }

    #[test]
    fn it_stays_shut_while_a_drainer_has_it_or_is_at_work_above() {
        let budget = Budget::new(1000);
        let allowance = Allowance::new(10);
        let is_open = || {
            let _ = allowance.open(&budget);
            let is_open = !allowance.word().is_shut();
            let _ = allowance.collect(&budget, AllowanceWord::SHUT);
            is_open
        };
        assert!(is_open());
        let [_, _] = [0; 2].map(|_| allowance.hold(&budget).unwrap());
        allowance.let_go();
        assert!(!is_open() && !allowance.may_open(&budget), "the other drainer has it");
        allowance.let_go();
        assert!(is_open() && allowance.may_open(&budget));
        budget.drainers().begin();
        budget.drainers().begin();
        budget.drainers().end();
        assert!(!is_open() && !allowance.may_open(&budget), "the other drainer is at work");
        budget.drainers().end();
        assert!(is_open());
        budget.close();
        assert!(!is_open(), "nothing is free any more");
    }

    #[test]
    fn a_request_in_flight_comes_back_or_stays() {
        let budget = Budget::new(2000);
        let allowance = Allowance::new(100);
        let _ = allowance.open(&budget);
        budget.reserve(100).unwrap();
        let _ = allowance.give(&budget, 100);
        assert!(allowance.begin(60) && allowance.begin(40) && !allowance.begin(1));
        allowance.undo(60);
        allowance.settle();
        assert_eq!(allowance.bytes(), 60);
        let _ = allowance.hold(&budget).unwrap();
        assert_eq!(budget.free_bytes(), 1960);
    }

    #[test]
    fn what_is_more_than_twice_the_quantum_goes_past_it() {
        let budget = Budget::new(1000);
        let allowance = Allowance::new(10);
        let _ = allowance.open(&budget);
        budget.reserve(60).unwrap();
        let _ = allowance.give(&budget, 21);
        assert_eq!((allowance.bytes(), budget.reserved_bytes()), (0, 39));
        let _ = allowance.give(&budget, 20);
        assert_eq!((allowance.bytes(), budget.reserved_bytes()), (20, 39), "no surplus yet");
    }

    #[test]
    fn it_asks_for_a_quantum_while_it_is_open_and_there_is_plenty() {
        let budget = Budget::new(1000);
        let allowance = Allowance::new(10);
        assert_eq!(allowance.quantum_of(&budget), 0, "it is new");
        let _ = allowance.open(&budget);
        budget.reserve(1000 - 160).unwrap();
        assert_eq!(allowance.quantum_of(&budget), 10);
        budget.reserve(1).unwrap();
        assert_eq!(allowance.quantum_of(&budget), 0, "less than sixteen times as much is free");
    }
}
