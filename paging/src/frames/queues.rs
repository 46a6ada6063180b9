//! Which frame is evicted next.
//!
//! In the manner of S3-FIFO (Yang et al., SOSP 2023). A page that comes goes to a small probation
//! list; where it is not used before its turn comes, it goes again, so that a scan passes through
//! a small part of the memory. What was used goes to the main list, a clock that remembers up to
//! three uses. A page that comes back soon after it failed on probation goes to the main list.
//!
//! Three things are other than there. The load is no use, and neither is what follows it at once:
//! the first part of the probation forgets uses, so that a scan that touches each page many times
//! is still a scan. What the main list lost does not come back to it at once: so a loop that is a
//! little larger than the memory finds most of it there, and not nothing.
//!
//! ```text
//!  comes ──▶ fresh ──▶ probation ──used──▶ main ◀─ used, or came back soon
//!                          │                │
//!                          └── not used ────┴──▶ victim if clean; else to the dirty list,
//!                                               and a victim if no clean one is near
//!  Cold ──▶ goes first      Keep ──▶ goes last      pinned at its turn ──▶ parked for a while
//! ```
//!
//! Nothing is known of the pages here but what the caller's look says, and nothing is locked.

use super::lists::{List, Lists, Note};

pub(crate) use super::lists::Standing;

/// One frame in so many of those without advice is fresh or on probation.
const PROBATION_SHARE: u32 = 10;
/// One of so many of those is fresh.
const FRESH_SHARE: u32 = 4;
/// A page comes back soon if fewer pages failed on probation meanwhile than there are frames
/// without advice, times this, in percent.
const GHOSTS_PERCENT: u64 = 150;
/// The most passes of the hand that uses in earlier passes save a frame for.
const CREDIT_MAX: u8 = 3;
/// So many more frames are looked at for a clean one after a dirty one was found.
const NEAR_LOOKS: u32 = 64;
/// At most so many frames wait in the dirty list before one of them is the victim: two writes of
/// 1 MiB of pages of 32 KiB. In small pools it is an eighth of the frames.
const DIRTY_MAX: u32 = 64;
/// One of so many frames may be made ready early, to find more to write together.
const READY_SHARE: u32 = 32;
/// So many parked frames are looked at a call.
const PARKED_LOOKS: u32 = 2;
/// So many fresh frames are moved to probation a call.
const FRESH_LOOKS: u32 = 4;
/// After so many looks in a call, a use saves no frame any more: a bound on the time of a call.
const PATIENCE_LOOKS: u32 = 1024;

/// When a page was evicted, and whether from the main list: a number to be kept with the page while
/// it is spilled. When the count wraps, an old stamp may look recent, which is a wrong guess and no
/// more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(u32);

impl Stamp {
    const MAIN: u32 = 1 << 31;

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn into_bits(self) -> u32 {
        self.0
    }
}

/// How a page came into its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Came {
    /// For the first time.
    New,
    /// From the spill file; it got the stamp when it was evicted.
    Back(Stamp),
    /// With the advice that it will not be read again.
    Cold,
    /// With the advice that it is to be kept.
    Keep,
}

/// What the caller sees of a frame that is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// Used since the last look, which the caller forgets by this one. Neither pinned nor busy.
    Used,
    /// Clean, not used, and free to go.
    Unused,
    /// Pinned, loaded, evicted or written just now. The caller does not forget uses by this look.
    Pinned,
    /// Not used, and to be written first.
    Dirty,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Victim {
    /// Can go at once. Stays where it is until [`Queues::evicted`] or [`Queues::remove`].
    Clean(u32),
    /// To be written first. It is set aside; [`Queues::cleaned`] brings it back.
    Dirty(u32),
}

/// The order of eviction.
///
/// Frames are numbers below what [`Queues::grow_to`] was last called with; a higher one is a bug of
/// the caller and panics.
#[derive(Debug)]
pub(crate) struct Queues {
    lists: Lists,
    /// How many pages failed on probation; wraps below [`Stamp::MAIN`].
    failed: u32,
    /// The calls until all parked frames may be looked at before frames to keep are evicted.
    calls_until_parked: u32,
}

impl Default for Queues {
    fn default() -> Self {
        Self::new()
    }
}

/// What a call has looked at so far.
struct Search<L> {
    look: L,
    looks: u32,
    fresh_looks: u32,
    /// The looks when the first dirty frame was found in this call.
    dirty_at: Option<u32>,
}

impl<L: FnMut(u32) -> Look> Search<L> {
    fn new(look: L) -> Self {
        Self { look, looks: 0, fresh_looks: 0, dirty_at: None }
    }

    fn look(&mut self, frame: u32) -> Look {
        self.looks += 1;
        let look = (self.look)(frame);
        if look == Look::Dirty && self.dirty_at.is_none() {
            self.dirty_at = Some(self.looks);
        }
        look
    }
}

impl Queues {
    pub(crate) const fn new() -> Self {
        Self { lists: Lists::new(), failed: 0, calls_until_parked: 0 }
    }

    /// Makes room for frames below `frames`. Never shrinks.
    pub(crate) fn grow_to(&mut self, frames: u32) {
        self.lists.grow_to(frames);
    }

    /// Takes in a frame that has a page now.
    pub(crate) fn insert(&mut self, frame: u32, came: Came) {
        let (list, standing) = match came {
            Came::New => (List::Fresh, Standing::Normal),
            Came::Back(stamp) if self.is_recent(stamp) => (List::Main, Standing::Normal),
            Came::Back(_) => (List::Fresh, Standing::Normal),
            Came::Cold => (List::Cold, Standing::Cold),
            Came::Keep => (List::Keep, Standing::Keep),
        };
        *self.lists.note(frame) = Note::new(standing);
        self.put(list, frame);
        // While nothing is evicted, nobody looks at what is fresh: its number tells when it is no
        // longer so.
        if self.lists.count(List::Fresh) > 2 * self.fresh_max()
            && let Some(oldest) = self.lists.first(List::Fresh)
        {
            self.put(List::Probation, oldest);
        }
    }

    /// Takes out a frame, wherever it is.
    pub(crate) fn remove(&mut self, frame: u32) {
        self.lists.take_out(frame);
    }

    /// Takes out a frame whose page was evicted.
    pub(crate) fn evicted(&mut self, frame: u32) -> Stamp {
        self.lists.take_out(frame);
        if self.lists.note(frame).home == List::Main {
            return Stamp(self.failed | Stamp::MAIN);
        }
        self.failed = (self.failed + 1) % Stamp::MAIN;
        Stamp(self.failed)
    }

    /// Changes what was said of a frame's page. A frame that is in no queue has nothing to change.
    pub(crate) fn advise(&mut self, frame: u32, standing: Standing) {
        let Some(list) = self.lists.list(frame) else { return };
        let old = std::mem::replace(&mut self.lists.note(frame).standing, standing);
        if old == standing || list == List::Parked {
            return;
        }
        match standing {
            Standing::Keep => self.put(List::Keep, frame),
            Standing::Cold => self.put(List::Cold, frame),
            // What was to be kept was worth something; what was cold starts again.
            Standing::Normal if old == Standing::Keep => self.put(List::Main, frame),
            Standing::Normal => self.put(List::Fresh, frame),
        }
    }

    /// Says that a frame that was a dirty victim has been written: it is the next one to go, unless
    /// it was used meanwhile. A frame that was not set aside stays where it is.
    pub(crate) fn cleaned(&mut self, frame: u32) {
        if self.lists.list(frame) == Some(List::Parked) {
            let list = match self.lists.note(frame).standing {
                Standing::Normal => List::Ready,
                Standing::Keep => List::Keep,
                Standing::Cold => List::Cold,
            };
            self.put(list, frame);
        }
    }

    /// How many frames were found pinned when they were looked at last.
    pub(crate) fn pinned(&self) -> u32 {
        self.lists.count(List::Parked)
    }

    /// Whose turn it is: clean frames before dirty ones, and those to keep last. `None` where
    /// `look` finds all of them pinned.
    ///
    /// A call looks at a few frames on average. Where all that it meets were used, it ends with one
    /// of them after about a thousand looks. It looks at all of them before it says `None`.
    pub(crate) fn next_victim(&mut self, look: impl FnMut(u32) -> Look) -> Option<Victim> {
        let mut search = Search::new(look);
        self.visit_parked(&mut search, PARKED_LOOKS);
        if let Some(victim) = self.sweep(&mut search) {
            return Some(victim);
        }
        // All of them at each call would make calls slow while most are pinned.
        if self.calls_until_parked > 0 {
            self.calls_until_parked -= 1;
            if let Some(victim) = self.sweep_kept(&mut search) {
                return Some(victim);
            }
        }
        let parked = self.lists.count(List::Parked);
        self.calls_until_parked = parked / 8;
        self.visit_parked(&mut search, parked);
        self.sweep(&mut search).or_else(|| self.sweep_kept(&mut search))
    }

    /// One more frame to be written together with a dirty victim, or ahead; `None` if few frames
    /// would be next to go and dirty. It is set aside as a dirty victim is.
    ///
    /// A call looks at `looks_max` frames at most.
    pub(crate) fn next_dirty(
        &mut self,
        look: impl FnMut(u32) -> Look,
        looks_max: u32,
    ) -> Option<u32> {
        let mut search = Search::new(look);
        while search.looks < looks_max {
            // What would go next is made ready early, but not more than a few frames.
            let is_enough =
                self.lists.count(List::Ready) > self.count_without_advice() / READY_SHARE;
            let list = if is_enough || self.lists.count(List::Dirty) > 0 {
                List::Dirty
            } else {
                self.swept(search.fresh_looks)
            };
            let frame = self.lists.first(list)?;
            search.fresh_looks += u32::from(list == List::Fresh);
            match (search.look(frame), list) {
                (Look::Dirty, List::Dirty) => {
                    self.put(List::Parked, frame);
                    return Some(frame);
                }
                (Look::Unused, List::Main) if self.spend_credit(frame) => {}
                (Look::Unused, List::Main | List::Probation | List::Dirty) => {
                    self.put(List::Ready, frame);
                }
                (seen, _) => self.place(frame, seen),
            }
        }
        None
    }

    fn is_recent(&self, stamp: Stamp) -> bool {
        let age = self.failed.wrapping_sub(stamp.0) % Stamp::MAIN;
        let frames = u64::from(self.count_without_advice());
        stamp.0 < Stamp::MAIN && u64::from(age) * 100 <= frames * GHOSTS_PERCENT
    }

    fn count_without_advice(&self) -> u32 {
        [List::Fresh, List::Probation, List::Main].map(|list| self.lists.count(list)).iter().sum()
    }

    /// How many frames may be fresh or on probation while the main list has any.
    fn probation_max(&self) -> u32 {
        self.count_without_advice() / PROBATION_SHARE
    }

    fn fresh_max(&self) -> u32 {
        self.probation_max() / FRESH_SHARE
    }

    fn put(&mut self, list: List, frame: u32) {
        self.lists.move_to(list, frame);
        if matches!(list, List::Fresh | List::Probation | List::Main) {
            self.lists.note(frame).home = list;
        }
    }

    /// The list whose first frame is to go next, of those without advice, after so many looks at
    /// fresh frames in this call.
    fn swept(&self, fresh_looks: u32) -> List {
        let [fresh, probation, main] =
            [List::Fresh, List::Probation, List::Main].map(|list| self.lists.count(list));
        if fresh > self.fresh_max() && fresh_looks < FRESH_LOOKS {
            List::Fresh
        } else if probation > 0 && (main == 0 || fresh + probation > self.probation_max()) {
            List::Probation
        } else if main > 0 {
            List::Main
        } else {
            List::Fresh
        }
    }

    /// Puts a frame that was looked at and is not a victim where it belongs.
    fn place(&mut self, frame: u32, seen: Look) {
        let list = self.lists.list(frame);
        let Note { standing, home, credit } = *self.lists.note(frame);
        let list = match (seen, standing) {
            (Look::Pinned, _) => List::Parked,
            (_, Standing::Keep) => List::Keep,
            (_, Standing::Normal) if home == List::Fresh => List::Probation,
            (Look::Dirty, _) => List::Dirty,
            (_, Standing::Cold) => List::Cold,
            (Look::Unused, Standing::Normal) => List::Ready,
            (Look::Used, Standing::Normal) => {
                let is_used_again = list == Some(List::Main);
                let credit = if is_used_again { CREDIT_MAX.min(credit + 1) } else { 0 };
                self.lists.note(frame).credit = credit;
                List::Main
            }
        };
        self.put(list, frame);
    }

    /// Looks at the first `count` parked frames, and puts back those that are not pinned any more.
    fn visit_parked(&mut self, search: &mut Search<impl FnMut(u32) -> Look>, count: u32) {
        for _ in 0..count {
            let Some(frame) = self.lists.first(List::Parked) else { return };
            let seen = search.look(frame);
            self.place(frame, seen);
        }
    }

    /// The next victim that is neither parked nor to be kept.
    fn sweep(&mut self, search: &mut Search<impl FnMut(u32) -> Look>) -> Option<Victim> {
        let advised = self.lists.count(List::Cold) + self.lists.count(List::Ready);
        let frames = advised + self.lists.count(List::Dirty) + self.count_without_advice();
        let start = search.looks;
        let patience = start.saturating_add(PATIENCE_LOOKS.min(frames.saturating_mul(2)));
        let looks_max = start.saturating_add(frames.saturating_mul(5));
        while search.looks < looks_max {
            let list = self.next_list(search);
            let frame = self.lists.first(list)?;
            let is_patient = search.looks < patience;
            search.fresh_looks += u32::from(list == List::Fresh);
            let mut seen = search.look(frame);
            if seen == Look::Used && (list == List::Cold || !is_patient) {
                seen = search.look(frame);
            }
            match (seen, list) {
                (Look::Dirty, List::Dirty) => {
                    self.put(List::Parked, frame);
                    return Some(Victim::Dirty(frame));
                }
                (Look::Unused, List::Cold | List::Ready | List::Probation | List::Dirty) => {
                    return Some(Victim::Clean(frame));
                }
                (Look::Unused, List::Main) if !is_patient || !self.spend_credit(frame) => {
                    return Some(Victim::Clean(frame));
                }
                (Look::Unused, List::Main) => {}
                _ => self.place(frame, seen),
            }
        }
        None
    }

    /// The list whose first frame is to go next, of those that are neither parked nor to be kept.
    fn next_list<L>(&self, search: &Search<L>) -> List {
        let has = |list: &List| self.lists.count(*list) > 0;
        let due =
            if self.is_dirty_due(search) { List::Dirty } else { self.swept(search.fresh_looks) };
        let lists = [List::Cold, List::Ready, due, self.swept(search.fresh_looks), List::Dirty];
        lists.into_iter().find(has).unwrap_or(List::Dirty)
    }

    /// Whether earlier uses save `frame`; one of them is forgotten.
    fn spend_credit(&mut self, frame: u32) -> bool {
        let credit = self.lists.note(frame).credit.checked_sub(1);
        if let Some(credit) = credit {
            self.lists.note(frame).credit = credit;
            self.put(List::Main, frame);
        }
        credit.is_some()
    }

    /// Whether enough was done to find a clean frame instead of a dirty one.
    fn is_dirty_due<L>(&self, search: &Search<L>) -> bool {
        let dirty = self.lists.count(List::Dirty);
        let frames = dirty + self.count_without_advice();
        dirty > DIRTY_MAX.min(frames / 8)
            || search.dirty_at.is_some_and(|at| search.looks - at >= NEAR_LOOKS)
    }

    /// The next victim of those to be kept.
    fn sweep_kept(&mut self, search: &mut Search<impl FnMut(u32) -> Look>) -> Option<Victim> {
        let mut dirty = None;
        let kept = self.lists.count(List::Keep);
        for looked in 0..kept.saturating_mul(2) {
            if dirty.is_some_and(|(_, at)| looked - at >= NEAR_LOOKS) {
                break;
            }
            let Some(frame) = self.lists.first(List::Keep) else { break };
            let mut seen = search.look(frame);
            if seen == Look::Used && looked >= kept.min(PATIENCE_LOOKS) {
                seen = search.look(frame);
            }
            if seen == Look::Unused {
                return Some(Victim::Clean(frame));
            }
            if seen == Look::Dirty {
                dirty = dirty.or(Some((frame, looked)));
            }
            self.place(frame, seen);
        }
        let (frame, _) = dirty?;
        self.put(List::Parked, frame);
        Some(Victim::Dirty(frame))
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "misses_tests.rs"]
mod misses_tests;
