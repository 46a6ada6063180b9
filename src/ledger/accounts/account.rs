//! What one owner holds, under a limit and with a guaranteed minimum of its own.

use crate::base::sync::{AtomicU64, Ordering, Patience, read};

use crate::ledger::budget::{
    AccountWord, CHANGE, Credit, Drainers, FirstCharge, HasWaiters, IN_FLIGHT, Parent,
    QueuePosition, Refused, opened, set_awaited, tell_of_paid,
};

use crate::ledger::overdraft::Overdraft;

use super::allowance::Allowance;
use super::allowance_word::AllowanceWord;
use super::guarantee::Guarantee;

/// The bytes that one owner holds, and those that depend on it.
///
/// All fields are atomics, although some of them never change. A thread that gives bytes back may
/// see the account freed by another before it returns. The compiler does not expect a reference to
/// nothing but atomics to stay valid for a whole call (`Arc` rests on the same).
pub struct Account {
    pub(super) word: AtomicU64,
    /// [`UNLIMITED`] if it never refuses before the parent does.
    pub(super) limit: AtomicU64,
    pub(super) guarantee: Guarantee,
    drainers: Drainers,
    pub(super) allowance: Allowance,
    /// The bytes that it, and those that depend on it, hold beyond a limit.
    overdraft: Overdraft,
    /// The highest limit that it ever had.
    pub(super) limit_max: AtomicU64,
}

/// The limit of an account that takes whatever its parent grants.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// A request in flight: counted, and to be settled or undone.
#[must_use = "a request that is neither settled nor undone blocks every refusal"]
#[derive(Debug)]
pub struct InFlight {
    bytes: u64,
    source: Source,
}

/// Where a request in flight is counted, beside its account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Allowance,
    Parent,
}

impl Account {
    /// An account that may hold `limit` bytes, with `minimum` of them reserved in `parent`. A
    /// minimum that is not 0 may change later.
    ///
    /// # Errors
    ///
    /// If `parent` has fewer than `minimum` bytes free.
    pub fn open(parent: &impl Parent, minimum: u64, limit: u64) -> Result<Self, Refused> {
        debug_assert!(minimum <= limit);
        parent.begin(minimum, QueuePosition::LAST)?;
        parent.settle();
        let account = Self::without_minimum(Self::limit_below(parent, limit));
        let guarantee = if minimum > 0 { Guarantee::of(minimum) } else { Guarantee::none() };
        let limit_max = AtomicU64::new(limit.min(parent.limit_max()));
        Ok(Self { guarantee, limit_max, ..account })
    }

    /// An account that may hold `limit` bytes, none of them guaranteed; `u64::MAX` for whatever its
    /// parent grants.
    #[must_use]
    pub fn without_minimum(limit: u64) -> Self {
        let [word, limit, limit_max] = [0, limit, limit].map(AtomicU64::new);
        let (guarantee, allowance) = (Guarantee::none(), Allowance::new(0));
        let (drainers, overdraft) = (Drainers::none(), Overdraft::none());
        Self { word, limit, guarantee, drainers, allowance, overdraft, limit_max }
    }

    /// The same account, with an allowance of up to twice `quantum` bytes, if that is not 0: bytes
    /// that it took from its parent and does not use. It is not open yet.
    #[must_use]
    pub fn with_allowance(mut self, quantum: u64) -> Self {
        self.allowance = Allowance::new(quantum);
        self
    }

    /// Ends the guarantee: the minimum goes back to `parent` at once, or with the last byte that is
    /// held. Nothing may be taken any more. A second time does nothing.
    pub fn close(&self, parent: &impl Parent) -> HasWaiters {
        // ORDERING: Acquire. Pairs with the Release in `give_back`: the memory of the minimum was
        // given back before, and is passed on with the credit below.
        let old = self.word.fetch_or(AccountWord::closed().into_bits(), Ordering::Acquire);
        let old = AccountWord::from_bits(old);
        let was_closed = old.is_closed();
        match old.reserved_bytes() {
            // Nobody changes it now: that takes a handle on the owner.
            0 if !was_closed => parent.release(self.guarantee.bytes_at(old)),
            _ => HasWaiters::NO,
        }
    }

    /// Those that bring back what is kept at hand by it and by those below it (Protocol, 9).
    pub fn drainers(&self) -> &Drainers {
        &self.drainers
    }

    /// Whether the allowance is to be opened, once drainers find it: there is plenty again.
    #[must_use]
    pub fn may_open_allowance(&self, parent: &impl Parent) -> bool {
        self.allowance.may_open(parent)
    }

    /// Lets the allowance be used, if there is plenty. Drainers found it before.
    pub fn open_allowance(&self, parent: &impl Parent) -> HasWaiters {
        self.allowance.open(parent)
    }

    /// Gives the allowance back to `parent`, from which everything is taken until all drainers have
    /// let go of it and there is plenty again; `None` if one more drainer cannot be counted.
    pub fn collect_allowance(&self, parent: &impl Parent) -> Option<HasWaiters> {
        self.allowance.hold(parent)
    }

    /// Lets the allowance be used again, after the attempt that it was collected for.
    pub fn let_go_of_allowance(&self) {
        self.allowance.let_go();
    }

    /// Gives the allowance back to `parent`, and has none from now on.
    pub fn end_allowance(&self, parent: &impl Parent) -> HasWaiters {
        self.allowance.collect(parent, AllowanceWord::sealed())
    }

    /// The bytes that it took from its parent and does not use.
    #[must_use]
    pub fn allowance_bytes(&self) -> u64 {
        self.allowance.bytes()
    }

    /// The bytes held, those of requests in flight among them.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.word().reserved_bytes()
    }

    /// What the account takes up of its parent: what it holds, what it is guaranteed, and its
    /// allowance.
    #[must_use]
    pub fn charged_bytes(&self) -> u64 {
        let word = self.word();
        word.reserved_bytes().max(self.guaranteed_at(word)) + self.allowance_bytes()
    }

    /// The bytes that its parent keeps for it: the minimum, until that has ended.
    #[must_use]
    pub fn guaranteed_bytes(&self) -> u64 {
        self.guaranteed_at(self.word())
    }

    fn guaranteed_at(&self, word: AccountWord) -> u64 {
        let ended = word.is_closed() && word.reserved_bytes() == 0;
        if ended { 0 } else { self.guarantee.bytes_at(word) }
    }

    /// The bytes that are guaranteed now.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        if self.is_adjustable() { self.guarantee.bytes_at(self.word()) } else { 0 }
    }

    /// The most bytes it may hold now, whatever its parent may; `u64::MAX` if that is all.
    #[must_use]
    pub fn limit(&self) -> u64 {
        // ORDERING: Acquire. Pairs with the Release in `set_limit`: a request that is refused by it
        // reads the word again, and sees what was given back before the limit fell.
        self.limit.load(Ordering::Acquire)
    }

    /// The highest limit that it ever had: it holds no more than that.
    #[must_use]
    pub fn limit_max(&self) -> u64 {
        // ORDERING: Relaxed. A number to check with.
        self.limit_max.load(Ordering::Relaxed)
    }

    /// The bytes that may be left of the guaranteed ones: all of them while a request is in flight,
    /// which may hold some and fail.
    #[must_use]
    pub fn unused_minimum(&self) -> u64 {
        let (word, minimum) = (self.word(), self.minimum());
        let used = if word.has_in_flight() { 0 } else { word.reserved_bytes() };
        minimum.saturating_sub(used)
    }

    /// The bytes that it, and those that depend on it, hold beyond a limit.
    #[must_use]
    pub fn overdraft(&self) -> &Overdraft {
        &self.overdraft
    }

    /// Takes `bytes` off that were overdrawn (`overdraft`, 4).
    pub fn pay_overdraft(&self, bytes: u64) -> HasWaiters {
        self.overdraft.pay(bytes);
        tell_of_paid(&self.word)
    }

    /// The bytes it could take at a moment at which no request is in flight at its parent.
    #[must_use]
    pub fn settled_free_bytes(&self, parent: &impl Parent) -> u64 {
        let is_awaited = self.word().is_awaited();
        self.free_bytes_with(if is_awaited { 0 } else { parent.settled_free_bytes() }, 0)
    }

    /// The bytes it could take now, had it given `returned` bytes back, and had its parent
    /// `parent_bytes` for it.
    #[must_use]
    pub fn free_bytes_with(&self, parent_bytes: u64, returned: u64) -> u64 {
        let used = self.used_bytes().saturating_sub(returned);
        let guaranteed = self.minimum().saturating_sub(used);
        // Also without a limit, what is overdrawn counts against all that there can be.
        let left = self
            .limit()
            .min(self.limit_max())
            .saturating_sub(used)
            .saturating_sub(self.overdraft.bytes());
        (guaranteed + parent_bytes).min(left)
    }

    /// The bytes it could take now; `None` while nothing is to be kept at hand: as [`Parent`].
    #[must_use]
    pub fn free_bytes(&self, parent: &impl Parent) -> Option<u64> {
        let free = self.free_bytes_with(parent.free_bytes()?, 0);
        let is_spoken_for = self.word().is_awaited() || self.drainers.are_any();
        (!is_spoken_for).then_some(free)
    }

    /// Says that a request waits for what is given back here, or at a level above, or no longer.
    pub fn set_awaited(&self, parent: &impl Parent, level: u32, awaited: HasWaiters) {
        match level.checked_sub(1) {
            None => set_awaited(&self.word, awaited),
            Some(above) => parent.set_awaited(above, awaited),
        }
    }

    /// What of `returned` bytes would go back to the parent.
    #[must_use]
    pub fn credit_of(&self, returned: u64) -> u64 {
        let used = self.used_bytes();
        let returned = returned.min(used);
        share_of(self.minimum(), used - returned, returned)
    }

    /// Takes `bytes` for good.
    ///
    /// # Errors
    ///
    /// If the limit or the parent does not allow it, others are first in line, or the budget is
    /// closed.
    pub fn reserve(
        &self,
        parent: &impl Parent,
        bytes: u64,
        turn: QueuePosition,
    ) -> Result<FirstCharge, Refused> {
        let (source, opened) = if self.is_adjustable() || self.limit() != UNLIMITED {
            self.raise(parent, bytes, turn, AccountWord::reserved)?
        } else {
            // Nothing of our own can refuse.
            let source = self.begin_at(parent, bytes, turn)?;
            // ORDERING: Relaxed. The parent's Acquire found the memory; this is the count.
            let old = self.word.fetch_add(CHANGE.wrapping_add(bytes), Ordering::Relaxed);
            (source, opened(AccountWord::from_bits(old), bytes))
        };
        // In flight until here, so that a thread that closes the budget knows when it is over.
        self.settle_at(parent, source);
        Ok(opened)
    }

    /// Takes `bytes` for a request that may still fail.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn begin(
        &self,
        parent: &impl Parent,
        bytes: u64,
        turn: QueuePosition,
    ) -> Result<(InFlight, FirstCharge), Refused> {
        let (source, opened) = self.raise(parent, bytes, turn, AccountWord::begun)?;
        Ok((InFlight { bytes, source }, opened))
    }

    /// The request got what it asked for.
    pub fn settle(&self, parent: &impl Parent, tentative: InFlight) {
        self.land();
        self.settle_at(parent, tentative.source);
    }

    /// The request failed: everything is as if it had not been made.
    pub fn undo(&self, parent: &impl Parent, tentative: InFlight) -> Credit {
        let InFlight { bytes, source } = tentative;
        self.give_back(bytes, bytes + IN_FLIGHT, |share| self.undo_at(parent, source, share))
    }

    /// Takes `bytes` for a request of a child that may still fail: as [`Parent::begin`].
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn begin_for_child(
        &self,
        parent: &impl Parent,
        bytes: u64,
        turn: QueuePosition,
    ) -> Result<FirstCharge, Refused> {
        // Not from the allowance: what is taken there is undone there, and that would have to be
        // remembered for every level.
        let granted = |share| {
            parent.begin(share, turn.above()).map_err(Refused::by_parent)?;
            Ok(Source::Parent)
        };
        self.raise_by(parent, bytes, turn, AccountWord::begun, granted).map(|(_, opened)| opened)
    }

    /// The request of a child got what it asked for: as [`Parent::settle`].
    pub fn settle_for_child(&self, parent: &impl Parent) {
        self.land();
        parent.settle();
    }

    /// The request of a child failed: as [`Parent::undo`].
    pub fn undo_for_child(&self, parent: &impl Parent, bytes: u64) -> Credit {
        self.give_back(bytes, bytes + IN_FLIGHT, |share| parent.undo(share))
    }

    /// Goes from one word to the next, with what that takes from the allowance or the parent.
    fn raise(
        &self,
        parent: &impl Parent,
        bytes: u64,
        turn: QueuePosition,
        next: impl Fn(AccountWord, u64) -> AccountWord,
    ) -> Result<(Source, FirstCharge), Refused> {
        self.raise_by(parent, bytes, turn, next, |share| self.begin_at(parent, share, turn))
    }

    /// Has the parent grant, in flight, what `bytes` more take of it; then the word (Protocol, 3).
    fn raise_by(
        &self,
        parent: &impl Parent,
        bytes: u64,
        turn: QueuePosition,
        next: impl Fn(AccountWord, u64) -> AccountWord,
        granted: impl Fn(u64) -> Result<Source, Refused>,
    ) -> Result<(Source, FirstCharge), Refused> {
        let mut patience = Patience::new();
        let visit = self.is_adjustable().then(|| self.guarantee.visit());
        loop {
            let word = self.word();
            let minimum = visit.as_ref().map_or(0, |_| self.guarantee.bytes_at(word));
            let share = match &visit {
                None => bytes,
                Some(_) => share_of(minimum, word.reserved_bytes(), bytes),
            };
            if word.is_closed() {
                return Err(Refused::Closed);
            }
            // A request in flight that fails may give back what is within the minimum. That is
            // nobody's turn.
            let may_be_promised = minimum > 0 && word.has_in_flight();
            let is_others_turn = word.is_awaited() && turn.yields() && share > 0;
            if is_others_turn && !may_be_promised {
                return Err(Refused::Turn { level: 0 }.unless_closed(parent));
            }
            // A limit of all there is never refuses before the parent does, if that is asked.
            let all = if share > 0 { u64::MAX } else { parent.limit_max() };
            let free = word.free_bytes(self.limit().min(all));
            let free = free.saturating_sub(self.overdraft.bytes());
            let within_limit = bytes <= free;
            // One word says it all, at one moment (Protocol, 2): that at which the limit was read.
            if !within_limit && !word.has_in_flight() && self.word() == word {
                return Err(Refused::Account { free, level: 0 }.unless_closed(parent));
            }
            if is_others_turn || !within_limit || word.is_crowded() {
                patience.wait();
                continue;
            }
            let source = match granted(share) {
                Ok(source) => source,
                Err(refused) if visit.is_none() || self.stands(refused, word, may_be_promised) => {
                    return Err(refused);
                }
                Err(_) => {
                    patience.wait();
                    continue;
                }
            };
            match self.word.compare_exchange(
                word.into_bits(),
                next(word, bytes).changed().into_bits(),
                // ORDERING: AcqRel. Release: a thread that reads this word sees what the parent
                // granted for it (above). Acquire: should the version have come round to the same
                // value since we read it, what was given back since is seen, too.
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop reads it again.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok((source, opened(word, bytes))),
                Err(_) => {
                    // A request that waits there waits for those in flight (Protocol, 7).
                    let _: HasWaiters = self.undo_at(parent, source, share);
                }
            }
        }
    }

    /// Whether a refusal of the parent stands, of an account with a minimum that had `word` before.
    /// What it needs of its parent depends on what it holds. So it must have held the same all the
    /// while.
    fn stands(&self, refused: Refused, word: AccountWord, may_be_promised: bool) -> bool {
        let is_turn = matches!(refused, Refused::Turn { .. });
        let is_last = refused == Refused::Closed;
        is_last || self.word() == word && !(is_turn && may_be_promised)
    }

    /// Takes `share` from the allowance, or else from the parent, for a request in flight.
    fn begin_at(
        &self,
        parent: &impl Parent,
        share: u64,
        turn: QueuePosition,
    ) -> Result<Source, Refused> {
        if self.allowance.begin(share) {
            return Ok(Source::Allowance);
        }
        if !self.ask_for_more(parent, share, turn.above()) {
            parent.begin(share, turn.above()).map_err(Refused::by_parent)?;
        }
        Ok(Source::Parent)
    }

    /// Takes `bytes` from the parent for a request in flight there, and a quantum for the
    /// allowance; whether it is time for that, and there is as much.
    fn ask_for_more(&self, parent: &impl Parent, bytes: u64, turn: QueuePosition) -> bool {
        let quantum = self.allowance.quantum_of(parent);
        let asked = quantum > 0 && parent.begin(bytes + quantum, turn).is_ok();
        if asked {
            // Should it go back at once: we are in flight there, and requests that wait wait for
            // that.
            let _: HasWaiters = self.allowance.keep(parent, quantum);
        }
        asked
    }

    /// A request is in flight no longer, or a thread that gave bytes back.
    pub(super) fn land(&self) {
        // ORDERING: Release. A thread that finds nothing in flight may write the place that was
        // read in flight (`guarantee`, 3).
        self.word.fetch_sub(IN_FLIGHT, Ordering::Release);
    }

    fn settle_at(&self, parent: &impl Parent, source: Source) {
        match source {
            Source::Allowance => self.allowance.settle(),
            Source::Parent => parent.settle(),
        }
    }

    fn undo_at(&self, parent: &impl Parent, source: Source, share: u64) -> HasWaiters {
        match source {
            Source::Allowance => {
                self.allowance.undo(share);
                HasWaiters::NO
            }
            Source::Parent => parent.undo(share),
        }
    }

    pub(super) fn word(&self) -> AccountWord {
        // ORDERING: Acquire. Pairs with the Release in `raise_by`: what the parent had granted by
        // then is seen when the parent is read next. And with the Release in `give_back`: what
        // was given back within the minimum never passed through the parent.
        AccountWord::from_bits(read(&self.word, Ordering::Acquire))
    }
}

/// What of `used` bytes is taken from the parent (Protocol, 3).
const fn beyond(minimum: u64, used: u64) -> u64 {
    used.saturating_sub(minimum)
}

/// What `bytes` on top of `used` take from the parent.
pub(super) const fn share_of(minimum: u64, used: u64, bytes: u64) -> u64 {
    beyond(minimum, used + bytes) - beyond(minimum, used)
}

#[cfg(all(test, not(offheap_loom)))]
#[path = "account_tests.rs"]
mod tests;
