//! Whom to ask for memory on behalf of the requests that wait, and which of them wait in vain: a
//! machine without threads, clocks and locks.
//!
//! # Rules
//!
//! 1. Every answer counts for the requests that had come when the question was put, and for none
//!    that came later. A request that is to wait only for answers is refused once all owners in
//!    its scope have given such an answer, and have nothing: they say so, or gave nothing when they
//!    were called. One that is late counts as well: it did not answer within the bound.
//! 2. An owner that had nothing rests. A rest delays only that it is asked again for requests that
//!    wait in line.
//! 3. Memory is asked for on behalf of one request at each level: the first that has somebody to
//!    hope for. First all in its scope say what they could give. Then those give of the lowest
//!    priority, and of these the largest first.
//! 4. Four owners give back at a time at most. One that outlasts its patience does not count any
//!    more, and others are asked in its place. It is not called again before it has returned.
//! 5. An owner that looks for itself is flagged. A request that waits in line counts on it for its
//!    patience, and any other does not. One whose every handle waits does not look.
//! 6. A request that is to wait only for answers ends with its bound at the latest.

use std::collections::{HashMap, VecDeque};

use crate::owners::sharing_state::ReclaimKind;

use super::circles::{Circles, Verdict};
use super::known::{Known, Rules, Told, Work};
use super::look::{Look, Standing};
use super::questions::SIDE_BY_SIDE;
use super::scope::{Least, Scope};
use super::view::{Action, Candidate, Moment, OwnerKey, View, earliest};

pub(crate) struct Machine {
    rules: Rules,
    known: HashMap<OwnerKey, Known>,
    plan: VecDeque<Planned>,
    /// The newest request that was seen.
    newest: u64,
    circles: Circles,
    /// When to look again, as far as the last look says.
    bound: Option<Moment>,
    has_patient: bool,
}

/// An owner that is to be called once there is room.
struct Planned {
    owner: OwnerKey,
    ways: u64,
    bytes: u64,
    used_bytes: u64,
}

impl Machine {
    pub(crate) fn new(rules: Rules) -> Self {
        let circles = Circles::default();
        let (known, plan) = (HashMap::new(), VecDeque::new());
        Self { rules, known, plan, newest: 0, circles, bound: None, has_patient: false }
    }

    /// An owner is asked now what it could give.
    pub(crate) fn asked(&mut self, owner: OwnerKey, now: Moment) {
        if let Some(Known { work: Work::Question { asked, .. }, .. }) = self.known.get_mut(&owner) {
            *asked = Some(now);
        }
    }

    /// An owner has said what it could give; nothing if it has panicked, or is not there any more.
    pub(crate) fn says(&mut self, owner: OwnerKey, bytes: u64, now: Moment) {
        let Some(known) = self.known.get_mut(&owner) else { return };
        let Work::Question { epoch, ways, .. } = known.work else { return };
        known.work = Work::None;
        // What one said that was taken off does not count for the next one.
        if ways != known.ways {
            return;
        }
        match bytes {
            0 => known.is_dry(epoch, now),
            _ => known.told = Some(Told { epoch, bytes }),
        }
    }

    /// A call has returned. Whether it had not been settled yet.
    pub(crate) fn returned(&mut self, owner: OwnerKey, given_bytes: u64, now: Moment) -> bool {
        let Some(known) = self.known.get_mut(&owner) else { return true };
        let Work::Call { epoch, ways, is_late, .. } = known.work else { return true };
        known.work = Work::None;
        if ways == known.ways {
            known.told = None;
            match given_bytes {
                0 => known.is_dry(epoch, now),
                _ => known.rest = None,
            }
        }
        !is_late
    }

    /// The next call that there is room for, with the bytes to ask for.
    pub(crate) fn next_call(&mut self, now: Moment) -> Option<(OwnerKey, u64)> {
        let counts = |known: &&Known| {
            matches!(known.work, Work::Call { .. }) && known.has_patience(now, &self.rules)
        };
        if self.plan.is_empty() || self.known.values().filter(counts).count() >= SIDE_BY_SIDE {
            return None;
        }
        let Planned { owner, ways, bytes, used_bytes } = self.plan.pop_front()?;
        let (epoch, used_before) = (self.newest, used_bytes);
        let known = self.known.entry(owner).or_default();
        known.work = Work::Call { epoch, ways, since: now, bytes, used_before, is_late: false };
        Some((owner, bytes))
    }

    /// A call could not begin. With a moment, that is when to try again: nobody else can be called
    /// before. Otherwise the owner counts as one that has nothing.
    pub(crate) fn not_begun(&mut self, owner: OwnerKey, again: Option<Moment>, now: Moment) {
        let Some(known) = self.known.get_mut(&owner) else { return };
        let Work::Call { epoch, .. } = known.work else { return };
        known.work = Work::None;
        match again {
            None => known.is_dry(epoch, now),
            Some(again) => {
                self.plan.clear();
                self.bound = earliest(self.bound, Some(again).filter(|again| *again > now));
            }
        }
    }

    /// Whether there are calls to make as soon as there is room.
    pub(crate) fn has_plan(&self) -> bool {
        !self.plan.is_empty()
    }

    /// No request waits any more, and no flag is up.
    pub(crate) fn rest(&mut self) {
        self.plan.clear();
        self.circles = Circles::default();
        (self.bound, self.has_patient) = (None, false);
    }

    /// Questions to these owners were taken back before they were put. Others may be on their way,
    /// also such as the machine was not told of yet: it knows of them until they are answered.
    /// Otherwise an owner that is being asked would look like one that is busy with other things.
    pub(crate) fn take_back(&mut self, owners: &[OwnerKey]) {
        for owner in owners {
            if let Some(known) = self.known.get_mut(owner) {
                known.take_back_question();
            }
        }
    }

    /// Whether the flag of an owner may be up.
    pub(crate) fn has_flags(&self) -> bool {
        self.known.values().any(|known| known.flagged_since.is_some())
    }

    /// When to look again if nothing happens before.
    pub(crate) fn deadline(&self, now: Moment) -> Option<Moment> {
        let each = |known: &Known| known.deadline(now, self.has_patient, &self.rules);
        let owners = self.known.values().filter_map(each).min();
        earliest(self.bound.filter(|bound| *bound > now), owners)
    }

    /// Decides what to do, by what is seen now.
    pub(crate) fn step(&mut self, now: Moment, view: &View) -> Vec<Action> {
        self.plan.clear();
        self.newest = self.newest.max(view.newest().unwrap_or(0));
        self.has_patient = view.requests.iter().any(|request| request.is_patient);
        let mut look = Look::new(now, view, std::mem::take(&mut self.known));
        (0..view.owners.len()).for_each(|owner| look.settle(owner, &self.rules));
        if view.requests.is_empty() {
            self.bound = look.rest_all();
            self.circles = Circles::default();
        } else {
            self.pursue_all(&mut look);
            self.end_all(&mut look);
        }
        let (known, actions) = look.done();
        self.known = known;
        actions
    }

    /// Asks on behalf of one request at each level (rule 3).
    fn pursue_all(&mut self, look: &mut Look<'_>) {
        let (to_ask, awake) = (look.least_to_ask(&self.rules), look.least_awake(&self.rules));
        let mut has_one = vec![false; look.view.owners.len() + 1];
        let mut scratch = Vec::new();
        for (request, seen) in look.view.requests.iter().enumerate() {
            let level = seen.level.unwrap_or(look.view.owners.len());
            if has_one[level] {
                continue;
            }
            let scope = Scope::of(look.view, request);
            let is_hopeful = match seen.is_patient {
                true => awake.over(&scope) == 0,
                false => to_ask.over(&scope) <= seen.ticket,
            };
            if is_hopeful {
                has_one[level] = true;
                self.pursue(look, request, &scope, &mut scratch);
            }
        }
    }

    fn pursue(
        &mut self,
        look: &mut Look<'_>,
        request: usize,
        scope: &Scope,
        scratch: &mut Vec<u64>,
    ) {
        let rules = self.rules;
        let mut lacking = scope.lacking_bytes;
        let mut waits_for_answers = false;
        let (mut to_ask, mut ready) = (Vec::new(), Vec::new());
        for candidate in look.tree.candidates(scope, scratch) {
            match look.standing(request, &candidate, &rules) {
                Standing::Gives(bytes) => lacking = lacking.saturating_sub(bytes),
                Standing::IsAsked => waits_for_answers = true,
                Standing::IsToSay => to_ask.push(candidate.owner),
                Standing::CouldGive(bytes) => ready.push(Candidate { bytes, ..candidate }),
                Standing::Nothing => {}
            }
        }
        if lacking == 0 {
            return;
        }
        waits_for_answers |= !to_ask.is_empty();
        to_ask.into_iter().for_each(|owner| look.question(owner, self.newest));
        if waits_for_answers {
            return;
        }
        ready.sort_by_key(|candidate| look.view.order(candidate));
        for candidate in ready {
            let bytes = lacking.min(candidate.bytes);
            let seen = &look.view.owners[candidate.owner];
            if seen.way == ReclaimKind::Polled {
                look.flag(candidate.owner, bytes);
            } else {
                let (owner, ways, used_bytes) = (seen.key, seen.ways, seen.used_bytes);
                self.plan.push_back(Planned { owner, ways, bytes, used_bytes });
                look.planned[candidate.owner] = bytes;
                look.actions.push(Action::Plan { owner: candidate.owner, request });
            }
            if seen.way == ReclaimKind::Called || look.view.requests[request].is_patient {
                lacking -= bytes;
            }
            if lacking == 0 {
                break;
            }
        }
    }

    /// Ends what waits in vain, and says when the next does.
    fn end_all(&mut self, look: &mut Look<'_>) {
        let view = look.view;
        let (asked, in_vain) = (look.least_asked(&self.rules), look.least_in_vain(&self.rules));
        let is_before = |least: &Least<'_>, request: usize| {
            view.requests[request].ticket < least.over(&Scope::of(view, request))
        };
        let mut bound = None;
        for (request, seen) in view.requests.iter().enumerate() {
            if seen.is_patient {
                continue;
            }
            let end = seen.since.saturating_add(self.rules.reclaim_timeout);
            if end <= look.now || is_before(&asked, request) {
                look.actions.push(Action::Refuse { request });
            } else {
                bound = earliest(bound, Some(end));
            }
        }
        let timeout = self.rules.deadlock_timeout;
        let is_stuck = |owner: usize| look.is_stuck(owner);
        let is_told = |last: usize| is_before(&in_vain, last);
        let found = self.circles.look((look.now, view, &look.tree), timeout, is_stuck, is_told);
        for verdict in found {
            look.actions.push(match verdict {
                Verdict::Ends(request) => Action::EndDeadlock { request },
                Verdict::Uncertain(owners) => Action::TellOfWaits { owners },
            });
        }
        self.bound = earliest(bound, self.circles.deadline(look.now, timeout));
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
