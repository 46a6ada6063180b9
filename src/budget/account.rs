//! What one owner holds of a budget, under a limit and with a guaranteed minimum of its own.

use crate::sync::{AtomicU64, Ordering, Patience, read};

use super::allowance::Allowance;
use super::purse::Purse;
use super::tally::{CHANGE, IN_FLIGHT, Tally};
use super::{Budget, Refused};

/// The bytes that one owner holds.
///
/// All fields are atomics, although some of them never change: a thread that gives bytes back may
/// see the account freed by another before it returns, and a reference to nothing but atomics is
/// one that the compiler does not expect to stay valid for a whole call (`Arc` rests on the same).
pub struct Account {
    tally: AtomicU64,
    minimum: AtomicU64,
    limit: AtomicU64,
    allowance: Allowance,
}

/// Whether an account went from holding nothing to holding something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an account that begins to hold something must be kept alive from then on"]
pub enum Opened {
    /// It held nothing before.
    First,
    /// It held something already.
    Already,
}

/// Whether an account still holds something after giving bytes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an account that holds nothing is no longer kept alive"]
pub enum Kept {
    /// It holds nothing now.
    Nothing,
    /// It still holds something.
    Something,
}

/// A request in flight: counted, and to be settled or undone.
#[must_use = "a request that is neither settled nor undone blocks every refusal"]
#[derive(Debug)]
pub struct Tentative {
    bytes: u64,
    source: Source,
}

/// Where a request in flight is counted, beside its account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Allowance,
    Budget,
}

impl Account {
    /// An account that may hold `limit` bytes, with `minimum` of them reserved in `budget`.
    ///
    /// # Errors
    ///
    /// If `budget` has fewer than `minimum` bytes free.
    pub fn open(budget: &Budget, minimum: u64, limit: u64) -> Result<Self, Refused> {
        budget.reserve(minimum)?;
        debug_assert!(minimum <= limit && limit <= budget.limit());
        let [tally, minimum, limit] = [0, minimum, limit].map(AtomicU64::new);
        Ok(Self { tally, minimum, limit, allowance: Allowance::new(0) })
    }

    /// An account that may hold `limit` bytes, none of them guaranteed.
    #[must_use]
    pub fn without_minimum(limit: u64) -> Self {
        let [tally, minimum, limit] = [0, 0, limit].map(AtomicU64::new);
        Self { tally, minimum, limit, allowance: Allowance::new(0) }
    }

    /// The same account, with an allowance of up to twice `quantum` bytes, if that is not 0: bytes
    /// that it took from the budget and does not use.
    #[must_use]
    pub fn with_allowance(mut self, quantum: u64) -> Self {
        self.allowance = Allowance::new(quantum);
        self
    }

    /// Ends the guarantee: the minimum goes back to `budget` at once, or with the last byte that is
    /// held. Nothing may be taken any more.
    pub fn close(&self, budget: &Budget) {
        // ORDERING: Acquire. Pairs with the Release in `give_back`: the memory of the minimum was
        // given back before, and is passed on with the credit below.
        let old = self.tally.fetch_or(Tally::closed().into_bits(), Ordering::Acquire);
        if Tally::from_bits(old).reserved_bytes() == 0 {
            budget.release(self.minimum());
        }
    }

    /// Gives the allowance back to `budget`, from which everything is taken until it is let go of
    /// and there is plenty again.
    pub fn collect_allowance(&self, budget: &Budget) {
        self.allowance.collect(budget, Purse::held());
    }

    /// Lets the allowance be used again, after the attempt that it was collected for.
    pub fn let_go_of_allowance(&self) {
        self.allowance.let_go();
    }

    /// Gives the allowance back to `budget`, and has none from now on.
    pub fn end_allowance(&self, budget: &Budget) {
        self.allowance.collect(budget, Purse::sealed());
    }

    /// The bytes that it took from the budget and does not use.
    #[must_use]
    pub fn allowance_bytes(&self) -> u64 {
        self.allowance.bytes()
    }

    /// The bytes held, those of requests in flight among them.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.tally().reserved_bytes()
    }

    /// What the account takes up of its budget: what it holds, what it is guaranteed, and its
    /// allowance.
    #[must_use]
    pub fn charged_bytes(&self) -> u64 {
        let tally = self.tally();
        let ended = tally.is_closed() && tally.reserved_bytes() == 0;
        let guaranteed = if ended { 0 } else { self.minimum() };
        tally.reserved_bytes().max(guaranteed) + self.allowance_bytes()
    }

    /// The guaranteed bytes.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        // ORDERING: Relaxed. It never changes.
        self.minimum.load(Ordering::Relaxed)
    }

    /// The most bytes it may hold.
    #[must_use]
    pub fn limit(&self) -> u64 {
        // ORDERING: Relaxed. It never changes.
        self.limit.load(Ordering::Relaxed)
    }

    /// The bytes it could take at a moment at which no request is in flight at the budget.
    #[must_use]
    pub fn settled_free_bytes(&self, budget: &Budget) -> u64 {
        self.free_of(budget.settled_free_bytes(), 0)
    }

    /// The bytes it could take now, had it given `returned` bytes back, and all accounts together
    /// `credited` bytes to `budget`.
    #[must_use]
    pub fn free_bytes_with(&self, budget: &Budget, returned: u64, credited: u64) -> u64 {
        self.free_of(budget.free_bytes() + credited, returned)
    }

    fn free_of(&self, budget_bytes: u64, returned: u64) -> u64 {
        let used = self.used_bytes().saturating_sub(returned);
        let guaranteed = self.minimum().saturating_sub(used);
        (guaranteed + budget_bytes).min(self.limit().saturating_sub(used))
    }

    /// What of `returned` bytes would go back to the budget.
    #[must_use]
    pub fn credit_of(&self, returned: u64) -> u64 {
        let (minimum, used) = (self.minimum(), self.used_bytes());
        beyond(minimum, used) - beyond(minimum, used.saturating_sub(returned))
    }

    /// Takes `bytes` for good.
    ///
    /// # Errors
    ///
    /// If the limit or the budget does not allow it, or the budget is closed.
    pub fn reserve(&self, budget: &Budget, bytes: u64) -> Result<Opened, Refused> {
        let (source, opened) = if self.minimum() > 0 || self.limit() < budget.limit() {
            self.raise(budget, bytes, Tally::reserved)?
        } else {
            // Nothing of our own can refuse.
            let source = self.begin_at(budget, bytes)?;
            // ORDERING: Relaxed. The budget's Acquire found the memory; this is the count.
            let old = self.tally.fetch_add(CHANGE.wrapping_add(bytes), Ordering::Relaxed);
            (source, opened(Tally::from_bits(old)))
        };
        // In flight until here, so that whoever closes the budget knows that it is over.
        self.settle_at(budget, source);
        Ok(opened)
    }

    /// Takes `bytes` for a request that may still fail.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn begin(&self, budget: &Budget, bytes: u64) -> Result<(Tentative, Opened), Refused> {
        let (source, opened) = self.raise(budget, bytes, Tally::begun)?;
        Ok((Tentative { bytes, source }, opened))
    }

    /// The request got what it asked for.
    pub fn settle(&self, budget: &Budget, tentative: Tentative) {
        // ORDERING: Relaxed. Nothing is given back, and whoever waits for it reads this word only.
        self.tally.fetch_sub(IN_FLIGHT, Ordering::Relaxed);
        self.settle_at(budget, tentative.source);
    }

    /// The request failed: everything is as if it had not been made.
    pub fn undo(&self, budget: &Budget, tentative: Tentative) -> Kept {
        let (share, kept) = self.give_back(tentative.bytes, tentative.bytes + IN_FLIGHT);
        self.undo_at(budget, tentative.source, share);
        kept
    }

    /// Gives `bytes` back to the account and what lies beyond its minimum to `budget`. The caller
    /// keeps both alive, whatever other threads give back meanwhile.
    pub fn release(&self, budget: &Budget, bytes: u64) -> Kept {
        let (share, kept) = self.give_back(bytes, bytes);
        self.credit(budget, share);
        kept
    }

    /// Credits `bytes` that the account holds to its allowance or to `budget`.
    pub fn credit(&self, budget: &Budget, bytes: u64) {
        self.allowance.give(budget, bytes);
    }

    /// Gives back `bytes` that were credited before, for an account without a minimum. Once it
    /// has, the account may be gone with the next release of another thread.
    pub fn release_credited(&self, bytes: u64) -> Kept {
        debug_assert_eq!(self.minimum(), 0, "what goes back to the budget is not known yet");
        self.give_back(bytes, bytes).1
    }

    /// Has the budget grant what the account needs of it for `bytes` more, in flight, and then
    /// goes from one tally to the next (Protocol, 3).
    fn raise(
        &self,
        budget: &Budget,
        bytes: u64,
        next: impl Fn(Tally, u64) -> Tally,
    ) -> Result<(Source, Opened), Refused> {
        let mut patience = Patience::new();
        loop {
            let tally = self.tally();
            let used = tally.reserved_bytes();
            let minimum = self.minimum();
            // A limit of all there is never refuses before the budget does.
            let within_limit =
                bytes <= tally.free_bytes(self.limit()) || self.limit() >= budget.limit();
            if !within_limit && !tally.has_in_flight() {
                // One word says it all, at one moment (Protocol, 2).
                return Err(Refused::Account { free: tally.free_bytes(self.limit()) });
            }
            if !within_limit || tally.is_crowded() {
                patience.wait();
                continue;
            }
            let share = beyond(minimum, used + bytes) - beyond(minimum, used);
            let source = match self.begin_at(budget, share) {
                Ok(source) => source,
                // What the account needs of the budget depends on what it holds, if it has a
                // minimum. Then the refusal stands if it held the same all the while.
                Err(refused)
                    if minimum == 0 || refused == Refused::Closed || self.tally() == tally =>
                {
                    return Err(refused);
                }
                Err(_) => continue,
            };
            match self.tally.compare_exchange(
                tally.into_bits(),
                next(tally, bytes).changed().into_bits(),
                // ORDERING: AcqRel. Release: whoever reads this tally sees what the budget granted
                // for it (above). Acquire: should the version have come round to the same value
                // since we read it, what was given back since is seen, too.
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop reads it again.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok((source, opened(tally))),
                Err(_) => self.undo_at(budget, source, share),
            }
        }
    }

    /// Takes `share` from the allowance, or else from the budget, for a request in flight.
    fn begin_at(&self, budget: &Budget, share: u64) -> Result<Source, Refused> {
        if self.allowance.begin(share) {
            return Ok(Source::Allowance);
        }
        if !self.ask_for_more(budget, share) {
            budget.begin(share)?;
        }
        Ok(Source::Budget)
    }

    /// Takes `bytes` from the budget for a request in flight there, and a quantum for the
    /// allowance; whether it is time for that, and there is as much.
    fn ask_for_more(&self, budget: &Budget, bytes: u64) -> bool {
        let quantum = self.allowance.quantum_of(budget);
        let asked = quantum > 0 && budget.begin(bytes + quantum).is_ok();
        if asked {
            self.allowance.keep(budget, quantum);
        }
        asked
    }

    fn settle_at(&self, budget: &Budget, source: Source) {
        match source {
            Source::Allowance => self.allowance.settle(),
            Source::Budget => budget.settle(),
        }
    }

    fn undo_at(&self, budget: &Budget, source: Source, share: u64) {
        match source {
            Source::Allowance => self.allowance.undo(share),
            Source::Budget => budget.undo(share),
        }
    }

    /// Takes `bytes` off the account, and `off` off its tally; returns what of the bytes is the
    /// budget's.
    fn give_back(&self, bytes: u64, off: u64) -> (u64, Kept) {
        // Read first: the account may be gone after the subtraction.
        let minimum = self.minimum();
        // ORDERING: AcqRel. Release: the memory was given back before, and so were all our other
        // accesses. Acquire: whoever empties the account may let go of it, after everybody
        // else's accesses.
        let old = self.tally.fetch_add(CHANGE.wrapping_sub(off), Ordering::AcqRel);
        let old = Tally::from_bits(old);
        let used = old.reserved_bytes();
        debug_assert!(used >= bytes, "an account gave back more than it held");
        let left = used - bytes;
        let share = beyond(minimum, used) - beyond(minimum, left);
        match left {
            // Nobody is left for whom it would be guaranteed.
            0 if old.is_closed() => (share + minimum, Kept::Nothing),
            0 => (share, Kept::Nothing),
            _ => (share, Kept::Something),
        }
    }

    fn tally(&self) -> Tally {
        // ORDERING: Acquire. Pairs with the Release in `raise`: what the budget had granted by
        // then is seen when the budget is read next. And with the Release in `give_back`: what
        // was given back within the minimum never passed through the budget.
        Tally::from_bits(read(&self.tally, Ordering::Acquire))
    }
}

/// What of `used` bytes is taken from the budget (Protocol, 3).
const fn beyond(minimum: u64, used: u64) -> u64 {
    used.saturating_sub(minimum)
}

const fn opened(before: Tally) -> Opened {
    if before.reserved_bytes() == 0 { Opened::First } else { Opened::Already }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_minimum_is_promised_once_and_always_there() {
        let budget = Budget::new(100);
        let saver = Account::open(&budget, 40, 100).unwrap();
        assert!(matches!(Account::open(&budget, 61, 100), Err(Refused::Budget { free: 60 })));
        let greedy = Account::open(&budget, 0, 100).unwrap();
        assert_eq!(greedy.reserve(&budget, 61), Err(Refused::Budget { free: 60 }));
        assert_eq!(greedy.reserve(&budget, 60), Ok(Opened::First));
        assert_eq!(saver.reserve(&budget, 40), Ok(Opened::First));
        assert_eq!(saver.reserve(&budget, 1), Err(Refused::Budget { free: 0 }));
        assert_eq!(greedy.release(&budget, 60), Kept::Nothing);
        assert_eq!(saver.reserve(&budget, 60), Ok(Opened::Already));
        assert_eq!(saver.release(&budget, 60), Kept::Something);
        assert_eq!(budget.free_bytes(), 60, "what lies beyond the minimum went back");
        assert_eq!(saver.release(&budget, 40), Kept::Nothing);
        assert_eq!(budget.free_bytes(), 60, "the minimum stays reserved");
    }

    #[test]
    fn a_minimum_ends_with_the_last_byte_or_with_the_account() {
        let budget = Budget::new(100);
        let idle = Account::open(&budget, 40, 100).unwrap();
        idle.close(&budget);
        assert_eq!((budget.free_bytes(), idle.charged_bytes()), (100, 0));
        let busy = Account::open(&budget, 40, 100).unwrap();
        assert_eq!(busy.reserve(&budget, 50), Ok(Opened::First));
        busy.close(&budget);
        assert_eq!(busy.release(&budget, 45), Kept::Something);
        assert_eq!((budget.free_bytes(), busy.charged_bytes()), (60, 40));
        assert_eq!(busy.release(&budget, 5), Kept::Nothing);
        assert_eq!((budget.free_bytes(), busy.charged_bytes()), (100, 0));
    }

    #[test]
    fn an_account_stops_at_its_limit() {
        let budget = Budget::new(100);
        let account = Account::open(&budget, 0, 50).unwrap();
        assert_eq!(account.reserve(&budget, 51), Err(Refused::Account { free: 50 }));
        assert_eq!(account.reserve(&budget, 50), Ok(Opened::First));
        assert_eq!(account.reserve(&budget, 1), Err(Refused::Account { free: 0 }));
        assert_eq!(budget.free_bytes(), 50);
    }

    #[test]
    fn an_undone_request_leaves_no_trace() {
        let budget = Budget::new(100);
        let account = Account::open(&budget, 30, 80).unwrap();
        let (request, opened) = account.begin(&budget, 70).unwrap();
        assert_eq!((opened, account.used_bytes(), budget.free_bytes()), (Opened::First, 70, 30));
        assert_eq!(account.undo(&budget, request), Kept::Nothing);
        assert_eq!((account.used_bytes(), budget.free_bytes()), (0, 70));
        assert_eq!(account.reserve(&budget, 80), Ok(Opened::First), "nothing is in flight");
    }

    proptest! {
        /// Two accounts against the plain sums they stand for.
        #[test]
        fn it_agrees_with_plain_sums(
            minimums in (0_u64..30, 0_u64..30),
            limits in (30_u64..120, 30_u64..120),
            steps in proptest::collection::vec((0_usize..2, 0_usize..3, 1_u64..60), 0..60),
        ) {
            let budget = Budget::new(120);
            let accounts = [(minimums.0, limits.0), (minimums.1, limits.1)]
                .map(|(minimum, limit)| Account::open(&budget, minimum, limit).unwrap());
            let mut used = [0, 0];
            for (who, what, bytes) in steps {
                let mine = &accounts[who];
                let charged = |used: [u64; 2]| -> u64 {
                    (0..2).map(|who| used[who].max(accounts[who].minimum())).sum()
                };
                let mut after = used;
                if what == 0 {
                    let bytes = bytes.min(used[who]);
                    after[who] -= bytes;
                    if bytes > 0 {
                        let kept = mine.release(&budget, bytes);
                        prop_assert_eq!(kept == Kept::Nothing, after[who] == 0);
                    }
                    used = after;
                } else {
                    after[who] += bytes;
                    let fits = after[who] <= mine.limit() && charged(after) <= 120;
                    prop_assert_eq!(mine.settled_free_bytes(&budget) >= bytes, fits);
                    if what == 1 {
                        prop_assert_eq!(mine.reserve(&budget, bytes).is_ok(), fits);
                        used = if fits { after } else { used };
                    } else if let Ok((request, _)) = mine.begin(&budget, bytes) {
                        prop_assert!(fits);
                        let kept = mine.undo(&budget, request);
                        prop_assert_eq!(kept == Kept::Nothing, used[who] == 0);
                    }
                }
                prop_assert_eq!(budget.reserved_bytes(), charged(used));
                prop_assert_eq!(mine.used_bytes(), used[who]);
            }
        }
    }
}
