//! Epochs: reading many pages without a pin each, paid by those who evict.
//!
//! # Protocol
//!
//! 1. A participant is one reader. It is inside or outside. When it enters it takes the number that
//!    is current, publishes it, and passes the light fence. Then it looks at the words of pages
//!    (`State::is_resident_now`), and reads those that are resident until it leaves.
//! 2. An evictor sets words to `Evicting`, and then retires: it passes the heavy fence, takes the
//!    current number as its stamp, and makes the next one current. The stamp has passed when no
//!    participant is inside with that number or an older one. Then the frames are the evictor's.
//! 3. A participant may be seen outside after the heavy fence. With fences on both sides, it then
//!    sees `Evicting` when it comes in.
//! 4. A participant may be seen inside with a newer number. It acquired that from the evictor, and
//!    so it sees `Evicting`, too. This holds without any fence.
//! 5. Leaving and entering are Release, and seeing that is Acquire. So all reading happened before
//!    the frame is used again. A new number says as well that the last stay is over.
//! 6. Registering and retiring lock the list. Where an evictor found the list empty, a participant
//!    that registers later sees `Evicting`. So that evictor needs no fence.

use std::sync::{Arc, PoisonError};

use crate::base::fence::Fences;
use crate::base::sync::{AtomicU64, Mutex, MutexGuard, Ordering, read};

/// What a participant publishes while it is outside.
const OUTSIDE: u64 = 0;
/// What is current first.
const FIRST: u64 = 1;

/// The readers of a pool that are in epochs, and those who wait for them.
#[derive(Debug)]
pub struct Epochs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fences: Fences,
    current: Apart,
    participants: Mutex<Vec<Arc<Apart>>>,
}

/// A word that shares its cache line, and the one that is fetched beside it, with nothing else.
#[derive(Debug)]
#[repr(align(128))]
struct Apart(AtomicU64);

/// One reader, which enters and leaves. Dropping it leaves, and unregisters it.
#[derive(Debug)]
pub struct Participant {
    shared: Arc<Shared>,
    inside: Arc<Apart>,
}

/// A moment that all participants pass by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the frames are read until it has passed"]
pub struct Stamp {
    number: u64,
    /// Whether the heavy fence was passed.
    is_fenced: bool,
}

impl Stamp {
    /// Whether nobody participated when it was made: then it has passed.
    #[must_use]
    pub fn is_of_nobody(self) -> bool {
        self.number == OUTSIDE
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl Epochs {
    /// Nobody participates yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fences(Fences::of_system())
    }

    /// The same with these fences.
    #[must_use]
    pub fn with_fences(fences: Fences) -> Self {
        let current = Apart(AtomicU64::new(FIRST));
        Self(Arc::new(Shared { fences, current, participants: Mutex::new(Vec::new()) }))
    }

    /// One reader more, which is outside. May wait for others that register or look whether a stamp
    /// has passed.
    #[must_use]
    pub fn register(&self) -> Participant {
        let inside = Arc::new(Apart(AtomicU64::new(OUTSIDE)));
        self.0.participants().push(Arc::clone(&inside));
        Participant { shared: Arc::clone(&self.0), inside }
    }

    /// After words were set to `Evicting`: the moment from which on nobody who enters finds those
    /// pages resident.
    pub fn retire(&self) -> Stamp {
        if self.0.participants().is_empty() {
            // INVARIANT: no number is as old (Protocol, 6).
            return Stamp { number: OUTSIDE, is_fenced: true };
        }
        let is_fenced = self.0.fences.heavy();
        // ORDERING: Release. Pairs with the Acquire of `enter` (Protocol, 4).
        let number = self.0.current.0.fetch_add(1, Ordering::Release);
        Stamp { number, is_fenced }
    }

    /// Whether nobody reads any more what was `Evicting` when the stamp was made. After a yes the
    /// frames are the caller's for good, although a later look may say no: a participant that is on
    /// its way in may publish an old number. Never waits for a reader; looks at every participant.
    #[must_use]
    pub fn has_passed(&self, stamp: Stamp) -> bool {
        // A fence that was refused may be had now: here, too, it lies between `Evicting` and
        // looking.
        let is_fenced = stamp.is_fenced || self.0.fences.heavy();
        self.0.participants().iter().all(|participant| {
            // ORDERING: Acquire. Pairs with the Release of `enter` and `leave` (Protocol, 5).
            match participant.0.load(Ordering::Acquire) {
                // Without the fence it says nothing (Protocol, 3 and 4).
                OUTSIDE => is_fenced,
                number => number > stamp.number,
            }
        })
    }
}

impl Shared {
    fn participants(&self) -> MutexGuard<'_, Vec<Arc<Apart>>> {
        self.participants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Participant {
    /// Enters. From now on what is found resident stays until it leaves, or enters again.
    #[inline]
    pub fn enter(&mut self) {
        // ORDERING: Acquire. Pairs with the Release of `retire`: with a newer number we see what
        // the evictor has set before (Protocol, 4).
        let number = read(&self.shared.current.0, Ordering::Acquire);
        // ORDERING: Release. Pairs with the Acquire of `has_passed`, for the last stay
        // (Protocol, 5). The fence orders it before looking at words.
        self.inside.0.store(number, Ordering::Release);
        self.shared.fences.light();
    }

    /// Leaves: what it read may go.
    #[inline]
    pub fn leave(&mut self) {
        // ORDERING: Release. Pairs with the Acquire of `has_passed` (Protocol, 5).
        self.inside.0.store(OUTSIDE, Ordering::Release);
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.shared.participants().retain(|other| !Arc::ptr_eq(other, &self.inside));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_passes_when_all_are_out_who_were_in() {
        for fences in [Fences::Symmetric, Fences::of_system()] {
            let epochs = Epochs::with_fences(fences);
            let mut readers = [epochs.register(), epochs.register()];
            assert!(epochs.has_passed(epochs.retire()), "nobody is in");
            readers[0].enter();
            let first = epochs.retire();
            readers[1].enter();
            let second = epochs.retire();
            assert!(!epochs.has_passed(first) && !epochs.has_passed(second));
            readers[0].leave();
            assert!(epochs.has_passed(first), "the other one came later");
            assert!(!epochs.has_passed(second));
            readers[0].enter();
            assert!(!epochs.has_passed(second));
            readers[1].enter();
            assert!(epochs.has_passed(second), "it came in again, and so was out");
            assert!(epochs.has_passed(first) && epochs.has_passed(second));
        }
    }

    #[test]
    fn a_participant_that_is_gone_is_out() {
        let epochs = Epochs::new();
        let (mut one, other) = (epochs.register(), epochs.register());
        one.enter();
        let stamp = epochs.retire();
        assert!(!epochs.has_passed(stamp));
        drop(other);
        assert!(!epochs.has_passed(stamp), "it was another one");
        drop(one);
        assert!(epochs.has_passed(stamp));
        assert!(epochs.0.participants().is_empty());
    }

    #[test]
    fn without_participants_no_number_is_used_up() {
        let epochs = Epochs::new();
        let stamp = epochs.retire();
        assert!(epochs.has_passed(stamp));
        let mut reader = epochs.register();
        reader.enter();
        assert!(epochs.has_passed(stamp), "it came after that");
        assert_eq!(epochs.retire().number, FIRST);
    }

    #[test]
    fn without_the_fence_only_those_have_passed_who_came_in_again() {
        let epochs = Epochs::with_fences(Fences::Refused);
        let mut reader = epochs.register();
        let stamp = epochs.retire();
        assert!(!epochs.has_passed(stamp), "it may be on its way in");
        reader.enter();
        assert!(epochs.has_passed(stamp));
        reader.leave();
        assert!(!epochs.has_passed(stamp), "nothing is known of its next number");
        drop(reader);
        assert!(epochs.has_passed(stamp));
    }

    #[test]
    fn a_fence_that_was_refused_is_tried_again() {
        let epochs = Epochs::with_fences(Fences::Symmetric);
        let _reader = epochs.register();
        let stamp = Stamp { is_fenced: false, ..epochs.retire() };
        assert!(epochs.has_passed(stamp));
    }
}
