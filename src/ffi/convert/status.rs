//! The status codes, which are never renumbered.

use crate::base::error::{ConfigError, OwnerError, Reason};

/// What a call came to.
///
/// The numbers are part of the ABI: none is ever given another meaning. A later version may add
/// some, so treat a status that you do not know as a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Status {
    /// It succeeded.
    Ok = 0,
    /// An argument that must not be NULL is NULL.
    NullArgument = 1,
    /// An argument has a value that it cannot have.
    InvalidArgument = 2,
    /// The handle was released or freed before.
    StaleHandle = 3,
    /// The handle was never given out, or is one of something else.
    ForeignHandle = 4,
    /// Another call uses the handle, which is for one at a time.
    Busy = 5,
    /// There is no room for the result in what the caller provides for it.
    BufferTooSmall = 6,
    /// There are as many handles of that kind as there can be.
    TooManyHandles = 7,
    /// The budget does not have that much left.
    Budget = 20,
    /// The owner would pass its limit.
    OwnerLimit = 21,
    /// More than the manager could ever give, were everything free.
    Capacity = 22,
    /// That much is free, but not in one piece.
    Fragmented = 23,
    /// A block of no bytes was asked for.
    NoBytes = 24,
    /// The process allocator has no more memory.
    ProcessAllocator = 25,
    /// The manager has been shut down.
    ShutDown = 26,
    /// An owner above it would pass its limit.
    ParentLimit = 27,
    /// Others wait in line for what is free, and were first.
    OthersWait = 28,
    /// It waited in line as long as it was to.
    TimedOut = 29,
    /// Every owner that holds memory waits for more, and this request came last.
    Deadlock = 30,
    /// The minimum of an owner is above its limit.
    MinimumAboveLimit = 40,
    /// The minimum of an owner is above what is left of the budget.
    MinimumUnavailable = 41,
    /// Memory is still held although none should be.
    Leak = 42,
    /// The tree of owners would have too many levels.
    TooDeep = 43,
    /// No manager can be built from the configuration.
    Config = 60,
    /// The operating system refused the region, its huge pages or a thread.
    System = 61,
    /// The manager does not agree with itself: a fault in the library, or its memory was
    /// written to.
    Inconsistent = 98,
    /// A fault in the library. What the call was about may be half done.
    Panic = 99,
}

impl Status {
    /// The name of a code in the header, with its terminator; `None` for a number that is no code.
    pub(crate) fn name_of(code: i32) -> Option<&'static std::ffi::CStr> {
        NAMES.iter().find(|(status, _)| *status as i32 == code).map(|(_, name)| *name)
    }
}

const NAMES: [(Status, &std::ffi::CStr); 27] = [
    (Status::Ok, c"OFFHEAP_STATUS_OK"),
    (Status::NullArgument, c"OFFHEAP_STATUS_NULL_ARGUMENT"),
    (Status::InvalidArgument, c"OFFHEAP_STATUS_INVALID_ARGUMENT"),
    (Status::StaleHandle, c"OFFHEAP_STATUS_STALE_HANDLE"),
    (Status::ForeignHandle, c"OFFHEAP_STATUS_FOREIGN_HANDLE"),
    (Status::Busy, c"OFFHEAP_STATUS_BUSY"),
    (Status::BufferTooSmall, c"OFFHEAP_STATUS_BUFFER_TOO_SMALL"),
    (Status::TooManyHandles, c"OFFHEAP_STATUS_TOO_MANY_HANDLES"),
    (Status::Budget, c"OFFHEAP_STATUS_BUDGET"),
    (Status::OwnerLimit, c"OFFHEAP_STATUS_OWNER_LIMIT"),
    (Status::Capacity, c"OFFHEAP_STATUS_CAPACITY"),
    (Status::Fragmented, c"OFFHEAP_STATUS_FRAGMENTED"),
    (Status::NoBytes, c"OFFHEAP_STATUS_NO_BYTES"),
    (Status::ProcessAllocator, c"OFFHEAP_STATUS_PROCESS_ALLOCATOR"),
    (Status::ShutDown, c"OFFHEAP_STATUS_SHUT_DOWN"),
    (Status::ParentLimit, c"OFFHEAP_STATUS_PARENT_LIMIT"),
    (Status::OthersWait, c"OFFHEAP_STATUS_OTHERS_WAIT"),
    (Status::TimedOut, c"OFFHEAP_STATUS_TIMED_OUT"),
    (Status::Deadlock, c"OFFHEAP_STATUS_DEADLOCK"),
    (Status::MinimumAboveLimit, c"OFFHEAP_STATUS_MINIMUM_ABOVE_LIMIT"),
    (Status::MinimumUnavailable, c"OFFHEAP_STATUS_MINIMUM_UNAVAILABLE"),
    (Status::Leak, c"OFFHEAP_STATUS_LEAK"),
    (Status::TooDeep, c"OFFHEAP_STATUS_TOO_DEEP"),
    (Status::Config, c"OFFHEAP_STATUS_CONFIG"),
    (Status::System, c"OFFHEAP_STATUS_SYSTEM"),
    (Status::Inconsistent, c"OFFHEAP_STATUS_INCONSISTENT"),
    (Status::Panic, c"OFFHEAP_STATUS_PANIC"),
];

impl From<Reason> for Status {
    fn from(reason: Reason) -> Self {
        match reason {
            // A policy that decides about grants is one in Rust.
            Reason::Budget | Reason::Policy => Self::Budget,
            // Scratches have no handles.
            Reason::OwnerLimit | Reason::ScratchLimit { .. } => Self::OwnerLimit,
            Reason::Capacity => Self::Capacity,
            Reason::Fragmented { .. } => Self::Fragmented,
            Reason::NoBytes => Self::NoBytes,
            Reason::ProcessAllocator => Self::ProcessAllocator,
            Reason::ShutDown => Self::ShutDown,
            Reason::ParentLimit => Self::ParentLimit,
            Reason::OthersWait => Self::OthersWait,
            Reason::TimedOut => Self::TimedOut,
            Reason::Deadlock => Self::Deadlock,
        }
    }
}

impl From<&ConfigError> for Status {
    fn from(error: &ConfigError) -> Self {
        match error {
            ConfigError::AddressSpace { .. }
            | ConfigError::Thread { .. }
            | ConfigError::HugeTlb { .. }
            | ConfigError::AvailableMemory { .. }
            | ConfigError::Region { .. } => Self::System,
            ConfigError::CapacityTooSmall { .. }
            | ConfigError::CapacityTooLarge { .. }
            | ConfigError::PageSize { .. }
            | ConfigError::AddressSpaceFactor { .. }
            | ConfigError::IdleMemory { .. }
            | ConfigError::CapacityFraction { .. }
            | ConfigError::SpillReserve { .. }
            | ConfigError::PressureThresholds { .. } => Self::Config,
            ConfigError::OfAvailableMemory { refused, .. } => (&**refused).into(),
        }
    }
}

impl From<&OwnerError> for Status {
    fn from(error: &OwnerError) -> Self {
        match error {
            OwnerError::MinimumAboveLimit { .. } => Self::MinimumAboveLimit,
            OwnerError::MinimumUnavailable { .. } => Self::MinimumUnavailable,
            OwnerError::ShutDown { .. } => Self::ShutDown,
            OwnerError::WeightTooSmall { .. } => Self::InvalidArgument,
            OwnerError::TooDeep { .. } => Self::TooDeep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_never_renumbered() {
        let codes: Vec<i32> = NAMES.iter().map(|(status, _)| *status as i32).collect();
        let of_arguments = [0, 1, 2, 3, 4, 5, 6, 7].as_slice();
        let of_requests = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30].as_slice();
        let of_the_rest = [40, 41, 42, 43, 60, 61, 98, 99].as_slice();
        assert_eq!(codes, [of_arguments, of_requests, of_the_rest].concat());
        assert_eq!(Status::name_of(3), Some(c"OFFHEAP_STATUS_STALE_HANDLE"));
        assert_eq!(Status::name_of(8), None);
    }

    #[test]
    fn names_are_those_of_the_variants() {
        for (status, name) in NAMES {
            let flat: String = name.to_str().unwrap().split('_').skip(2).collect();
            assert_eq!(flat.to_lowercase(), format!("{status:?}").to_lowercase());
        }
    }
}
