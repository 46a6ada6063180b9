//! Bringing back what owners and workers keep at hand, before a request is refused for want of it.
//!
//! # Protocol
//!
//! 1. A drainer marks the top of its scope, takes the list of those that may have something at
//!    hand, and goes through their caches, one at a time, as in (`budget`, 9). Below one owner it
//!    takes no list, and goes through all that are there. Then it makes its attempt, with nothing
//!    locked. Then it takes its marks away.
//! 2. Shelves come first, then magazines, then allowances: pages that come back may leave their
//!    bytes in an allowance that is open yet. Allowances stay shut by the drainer's count. What
//!    else was shut stays so because of the mark.
//! 3. Drainers do not wait for each other, but where one has a shelf or a magazine in hand. One
//!    that comes while another goes through its list goes through that list, too.
//! 4. A drainer that cannot be counted by an allowance lets go of all allowances, and begins with
//!    them again. So no waiting goes in circles.

use std::sync::Arc;

use crate::base::sync::{Patience, full_fence};
use crate::ledger::at_hand::magazine::{Announced, Fences, Magazine};
use crate::ledger::budget::{Drainers, HasWaiters};
use crate::memory::os;
use crate::owners::node::owner_node::OwnerNode;

use super::registry::Registry;

/// Whose pages are brought back.
#[derive(Clone, Copy)]
pub(crate) enum DrainScope<'a> {
    Everybody,
    /// Those of one owner, of the ones below it, and of their workers, for a request that its limit
    /// refuses.
    Below(&'a OwnerNode),
}

/// What becomes of the caches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reopen {
    /// They are opened again once enough is free.
    Later,
    /// They take no page ever again.
    Never,
}

/// A mark at the top of a scope, as long as it lives.
struct Mark<'a>(&'a Drainers);

impl<'a> Mark<'a> {
    fn new(drainers: &'a Drainers) -> Self {
        drainers.begin();
        Self(drainers)
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An owner whose allowance was collected, and stays shut as long as this lives.
struct Collected<'a>(&'a OwnerNode);

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.0.account().let_go_of_allowance();
    }
}

/// Brings the pages that are kept at hand back to the free list and the budget, and makes
/// `attempt` while none can be kept. So if it is refused, there is too little. For every page that
/// an owner does not use is free, or is just being released by a caller that was not done with it
/// when the attempt was made. Nothing is locked during the attempt.
///
/// If a request waits for what was brought back, the line is to be served.
///
/// Not for a worker that has its own magazine in hand. Not for a caller that has a shelf locked, or
/// a request in flight, which a worker may wait for. And not within the attempt of another drain.
pub(super) fn drain<T>(
    registry: &Registry,
    scope: DrainScope<'_>,
    reopen: Reopen,
    attempt: impl FnOnce() -> T,
) -> (T, HasWaiters) {
    match scope {
        DrainScope::Everybody => {
            let supply = registry.supply();
            let _marks =
                [&supply.budget, &supply.reserve].map(|budget| Mark::new(budget.drainers()));
            let taken = registry.open().take();
            let owners = taken.owners();
            let Emptied { mut awaited, left } = empty(&owners, reopen, supply.fences);
            // Another drainer finds them, and tries again.
            left.iter().for_each(|owner| registry.enter(owner, &mut || {}));
            let _allowances = collect_all(&owners, reopen, &mut awaited);
            taken.finish();
            (attempt(), awaited)
        }
        DrainScope::Below(top) => {
            let _mark = Mark::new(top.account().drainers());
            if top.is_parent() && registry.open().is_empty() {
                return (attempt(), HasWaiters::NO);
            }
            let owners = top.with_those_below();
            let Emptied { mut awaited, .. } = empty(&owners, reopen, registry.supply().fences);
            let _allowances = collect_all(&owners, reopen, &mut awaited);
            (attempt(), awaited)
        }
    }
}

/// What came of emptying caches.
struct Emptied<'a> {
    /// Whether a request waits for what came back.
    awaited: HasWaiters,
    /// Owners whose magazines could not be looked into.
    left: Vec<&'a OwnerNode>,
}

/// Empties and shuts the shelves and magazines of `owners` (Protocol, 2).
fn empty(owners: &[Arc<OwnerNode>], reopen: Reopen, fences: Fences) -> Emptied<'_> {
    let mut awaited = HasWaiters::NO;
    for owner in owners {
        for shelf in owner.pages().depot().iter().flat_map(|depot| depot.shelves()) {
            let shelf = shelf.lock();
            awaited = awaited.or(owner.give_back(shelf.take_all()));
            if reopen == Reopen::Never {
                shelf.seal();
            }
        }
    }
    let magazines = owners.iter().flat_map(|owner| {
        owner.pages().magazines().into_iter().map(move |magazine| (owner, magazine))
    });
    let Emptied { awaited: of_magazines, left } =
        empty_magazines(magazines.collect(), reopen, fences);
    Emptied { awaited: awaited.or(of_magazines), left }
}

/// Empties and shuts `magazines`: none of them if the system refuses the fence without which they
/// cannot be looked into.
fn empty_magazines<'a>(
    mut magazines: Vec<(&'a Arc<OwnerNode>, Arc<Magazine>)>,
    reopen: Reopen,
    fences: Fences,
) -> Emptied<'a> {
    let (mut awaited, mut patience) = (HasWaiters::NO, Patience::new());
    loop {
        let (mut announced, mut others) = (Vec::new(), Vec::new());
        for (owner, magazine) in &magazines {
            match magazine.announce() {
                Some(mine) => announced.push((*owner, mine)),
                // Another drainer has it. For that we wait with nothing in hand.
                None => others.push((*owner, Arc::clone(magazine))),
            }
        }
        if !announced.is_empty() && !pass_fence(fences) {
            let left = magazines.iter().map(|(owner, _)| &***owner).collect();
            return Emptied { awaited, left };
        }
        awaited = awaited.or(empty_announced(announced, reopen));
        if others.is_empty() {
            return Emptied { awaited, left: Vec::new() };
        }
        patience.wait();
        magazines = others;
    }
}

/// Empties and shuts those whose workers are not in, and goes round the others until they are out.
fn empty_announced(
    mut announced: Vec<(&Arc<OwnerNode>, Announced<'_>)>,
    reopen: Reopen,
) -> HasWaiters {
    let (mut awaited, mut patience) = (HasWaiters::NO, Patience::new());
    while !announced.is_empty() {
        let mut busy = Vec::new();
        let before = announced.len();
        for (owner, magazine) in announced {
            match magazine.take() {
                Ok(magazine) => {
                    awaited = awaited.or(owner.give_back(magazine.take_all()));
                    if reopen == Reopen::Never {
                        magazine.seal();
                    }
                }
                Err(magazine) => busy.push((owner, magazine)),
            }
        }
        if busy.len() == before {
            patience.wait();
        }
        announced = busy;
    }
    awaited
}

/// Collects the allowances of `owners`, and has them stay shut as long as what is returned lives.
fn collect_all<'a>(
    owners: &'a [Arc<OwnerNode>],
    reopen: Reopen,
    awaited: &mut HasWaiters,
) -> Vec<Collected<'a>> {
    let mut patience = Patience::new();
    loop {
        let collect = |owner: &'a Arc<OwnerNode>| {
            let (account, upstream) = (owner.account(), owner.upstream());
            if reopen == Reopen::Never {
                *awaited = awaited.or(account.end_allowance(&upstream));
            }
            *awaited = awaited.or(account.collect_allowance(&upstream)?);
            Some(Collected(owner))
        };
        let collected: Option<Vec<_>> = owners.iter().map(collect).collect();
        if let Some(collected) = collected {
            return collected;
        }
        // So many have one of them that we cannot be counted (Protocol, 4).
        patience.wait();
    }
}

/// The drainer's fence (`magazine`, 3); `false` if the system refuses it.
fn pass_fence(fences: Fences) -> bool {
    match fences {
        Fences::Heavy => os::heavy_fence(),
        Fences::Symmetric => {
            full_fence();
            true
        }
    }
}

#[cfg(test)]
#[path = "draining_tests.rs"]
mod tests;
