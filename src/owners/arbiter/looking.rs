//! What the owners hold and what waits, as numbers to decide on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::ledger::at_hand::depot::Depot;
use crate::ledger::budget::Refused;
use crate::ledger::waiting::wait_queue::Waiting;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::worker_node::WorkerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;

use crate::owners::deciding::view::{Moment, OwnerKey, OwnerView, RequestView, View};

/// Owners and requests, in the order in which a view has them.
pub(super) struct Seen {
    pub(super) view: View,
    pub(super) owners: Vec<Arc<OwnerNode>>,
    pub(super) waiting: Vec<Waiting<Wanted>>,
}

impl Seen {
    /// Looks at the line, and then at all owners: those that wait are among them.
    pub(super) fn look(commons: &Commons, began: Instant) -> Self {
        let waiting = commons.queue.waiting();
        let (owners, workers) = match waiting.is_empty() {
            // Nobody is to be asked.
            true => commons.snapshot(|present| (present.owners.clone(), Vec::new())),
            false => commons.snapshot(|present| (present.owners.clone(), present.workers.clone())),
        };
        let place_of: HashMap<_, _> =
            owners.iter().enumerate().map(|(place, owner)| (Arc::as_ptr(owner), place)).collect();
        let place = |owner: &Arc<OwnerNode>| place_of.get(&Arc::as_ptr(owner)).copied();
        let own_bytes = own_bytes(commons, &owners, &workers, place);
        let views = owners.iter().zip(own_bytes);
        let views =
            views.map(|(owner, own)| owner_view(owner, owner.parent().and_then(place), own));
        let view = View { owners: views.collect(), requests: Vec::new() };
        let requests = waiting.into_iter().filter_map(|it| {
            let request = request_view(&it, place(it.request.owner())?, &view, began)?;
            Some((it, request))
        });
        let (waiting, requests) = requests.unzip();
        Self { view: View { requests, ..view }, owners, waiting }
    }
}

/// What each owner holds itself, without the pages at hand, and without what those below it hold or
/// are promised.
fn own_bytes(
    commons: &Commons,
    owners: &[Arc<OwnerNode>],
    workers: &[Arc<WorkerNode>],
    place: impl Fn(&Arc<OwnerNode>) -> Option<usize>,
) -> Vec<u64> {
    let mut others = vec![0; owners.len()];
    let page_bytes = commons.supply.page_size.bytes() as u64;
    for worker in workers {
        if let Some(owner) = place(worker.owner()) {
            others[owner] += worker.magazine().pages() as u64 * page_bytes;
        }
    }
    for (at, owner) in owners.iter().enumerate() {
        others[at] += owner.pages().depot().map_or(0, Depot::pages) as u64 * page_bytes;
        if let Some(parent) = owner.parent().and_then(&place) {
            others[parent] += owner.account().charged_bytes();
        }
    }
    // All that is held is read last: what is put by in between counts as held.
    let own = owners.iter().zip(others);
    own.map(|(owner, others)| owner.account().used_bytes().saturating_sub(others)).collect()
}

fn owner_view(owner: &Arc<OwnerNode>, parent: Option<usize>, own_bytes: u64) -> OwnerView {
    let (account, sharing) = (owner.account(), owner.sharing());
    let (way, ways) = sharing.reclaim.way();
    let asked = sharing.reclaim.asked();
    OwnerView {
        key: OwnerKey(sharing.key()),
        parent,
        used_bytes: account.used_bytes(),
        own_bytes,
        minimum_bytes: account.minimum(),
        first_bytes: sharing.first_bytes(),
        keeps_bytes: sharing.keeps_bytes(),
        priority: sharing.priority,
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
