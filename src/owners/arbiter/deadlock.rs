//! Requests that wait for each other: one of them is refused, or they would wait for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::base::units::LevelId;
use crate::ledger::waiting::wait_queue::{Ticket, Waiting};

use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;

/// Waits that seem to have no end, by the account or the budget that refuses them.
#[derive(Default)]
pub(crate) struct Deadlocks {
    stuck: HashMap<LevelId, Stuck>,
}

/// Requests that wait for each other, for as long as nothing changes.
struct Stuck {
    circle: Circle,
    since: Instant,
}

/// The owners that hold what a request waits for, what these wait for themselves, and so on.
#[derive(PartialEq, Eq)]
struct Circle {
    tickets: Vec<Ticket>,
    used_bytes: u64,
}

impl Deadlocks {
    /// Of the requests that wait for each other, and that the first one waits for, the one that
    /// came last; `None` unless nothing has changed about that for a while. `is_asked` says which
    /// owners are giving back just now.
    pub(crate) fn last_to_come(
        &mut self,
        commons: &Commons,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        is_asked: impl Fn(&OwnerNode) -> bool,
        now: Instant,
    ) -> Option<Ticket> {
        let (_, identity) = first.level();
        let Some(circle) = Circle::of(commons, first, waiting, is_asked) else {
            self.stuck.remove(&identity);
            return None;
        };
        match self.stuck.get(&identity).filter(|stuck| stuck.circle == circle) {
            None => {
                self.stuck.insert(identity, Stuck { circle, since: now });
                None
            }
            Some(stuck) if now.duration_since(stuck.since) < commons.options.deadlock_timeout => {
                None
            }
            Some(_) => {
                self.stuck.remove(&identity);
                circle.tickets.last().copied()
            }
        }
    }

    /// Forgets levels that refuse no request any more.
    pub(crate) fn retain(&mut self, refuses: impl Fn(LevelId) -> bool) {
        self.stuck.retain(|identity, _| refuses(*identity));
    }
}

impl Circle {
    /// `None` if an owner in it does not wait, or gives back just now.
    fn of(
        commons: &Commons,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        is_asked: impl Fn(&OwnerNode) -> bool,
    ) -> Option<Self> {
        let mut circle = Self { tickets: Vec::new(), used_bytes: 0 };
        let mut levels = vec![first.level().1];
        let mut next = 0;
        while let Some(identity) = levels.get(next).copied() {
            next += 1;
            // The requests behind this one wait for it.
            let first = waiting.iter().find(|waiting| waiting.level().1 == identity)?;
            let holders = holders_for(commons, first);
            if holders.is_empty() {
                return None;
            }
            for holder in holders {
                let is_his = |waiting: &&Waiting<Wanted>| {
                    waiting.request.is_patient() && Arc::ptr_eq(&holder, waiting.request.owner())
                };
                if is_asked(&holder) || !waiting.iter().any(|waiting| is_his(&waiting)) {
                    return None;
                }
                for his in waiting.iter().filter(is_his) {
                    circle.tickets.push(his.ticket);
                    let (_, identity) = his.level();
                    if !levels.contains(&identity) {
                        levels.push(identity);
                    }
                }
                circle.used_bytes += holder.account().used_bytes();
            }
        }
        circle.tickets.sort_unstable();
        Some(circle)
    }
}

/// The owners whose giving back would help a request. These are the ones that hold more than all
/// minimums that the request is not entitled to. If none does, they are all that hold anything or
/// are promised more: it would help if one of them went.
fn holders_for(commons: &Commons, waiting: &Waiting<Wanted>) -> Vec<Arc<OwnerNode>> {
    let requester = waiting.request.owner();
    let full = requester.ancestor(waiting.level().0);
    let is_full = |owner: &OwnerNode| full.is_some_and(|full| owner.is(full));
    let is_apart = |owner: &&OwnerNode| {
        let is_requester = owner.is(requester);
        !is_full(owner) && (is_requester || !requester.is_below(owner))
    };
    let has_excess = |owner: &Arc<OwnerNode>| {
        let mut apart = owner.ancestry().take_while(is_apart);
        apart.all(|owner| owner.account().used_bytes() > owner.account().minimum())
    };
    let is_promised_more = |owner: &OwnerNode| {
        owner.account().used_bytes() < owner.account().minimum() && is_apart(&owner)
    };
    commons.snapshot(|present| {
        let is_in_scope = |owner: &&Arc<OwnerNode>| {
            full.is_none_or(|full| owner.is_below(full)) && !owner.is_of_reserve()
        };
        let holds = |owner: &&Arc<OwnerNode>| present.own_bytes_of(owner) > 0;
        let all: Vec<_> = present.owners.iter().filter(is_in_scope).cloned().collect();
        let is_above = |owner: &&Arc<OwnerNode>| holds(owner) && has_excess(owner);
        let above: Vec<_> = all.iter().filter(is_above).cloned().collect();
        let counts = |owner: &Arc<OwnerNode>| holds(&owner) || is_promised_more(owner);
        if above.is_empty() { all.into_iter().filter(counts).collect() } else { above }
    })
}
