//! Small pools, pages whose content tells their number, and files whose calls can be held up.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use offheap::{MemoryManager, Owner};
use offheap_paging::{
    Call, CallName, MemoryFileSystem, Page, PagePool, PagePoolBuilder, SpillFile, SpillFileBuilder,
    WriteBehind,
};

pub const PAGE: usize = 4096;
/// What nobody waits for who is served.
pub const LONG: Duration = Duration::from_secs(60);
/// What is waited in vain.
pub const SHORT: Duration = Duration::from_millis(30);
/// Buffers and spare frames of a small pool, in pages.
pub const BOOKED: usize = 4;

pub fn manager(pages: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap()
}

pub fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// A pool that does nothing by itself, and gives up soon.
pub fn builder(owner: &Owner) -> PagePoolBuilder {
    let builder = PagePool::builder(owner).memory_file_system(MemoryFileSystem::Allow);
    builder.write_behind(WriteBehind::Off).pin_timeout(SHORT).staging_bytes(owner.page_size())
}

pub fn pool(owner: &Owner) -> PagePool {
    builder(owner).build().unwrap()
}

/// Words that belong to this number alone.
pub fn fill(bytes: &mut [u8], number: usize) {
    let (words, []) = bytes.as_chunks_mut::<8>() else { unreachable!() };
    words.iter_mut().enumerate().for_each(|(at, word)| *word = (number ^ at << 32).to_le_bytes());
}

#[track_caller]
pub fn check(bytes: &[u8], number: usize) {
    let (words, []) = bytes.as_chunks::<8>() else { unreachable!() };
    for (at, word) in words.iter().enumerate() {
        assert_eq!(usize::from_le_bytes(*word), number ^ at << 32, "word {at} of page {number}");
    }
}

pub fn stamp(page: &mut Page, number: usize) {
    fill(&mut page.write().unwrap(), number);
}

/// So many pages of `units` units each, numbered from 0.
pub fn pages_of(pool: &PagePool, units: usize, count: usize) -> Vec<Page> {
    let page = |number| {
        let mut page = pool.allocate_pages(units).unwrap();
        stamp(&mut page, number);
        page
    };
    (0..count).map(page).collect()
}

pub fn pages(pool: &PagePool, count: usize) -> Vec<Page> {
    pages_of(pool, 1, count)
}

/// Each has its number as its content.
#[track_caller]
pub fn check_all(pages: &[Page]) {
    for (number, page) in pages.iter().enumerate() {
        check(&page.read().unwrap(), number);
    }
}

/// Those that are in the file only, with their numbers.
pub fn spilled(pages: &[Page]) -> Vec<usize> {
    (0..pages.len()).filter(|number| !pages[*number].is_resident()).collect()
}

pub fn resident(pages: &[Page]) -> Vec<usize> {
    (0..pages.len()).filter(|number| pages[*number].is_resident()).collect()
}

/// Waits for what another thread is about to do.
#[track_caller]
pub fn until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < LONG, "it does not become so");
        thread::yield_now();
    }
}

/// Nothing is out, and the manager agrees with itself.
#[track_caller]
pub fn assert_empty(manager: &MemoryManager) {
    // The pool's own thread may be about to let go of it.
    until(|| manager.leaks().is_none());
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

/// A file of which a call can be held up while the test does something.
pub struct HeldUp {
    pub file: Arc<SpillFile>,
    gate: Arc<Mutex<Option<Gate>>>,
}

/// Where a call says that it has come, and waits.
struct Gate {
    names: &'static [CallName],
    begins: SyncSender<()>,
    goes_on: Receiver<()>,
}

/// A call that waits until this is dropped.
pub struct Held {
    begun: Receiver<()>,
    _lets_go: SyncSender<()>,
}

pub const WRITES: &[CallName] = &[CallName::Write, CallName::WriteRun];
pub const READS: &[CallName] = &[CallName::Read, CallName::ReadRun];

/// A file for pages of the usual size.
pub fn file() -> SpillFileBuilder {
    let file = SpillFile::builder(std::env::temp_dir()).unit_bytes(PAGE);
    file.memory_file_system(MemoryFileSystem::Allow)
}

impl HeldUp {
    pub fn new() -> Self {
        let gate = Arc::new(Mutex::new(None::<Gate>));
        let closed = Arc::clone(&gate);
        let faults = move |call: Call| {
            // The lock is free while the call waits.
            let gate = closed.lock().unwrap().take_if(|gate| gate.names.contains(&call.name));
            if let Some(gate) = gate {
                gate.begins.send(()).unwrap();
                // An error says that the test lets it go on.
                let _ = gate.goes_on.recv();
            }
            None
        };
        Self { file: Arc::new(file().faults(Arc::new(faults)).create().unwrap()), gate }
    }

    /// Holds up the next call of these names.
    pub fn hold(&self, names: &'static [CallName]) -> Held {
        let (begins, begun) = sync_channel(1);
        let (lets_go, goes_on) = sync_channel(0);
        *self.gate.lock().unwrap() = Some(Gate { names, begins, goes_on });
        Held { begun, _lets_go: lets_go }
    }
}

impl Held {
    /// Waits until the call has come.
    pub fn wait(&self) {
        self.begun.recv_timeout(LONG).unwrap();
    }
}
