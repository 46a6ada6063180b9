//! A manager that is nothing but a tree of owners, a line, and the memory behind them.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use offheap::model::{
    HasWaiters, LevelId, QueuePosition, Refused, Request, Served, Ticket, WaitEnd, WaitQueue,
};

use crate::engine::cell::UnsafeCell;
use crate::engine::sync::Notify;
use crate::tree::Tree;

/// Owners who wait in line for bytes, as `MemoryManager` has them wait.
pub struct Manager {
    /// The owners.
    pub tree: Arc<Tree>,
    line: WaitQueue<Wanted>,
    /// What is in the memory behind the bytes, for the thread that holds all of those that change
    /// hands.
    memory: UnsafeCell<u64>,
}

// SAFETY: the memory is accessed by those who were charged with it; loom checks that there is one
// at a time. All else is `Sync` by itself.
unsafe impl Sync for Manager {}
// SAFETY: as above.
unsafe impl Send for Manager {}

/// Bytes that an owner waits for.
pub struct Wanted {
    tree: Arc<Tree>,
    owner: usize,
    bytes: u64,
}

/// Bytes that an owner was charged with.
#[derive(Debug)]
#[must_use = "a dropped `Charge` stays on its owner's account"]
pub struct Charge {
    owner: usize,
    bytes: u64,
}

/// Wakes a thread.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

impl Request for Wanted {
    type Grant = Charge;

    fn attempt(&self, turn: QueuePosition) -> Result<Charge, Refused> {
        self.tree.reserve_in_turn(self.owner, self.bytes, turn)?;
        Ok(Charge { owner: self.owner, bytes: self.bytes })
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn levels(&self) -> u32 {
        self.tree.levels(self.owner)
    }

    fn identity(&self, level: u32) -> LevelId {
        let ancestor = self.tree.ancestor(self.owner, level);
        ancestor.map_or(LevelId::BUDGET, |owner| LevelId::at(self.tree.account(owner)))
    }

    fn minimum(&self, level: u32) -> u64 {
        let ancestor = self.tree.ancestor(self.owner, level);
        ancestor.map_or(0, |owner| self.tree.account(owner).minimum())
    }

    fn unused_minimum(&self, level: u32) -> u64 {
        let ancestor = self.tree.ancestor(self.owner, level);
        ancestor.map_or(0, |owner| self.tree.account(owner).unused_minimum())
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        self.tree.account(self.owner).set_awaited(&self.tree.lineage(self.owner), level, awaited);
    }

    fn rank(&self) -> u32 {
        0
    }
}

impl Manager {
    /// A manager of these owners.
    #[must_use]
    pub fn new(tree: Tree) -> Arc<Self> {
        let (line, memory) = (WaitQueue::new(), UnsafeCell::new(0));
        Arc::new(Self { tree: Arc::new(tree), line, memory })
    }

    /// What an owner was charged with when the tree was made.
    pub fn held(&self, owner: usize, bytes: u64) -> Charge {
        Charge { owner, bytes }
    }

    /// Writes to the memory that changes hands.
    pub fn used(&self, charge: Charge) -> Charge {
        self.memory.with_mut(|content| {
            // SAFETY: the holder's own memory; loom checks it.
            unsafe { *content += 1 };
        });
        charge
    }

    /// Writes to the memory, gives it back, and serves those who wait for it.
    pub fn release(&self, charge: Charge) {
        let Charge { owner, bytes } = self.used(charge);
        self.credit(owner, bytes);
    }

    /// Gives bytes back behind which there is no memory, and serves those who wait for them.
    pub fn credit(&self, owner: usize, bytes: u64) {
        let awaited = self.tree.release(owner, bytes);
        self.serve_if(owner, awaited);
    }

    /// Serves the levels of an owner if somebody waits for what it gave back.
    pub fn serve_if(&self, owner: usize, awaited: HasWaiters) {
        if awaited.is_yes() {
            self.serve_from(Some(owner));
        }
    }

    /// Serves all levels, and wakes those who were served.
    pub fn serve(&self) {
        self.finish(self.line.serve());
    }

    /// Serves the levels from an owner's account up to the budget, or the budget's alone, and wakes
    /// those who were served.
    pub fn serve_from(&self, owner: Option<usize>) {
        self.finish(self.line.serve_from(&self.chain(owner)));
    }

    fn chain(&self, owner: Option<usize>) -> Vec<LevelId> {
        let levels = owner.map_or(0, |owner| self.tree.levels(owner));
        let owners = (0..levels).filter_map(|level| self.tree.ancestor(owner?, level));
        let owners = owners.map(|owner| LevelId::at(self.tree.account(owner)));
        owners.chain([LevelId::BUDGET]).collect()
    }

    fn finish(&self, served: Served<Wanted>) {
        served.wakers.into_iter().for_each(Waker::wake);
        for level in served.awaited {
            let owner = self.tree.ancestor(level.request.owner, level.level);
            self.drained_below(owner, || {});
        }
    }

    /// Makes `attempt` while nobody keeps anything at hand, and serves the budget's level.
    pub fn drained<T>(&self, attempt: impl FnOnce() -> T) -> T {
        self.drained_below(None, attempt)
    }

    /// Makes `attempt` while nobody at or below `top` keeps anything at hand, or below the budget,
    /// and serves the levels from there up.
    fn drained_below<T>(&self, top: Option<usize>, attempt: impl FnOnce() -> T) -> T {
        if self.tree.keepers_below(top).next().is_none() {
            return attempt();
        }
        let answer = self.tree.drained_below(top, attempt);
        self.serve_from(top);
        answer
    }

    /// Closes the budget, and tells all who wait.
    pub fn shut_down(&self) {
        self.tree.budget.close();
        self.serve();
        self.tree.budget.wait_until_settled();
    }

    /// Takes a place in the line.
    pub fn join(&self, owner: usize, bytes: u64) -> Ticket {
        let tree = Arc::clone(&self.tree);
        let ticket = self.line.join(Arc::new(Wanted { tree, owner, bytes }));
        self.serve_from(Some(owner));
        ticket
    }

    /// Waits until a place has come to something.
    ///
    /// # Errors
    ///
    /// What the line says.
    pub fn wait(&self, ticket: Ticket) -> Result<Charge, WaitEnd> {
        let bell = Arc::new(Bell(Notify::new()));
        let waker = Waker::from(Arc::clone(&bell));
        loop {
            if let Poll::Ready(outcome) = self.line.poll(ticket, &waker) {
                return outcome;
            }
            bell.0.wait();
        }
    }

    /// Joins the line, and waits.
    ///
    /// # Errors
    ///
    /// What the line says.
    pub fn acquire(&self, owner: usize, bytes: u64) -> Result<Charge, WaitEnd> {
        self.wait(self.join(owner, bytes))
    }

    /// Leaves the line, and gives back what was granted meanwhile; whether there was anything.
    pub fn give_up(&self, owner: usize, ticket: Ticket) -> bool {
        let left = self.line.leave(ticket);
        // Others may have waited behind.
        self.serve_from(Some(owner));
        match left {
            Some(Ok(charge)) => {
                self.release(charge);
                true
            }
            Some(Err(_)) | None => false,
        }
    }

    /// Whether a place has come to something.
    #[must_use]
    pub fn is_served(&self, ticket: Ticket) -> bool {
        self.line.waiting().iter().all(|waiting| waiting.ticket != ticket)
    }
}
