//! What the arbiter remembers of an owner from one look to the next.

use std::time::Duration;

use super::view::{Moment, OwnerView};

/// How long an owner that gave nothing is not asked again for requests that wait in line: twice as
/// long each time.
pub(super) const REST_MIN: Duration = Duration::from_millis(10);
pub(super) const REST_MAX: Duration = Duration::from_millis(100);

/// How long what is asked for is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long a request waits that is to wait only for answers, and how long one answer is
    /// expected.
    pub(crate) reclaim_timeout: Duration,
    /// After this others are asked beside an owner that does not answer.
    pub(crate) patience: Duration,
    /// How long nothing changes among those that wait for each other before one is told.
    pub(crate) deadlock_timeout: Duration,
}

/// What is known of an owner.
#[derive(Default, Debug)]
pub(super) struct Known {
    /// How often its way to give back had been set when it was seen last.
    pub(super) ways: u64,
    /// What it said last, until it gives something back.
    pub(super) told: Option<Told>,
    /// The newest request that it had nothing for.
    pub(super) dry_for: Option<u64>,
    pub(super) work: Work,
    /// What it was asked for and will find when it looks.
    pub(super) flag: Option<Flag>,
    /// Since when its flag may be up.
    pub(super) flagged_since: Option<Moment>,
    pub(super) rest: Option<Rest>,
}

/// The bytes that an owner says it could give, to a question that was put when the request of this
/// ticket had come, and none after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) epoch: u64,
    pub(super) bytes: u64,
}

/// What an owner is called for.
#[derive(Default, Debug)]
pub(super) enum Work {
    #[default]
    None,
    /// It is asked how much it could give, or is about to be.
    Question { epoch: u64, ways: u64, put: Moment, asked: Option<Moment> },
    /// It gives back.
    Call { epoch: u64, ways: u64, since: Moment, bytes: u64, used_before: u64, is_late: bool },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) bytes: u64,
    pub(super) since: Moment,
    pub(super) used_before: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) until: Moment,
    pub(super) pause: Duration,
}

impl Known {
    /// Whether there is nothing to remember.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.work, Work::None)
            && self.told.is_none()
            && self.dry_for.is_none()
            && self.flag.is_none()
            && self.flagged_since.is_none()
            && self.rest.is_none()
    }

    /// It is not asked any more what it was not asked yet.
    pub(super) fn take_back_question(&mut self) {
        if matches!(self.work, Work::Question { .. }) {
            self.work = Work::None;
        }
    }

    /// It has nothing for the requests up to this one.
    pub(super) fn is_dry(&mut self, epoch: u64, now: Moment) {
        self.dry_for = self.dry_for.max(Some(epoch));
        self.told = None;
        self.have_rest(now);
    }

    /// The requests before this number were told that it has nothing.
    pub(super) fn had_nothing_before(&self) -> u64 {
        self.dry_for.map_or(0, |ticket| ticket.saturating_add(1))
    }

    /// Leaves it in peace for a while.
    pub(super) fn have_rest(&mut self, now: Moment) {
        let pause = self.rest.map_or(REST_MIN, |rest| (2 * rest.pause).min(REST_MAX));
        self.rest = Some(Rest { until: now.saturating_add(pause), pause });
    }

    pub(super) fn rests(&self, now: Moment) -> bool {
        self.rest.is_some_and(|rest| now < rest.until)
    }

    /// Forgets what it said and gave before its way to give back was set anew.
    pub(super) fn forget_other_ways(&mut self, seen: &OwnerView) {
        if self.ways != seen.ways {
            self.ways = seen.ways;
            (self.told, self.dry_for, self.rest) = (None, None, None);
        }
    }

    /// Forgets a rest that is long over, and so how long the next one is.
    pub(super) fn forget_rest(&mut self, now: Moment) {
        if self.rest.is_some_and(|rest| rest.until.saturating_add(REST_MAX) <= now) {
            self.rest = None;
        }
    }

    /// Whether it is called, and an answer is expected.
    pub(super) fn is_called(&self, now: Moment, rules: &Rules) -> bool {
        !matches!(self.work, Work::None) && !self.is_late(now, rules)
    }

    /// Whether nothing is expected of the call that is under way.
    pub(super) fn is_late(&self, now: Moment, rules: &Rules) -> bool {
        match self.work {
            Work::None | Work::Question { asked: None, .. } => false,
            Work::Question { asked: Some(since), .. } | Work::Call { since, .. } => {
                since.saturating_add(rules.reclaim_timeout) <= now
            }
        }
    }

    /// Whether it is called, and others are not asked in its place yet.
    pub(super) fn has_patience(&self, now: Moment, rules: &Rules) -> bool {
        match self.work {
            Work::None => false,
            Work::Question { put: since, .. } | Work::Call { since, .. } => {
                now < since.saturating_add(rules.patience)
            }
        }
    }

    /// When to look at it again if nothing happens. Rests and flags matter for requests that wait
    /// in line.
    pub(super) fn deadline(&self, now: Moment, patient: bool, rules: &Rules) -> Option<Moment> {
        let (patience, timeout) = (rules.patience, rules.reclaim_timeout);
        let [mut one, mut other] = [None, None];
        match self.work {
            Work::None => {}
            Work::Question { put, asked, .. } => {
                one = Some(put.saturating_add(patience));
                other = asked.map(|since| since.saturating_add(timeout));
            }
            Work::Call { since, .. } => {
                one = Some(since.saturating_add(patience));
                other = Some(since.saturating_add(timeout));
            }
        }
        let flag = self.flag.filter(|_| patient);
        let flags = flag.map(|flag| flag.since.saturating_add(patience));
        let late = self.flag.map(|flag| flag.since.saturating_add(timeout));
        let rest = self.rest.filter(|_| patient).map(|rest| rest.until);
        [one, other, flags, late, rest].into_iter().flatten().filter(|end| *end > now).min()
    }
}

impl Flag {
    /// What it gave of what it was asked for.
    pub(super) fn given_bytes(&self, seen: &OwnerView) -> u64 {
        // It may have taken memory again since.
        self.used_before.saturating_sub(seen.used_bytes).max(seen.given_bytes)
    }

    /// The bytes that it has not given and may give soon.
    pub(super) fn open_bytes(&self, seen: &OwnerView, now: Moment, rules: &Rules) -> u64 {
        let has_patience = now < self.since.saturating_add(rules.patience);
        if has_patience { self.bytes.saturating_sub(self.given_bytes(seen)) } else { 0 }
    }
}
