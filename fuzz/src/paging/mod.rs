//! Pools of pages that may lie in a file, while calls on the file fail, other owners ask for memory
//! and pages are pinned: every page that is read contains what a plain map says.

mod faults;
mod futures;
mod held;
mod nested;
mod ops;
mod reads;
mod steps;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemorySegment, Owner, config::HugePages};
use offheap_paging::{
    DirectIo, MemoryFileSystem, PagePool, PageReader, PagingError, SpillFile, WriteBehind,
};
use tempfile::TempDir;

use faults::Plan;
use held::Held;
pub use ops::{Calls, Config, Failure, Input, Op, Trouble};

/// The bytes of a page.
const PAGE: usize = 4096;
/// The frames that a pool keeps for when the disk is full.
const SPARES: usize = 2;
/// The buffers that it writes from.
const BUFFERS: usize = 2;
/// How long a request for memory waits for what others give back, in milliseconds.
const RECLAIM_MILLIS: u64 = 2;
/// A pool asks others for memory once it has waited so many milliseconds.
const ASKS_AFTER: u64 = 20;
/// More pages of the region are not made.
const PAGES_MAX: usize = 200;
/// How often all pages are tried at the end, since threads of pools may have frames just then.
const ROUNDS_MAX: u32 = 1000;
/// How often other threads are let go first before what should be so is wrong.
const YIELDS_MAX: u32 = 1_000_000;

/// Runs `input`. Returns the number of calls that were compared with the map.
///
/// # Panics
///
/// Where a page contains something else, a call fails without a reason, or something is left over.
#[must_use]
pub fn run(input: &Input) -> u64 {
    thread_local! {
        static DIR: TempDir = match tempfile::tempdir() {
            Ok(dir) => dir,
            Err(error) => unreachable!("no directory to spill to: {error}"),
        };
    }
    DIR.with(|dir| Run::new(dir, &input.config).map_or(1, |run| run.all(&input.ops)))
}

/// Pools, pages, and the map.
struct Run {
    manager: MemoryManager,
    file: Arc<SpillFile>,
    owners: [Owner; 2],
    pools: Vec<Option<PagePool>>,
    readers: Vec<Option<PageReader>>,
    held: Vec<Held>,
    other: Owner,
    /// What another owner has, with its marks.
    taken: Vec<(MemorySegment, u8)>,
    plan: Plan,
    /// What is not for buffers and spares.
    frames: usize,
    /// The file may not grow as it likes.
    is_limited: bool,
    /// Threads of pools may have frames or pins just now.
    has_threads: bool,
    /// The operations that are within others: each has a guard or an epoch.
    depth: usize,
    calls: u64,
}

impl Run {
    /// Makes the file and the pools; `None` if that failed, as it may.
    fn new(dir: &TempDir, config: &Config) -> Option<Self> {
        let pools = 1 + usize::from(config.is_pair);
        let staging = config.staging.map_or(1, |pages| 1 + usize::from(pages % 3));
        let frames = 1 + usize::from(config.frames % 32);
        let pages = frames + pools * (BUFFERS * staging + SPARES);
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let builder = builder.huge_pages(HugePages::Never).address_space_factor(4);
        let patience = match config.patience {
            0..8 => Duration::from_millis(ASKS_AFTER + 2),
            patience => Duration::from_micros(8 * u64::from(patience)),
        };
        let built = builder.reclaim_timeout(Duration::from_millis(RECLAIM_MILLIS)).build();
        let Ok(manager) = built else { unreachable!("it is small and valid: {built:?}") };
        let owner = |name: &str| match manager.owner(name).register() {
            Ok(owner) => owner,
            Err(error) => unreachable!("it has no minimum: {error}"),
        };
        let owners = ["first", "second"].map(owner);
        let other = owner("other");
        let plan = Plan::default();
        config.early.into_iter().for_each(|trouble| plan.begin(trouble));
        let file = make_file(dir, config, &plan)?;
        let mut built_pools = Vec::new();
        for (owner, is_ahead) in owners.iter().zip(config.writes_behind) {
            if built_pools.is_empty() || config.is_pair {
                let mut pool = PagePool::builder(owner).spill_file(Arc::clone(&file));
                if let Some(staging) = config.staging {
                    pool = pool.staging_bytes(PAGE * (1 + usize::from(staging % 3)));
                }
                let ahead = if is_ahead { WriteBehind::On } else { WriteBehind::Off };
                let built = pool.pin_timeout(patience).write_behind(ahead).build();
                built_pools.push(Some(built.unwrap_or_else(|error| unreachable!("{error}"))));
            }
        }
        let pools = built_pools;
        let readers = pools.iter().map(|pool| pool.as_ref().map(PagePool::reader)).collect();
        Some(Self {
            manager,
            file,
            owners,
            pools,
            readers,
            held: Vec::new(),
            other,
            taken: Vec::new(),
            plan,
            frames,
            is_limited: config.units_max.is_some(),
            has_threads: config.writes_behind.contains(&true),
            depth: 0,
            calls: 1,
        })
    }

    fn all(mut self, ops: &[Op]) -> u64 {
        let mut ops = ops.iter();
        while let Some(op) = ops.next() {
            self.step(op, &mut ops);
        }
        self.finish()
    }

    /// Once nothing fails and nobody else has memory, every page can be read.
    fn finish(mut self) -> u64 {
        self.plan.heal();
        self.taken.clear();
        self.readers.clear();
        // Nobody asks a pool whose handle is gone to give back what it has.
        let is_all_asked = self.pools.iter().all(Option::is_some);
        for _ in 0..ROUNDS_MAX {
            // What pools have without use comes back, and is free for all of them.
            drop(self.other.allocate(self.frames * PAGE));
            self.held.retain_mut(|held| {
                let page = Arc::clone(&held.page);
                page.read().map(|bytes| held.check(&bytes)).is_err()
            });
            self.calls += 1;
            if self.held.is_empty() {
                break;
            }
            thread::yield_now();
        }
        if self.pools.len() == 1 || is_all_asked {
            let bytes = self.frames * PAGE;
            let left = self.held.iter().filter(|held| held.page.size() <= bytes).count();
            assert_eq!(left, 0, "nobody pins pages that cannot be read: {:?}", self.pools);
        }
        self.held.clear();
        self.pools.clear();
        let Self { manager, file, calls, .. } = self;
        wait_until("the file has slots of no page", || file.used_bytes() == 0);
        wait_until("pools keep memory", || manager.verify_empty().is_ok());
        assert_eq!(manager.check_consistency(), Ok(()));
        calls
    }

    fn pool(&self, number: bool) -> Option<(usize, PagePool)> {
        let number = usize::from(number) % self.pools.len();
        Some((number, self.pools[number].clone()?))
    }

    /// Where one of the pages is.
    fn at(&self, page: u8) -> Option<usize> {
        usize::from(page).checked_rem(self.held.len())
    }

    /// Whether every frame is either free or of a page that can be evicted by the thread that wants
    /// one, so that a page of one frame always finds one.
    fn is_quiet(&self) -> bool {
        let is_alone = self.pools.len() == 1 && self.taken.is_empty() && self.depth == 0;
        is_alone && !self.has_threads && !self.is_limited && !self.plan.has_failed()
    }

    /// Fails if there is no reason for `error`.
    fn expect_reason(&self, error: &PagingError, pages: usize) {
        match error {
            PagingError::Spill(error) => {
                assert!(self.plan.has_failed() || self.is_limited, "{error}");
            }
            PagingError::Memory(_) | PagingError::AllPinned { .. } => {
                assert!(pages > 1 || !self.is_quiet(), "nobody pins a page: {error}");
            }
            error => unreachable!("{error}"),
        }
    }
}

fn make_file(dir: &TempDir, config: &Config, plan: &Plan) -> Option<Arc<SpillFile>> {
    let mut file = SpillFile::builder(dir.path()).unit_bytes(PAGE).faults(plan.faults());
    file = file.memory_file_system(MemoryFileSystem::Allow);
    file = file.direct_io(if config.is_direct { DirectIo::Try } else { DirectIo::Off });
    if let Some(units) = config.units_max {
        file = file.bytes_max((1 + u64::from(units)) * PAGE as u64);
    }
    match file.create() {
        Ok(file) => Some(Arc::new(file)),
        Err(error) => {
            assert!(plan.has_failed(), "{error}");
            None
        }
    }
}

/// Lets other threads go first until it is so.
fn wait_until(otherwise: &str, is_so: impl Fn() -> bool) {
    let is_so = (0..YIELDS_MAX).any(|_| {
        let is_so = is_so();
        if !is_so {
            thread::yield_now();
        }
        is_so
    });
    assert!(is_so, "{otherwise}");
}
