//! What fails, decided call by call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap_paging::{Call, CallName, Fault, Faults};

use super::ops::{Calls, Failure, Trouble};

/// The trouble that there is; shared with the file, whose calls come from all threads.
#[derive(Clone, Default)]
pub(super) struct Plan(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    trouble: Option<Trouble>,
    left: u32,
    failed: u64,
}

impl Plan {
    /// From now on calls fail so.
    pub(super) fn begin(&self, trouble: Trouble) {
        let mut state = self.state();
        state.trouble = Some(trouble);
        // A few mostly, and many at times, as when a disk is full for a while.
        state.left = match trouble.count {
            few @ 0..192 => u32::from(few % 8),
            many => 4 * u32::from(many),
        };
    }

    /// From now on no call fails.
    pub(super) fn heal(&self) {
        self.state().trouble = None;
    }

    /// Whether any call has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state().failed > 0
    }

    /// What a file is made with.
    pub(super) fn faults(&self) -> Faults {
        let plan = self.clone();
        Arc::new(move |call| plan.next(call))
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let mut state = self.state();
        let trouble = state.trouble.filter(|trouble| trouble.calls.has(call.name))?;
        state.left = state.left.checked_sub(1)?;
        state.failed += 1;
        Some(trouble.fault.fault())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn has(self, name: CallName) -> bool {
        use CallName::*;
        match self {
            Self::All => true,
            Self::Writes => matches!(name, Write | WriteRun),
            Self::Reads => matches!(name, Read | ReadRun),
            Self::Growth => matches!(name, Space | Reserve | Extend),
            Self::Room => matches!(name, Reserve | Extend | Write | WriteRun),
            Self::Punches => name == Punch,
            Self::Making => matches!(name, Open | Direct | Kind | Space),
            Self::Rings => matches!(name, RingSetup | RingEnter),
        }
    }
}

impl Failure {
    /// By the numbers of Linux.
    fn fault(self) -> Fault {
        match self {
            Self::Io => Fault::Errno(5),
            Self::NoSpace => Fault::Errno(28),
            Self::Quota => Fault::Errno(122),
            Self::TooLarge => Fault::Errno(27),
            Self::Interrupted => Fault::Errno(4),
            Self::Again => Fault::Errno(11),
            Self::Invalid => Fault::Errno(22),
            Self::NoMemory => Fault::Errno(12),
            Self::NotSupported => Fault::Errno(95),
            Self::Short(bytes) => Fault::Short(usize::from(bytes % 4096)),
            Self::ShortBySectors(sectors) => Fault::Short(usize::from(sectors % 16) * 512),
        }
    }
}
