//! What the owners hold and what waits, as numbers to decide on.

use std::sync::Arc;
use std::time::Instant;

use crate::ledger::budget::Refused;
use crate::ledger::waiting::wait_queue::{Ticket, Waiting};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;
use crate::owners::sharing::registry::Snapshot;

use crate::owners::deciding::view::{Moment, OwnerKey, OwnerView, RequestView, View};

/// Owners and requests, in the order in which a view has them.
pub(super) struct Seen {
    pub(super) view: View,
    pub(super) owners: Vec<Arc<OwnerNode>>,
    pub(super) waiting: Vec<Waiting<Wanted>>,
}

impl Seen {
    /// Looks at the line, and then at all owners: those that wait are among them. Requests that
    /// came after `known` are left out: shares know nothing of them.
    pub(super) fn look(commons: &Commons, began: Instant, known: Option<Ticket>) -> Self {
        let mut waiting = commons.queue.waiting();
        waiting.retain(|waiting| Some(waiting.ticket) <= known);
        let look = |present: &Snapshot| (present.owners.clone(), present.own_bytes());
        let (owners, own_bytes) = commons.snapshot(look);
        // In the order of their numbers.
        let place = |owner: &Arc<OwnerNode>| {
            owners.binary_search_by_key(&owner.number(), |other| other.number()).ok()
        };
        let views = owners.iter().zip(own_bytes);
        let views =
            views.map(|(owner, own)| owner_view(owner, owner.parent().and_then(place), own as u64));
        let view = View { owners: views.collect(), requests: Vec::new() };
        let requests = waiting.into_iter().filter_map(|it| {
            let request = request_view(&it, place(it.request.owner())?, &view, began)?;
            Some((it, request))
        });
        let (waiting, requests) = requests.unzip();
        Self { view: View { requests, ..view }, owners, waiting }
    }
}

fn owner_view(owner: &Arc<OwnerNode>, parent: Option<usize>, own_bytes: u64) -> OwnerView {
    let (account, sharing) = (owner.account(), owner.sharing());
    let (way, ways) = sharing.reclaim.way();
    let asked = sharing.reclaim.asked();
    OwnerView {
        key: OwnerKey(owner.number()),
        parent,
        used_bytes: account.used_bytes(),
        own_bytes,
        minimum_bytes: account.minimum(),
        first_bytes: sharing.first_bytes(),
        keeps_bytes: sharing.keeps_bytes(),
        priority: sharing.priority(),
        way,
        ways,
        includes_own: sharing.reclaim.includes_own,
        told_bytes: asked.told_bytes(),
        requested_bytes: asked.requested_bytes(),
        given_bytes: sharing.reclaim.given_bytes(),
        is_busy: asked.is_busy(),
        hands: sharing.hands(),
        is_of_reserve: owner.is_of_reserve(),
    }
}

/// A request that waits; `None` once nothing is to be had any more.
fn request_view(
    waiting: &Waiting<Wanted>,
    owner: usize,
    view: &View,
    began: Instant,
) -> Option<RequestView> {
    let free_bytes = match waiting.refused {
        Refused::Budget { free } | Refused::Account { free, .. } => Some(free),
        Refused::Turn { .. } => None,
        Refused::Closed => return None,
    };
    let (level, _) = waiting.level();
    let since: Moment = waiting.request.since().saturating_duration_since(began);
    Some(RequestView {
        ticket: waiting.ticket.number(),
        owner,
        bytes: waiting.request.bytes(),
        is_patient: waiting.request.is_patient(),
        since,
        level: view.ancestry(owner).nth(level as usize),
        free_bytes,
    })
}
