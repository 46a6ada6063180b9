//! Tables of values that calls use while others may end their handles.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

use crate::base::sync::thread_number;
use crate::ledger::handles::{Gates, Generation, Handle, Kind, NotEntered, Spares};

use super::slots::Slots;
use crate::ffi::convert::failure::Failure;

/// Values of one kind. Calls enter a slot by one of `N` gates, by the number of their thread.
pub(crate) struct Table<T, const N: usize> {
    kind: Kind,
    slots: Slots<Slot<T, N>>,
    spares: Spares,
}

/// # Invariants
///
/// - While the gates are open, and while a call is inside, there is a value. It is changed only by
///   a call that entered alone, by the only gate.
/// - Otherwise the slot is one thread's alone, as the protocol of the gates says, or spare.
struct Slot<T, const N: usize> {
    gates: Gates<N>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: several threads at a time get a shared reference to the value of a slot: `T` is `Sync`.
// Another thread may take it out than put it in: `T` is `Send`.
unsafe impl<T: Send + Sync, const N: usize> Sync for Slot<T, N> {}

impl<T, const N: usize> Default for Slot<T, N> {
    fn default() -> Self {
        Self { gates: Gates::default(), value: UnsafeCell::new(None) }
    }
}

impl<T, const N: usize> Slot<T, N> {
    /// The value, for a caller that has the slot alone.
    ///
    /// # Safety
    ///
    /// 1. The caller has the slot alone, for as long as it uses the reference.
    #[expect(clippy::mut_from_ref, reason = "by the contract it is the only one")]
    unsafe fn value_alone(&self) -> &mut Option<T> {
        // SAFETY: by the caller's contract, 1, nothing else has a reference to the value.
        unsafe { &mut *self.value.get() }
    }
}

impl<T, const N: usize> Table<T, N> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, slots: Slots::new(), spares: Spares::new() }
    }

    /// Keeps a value; returns its handle.
    pub(crate) fn insert(&self, value: T) -> Result<Handle, Failure> {
        let Some(index) = self.spares.take_one() else {
            return Err(Failure::table_full(self.kind));
        };
        let slot = self.slots.get_or_make(index);
        // SAFETY: 1: the slot was spare, and is ours until its gates are open.
        *unsafe { slot.value_alone() } = Some(value);
        match slot.gates.open() {
            Some(generation) => Ok(Handle::new(self.kind, index, generation)),
            // Slots that are used up do not become spare.
            None => Err(Failure::table_full(self.kind)),
        }
    }

    /// The value of a handle, which stays while it is in use, also if the handle is ended.
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Result<InUse<'_, T, N>, Failure> {
        let thread = thread_number();
        let (slot, generation) = self.slot(handle)?;
        match slot.gates.enter(thread, generation) {
            Ok(()) => Ok(InUse { table: self, index: handle.index(), slot, thread }),
            Err(why) => Err(Failure::handle(self.kind, handle, why)),
        }
    }

    /// Ends a handle. Its value is dropped: by us, or by the last of the calls that use it.
    pub(crate) fn remove(&self, handle: Handle) -> Result<(), Failure> {
        let (slot, generation) = self.slot(handle)?;
        match slot.gates.shut(generation) {
            Ok(is_ours) => {
                if is_ours {
                    // SAFETY: 1: the gates say so.
                    unsafe { self.clear(handle.index(), slot) };
                }
                Ok(())
            }
            Err(why) => Err(Failure::handle(self.kind, handle, why)),
        }
    }

    #[inline]
    fn slot(&self, handle: Handle) -> Result<(&Slot<T, N>, Generation), Failure> {
        let of_this_kind = handle.is_of(self.kind);
        match self.slots.get(handle.index()).filter(|_| of_this_kind) {
            Some(slot) => Ok((slot, handle.generation())),
            None => Err(Failure::handle(self.kind, handle, NotEntered::Foreign)),
        }
    }

    /// Drops the value of a slot and makes it spare.
    ///
    /// # Safety
    ///
    /// 1. The caller has the slot alone, and gives it up.
    #[cold]
    unsafe fn clear(&self, index: u32, slot: &Slot<T, N>) {
        // SAFETY: 1: by the caller's contract, 1.
        let value = unsafe { slot.value_alone() }.take();
        if !slot.gates.is_used_up() {
            self.spares.put([index]);
        }
        drop(value);
    }
}

/// Values of one kind, each of which one call at a time uses.
pub(crate) struct LoneTable<T>(Table<T, 1>);

impl<T> LoneTable<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self(Table::new(kind))
    }

    /// Keeps a value; returns its handle.
    pub(crate) fn insert(&self, value: T) -> Result<Handle, Failure> {
        self.0.insert(value)
    }

    /// Ends a handle. Its value is dropped: by us, or by the call that uses it.
    pub(crate) fn remove(&self, handle: Handle) -> Result<(), Failure> {
        self.0.remove(handle)
    }

    /// The value of a handle. While it is in use no other call gets it.
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Result<Alone<'_, T>, Failure> {
        let table = &self.0;
        let (slot, generation) = table.slot(handle)?;
        match slot.gates.enter_alone(generation) {
            // INVARIANT: no call enters a slot of this table another way.
            Ok(()) => Ok(Alone(InUse { table, index: handle.index(), slot, thread: 0 })),
            Err(why) => Err(Failure::handle(table.kind, handle, why)),
        }
    }
}

/// A value in use by a call.
///
/// # Invariants
///
/// - The call is inside the slot, by the gate of `thread`.
pub(crate) struct InUse<'a, T, const N: usize> {
    table: &'a Table<T, N>,
    index: u32,
    slot: &'a Slot<T, N>,
    thread: usize,
}

impl<T, const N: usize> Deref for InUse<'_, T, N> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: we are inside, so the value stays. Only a call that is inside alone changes it:
        // that is none but perhaps this one, with `&self` shared.
        let value = unsafe { &*self.slot.value.get() };
        match value {
            Some(value) => value,
            None => unreachable!("there is a value while a call is inside"),
        }
    }
}

impl<T, const N: usize> Drop for InUse<'_, T, N> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.gates.leave(self.thread) {
            // SAFETY: 1: the gates say so.
            unsafe { self.table.clear(self.index, self.slot) };
        }
    }
}

/// A value in use by one call alone.
///
/// # Invariants
///
/// - The call is inside alone: it is a slot of a [`LoneTable`], where all enter alone.
pub(crate) struct Alone<'a, T>(InUse<'a, T, 1>);

impl<T> Deref for Alone<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Alone<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: 1: we are inside alone, by the type invariant, and `&mut self` is the only
        // way to the value.
        match unsafe { self.0.slot.value_alone() } {
            Some(value) => value,
            None => unreachable!("there is a value while a call is inside"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ffi::convert::status::Status;

    fn status<T>(answer: Result<T, Failure>) -> Status {
        answer.err().map_or(Status::Ok, |failure| failure.status())
    }

    #[test]
    fn a_value_goes_when_the_last_call_that_uses_it_ends() {
        let table: Table<Arc<()>, 2> = Table::new(Kind::Owner);
        let value = Arc::new(());
        let handle = table.insert(Arc::clone(&value)).unwrap();
        let (first, second) = (table.get(handle).unwrap(), table.get(handle).unwrap());
        table.remove(handle).unwrap();
        assert_eq!(status(table.remove(handle)), Status::StaleHandle);
        assert_eq!(status(table.get(handle)), Status::StaleHandle);
        drop(first);
        assert_eq!(Arc::strong_count(&*second), 2);
        drop(second);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_handle() {
        let table: Table<u32, 1> = Table::new(Kind::Manager);
        let first = table.insert(1).unwrap();
        table.remove(first).unwrap();
        let second = table.insert(2).unwrap();
        assert_eq!(first.index(), second.index());
        assert_eq!(*table.get(second).unwrap(), 2);
        assert_eq!(status(table.get(first)), Status::StaleHandle);
    }

    #[test]
    fn a_number_that_is_no_handle_is_foreign() {
        let table: Table<u32, 1> = Table::new(Kind::Manager);
        let first = table.insert(1).unwrap().into_bits();
        for bits in [first ^ 1, first ^ 1 << 33, first ^ 1 << 35, first | 1 << 29, u64::MAX] {
            let answer = status(table.get(Handle::from_bits(bits)));
            assert_eq!(answer, Status::ForeignHandle, "{bits:#x}");
        }
        assert_eq!(status(table.get(Handle::from_bits(0))), Status::NullArgument);
    }

    #[test]
    fn one_call_at_a_time_changes_a_value() {
        let table: LoneTable<u32> = LoneTable::new(Kind::Reservation);
        let handle = table.insert(1).unwrap();
        let mut value = table.get(handle).unwrap();
        *value += 1;
        assert_eq!(status(table.get(handle)), Status::Busy);
        drop(value);
        assert_eq!(*table.get(handle).unwrap(), 2);
        let value = table.get(handle).unwrap();
        table.remove(handle).unwrap();
        assert_eq!(*value, 2);
        assert_eq!(status(table.get(handle)), Status::StaleHandle);
    }

    #[test]
    fn a_call_that_panics_lets_go_of_what_it_uses() {
        let table: LoneTable<u32> = LoneTable::new(Kind::Worker);
        let handle = table.insert(1).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _value = table.get(handle);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(status(table.get(handle)), Status::Ok);
    }
}
