//! What each owner may claim when there is not enough for all, level by level in the tree.
//!
//! What an owner demands is known from below: what it holds and waits for, and what those below it
//! demand, within its minimum and its limit. What it gets is known from above: a share of what its
//! parent gets. So one pass goes up the tree, and one goes down.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::base::bytes::to_usize;
use crate::base::panics::catch;
use crate::base::threads::{Next, Threads, Wakeup};
use crate::ledger::waiting::wait_queue::{Ticket, Waiting};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::filling::{Demand, fill};
use crate::owners::policies::policy::{Policy, Share, Sharer};
use crate::owners::policies::rule::Rule;

use super::commons::Commons;
use super::queue::Wanted;
use super::registry::Snapshot;
use super::this_thread::{Deciding, become_arbiter};
use super::verdicts::decide_grants;

/// What an owner holds and waits for.
#[derive(Clone, Copy, Default)]
struct Needs {
    used: u64,
    wanted: u64,
    /// When the oldest of its requests in line came.
    since: Option<Instant>,
}

/// All owners, in numbers.
struct Tree {
    /// Parents before their children.
    rows: Vec<Row>,
    /// The places of those without a parent.
    top: Vec<usize>,
}

/// One owner.
struct Row {
    owner: Arc<OwnerNode>,
    parent: Option<usize>,
    children: Vec<usize>,
    minimum: u64,
    limit: u64,
    own: Needs,
    /// With those below it.
    all: Needs,
    demand: u64,
    share: Option<Share>,
}

/// Brings the shares up to date for requests that wait, or has that begun. Never blocks, and calls
/// nothing foreign. `None` to go on with the shares that are there; otherwise until when it is
/// worth waiting for new ones. The arbiter is woken when these are there.
pub(crate) fn refresh(
    commons: &Commons,
    waiting: &[Waiting<Wanted>],
    now: Instant,
) -> Option<Instant> {
    match &commons.options.rule {
        Rule::Greedy => {}
        _ if waiting.is_empty() => {}
        Rule::FairShare => {
            let mut tree = Tree::of(commons, waiting);
            tree.share_out(free_for_all(commons), fair_shares);
            tree.put_in_force();
        }
        Rule::Foreign(_) | Rule::Deciding(_) => {
            let patience = commons.options.policy_patience();
            return commons.decisions.wait_until(newest(waiting), now, patience);
        }
    }
    None
}

/// One round of a foreign policy: its shares, and its verdicts on the requests that wait. For the
/// thread that it is called on.
fn decide(commons: &Arc<Commons>) {
    let Some(policy) = commons.options.rule.foreign() else { return };
    let round = commons.decisions.begin();
    let waiting = commons.queue.waiting();
    if !waiting.is_empty() {
        let now = Instant::now();
        let mut tree = Tree::of(commons, &waiting);
        tree.share_out(free_for_all(commons), |total, sharers| {
            let sharers: Vec<_> = sharers.iter().map(|row| row.sharer(now)).collect();
            asked_for_shares(&**policy, to_usize(total), &sharers)
        });
        decide_grants(commons, &waiting, now);
        // What comes after the last request has gone would be of no use to the next one.
        if !commons.queue.waiting().is_empty() {
            tree.put_in_force();
        }
    }
    commons.decisions.end(round, newest(&waiting));
    // Shares and verdicts decide which request is first.
    commons.serve();
    commons.wake_arbiter();
}

/// Starts the thread that a foreign policy is called on, as one of `threads`, and returns what
/// wakes it. `look_at` says whose owners they are, and keeps the manager while the policy decides,
/// so that a thread that drops a manager waits for no foreign code. It ends once there are none.
pub(crate) fn start<M>(
    threads: &Threads,
    look_at: impl Fn() -> Option<(Arc<Commons>, M)> + Send + 'static,
) -> io::Result<Arc<Wakeup>> {
    threads.start("offheap-policy", Next::WhenWoken, move || {
        let (commons, _manager) = look_at()?;
        become_arbiter();
        // What panics is foreign, and the next round is for others.
        let _ = catch(|| decide(&commons));
        Some(Next::WhenWoken)
    })
}

/// One that panics gives no shares.
fn asked_for_shares(policy: &dyn Policy, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
    let _deciding = Deciding::new();
    catch(|| policy.shares(total_bytes, sharers)).unwrap_or_default()
}

fn fair_shares(total: u64, sharers: &[&Row]) -> Vec<Share> {
    let demands: Vec<_> = sharers.iter().map(|row| row.demand()).collect();
    let shares = fill(total, &demands).into_iter().map(to_usize);
    shares.map(|bytes| Share::new(bytes, bytes)).collect()
}

fn newest(waiting: &[Waiting<Wanted>]) -> Option<Ticket> {
    waiting.iter().map(|waiting| waiting.ticket).max()
}

/// The capacity, without the spill reserve.
fn free_for_all(commons: &Commons) -> u64 {
    let (budget, reserve) = (&commons.supply.budget, &commons.supply.reserve);
    budget.limit().saturating_sub(reserve.limit())
}

impl Needs {
    fn plus(self, other: Self) -> Self {
        Self {
            used: self.used.saturating_add(other.used),
            wanted: self.wanted.saturating_add(other.wanted),
            since: self.since.into_iter().chain(other.since).min(),
        }
    }

    fn bytes(self) -> u64 {
        self.used.saturating_add(self.wanted)
    }
}

impl Tree {
    fn of(commons: &Commons, waiting: &[Waiting<Wanted>]) -> Self {
        let mut wanted: HashMap<*const OwnerNode, Needs> = HashMap::new();
        for Waiting { request, .. } in waiting {
            let since = Some(request.since());
            let more = Needs { used: 0, wanted: request.bytes(), since };
            let sum = wanted.entry(Arc::as_ptr(request.owner())).or_default();
            *sum = sum.plus(more);
        }
        commons.snapshot(|present| Self::new(present, &wanted))
    }

    fn new(present: &Snapshot, wanted: &HashMap<*const OwnerNode, Needs>) -> Self {
        let mut tree = Self { rows: Vec::with_capacity(present.owners.len()), top: Vec::new() };
        let mut numbers = Vec::with_capacity(present.owners.len());
        let used = present.owners.iter().zip(present.own_bytes());
        for (owner, used) in used.filter(|(owner, _)| !owner.is_of_reserve()) {
            let place = tree.rows.len();
            // In the order of their registration, so that a parent is there already.
            let number = owner.parent().map(|parent| parent.number());
            let parent = number.and_then(|number| numbers.binary_search(&number).ok());
            let limit_above = parent.map_or(u64::MAX, |parent| tree.rows[parent].limit);
            let wanted = wanted.get(&Arc::as_ptr(owner)).copied().unwrap_or_default();
            let own = wanted.plus(Needs { used: used as u64, ..Needs::default() });
            match parent {
                Some(parent) => tree.rows[parent].children.push(place),
                None => tree.top.push(place),
            }
            numbers.push(owner.number());
            tree.rows.push(Row {
                owner: Arc::clone(owner),
                parent,
                children: Vec::new(),
                minimum: owner.account().minimum(),
                limit: owner.account().limit().min(limit_above),
                own,
                all: own,
                demand: own.bytes(),
                share: None,
            });
        }
        tree.sum_up();
        tree
    }

    /// What each demands, from below.
    fn sum_up(&mut self) {
        for place in (0..self.rows.len()).rev() {
            let row = &mut self.rows[place];
            row.demand = row.demand.min(row.limit).max(row.minimum);
            let (all, demand) = (row.all, row.demand);
            if let Some(parent) = row.parent {
                let parent = &mut self.rows[parent];
                parent.all = parent.all.plus(all);
                parent.demand = parent.demand.saturating_add(demand);
            }
        }
    }

    /// What each gets, from above: `decide` says what those with the same parent get of what they
    /// have together.
    fn share_out(&mut self, all: u64, mut decide: impl FnMut(u64, &[&Row]) -> Vec<Share>) {
        let top = std::mem::take(&mut self.top);
        self.share_among(all, &top, &mut decide);
        for place in 0..self.rows.len() {
            let row = &mut self.rows[place];
            let Some(share) = row.share.filter(|_| !row.children.is_empty()) else { continue };
            // What an owner holds and waits for itself comes before what those below it have.
            let of_row = (share.first_bytes as u64).min(row.limit);
            let total = of_row.saturating_sub(row.own.bytes());
            let children = std::mem::take(&mut row.children);
            self.share_among(total, &children, &mut decide);
        }
        self.top = top;
    }

    /// The same for those with one parent.
    fn share_among(
        &mut self,
        total: u64,
        siblings: &[usize],
        decide: &mut impl FnMut(u64, &[&Row]) -> Vec<Share>,
    ) {
        let is_active = |place: &usize| self.rows[*place].all.bytes() > 0;
        let (active, others): (Vec<_>, Vec<_>) = siblings.iter().copied().partition(is_active);
        if active.is_empty() {
            return;
        }
        let promised = others.iter().map(|place| self.rows[*place].demand);
        let total = total.saturating_sub(promised.fold(0, u64::saturating_add));
        let sharers: Vec<_> = active.iter().map(|place| &self.rows[*place]).collect();
        let shares = decide(total, &sharers).into_iter().chain(std::iter::repeat(Share::OPEN));
        for (place, share) in active.into_iter().zip(shares) {
            self.rows[place].share = Some(share);
        }
    }

    fn put_in_force(&self) {
        for row in &self.rows {
            if let Some(Share { first_bytes, keeps_bytes }) = row.share {
                row.owner.sharing().set_share(first_bytes as u64, keeps_bytes as u64);
            }
        }
    }
}

impl Row {
    fn demand(&self) -> Demand {
        let sharing = self.owner.sharing();
        Demand {
            minimum: self.minimum,
            bytes: self.demand,
            weight: sharing.weight(),
            priority: sharing.priority(),
        }
    }

    fn sharer(&self, now: Instant) -> Sharer {
        let (owner, sharing) = (&self.owner, self.owner.sharing());
        Sharer {
            path: Arc::clone(owner.path()),
            parent: owner.parent().map(|parent| Arc::clone(parent.path())),
            depth: owner.levels() as usize,
            used_bytes: to_usize(self.all.used),
            wanted_bytes: to_usize(self.all.wanted),
            demand_bytes: to_usize(self.demand),
            minimum_bytes: to_usize(self.minimum),
            limit_bytes: to_usize(self.limit),
            waits_for: self.all.since.map(|since| now.saturating_duration_since(since)),
            priority: sharing.priority(),
            weight: sharing.weight(),
            kind: sharing.kind(),
        }
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
