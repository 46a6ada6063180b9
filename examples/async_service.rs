//! A service on tokio: 200 tasks share 4 MiB, with timeouts, cancelled tasks, a cache that gives
//! way, and the pressure as a signal. The library's futures run on any runtime.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offheap::reclaim::{Reclaimer, SpillReserve};
use offheap::{MemoryManager, MemorySegment, Owner};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

const PAGE_BYTES: usize = 32 << 10;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Pages that are nice to have: it gives them back whenever others need memory.
#[derive(Default)]
struct Cache(Mutex<Vec<MemorySegment>>);

impl Cache {
    fn pages(&self) -> MutexGuard<'_, Vec<MemorySegment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reclaimer for Cache {
    fn reclaimable(&self) -> usize {
        self.pages().len() * PAGE_BYTES
    }

    /// Called on a thread of the manager's, with nothing locked. What it drops is given back.
    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        let mut pages = self.pages();
        let kept = pages.len().saturating_sub(target_bytes.div_ceil(PAGE_BYTES));
        pages.truncate(kept);
    }
}

/// Waits in line for memory, without blocking a thread, and sums up what it wrote there.
async fn work(owner: Owner, number: u64) -> Outcome<u64> {
    let mut pages = owner.acquire_pages(8).await?;
    for (page, value) in pages.iter_mut().zip(number..) {
        page.put_u64_le(0, value)?;
    }
    yield_now().await; // others run while this task holds memory
    Ok(pages.iter().map(|page| page.get_u64_le(0)).sum::<Result<u64, _>>()?)
}

async fn serve() -> Outcome<()> {
    let manager = MemoryManager::builder().capacity(4 << 20).build()?;
    let cache = Arc::new(Cache::default());
    let owner = manager.owner("cache").priority(-1).reclaimer(&cache).register()?;
    cache.pages().extend(owner.allocate_pages(120)?);

    let mut changes = manager.pressure_changes()?;
    let levels = tokio::spawn(async move {
        while let Some(level) = changes.next().await {
            println!("pressure: {level:?}");
        }
    });

    // An owner for each task that waits. Those without patience or cancelled leave the line.
    let service = manager.owner("service").register()?;
    let patience = |number| Duration::from_secs(if number % 10 == 9 { 0 } else { 10 });
    let spawn = |number| {
        let task = service.child(format!("task {number}")).register()?;
        Ok(tokio::spawn(timeout(patience(number), work(task, number))))
    };
    let tasks = (0..200).map(spawn).collect::<Outcome<Vec<_>>>()?;
    tasks.iter().step_by(20).for_each(JoinHandle::abort);

    let (mut served, mut late, mut cancelled) = (0, 0, 0);
    for (number, task) in (0..).zip(tasks) {
        match task.await {
            Ok(Ok(sum)) => {
                assert_eq!(sum?, (number..number + 8).sum());
                served += 1;
            }
            Ok(Err(_elapsed)) => late += 1,
            Err(_cancelled) => cancelled += 1,
        }
    }
    println!("{served} tasks served, {late} late, {cancelled} cancelled");
    assert!(served >= 170 && served + late + cancelled == 200);
    let stats = manager.stats();
    println!("the cache gave {} bytes in {} calls", stats.reclaimed_bytes, stats.reclaims);
    assert!(stats.reclaimed_bytes > 0 && stats.waiting_requests == 0);
    assert_eq!(service.used_bytes(), 0, "who left the line holds nothing");
    cache.pages().clear();
    manager.shutdown()?; // nothing is out; those who await a change of the pressure are told
    Ok(levels.await?)
}

fn main() -> Outcome<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build()?.block_on(serve())
}
