//! The rows of the tables: every allocator with the work that it is given.

use crate::peers::heap::{HeapBlocks, HeapPages};
use crate::peers::{
    Fit, FitTree, OurBlocks, Ours, Owners, PAGE_BYTES, RegionShare, harness, ours, pools, system,
};
#[cfg(feature = "peers")]
use crate::peers::{jemalloc, lgalloc, mimalloc, snmalloc};
use crate::work::blocks::{BlockRow, Live, Replacing};
use crate::work::pages::{PageRow, Row};

/// The row that all others are compared with.
pub const OURS: &str = "ours, through a worker";

/// The row of what is in all others.
pub const HARNESS: &str = "harness alone";

/// The row that is the unit of time: the harness and one atomic read-modify-write a page.
pub const RMW: &str = "harness and one rmw";

/// A region is so many times as large as what its threads hold together, so that nobody looks for
/// the last free page. What is not touched costs nothing.
const REGION_TIMES: usize = 4;

/// A region for `pages_held` pages, of one owner for all threads or one for each.
fn roomy(owners: Owners, pages_held: usize) -> Ours {
    Ours::new(owners, REGION_TIMES * pages_held * PAGE_BYTES)
}

/// All allocators of pages. `pages_held` is what all threads together hold at most.
#[must_use]
pub fn page_rows(threads: usize, pages_held: usize) -> Vec<Box<dyn PageRow>> {
    let ours = || roomy(Owners::One, pages_held);
    // Pools of numbers are no larger than they need be: their size is what they have to walk.
    let numbers = 2 * pages_held;
    let mut rows: Vec<Box<dyn PageRow>> = vec![
        Row::boxed(HARNESS, threads, harness::Nothing),
        Row::boxed(RMW, threads, harness::OneRmw),
        Row::boxed(OURS, threads, ours::ThroughWorkers(ours())),
        Row::boxed("ours, through an owner", threads, ours::ThroughOwner(ours())),
        Row::boxed("`Mutex<Vec>` of numbers", threads, pools::MutexVec::new(numbers)),
        Row::boxed("crossbeam `ArrayQueue`", threads, pools::array_queue(numbers)),
        Row::boxed("crossbeam `SegQueue`", threads, pools::seg_queue(numbers)),
    ];
    #[cfg(feature = "peers")]
    rows.extend([
        Row::boxed("lgalloc", threads, lgalloc::Lgalloc::new()) as Box<dyn PageRow>,
        Row::boxed("mimalloc", threads, HeapPages::<mimalloc::Mimalloc, PAGE_BYTES>::new()),
        Row::boxed("snmalloc", threads, HeapPages::<snmalloc::Snmalloc, PAGE_BYTES>::new()),
        Row::boxed(
            "jemalloc, 4 KiB aligned",
            threads,
            HeapPages::<jemalloc::Jemalloc, 4096>::new(),
        ),
        Row::boxed("jemalloc", threads, HeapPages::<jemalloc::Jemalloc, PAGE_BYTES>::new()),
    ]);
    rows.push(Row::boxed("glibc", threads, HeapPages::<system::Glibc, PAGE_BYTES>::new()));
    let mmap = HeapPages::<system::Mmap, 4096>::new();
    rows.push(Row::boxed("mmap and munmap, 4 KiB aligned", threads, mmap));
    rows
}

/// The ways to pages that are compared from one number of threads to the next.
#[must_use]
pub fn scaling_rows(threads: usize, pages_held: usize) -> Vec<Box<dyn PageRow>> {
    let ours = |owners| roomy(owners, pages_held);
    let mut rows: Vec<Box<dyn PageRow>> = vec![
        Row::boxed(RMW, threads, harness::OneRmw),
        Row::boxed("ours, workers of one owner", threads, ours::ThroughWorkers(ours(Owners::One))),
        Row::boxed(
            "ours, workers, an owner each",
            threads,
            ours::ThroughWorkers(ours(Owners::Each)),
        ),
        Row::boxed("ours, one owner", threads, ours::ThroughOwner(ours(Owners::One))),
        Row::boxed("ours, an owner each", threads, ours::ThroughOwner(ours(Owners::Each))),
    ];
    #[cfg(feature = "peers")]
    rows.extend([
        Row::boxed("lgalloc", threads, lgalloc::Lgalloc::new()) as Box<dyn PageRow>,
        Row::boxed("mimalloc", threads, HeapPages::<mimalloc::Mimalloc, PAGE_BYTES>::new()),
        Row::boxed("jemalloc", threads, HeapPages::<jemalloc::Jemalloc, PAGE_BYTES>::new()),
    ]);
    rows.push(Row::boxed("glibc", threads, HeapPages::<system::Glibc, PAGE_BYTES>::new()));
    rows
}

/// Blocks for each thread of several.
pub type BlocksOfThreads = Box<dyn Fn(Live) -> Box<dyn Replacing> + Sync>;

/// The ways to blocks that are compared from one number of threads to the next.
#[must_use]
pub fn block_scaling_rows(threads: usize, live: Live) -> Vec<(&'static str, BlocksOfThreads)> {
    let ours = |owners| -> BlocksOfThreads {
        let region_bytes = RegionShare::SMALLEST_FIT.region_bytes(threads * live.bytes());
        let ours = Ours::new(owners, region_bytes);
        Box::new(move |live| live.replaced_in(ours.owner()))
    };
    let mut rows =
        vec![("ours, one owner", ours(Owners::One)), ("ours, an owner each", ours(Owners::Each))];
    #[cfg(feature = "peers")]
    rows.extend::<[(&'static str, BlocksOfThreads); 3]>([
        ("lgalloc", Box::new(|live| live.replaced_in(lgalloc::Lgalloc::new()))),
        ("mimalloc", Box::new(|live| live.replaced_in(HeapBlocks::<mimalloc::Mimalloc>::new()))),
        ("jemalloc", Box::new(|live| live.replaced_in(HeapBlocks::<jemalloc::Jemalloc>::new()))),
    ]);
    rows.push((
        "glibc",
        Box::new(|live: Live| live.replaced_in(HeapBlocks::<system::Glibc>::new())),
    ));
    rows
}

/// All allocators of blocks.
#[must_use]
pub fn block_rows() -> Vec<BlockRow> {
    let tree = |fit| {
        move |live_bytes| FitTree::within(RegionShare::SMALLEST_FIT.region_bytes(live_bytes), fit)
    };
    let mut rows = vec![
        BlockRow::new("ours, smallest-fit", OurBlocks::smallest_fit),
        BlockRow::new("ours, capacity 3 % above live", OurBlocks::tight),
        BlockRow::new("ours, largest-fit", OurBlocks::largest_fit),
        BlockRow::new("best-fit tree under a mutex", tree(Fit::Best)),
        BlockRow::new("first-fit tree under a mutex", tree(Fit::First)),
    ];
    #[cfg(feature = "peers")]
    rows.extend([
        BlockRow::new("lgalloc", |_| lgalloc::Lgalloc::new()),
        BlockRow::new("mimalloc", |_| HeapBlocks::<mimalloc::Mimalloc>::new()),
        BlockRow::new("snmalloc", |_| HeapBlocks::<snmalloc::Snmalloc>::new()),
        BlockRow::new("jemalloc", |_| HeapBlocks::<jemalloc::Jemalloc>::new()),
    ]);
    rows.extend([
        BlockRow::new("glibc", |_| HeapBlocks::<system::Glibc>::new()),
        BlockRow::new("mmap and munmap", |_| HeapBlocks::<system::Mmap>::new()),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::Sizes;
    use crate::work::pages::Kind;

    #[test]
    fn every_allocator_does_every_work() {
        for row in page_rows(2, 2 * 1024).into_iter().chain(scaling_rows(2, 2 * 1024)) {
            for kind in [Kind::Pair, Kind::Lifo, Kind::Random] {
                row.work(kind, 0)(2);
            }
            std::thread::scope(|scope| {
                scope.spawn(|| row.work(Kind::ProducerConsumer, 0)(20));
                scope.spawn(|| row.work(Kind::ProducerConsumer, 1)(20));
            });
        }
        for row in block_rows() {
            let mut replacing = row.replacing(Live { mib: 64, sizes: Sizes::Any });
            replacing.touch_all();
            replacing.replace(100);
            assert!(replacing.live_bytes() > 32 << 20, "{}", row.name);
        }
    }
}
