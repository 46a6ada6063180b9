//! What errors can do besides being read: be taken apart, become errors of others, cross threads.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::io::{self, ErrorKind};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use offheap::{
    AllocationError, MemoryManager, Strategy,
    config::{
        AvailableMemory, CapacitySource, CoreDumps, HugePages, IdleMemory, MemoryLimit, MemoryMode,
        Populate, ZeroPolicy,
    },
    error::{
        AllocationKind, AllocationSite, ConfigError, FractionError, Holder, LeakError, LeaseError,
        MergeError, OutOfBounds, OwnerError, Reason, Refusal, ReservationError, SegmentError,
        UnknownWord,
    },
};

use crate::support::{PAGE, manager};

/// What every value here can do.
trait Value: Debug + Send + Sync + UnwindSafe + RefUnwindSafe + 'static {}
impl<T: Debug + Send + Sync + UnwindSafe + RefUnwindSafe + 'static> Value for T {}

const fn is_a_choice<T: Value + Copy + Eq + Display>() {}
const fn is_a_number<T: Value + Clone + PartialEq>() {}
const fn is_an_error<T: Value + Error + Into<io::Error>>() {
    // A result with it is about as cheap to return as one with a number.
    assert!(size_of::<T>() <= 64);
}

const _: () = {
    is_a_choice::<Strategy>();
    is_a_choice::<MemoryMode>();
    is_a_choice::<ZeroPolicy>();
    is_a_choice::<HugePages>();
    is_a_choice::<Populate>();
    is_a_choice::<CoreDumps>();
    is_a_choice::<IdleMemory>();
    is_a_choice::<AllocationKind>();
    is_a_choice::<Reason>();
    is_a_number::<MemoryLimit>();
    is_a_number::<AvailableMemory>();
    is_a_number::<CapacitySource>();
    is_a_number::<Holder>();
    is_a_number::<Refusal>();
    is_a_number::<AllocationSite>();
    is_a_number::<AllocationError>();
    is_a_number::<ReservationError>();
    is_a_number::<SegmentError>();
    is_a_number::<OwnerError>();
    is_a_number::<LeakError>();
    is_a_number::<LeaseError<UnknownWord>>();
    is_an_error::<AllocationError>();
    is_an_error::<ReservationError>();
    is_an_error::<SegmentError>();
    is_an_error::<MergeError>();
    is_an_error::<ConfigError>();
    is_an_error::<OwnerError>();
    is_an_error::<LeakError>();
    is_an_error::<LeaseError<FractionError>>();
    is_an_error::<FractionError>();
    is_an_error::<OutOfBounds>();
    is_an_error::<UnknownWord>();
};

/// What an error is as one of input and output, which must be it in words and give it back.
fn kind_of<E>(error: E) -> ErrorKind
where
    E: Error + Into<io::Error> + Send + Sync + 'static,
{
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    let source = error.source().map(ToString::to_string);
    let outer: io::Error = error.into();
    assert_eq!(outer.to_string(), text);
    assert_eq!(outer.source().map(ToString::to_string), source);
    let kind = outer.kind();
    assert_eq!(format!("{:?}", outer.downcast::<E>().unwrap()), debug);
    kind
}

#[test]
fn a_refusal_becomes_an_error_of_the_kind_that_its_reason_has() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let all = manager.owner("all").register().unwrap();
    let limited = manager.owner("limited").limit(PAGE).register().unwrap();
    let beyond = all.allocate(5 * PAGE).unwrap_err();
    let held = all.allocate_pages(4).unwrap();
    let refusals = [
        (Reason::NoBytes, ErrorKind::InvalidInput, all.allocate(0).unwrap_err()),
        (Reason::Budget, ErrorKind::OutOfMemory, all.allocate_page().unwrap_err()),
        (Reason::OwnerLimit, ErrorKind::OutOfMemory, limited.allocate_pages(2).unwrap_err()),
        (Reason::Capacity, ErrorKind::OutOfMemory, beyond),
        (
            Reason::TimedOut,
            ErrorKind::TimedOut,
            limited.acquire_pages_timeout(1, Duration::ZERO).unwrap_err(),
        ),
    ];
    for (reason, kind, error) in refusals {
        assert_eq!((error.reason(), kind_of(error)), (reason, kind));
    }
    let reserved = all.reserve_memory(1).unwrap_err();
    assert_eq!(kind_of(reserved), ErrorKind::OutOfMemory);
    let leak = manager.shutdown().unwrap_err();
    assert_eq!((leak.used_bytes(), kind_of(leak)), (4 * PAGE, ErrorKind::ResourceBusy));
    let late = all.allocate_page().unwrap_err();
    assert_eq!((late.reason(), kind_of(late)), (Reason::ShutDown, ErrorKind::Other));
    drop(held);
}

#[test]
fn a_question_mark_makes_an_error_of_input_and_output_of_every_error() {
    fn run(manager: &MemoryManager) -> io::Result<()> {
        let owner = manager.owner("owner").register()?;
        let mut page = owner.allocate_page()?;
        page.put_u64_le(PAGE - 7, 1)?;
        Ok(())
    }
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let error = run(&manager).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = error.downcast::<OutOfBounds>().unwrap();
    assert_eq!((error.offset, error.length, error.size), (PAGE - 7, 8, PAGE));
}

#[test]
fn an_owner_that_is_not_registered_is_named_by_its_path() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let query = manager.owner("query").register().unwrap();
    let above = query.child("sort").minimum(2).limit(1).register().unwrap_err();
    let unavailable = query.child("sort").minimum(5 * PAGE).register().unwrap_err();
    let mut deepest = query.clone();
    let too_deep = loop {
        match deepest.child("o").register() {
            Ok(next) => deepest = next,
            Err(error) => break error,
        }
    };
    assert!(matches!(too_deep, OwnerError::TooDeep { .. }), "{too_deep}");
    assert!(too_deep.path().starts_with("query/o/o/"), "{too_deep}");
    assert_eq!(kind_of(too_deep), ErrorKind::InvalidInput);
    manager.shutdown().unwrap();
    let late = query.child("sort").register().unwrap_err();
    let kinds = [
        (above, ErrorKind::InvalidInput),
        (unavailable, ErrorKind::OutOfMemory),
        (late, ErrorKind::Other),
    ];
    for (error, kind) in kinds {
        assert_eq!(error.path(), "query/sort");
        assert!(error.to_string().starts_with("owner `query/sort`: "), "{error}");
        assert_eq!(kind_of(error), kind);
    }
}

#[test]
fn a_configuration_is_refused_by_its_numbers_or_by_the_system() {
    let refused = MemoryManager::builder().page_size(5000).build().unwrap_err();
    assert!(refused.io_error().is_none() && refused.source().is_none());
    assert_eq!(kind_of(refused), ErrorKind::InvalidInput);
    let system = || io::Error::from(ErrorKind::PermissionDenied);
    let region = || ConfigError::Region { capacity_bytes: PAGE, source: system() };
    let available = CapacitySource::Named;
    let of_available =
        ConfigError::OfAvailableMemory { capacity_source: available, refused: Box::new(region()) };
    for error in [region(), of_available, ConfigError::Thread { source: system() }] {
        let said = error.io_error().map(io::Error::kind);
        assert_eq!(said, Some(ErrorKind::PermissionDenied), "{error}");
        assert_eq!(error.source().map(ToString::to_string), Some(system().to_string()));
        assert_eq!(kind_of(error), ErrorKind::PermissionDenied);
    }
}

#[test]
fn a_lease_that_is_refused_can_be_taken_apart() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let open = Ok::<usize, UnknownWord>;
    let sized = manager.lease_fraction("cache", 1.5, open).unwrap_err();
    assert!(sized.source().unwrap().is::<FractionError>());
    assert!(sized.refusal().is_none());
    assert_eq!(kind_of(sized), ErrorKind::InvalidInput);
    let refused = manager.lease("cache", 5 * PAGE, open).unwrap_err();
    let refusal = refused.refusal().unwrap().clone();
    assert_eq!((&*refusal.owner_path, refusal.requested_bytes), ("cache", 5 * PAGE));
    assert_eq!(
        refused.source().unwrap().downcast_ref(),
        match &refused {
            LeaseError::Refused(error) => Some(error),
            _ => None,
        }
    );
    assert_eq!(refused.clone().into_initializer_error(), Err(refused.clone()));
    assert_eq!(kind_of(refused), ErrorKind::OutOfMemory);
    let wrong = "half".parse::<MemoryMode>().unwrap_err();
    let failed = manager.lease("cache", PAGE, |_| Err::<usize, _>(wrong.clone())).unwrap_err();
    assert_eq!(failed.source().unwrap().downcast_ref(), Some(&wrong));
    assert_eq!(failed.clone().into_initializer_error(), Ok(wrong.clone()));
    assert_eq!(kind_of(failed), ErrorKind::Other);
    assert_eq!(kind_of(wrong), ErrorKind::InvalidInput);
    let lease = manager.lease("cache", PAGE, open).unwrap();
    let other = manager.lease("cache", PAGE, |_| Ok::<u8, UnknownWord>(1)).unwrap_err();
    assert_eq!(kind_of(other), ErrorKind::InvalidInput);
    let inner = manager.lease("other", PAGE, |_| manager.lease("other", PAGE, open));
    let waits = inner.unwrap_err().into_initializer_error().unwrap();
    assert_eq!(kind_of(waits), ErrorKind::Deadlock);
    manager.shutdown().unwrap_err();
    drop(lease);
    let late = manager.lease("late", PAGE, open).unwrap_err();
    assert!(late.source().unwrap().is::<OwnerError>(), "{late}");
    assert_eq!(kind_of(late), ErrorKind::Other);
}

#[test]
fn the_numbers_of_a_refusal_are_taken_out_of_its_error() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let error = owner.allocate_pages(5).unwrap_err();
    let numbers = error.refusal().clone();
    assert_eq!(error.clone().into_refusal(), numbers);
    assert_eq!(Refusal::from(error), numbers);
    let error = owner.reserve_memory(5 * PAGE).unwrap_err();
    let numbers = error.refusal().clone();
    assert_eq!(AllocationError::from(error.clone()).refusal(), &numbers);
    assert_eq!(error.into_refusal(), numbers);
}

/// Every reason, with its word and its phrase.
const REASONS: [(Reason, &str, &str); 12] = [
    (Reason::Budget, "budget", "the budget does not have that much left"),
    (Reason::OwnerLimit, "owner_limit", "the owner would pass its limit"),
    (Reason::ParentLimit, "parent_limit", "an owner above it would pass its limit"),
    (Reason::OthersWait, "others_wait", "others wait in line for what is free"),
    (Reason::TimedOut, "timed_out", "it waited in vain"),
    (
        Reason::Deadlock,
        "deadlock",
        "all who hold memory wait for more, and it was the last to come",
    ),
    (
        Reason::ScratchLimit { limit_bytes: 7 },
        "scratch_limit",
        "the scratch would pass its limit of 7 bytes",
    ),
    (Reason::Capacity, "capacity", "that is above the capacity"),
    (
        Reason::Fragmented { largest_free_block_bytes: 8 },
        "fragmented",
        "the largest free block has 8 bytes",
    ),
    (Reason::NoBytes, "no_bytes", "a block has at least one byte"),
    (Reason::ProcessAllocator, "process_allocator", "the process allocator has no more memory"),
    (Reason::ShutDown, "shut_down", "the memory manager has been shut down"),
];

#[test]
fn a_reason_is_a_word_for_machines_and_a_phrase_for_people() {
    for (reason, word, phrase) in REASONS {
        assert_eq!((reason.as_str(), &*reason.to_string()), (word, phrase));
        let name = format!("{reason:?}").split(' ').next().unwrap().to_lowercase();
        assert_eq!(word.replace('_', ""), name, "a word is the name of its variant");
    }
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
fn what_limits_this_process_is_told_as_the_same_phrase() {
    let found = MemoryManager::builder().fraction_of_available(0.001).build().unwrap();
    let CapacitySource::Fraction { available, .. } = found.capacity_source() else {
        panic!("{}", found.capacity_source())
    };
    let limit = available.limit.to_string();
    assert!(available.to_string().contains(&limit), "{available}");
}

#[test]
fn what_limits_a_process_is_a_phrase() {
    let group = || "/a/b".to_owned();
    let limits = [
        (MemoryLimit::CgroupV2 { group: group() }, "memory.max of cgroup v2 at /a/b"),
        (MemoryLimit::CgroupV2High { group: group() }, "memory.high of cgroup v2 at /a/b"),
        (MemoryLimit::CgroupV1 { group: group() }, "memory.limit_in_bytes of cgroup v1 at /a/b"),
        (
            MemoryLimit::CgroupV1Hierarchy { group: group() },
            "hierarchical_memory_limit in memory.stat of cgroup v1 at /a/b",
        ),
        (MemoryLimit::Ram, "RAM"),
    ];
    for (limit, phrase) in limits {
        assert_eq!(limit.to_string(), phrase);
    }
}
