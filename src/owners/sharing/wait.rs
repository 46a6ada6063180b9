//! Waiting in line for memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::base::error::Reason;
use crate::ledger::budget::{Awaited, Refused, Turn};
use crate::ledger::waiting::line::{Request, Ticket};

use crate::base::panics::shielded;
use crate::manager::Shared;
use crate::owners::arbiter::rounds::is_arbiter;
use crate::owners::node::charge::Charge;
use crate::owners::owner::OwnerShared;
use crate::owners::request::refusal::Why;
use crate::owners::sharing::draining::{End, Whose};

/// Bytes that an owner waits for.
pub(crate) struct Wanted {
    owner: Arc<OwnerShared>,
    bytes: u64,
    until: Until,
    since: Instant,
}

/// How long a request waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// Until it is served, or its caller has waited long enough.
    Served,
    /// Until nobody has anything to give back.
    Asked,
}

impl Wanted {
    pub(crate) fn owner(&self) -> &Arc<OwnerShared> {
        &self.owner
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn until(&self) -> Until {
        self.until
    }

    /// When it joined the line.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

impl Request for Wanted {
    type Grant = Charge;

    fn attempt(&self, turn: Turn) -> Result<Charge, Refused> {
        Charge::in_turn(&self.owner, self.bytes, turn)
    }

    fn levels(&self) -> u32 {
        self.owner.levels()
    }

    fn identity(&self, level: u32) -> usize {
        self.owner.ancestor(level).map_or(0, |owner| std::ptr::from_ref(owner).addr())
    }

    fn set_awaited(&self, level: u32, awaited: Awaited) {
        self.owner.account().set_awaited(&self.owner.lineage(), level, awaited);
    }

    fn rank(&self) -> u32 {
        self.owner.rank()
    }

    fn is_promised(&self) -> bool {
        self.owner.ancestry().any(|owner| owner.account().minimum() > 0)
    }
}

/// A place in the line, as a future. It is taken when it is first asked, and left when this is
/// dropped: what was granted meanwhile goes back, and those who waited behind are served.
pub(crate) struct Wait<'a> {
    owner: &'a Arc<OwnerShared>,
    bytes: usize,
    until: Until,
    /// `None` before it was asked and after it has come to something.
    ticket: Option<Ticket>,
}

impl OwnerShared {
    /// Waits in line for `bytes`.
    pub(crate) fn wait(self: &Arc<Self>, bytes: usize, until: Until) -> Wait<'_> {
        Wait { owner: self, bytes, until, ticket: None }
    }
}

impl Wait<'_> {
    /// Blocks the thread until it comes to something, or the deadline is there.
    pub(crate) fn block(mut self, deadline: Option<Instant>) -> Result<Charge, Why> {
        let deadline = if is_arbiter() { Some(Instant::now()) } else { deadline };
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(outcome) = self.poll_with(&waker) {
                return outcome;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => {
                    let timed_out = Err(Why::Reason(Reason::TimedOut));
                    return self.give_up().unwrap_or(timed_out);
                }
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<Result<Charge, Why>> {
        let manager = self.owner.manager_handle();
        let has_joined = self.ticket.is_some();
        let ticket = self.ticket.unwrap_or_else(|| self.join());
        let polled = manager.line.poll(ticket, waker);
        if polled.is_ready() {
            self.ticket = None;
            // Others may have waited behind.
            manager.serve();
        } else if !has_joined {
            manager.call_arbiter();
        }
        polled.map(|outcome| outcome.map_err(Why::from))
    }

    fn join(&mut self) -> Ticket {
        let manager = self.owner.manager();
        let (owner, bytes) = (Arc::clone(self.owner), self.bytes as u64);
        let (until, since) = (self.until, Instant::now());
        let ticket = manager.line.join(Arc::new(Wanted { owner, bytes, until, since }));
        self.ticket = Some(ticket);
        manager.serve();
        ticket
    }

    /// Leaves the line, with what it came to at the last moment, if it did.
    fn give_up(&mut self) -> Option<Result<Charge, Why>> {
        let left = self.owner.manager().line.leave(self.ticket.take()?);
        self.owner.manager().serve();
        left.map(|outcome| outcome.map_err(Why::from))
    }
}

impl Future for Wait<'_> {
    type Output = Result<Charge, Why>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(context.waker())
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(Ok(charge)) = self.give_up() {
            charge.release();
        }
    }
}

/// Wakes all, whatever a waker does: one that panics spares the others, and whoever gives memory
/// back.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = shielded(|| waker.wake());
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Shared {
    /// Serves the line if somebody waits for what was just given back. Not for whoever has anything
    /// locked or in hand, since those who are served are woken here.
    pub(crate) fn serve_if(&self, awaited: Awaited) {
        if awaited.is_yes() {
            self.serve();
        }
    }

    /// Serves the line, and wakes those who were served.
    pub(crate) fn serve(&self) {
        let served = self.line.serve();
        wake_all(served.wakers);
        if served.awaits_more {
            // That serves once more.
            self.drained(Whose::Everybodys, End::Shut, |_| {});
        }
    }
}
