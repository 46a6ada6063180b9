//! The work on foyer: a hybrid cache of memory and a file, with either of its engines for I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    IoEngineConfig, PsyncIoEngineConfig, RecoverMode, Source, Spawner, UringIoEngineConfig,
};
use paging_rivals::Outcome;
use paging_rivals::measure::found::Found;
use paging_rivals::measure::timed::{STEPS, nanos_a_step};
use paging_rivals::work::draw::Random;
use paging_rivals::work::drive::{Had, Hand, Peer, drive};
use paging_rivals::work::job::{Job, PAGE_BYTES};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What is written before memory is waited for: an eighth of the memory, 16 MiB at most.
const UNWRITTEN_BYTES_MAX: usize = 16 << 20;

type Cache = HybridCache<u64, Vec<u8>>;

struct Foyer {
    cache: Cache,
    runtime: Arc<Runtime>,
    misses: Arc<AtomicU64>,
    unwritten_bytes: usize,
    /// Dropped last.
    _dir: TempDir,
}

impl Foyer {
    /// A cache that is told it has `share` of the memory.
    fn new(job: &Job) -> Outcome<Self> {
        let dir = tempfile::tempdir_in(&job.dir)?;
        let runtime = Arc::new(Builder::new_multi_thread().worker_threads(2).enable_all().build()?);
        let unwritten_bytes = (job.memory_bytes() / 16).min(UNWRITTEN_BYTES_MAX);
        let cache = runtime.block_on(Self::cache(job, &dir, unwritten_bytes))?;
        let misses = Arc::default();
        Ok(Self { cache, runtime, misses, unwritten_bytes, _dir: dir })
    }

    async fn cache(job: &Job, dir: &TempDir, unwritten_bytes: usize) -> Outcome<Cache> {
        let memory = (job.memory_bytes() as f64 * job.share) as usize;
        // Room for the set twice, and for all that is written anew: nothing is dropped there.
        let file_bytes = (job.pages() * 2 + job.ops) * (PAGE_BYTES + 4096) + (256 << 20);
        let device =
            FsDeviceBuilder::new(dir.path()).with_capacity(file_bytes).with_direct(true).build()?;
        let io: Box<dyn IoEngineConfig> = match job.variant.as_str() {
            "uring" => UringIoEngineConfig::new().boxed(),
            _ => PsyncIoEngineConfig::new().boxed(),
        };
        let builder = HybridCacheBuilder::new().with_flush_on_close(false).memory(memory);
        let builder = builder.with_shards(8).with_weighter(|_, value: &Vec<u8>| value.len());
        let engine = BlockEngineConfig::new(device)
            .with_buffer_pool_size(unwritten_bytes)
            .with_submit_queue_size_threshold(unwritten_bytes * 2)
            .with_flushers(1)
            .with_reclaimers(1);
        let builder = builder.storage().with_io_engine_config(io).with_engine_config(engine);
        let builder = builder.with_recover_mode(RecoverMode::None).with_spawner(Spawner::current());
        Ok(builder.build().await?)
    }
}

impl Peer for Foyer {
    type Hand = Keys;

    fn hand(&self, number: usize, _: usize) -> Outcome<Keys> {
        Ok(Keys {
            cache: self.cache.clone(),
            runtime: Arc::clone(&self.runtime),
            first: (number as u64) << 32,
            misses: Arc::clone(&self.misses),
            put_bytes: 0,
            settled_bytes: self.unwritten_bytes / 2,
        })
    }

    fn settle(&self) {
        self.runtime.block_on(self.cache.storage().wait());
    }

    fn misses(&self) -> Option<u64> {
        // ORDERING: Relaxed. The threads that count have been joined.
        Some(self.misses.load(Ordering::Relaxed))
    }
}

/// One thread's pages: the keys from `first` on.
struct Keys {
    cache: Cache,
    runtime: Arc<Runtime>,
    first: u64,
    misses: Arc<AtomicU64>,
    put_bytes: usize,
    settled_bytes: usize,
}

impl Keys {
    fn count(&self, source: Source) {
        if source == Source::Disk {
            // ORDERING: Relaxed. It is read after the thread was joined.
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Hand for Keys {
    const IS_CACHE: bool = true;

    fn put(&mut self, page: usize, fill: &mut dyn FnMut(&mut [u8])) -> Outcome<()> {
        let mut value = vec![0; PAGE_BYTES];
        fill(&mut value);
        self.cache.insert(self.first + page as u64, value);
        // What it cannot write at once it drops, so it gets the time.
        self.put_bytes += PAGE_BYTES;
        if self.put_bytes >= self.settled_bytes {
            self.put_bytes = 0;
            self.runtime.block_on(self.cache.storage().wait());
        }
        Ok(())
    }

    fn read(&mut self, page: usize, look: &mut dyn FnMut(&[u8])) -> Outcome<Had> {
        let key = self.first + page as u64;
        let Some(entry) = self.runtime.block_on(self.cache.get(&key))? else {
            return Ok(Had::Lost);
        };
        self.count(entry.source());
        look(&entry);
        Ok(Had::Yes)
    }

    fn write(&mut self, page: usize, change: &mut dyn FnMut(&mut [u8])) -> Outcome<Had> {
        let key = self.first + page as u64;
        let Some(entry) = self.runtime.block_on(self.cache.get(&key))? else {
            return Ok(Had::Lost);
        };
        self.count(entry.source());
        let mut value = entry.value().clone();
        change(&mut value);
        drop(entry);
        self.cache.insert(key, value);
        Ok(Had::Yes)
    }

    fn read_many(
        &mut self,
        pages: &[usize],
        look: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Outcome<()> {
        let gets: Vec<_> =
            pages.iter().map(|&page| self.cache.get(&(self.first + page as u64))).collect();
        // `get` has begun by itself, so all are under way while the first is awaited.
        for (&page, get) in pages.iter().zip(gets) {
            match self.runtime.block_on(get)? {
                Some(entry) => {
                    self.count(entry.source());
                    look(page, Some(&entry));
                }
                None => look(page, None),
            }
        }
        Ok(())
    }
}

/// What reading one word of a resident page costs, in nanoseconds: of the whole cache, and of its
/// memory alone.
fn resident(job: &Job) -> Outcome<Found> {
    let foyer = Foyer::new(job)?;
    let keys = if job.variant.contains("one") { 1 } else { 1024 };
    for key in 0..keys {
        foyer.cache.insert(key, vec![1; PAGE_BYTES]);
    }
    let time = |memory_only: bool| {
        nanos_a_step(job.threads, |number| {
            let mut random = Random::new(number as u64);
            foyer.runtime.block_on(async {
                let mut sum = 0;
                for _ in 0..STEPS {
                    let key = random.below(keys as usize) as u64;
                    let entry = match memory_only {
                        true => foyer.cache.memory().get(&key),
                        false => foyer.cache.get(&key).await?,
                    };
                    sum += u64::from(entry.ok_or("it was resident")?[8]);
                }
                if sum == STEPS as u64 { Ok(sum) } else { Err("wrong contents".into()) }
            })
        })
    };
    Ok(Found::new().with("nanos", time(false)?).with("memory_nanos", time(true)?))
}

fn main() -> Outcome<()> {
    let job = Job::begin()?;
    match job.work.as_str() {
        "random" => drive(&Foyer::new(&job)?, &job)?.print()?,
        "resident" => resident(&job)?.print()?,
        work => return Err(format!("foyer does no {work:?}").into()),
    }
    // Closing writes nothing here, but waits for threads: the measurement is over.
    std::process::exit(0)
}
