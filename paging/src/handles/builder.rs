//! How a pool is configured.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offheap::{MemorySegment, Owner};

use super::page_pool::PagePool;
use crate::file::{DirectIo, MemoryFileSystem, SpillFile};
use crate::moving::behind;
use crate::moving::reclaim::PoolReclaimer;
use crate::pool::books::SPARES;
use crate::pool::error::PagingError;
use crate::pool::jobs::Job;
use crate::pool::shared::{PIN_TIMEOUT_MAX, Parts, Shared};

/// So many frames are left for pages, if there is a choice.
const FRAMES_MIN: usize = 2;
/// The buffers that pages are written from, each for a write under way.
const BUFFERS: usize = 2;
/// The size of a buffer, if the owner may have enough.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// A buffer is at most this part of what the owner could have.
const BUFFER_PART: usize = 32;

/// Whether dirty pages are written before their frames are needed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum WriteBehind {
    /// By a thread of the pool's, once frames have become scarce. Calls that need a frame find more
    /// clean pages then, and wait less.
    #[default]
    On,
    /// By the calls that need frames, and only when they do. No thread is started for it; but
    /// prefetches and [`read_async`](crate::Page::read_async) start one when they come.
    Off,
}

/// The configuration of a [`PagePool`]. Made by [`PagePool::builder`]; each setting has a default.
///
/// ```
/// use std::time::Duration;
///
/// use offheap::MemoryManager;
/// use offheap_paging::{PagePool, WriteBehind};
///
/// let manager = MemoryManager::builder().capacity(8 << 20).build()?;
/// let owner = manager.owner("join").limit(4 << 20).register()?;
/// let pool = PagePool::builder(&owner)
///     .spill_dir(std::env::temp_dir())
///     .file_bytes_max(1 << 30)
///     .staging_bytes(256 << 10)
///     .pin_timeout(Duration::from_secs(1))
///     .write_behind(WriteBehind::Off)
///     # .memory_file_system(offheap_paging::MemoryFileSystem::Allow)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a configuration does nothing until it is built"]
pub struct PagePoolBuilder {
    owner: Owner,
    spill_dir: PathBuf,
    spill_file: Option<Arc<SpillFile>>,
    file_bytes_max: Option<u64>,
    staging_bytes: Option<usize>,
    pin_timeout: Duration,
    write_behind: WriteBehind,
    direct_io: DirectIo,
    memory_file_system: MemoryFileSystem,
}

impl PagePool {
    /// A pool over `owner`, to be configured.
    pub fn builder(owner: &Owner) -> PagePoolBuilder {
        PagePoolBuilder::new(owner)
    }
}

impl PagePoolBuilder {
    fn new(owner: &Owner) -> Self {
        Self {
            owner: owner.clone(),
            spill_dir: env::temp_dir(),
            spill_file: None,
            file_bytes_max: None,
            staging_bytes: None,
            pin_timeout: Duration::from_secs(5),
            write_behind: WriteBehind::default(),
            direct_io: DirectIo::default(),
            memory_file_system: MemoryFileSystem::default(),
        }
    }

    /// The folder of the spill file; the system's for temporary files by default. It has to be on a
    /// disk: see [`memory_file_system`](Self::memory_file_system).
    pub fn spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spill_dir = dir.into();
        self
    }

    /// A spill file that others use, too, in the place of one of its own. Its units must be as
    /// large as the owner's pages. The folder, the size and the kinds of file and of I/O that are
    /// set here do not count then.
    pub fn spill_file(mut self, file: Arc<SpillFile>) -> Self {
        self.spill_file = Some(file);
        self
    }

    /// The most bytes that the spill file may have; as many as its disk has room for by default.
    /// When it is reached, calls fail as they do when the disk is full.
    pub fn file_bytes_max(mut self, bytes: u64) -> Self {
        self.file_bytes_max = Some(bytes);
        self
    }

    /// The bytes of each of the two buffers that pages are written from, rounded up to pages. By
    /// default 1 MiB, or a 32nd of what the owner could have, if that is less; at least a page.
    ///
    /// One buffer is one write, so larger ones make fewer and faster writes. They are memory of the
    /// owner, which the pool keeps as long as it lives. If there is none for the second one, the
    /// pool has one.
    pub fn staging_bytes(mut self, bytes: usize) -> Self {
        self.staging_bytes = Some(bytes);
        self
    }

    /// How long a call waits at most for a frame when all pages are pinned; 5 s by default. More
    /// than a year is as a year.
    ///
    /// The time that the disk takes is not bounded by it. That is the time of the call's own reads
    /// and writes, and of those that it waits for: a page that another thread loads, and one of the
    /// [buffers](Self::staging_bytes) while all are being written. Each of these ends when the disk
    /// answers, and none of them waits for pins.
    pub fn pin_timeout(mut self, timeout: Duration) -> Self {
        self.pin_timeout = timeout.min(PIN_TIMEOUT_MAX);
        self
    }

    /// Whether dirty pages are written before their frames are needed; they are by default.
    pub fn write_behind(mut self, write_behind: WriteBehind) -> Self {
        self.write_behind = write_behind;
        self
    }

    /// Whether the file goes around the system's cache; it does by default, where it can.
    pub fn direct_io(mut self, direct_io: DirectIo) -> Self {
        self.direct_io = direct_io;
        self
    }

    /// Whether the file may lie in a file system that is memory itself, where it frees none; it may
    /// not by default.
    pub fn memory_file_system(mut self, answer: MemoryFileSystem) -> Self {
        self.memory_file_system = answer;
        self
    }

    /// Builds the pool, with its file, its buffers and two spare frames, and makes it the reclaimer
    /// of its owner, in the place of any that it had.
    ///
    /// # Errors
    ///
    /// - [`PagingError::Spill`] if the file cannot be made, or lies in memory.
    /// - [`PagingError::UnitBytes`] if a shared file has units of another size than the pages.
    /// - [`PagingError::Memory`] if the owner has no memory for a buffer: not as much as was set,
    ///   or not even a page by default.
    /// - [`PagingError::Thread`] if the system has no thread to write behind.
    ///
    /// # Blocking
    ///
    /// Opens a file. Others may be asked for the memory of the first buffer, as by
    /// [`Owner::allocate`].
    pub fn build(self) -> Result<PagePool, PagingError> {
        let owner = self.owner;
        let page_bytes = owner.page_size();
        let file = match self.spill_file {
            Some(file) => file,
            None => {
                let mut file = SpillFile::builder(self.spill_dir)
                    .unit_bytes(page_bytes)
                    .direct_io(self.direct_io)
                    .memory_file_system(self.memory_file_system);
                if let Some(bytes) = self.file_bytes_max {
                    file = file.bytes_max(bytes);
                }
                Arc::new(file.create()?)
            }
        };
        if file.unit_bytes() != page_bytes {
            let unit_bytes = file.unit_bytes();
            return Err(PagingError::UnitBytes { unit_bytes, page_bytes });
        }
        let staging = staging(&owner, self.staging_bytes)?;
        // Without a frame for a page there is nothing to be done.
        drop(owner.allocate_page().map_err(PagingError::Memory)?);
        let spare = || has_left(&owner, page_bytes).then(|| owner.try_allocate_page().ok())?;
        let spares: Vec<_> = (0..SPARES).map_while(|_| spare()).collect();
        let shared = Arc::new(Shared::new(Parts {
            owner: owner.clone(),
            file,
            pin_timeout: self.pin_timeout,
            writes_behind: self.write_behind == WriteBehind::On,
            staging,
        }));
        {
            let mut books = shared.books();
            books.spares_max = spares.len();
            books.spares = spares;
        }
        if self.write_behind == WriteBehind::On {
            // For the thread alone. One that begins late is not to write what came meanwhile.
            behind::ask(&shared, Job::Prefetch(Vec::new()))?;
        }
        let reclaimer = Arc::new(PoolReclaimer { shared: Arc::downgrade(&shared) });
        owner.set_reclaimer(&reclaimer);
        shared.keep_reclaimer(reclaimer);
        Ok(PagePool::new(shared))
    }
}

/// Whether the owner has so many bytes, and enough for a few frames besides.
fn has_left(owner: &Owner, bytes: usize) -> bool {
    owner.available_bytes() >= bytes + FRAMES_MIN * owner.page_size()
}

/// The buffers: as large as was asked for, or as the owner has memory for.
fn staging(owner: &Owner, bytes: Option<usize>) -> Result<Vec<MemorySegment>, PagingError> {
    let page_bytes = owner.page_size();
    let could_have = owner.available_bytes();
    let default = (could_have / BUFFER_PART).min(BUFFER_BYTES_MAX);
    let mut size = bytes.unwrap_or(default).max(page_bytes).next_multiple_of(page_bytes);
    loop {
        let one = match owner.allocate(size) {
            Ok(one) => one,
            Err(_) if bytes.is_none() && size > page_bytes => {
                size = (size / 2).next_multiple_of(page_bytes);
                continue;
            }
            Err(error) => return Err(PagingError::Memory(error)),
        };
        let mut buffers = vec![one];
        // One is enough to make progress.
        let more = || has_left(owner, size).then(|| owner.try_allocate(size).ok())?;
        buffers.extend((1..BUFFERS).map_while(|_| more()));
        return Ok(buffers);
    }
}
