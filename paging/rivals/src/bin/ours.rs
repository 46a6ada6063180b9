//! The work on a page pool.

use std::time::Duration;

use offheap::{MemoryManager, Owner};
use offheap_paging::{Advice, MemoryFileSystem, Page, PagePool};
use paging_rivals::Outcome;
use paging_rivals::measure::found::Found;
use paging_rivals::measure::timed::{STEPS, median, nanos_a_step, places};
use paging_rivals::measure::usage::Usage;
use paging_rivals::work::content::Content;
use paging_rivals::work::drive::{Had, Hand, Peer, drive};
use paging_rivals::work::job::{Job, PAGE_BYTES};

const MIB: usize = 1 << 20;
/// How long another owner waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// A manager with the job's memory, and an owner of it with a pool.
struct Ours {
    manager: MemoryManager,
    owner: Owner,
    other: Owner,
    pool: PagePool,
}

impl Ours {
    fn new(job: &Job, page_bytes: usize) -> Outcome<Self> {
        let manager =
            MemoryManager::builder().capacity(job.memory_bytes()).page_size(page_bytes).build()?;
        let owner = manager.owner("pool").register()?;
        let other = manager.owner("other").register()?;
        let pool = PagePool::builder(&owner)
            .spill_dir(&job.dir)
            .memory_file_system(MemoryFileSystem::Allow)
            .build()?;
        Ok(Self { manager, owner, other, pool })
    }

    /// `count` pages of one byte each, so to speak.
    fn ones(&self, count: usize) -> Outcome<Vec<Page>> {
        (0..count)
            .map(|_| {
                let mut page = self.pool.allocate()?;
                page.write()?.fill(1);
                Ok(page)
            })
            .collect()
    }
}

impl Peer for Ours {
    type Hand = Pages;

    fn hand(&self, _: usize, pages: usize) -> Outcome<Pages> {
        Ok(Pages { pool: self.pool.clone(), pages: Vec::with_capacity(pages) })
    }

    fn misses(&self) -> Option<u64> {
        Some(self.pool.stats().loads)
    }
}

/// One thread's pages.
struct Pages {
    pool: PagePool,
    pages: Vec<Page>,
}

impl Hand for Pages {
    const IS_CACHE: bool = false;

    fn put(&mut self, page: usize, fill: &mut dyn FnMut(&mut [u8])) -> Outcome<()> {
        if page == self.pages.len() {
            self.pages.push(self.pool.allocate()?);
        }
        fill(&mut self.pages[page].write()?);
        Ok(())
    }

    fn read(&mut self, page: usize, look: &mut dyn FnMut(&[u8])) -> Outcome<Had> {
        look(&self.pages[page].read()?);
        Ok(Had::Yes)
    }

    fn write(&mut self, page: usize, change: &mut dyn FnMut(&mut [u8])) -> Outcome<Had> {
        change(&mut self.pages[page].write()?);
        Ok(Had::Yes)
    }

    fn read_many(
        &mut self,
        pages: &[usize],
        look: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Outcome<()> {
        let wanted: Vec<&Page> = pages.iter().map(|&page| &self.pages[page]).collect();
        for (guard, &page) in self.pool.read_many(&wanted)?.iter().zip(pages) {
            look(page, Some(guard));
        }
        Ok(())
    }
}

/// What reading one word of a resident page costs.
fn resident(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let (way, which) = job.variant.split_once('-').ok_or("which variant?")?;
    let count = match (way, which) {
        (_, "one") => 1,
        ("epoch", _) => 4096,
        _ => 1024,
    };
    let pages = ours.ones(count)?;
    let order = places(count, job.seed);
    let place = |page: u32| page as usize * 64 % PAGE_BYTES;
    let guards = |_| {
        let mut sum = 0;
        for &page in &order {
            sum += u64::from(pages[page as usize].read()?[place(page)]);
        }
        right(sum)
    };
    let epochs = |_| {
        let mut reader = ours.pool.reader();
        let mut sum = 0;
        for few in order.chunks(256) {
            let epoch = reader.enter();
            for &page in few {
                let bytes = epoch.get(&pages[page as usize]).ok_or("it was resident")?;
                sum += u64::from(bytes[place(page)]);
            }
        }
        right(sum)
    };
    let nanos = match way {
        "guard" => nanos_a_step(job.threads, guards)?,
        _ => nanos_a_step(job.threads, epochs)?,
    };
    Ok(Found::new().with("nanos", nanos))
}

fn right(sum: u64) -> Outcome<u64> {
    if sum == STEPS as u64 { Ok(sum) } else { Err("wrong contents".into()) }
}

/// Pages that are made, written to and dropped while there is memory.
fn churn(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let nanos = nanos_a_step(1, |_| {
        let mut sum = 0;
        for _ in 0..STEPS {
            let mut segment = ours.owner.allocate_page()?;
            segment[0] = 1;
            let page = ours.pool.insert(segment)?;
            sum += u64::from(page.read()?[0]);
        }
        right(sum)
    })?;
    let written = ours.pool.stats().written_pages;
    Ok(Found::new().with("nanos", nanos).with("written", written as f64))
}

/// What a clean page costs that leaves its frame, among `job.ops` entries: the difference between
/// making a page while all frames have clean ones, and while there is memory.
fn evict(job: &Job) -> Outcome<Found> {
    let page_bytes = 4096;
    let job = Job { memory_mib: (job.ops / 4 * page_bytes).div_ceil(MIB).max(64), ..job.clone() };
    let ours = Ours::new(&job, page_bytes)?;
    let frames = job.memory_bytes() / page_bytes;
    let pages = filled(&ours, job.ops)?;
    let (mut without, mut with, mut written, mut evicted) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..5 {
        spill_all(&ours)?;
        without.push(nanos_a_new_page(&ours, frames / 4)?);
        spill_all(&ours)?;
        read_all(&ours, &pages, frames * 7 / 8)?;
        let before = ours.pool.stats();
        with.push(nanos_a_new_page(&ours, frames / 4)?);
        let after = ours.pool.stats();
        written += after.written_pages - before.written_pages;
        evicted += after.evictions - before.evictions;
    }
    let (without, with) = (median(&mut without), median(&mut with));
    Ok(Found::new()
        .with("nanos", with - without)
        .with("nanos_with", with)
        .with("nanos_without", without)
        .with("evicted", evicted as f64)
        .with("written", written as f64))
}

/// The time on all cores for each of `count` new pages, in nanoseconds.
fn nanos_a_new_page(ours: &Ours, count: usize) -> Outcome<f64> {
    let mut pages = Vec::with_capacity(count);
    let before = Usage::now();
    for _ in 0..count {
        pages.push(ours.pool.allocate()?);
    }
    let after = Usage::now();
    Ok((after.cpu_seconds - before.cpu_seconds) / count as f64 * 1e9)
}

/// `count` pages that begin with their number.
fn filled(ours: &Ours, count: usize) -> Outcome<Vec<Page>> {
    (0..count)
        .map(|number| {
            let mut page = ours.pool.allocate()?;
            page.write()?[..8].copy_from_slice(&number.to_le_bytes());
            Ok(page)
        })
        .collect()
}

/// Has all pages written, and out of memory: another owner takes it all, and gives it back.
fn spill_all(ours: &Ours) -> Outcome<()> {
    let others = ours.owner.used_bytes() - ours.pool.stats().resident_bytes;
    let all = (ours.manager.capacity() - others) / ours.owner.page_size();
    drop(ours.other.acquire_pages_timeout(all, PATIENCE)?);
    Ok(())
}

/// Reads all pages. At least `count` of them are resident at the end.
fn read_all(ours: &Ours, pages: &[Page], count: usize) -> Outcome<()> {
    for (few, first) in pages.chunks(64).zip((0..).step_by(64)) {
        let wanted: Vec<&Page> = few.iter().collect();
        for (guard, number) in ours.pool.read_many(&wanted)?.iter().zip(first..) {
            let number: usize = number;
            if guard[..8] != number.to_le_bytes() {
                return Err(format!("page {number} is not what was written").into());
            }
        }
    }
    let resident = pages.iter().filter(|page| page.is_resident()).count();
    if resident < count {
        return Err(format!("{resident} pages are resident, not {count}").into());
    }
    Ok(())
}

fn read_in_order(pages: &[Page], is_right: impl Fn(usize, &[u8]) -> bool) -> Outcome<()> {
    for (number, page) in pages.iter().enumerate() {
        if !is_right(number, &page.read()?) {
            return Err(format!("page {number} is not what was written").into());
        }
    }
    Ok(())
}

/// 64 MiB that another owner asks for, of a pool that has all the memory.
fn hand_over(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let wanted = 64 * MIB / PAGE_BYTES;
    let mut pages = filled(&ours, job.pages())?;
    let mut times = Vec::new();
    for _ in 0..6 {
        spill_all(&ours)?;
        read_all(&ours, &pages, job.memory_bytes() / PAGE_BYTES * 7 / 8)?;
        if job.variant == "dirty" {
            for page in pages.iter_mut().filter(|page| page.is_resident()) {
                page.write()?[8] = 1;
            }
        }
        let before = Usage::now();
        let taken = ours.other.acquire_pages_timeout(wanted, PATIENCE)?;
        times.push((Usage::now().at - before.at).as_secs_f64());
        drop(taken);
    }
    let written = ours.pool.stats().written_pages;
    Ok(Found::new().with("seconds", median(&mut times)).with("written", written as f64))
}

/// Writes it all, reads it once in order and drops it.
fn sequential(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let count = job.total_mib * MIB / PAGE_BYTES;
    let content = Content::new(job.seed, count);
    let mut pages = Vec::with_capacity(count);
    let before = Usage::now();
    for number in 0..count {
        let mut page = ours.pool.allocate()?;
        if job.variant != "unadvised" {
            page.advise(Advice::Sequential);
        }
        content.fill(number, &mut page.write()?);
        pages.push(page);
    }
    let written = Usage::now();
    for (number, page) in pages.into_iter().enumerate() {
        if !content.is_right(number, &page.read()?) {
            return Err(format!("page {number} is not what was written").into());
        }
    }
    let after = Usage::now();
    let stats = ours.pool.stats();
    Ok(Found::between(before, after, count)
        .with("write_seconds", (written.at - before.at).as_secs_f64())
        .with("read_seconds", (after.at - written.at).as_secs_f64())
        .with("written", stats.written_pages as f64)
        .with("writes", stats.writes as f64)
        .with("loads", stats.loads as f64)
        .with("loads_ahead", stats.loads_ahead as f64))
}

/// Random reads of which only the ends of pages are looked at: what is left is the miss.
fn miss(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let content = Content::new(job.seed, job.pages());
    let mut pages = Vec::new();
    for number in 0..job.pages() {
        let mut page = ours.pool.allocate()?;
        content.fill(number, &mut page.write()?);
        pages.push(page);
    }
    // What was filled is dirty: it is written before the clock starts.
    read_in_order(&pages, |number, bytes| content.is_right_at_the_ends(number, bytes))?;
    let loads = ours.pool.stats().loads;
    let before = Usage::now();
    for number in places(job.pages(), job.seed).into_iter().take(job.ops) {
        let number = number as usize;
        if !content.is_right_at_the_ends(number, &pages[number].read()?) {
            return Err(format!("page {number} is not what was written").into());
        }
    }
    let after = Usage::now();
    let misses = ours.pool.stats().loads - loads;
    Ok(Found::between(before, after, job.ops).with("misses", misses as f64))
}

fn random(job: &Job) -> Outcome<Found> {
    let ours = Ours::new(job, PAGE_BYTES)?;
    let found = drive(&ours, job)?;
    let stats = ours.pool.stats();
    Ok(found
        .with("evictions", stats.evictions as f64)
        .with("written", stats.written_pages as f64)
        .with("writes", stats.writes as f64)
        .with("waits", stats.waits as f64)
        .with("longest_stall", stats.longest_stall.as_secs_f64()))
}

fn main() -> Outcome<()> {
    let job = Job::begin()?;
    match job.work.as_str() {
        "random" => random(&job)?,
        "resident" => resident(&job)?,
        "churn" => churn(&job)?,
        "evict" => evict(&job)?,
        "hand-over" => hand_over(&job)?,
        "sequential" => sequential(&job)?,
        "miss" => miss(&job)?,
        work => return Err(format!("a pool does no {work:?}").into()),
    }
    .print()
}
