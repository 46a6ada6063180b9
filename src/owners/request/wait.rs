//! Waiting in line for bytes, and having others asked for them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::base::error::Reason;
use crate::base::sync::assert_nothing_is_held;
use crate::ledger::budget::{QueuePosition, Refused};
use crate::ledger::waiting::wait_queue::Ticket;
use crate::owners::node::charge::Charge;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::admission::Verdict;
use crate::owners::shares::verdicts::verdict;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::{WaitMode, Wanted, wake_waiting};
use crate::owners::sharing::this_thread::{is_arbiter, is_within_reclaim};

use super::denial::Denial;
use super::requester::{Effort, Requester};

/// A place in the line, as a future. It is taken when it is first polled, and left when this is
/// dropped: what was granted meanwhile goes back, and those that waited behind are served.
pub(crate) struct Wait {
    owner: Arc<OwnerNode>,
    commons: Arc<Commons>,
    bytes: usize,
    mode: WaitMode,
    /// What the policy said before it joined.
    verdict: Verdict,
    /// `None` before it was polled and after it has come to something.
    ticket: Option<Ticket>,
}

impl Wait {
    /// Blocks the thread until it comes to something, or the deadline is there.
    fn block(mut self, deadline: Option<Instant>) -> Result<Charge, Denial> {
        let deadline = if is_arbiter() { Some(Instant::now()) } else { deadline };
        assert_nothing_is_held("waiting for memory");
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(outcome) = self.poll_with(&waker) {
                return outcome;
            }
            wake_waiting();
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => {
                    let timed_out = Err(Denial::Reason(Reason::TimedOut));
                    return self.give_up().unwrap_or(timed_out);
                }
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<Result<Charge, Denial>> {
        let has_joined = self.ticket.is_some();
        let ticket = self.ticket.unwrap_or_else(|| self.join());
        let polled = self.commons.queue.poll(ticket, waker);
        if polled.is_ready() {
            self.ticket = None;
        } else if !has_joined {
            self.commons.wake_arbiter();
        }
        polled.map(|outcome| outcome.map_err(Denial::from))
    }

    fn join(&mut self) -> Ticket {
        let wanted = Wanted::new(&self.owner, self.bytes as u64, self.mode, self.verdict);
        let ticket = self.commons.queue.join(Arc::new(wanted));
        self.ticket = Some(ticket);
        self.commons.serve_from(Some(&self.owner));
        ticket
    }

    /// Leaves the line, with what it came to at the last moment, if it did.
    fn give_up(&mut self) -> Option<Result<Charge, Denial>> {
        let left = self.commons.queue.leave(self.ticket.take()?);
        // Others may have waited behind.
        self.commons.serve_from(Some(&self.owner));
        left.map(|outcome| outcome.map_err(Denial::from))
    }
}

impl Future for Wait {
    type Output = Result<Charge, Denial>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(context.waker())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(Ok(charge)) = self.give_up() {
            charge.release();
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a request came to, if that is known without waiting.
pub(crate) enum AtOnce {
    Known(Result<Charge, Denial>),
    /// It may help to wait.
    Waits(Wait),
}

impl Requester<'_> {
    /// The bytes, or a refusal for good, or a wait for them until one of these is known.
    pub(crate) fn acquire(&self, bytes: usize) -> AtOnce {
        match self.admitted(bytes).and_then(|()| self.charge_at_once(bytes)) {
            Ok(charge) => AtOnce::Known(Ok(charge)),
            Err(Denial::Refused(Refused::Closed)) => {
                AtOnce::Known(Err(Denial::Refused(Refused::Closed)))
            }
            Err(denial) if is_within_reclaim(self.node) => AtOnce::Known(Err(denial)),
            Err(denial) => match self.never_fits(bytes) {
                Some(refused) => AtOnce::Known(Err(Denial::Refused(refused))),
                None => AtOnce::Waits(self.wait(bytes, WaitMode::UntilServed, &denial)),
            },
        }
    }

    /// The same on this thread, until the time is up.
    pub(crate) fn acquire_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<Charge, Denial> {
        // A deadline beyond what the clock can tell is none.
        let deadline = Instant::now().checked_add(timeout);
        match self.acquire(bytes) {
            AtOnce::Known(answer) => answer,
            AtOnce::Waits(wait) => wait.block(deadline),
        }
    }

    /// Has others asked for `bytes`, for a request that was just denied them and does not wait for
    /// anything else. Waits for their answers, as long as one of them may be waited for. A call
    /// asks once, whatever it looks for afterwards, and so waits for `reclaim_timeout` at most.
    #[cold]
    pub(super) fn ask(&self, bytes: usize, denial: Denial) -> Result<Charge, Denial> {
        let is_worth_it = self.effort == Effort::AskOthers
            && denial.is_about_bytes()
            && !is_within_reclaim(self.node)
            && !is_arbiter()
            && self.never_fits(bytes).is_none()
            && self.can_ask_others(&denial)
            && self.commons.wake_arbiter();
        if !is_worth_it {
            return Err(denial);
        }
        let deadline = Instant::now().checked_add(self.commons.options.reclaim_timeout);
        match self.wait(bytes, WaitMode::UntilAsked, &denial).block(deadline) {
            // Those that were asked did not answer. The request was not to wait, so what denied it
            // before is why.
            Err(Denial::Reason(Reason::TimedOut)) => Err(denial),
            // The policy may have come to another view since, of what others gave back.
            Err(Denial::Refused(refused)) if refused != Refused::Closed && self.is_decided() => {
                self.admitted(bytes).and_then(|()| self.charge_at_once(bytes))
            }
            answer => answer,
        }
    }

    fn wait(&self, bytes: usize, mode: WaitMode, denial: &Denial) -> Wait {
        let (owner, commons) = (Arc::clone(self.node), Arc::clone(self.commons));
        let verdict = match denial {
            Denial::Reason(Reason::Policy) => Verdict::Refuse,
            Denial::Refused(_) | Denial::Reason(_) => Verdict::Admit,
        };
        Wait { owner, commons, bytes, mode, verdict, ticket: None }
    }

    /// Whether the policy is asked about each grant.
    pub(super) fn is_decided(&self) -> bool {
        self.commons.options.rule.deciding().is_some()
    }

    /// Whether the policy admits a request for `bytes`, which it is asked on this thread, with
    /// nothing locked.
    pub(super) fn admitted(&self, bytes: usize) -> Result<(), Denial> {
        if !self.is_decided() {
            return Ok(());
        }
        match verdict(self.commons, self.node, bytes as u64) {
            Verdict::Admit => Ok(()),
            Verdict::Refuse => Err(Denial::Reason(Reason::Policy)),
        }
    }

    /// Charges `bytes`, if that needs no waiting.
    pub(super) fn charge_at_once(&self, bytes: usize) -> Result<Charge, Denial> {
        let in_turn = |turn| Charge::in_turn(self.node, bytes as u64, turn);
        let last = in_turn(QueuePosition::LAST);
        Ok(if self.is_first_after(&last) { in_turn(QueuePosition::FIRST) } else { last }?)
    }

    /// Whether a request was refused for the sake of others in line, and none of those may be
    /// granted: the policy bars all of them.
    pub(super) fn is_first_after<T>(&self, outcome: &Result<T, Refused>) -> bool {
        let is_behind = matches!(outcome, Err(Refused::Turn { .. }));
        let are_barred =
            || self.commons.queue.waiting().iter().all(|waiting| waiting.request.is_barred());
        is_behind && self.is_decided() && are_barred()
    }

    /// The limit that `bytes` would pass if nothing else were held, but for the spill reserve.
    fn never_fits(&self, bytes: usize) -> Option<Refused> {
        let too_small = |owner: &OwnerNode| owner.account().limit() < bytes as u64;
        let Some(level) = self.node.ancestry().position(too_small) else {
            let (budget, reserve) = (&self.supply().budget, &self.supply().reserve);
            let is_too_small = bytes as u64 > budget.limit() - reserve.limit();
            return is_too_small.then(|| Refused::Budget { free: budget.free_bytes() });
        };
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let free = self.node.ancestor(level)?.account().free_bytes_with(u64::MAX / 2, 0);
        Some(Refused::Account { free, level })
    }

    /// Whether there is an owner that could give memory back for a request that was denied so. If
    /// the limit of an owner stands against it, only those below that owner can.
    fn can_ask_others(&self, denial: &Denial) -> bool {
        let full = match denial {
            Denial::Refused(Refused::Account { level, .. }) => self.node.ancestor(*level),
            _ => None,
        };
        self.commons.registry.any_giver(full, |owner| {
            let reclaim = &owner.sharing().reclaim;
            reclaim.can_be_asked() && (reclaim.includes_own || !owner.is(self.node))
        })
    }
}
