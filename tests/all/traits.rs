//! What each public type may do between threads, across panics, and in text.

use std::error::Error;
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use offheap::{
    AllocationError, MemoryManager, MemorySegment, Owner, Reservation, Strategy, Worker, config,
    config::{IdleMemory, MemoryManagerBuilder, MemoryMode, OwnerBuilder, ZeroPolicy},
    error, pressure,
    reclaim::{ReclaimGuard, Reclaimer, ReservedSegment, SpillReserve},
    resources::{Lease, SharedResourceStats},
    segments::{ConsumingReader, Holdings, PageReader, PageWriter, RawSegment, Scratch},
    sharing::{FairShare, Greedy, Policy, Share, Sharer},
    stats, views,
};

use crate::support::{PAGE, in_both_modes, manager};

/// Tells which of three traits a type has. A method of the type itself goes before one of a trait,
/// so these say `true` where the bound holds and `false` otherwise.
struct Of<T: ?Sized>(std::marker::PhantomData<T>);

trait Otherwise {
    const SEND: bool = false;
    const SYNC: bool = false;
    const DEBUG: bool = false;
}

impl<T: ?Sized> Otherwise for Of<T> {}

impl<T: ?Sized + Send> Of<T> {
    const SEND: bool = true;
}

impl<T: ?Sized + Sync> Of<T> {
    const SYNC: bool = true;
}

impl<T: ?Sized + Debug> Of<T> {
    const DEBUG: bool = true;
}

/// Asserts, while this is compiled, that each type is or is not `Send` and `Sync`, and is `Debug`.
macro_rules! between_threads {
    ($send:literal, $sync:literal: $($type:ty),+ $(,)?) => {
        $(const _: () = {
            assert!(Of::<$type>::SEND == $send, concat!(stringify!($type), ": Send"));
            assert!(Of::<$type>::SYNC == $sync, concat!(stringify!($type), ": Sync"));
            assert!(Of::<$type>::DEBUG, concat!(stringify!($type), ": Debug"));
        };)+
    };
}

between_threads! { true, true:
    AllocationError, MemoryManager, MemorySegment, Owner, Reservation, Strategy, Worker,
    config::AvailableMemory, config::CapacitySource, config::CoreDumps, config::HugePages,
    config::MemoryLimit, config::Populate, IdleMemory, MemoryManagerBuilder, MemoryMode,
    OwnerBuilder, ZeroPolicy,
    error::AllocationKind, error::AllocationSite, error::ConfigError, error::FractionError,
    error::Holder, error::LeakError, error::LeaseError<error::FractionError>, error::OutOfBounds,
    error::OwnerError, error::Reason, error::Refusal, error::ReservationError, error::UnknownWord,
    pressure::Pressure, pressure::PressureChanges, pressure::PressureSubscription,
    SpillReserve<'_>, ReservedSegment<'_>,
    Lease<u8>, SharedResourceStats,
    ConsumingReader, Holdings, PageReader, PageWriter, RawSegment,
    FairShare, Greedy, Share, Sharer, dyn Policy,
    stats::ManagerStats, stats::OccupancyMap, stats::OwnerStats,
    views::FixedSizeManager, views::VariableSizeManager,
}

// Objects are placed through a shared reference, without a lock.
between_threads! { true, false: Scratch }

// Its thread is known as one that gives back, until it is dropped there.
between_threads! { false, false: ReclaimGuard<'_> }

// A reclaimer need not be `Debug`.
const _: () = assert!(Of::<dyn Reclaimer>::SEND && Of::<dyn Reclaimer>::SYNC);
const _: () = assert!(!Of::<dyn Reclaimer>::DEBUG, "or the checks above see nothing");

/// Which types may be used after a panic was caught that went by them.
const fn outlast_panics<T: UnwindSafe + RefUnwindSafe>() {}

const _: () = {
    outlast_panics::<MemoryManager>();
    outlast_panics::<Owner>();
    outlast_panics::<Worker>();
    outlast_panics::<MemorySegment>();
    outlast_panics::<RawSegment>();
    outlast_panics::<Reservation>();
    outlast_panics::<Holdings>();
    outlast_panics::<Scratch>();
    outlast_panics::<PageReader>();
    outlast_panics::<PageWriter>();
    outlast_panics::<ConsumingReader>();
    outlast_panics::<Lease<u8>>();
    outlast_panics::<views::FixedSizeManager>();
    outlast_panics::<views::VariableSizeManager>();
};

/// What `arrow` asks of memory that a buffer keeps alive.
const fn owns_a_buffer<T: RefUnwindSafe + Send + Sync + 'static>() {}
const _: () = owns_a_buffer::<MemorySegment>();

/// Those that are errors can be boxed and sent.
const fn is_error<T: Error + Send + Sync + 'static>() {}
const _: () = {
    is_error::<AllocationError>();
    is_error::<error::ConfigError>();
    is_error::<error::FractionError>();
    is_error::<error::LeakError>();
    is_error::<error::LeaseError<error::FractionError>>();
    is_error::<error::OutOfBounds>();
    is_error::<error::OwnerError>();
    is_error::<error::ReservationError>();
    is_error::<error::UnknownWord>();
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Futures that outlive the handle that they were made with, as a task of a runtime asks for.
fn waits(owner: &Owner) -> (Boxed<bool>, Boxed<bool>, Boxed<bool>) {
    let (pages, block, memory) =
        (owner.acquire_pages(1), owner.acquire(PAGE), owner.acquire_memory(1));
    (
        Box::pin(async { pages.await.is_ok() }),
        Box::pin(async { block.await.is_ok() }),
        Box::pin(async { memory.await.is_ok() }),
    )
}

#[test]
fn what_waits_can_be_sent_to_another_thread_and_outlives_its_owner() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let owner = manager.owner("task").register().unwrap();
        let (pages, block, memory) = waits(&owner);
        let spawned = runtime.spawn(owner.acquire_pages(2));
        drop(owner);
        let all = thread::scope(|scope| {
            let other = scope.spawn(|| runtime.block_on(async { (pages.await, block.await) }));
            other.join().unwrap()
        });
        assert_eq!((all, runtime.block_on(memory)), ((true, true), true));
        drop(runtime.block_on(spawned).unwrap().unwrap());
        assert!(manager.leaks().is_none());
    });
}

#[test]
fn what_a_panic_went_by_goes_on_to_work() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let (mut worker, scratch) = (owner.worker(), owner.scratch(PAGE));
        let page = owner.allocate_page().unwrap();
        let panicked = catch_unwind(|| {
            let _more = (owner.allocate_page(), scratch.alloc(7_u64), page.size());
            assert!(manager.leaks().is_none(), "which is not so");
        });
        assert!(panicked.is_err());
        assert_eq!(*scratch.alloc(8_u64).unwrap(), 8);
        let again = worker.allocate_page().unwrap();
        worker.release(again);
        drop((worker, scratch, page));
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
    });
}

#[test]
fn a_builder_is_the_default_one_however_it_is_made() {
    let text = |builder: &MemoryManagerBuilder| format!("{builder:?}");
    let made = [MemoryManager::builder(), MemoryManagerBuilder::new(), Default::default()];
    assert_eq!(text(&made[0]), text(&made[1]));
    assert_eq!(text(&made[0]), text(&made[2]));
    assert!(made[2].build().is_err(), "it has no capacity");
}

/// Says how many were asked about.
#[derive(Debug)]
struct Counting;

impl Policy for Counting {
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        vec![Share::new(total_bytes, 1); sharers.len()]
    }
}

static COUNTING: Counting = Counting;

#[test]
fn a_policy_is_one_behind_any_pointer() {
    let boxed: Box<dyn Policy> = Box::new(Counting);
    let shared: Arc<dyn Policy> = Arc::new(Counting);
    let lent: &'static dyn Policy = &COUNTING;
    for policy in [&boxed as &dyn Policy, &shared, &lent] {
        assert_eq!(policy.shares(7, &[]), []);
    }
    let capacity = || MemoryManager::builder().capacity(4 * PAGE).page_size(PAGE);
    let builders =
        [capacity().policy(boxed), capacity().policy(Arc::clone(&shared)), capacity().policy(lent)];
    for builder in builders {
        let manager = builder.build().unwrap();
        let owners = ["one", "two"].map(|name| manager.owner(name).register().unwrap());
        let pages = owners[0].allocate_pages(4).unwrap();
        owners[1].acquire_timeout(PAGE, std::time::Duration::from_millis(1)).unwrap_err();
        drop(pages);
    }
}

#[test]
fn what_is_being_configured_or_lent_shows_itself() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let query = manager.owner("query").register().unwrap();
    let text = format!("{:?}", query.child("sort").limit(PAGE));
    assert!(text.starts_with("OwnerBuilder { path: \"query/sort\", minimum: 0, limit: 4096"));
}
