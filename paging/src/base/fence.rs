//! Fences of which one side pays for both: a call to the system that takes all threads through one.
//!
//! Each of two threads writes, passes a fence, and then reads what the other one writes. With full
//! fences at least one of them sees the other. Where the system has a call that takes all threads
//! of the process through a full fence, the thread that seldom comes by makes that call: its fence
//! is heavy. The other one only keeps the compiler from reordering: its fence is light.

use super::sync::{compiler_fence, full_fence};

/// Which side pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// The heavy side alone.
    Heavy,
    /// Both: the system has no such call, or forbids it.
    Symmetric,
    /// None, as the system refuses the call by now.
    #[cfg(any(test, offheap_loom))]
    Refused,
}

impl Fences {
    /// What the system has.
    #[must_use]
    pub fn of_system() -> Self {
        if system::register() { Self::Heavy } else { Self::Symmetric }
    }

    /// The fence of the side that comes by often.
    #[inline]
    pub(crate) fn light(self) {
        match self {
            Self::Heavy => compiler_fence(),
            Self::Symmetric => full_fence(),
            #[cfg(any(test, offheap_loom))]
            Self::Refused => {}
        }
    }

    /// The fence of the side that seldom comes by. `false` if there was none: the system may begin
    /// to refuse the call when the process gives up the right to it.
    #[must_use]
    pub(crate) fn heavy(self) -> bool {
        match self {
            Self::Heavy => system::fence(),
            Self::Symmetric => {
                full_fence();
                true
            }
            #[cfg(any(test, offheap_loom))]
            Self::Refused => false,
        }
    }
}

#[cfg(all(target_os = "linux", not(offheap_portable), not(offheap_loom)))]
mod system {
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` of `linux/membarrier.h`.
    const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
    /// `MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED` of the same.
    const REGISTER_PRIVATE_EXPEDITED: libc::c_long = 1 << 4;

    /// Whether the kernel takes all threads of this process through a fence on request.
    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    /// Takes all threads of this process through a full fence, this one among them.
    pub(super) fn fence() -> bool {
        // A child after `fork` has to register for itself.
        membarrier(PRIVATE_EXPEDITED) || register()
    }

    fn membarrier(command: libc::c_long) -> bool {
        let no_flags: libc::c_long = 0;
        // SAFETY: the call takes numbers only and changes no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, no_flags, no_flags) == 0 }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fence_that_the_system_does_not_know_is_refused() {
            assert!(!membarrier(1 << 30));
        }
    }
}

/// No system has such a call.
#[cfg(all(not(all(target_os = "linux", not(offheap_portable))), not(offheap_loom)))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn fence() -> bool {
        false
    }
}

/// A model has none either; a full fence stands for it, and for the light one.
#[cfg(offheap_loom)]
mod system {
    pub(super) fn register() -> bool {
        true
    }

    pub(super) fn fence() -> bool {
        super::full_fence();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::base::patience::Patience;
    use crate::base::sync::{AtomicU64, Ordering};

    const ROUNDS: usize = 20_000;

    /// What one of the two threads writes in each round, with room between the rounds, and how far
    /// it has come.
    struct Side {
        written: Vec<Apart>,
        rounds: Apart,
    }

    #[derive(Default)]
    #[repr(align(128))]
    struct Apart(AtomicU64);

    impl Side {
        fn new() -> Self {
            let written = (0..ROUNDS).map(|_| Apart::default()).collect();
            Self { written, rounds: Apart::default() }
        }

        /// Begins each round together with the other side; whether it has seen what that wrote.
        fn run(&self, other: &Self, fence: impl Fn()) -> Vec<bool> {
            let mut seen = Vec::with_capacity(ROUNDS);
            for (round, number) in (0..ROUNDS).zip(1..) {
                // ORDERING: Relaxed, all. What is tested is the fence.
                self.rounds.0.store(number, Ordering::Relaxed);
                let mut patience = Patience::new();
                // ORDERING: see above.
                while other.rounds.0.load(Ordering::Relaxed) < number {
                    patience.wait();
                }
                // ORDERING: see above.
                self.written[round].0.store(1, Ordering::Relaxed);
                fence();
                // ORDERING: see above.
                seen.push(other.written[round].0.load(Ordering::Relaxed) == 1);
            }
            seen
        }
    }

    #[test]
    fn one_of_two_sees_the_other() {
        for fences in [Fences::of_system(), Fences::Symmetric] {
            let [often, seldom] = [Side::new(), Side::new()];
            let (often, seldom) = thread::scope(|scope| {
                let other = scope.spawn(|| often.run(&seldom, || fences.light()));
                let seen = seldom.run(&often, || assert!(fences.heavy(), "{fences:?}"));
                (other.join().unwrap(), seen)
            });
            let blind = often.iter().zip(&seldom).filter(|seen| *seen == (&false, &false)).count();
            assert_eq!(blind, 0, "rounds of {ROUNDS} in which neither saw the other: {fences:?}");
        }
    }
}
