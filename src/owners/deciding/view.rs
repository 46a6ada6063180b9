//! What the arbiter decides on, in plain numbers: one look at the owners and at the line.

use std::cmp::Reverse;
use std::time::Duration;

use crate::owners::sharing_state::ReclaimKind;

/// A moment, as the time since the arbiter began.
pub(crate) type Moment = Duration;

/// An owner, told apart from all others that there ever were.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct OwnerKey(pub(crate) u64);

/// The owners that are there, and the requests that wait.
#[derive(Default, Debug)]
pub(crate) struct View {
    /// Parents come before their children.
    pub(crate) owners: Vec<OwnerView>,
    /// In the order in which they are served.
    pub(crate) requests: Vec<RequestView>,
}

#[derive(Clone, Debug)]
pub(crate) struct OwnerView {
    pub(crate) key: OwnerKey,
    /// The place of its parent in the view.
    pub(crate) parent: Option<usize>,
    /// What it holds, with those below it.
    pub(crate) used_bytes: u64,
    /// What it holds itself.
    pub(crate) own_bytes: u64,
    pub(crate) minimum_bytes: u64,
    /// Others are asked on its behalf up to this.
    pub(crate) first_bytes: u64,
    /// It is not asked for what it holds up to this.
    pub(crate) keeps_bytes: u64,
    pub(crate) priority: i32,
    pub(crate) way: ReclaimKind,
    /// How often the way was set anew.
    pub(crate) ways: u64,
    /// Whether it is asked also for requests of its own.
    pub(crate) includes_own: bool,
    /// What a polled owner says that it could give.
    pub(crate) told_bytes: u64,
    /// What a polled owner is asked for; 0 once it has answered.
    pub(crate) requested_bytes: u64,
    /// What it gave when it was at work on that last.
    pub(crate) given_bytes: u64,
    pub(crate) is_busy: bool,
    /// The handles on it. A thread may be at work with each.
    pub(crate) hands: u64,
    /// Whether its bytes are those of the spill reserve.
    pub(crate) is_of_reserve: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RequestView {
    /// Those that came later have higher ones.
    pub(crate) ticket: u64,
    /// The place of its owner in the view.
    pub(crate) owner: usize,
    pub(crate) bytes: u64,
    /// Whether it waits until it is served, and not only until all were asked.
    pub(crate) is_patient: bool,
    pub(crate) since: Moment,
    /// The owner whose account refuses it; `None` for the budget.
    pub(crate) level: Option<usize>,
    /// What is free there; `None` if others are first.
    pub(crate) free_bytes: Option<u64>,
}

/// What is to be done. Owners and requests are named by their places in the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// An owner is to say what it could give.
    Question {
        owner: usize,
    },
    /// An owner is about to be called on behalf of a request: see `Machine::next_call`.
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

/// An owner that may be asked on behalf of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    /// Its place in the view.
    pub(crate) owner: usize,
    /// The bytes that can be asked of it at most.
    pub(crate) bytes: u64,
}

impl View {
    /// An owner and those above it.
    pub(crate) fn ancestry(&self, owner: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(owner), |owner| self.owners[*owner].parent)
    }

    /// The newest request that has come.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.requests.iter().map(|request| request.ticket).max()
    }

    /// Those of the lowest priority first, and of these the ones that can give the most.
    pub(crate) fn order(&self, candidate: &Candidate) -> impl Ord + use<> {
        let owner = &self.owners[candidate.owner];
        (owner.priority, Reverse(candidate.bytes), owner.key)
    }
}

impl OwnerView {
    /// What it holds above its minimum, and above what it keeps.
    pub(crate) fn excess_bytes(&self) -> u64 {
        self.used_bytes.saturating_sub(self.minimum_bytes.max(self.keeps_bytes))
    }

    /// What it holds above its minimum. For owners above it, it keeps nothing.
    pub(crate) fn excess_for_those_above(&self) -> u64 {
        self.used_bytes.saturating_sub(self.minimum_bytes)
    }
}

/// The earlier of two moments.
pub(crate) fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}
