//! What the policy says to requests that are about to be granted, if it is asked.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::bytes::to_usize;
use crate::base::panics::catch;
use crate::ledger::waiting::wait_queue::Waiting;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::admission::{Admission, Survey, Verdict};
use crate::owners::policies::policy::Policy;

use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;
use crate::owners::sharing::this_thread::{Deciding, is_deciding};

/// A request that the policy is asked about.
struct Question<'a> {
    owner: &'a Arc<OwnerNode>,
    bytes: u64,
    waits_for: Option<Duration>,
    /// What was admitted just before, and is not taken yet: by this owner, and by all.
    admitted: (u64, u64),
}

/// What the policy says to a request that does not wait, on this thread.
pub(crate) fn verdict(commons: &Commons, owner: &Arc<OwnerNode>, bytes: u64) -> Verdict {
    match commons.options.rule.deciding() {
        // What a policy takes itself it is not asked about, nor what is promised, as all of the
        // spill reserve is.
        Some(policy) if !is_deciding() && !owner.has_minimum_for(bytes) => {
            let question = Question { owner, bytes, waits_for: None, admitted: (0, 0) };
            question.put(commons, &**policy, &|| survey(commons, Some(owner)))
        }
        _ => Verdict::Admit,
    }
}

/// Has the policy say anew which of the requests that wait may be granted. What it admits counts as
/// taken for those after it.
pub(super) fn decide_grants(commons: &Commons, waiting: &[Waiting<Wanted>], now: Instant) {
    let Some(policy) = commons.options.rule.deciding() else { return };
    let looked = OnceCell::new();
    let admitted = Cell::new(Survey::default());
    let mut by_owner: HashMap<*const OwnerNode, u64> = HashMap::new();
    let mut by_all = 0_u64;
    for Waiting { request, .. } in waiting {
        let (owner, bytes) = (request.owner(), request.bytes());
        let by_this = by_owner.entry(Arc::as_ptr(owner)).or_default();
        let question = Question {
            owner,
            bytes,
            waits_for: Some(now.saturating_duration_since(request.since())),
            admitted: (*by_this, by_all),
        };
        let look = || looked.get_or_init(|| survey(commons, None)).with(&admitted.get());
        let verdict = question.put(commons, &**policy, &look);
        request.set_verdict(verdict);
        if verdict == Verdict::Admit {
            *by_this = by_this.saturating_add(bytes);
            by_all = by_all.saturating_add(bytes);
            let mut more = admitted.get();
            more.take(owner.sharing().kind(), to_usize(bytes));
            admitted.set(more);
        }
    }
}

/// All owners that hold memory themselves or wait for some, and `asking`, by their kinds.
fn survey(commons: &Commons, asking: Option<&Arc<OwnerNode>>) -> Survey {
    let waiting = commons.queue.waiting();
    let mut wait: Vec<_> = waiting.iter().map(|it| Arc::as_ptr(it.request.owner())).collect();
    wait.extend(asking.map(Arc::as_ptr));
    wait.sort_unstable();
    let mut survey = Survey::default();
    commons.snapshot(|present| {
        let used = present.owners.iter().zip(present.own_bytes());
        for (owner, used_bytes) in used.filter(|(owner, _)| !owner.is_of_reserve()) {
            if used_bytes > 0 || wait.binary_search(&Arc::as_ptr(owner)).is_ok() {
                survey.add(owner.sharing().kind(), used_bytes);
            }
        }
    });
    survey
}

impl Question<'_> {
    /// One that panics admits.
    fn put(&self, commons: &Commons, policy: &dyn Policy, survey: &dyn Fn() -> Survey) -> Verdict {
        let (account, sharing) = (self.owner.account(), self.owner.sharing());
        let (budget, reserve) = (&commons.supply.budget, commons.supply.reserve.limit());
        let (by_owner, by_all) = self.admitted;
        let admission = Admission {
            path: self.owner.path(),
            parent: self.owner.parent().map(|parent| &**parent.path()),
            depth: self.owner.levels() as usize,
            requested_bytes: to_usize(self.bytes),
            used_bytes: to_usize(account.used_bytes().saturating_add(by_owner)),
            minimum_bytes: to_usize(account.minimum()),
            limit_bytes: to_usize(account.limit()),
            waits_for: self.waits_for,
            priority: sharing.priority(),
            weight: sharing.weight(),
            kind: sharing.kind(),
            total_bytes: to_usize(budget.limit().saturating_sub(reserve)),
            total_used_bytes: to_usize(
                budget.reserved_bytes().saturating_sub(reserve).saturating_add(by_all),
            ),
            survey,
        };
        let _deciding = Deciding::new();
        catch(|| policy.admit(&admission)).unwrap_or(Verdict::Admit)
    }
}
