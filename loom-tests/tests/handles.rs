//! Handles: a value is there while a call uses it, and is taken out once, by one.
#![cfg(offheap_loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use offheap::model::{Closed, Gate, Gates, Generation, Handle, Kind, LabelledGate, NotEntered};
use offheap_loom_tests::check;

/// A slot with a value: `Some` while it is there.
struct Slot<G> {
    gate: G,
    value: UnsafeCell<Option<u64>>,
}

// SAFETY: loom checks every access to the cell.
unsafe impl<G: Sync> Sync for Slot<G> {}
// SAFETY: as for `Sync`.
unsafe impl<G: Send> Send for Slot<G> {}

impl<G: Default> Slot<G> {
    fn new(value: u64) -> Self {
        Self { gate: G::default(), value: UnsafeCell::new(Some(value)) }
    }
}

impl<G> Slot<G> {
    /// The value, for a call that is inside.
    fn get(&self) -> u64 {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.value.with(|value| unsafe { *value }.expect("it stays while somebody is inside"))
    }

    /// Takes the value out, for the call that has the slot alone.
    fn take(&self) -> u64 {
        // SAFETY: loom checks that nobody else looks meanwhile.
        self.value.with_mut(|value| unsafe { &mut *value }.take().expect("it is taken once"))
    }

    fn put(&self, new: u64) {
        // SAFETY: as for `take`.
        self.value.with_mut(|value| unsafe { *value = Some(new) });
    }
}

/// Uses a value if the handle is good; how often it was taken out by that.
fn use_value(slot: &Slot<Gate>, generation: Generation, expected: u64) -> u64 {
    if slot.gate.enter(generation).is_err() {
        return 0;
    }
    assert_eq!(slot.get(), expected);
    let is_mine = slot.gate.leave();
    if is_mine {
        assert_eq!(slot.take(), expected);
    }
    u64::from(is_mine)
}

/// Ends a handle; how often the value was taken out by that.
fn end(slot: &Slot<Gate>, generation: Generation) -> u64 {
    match slot.gate.shut(generation) {
        Ok(Closed::Empty) => {
            slot.take();
            1
        }
        Ok(Closed::Busy) => 0,
        Err(why) => {
            assert_eq!(why, NotEntered::Ended);
            0
        }
    }
}

/// The generation after this one, of a slot whose next one nobody was told yet.
fn after(generation: Generation) -> Generation {
    let one = Handle::new(Kind::Owner, 0, generation).into_bits();
    Handle::from_bits(one + (1 << 34)).generation()
}

/// Goal: two end a handle while a third uses the value: it is taken out once, after the use.
#[test]
fn a_value_that_is_in_use_is_taken_out_once() {
    check(|| {
        let slot = Arc::new(Slot::<Gate>::new(7));
        let generation = slot.gate.open().unwrap();
        let user = |slot: &Slot<Gate>, generation| use_value(slot, generation, 7);
        let others = [user, end].map(|work| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || work(&slot, generation))
        });
        let mut taken = end(&slot, generation);
        taken += others.into_iter().map(|other| other.join().unwrap()).sum::<u64>();
        assert_eq!(taken, 1);
        assert_eq!(slot.gate.enter(generation), Err(NotEntered::Ended));
    });
}

/// Goal: who has two calls inside gets the value when both have left, and sees what they did.
#[test]
fn the_last_to_leave_takes_the_value_out() {
    check(|| {
        let slot = Arc::new(Slot::<Gate>::new(7));
        let generation = slot.gate.open().unwrap();
        let other = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || use_value(&slot, generation, 7))
        };
        slot.gate.enter(generation).unwrap();
        assert_eq!(slot.get(), 7);
        let mut taken = end(&slot, generation);
        assert_eq!(taken, 0, "we are inside");
        let is_mine = slot.gate.leave();
        if is_mine {
            slot.take();
        }
        taken += u64::from(is_mine) + other.join().unwrap();
        assert_eq!(taken, 1);
    });
}

/// Goal: a slot is used again while one caller still has the old handle, and another guesses the
/// new one: each gets the value of its handle, or none.
#[test]
fn a_slot_that_is_used_again_refuses_the_old_handle() {
    check(|| {
        let slot = Arc::new(Slot::<Gate>::new(7));
        let old = slot.gate.open().unwrap();
        let other = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || use_value(&slot, old, 7) + use_value(&slot, after(old), 8))
        };
        if end(&slot, old) == 1 {
            slot.put(8);
            assert_eq!(slot.gate.open(), Some(after(old)));
            assert_eq!(slot.gate.shut(old), Err(NotEntered::Ended));
            assert_eq!(other.join().unwrap(), 0, "nobody ended the new handle");
        } else {
            assert_eq!(other.join().unwrap(), 1);
        }
    });
}

/// Goal: calls that want to be alone: one at a time is, and sees what the last one did.
#[test]
fn one_call_at_a_time_is_alone() {
    check(|| {
        let slot = Arc::new(Slot::<Gate>::new(0));
        let generation = slot.gate.open().unwrap();
        let add = move |slot: &Slot<Gate>| match slot.gate.enter_alone(generation) {
            Ok(()) => {
                let value = slot.take();
                slot.put(value + 1);
                assert!(!slot.gate.leave());
                1
            }
            Err(why) => {
                assert_eq!(why, NotEntered::Busy);
                0
            }
        };
        let other = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || add(&slot))
        };
        let added = add(&slot) + other.join().unwrap();
        assert!(added >= 1);
        assert_eq!(slot.gate.shut(generation), Ok(Closed::Empty));
        assert_eq!(slot.take(), added);
    });
}

/// Goal: several gates: the value is taken out once, after those who are in by either of them.
#[test]
fn several_gates_are_one() {
    check(|| {
        let slot = Arc::new(Slot::<Gates<2>>::new(7));
        let generation = slot.gate.open().unwrap();
        let users = [0, 1].map(|gate| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                if slot.gate.enter(gate, generation).is_err() {
                    return 0;
                }
                assert_eq!(slot.get(), 7);
                let is_mine = slot.gate.leave(gate);
                if is_mine {
                    slot.take();
                }
                u64::from(is_mine)
            })
        });
        let is_mine = slot.gate.shut(generation).unwrap();
        if is_mine {
            slot.take();
        }
        for gate in [0, 1] {
            assert_eq!(slot.gate.enter(gate, generation), Err(NotEntered::Ended));
        }
        assert!(slot.gate.shut(generation).is_err());
        let taken = users.into_iter().map(|user| user.join().unwrap()).sum::<u64>();
        assert_eq!(taken + u64::from(is_mine), 1);
    });
}

/// Goal: a label is that of the handle, while the slot gets another one.
#[test]
fn a_label_is_never_that_of_another_handle() {
    check(|| {
        let gate = Arc::new(LabelledGate::default());
        let old = gate.open([1, 1]).unwrap();
        let reader = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                for (generation, label) in [(old, 1), (after(old), 2)] {
                    match gate.read(generation) {
                        Ok(read) => assert_eq!(read, [label, label]),
                        Err(NotEntered::Ended) => assert_eq!(label, 1),
                        Err(why) => assert_eq!((label, why), (2, NotEntered::Foreign)),
                    }
                }
            })
        };
        gate.shut(old).unwrap();
        assert_eq!(gate.open([2, 2]), Some(after(old)));
        reader.join().unwrap();
        assert_eq!(gate.read(after(old)), Ok([2, 2]));
    });
}

/// Goal: two end handles of which one is put back: one of them ends each in the end.
#[test]
fn a_handle_that_is_put_back_is_good() {
    check(|| {
        let gate = Arc::new(LabelledGate::default());
        let generation = gate.open([1, 1]).unwrap();
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || match gate.shut(generation) {
                Ok(()) => {
                    gate.reopen(generation);
                    true
                }
                Err(why) => {
                    assert_eq!(why, NotEntered::Ended);
                    false
                }
            })
        };
        let mine = gate.shut(generation);
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() || theirs);
        if mine.is_err() {
            assert_eq!(gate.read(generation), Ok([1, 1]));
        }
    });
}
