//! Requests that wait for each other: one of them is told, or they would wait for ever.
//!
//! # Rules
//!
//! 1. A request waits for those that hold more than all minimums that it is not entitled to, of
//!    what lies below the level that refuses it. If none does, it waits for all that hold anything
//!    there or are promised more: it would help if one of them went. The requests behind it at that
//!    level wait for it, and so for the same.
//! 2. Levels that wait for each other, and for no other, are a circle if each of those that they
//!    wait for has a request in line at one of them.
//! 3. It is a deadlock if every handle on each of these waits, and nothing has changed about the
//!    circle for the timeout: neither its requests, nor what any of its owners holds. The request
//!    that came last is told, once nobody gives any more for any of them.
//! 4. If some have other handles, which may be at work, nobody is told. Those that watch hear of it
//!    once.

use std::collections::HashMap;

use super::scope::Tree;
use super::view::{Moment, OwnerKey, View, earliest};

/// The circles that are known of, by the first of their requests.
#[derive(Default)]
pub(super) struct Circles {
    known: HashMap<u64, Stuck>,
}

/// A circle, for as long as nothing changes.
struct Stuck {
    tickets: Vec<u64>,
    /// What each of its owners holds.
    held: Vec<(OwnerKey, u64)>,
    since: Moment,
    /// Since when every handle waits.
    certain_since: Option<Moment>,
    /// Whether those that watch have heard of it.
    is_told: bool,
}

/// What there is to say about a circle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// This request, which came last, is told.
    Ends(usize),
    /// These owners may wait for each other.
    Uncertain(Vec<usize>),
}

/// Owners and requests that wait for each other, by their places in the view.
struct Circle {
    owners: Vec<usize>,
    /// In the order of their coming.
    requests: Vec<usize>,
}

impl Circles {
    /// Looks for circles, and says what there is to say. `is_stuck` says of which owners every
    /// handle waits, and `waits_in_vain` for which requests nobody could give any more.
    pub(super) fn look(
        &mut self,
        (now, view, tree): (Moment, &View, &Tree<'_>),
        timeout: Moment,
        is_stuck: impl Fn(usize) -> bool,
        waits_in_vain: impl Fn(usize) -> bool,
    ) -> Vec<Verdict> {
        let mut before = std::mem::take(&mut self.known);
        let mut verdicts = Vec::new();
        for circle in circles(view, tree) {
            let tickets: Vec<_> =
                circle.requests.iter().map(|request| view.requests[*request].ticket).collect();
            let (Some(first), Some(last)) = (tickets.first().copied(), circle.requests.last())
            else {
                continue;
            };
            let held = |owner: &usize| (view.owners[*owner].key, view.owners[*owner].used_bytes);
            let held: Vec<_> = circle.owners.iter().map(held).collect();
            let is_same = |stuck: &Stuck| stuck.tickets == tickets && stuck.held == held;
            let mut stuck = before.remove(&first).filter(is_same).unwrap_or(Stuck {
                tickets,
                held,
                since: now,
                certain_since: None,
                is_told: false,
            });
            let is_certain = circle.owners.iter().all(|owner| is_stuck(*owner));
            stuck.certain_since = is_certain.then(|| stuck.certain_since.unwrap_or(now));
            let is_over = |since: Moment| since.saturating_add(timeout) <= now;
            let is_in_vain = || circle.requests.iter().all(|request| waits_in_vain(*request));
            if stuck.certain_since.is_some_and(is_over) && is_in_vain() {
                verdicts.push(Verdict::Ends(*last));
                continue;
            }
            if !is_certain && is_over(stuck.since) && !stuck.is_told {
                stuck.is_told = true;
                verdicts.push(Verdict::Uncertain(circle.owners));
            }
            self.known.insert(first, stuck);
        }
        verdicts
    }

    /// When there may be something to say, if nothing changes before.
    pub(super) fn deadline(&self, now: Moment, timeout: Moment) -> Option<Moment> {
        let end = |stuck: &Stuck| {
            let hears = Some(stuck.since).filter(|_| !stuck.is_told);
            let since = stuck.certain_since.or(hears)?;
            Some(since.saturating_add(timeout)).filter(|end| *end > now)
        };
        self.known.values().fold(None, |first, stuck| earliest(first, end(stuck)))
    }
}

/// The circles that there are (rule 2). One pass over the owners below each level that is waited
/// for.
fn circles(view: &View, tree: &Tree<'_>) -> Vec<Circle> {
    let mut requests_of = vec![Vec::new(); view.owners.len()];
    // Of each level, by the place of its owner or last for the budget, which node it is.
    let mut node_of = vec![usize::MAX; view.owners.len() + 1];
    let mut firsts = Vec::new();
    for (request, seen) in view.requests.iter().enumerate() {
        let level = seen.level.unwrap_or(view.owners.len());
        if node_of[level] == usize::MAX {
            node_of[level] = firsts.len();
            firsts.push(request);
        }
        if seen.is_patient {
            requests_of[seen.owner].push(request);
        }
    }
    if requests_of.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    let node_of =
        |request: usize| node_of[view.requests[request].level.unwrap_or(view.owners.len())];
    let mut scratch = vec![true; view.owners.len()];
    let nodes = firsts.iter().map(|first| {
        let holders = holders_for(view, tree, *first, &mut scratch);
        let is_free = holders.is_empty() || holders.iter().any(|it| requests_of[*it].is_empty());
        let waits_for = holders.iter().flat_map(|holder| &requests_of[*holder]);
        let next = if is_free { Vec::new() } else { waits_for.map(|it| node_of(*it)).collect() };
        Node { holders, is_free, next }
    });
    let nodes: Vec<_> = nodes.collect();
    let closed = closed_groups(&nodes);
    let circle = |group: Vec<usize>| {
        let holders = group.iter().flat_map(|node| nodes[*node].holders.iter().copied());
        let mut owners: Vec<_> = holders.collect();
        owners.sort_unstable();
        owners.dedup();
        let requests = owners.iter().flat_map(|owner| requests_of[*owner].iter().copied());
        let mut requests: Vec<_> = requests.collect();
        requests.sort_unstable_by_key(|request| view.requests[*request].ticket);
        Circle { owners, requests }
    };
    closed.into_iter().map(circle).collect()
}

/// The owners whose giving back would help a request (rule 1).
fn holders_for(view: &View, tree: &Tree<'_>, request: usize, scratch: &mut [bool]) -> Vec<usize> {
    let (requester, full) = (view.requests[request].owner, view.requests[request].level);
    // Not what is full, nor those above the requester: what these are promised is the requester's.
    let is_apart = |owner: usize| {
        Some(owner) != full && (owner == requester || !tree.is_below(requester, owner))
    };
    let (mut above, mut all) = (Vec::new(), Vec::new());
    for owner in tree.below(full) {
        let seen = &view.owners[owner];
        let is_apart = is_apart(owner);
        let has_excess = seen.used_bytes > seen.minimum_bytes;
        let parent = seen.parent.filter(|_| Some(owner) != full);
        scratch[owner] = !is_apart || has_excess && parent.is_none_or(|parent| scratch[parent]);
        if seen.is_of_reserve {
            continue;
        }
        if seen.own_bytes > 0 && scratch[owner] {
            above.push(owner);
        }
        if seen.own_bytes > 0 || is_apart && seen.used_bytes < seen.minimum_bytes {
            all.push(owner);
        }
    }
    if above.is_empty() { all } else { above }
}

/// A level that refuses requests.
struct Node {
    /// Those that it waits for.
    holders: Vec<usize>,
    /// Whether one of them does not wait.
    is_free: bool,
    /// The levels at which these wait.
    next: Vec<usize>,
}

/// A node on the way, and which of its next ones is next.
struct Step {
    node: usize,
    next: usize,
}

/// Groups of nodes that reach each other and no other node, without free ones: Tarjan's algorithm.
fn closed_groups(nodes: &[Node]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut search = Search {
        number: vec![UNSEEN; nodes.len()],
        low: vec![UNSEEN; nodes.len()],
        // Whether it reaches nodes of a group that is done, or is free itself.
        leaves: nodes.iter().map(|node| node.is_free).collect(),
        is_done: vec![false; nodes.len()],
        stack: Vec::new(),
        groups: Vec::new(),
    };
    let mut count = 0;
    for root in 0..nodes.len() {
        if search.number[root] != UNSEEN {
            continue;
        }
        let mut way = vec![Step { node: root, next: 0 }];
        while let Some(step) = way.last_mut() {
            let node = step.node;
            if step.next == 0 && search.number[node] == UNSEEN {
                (search.number[node], search.low[node]) = (count, count);
                search.stack.push(node);
                count += 1;
            }
            let Some(next) = nodes[node].next.get(step.next).copied() else {
                way.pop();
                search.leave(node, way.last().map(|step| step.node));
                continue;
            };
            step.next += 1;
            if search.number[next] == UNSEEN {
                way.push(Step { node: next, next: 0 });
            } else if search.is_done[next] {
                search.leaves[node] = true;
            } else {
                search.low[node] = search.low[node].min(search.number[next]);
            }
        }
    }
    search.groups
}

struct Search {
    /// The order in which they were seen.
    number: Vec<usize>,
    /// The first that each reaches.
    low: Vec<usize>,
    leaves: Vec<bool>,
    is_done: Vec<bool>,
    stack: Vec<usize>,
    groups: Vec<Vec<usize>>,
}

impl Search {
    /// All that a node leads to was seen. It was come to from `from`.
    fn leave(&mut self, node: usize, from: Option<usize>) {
        if self.low[node] == self.number[node] {
            let start = self.stack.iter().rposition(|it| *it == node).unwrap_or(0);
            let group = self.stack.split_off(start);
            group.iter().for_each(|it| self.is_done[*it] = true);
            let is_closed = !group.iter().any(|it| self.leaves[*it]);
            if is_closed {
                self.groups.push(group);
            }
            if let Some(from) = from {
                self.leaves[from] = true;
            }
        } else if let Some(from) = from {
            self.low[from] = self.low[from].min(self.low[node]);
        }
    }
}
