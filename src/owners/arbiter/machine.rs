//! Whom to ask for memory on behalf of the requests that wait, and which of them wait in vain: a
//! machine without threads, clocks and locks.
//!
//! # Rules
//!
//! 1. Every answer counts for the requests that had come when the question was put, and for none
//!    that came later. A request that is to wait only for answers is refused once every owner in
//!    its scope has said to such a question that it has nothing, or gave nothing when it was
//!    called, or is late: it did not answer within the bound.
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

use crate::owners::node::sharing_state::ReclaimKind;

use super::circles::{Circles, Verdict};
use super::known::{Flag, Known, REST_MIN, Rules, Told, Work};
use super::questions::SIDE_BY_SIDE;
use super::scope::{Least, Scope, Tree};
use super::view::{Candidate, Moment, OwnerKey, View};

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

/// What is to be done. Owners and requests are named by their places in the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// An owner is to say what it could give.
    Question {
        owner: usize,
    },
    /// An owner is about to be called on behalf of a request: see [`Machine::next_call`].
    Plan {
        owner: usize,
        request: usize,
    },
    /// A polled owner is to find that it was asked.
    Flag {
        owner: usize,
        bytes: u64,
    },
    Unflag {
        owner: usize,
    },
    /// An owner has answered by itself, or let the time pass.
    Settled {
        owner: usize,
        asked_bytes: u64,
        given_bytes: u64,
    },
    /// What nobody was asked yet is not to be asked any more.
    TakeBackQuestions,
    /// All that could give for a request were asked.
    Refuse {
        request: usize,
    },
    /// A request waits for others that wait for it, and came last.
    EndDeadlock {
        request: usize,
    },
    /// Owners that may wait for each other: some of them have other handles.
    TellOfWaits {
        owners: Vec<usize>,
    },
}

/// One look.
struct Look<'a> {
    now: Moment,
    view: &'a View,
    tree: Tree<'a>,
    /// What is known of each owner.
    known: Vec<Known>,
    /// The requests of each that wait in line.
    waits: Vec<u64>,
    /// What each is to be called for.
    planned: Vec<u64>,
    actions: Vec<Action>,
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
        for known in self.known.values_mut() {
            known.take_back_question();
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
        let mut look = self.look(now, view);
        (0..view.owners.len()).for_each(|owner| look.settle(owner, &self.rules));
        if view.requests.is_empty() {
            self.bound = look.rest_all();
            self.circles = Circles::default();
        } else {
            self.pursue_all(&mut look);
            self.end_all(&mut look);
        }
        let keep = look.known.into_iter().zip(&view.owners);
        let keep = keep.filter(|(known, _)| !known.is_blank());
        self.known = keep.map(|(known, seen)| (seen.key, known)).collect();
        look.actions
    }

    /// Takes out what is known of those that are seen. What is known of others is forgotten.
    fn look<'a>(&mut self, now: Moment, view: &'a View) -> Look<'a> {
        let mut memory = std::mem::take(&mut self.known);
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
        Look { now, view, tree: Tree::new(view), known, waits, planned, actions: Vec::new() }
    }

    /// Asks on behalf of one request at each level (rule 3).
    fn pursue_all(&mut self, look: &mut Look<'_>) {
        let (asked, hoped_for) = (look.least_asked(&self.rules), look.least_hoped_for(&self.rules));
        let mut has_one = vec![false; look.view.owners.len() + 1];
        let mut scratch = Vec::new();
        for (request, seen) in look.view.requests.iter().enumerate() {
            let level = seen.level.unwrap_or(look.view.owners.len());
            if has_one[level] {
                continue;
            }
            let scope = Scope::of(look.view, request);
            let is_hopeful = match seen.is_patient {
                true => hoped_for.over(&scope) == 0,
                false => asked.over(&scope) <= seen.ticket,
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

/// What an owner is worth to a request now.
enum Standing {
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
    /// Strikes off what an owner was asked for and has answered by itself, or what is late.
    fn settle(&mut self, owner: usize, rules: &Rules) {
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
        if given_bytes == 0 {
            known.have_rest(self.now);
        } else {
            known.rest = None;
        }
    }

    /// Nobody waits any more. Flags stay up a moment, so that who looks often finds them.
    fn rest_all(&mut self) -> Option<Moment> {
        let mut bound = None;
        for (owner, known) in self.known.iter_mut().enumerate() {
            known.take_back_question();
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
    fn is_stuck(&self, owner: usize) -> bool {
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
    fn standing(&self, request: usize, candidate: &Candidate, rules: &Rules) -> Standing {
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
    fn least_asked(&self, rules: &Rules) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_open = match seen.way {
                ReclaimKind::Never => false,
                ReclaimKind::Polled => self.can_be_flagged(owner),
                ReclaimKind::Called if known.is_called(self.now, rules) => true,
                ReclaimKind::Called if seen.is_busy || known.is_late(self.now, rules) => false,
                ReclaimKind::Called => {
                    return known.dry_for.map_or(0, |ticket| ticket.saturating_add(1));
                }
            };
            if is_open { 0 } else { u64::MAX }
        })
    }

    /// For each owner: requests before this number wait for it in vain if they wait for each other.
    fn least_in_vain(&self, rules: &Rules) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_hope = match (seen.way, &known.work) {
                (ReclaimKind::Never, _) => false,
                (ReclaimKind::Polled, _) => self.can_be_flagged(owner),
                (ReclaimKind::Called, Work::Question { .. }) => known.has_patience(self.now, rules),
                (ReclaimKind::Called, Work::Call { .. }) => known.is_called(self.now, rules),
                (ReclaimKind::Called, Work::None) if seen.is_busy => false,
                (ReclaimKind::Called, Work::None) if known.rests(self.now) => {
                    return known.dry_for.map_or(0, |ticket| ticket.saturating_add(1));
                }
                (ReclaimKind::Called, Work::None) => true,
            };
            if is_hope { 0 } else { u64::MAX }
        })
    }

    /// For each owner: 0 if it gives, or may be asked now, for a request that waits in line.
    fn least_hoped_for(&self, rules: &Rules) -> Least<'a> {
        Least::of(self.view, |owner| {
            let (seen, known) = (&self.view.owners[owner], &self.known[owner]);
            let is_hope = match seen.way {
                ReclaimKind::Never => false,
                ReclaimKind::Polled => self.can_be_flagged(owner),
                ReclaimKind::Called if known.is_called(self.now, rules) => true,
                ReclaimKind::Called => {
                    !seen.is_busy && !known.rests(self.now) && !known.is_late(self.now, rules)
                }
            };
            if is_hope { 0 } else { u64::MAX }
        })
    }

    fn question(&mut self, owner: usize, epoch: u64) {
        let ways = self.view.owners[owner].ways;
        let work = Work::Question { epoch, ways, put: self.now, asked: None };
        self.known[owner].work = work;
        self.actions.push(Action::Question { owner });
    }

    fn flag(&mut self, owner: usize, bytes: u64) {
        let used_before = self.view.owners[owner].used_bytes;
        let known = &mut self.known[owner];
        known.flag = Some(Flag { bytes, since: self.now, used_before });
        known.flagged_since = Some(self.now);
        self.actions.push(Action::Flag { owner, bytes });
    }
}

/// The earlier of two moments.
pub(super) fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}
