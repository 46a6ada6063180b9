//! A pool, as its handles, its thread and its reclaimer share it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use offheap::reclaim::Reclaimer;
use offheap::{MemorySegment, Owner};

use super::books::Books;
use super::counters::Counters;
use super::error::PagingError;
use super::events::Teller;
use super::jobs::Jobs;
use super::scans::Scans;
use super::staging::Staging;
use super::waits::{Waits, Wants};
use crate::base::process;
use crate::base::sync::{AtomicU32, Ordering};
use crate::entry::Epochs;
use crate::file::{Slot, SpillFile};
use crate::frames::entry::Entry;
use crate::frames::table::Table;

/// A longer wait for a frame has no end that a clock can tell.
pub(crate) const PIN_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// After the owner had no memory, so many frames come from the pool before it is asked again.
const FRAMES_WITHOUT_ASKING: u32 = 32;

/// What belongs to one pool.
pub(crate) struct Shared {
    pub(crate) owner: Owner,
    pub(crate) page_bytes: usize,
    pub(crate) file: Arc<SpillFile>,
    pub(crate) pin_timeout: Duration,
    pub(crate) writes_behind: bool,
    pub(crate) table: Table,
    books: Mutex<Books>,
    pub(crate) staging: Staging,
    pub(crate) loads: Waits,
    pub(crate) wants: Wants,
    pub(crate) epochs: Epochs,
    /// Its thread has them, too, without keeping the pool alive.
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) counters: Counters,
    pub(crate) scans: Mutex<Scans>,
    /// How many frames are to come from the pool itself before the owner is asked.
    without_asking: AtomicU32,
    made_by: u32,
    /// What gives the memory back, which the owner knows weakly: there as long as the pool is.
    reclaimer: OnceLock<Arc<dyn Reclaimer>>,
}

/// What a pool is made of.
pub(crate) struct Parts {
    pub(crate) owner: Owner,
    pub(crate) file: Arc<SpillFile>,
    pub(crate) pin_timeout: Duration,
    pub(crate) writes_behind: bool,
    pub(crate) staging: Vec<MemorySegment>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.jobs.end();
        if !self.is_of_this_process() {
            return;
        }
        // Pages that were dropped while they waited for an epoch to end have slots in a file that
        // others may use on.
        let books = self.books();
        for (_, frame) in &books.limbo {
            let entry = self.entry(books.frames.entry_of(*frame));
            if entry.state.seen().is_dead()
                && let Some(slot) = Self::slot(entry)
            {
                self.file.free(slot);
            }
        }
    }
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { owner, file, pin_timeout, writes_behind, staging } = parts;
        let teller = Teller::new(owner.path(), &file);
        Self {
            page_bytes: owner.page_size(),
            owner,
            file,
            pin_timeout,
            writes_behind,
            table: Table::new(),
            books: Mutex::default(),
            staging: Staging::new(staging),
            loads: Waits::new(),
            wants: Wants::default(),
            epochs: Epochs::new(),
            jobs: Arc::default(),
            counters: Counters::new(teller),
            scans: Mutex::default(),
            without_asking: AtomicU32::new(0),
            made_by: process::id(),
            reclaimer: OnceLock::new(),
        }
    }

    /// Keeps what gives the memory back. It knows the pool weakly.
    pub(crate) fn keep_reclaimer(&self, reclaimer: Arc<dyn Reclaimer>) {
        // A pool has one, which was set as it was built.
        let _ = self.reclaimer.set(reclaimer);
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn entry(&self, number: u32) -> &Entry {
        self.table.get(number)
    }

    /// The bytes of so many pages.
    pub(crate) fn bytes(&self, pages: u32) -> usize {
        pages as usize * self.page_bytes
    }

    /// The pages that so many bytes are, rounded down.
    pub(crate) fn pages(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / self.page_bytes).unwrap_or(u32::MAX)
    }

    /// The slot of a page in the file.
    pub(crate) fn slot(entry: &Entry) -> Option<Slot> {
        entry.slot().map(|first| Slot { first, units: entry.pages() })
    }

    /// Tells listeners that a call has failed.
    #[cold]
    pub(crate) fn failed(&self, error: PagingError) -> PagingError {
        self.counters.teller.failed(error)
    }

    /// A child shares the file with who made the pool, but not the memory.
    pub(crate) fn check_process(&self) -> Result<(), PagingError> {
        match process::id() {
            process if process == self.made_by => Ok(()),
            process => Err(PagingError::Forked { made_by: self.made_by, process }),
        }
    }

    /// Whether this is the process that made the pool.
    pub(crate) fn is_of_this_process(&self) -> bool {
        process::id() == self.made_by
    }

    /// The owner is asked at the next turn: the pool has no frame of its own. Whether it was not to
    /// be asked.
    pub(crate) fn ask_next(&self) -> bool {
        // ORDERING: Relaxed, both. A guess when it is worth to ask; nothing else is read by it.
        let was_not = self.without_asking.load(Ordering::Relaxed) > 0;
        self.without_asking.store(0, Ordering::Relaxed);
        was_not
    }

    /// Memory of the owner's that is free just now.
    pub(crate) fn grow(&self, pages: u32) -> Option<MemorySegment> {
        // ORDERING: Relaxed. A guess when it is worth to ask; nothing else is read by it.
        let without_asking = self.without_asking.load(Ordering::Relaxed);
        // For a block pages were evicted whose memory the owner has.
        if pages == 1 && without_asking > 0 {
            // ORDERING: Relaxed. As above: a count that is off by some only asks earlier.
            self.without_asking.store(without_asking - 1, Ordering::Relaxed);
            return None;
        }
        let answer = match pages {
            1 => self.owner.try_allocate_page(),
            pages => self.owner.try_allocate(self.bytes(pages)),
        };
        if answer.is_err() && pages == 1 {
            // ORDERING: Relaxed. As above.
            self.without_asking.store(FRAMES_WITHOUT_ASKING, Ordering::Relaxed);
        }
        answer.ok()
    }
}
