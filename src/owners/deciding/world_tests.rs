//! Owners and requests under a simulated clock: whatever happens is chosen, by numbers from a seed
//! or all ways in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choices::Choose;
use super::*;
use crate::owners::deciding::known::Rules;
use crate::owners::deciding::questions::{Heard, Questions};
use crate::owners::deciding::view::{Action, OwnerView, RequestView};

pub(super) const PAGE: u64 = 4096;
pub(super) const TIMEOUT: Moment = Duration::from_millis(400);
pub(super) const PATIENCE: Moment = Duration::from_millis(100);
pub(super) const DEADLOCK: Moment = Duration::from_millis(150);
/// As in `rounds`.
const RELEASES_PAUSE: Moment = Duration::from_millis(10);

/// How an owner answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manners {
    Honest,
    /// Says that it has all it holds, and gives nothing.
    Lies,
    /// Has nothing to give, or panics.
    Empty,
    /// Gives a page at most.
    Stingy,
    /// Never says what it has.
    Silent,
    /// Never returns.
    Hangs,
}

pub(super) const MANNERS: [Manners; 6] = [
    Manners::Honest,
    Manners::Lies,
    Manners::Empty,
    Manners::Stingy,
    Manners::Silent,
    Manners::Hangs,
];

#[derive(Clone)]
pub(super) struct Owner {
    pub(super) view: OwnerView,
    pub(super) limit: u64,
    pub(super) manners: Manners,
    /// Since when it is called, and whether to give.
    pub(super) at_work: Option<(Moment, bool)>,
    /// When it was to be asked.
    pub(super) question_put: Option<Moment>,
    /// The newest request that had come when it was asked or called last.
    put_for: u64,
    ways_put: u64,
    /// The newest request that it had nothing for.
    pub(super) nothing_for: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Later {
    Says(usize),
    Returns(usize, u64),
    Looks(usize),
}

pub(super) struct World<C> {
    pub(super) choose: C,
    pub(super) machine: Machine,
    pub(super) now: Moment,
    pub(super) owners: Vec<Owner>,
    pub(super) line: Vec<RequestView>,
    pub(super) capacity: u64,
    /// How many calls the spill reserve is enough for.
    pub(super) reserves: usize,
    questions: Questions<usize>,
    returned: Vec<(OwnerKey, u64)>,
    later: BTreeMap<(Moment, u64), Later>,
    next_ticket: u64,
    count: u64,
    changed: bool,
    released: bool,
    looked: Moment,
    deadline: Option<Moment>,
    /// Requests that were ended in this look.
    going: Vec<u64>,
    pub(super) ended: Vec<(u64, &'static str)>,
    pub(super) told_of: usize,
    pub(super) events: u64,
    /// How long an owner takes, in milliseconds.
    pub(super) delays: &'static [u64],
    /// How often it has looked, and one in how many looks is checked against the plain models.
    pub(super) looks: u64,
    pub(super) checked: u64,
}

pub(super) fn owner(key: u64, parent: Option<usize>, way: ReclaimKind) -> OwnerView {
    OwnerView {
        key: OwnerKey(key),
        parent,
        used_bytes: 0,
        own_bytes: 0,
        minimum_bytes: 0,
        first_bytes: u64::MAX,
        keeps_bytes: 0,
        priority: 0,
        way,
        ways: 0,
        includes_own: false,
        told_bytes: u64::MAX,
        requested_bytes: 0,
        given_bytes: 0,
        is_busy: false,
        hands: 1,
        is_of_reserve: false,
    }
}

impl<C: Choose> World<C> {
    pub(super) fn new(choose: C, capacity: u64) -> Self {
        let rules =
            Rules { reclaim_timeout: TIMEOUT, patience: PATIENCE, deadlock_timeout: DEADLOCK };
        Self {
            choose,
            machine: Machine::new(rules),
            now: Moment::ZERO,
            owners: Vec::new(),
            line: Vec::new(),
            capacity,
            reserves: usize::MAX,
            questions: Questions::default(),
            returned: Vec::new(),
            later: BTreeMap::new(),
            next_ticket: 0,
            count: 0,
            changed: false,
            released: false,
            looked: Moment::ZERO,
            deadline: None,
            going: Vec::new(),
            ended: Vec::new(),
            told_of: 0,
            events: 0,
            // At once, soon, or after others have lost patience.
            delays: &[0, 1, 5, 20, 130],
            looks: 0,
            checked: 1,
        }
    }

    pub(super) fn register(&mut self, view: OwnerView, limit: u64, manners: Manners) -> usize {
        let (at_work, question_put, nothing_for) = (None, None, None);
        let (put_for, ways_put) = (0, 0);
        let owner =
            Owner { view, limit, manners, at_work, question_put, put_for, ways_put, nothing_for };
        self.owners.push(owner);
        self.owners.len() - 1
    }

    pub(super) fn view(&self) -> View {
        let owners = self.owners.iter().map(|owner| owner.view.clone()).collect();
        View { owners, requests: self.line.clone() }
    }

    /// Charges `bytes` to an owner and to those above it, or says which level refuses them.
    fn take(
        &mut self,
        owner: usize,
        bytes: u64,
        full: &[usize],
    ) -> Result<(), (usize, Option<u64>)> {
        let budget = self.owners.len();
        let (mut steps, mut needed, mut at) = (Vec::new(), bytes, owner);
        while needed > 0 {
            let (used, limit) = match self.owners.get(at) {
                Some(owner) => (owner.view.used_bytes, owner.limit),
                None => (self.charged_in_all(), self.capacity),
            };
            if full.contains(&at) {
                return Err((at, None));
            }
            if used + needed > limit {
                return Err((at, Some(limit.saturating_sub(used))));
            }
            let Some(owner) = self.owners.get(at) else { break };
            steps.push((at, needed));
            let minimum = owner.view.minimum_bytes;
            needed = (used + needed).max(minimum) - used.max(minimum);
            at = owner.view.parent.unwrap_or(budget);
        }
        self.owners[owner].view.own_bytes += bytes;
        steps.into_iter().for_each(|(at, needed)| self.owners[at].view.used_bytes += needed);
        Ok(())
    }

    fn charged_in_all(&self) -> u64 {
        let tops = self.owners.iter().filter(|owner| owner.view.parent.is_none());
        tops.map(|owner| owner.view.used_bytes.max(owner.view.minimum_bytes)).sum()
    }

    /// An owner takes memory for which nobody waits.
    pub(super) fn hold(&mut self, owner: usize, bytes: u64) -> bool {
        let levels = self.line.iter().map(|request| request.level.unwrap_or(self.owners.len()));
        let full: Vec<_> = levels.collect();
        self.take(owner, bytes, &full).is_ok()
    }

    /// An owner gives memory back, and the line is served.
    pub(super) fn give(&mut self, owner: usize, bytes: u64) {
        let bytes = bytes.min(self.owners[owner].view.own_bytes);
        self.owners[owner].view.own_bytes -= bytes;
        let (mut at, mut freed) = (Some(owner), bytes);
        let mut is_asked = false;
        while let Some(owner) = at {
            let view = &mut self.owners[owner].view;
            is_asked |= view.requested_bytes > 0;
            let (before, minimum) = (view.used_bytes, view.minimum_bytes);
            view.used_bytes -= freed;
            freed = before.max(minimum) - view.used_bytes.max(minimum);
            at = view.parent;
        }
        if bytes > 0 && !self.line.is_empty() {
            let served = self.serve();
            self.changed |= served || is_asked;
            self.released = true;
        }
    }

    /// Serves the line in the order of coming; whether one was served.
    fn serve(&mut self) -> bool {
        let (before, mut full) = (self.line.len(), Vec::<usize>::new());
        let line = std::mem::take(&mut self.line);
        for mut request in line {
            match self.take(request.owner, request.bytes, &full) {
                Ok(()) => self.ended.push((request.ticket, "served")),
                Err((level, free)) => {
                    full.push(level);
                    request.level = Some(level).filter(|level| *level < self.owners.len());
                    request.free_bytes = free;
                    self.line.push(request);
                }
            }
        }
        self.line.len() < before
    }

    pub(super) fn join(&mut self, owner: usize, bytes: u64, is_patient: bool) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (since, level, free_bytes) = (self.now, None, None);
        let request = RequestView { ticket, owner, bytes, is_patient, since, level, free_bytes };
        self.line.push(request);
        self.serve();
        self.changed = true;
        ticket
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.line.retain(|request| request.ticket != ticket);
        self.serve();
        self.changed = true;
    }

    /// Another way to give back, or other handles.
    pub(super) fn change(&mut self, owner: usize, change: impl FnOnce(&mut Owner)) {
        let mine = &mut self.owners[owner];
        let way = mine.view.way;
        change(mine);
        if mine.view.way != way {
            mine.view.ways += 1;
            mine.nothing_for = None;
        }
        self.changed = true;
    }

    fn after(&mut self, what: Later) {
        // At once, soon, or after others have lost patience.
        let delay = self.delays[self.choose.below(self.delays.len())];
        self.count += 1;
        self.later.insert((self.now + Duration::from_millis(delay), self.count), what);
    }

    /// The arbiter, as often as it is to look now.
    pub(super) fn run(&mut self) {
        while self.changed || self.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.changed = false;
            self.look();
        }
    }

    fn hear(&mut self) {
        for heard in self.questions.news() {
            match heard {
                Heard::Asked(owner, since) => self.machine.asked(owner, since),
                Heard::Says(owner, bytes) => self.machine.says(owner, bytes, self.now),
            }
        }
        for (owner, bytes) in std::mem::take(&mut self.returned) {
            self.machine.returned(owner, bytes, self.now);
        }
    }

    fn look(&mut self) {
        self.hear();
        (self.looked, self.released) = (self.now, false);
        self.serve();
        let view = self.view();
        let actions = self.machine.step(self.now, &view);
        self.looks += 1;
        let is_checked = self.looks.is_multiple_of(self.checked);
        if is_checked {
            super::check_decisions(self, &view, &actions);
        }
        for action in actions {
            self.carry_out(action);
        }
        let going = std::mem::take(&mut self.going);
        self.line.retain(|request| !going.contains(&request.ticket));
        self.ask();
        self.call();
        self.sleep();
        if is_checked && !self.changed {
            super::check_rest(self);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Question { owner } => {
                self.owners[owner].question_put = Some(self.now);
                self.owners[owner].put_for = self.next_ticket - 1;
                self.questions.put(self.owners[owner].view.key, owner);
            }
            Action::Flag { owner, bytes } => {
                let view = &mut self.owners[owner].view;
                (view.given_bytes, view.requested_bytes) = (0, bytes);
                self.after(Later::Looks(owner));
            }
            Action::Unflag { owner } => self.owners[owner].view.requested_bytes = 0,
            Action::TakeBackQuestions => {
                for (key, owner) in self.questions.take_back() {
                    self.owners[owner].question_put = None;
                    self.machine.take_back(&[key]);
                }
            }
            Action::Refuse { request } => self.end(request, "refused"),
            Action::EndDeadlock { request } => self.end(request, "deadlock"),
            Action::TellOfWaits { .. } => self.told_of += 1,
            Action::Plan { .. } | Action::Settled { .. } => {}
        }
    }

    /// The line keeps its places until all has been carried out.
    fn end(&mut self, request: usize, how: &'static str) {
        let ticket = self.line[request].ticket;
        self.going.push(ticket);
        self.ended.push((ticket, how));
        self.changed = true;
    }

    fn ask(&mut self) {
        while let Some((_, owner)) = self.questions.begin(self.now, PATIENCE) {
            self.begin(owner, false);
            if self.owners[owner].manners != Manners::Silent {
                self.after(Later::Says(owner));
            }
        }
    }

    fn begin(&mut self, owner: usize, gives: bool) {
        let newest = self.next_ticket - 1;
        let (now, mine) = (self.now, &mut self.owners[owner]);
        assert!(mine.at_work.is_none(), "owner {owner} is called twice at once");
        mine.at_work = Some((now, gives));
        mine.ways_put = mine.view.ways;
        if gives {
            mine.put_for = newest;
        }
        mine.view.is_busy = true;
        let in_patience = |owner: &&Owner| {
            owner.at_work.is_some_and(|(since, does)| does == gives && now < since + PATIENCE)
        };
        assert!(self.owners.iter().filter(in_patience).count() <= 4, "at most four at a time");
    }

    fn call(&mut self) {
        while let Some((key, bytes)) = self.machine.next_call(self.now) {
            let owner = self.owners.iter().position(|owner| owner.view.key == key).unwrap();
            assert!(bytes > 0);
            let calls = self.owners.iter().filter_map(|owner| owner.at_work.filter(|it| it.1));
            // One that is late has lost its part.
            let parts = calls.map(|(since, _)| since + TIMEOUT).filter(|end| *end > self.now);
            let parts: Vec<_> = parts.collect();
            if parts.len() >= self.reserves {
                self.machine.not_begun(key, parts.iter().min().copied(), self.now);
                continue;
            }
            self.begin(owner, true);
            let used = self.owners[owner].view.used_bytes;
            if self.owners[owner].manners != Manners::Hangs {
                self.after(Later::Returns(owner, used.min(bytes)));
            }
        }
    }

    fn sleep(&mut self) {
        let room = self.questions.another_from(self.now, PATIENCE);
        self.deadline = self.machine.deadline(self.now).into_iter().chain(room).min();
        assert!(self.deadline.is_none_or(|deadline| deadline > self.now), "it would not sleep");
    }

    /// When something happens next by itself.
    fn next(&self) -> Option<Moment> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        let pause = self.released.then(|| self.looked + RELEASES_PAUSE);
        later.into_iter().chain(self.deadline).chain(pause).min()
    }

    /// Lets the next thing happen that happens by itself; `false` if there is none.
    pub(super) fn pass(&mut self) -> bool {
        let Some(next) = self.next() else { return false };
        self.events += 1;
        self.now = self.now.max(next);
        if self.later.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
            let (_, what) = self.later.pop_first().unwrap();
            self.happens(what);
        } else if self.released && self.looked + RELEASES_PAUSE <= self.now {
            self.changed = true;
        }
        self.run();
        true
    }

    fn happens(&mut self, what: Later) {
        match what {
            Later::Says(owner) => {
                let mine = &mut self.owners[owner];
                (mine.at_work, mine.question_put, mine.view.is_busy) = (None, None, false);
                let bytes = if mine.manners == Manners::Empty { 0 } else { mine.view.used_bytes };
                self.has_nothing(owner, bytes);
                self.questions.answered(self.owners[owner].view.key, bytes);
                self.changed = true;
            }
            Later::Returns(owner, bytes) => {
                let mine = &self.owners[owner];
                let bytes = match mine.manners {
                    Manners::Lies | Manners::Empty => 0,
                    Manners::Stingy => bytes.min(PAGE),
                    _ => bytes,
                };
                let before = mine.view.used_bytes;
                self.give(owner, bytes);
                let mine = &mut self.owners[owner];
                let given = before.saturating_sub(mine.view.used_bytes);
                (mine.at_work, mine.view.is_busy) = (None, false);
                self.has_nothing(owner, given);
                self.returned.push((self.owners[owner].view.key, given));
                if self.machine.has_plan() && !self.changed {
                    self.hear();
                    self.call();
                    self.sleep();
                } else {
                    self.changed = true;
                }
            }
            Later::Looks(owner) => {
                let view = &self.owners[owner].view;
                let wanted = view.requested_bytes;
                let waits = self.line.iter().filter(|it| it.owner == owner && it.is_patient);
                if wanted == 0 || waits.count() as u64 >= view.hands {
                    return;
                }
                let is_honest = self.owners[owner].manners == Manners::Honest;
                self.give(owner, if is_honest { wanted } else { 0 });
                self.owners[owner].view.requested_bytes = 0;
                self.changed = true;
            }
        }
    }

    /// What it has answered, for those that had come when it was asked.
    fn has_nothing(&mut self, owner: usize, bytes: u64) {
        let mine = &mut self.owners[owner];
        if bytes == 0 && mine.ways_put == mine.view.ways {
            mine.nothing_for = mine.nothing_for.max(Some(mine.put_for));
        }
    }
}
