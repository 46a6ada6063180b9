//! Owners in a tree, as the manager has them: accounts, and what each takes its bytes from.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::engine::sync::Mutex;

use offheap::model::{
    Account, Budget, FirstCharge, HasWaiters, InFlight, Parent, QueuePosition, Refused, Remainder,
    full_fence,
};

/// A budget, and the accounts below it, known by the order in which they were added.
pub struct Tree {
    /// The budget.
    pub budget: Budget,
    owners: Vec<Owner>,
    /// The owners whose allowances were opened since a drainer took the list.
    open: Mutex<Vec<usize>>,
}

struct Owner {
    account: Account,
    parent: Option<usize>,
    has_allowance: bool,
    /// How often the account began to hold something, less how often it ceased to. Not one of
    /// loom's atomics: it is as exact as the steps of the account that it follows, and takes none.
    kept_alive: AtomicI64,
    /// What it holds of its own, and not for its children.
    own_bytes: AtomicI64,
}

/// What an account takes its bytes from.
pub struct Lineage<'a> {
    tree: &'a Tree,
    owner: Option<usize>,
}

impl Tree {
    /// A tree of nothing but a budget.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { budget: Budget::new(limit), owners: Vec::new(), open: Mutex::new(Vec::new()) }
    }

    /// Adds an account below `parent`, or below the budget.
    #[must_use]
    pub fn with(mut self, parent: Option<usize>, minimum: u64, limit: u64) -> Self {
        let lineage = Lineage { tree: &self, owner: parent };
        let account = Account::open(&lineage, minimum, limit).expect("the minimum is free");
        let [kept_alive, own_bytes] = [0, 0].map(AtomicI64::new);
        self.owners.push(Owner { account, parent, has_allowance: false, kept_alive, own_bytes });
        self
    }

    /// Gives an account that has none an allowance with a quantum of one byte, which opens if there
    /// is plenty.
    #[must_use]
    pub fn with_allowance_of(self, owner: usize) -> Self {
        let tree = self.with_shut_allowance_of(owner);
        let _ = tree.open_allowance(owner);
        tree
    }

    /// The same, but it does not open before something is given back.
    #[must_use]
    pub fn with_shut_allowance_of(mut self, owner: usize) -> Self {
        let mine = &mut self.owners[owner];
        let account = std::mem::replace(&mut mine.account, Account::without_minimum(0));
        mine.account = account.with_allowance(1);
        mine.has_allowance = true;
        self
    }

    /// Charges an owner for what it holds from the beginning.
    #[must_use]
    pub fn holding(self, owner: usize, bytes: u64) -> Self {
        self.reserve(owner, bytes).expect("it is free");
        self
    }

    /// The account of an owner.
    #[must_use]
    pub fn account(&self, owner: usize) -> &Account {
        &self.owners[owner].account
    }

    /// What the account of an owner takes its bytes from.
    #[must_use]
    pub fn lineage(&self, owner: usize) -> Lineage<'_> {
        Lineage { tree: self, owner: self.owners[owner].parent }
    }

    /// The owner at a level above one, as refusals count them; `None` for the budget.
    #[must_use]
    pub fn ancestor(&self, owner: usize, level: u32) -> Option<usize> {
        (0..level).try_fold(owner, |owner, _| self.owners[owner].parent)
    }

    /// The levels from an owner up to the budget's.
    #[must_use]
    pub fn levels(&self, owner: usize) -> u32 {
        1 + self.owners[owner].parent.map_or(0, |parent| self.levels(parent))
    }

    /// Those with an allowance.
    pub fn keepers(&self) -> impl Iterator<Item = usize> {
        (0..self.owners.len()).filter(|owner| self.owners[*owner].has_allowance)
    }

    /// Opens the allowance of an owner, if there is plenty: as `OwnerNode::open_allowance`, and as
    /// the list of what may be open has it.
    pub fn open_allowance(&self, owner: usize) -> HasWaiters {
        let (account, lineage) = (self.account(owner), self.lineage(owner));
        if !account.may_open_allowance(&lineage) {
            return HasWaiters::NO;
        }
        let mut open = self.open.lock().expect("nobody panics");
        if !open.contains(&owner) {
            open.push(owner);
        }
        // Pairs with the fence of a drainer that takes no list.
        full_fence();
        match account.may_open_allowance(&lineage) {
            true => account.open_allowance(&lineage),
            false => HasWaiters::NO,
        }
    }

    /// Those with an allowance at or below `top`, or below the budget.
    pub fn keepers_below(&self, top: Option<usize>) -> impl Iterator<Item = usize> {
        self.keepers().filter(move |owner| self.is_below(*owner, top))
    }

    fn is_below(&self, owner: usize, top: Option<usize>) -> bool {
        let mut above = (0..self.levels(owner)).map(|level| self.ancestor(owner, level));
        top.is_none() || above.any(|owner| owner == top)
    }

    /// Makes `attempt` while nobody keeps anything at hand.
    pub fn drained<T>(&self, attempt: impl FnOnce() -> T) -> T {
        self.drained_below(None, attempt)
    }

    /// Makes `attempt` while nobody at or below `top` keeps anything at hand, or below the budget:
    /// as a drainer of that scope, but one that leaves the list as it is. Below an owner it takes
    /// no list, and looks at all that are there.
    pub fn drained_below<T>(&self, top: Option<usize>, attempt: impl FnOnce() -> T) -> T {
        let drainers = || match top {
            None => self.budget.drainers(),
            Some(top) => self.account(top).drainers(),
        };
        drainers().begin();
        let open: Vec<_> = match top {
            None => self.open.lock().expect("nobody panics").clone(),
            Some(_) => self.keepers_below(top).collect(),
        };
        for owner in &open {
            // A request that waits is served by the caller.
            let collected = self.account(*owner).collect_allowance(&self.lineage(*owner));
            let _ = collected.expect("there are few drainers");
        }
        let answer = attempt();
        open.iter().for_each(|owner| self.account(*owner).let_go_of_allowance());
        drainers().end();
        answer
    }

    /// Charges `bytes` to an owner, out of turn.
    ///
    /// # Errors
    ///
    /// As the account.
    pub fn reserve(&self, owner: usize, bytes: u64) -> Result<(), Refused> {
        self.reserve_in_turn(owner, bytes, QueuePosition::LAST)
    }

    /// Charges `bytes` to an owner.
    ///
    /// # Errors
    ///
    /// As the account.
    pub fn reserve_in_turn(
        &self,
        owner: usize,
        bytes: u64,
        turn: QueuePosition,
    ) -> Result<(), Refused> {
        let opened = self.account(owner).reserve(&self.lineage(owner), bytes, turn)?;
        self.keep(owner, opened);
        self.owns(owner, bytes);
        Ok(())
    }

    /// Charges `bytes` for a request that may still fail.
    ///
    /// # Errors
    ///
    /// As the account.
    pub fn begin(&self, owner: usize, bytes: u64) -> Result<InFlight, Refused> {
        let lineage = self.lineage(owner);
        let (tentative, opened) =
            self.account(owner).begin(&lineage, bytes, QueuePosition::LAST)?;
        self.keep(owner, opened);
        Ok(tentative)
    }

    /// The request failed. Those who wait in line wait for that, too.
    pub fn undo(&self, owner: usize, tentative: InFlight) {
        let returned = self.account(owner).undo(&self.lineage(owner), tentative);
        self.let_go(owner, returned.kept);
    }

    /// Makes a request that fails after it was counted, if it gets that far.
    pub fn fail(&self, owner: usize, bytes: u64) {
        if let Ok(tentative) = self.begin(owner, bytes) {
            self.undo(owner, tentative);
        }
    }

    /// Gives `bytes` back that an owner was charged with, by the way that the manager takes.
    pub fn release(&self, owner: usize, bytes: u64) -> HasWaiters {
        // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
        self.owners[owner].own_bytes.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
        let (account, lineage) = (self.account(owner), self.lineage(owner));
        assert!(self.kept_alive(owner) > 0, "an account that holds something is kept alive");
        if account.is_adjustable() {
            let returned = account.release(&lineage, bytes);
            self.let_go(owner, returned.kept);
            return returned.awaited;
        }
        let mut awaited = account.credit(&lineage, bytes);
        if self.owners[owner].has_allowance {
            awaited = awaited.or(self.open_allowance(owner));
        }
        if !awaited.is_yes()
            && let Some(kept) = account.release_credited_unless_awaited(bytes)
        {
            self.let_go(owner, kept);
            return HasWaiters::NO;
        }
        self.let_go(owner, account.release_credited(bytes).kept);
        HasWaiters::YES
    }

    /// Checks, in a quiet moment, that every account holds what it owns and what those below it
    /// take up, that it is kept alive once if it does, that nothing is in flight, and that nobody
    /// is awaited.
    pub fn check(&self) {
        let charged = |owners: &mut dyn Iterator<Item = &Owner>| -> u64 {
            owners.map(|owner| owner.account.charged_bytes()).sum()
        };
        for owner in &self.owners {
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            let own_bytes = owner.own_bytes.load(Ordering::Relaxed).cast_unsigned();
            let held = own_bytes + charged(&mut self.children_of(owner));
            assert_eq!(owner.account.used_bytes(), held);
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            assert_eq!(owner.kept_alive.load(Ordering::Relaxed), i64::from(held > 0));
        }
        let mut topmost = self.owners.iter().filter(|owner| owner.parent.is_none());
        assert_eq!(self.budget.reserved_bytes(), charged(&mut topmost));
        for owner in 0..self.owners.len() {
            let is_closed = self.account(owner).minimum() > self.account(owner).charged_bytes();
            if !is_closed {
                // It would wait for a request in flight.
                let more = 2 * self.budget.limit();
                let refused = self.reserve(owner, more).expect_err("it is more than there is");
                assert!(!matches!(refused, Refused::Turn { .. }), "owner {owner}: {refused:?}");
            }
        }
        self.budget.wait_until_settled();
    }

    fn children_of<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Owner> {
        let is_child = |child: &&Owner| {
            child.parent.is_some_and(|parent| std::ptr::eq(&raw const self.owners[parent], owner))
        };
        self.owners.iter().filter(is_child)
    }

    fn kept_alive(&self, owner: usize) -> i64 {
        // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
        self.owners[owner].kept_alive.load(Ordering::Relaxed)
    }

    fn owns(&self, owner: usize, bytes: u64) {
        // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
        self.owners[owner].own_bytes.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    fn keep(&self, owner: usize, opened: FirstCharge) {
        if opened == FirstCharge::First {
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            self.owners[owner].kept_alive.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn let_go(&self, owner: usize, kept: Remainder) {
        if kept == Remainder::Nothing {
            // ORDERING: Relaxed. One thread runs at a time, and this is no step of the model.
            let before = self.owners[owner].kept_alive.fetch_sub(1, Ordering::Relaxed);
            assert!(before > 0, "owner {owner} is let go of more often than it is kept");
        }
    }
}

impl Parent for Lineage<'_> {
    fn limit_max(&self) -> u64 {
        self.tree.budget.limit_max()
    }

    fn free_bytes(&self) -> Option<u64> {
        match self.owner {
            None => Parent::free_bytes(&self.tree.budget),
            Some(owner) => self.tree.account(owner).free_bytes(&self.tree.lineage(owner)),
        }
    }

    fn settled_free_bytes(&self) -> u64 {
        match self.owner {
            None => self.tree.budget.settled_free_bytes(),
            Some(owner) => self.tree.account(owner).settled_free_bytes(&self.tree.lineage(owner)),
        }
    }

    fn is_closed(&self) -> bool {
        self.tree.budget.is_closed()
    }

    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused> {
        let Some(owner) = self.owner else { return self.tree.budget.begin(bytes, turn) };
        let lineage = self.tree.lineage(owner);
        let opened = self.tree.account(owner).begin_for_child(&lineage, bytes, turn)?;
        self.tree.keep(owner, opened);
        Ok(())
    }

    fn settle(&self) {
        match self.owner {
            None => self.tree.budget.settle(),
            Some(owner) => self.tree.account(owner).settle_for_child(&self.tree.lineage(owner)),
        }
    }

    fn undo(&self, bytes: u64) -> HasWaiters {
        let Some(owner) = self.owner else { return self.tree.budget.undo(bytes) };
        let lineage = self.tree.lineage(owner);
        let returned = self.tree.account(owner).undo_for_child(&lineage, bytes);
        self.tree.let_go(owner, returned.kept);
        returned.awaited
    }

    fn release(&self, bytes: u64) -> HasWaiters {
        let Some(owner) = self.owner else { return self.tree.budget.release(bytes) };
        let lineage = self.tree.lineage(owner);
        let returned = self.tree.account(owner).release_past_allowance(&lineage, bytes);
        self.tree.let_go(owner, returned.kept);
        returned.awaited
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        match self.owner {
            None => self.tree.budget.set_awaited(level, awaited),
            Some(owner) => {
                let lineage = self.tree.lineage(owner);
                self.tree.account(owner).set_awaited(&lineage, level, awaited);
            }
        }
    }
}
