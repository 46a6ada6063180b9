//! The steps of an entry, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::outcome::{Death, Dirty, IsDead, Kept, LoadTurn, Publish, WriteEnd, Written};
use super::state::State;
use super::word::{PINS_MAX, Phase, Word};
use crate::base::sync::Ordering;

const NO_PIN: Publish = Publish { pin: false, dirty: false };

fn resident(dirty: Dirty) -> State {
    let state = State::new();
    state.make_resident(dirty);
    state
}

fn spilled() -> State {
    let state = resident(Dirty::No);
    state.begin_evict().unwrap();
    assert_eq!(state.finish_evict(), IsDead::No);
    state
}

#[test]
fn only_a_resident_page_is_pinned_and_nothing_is_left_of_the_attempt() {
    let state = State::new();
    assert!(!state.pin());
    assert!(!state.pin_for_write());
    assert_eq!(state.seen(), Word::VACANT);
    let state = spilled();
    let before = state.seen();
    assert!(!state.pin());
    assert_eq!(state.begin_load(), LoadTurn::Mine);
    assert!(!state.pin_for_write());
    assert_eq!(state.fail_load(), IsDead::No);
    assert_eq!(state.seen(), before);
}

#[test]
fn a_page_stays_while_it_is_pinned() {
    let state = resident(Dirty::No);
    assert!(state.pin() && state.pin());
    assert_eq!(state.seen().uses(), 2);
    assert_eq!(state.begin_evict(), Err(Kept::Pinned));
    state.unpin();
    assert_eq!(state.begin_evict(), Err(Kept::Pinned));
    state.unpin();
    assert_eq!(state.begin_evict(), Ok(()));
    assert_eq!(state.begin_load(), LoadTurn::Evicting);
    assert_eq!(state.cancel_evict(), IsDead::No);
    assert!(state.pin());
}

#[test]
fn a_load_counts_as_no_use_and_may_leave_a_pin() {
    let state = spilled();
    assert_eq!(state.begin_load(), LoadTurn::Mine);
    assert_eq!(state.begin_load(), LoadTurn::Loading);
    assert_eq!(state.publish(Publish { pin: true, dirty: true }), IsDead::No);
    assert_eq!(state.begin_load(), LoadTurn::Resident);
    assert_eq!((state.seen().uses(), state.seen().pins()), (0, 1));
    assert_eq!(state.begin_evict(), Err(Kept::Pinned));
    state.unpin();
    assert_eq!(state.begin_evict(), Err(Kept::Dirty));
}

#[test]
fn a_dirty_page_is_written_before_it_goes() {
    let state = resident(Dirty::Yes);
    assert_eq!(state.begin_evict(), Err(Kept::Dirty));
    assert_eq!(state.begin_write(), Ok(()));
    assert_eq!(state.begin_evict(), Err(Kept::Writing));
    assert_eq!(state.begin_write(), Err(Kept::Writing));
    assert!(state.pin(), "a reader comes while it is copied");
    state.unpin();
    state.end_copy();
    assert_eq!(state.begin_evict(), Err(Kept::Writing));
    assert_eq!(state.end_write(Written::Yes), WriteEnd { dirty: false, dead: false });
    assert_eq!(state.begin_write(), Err(Kept::Clean));
    assert_eq!(state.begin_evict(), Ok(()));
}

#[test]
fn a_page_that_is_dirtied_again_or_was_not_written_is_dirty() {
    let state = resident(Dirty::Yes);
    state.begin_write().unwrap();
    state.end_copy();
    assert!(state.pin_for_write());
    assert_eq!(state.end_write(Written::Yes), WriteEnd { dirty: true, dead: false });
    state.unpin();
    state.begin_write().unwrap();
    state.end_copy();
    assert_eq!(state.end_write(Written::No), WriteEnd { dirty: true, dead: false });
    assert_eq!(state.begin_evict(), Err(Kept::Dirty));
}

#[test]
fn a_writer_waits_for_the_copy() {
    let state = resident(Dirty::Yes);
    state.begin_write().unwrap();
    let (copied, seen) = (std::sync::atomic::AtomicBool::new(false), std::sync::mpsc::channel());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(state.pin_for_write());
            // ORDERING: Relaxed. The wait for the copy orders it.
            seen.0.send(copied.load(Ordering::Relaxed)).unwrap();
        });
        while state.seen().pins() == 0 {
            std::thread::yield_now();
        }
        // ORDERING: Relaxed. As above.
        copied.store(true, Ordering::Relaxed);
        state.end_copy();
    });
    assert!(seen.1.recv().unwrap(), "the writer was in during the copy");
    assert_eq!(state.end_write(Written::Yes), WriteEnd { dirty: true, dead: false });
}

#[test]
fn a_dropped_page_is_cleaned_up_by_who_has_a_turn() {
    assert_eq!(resident(Dirty::Yes).die(), Death::Resident);
    assert_eq!(spilled().die(), Death::Spilled);

    let state = spilled();
    assert_eq!(state.begin_load(), LoadTurn::Mine);
    assert_eq!(state.die(), Death::Later);
    assert_eq!(state.publish(Publish { pin: true, dirty: false }), IsDead::Yes);
    assert_eq!(state.seen().pins(), 0, "the page has no owner");
    assert_eq!((state.begin_evict(), state.begin_write()), (Err(Kept::Gone), Err(Kept::Gone)));
    state.bury();
    assert_eq!(state.seen(), Word::VACANT);

    let state = spilled();
    assert_eq!(state.begin_load(), LoadTurn::Mine);
    assert_eq!(state.die(), Death::Later);
    assert_eq!(state.fail_load(), IsDead::Yes);
    assert_eq!(state.begin_load(), LoadTurn::Gone);
    state.bury();

    for end in [State::cancel_evict, State::finish_evict] {
        let state = resident(Dirty::No);
        state.begin_evict().unwrap();
        assert_eq!(state.die(), Death::Later);
        assert_eq!(end(&state), IsDead::Yes);
        state.bury();
        assert_eq!(state.seen(), Word::VACANT);
    }

    let state = resident(Dirty::Yes);
    state.begin_write().unwrap();
    assert_eq!(state.die(), Death::Later);
    state.end_copy();
    assert!(state.end_write(Written::No).dead);
    state.bury();
    assert_eq!(state.begin_load(), LoadTurn::Gone);
    assert_eq!(state.seen(), Word::VACANT);
}

#[test]
fn forgotten_pins_go_with_the_page() {
    let state = resident(Dirty::No);
    assert!(state.pin());
    assert_eq!(state.die(), Death::Resident);
    state.make_resident(Dirty::No);
    assert_eq!(state.begin_evict(), Ok(()));
}

#[test]
fn too_many_guards_are_refused_before_they_reach_the_phase() {
    let state = resident(Dirty::No);
    (0..PINS_MAX).for_each(|_| assert!(state.pin()));
    let before = state.seen();
    let refused = catch_unwind(AssertUnwindSafe(|| state.pin())).unwrap_err();
    assert!(refused.downcast::<String>().unwrap().contains("524288 guards"));
    assert_eq!(state.seen(), before);
    (0..PINS_MAX).for_each(|_| state.unpin());
    assert_eq!(state.begin_evict(), Ok(()));
}

#[test]
fn a_read_in_an_epoch_is_seen_once() {
    let state = resident(Dirty::No);
    assert!(!state.take_uses().1);
    assert!(state.is_resident_now() && state.is_resident_now());
    assert!(state.take_uses().1);
    assert!(!state.take_uses().1);
    assert!(!spilled().is_resident_now());
    assert_eq!(spilled().seen().phase(), Phase::Spilled);
}

#[test]
fn a_turn_is_ended_by_who_has_it() {
    let publish = |state: &State| state.publish(NO_PIN);
    let ends: [&dyn Fn(&State) -> IsDead; 4] =
        [&publish, &State::fail_load, &State::cancel_evict, &State::finish_evict];
    for end in ends {
        let state = resident(Dirty::No);
        let before = state.seen();
        catch_unwind(AssertUnwindSafe(|| end(&state))).unwrap_err();
        assert_eq!(state.seen(), before);
    }
    let state = resident(Dirty::Yes);
    catch_unwind(AssertUnwindSafe(|| state.end_write(Written::Yes))).unwrap_err();
    state.begin_write().unwrap();
    catch_unwind(AssertUnwindSafe(|| state.end_write(Written::Yes))).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| state.bury())).unwrap_err();
    assert_eq!(state.die(), Death::Later);
    catch_unwind(AssertUnwindSafe(|| state.die())).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| state.bury())).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| State::new().die())).unwrap_err();
}
