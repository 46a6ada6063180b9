//! Small managers, and what is left in them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use offheap::{MemoryManager, Owner};

pub const PAGE: usize = 4 << 10;

pub fn manager(pages: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap()
}

pub fn owner(manager: &MemoryManager) -> Owner {
    manager.owner("operator").register().unwrap()
}

/// All memory comes back, once a pool's thread that was at work sees that the pool is gone.
pub fn until_empty(manager: &MemoryManager) {
    let since = Instant::now();
    while let Err(error) = manager.verify_empty() {
        assert!(since.elapsed() < Duration::from_secs(60), "{error}");
        thread::yield_now();
    }
    manager.check_consistency().unwrap();
}

/// Runs `work` while another owner takes so many pages and gives them back, again and again. It
/// always gets them.
pub fn beside_another<T>(manager: &MemoryManager, pages: usize, work: impl FnOnce() -> T) -> T {
    let other = manager.owner("other").register().unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                drop(other.acquire_pages_timeout(pages, Duration::from_secs(60)).unwrap());
                // ORDERING: Relaxed. A flag, and nothing comes with it.
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _over = Over(&is_over);
        work()
    })
}

/// Ends the visits, also when the work fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed. As above.
        self.0.store(true, Ordering::Relaxed);
    }
}
