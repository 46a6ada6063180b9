//! One look at the owners and at the line: what each owner is worth to a request now.

use std::collections::HashMap;

use crate::owners::sharing_state::ReclaimKind;

use super::known::{Flag, Known, REST_MIN, Rules, Work};
use super::scope::{Least, Tree};
use super::view::{Action, Candidate, Moment, OwnerKey, View, earliest};

/// One look.
pub(super) struct Look<'a> {
    pub(super) now: Moment,
    pub(super) view: &'a View,
    pub(super) tree: Tree<'a>,
    /// What is known of each owner.
    pub(super) known: Vec<Known>,
    /// The requests of each that wait in line.
    pub(super) waits: Vec<u64>,
    /// What each is to be called for.
    pub(super) planned: Vec<u64>,
    pub(super) actions: Vec<Action>,
}

/// What an owner is worth to a request now.
pub(super) enum Standing {
    /// So many bytes are coming.
    Gives(u64),
    /// It is asked what it could give, and others wait for the answer.
    IsAsked,
    /// It is to be asked that.
    IsToSay,
    CouldGive(u64),
    Nothing,
}

impl<'a> Look<'a> {
    /// With what is known of those that are seen. What is known of others is forgotten.
    pub(super) fn new(now: Moment, view: &'a View, mut memory: HashMap<OwnerKey, Known>) -> Self {
        let known = view.owners.iter().map(|seen| {
            let known = if memory.is_empty() { None } else { memory.remove(&seen.key) };
            known.unwrap_or_else(|| Known { ways: seen.ways, ..Known::default() })
        });
        let known = known.collect();
        let mut waits = vec![0; view.owners.len()];
        for request in view.requests.iter().filter(|request| request.is_patient) {
            waits[request.owner] += 1;
        }
        let planned = vec![0; view.owners.len()];
        Self { now, view, tree: Tree::new(view), known, waits, planned, actions: Vec::new() }
    }

    /// What is known now, and what is to be done.
    pub(super) fn done(self) -> (HashMap<OwnerKey, Known>, Vec<Action>) {
        let known = self.known.into_iter().zip(&self.view.owners);
        let known = known.filter(|(known, _)| !known.is_blank());
        (known.map(|(known, seen)| (seen.key, known)).collect(), self.actions)
    }

    /// Strikes off what an owner was asked for and has answered by itself, or what is late.
    pub(super) fn settle(&mut self, owner: usize, rules: &Rules) {
        let (seen, known) = (&self.view.owners[owner], &mut self.known[owner]);
        known.forget_other_ways(seen);
        known.forget_rest(self.now);
        let is_late_now = known.is_late(self.now, rules);
        if let Work::Call { bytes, used_before, is_late, .. } = &mut known.work
            && is_late_now
            && !*is_late
        {
            *is_late = true;
            let given_bytes = used_before.saturating_sub(seen.used_bytes);
            self.actions.push(Action::Settled { owner, asked_bytes: *bytes, given_bytes });
        }
        let Some(flag) = known.flag else { return };
        let given_bytes = flag.given_bytes(seen);
        let is_answered = seen.requested_bytes == 0 || given_bytes >= flag.bytes;
        let is_late = flag.since.saturating_add(rules.reclaim_timeout) <= self.now;
        let is_polled = seen.way == ReclaimKind::Polled;
        if is_polled && !is_answered && !is_late {
            return;
        }
        known.flag = None;
        // A late one may still look.
        if is_answered || !is_polled {
            known.flagged_since = None;
            self.actions.push(Action::Unflag { owner });
        }
        self.actions.push(Action::Settled { owner, asked_bytes: flag.bytes, given_bytes });
        if given_bytes == 0 && is_polled {
            known.have_rest(self.now);
        } else {
            known.rest = None;
        }
    }

    /// Nobody waits any more. Flags stay up a moment, so that who looks often finds them.
    pub(super) fn rest_all(&mut self) -> Option<Moment> {
        let mut bound = None;
        for (owner, known) in self.known.iter_mut().enumerate() {
            let Some(since) = known.flagged_since else { continue };
            let end = since.saturating_add(REST_MIN);
            if end <= self.now {
                (known.flag, known.flagged_since) = (None, None);
                self.actions.push(Action::Unflag { owner });
            } else {
                bound = earliest(bound, Some(end));
            }
        }
        self.actions.push(Action::TakeBackQuestions);
        bound
    }

    /// Whether every handle on an owner waits in line.
    pub(super) fn is_stuck(&self, owner: usize) -> bool {
        self.waits[owner] > 0 && self.waits[owner] >= self.view.owners[owner].hands
    }

    /// Whether a polled owner may be flagged (rule 5).
    fn can_be_flagged(&self, owner: usize) -> bool {
        let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
        seen.told_bytes > 0
            && !seen.is_busy
            && known.flag.is_none()
            && !known.rests(self.now)
            && !self.is_stuck(owner)
    }

    /// What an owner is worth to a request.
    pub(super) fn standing(
        &self,
        request: usize,
        candidate: &Candidate,
        rules: &Rules,
    ) -> Standing {
        let Candidate { owner, bytes } = *candidate;
        let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
        let request = &self.view.requests[request];
        if self.planned[owner] > 0 {
            return Standing::Gives(self.planned[owner]);
        }
        match known.work {
            Work::None => {}
            _ if !known.has_patience(self.now, rules) => return Standing::Nothing,
            Work::Question { .. } => return Standing::IsAsked,
            Work::Call { bytes, used_before, .. } => {
                let given_bytes = used_before.saturating_sub(seen.used_bytes);
                return Standing::Gives(bytes.saturating_sub(given_bytes));
            }
        }
        if seen.way == ReclaimKind::Polled {
            return match known.flag {
                None if self.can_be_flagged(owner) => {
                    Standing::CouldGive(bytes.min(seen.told_bytes))
                }
                Some(flag) if request.is_patient && !self.is_stuck(owner) => {
                    Standing::Gives(flag.open_bytes(seen, self.now, rules))
                }
                _ => Standing::Nothing,
            };
        }
        let is_left_alone = match request.is_patient {
            true => known.rests(self.now),
            false => known.dry_for >= Some(request.ticket),
        };
        match known.told {
            _ if seen.is_busy || is_left_alone => Standing::Nothing,
            Some(told) if told.epoch >= request.ticket => {
                Standing::CouldGive(bytes.min(told.bytes))
            }
            _ => Standing::IsToSay,
        }
    }

    /// For each owner: requests before this number have nothing to expect of it, now that it was
    /// asked (rule 1).
    pub(super) fn least_asked(&self, rules: &Rules) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_open = match seen.way {
                ReclaimKind::Never => false,
                ReclaimKind::Polled => self.can_be_flagged(owner),
                ReclaimKind::Called if known.is_called(self.now, rules) => true,
                ReclaimKind::Called if seen.is_busy || known.is_late(self.now, rules) => false,
                ReclaimKind::Called => return known.had_nothing_before(),
            };
            if is_open { 0 } else { u64::MAX }
        })
    }

    /// For each owner: requests before this number wait for it in vain if they wait for each other.
    pub(super) fn least_in_vain(&self, rules: &Rules) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_hope = match (seen.way, &known.work) {
                (ReclaimKind::Never, _) => false,
                (ReclaimKind::Polled, _) => self.can_be_flagged(owner),
                (ReclaimKind::Called, Work::Question { .. }) => known.has_patience(self.now, rules),
                (ReclaimKind::Called, Work::Call { .. }) => known.is_called(self.now, rules),
                (ReclaimKind::Called, Work::None) if seen.is_busy => false,
                (ReclaimKind::Called, Work::None) if known.rests(self.now) => {
                    return known.had_nothing_before();
                }
                (ReclaimKind::Called, Work::None) => true,
            };
            if is_hope { 0 } else { u64::MAX }
        })
    }

    /// For each owner: requests before this number have nothing to ask it for now, nor to wait for
    /// with patience. `is_open` says up to which number one has that is not at work.
    fn least_hoped_for(&self, rules: &Rules, is_open: impl Fn(&Known) -> u64) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_hope = match (seen.way, &known.work) {
                (ReclaimKind::Never, _) => false,
                (ReclaimKind::Polled, _) => self.can_be_flagged(owner),
                (ReclaimKind::Called, Work::None) if seen.is_busy => false,
                (ReclaimKind::Called, Work::None) => return is_open(known),
                (ReclaimKind::Called, _) => known.has_patience(self.now, rules),
            };
            if is_hope { 0 } else { u64::MAX }
        })
    }

    /// The same for requests that wait only for answers.
    pub(super) fn least_to_ask(&self, rules: &Rules) -> Least<'a> {
        self.least_hoped_for(rules, Known::had_nothing_before)
    }

    /// The same for those that wait in line.
    pub(super) fn least_awake(&self, rules: &Rules) -> Least<'a> {
        let now = self.now;
        self.least_hoped_for(rules, |known| if known.rests(now) { u64::MAX } else { 0 })
    }

    pub(super) fn question(&mut self, owner: usize, epoch: u64) {
        let ways = self.view.owners[owner].ways;
        let work = Work::Question { epoch, ways, put: self.now, asked: None };
        self.known[owner].work = work;
        self.actions.push(Action::Question { owner });
    }

    pub(super) fn flag(&mut self, owner: usize, bytes: u64) {
        let used_before = self.view.owners[owner].used_bytes;
        let known = &mut self.known[owner];
        known.flag = Some(Flag { bytes, since: self.now, used_before });
        known.flagged_since = Some(self.now);
        self.actions.push(Action::Flag { owner, bytes });
    }
}
