//! Random schedules of a line over a tree of accounts, against the plain model: the same requests
//! are granted what they wait for, in the same order, after each event.
//!
//! `OFFHEAP_LINE_EVENTS` says how many events there are in all, instead of a quarter of a million.
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use offheap_test_support::Random;

use crate::base::sync::{Lock, Rank};
use crate::base::units::LevelId;
use crate::ledger::accounts::Account;
use crate::ledger::budget::{Budget, HasWaiters, Parent, QueuePosition, Refused};

use super::plain_tests::{Level, Node, Plain};
use super::{Request, Served, Ticket, WaitEnd, WaitQueue};

/// What is noted while the line is locked.
const AFTER_THE_LINE: Rank = Rank::Sites;

/// Accounts below a budget, as the owners of a manager have them.
struct Tree {
    budget: Budget,
    accounts: Vec<(Account, Level)>,
    /// The ranks of the owners, and which levels are marked as awaited; the last is the budget's.
    said: Lock<(Vec<u32>, Vec<bool>)>,
}

/// What an account takes its bytes from.
#[derive(Clone, Copy)]
struct Above<'a>(&'a Tree, Level);

struct Wanted {
    tree: Arc<Tree>,
    owner: usize,
    bytes: u64,
}

/// Notes which request is woken.
struct Note(usize, Arc<Lock<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().push(self.0);
    }
}

impl Tree {
    fn account(&self, owner: usize) -> &Account {
        &self.accounts[owner].0
    }

    fn above(&self, owner: usize) -> Above<'_> {
        Above(self, self.accounts[owner].1)
    }

    fn ancestor(&self, owner: usize, level: u32) -> Level {
        (0..level).try_fold(owner, |owner, _| self.accounts[owner].1)
    }

    fn identity(&self, level: Level) -> LevelId {
        level.map_or(LevelId::BUDGET, |owner| LevelId::at(self.account(owner)))
    }
}

impl Parent for Above<'_> {
    fn limit_max(&self) -> u64 {
        self.0.budget.limit_max()
    }

    fn free_bytes(&self) -> Option<u64> {
        let Some(owner) = self.1 else { return Parent::free_bytes(&self.0.budget) };
        self.0.account(owner).free_bytes(&self.0.above(owner))
    }

    fn settled_free_bytes(&self) -> u64 {
        let Some(owner) = self.1 else { return self.0.budget.settled_free_bytes() };
        self.0.account(owner).settled_free_bytes(&self.0.above(owner))
    }

    fn is_closed(&self) -> bool {
        self.0.budget.is_closed()
    }

    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused> {
        let Some(owner) = self.1 else { return self.0.budget.begin(bytes, turn) };
        self.0.account(owner).begin_for_child(&self.0.above(owner), bytes, turn).map(|_| ())
    }

    fn settle(&self) {
        match self.1 {
            None => self.0.budget.settle(),
            Some(owner) => self.0.account(owner).settle_for_child(&self.0.above(owner)),
        }
    }

    fn undo(&self, bytes: u64) -> HasWaiters {
        let Some(owner) = self.1 else { return self.0.budget.undo(bytes) };
        self.0.account(owner).undo_for_child(&self.0.above(owner), bytes).awaited
    }

    fn release(&self, bytes: u64) -> HasWaiters {
        let Some(owner) = self.1 else { return self.0.budget.release(bytes) };
        self.0.account(owner).release_past_allowance(&self.0.above(owner), bytes).awaited
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        match self.1 {
            None => self.0.budget.set_awaited(level, awaited),
            Some(owner) => {
                self.0.account(owner).set_awaited(&self.0.above(owner), level, awaited);
            }
        }
    }
}

impl Request for Wanted {
    type Grant = ();

    fn attempt(&self, turn: QueuePosition) -> Result<(), Refused> {
        let (account, above) = (self.tree.account(self.owner), self.tree.above(self.owner));
        account.reserve(&above, self.bytes, turn).map(|_| ())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn levels(&self) -> u32 {
        let mut levels = 1..;
        levels.find(|level| self.tree.ancestor(self.owner, *level).is_none()).unwrap()
    }

    fn identity(&self, level: u32) -> LevelId {
        self.tree.identity(self.tree.ancestor(self.owner, level))
    }

    fn minimum(&self, level: u32) -> u64 {
        let owner = self.tree.ancestor(self.owner, level);
        owner.map_or(0, |owner| self.tree.account(owner).minimum())
    }

    fn unused_minimum(&self, level: u32) -> u64 {
        let owner = self.tree.ancestor(self.owner, level);
        owner.map_or(0, |owner| self.tree.account(owner).unused_minimum())
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        let owner = self.tree.ancestor(self.owner, level);
        let mut said = self.tree.said.lock();
        let mark = &mut said.1[owner.unwrap_or(self.tree.accounts.len())];
        assert_ne!(*mark, awaited.is_yes(), "it is said once");
        *mark = awaited.is_yes();
        self.tree.account(self.owner).set_awaited(&self.tree.above(self.owner), level, awaited);
    }

    fn rank(&self) -> u32 {
        self.tree.said.lock().0[self.owner]
    }
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    owners: usize,
    /// About so many requests wait.
    waiting: usize,
    has_minimums: bool,
    has_ranks: bool,
    events: usize,
}

struct Run {
    shape: Shape,
    random: Random,
    tree: Arc<Tree>,
    line: WaitQueue<Wanted>,
    plain: Plain,
    /// What is held: by whom, and how much.
    held: Vec<(usize, u64)>,
    waiting: BTreeMap<usize, (Ticket, Waker, usize, u64)>,
    woken: Arc<Lock<Vec<usize>>>,
    next: usize,
}

impl Run {
    fn new(shape: Shape, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let limit = 16 + random.below(8 * shape.owners) as u64;
        let tree = Tree {
            budget: Budget::new(limit),
            accounts: Vec::new(),
            said: Lock::new(AFTER_THE_LINE, (vec![0; shape.owners], vec![false; shape.owners + 1])),
        };
        let (tree, plain) = Self::grow(tree, shape, &mut random);
        Self {
            shape,
            random,
            tree: Arc::new(tree),
            line: WaitQueue::new(),
            plain,
            held: Vec::new(),
            waiting: BTreeMap::new(),
            woken: Arc::new(Lock::new(AFTER_THE_LINE, Vec::new())),
            next: 0,
        }
    }

    /// Adds accounts, some of them below others.
    fn grow(mut tree: Tree, shape: Shape, random: &mut Random) -> (Tree, Plain) {
        let limit = tree.budget.limit();
        let mut plain = Plain { limit, taken: 0, nodes: Vec::new(), line: Vec::new() };
        for owner in 0..shape.owners {
            let parent = random.below(2 * owner + 2).checked_sub(owner + 2);
            let limit_above = parent.map_or(limit, |parent: usize| plain.nodes[parent].limit);
            let own = 1 + random.below(usize::try_from(limit_above).unwrap()) as u64;
            // One of all that there is above is none.
            let has_limit = random.chance() && own < limit_above;
            let (own_limit, asked) = if has_limit { (own, own) } else { (limit_above, u64::MAX) };
            let may_be = own_limit.min(2 + limit / shape.owners as u64);
            let promised = shape.has_minimums && random.chance();
            let minimum = if promised { random.bits() % (may_be + 1) } else { 0 };
            let above = Above(&tree, parent);
            let Ok(account) = Account::open(&above, minimum, asked) else {
                let account = Account::without_minimum(asked);
                tree.accounts.push((account, parent));
                plain.nodes.push(Node { parent, minimum: 0, limit: own_limit, used: 0, rank: 0 });
                continue;
            };
            tree.accounts.push((account, parent));
            plain.nodes.push(Node { parent, minimum, limit: own_limit, used: 0, rank: 0 });
            match parent {
                Some(parent) => plain.add(parent, minimum),
                None => plain.taken += minimum,
            }
        }
        (tree, plain)
    }

    fn go(&mut self) {
        for event in 0..self.shape.events {
            let granted = self.step();
            self.compare(&granted);
            // What is linear is done now and then.
            if event % self.shape.waiting == 0 {
                self.check();
            }
        }
        self.end();
    }

    /// One event; returns which requests are to be granted what they wait for.
    fn step(&mut self) -> Vec<usize> {
        let is_short = self.waiting.len() < self.shape.waiting;
        match self.random.below(16) {
            0..=6 if is_short => self.join(),
            0..=1 => self.leave(),
            2 => self.end_one(),
            3 if self.shape.has_ranks => self.rank(),
            4 if self.shape.waiting < 1_000 => self.serve_all(),
            5..=6 => self.take(),
            _ => self.give_back(),
        }
    }

    fn join(&mut self) -> Vec<usize> {
        let (owner, bytes) = (self.random.below(self.shape.owners), 1 + self.random.bits() % 6);
        if bytes > self.plain.nodes[owner].limit {
            return Vec::new();
        }
        let id = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(Note(id, Arc::clone(&self.woken))));
        let ticket =
            self.line.join(Arc::new(Wanted { tree: Arc::clone(&self.tree), owner, bytes }));
        assert!(self.line.poll(ticket, &waker).is_pending(), "it was not attempted");
        self.waiting.insert(id, (ticket, waker, owner, bytes));
        self.plain.join(id, owner, bytes);
        self.serve_from(owner)
    }

    fn some_that_waits(&mut self) -> Option<usize> {
        let number = self.waiting.len().checked_sub(1)?;
        let at = self.random.below(number + 1);
        self.waiting.keys().nth(at).copied()
    }

    fn leave(&mut self) -> Vec<usize> {
        let Some(id) = self.some_that_waits() else { return Vec::new() };
        let (ticket, _, owner, _) = self.waiting.remove(&id).unwrap();
        assert_eq!(self.line.leave(ticket), None);
        self.plain.line.retain(|place| place.id != id);
        self.serve_from(owner)
    }

    fn end_one(&mut self) -> Vec<usize> {
        let Some(id) = self.some_that_waits() else { return Vec::new() };
        let (ticket, waker, owner, _) = self.waiting.remove(&id).unwrap();
        assert!(self.line.end(ticket, WaitEnd::Deadlock).is_some(), "it has a waker");
        assert_eq!(self.line.poll(ticket, &waker), Poll::Ready(Err(WaitEnd::Deadlock)));
        self.plain.line.retain(|place| place.id != id);
        self.serve_from(owner)
    }

    fn rank(&mut self) -> Vec<usize> {
        for _ in 0..1 + self.random.below(3) {
            let owner = self.random.below(self.shape.owners);
            let rank = u32::from(self.random.chance()) + u32::from(self.random.chance());
            self.tree.said.lock().0[owner] = rank;
            self.plain.nodes[owner].rank = rank;
        }
        self.serve_all()
    }

    fn serve_all(&mut self) -> Vec<usize> {
        let served = self.line.serve();
        Self::wake(served);
        self.plain.serve_all()
    }

    fn take(&mut self) -> Vec<usize> {
        let (owner, bytes) = (self.random.below(self.shape.owners), 1 + self.random.bits() % 4);
        let (account, above) = (self.tree.account(owner), self.tree.above(owner));
        let taken = account.reserve(&above, bytes, QueuePosition::LAST).map(|_| ());
        let expected = self.plain.take_out_of_turn(owner, bytes);
        assert_eq!(taken.is_ok(), expected.is_ok(), "{taken:?}, {expected:?}");
        if taken.is_ok() {
            self.held.push((owner, bytes));
        }
        Vec::new()
    }

    fn give_back(&mut self) -> Vec<usize> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let at = self.random.below(self.held.len());
        let (owner, all) = self.held[at];
        let bytes = 1 + self.random.bits() % all;
        self.held[at].1 -= bytes;
        if bytes == all {
            self.held.swap_remove(at);
        }
        let released = self.tree.account(owner).release(&self.tree.above(owner), bytes);
        self.plain.give_back(owner, bytes);
        match released.awaited.is_yes() {
            true => self.serve_from(owner),
            // Nobody is to be served.
            false => self.plain.serve(&self.plain.chain(owner)),
        }
    }

    fn serve_from(&mut self, owner: usize) -> Vec<usize> {
        let chain = self.plain.chain(owner);
        let levels: Vec<_> = chain.iter().map(|level| self.tree.identity(*level)).collect();
        Self::wake(self.line.serve_from(&levels));
        self.plain.serve(&chain)
    }

    fn wake(served: Served<Wanted>) {
        served.wakers.into_iter().for_each(Waker::wake);
    }

    /// Those that were woken are those that are to be granted what they wait for, in this order.
    fn compare(&mut self, granted: &[usize]) {
        let woken = std::mem::take(&mut *self.woken.lock());
        assert_eq!(woken, granted, "{:?}", self.shape);
        for id in woken {
            let (ticket, waker, owner, bytes) = self.waiting.remove(&id).unwrap();
            assert_eq!(self.line.poll(ticket, &waker), Poll::Ready(Ok(())));
            self.held.push((owner, bytes));
        }
    }

    /// The numbers agree, a level is marked if a request waits there, and nobody is overlooked.
    fn check(&self) {
        assert_eq!(self.line.len(), self.plain.line.len());
        assert_eq!(self.tree.budget.reserved_bytes(), self.plain.taken);
        for (owner, node) in self.plain.nodes.iter().enumerate() {
            assert_eq!(self.tree.account(owner).used_bytes(), node.used);
        }
        let waiting = self.line.waiting();
        let ranks: Vec<_> = waiting.iter().map(|one| (one.request.rank(), one.ticket)).collect();
        assert!(ranks.is_sorted());
        let mut marks = vec![false; self.shape.owners + 1];
        for one in &waiting {
            let (level, _) = one.level();
            let owner = self.tree.ancestor(one.request.owner, level);
            marks[owner.unwrap_or(self.shape.owners)] = true;
        }
        assert_eq!(self.tree.said.lock().1, marks);
        // Where something is promised, one that takes it may change who refuses another.
        assert!(self.shape.has_minimums || !self.plain.is_anybody_overlooked());
    }

    /// Everything is given back, or nobody waits for it any more.
    fn end(&mut self) {
        while !self.held.is_empty() || !self.waiting.is_empty() {
            let granted = if self.held.is_empty() { self.leave() } else { self.give_back() };
            self.compare(&granted);
        }
        self.check();
        assert!(self.line.waiting().is_empty());
    }
}

/// Says which schedule fails.
struct Schedule(Shape, u64);

impl Drop for Schedule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it fails with seed {} of {:?}", self.1, self.0);
        }
    }
}

/// Runs schedules of a shape until there were so many events.
fn run(shape: Shape, events: usize) {
    for seed in 0..events.div_ceil(shape.events) as u64 {
        let _said = Schedule(shape, seed);
        Run::new(shape, seed).go();
    }
}

/// How many events there are in all, of which each of the shapes has its part.
fn events() -> usize {
    let said = std::env::var("OFFHEAP_LINE_EVENTS").ok();
    said.map_or(250_000, |number| number.parse().expect("a number"))
}

/// Four bytes come free in the budget, and the first request fills up its owner with them. The
/// second does not fit there any more, so it does not hold up the third at the level above.
#[test]
fn one_that_is_refused_below_holds_up_nobody_above() {
    let said = Lock::new(AFTER_THE_LINE, (vec![0; 3], vec![false; 4]));
    let mut tree = Tree { budget: Budget::new(10), accounts: Vec::new(), said };
    for (parent, limit) in [(None, 9), (Some(0), 8), (None, u64::MAX)] {
        let account = Account::open(&Above(&tree, parent), 0, limit).ok().unwrap();
        tree.accounts.push((account, parent));
    }
    let (tree, line) = (Arc::new(tree), WaitQueue::new());
    for (owner, bytes) in [(0, 2), (2, 6)] {
        let (account, above) = (tree.account(owner), tree.above(owner));
        assert!(account.reserve(&above, bytes, QueuePosition::LAST).is_ok());
    }
    for (owner, bytes) in [(1, 5), (1, 8), (0, 1)] {
        line.join(Arc::new(Wanted { tree: Arc::clone(&tree), owner, bytes }));
    }
    let _ = line.serve();
    let waits = || line.waiting().iter().map(|one| (one.ticket.number(), one.level().0)).collect();
    let before: Vec<_> = waits();
    assert_eq!(before, [(0, 2), (1, 1), (2, 0)]);
    assert!(tree.account(2).release(&tree.above(2), 4).awaited.is_yes());
    let _ = line.serve_from(&[tree.identity(Some(2)), LevelId::BUDGET]);
    let after: Vec<_> = waits();
    assert_eq!(after, [(1, 0)]);
}

#[test]
fn few_that_wait_are_served_as_the_plain_model_says() {
    for (has_minimums, has_ranks) in [(false, false), (false, true), (true, false), (true, true)] {
        let shape = Shape { owners: 6, waiting: 12, has_minimums, has_ranks, events: 400 };
        run(shape, events() / 5);
    }
}

#[test]
fn hundreds_that_wait_are_served_as_the_plain_model_says() {
    for has_minimums in [false, true] {
        let shape =
            Shape { owners: 40, waiting: 200, has_minimums, has_ranks: true, events: 2_000 };
        run(shape, events() / 25);
    }
}

#[test]
fn thousands_that_wait_are_served_as_the_plain_model_says() {
    for has_minimums in [false, true] {
        let shape =
            Shape { owners: 300, waiting: 2_000, has_minimums, has_ranks: false, events: 10_000 };
        run(shape, events() / 25);
    }
}
