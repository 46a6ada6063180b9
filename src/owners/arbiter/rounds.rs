//! The thread that asks owners for memory on behalf of requests that wait, and ends waits that
//! nothing else will end.
//!
//! It goes by numbers that may have changed when it acts on them, and so never takes anything. It
//! asks, and the thread that gives back serves the line.
//!
//! It sleeps until something happens that it goes by, or a deadline comes. All that changes its
//! mind is noted (`Attention`) after it was changed. It looks at once when a request comes or goes,
//! an owner answers, or one gives what it was asked for. What others give back serves the line by
//! itself. It looks at that after a pause, for the sake of deadlocks.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::panics::catch;
use crate::base::threads::{Next, Threads, Wakeup};
use crate::base::{events, safety_nets};
use crate::ledger::waiting::wait_queue::WaitEnd;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::decisions::Decided;
use crate::owners::shares::levels::refresh;
use crate::owners::sharing::commons::{Commons, Noted};
use crate::owners::sharing::queue::{Wanted, wake_all};
use crate::owners::sharing::this_thread::{Managers, become_arbiter};

use super::calls::{Calls, NotBegun};
use super::looking::Seen;
use crate::owners::deciding::known::Rules;
use crate::owners::deciding::machine::Machine;
use crate::owners::deciding::questions::Heard;
use crate::owners::deciding::view::{Action, Moment, OwnerKey};

/// After a look, what others give back is not looked at for so long.
const RELEASES_PAUSE: Duration = Duration::from_millis(10);
/// How long it pauses after foreign code has panicked.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

/// What the arbiter remembers from one look to the next.
pub(crate) struct Arbiter {
    machine: Machine,
    calls: Calls,
    began: Instant,
    /// Those that are to be called once there is room, and the requests they are called for.
    to_call: HashMap<OwnerKey, (Weak<OwnerNode>, Arc<Wanted>)>,
    /// When it looked last, and is to look again.
    looked: Moment,
    deadline: Option<Moment>,
    /// A foreign policy decides just now, and is waited for until then.
    decides_until: Option<Moment>,
}

impl Arbiter {
    pub(crate) fn new(commons: &Commons) -> Self {
        let began = Instant::now();
        let options = &commons.options;
        let machine = Machine::new(Rules {
            reclaim_timeout: options.reclaim_timeout,
            patience: options.patience(),
            deadlock_timeout: options.deadlock_timeout,
        });
        let (calls, to_call) = (Calls::new(began), HashMap::new());
        let (looked, deadline, decides_until) = (Moment::ZERO, None, None);
        Self { machine, calls, began, to_call, looked, deadline, decides_until }
    }

    /// Looks at the requests that wait, and does what there is to do for them.
    pub(crate) fn look(&mut self, commons: &Arc<Commons>) -> Next {
        let noted = commons.attention.take();
        let now = self.calls.now();
        self.hear(commons, now);
        let is_due = self.deadline.is_some_and(|deadline| deadline <= now);
        if !is_due && !noted.has(Noted::CHANGE) {
            if noted.has(Noted::RETURN) && self.machine.has_plan() {
                self.call(commons, now);
                return self.sleep(commons, now, None);
            }
            let pause_end = self.looked.saturating_add(RELEASES_PAUSE);
            if noted.has(Noted::RELEASE) && !noted.has(Noted::RETURN) && now < pause_end {
                commons.attention.note(Noted::RELEASE);
                return self.sleep(commons, now, Some(pause_end));
            }
        }
        self.looked = now;
        self.look_now(commons, now);
        self.sleep(commons, now, None)
    }

    /// Tells the machine what was heard of those that were called.
    fn hear(&mut self, commons: &Commons, now: Moment) {
        let (heard, returned) = self.calls.news();
        for heard in heard {
            match heard {
                Heard::Asked(owner, since) => self.machine.asked(owner, since),
                Heard::Says(owner, bytes) => self.machine.says(owner, bytes, now),
            }
        }
        for call in returned {
            if self.machine.returned(call.owner, call.given_bytes, now) {
                settled(commons, &call.path, call.asked_bytes, call.given_bytes);
            }
        }
    }

    fn look_now(&mut self, commons: &Arc<Commons>, now: Moment) {
        self.decides_until = None;
        let known = match refresh(commons, &commons.queue.waiting(), Instant::now()) {
            Decided::UpTo(known) => known,
            Decided::NotBefore(until) => {
                // What the policy decides just now is noted as a change.
                self.decides_until = Some(until.saturating_duration_since(self.began));
                return;
            }
        };
        // Shares decide which request is first.
        commons.serve_line();
        self.to_call.clear();
        if !self.machine.has_flags() && commons.queue.waiting().is_empty() {
            self.machine.rest();
            self.machine.take_back(&self.calls.take_back_questions());
            commons.attention.rest();
            return;
        }
        let seen = Seen::look(commons, self.began, known);
        let actions = self.machine.step(now, &seen.view);
        let has_ended = actions.into_iter().fold(false, |has_ended, action| {
            let ends = self.carry_out(commons, &seen, action);
            has_ended || ends
        });
        if seen.view.requests.is_empty() {
            commons.attention.rest();
        }
        let behind = seen.waiting.iter().map(|waiting| waiting.request.behind());
        let behind = behind.fold(Managers::default(), |all, behind| all.and_all(behind));
        if !self.calls.ask(commons, &behind, now) {
            // Nobody can be asked just now. So they cannot be waited for, either.
            for owner in self.calls.take_back_questions() {
                self.machine.says(owner, 0, now);
            }
            commons.attention.note(Noted::CHANGE);
        }
        self.call(commons, now);
        if has_ended {
            // Others may have waited behind.
            commons.serve_line();
            commons.attention.note(Noted::CHANGE);
        }
    }

    /// Does what is to be done; whether a request has ended by that.
    fn carry_out(&mut self, commons: &Commons, seen: &Seen, action: Action) -> bool {
        match action {
            Action::Question { owner } => {
                self.calls.put_question(&seen.owners[owner], seen.view.owners[owner].key);
            }
            Action::Plan { owner, request } => {
                let key = seen.view.owners[owner].key;
                let owner = Arc::downgrade(&seen.owners[owner]);
                self.to_call.insert(key, (owner, Arc::clone(&seen.waiting[request].request)));
            }
            Action::Flag { owner, bytes } => {
                let reclaim = &seen.owners[owner].sharing().reclaim;
                reclaim.set_given(0);
                reclaim.asked().request(bytes);
            }
            Action::Unflag { owner } => seen.owners[owner].sharing().reclaim.asked().request(0),
            Action::Settled { owner, asked_bytes, given_bytes } => {
                settled(commons, seen.owners[owner].path(), asked_bytes, given_bytes);
            }
            Action::TakeBackQuestions => self.machine.take_back(&self.calls.take_back_questions()),
            Action::Refuse { request } => {
                let waiting = &seen.waiting[request];
                let why = WaitEnd::Refused(waiting.refused);
                wake_all(commons.queue.end(waiting.ticket, why));
                return true;
            }
            Action::EndDeadlock { request } => {
                wake_all(commons.queue.end(seen.waiting[request].ticket, WaitEnd::Deadlock));
                return true;
            }
            Action::TellOfWaits { owners } => {
                let paths = owners.iter().map(|owner| Arc::clone(seen.owners[*owner].path()));
                events::may_wait_for_each_other(&paths.collect::<Vec<_>>());
            }
        }
        false
    }

    /// Calls those that are to be called, as far as there is room.
    fn call(&mut self, commons: &Arc<Commons>, now: Moment) {
        while let Some((key, bytes)) = self.machine.next_call(now) {
            let planned = self.to_call.remove(&key);
            let owner = planned.as_ref().and_then(|(owner, _)| owner.upgrade());
            let begun = match (owner, planned) {
                (Some(owner), Some((_, request))) => {
                    self.calls.call(commons, &owner, bytes, request.behind())
                }
                _ => Err(NotBegun::Never),
            };
            match begun {
                Ok(()) => {}
                Err(NotBegun::NoReserve(lasts)) => {
                    self.machine.not_begun(key, Some(now.saturating_add(lasts)), now);
                }
                Err(NotBegun::Never) => {
                    self.machine.not_begun(key, None, now);
                    commons.attention.note(Noted::CHANGE);
                }
            }
        }
    }

    /// Until when to sleep, if nothing happens before.
    fn sleep(&mut self, commons: &Commons, now: Moment, pause_end: Option<Moment>) -> Next {
        let another = self.calls.another_from(now, commons.options.patience());
        self.deadline = match self.decides_until {
            // Nothing is decided before, whatever else is due.
            Some(until) => Some(until),
            None => self.machine.deadline(now).into_iter().chain(another).min(),
        };
        if commons.attention.has(Noted::CHANGE) {
            return Next::After(Duration::ZERO);
        }
        let net = safety_nets::sleeps_at_most().map(|pause| now.saturating_add(pause));
        let net = net.filter(|_| commons.attention.is_watched());
        match self.deadline.into_iter().chain(pause_end).chain(net).min() {
            Some(end) => Next::After(end.saturating_sub(self.calls.now())),
            None => Next::WhenWoken,
        }
    }
}

/// Counts and tells of an owner that was asked.
fn settled(commons: &Commons, path: &str, asked_bytes: u64, given_bytes: u64) {
    commons.reclaims.note(given_bytes);
    events::asked(path, asked_bytes, given_bytes);
}

/// Starts the arbiter of a manager on one of `threads`, and returns what wakes it. `look_at` says
/// whose owners they are, and keeps the manager while the arbiter looks at them, so that nobody who
/// drops a manager waits for foreign code. It ends once there are none.
pub(crate) fn start<M>(
    threads: &Threads,
    look_at: impl Fn() -> Option<(Arc<Commons>, M)> + Send + 'static,
) -> io::Result<Arc<Wakeup>> {
    let mut arbiter = None;
    threads.start("offheap-arbiter", Next::WhenWoken, move || {
        let (commons, _manager) = look_at()?;
        become_arbiter();
        let arbiter = arbiter.get_or_insert_with(|| Arbiter::new(&commons));
        // What panics is foreign. Those that wait need the arbiter all the same.
        Some(catch(|| arbiter.look(&commons)).unwrap_or(Next::After(PANIC_PAUSE)))
    })
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
