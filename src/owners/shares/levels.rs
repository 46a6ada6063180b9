//! What each owner may claim when there is not enough for all, level by level in the tree.
//!
//! What an owner demands is known from below: what it holds and waits for, and what those below it
//! demand, within its minimum and its limit. What it gets is known from above: a share of what its
//! parent gets. So one pass goes up the tree, and one goes down.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::base::bytes::to_usize;
use crate::base::panics::catch;
use crate::base::threads::{Next, Threads, Wakeup};
use crate::ledger::waiting::wait_queue::{Ticket, Waiting};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::decisions::Decided;
use crate::owners::policies::filling::{Demand, fill};
use crate::owners::policies::policy::{Policy, Share, Sharer};
use crate::owners::policies::rule::Rule;

use super::verdicts::decide_grants;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;
use crate::owners::sharing::registry::Snapshot;
use crate::owners::sharing::this_thread::{Deciding, become_arbiter};

/// What an owner holds and waits for.
#[derive(Clone, Copy, Default)]
struct Needs {
    used: u64,
    wanted: u64,
    /// When the oldest of its requests in line came.
    since: Option<Instant>,
}

/// All owners, in numbers.
struct Tree<'a> {
    /// Parents before their children.
    rows: Vec<Row<'a>>,
    /// What each needs itself.
    own: Vec<Needs>,
    /// The places of all but those at the top: children of one parent side by side.
    children: Vec<usize>,
    top: Vec<usize>,
}

/// One owner.
struct Row<'a> {
    owner: &'a OwnerNode,
    parent: Option<usize>,
    /// Where its children are among all children.
    children: Range<usize>,
    minimum: u64,
    limit: u64,
    demand: u64,
    /// Whether it, or an owner below it, holds something or waits.
    is_active: bool,
    share: Option<Share>,
}

/// Brings the shares up to date for requests that wait, or has that begun. Never blocks, and calls
/// nothing foreign. The arbiter is woken when there is more to go by. Shares know nothing of a
/// request that joins the line later: that one is not to be judged by them, but in the next look.
pub(crate) fn refresh(
    commons: &Commons,
    waiting: &[Waiting<Wanted>],
    now: Instant,
) -> Decided<Ticket> {
    match &commons.options.rule {
        Rule::Greedy => {}
        _ if waiting.is_empty() => {}
        Rule::FairShare => {
            let wanted = wanted(waiting);
            commons.snapshot(|present| {
                let mut tree = Tree::new(present, &wanted);
                tree.share_out(free_for_all(commons), fair_shares);
                tree.put_in_force();
            });
        }
        Rule::Foreign(_) | Rule::Deciding(_) => {
            let patience = commons.options.policy_patience();
            return commons.decisions.look(newest(waiting), now, patience);
        }
    }
    Decided::UpTo(newest(waiting))
}

/// One round of a foreign policy: its shares, and its verdicts on the requests that wait. For the
/// thread that it is called on.
fn decide(commons: &Arc<Commons>) {
    let Some(policy) = commons.options.rule.foreign() else { return };
    let round = commons.decisions.begin();
    let waiting = commons.queue.waiting();
    if !waiting.is_empty() {
        let (now, wanted) = (Instant::now(), wanted(&waiting));
        commons.snapshot(|present| {
            let mut tree = Tree::new(present, &wanted);
            let needs = tree.needs();
            tree.share_out(free_for_all(commons), |total, rows, places| {
                let sharers = places.iter().map(|place| rows[*place].sharer(needs[*place], now));
                asked_for_shares(&**policy, to_usize(total), &sharers.collect::<Vec<_>>())
            });
            decide_grants(commons, &waiting, now);
            // What comes after the last request has gone would be of no use to the next one.
            if !commons.queue.waiting().is_empty() {
                tree.put_in_force();
            }
        });
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

fn fair_shares(total: u64, rows: &[Row<'_>], places: &[usize]) -> Vec<Share> {
    let demands: Vec<_> = places.iter().map(|place| rows[*place].demand()).collect();
    let shares = fill(total, &demands).into_iter().map(to_usize);
    shares.map(|bytes| Share::new(bytes, bytes)).collect()
}

/// What owners wait for.
fn wanted(waiting: &[Waiting<Wanted>]) -> HashMap<*const OwnerNode, Needs> {
    let mut wanted: HashMap<*const OwnerNode, Needs> = HashMap::new();
    for Waiting { request, .. } in waiting {
        let since = Some(request.since());
        let more = Needs { used: 0, wanted: request.bytes(), since };
        let sum = wanted.entry(Arc::as_ptr(request.owner())).or_default();
        *sum = sum.plus(more);
    }
    wanted
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

impl<'a> Tree<'a> {
    fn new(present: &'a Snapshot, wanted: &HashMap<*const OwnerNode, Needs>) -> Self {
        let count = present.owners.len();
        let (mut rows, mut needs): (Vec<Row<'_>>, _) = (Vec::with_capacity(count), Vec::new());
        let mut numbers = Vec::with_capacity(count);
        let used = present.owners.iter().zip(present.own_bytes());
        for (owner, used) in used.filter(|(owner, _)| !owner.is_of_reserve()) {
            // In the order of their registration, so that a parent is there already.
            let number = owner.parent().map(|parent| parent.number());
            let parent = number.and_then(|number| numbers.binary_search(&number).ok());
            let all = owner.budget().limit();
            let limit_above = parent.map_or(all, |parent| rows[parent].limit);
            let wanted = wanted.get(&Arc::as_ptr(owner)).copied().unwrap_or_default();
            let own = wanted.plus(Needs { used: used as u64, ..Needs::default() });
            numbers.push(owner.number());
            needs.push(own);
            rows.push(Row {
                owner,
                parent,
                children: 0..0,
                minimum: owner.account().minimum(),
                limit: owner.account().limit().min(limit_above),
                demand: own.bytes(),
                is_active: own.bytes() > 0,
                share: None,
            });
        }
        let mut tree = Self { rows, own: needs, children: Vec::new(), top: Vec::new() };
        tree.sum_up();
        tree.line_up();
        tree
    }

    /// What each demands, from below.
    fn sum_up(&mut self) {
        for place in (0..self.rows.len()).rev() {
            let row = &mut self.rows[place];
            row.demand = row.demand.min(row.limit).max(row.minimum);
            let (demand, is_active) = (row.demand, row.is_active);
            if let Some(parent) = row.parent {
                let parent = &mut self.rows[parent];
                parent.demand = parent.demand.saturating_add(demand);
                parent.is_active |= is_active;
            }
        }
    }

    /// Puts those with the same parent side by side.
    fn line_up(&mut self) {
        let is_top = |place: &usize| self.rows[*place].parent.is_none();
        (self.top, self.children) = (0..self.rows.len()).partition(is_top);
        let rows = &self.rows;
        self.children.sort_by_key(|place| rows[*place].parent);
        let mut end = 0;
        while let Some(parent) = self.children.get(end).and_then(|at| self.rows[*at].parent) {
            let begin = end;
            let is_below = |place: &&usize| self.rows[**place].parent == Some(parent);
            end += self.children[begin..].iter().take_while(is_below).count();
            self.rows[parent].children = begin..end;
        }
    }

    /// What each needs with those below it.
    fn needs(&self) -> Vec<Needs> {
        let mut all = self.own.clone();
        for place in (0..all.len()).rev() {
            if let Some(parent) = self.rows[place].parent {
                all[parent] = all[parent].plus(all[place]);
            }
        }
        all
    }

    /// What each gets, from above: `decide` says what those with the same parent, which it is told
    /// by their places, get of what they have together.
    fn share_out(
        &mut self,
        all: u64,
        mut decide: impl FnMut(u64, &[Row<'a>], &[usize]) -> Vec<Share>,
    ) {
        let (top, children) = (mem::take(&mut self.top), mem::take(&mut self.children));
        self.share_among(all, &top, &mut decide);
        for place in 0..self.rows.len() {
            let row = &self.rows[place];
            let Some(share) = row.share.filter(|_| !row.children.is_empty()) else { continue };
            // What an owner holds and waits for itself comes before what those below it have.
            let of_row = (share.first_bytes as u64).min(row.limit);
            let total = of_row.saturating_sub(self.own[place].bytes());
            self.share_among(total, &children[row.children.clone()], &mut decide);
        }
        (self.top, self.children) = (top, children);
    }

    /// The same for those with one parent.
    fn share_among(
        &mut self,
        total: u64,
        siblings: &[usize],
        decide: &mut impl FnMut(u64, &[Row<'a>], &[usize]) -> Vec<Share>,
    ) {
        let is_active = |place: &usize| self.rows[*place].is_active;
        let (active, others): (Vec<_>, Vec<_>) = siblings.iter().copied().partition(is_active);
        if active.is_empty() {
            return;
        }
        let promised = others.iter().map(|place| self.rows[*place].demand);
        let total = total.saturating_sub(promised.fold(0, u64::saturating_add));
        let shares = decide(total, &self.rows, &active).into_iter();
        let shares = shares.chain(std::iter::repeat(Share::OPEN));
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

impl Row<'_> {
    fn demand(&self) -> Demand {
        let sharing = self.owner.sharing();
        Demand {
            minimum: self.minimum,
            bytes: self.demand,
            weight: sharing.weight(),
            priority: sharing.priority(),
        }
    }

    /// `needs` are its own, and those of the owners below it.
    fn sharer(&self, needs: Needs, now: Instant) -> Sharer {
        let (owner, sharing) = (self.owner, self.owner.sharing());
        Sharer {
            path: Arc::clone(owner.path()),
            parent: owner.parent().map(|parent| Arc::clone(parent.path())),
            depth: owner.levels() as usize,
            used_bytes: to_usize(needs.used),
            wanted_bytes: to_usize(needs.wanted),
            demand_bytes: to_usize(self.demand),
            minimum_bytes: to_usize(self.minimum),
            limit_bytes: to_usize(self.limit),
            waits_for: needs.since.map(|since| now.saturating_duration_since(since)),
            priority: sharing.priority(),
            weight: sharing.weight(),
            kind: sharing.kind(),
        }
    }
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
