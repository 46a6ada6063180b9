//! The owners that may be asked on behalf of a request.
//!
//! # Rules
//!
//! 1. Owners below the requester give for it, all that they hold above their minimums.
//! 2. The requester itself gives only if it was registered so, and those above it never.
//! 3. Of all others those give that are below what refuses the request: the budget or an account.
//!    They give what they hold above their minimums and above their shares. So does every owner
//!    above them that is not above the requester as well.
//! 4. For a request beyond a share, only those give that are below the owner whose share it is.
//!
//! What is found out about all owners takes one pass over them, and the rest a walk from one owner
//! to the top for each request. So a look costs as much as there are owners and requests.

use crate::owners::sharing_state::ReclaimKind;

use super::view::{Candidate, View};

/// A request, and what may be asked on its behalf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    requester: usize,
    /// All that may be asked are below this owner; `None` if any may.
    top: Option<usize>,
    pub(super) lacking_bytes: u64,
}

impl Scope {
    pub(super) fn of(view: &View, request: usize) -> Self {
        let request = &view.requests[request];
        let (requester, bytes) = (request.owner, request.bytes);
        let owner = &view.owners[requester];
        let guaranteed = owner.minimum_bytes.saturating_sub(owner.used_bytes);
        let had = request.free_bytes.unwrap_or(0).saturating_add(guaranteed);
        let top = top_of(view, requester, bytes, request.level);
        // One that waits lacks something, whatever the numbers say that were read one by one.
        Self { requester, top, lacking_bytes: bytes.saturating_sub(had).max(1) }
    }
}

/// The owner below which all are that may be asked (rules 3 and 4).
fn top_of(view: &View, requester: usize, bytes: u64, level: Option<usize>) -> Option<usize> {
    let is_beyond = |owner: &usize| {
        let owner = &view.owners[*owner];
        owner.used_bytes.saturating_add(bytes) > owner.first_bytes
    };
    // The lower of the two: both are above the requester.
    view.ancestry(requester).find(|owner| Some(*owner) == level || is_beyond(owner))
}

/// The owners in an order in which those below one follow it.
pub(super) struct Tree<'a> {
    view: &'a View,
    /// The place of each owner in that order.
    position: Vec<usize>,
    /// How many are below each, with itself.
    size: Vec<usize>,
    at: Vec<usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        let count = view.owners.len();
        let mut size = vec![1; count];
        for (owner, seen) in view.owners.iter().enumerate().rev() {
            if let Some(parent) = seen.parent {
                size[parent] += size[owner];
            }
        }
        let (mut position, mut next, mut top) = (vec![0; count], vec![0; count], 0);
        for (owner, seen) in view.owners.iter().enumerate() {
            let free = match seen.parent {
                Some(parent) => &mut next[parent],
                None => &mut top,
            };
            position[owner] = *free;
            *free += size[owner];
            next[owner] = position[owner] + 1;
        }
        let mut at = vec![0; count];
        for (owner, position) in position.iter().enumerate() {
            at[*position] = owner;
        }
        Self { view, position, size, at }
    }

    /// `top` and those below it, parents before their children; all if there is no top.
    pub(super) fn below(&self, top: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        let places = match top {
            Some(top) => self.position[top]..self.position[top] + self.size[top],
            None => 0..self.at.len(),
        };
        self.at[places].iter().copied()
    }

    pub(super) fn is_below(&self, owner: usize, top: usize) -> bool {
        let from = self.position[top];
        (from..from + self.size[top]).contains(&self.position[owner])
    }

    /// The owners that may be asked, and for how much.
    pub(super) fn candidates(&self, scope: &Scope, scratch: &mut Vec<u64>) -> Vec<Candidate> {
        let owners = &self.view.owners;
        scratch.resize(owners.len(), u64::MAX);
        let mut found = Vec::new();
        for owner in self.below(scope.top) {
            let seen = &owners[owner];
            if self.is_below(scope.requester, owner) {
                // It bounds nothing that those below it give to one of them.
                scratch[owner] = u64::MAX;
                continue;
            }
            let above = seen.parent.map_or(u64::MAX, |parent| scratch[parent]);
            let own = match self.is_below(owner, scope.requester) {
                true => seen.excess_for_those_above(),
                false => seen.excess_bytes(),
            };
            scratch[owner] = own.min(above);
            if scratch[owner] > 0 && may_be_asked(self.view, owner) {
                found.push(Candidate { owner, bytes: scratch[owner] });
            }
        }
        let own_bytes = own_excess(self.view, scope.requester);
        if own_bytes > 0 {
            found.push(Candidate { owner: scope.requester, bytes: own_bytes });
        }
        found
    }
}

fn may_be_asked(view: &View, owner: usize) -> bool {
    view.owners[owner].way != ReclaimKind::Never && !view.owners[owner].is_of_reserve
}

/// What a requester may be asked for itself (rule 2).
fn own_excess(view: &View, requester: usize) -> u64 {
    if !view.owners[requester].includes_own || !may_be_asked(view, requester) {
        return 0;
    }
    let excess = |owner: usize| view.owners[owner].excess_for_those_above();
    view.ancestry(requester).map(excess).min().unwrap_or(0)
}

/// The least of a value over the candidates of any request, after one pass over all owners.
pub(super) struct Least<'a> {
    view: &'a View,
    value: Vec<u64>,
    /// For each owner, and last for the budget: the two least of what its children come to for
    /// requests from elsewhere, and the child that the first is of.
    others: Vec<[(u64, usize); 2]>,
    /// For each owner: the least of all below it, for requests of its own.
    below: Vec<u64>,
}

const NONE: (u64, usize) = (u64::MAX, usize::MAX);

impl<'a> Least<'a> {
    pub(super) fn of(view: &'a View, value: impl Fn(usize) -> u64) -> Self {
        let count = view.owners.len();
        let value: Vec<_> = (0..count).map(value).collect();
        let mut others = vec![[NONE; 2]; count + 1];
        let mut below = vec![u64::MAX; count];
        for (owner, seen) in view.owners.iter().enumerate().rev() {
            let mine = if may_be_asked(view, owner) { value[owner] } else { u64::MAX };
            let parent = seen.parent.unwrap_or(count);
            if seen.excess_bytes() > 0 {
                let least = (others[owner][0].0.min(mine), owner);
                let [first, second] = &mut others[parent];
                if least < *first {
                    *second = std::mem::replace(first, least);
                } else if least < *second {
                    *second = least;
                }
            }
            if parent < count && seen.excess_for_those_above() > 0 {
                below[parent] = below[parent].min(below[owner]).min(mine);
            }
        }
        Self { view, value, others, below }
    }

    /// The least over the owners that may be asked on behalf of a request.
    pub(super) fn over(&self, scope: &Scope) -> u64 {
        let requester = scope.requester;
        let mut least = self.below[requester];
        if own_excess(self.view, requester) > 0 {
            least = least.min(self.value[requester]);
        }
        let mut from = requester;
        while scope.top != Some(from) {
            let parent = self.view.owners[from].parent;
            let [first, second] = self.others[parent.unwrap_or(self.value.len())];
            least = least.min(if first.1 == from { second.0 } else { first.0 });
            let Some(parent) = parent else { break };
            from = parent;
        }
        least
    }
}
