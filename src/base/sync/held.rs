//! What each thread holds: recorded and checked in debug builds, and nothing at all in others.
//!
//! Neither are the models checked, whose threads are not those of the system.

#[cfg(all(debug_assertions, not(offheap_loom)))]
pub(crate) use checked::{Held, Place, assert_none_after, assert_nothing_is_held, is_out_of_order};
#[cfg(not(any(debug_assertions, offheap_loom)))]
pub(crate) use unchecked::is_out_of_order;
#[cfg(not(all(debug_assertions, not(offheap_loom))))]
pub(crate) use unchecked::{Held, Place, assert_none_after, assert_nothing_is_held};

#[cfg(all(debug_assertions, not(offheap_loom)))]
mod checked {
    use std::any::Any;
    use std::cell::Cell;
    use std::thread;

    use crate::base::sync::rank::Rank;

    const RANKS: usize = Rank::Wakeup as usize + 1;
    /// A sentence about what is not in order begins with this.
    const OUT_OF_ORDER: &str = "locks out of order: ";

    thread_local! {
        /// How many locks of each rank this thread holds, the outermost first. Without a
        /// destructor, so that it is there while a thread ends, and without an allocation.
        static HELD: [Cell<Option<(Rank, u32)>>; RANKS] =
            const { [const { Cell::new(None) }; RANKS] };
    }

    /// Which place a lock has in the order.
    #[derive(Clone, Copy)]
    pub(crate) struct Place(Rank);

    /// That this thread holds a lock, or has a magazine or a shelf in hand.
    #[must_use = "the lock counts as held until it is dropped"]
    pub(crate) struct Held(Rank);

    impl Place {
        pub(crate) const fn new(rank: Rank) -> Self {
            Self(rank)
        }

        /// See [`Held::wait_for`].
        pub(crate) fn wait_for(self) -> Held {
            Held::wait_for(self.0)
        }

        /// See [`Held::try_for`].
        pub(crate) fn try_for(self) -> Held {
            Held::try_for(self.0)
        }
    }

    impl Held {
        /// For a lock that this thread is about to wait for.
        ///
        /// # Panics
        ///
        /// If it holds one that does not come before it.
        pub(crate) fn wait_for(rank: Rank) -> Self {
            let is_wrong = |held, _| held >= rank;
            assert_none(is_wrong, |held| {
                format!(
                    "{rank:?} is waited for while {held:?} is held, which does not come before it"
                )
            });
            Self::new(rank)
        }

        /// For a lock that this thread takes unless somebody has it.
        ///
        /// # Panics
        ///
        /// If it holds one that comes after it.
        pub(crate) fn try_for(rank: Rank) -> Self {
            assert_none_after(rank);
            Self::new(rank)
        }

        fn new(rank: Rank) -> Self {
            change(rank, |held| held + 1);
            Self(rank)
        }

        /// Asserts that this thread holds no other lock, before it waits for another thread to
        /// change what this one guards.
        pub(crate) fn assert_alone(&self) {
            let Self(rank) = *self;
            let is_other = |held, count| held != rank || count > 1;
            assert_none(is_other, |held| {
                format!("a change of {rank:?} is waited for while {held:?} is held")
            });
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            change(self.0, |held| held - 1);
        }
    }

    /// Asserts that this thread holds no lock that comes after those of this rank.
    pub(crate) fn assert_none_after(rank: Rank) {
        let is_wrong = |held, _| held > rank;
        assert_none(is_wrong, |held| {
            format!("{rank:?} is taken while {held:?} is held, which comes after it")
        });
    }

    /// Asserts that this thread holds no lock, since `what` runs now, or is waited for.
    pub(crate) fn assert_nothing_is_held(what: &str) {
        assert_none(|_, _| true, |held| format!("here comes {what} while {held:?} is held"));
    }

    /// Whether a panic says that something is not in order.
    pub(crate) fn is_out_of_order(panic: &(dyn Any + Send)) -> bool {
        panic.downcast_ref::<String>().is_some_and(|sentence| sentence.starts_with(OUT_OF_ORDER))
    }

    /// Asserts that this thread holds nothing that `is_wrong`, by rank and number. A thread that
    /// panics already is spared, since that would end the process.
    fn assert_none(is_wrong: impl Fn(Rank, u32) -> bool, sentence: impl FnOnce(Rank) -> String) {
        let look = |held: &Cell<Option<(Rank, u32)>>| {
            held.get().filter(|(rank, count)| is_wrong(*rank, *count))
        };
        let wrong = HELD.with(|held| held.iter().rev().find_map(look));
        let Some((rank, _)) = wrong else { return };
        assert!(thread::panicking(), "{OUT_OF_ORDER}{}", sentence(rank));
    }

    fn change(rank: Rank, change: impl FnOnce(u32) -> u32) {
        HELD.with(|held| {
            let place = &held[rank as usize];
            let changed = change(place.get().map_or(0, |(_, held)| held));
            place.set((changed > 0).then_some((rank, changed)));
        });
    }
}

#[cfg(not(all(debug_assertions, not(offheap_loom))))]
mod unchecked {
    use crate::base::sync::rank::Rank;

    #[derive(Clone, Copy)]
    pub(crate) struct Place;

    #[must_use = "as where it is checked"]
    pub(crate) struct Held;

    impl Place {
        pub(crate) const fn new(_: Rank) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn wait_for(self) -> Held {
            Held
        }

        #[cfg(not(offheap_loom))]
        #[inline(always)]
        pub(crate) fn try_for(self) -> Held {
            Held
        }
    }

    impl Held {
        #[inline(always)]
        pub(crate) fn wait_for(_: Rank) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn try_for(_: Rank) -> Self {
            Self
        }

        #[cfg(not(offheap_loom))]
        #[expect(clippy::unused_self, reason = "nothing is recorded")]
        #[inline(always)]
        pub(crate) fn assert_alone(&self) {}
    }

    #[inline(always)]
    pub(crate) fn assert_none_after(_: Rank) {}

    #[inline(always)]
    pub(crate) fn assert_nothing_is_held(_: &str) {}

    #[cfg(not(offheap_loom))]
    #[inline(always)]
    pub(crate) fn is_out_of_order(_: &(dyn std::any::Any + Send)) -> bool {
        false
    }

    const _: () = assert!(size_of::<Place>() == 0 && size_of::<Held>() == 0);
}

#[cfg(all(test, debug_assertions, not(offheap_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::base::sync::rank::Rank;

    /// The sentence that `wrong` panics with.
    fn sentence(wrong: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(wrong)).err();
        assert!(panic.as_ref().is_some_and(|panic| is_out_of_order(&**panic)));
        panic.and_then(|panic| panic.downcast().ok()).map_or_else(String::new, |told| *told)
    }

    #[test]
    fn a_lock_is_waited_for_while_all_that_is_held_comes_before_it() {
        let _registry = Held::wait_for(Rank::Registry);
        let shelf = Held::wait_for(Rank::Shelf);
        let told = sentence(|| drop(Held::wait_for(Rank::Magazine)));
        let expected = "Magazine is waited for while Shelf is held, which does not come before it";
        assert_eq!(told, format!("locks out of order: {expected}"));
        drop(shelf);
        drop(Held::wait_for(Rank::Magazine));
        assert!(sentence(|| drop(Held::wait_for(Rank::Registry))).contains("Registry is held"));
    }

    #[test]
    fn a_second_lock_of_the_same_rank_is_only_tried() {
        for rank in [Rank::Registry, Rank::Magazine, Rank::Shelf] {
            let first = Held::wait_for(rank);
            assert!(sentence(|| drop(Held::wait_for(rank))).contains("is waited for while"));
            drop(Held::try_for(rank));
            drop(first);
            drop(Held::wait_for(rank));
        }
    }

    #[test]
    fn what_is_tried_does_not_come_before_what_is_held() {
        let _shelf = Held::try_for(Rank::Shelf);
        let told = sentence(|| drop(Held::try_for(Rank::Magazine)));
        assert!(told.ends_with("Magazine is taken while Shelf is held, which comes after it"));
    }

    #[test]
    fn nothing_foreign_runs_and_no_thread_is_waited_for_while_anything_is_held() {
        assert_nothing_is_held("a waker");
        let outer = Held::wait_for(Rank::Resources);
        let told = sentence(|| assert_nothing_is_held("a waker"));
        assert_eq!(told, "locks out of order: here comes a waker while Resources is held");
        let inner = Held::wait_for(Rank::Wakeup);
        let told = sentence(|| inner.assert_alone());
        assert!(told.ends_with("a change of Wakeup is waited for while Resources is held"));
        drop(outer);
    }

    #[test]
    fn a_thread_that_panicked_holds_nothing_afterwards() {
        let panicked = catch_unwind(|| {
            let _held = [Rank::Registry, Rank::Magazine, Rank::Shelf].map(Held::wait_for);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_nothing_is_held("the end");
    }
}
