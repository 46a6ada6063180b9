//! What does it cost when memory runs out, by the number of owners and of waiting requests, and
//! with the size of the region?
//!
//! Prints a table each, in microseconds, with the growth for ten times as many beside it: 1 is
//! flat, 10 is linear, 100 quadratic. With `--tables DIR` it writes them there, too.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use offheap::config::MemoryManagerBuilder;
use offheap::reclaim::{Reclaimer, SpillReserve};
use offheap::sharing::{FairShare, Greedy};
use offheap::{MemoryManager, MemorySegment, Owner};

const PAGE: usize = 4 << 10;
/// How many owners, or requests that wait.
const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
const GIBIBYTES: [usize; 4] = [1, 10, 100, 1_000];
/// How long one number may take to find.
const PATIENCE: Duration = Duration::from_secs(2);

type Acquired = Pin<Box<dyn Future<Output = Result<Vec<MemorySegment>, offheap::AllocationError>>>>;

/// Rows of numbers, one for each count.
struct Table {
    heads: Vec<String>,
    /// How many times as large the last count is as the first, in powers of ten.
    decades: f64,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    fn new(heads: Vec<String>, decades: f64) -> Self {
        Self { heads, decades, rows: Vec::new() }
    }

    /// Adds a number to the row of that name.
    fn add(&mut self, name: &str, number: f64) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, numbers)) => numbers.push(number),
            None => self.rows.push((name.into(), vec![number])),
        }
    }

    fn to_markdown(&self, title: &str) -> String {
        let mut text = format!("{title}\n\n| |");
        let heads = self.heads.iter().map(String::as_str).chain(["growth"]);
        heads.for_each(|head| text.push_str(&format!(" {head} |")));
        text.push_str("\n|---|");
        (0..=self.heads.len()).for_each(|_| text.push_str("---:|"));
        for (name, numbers) in &self.rows {
            let _ = write!(text, "\n| {name} |");
            numbers.iter().for_each(|number| text.push_str(&format!(" {} |", shown(*number))));
            let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
            let growth = (last.max(0.01) / first.max(0.01)).powf(1.0 / self.decades);
            let _ = write!(text, " {growth:.1}× |");
        }
        text.push('\n');
        text
    }
}

fn shown(number: f64) -> String {
    match number {
        n if n < 0.0 => "none".into(),
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// The median of up to `times` runs, in microseconds. What a run returns is dropped off the clock.
fn median<T>(times: usize, mut run: impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    let mut took = Vec::new();
    while took.len() < times && (took.is_empty() || begin.elapsed() < PATIENCE) {
        let start = Instant::now();
        let result = run();
        took.push(start.elapsed().as_secs_f64() * 1e6);
        drop(result);
    }
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

/// Owners in chains of ten, of a page each.
fn register(manager: &MemoryManager, count: usize) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::with_capacity(count);
    for index in 0..count {
        let owner = match index % 10 {
            0 => manager.owner(format!("owner {index}")),
            _ => owners[index - 1].child("below"),
        };
        owners.push(owner.register().expect("no minimum"));
    }
    owners
}

fn owners_row(table: &mut Table, count: usize) {
    let manager = builder(16 * count + 1024).build().expect("a small region");
    let owners = register(&manager, count);
    let _held: Vec<_> = owners.iter().map(|owner| owner.allocate_page().expect("free")).collect();
    let full = manager.owner("full").limit(PAGE).register().expect("no minimum");
    let _page = full.allocate_page().expect("free");
    let first = &owners[0];
    table.add(
        "a page, refused by the owner's own limit",
        median(51, || full.allocate_page().expect_err("it holds all it may")),
    );
    table.add("a leaf's `used_bytes`", median(51, || full.used_bytes()));
    table.add("`available_bytes`", median(51, || manager.available_bytes()));
    table.add("`stats`", median(21, || manager.stats()));
    table.add(
        "an owner registered",
        median(51, || manager.owner("another").register().expect("no minimum")),
    );
    let _rest = first.reserve_memory(manager.available_bytes()).expect("all that is free");
    table.add(
        "a page, refused by the budget",
        median(21, || first.allocate_page().expect_err("nothing is free")),
    );
    table.add(
        "`try_reserve_memory`, refused",
        median(51, || first.try_reserve_memory(PAGE).expect_err("nothing is free")),
    );
}

/// Gives back what it is asked for.
struct Gives(Mutex<Vec<MemorySegment>>);

impl Gives {
    fn held(&self) -> std::sync::MutexGuard<'_, Vec<MemorySegment>> {
        self.0.lock().expect("nothing panics")
    }
}

impl Reclaimer for Gives {
    fn reclaimable(&self) -> usize {
        self.held().len() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _: &SpillReserve<'_>) {
        let mut held = self.held();
        let kept = held.len().saturating_sub(target_bytes.div_ceil(PAGE));
        let given = held.split_off(kept);
        drop(held);
        drop(given);
    }
}

fn reclaim_row(table: &mut Table, count: usize, fair: bool) {
    let builder = builder(16 * count + 1024);
    let builder = if fair { builder.policy(FairShare) } else { builder.policy(Greedy) };
    let manager = builder.build().expect("a small region");
    let givers: Vec<_> = (0..count)
        .map(|index| {
            let gives = Arc::new(Gives(Mutex::new(Vec::new())));
            let owner = manager.owner(format!("gives {index}")).reclaimer(&gives);
            (owner.register().expect("no minimum"), gives)
        })
        .collect();
    for (owner, gives) in &givers {
        gives.held().extend(owner.allocate_pages(16).expect("free"));
    }
    let asks = manager.owner("asks").register().expect("no minimum");
    let (first, all) = &givers[0];
    while let Ok(page) = first.try_allocate_page() {
        all.held().push(page);
    }
    let mut held = Vec::new();
    let took = median(11, || match asks.allocate_pages(4) {
        Ok(pages) => held.push(pages),
        Err(error) => println!("refused: {error}"),
    });
    let policy = if fair { "fair shares" } else { "first come" };
    table.add(&format!("4 pages that one reclaim gives, {policy}"), took);
}

fn acquire(owner: &Owner) -> Acquired {
    Box::pin(owner.acquire_pages(1))
}

fn waits(future: &mut Acquired) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending(), "nothing is free");
}

fn waiters_row(table: &mut Table, count: usize) {
    let manager = builder(count + 1024).deadlock_timeout(Duration::from_secs(1_000));
    let manager = manager.depot_pages(0).build().expect("a small region");
    let holder = manager.owner("holds").register().expect("no minimum");
    let waiter = manager.owner("waits").register().expect("no minimum");
    let free = manager.available_bytes() / PAGE;
    let mut held = holder.allocate_pages(free).expect("all that is free");
    let mut line: Vec<_> = (0..count).map(|_| acquire(&waiter)).collect();
    line.iter_mut().for_each(waits);
    table.add(
        "join the line",
        median(51, || {
            let mut last = acquire(&waiter);
            waits(&mut last);
            last
        }),
    );
    let mut joined: Vec<_> = (0..51).map(|_| acquire(&waiter)).collect();
    joined.iter_mut().for_each(waits);
    table.add("leave the line", median(51, || drop(joined.pop())));
    table.add("release a page to the line", median(9, || drop(held.pop())));
}

fn limits_row(table: &mut Table, count: usize) {
    let manager = builder(4 * count + 1024).deadlock_timeout(Duration::from_secs(1_000));
    let manager = manager.build().expect("a small region");
    let owners: Vec<_> = (0..count)
        .map(|index| manager.owner(format!("full {index}")).limit(PAGE).register())
        .collect::<Result<_, _>>()
        .expect("no minimum");
    let mut held: Vec<_> =
        owners.iter().map(|owner| owner.allocate_page().expect("free")).collect();
    let mut line: Vec<_> = owners.iter().map(acquire).collect();
    line.iter_mut().for_each(waits);
    table.add(
        "release a page while each owner waits at its own limit",
        median(5, || {
            drop(held.pop());
        }),
    );
}

/// What share of a core the manager takes while one request waits.
fn idle_percent() -> f64 {
    let manager = builder(1024).deadlock_timeout(Duration::from_secs(1_000)).build();
    let manager = manager.expect("a small region");
    let owner = manager.owner("waits").register().expect("no minimum");
    let _all = owner.reserve_memory(manager.available_bytes()).expect("all that is free");
    let mut line = acquire(&owner);
    waits(&mut line);
    let used = || {
        let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let read = |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok();
        let nanoseconds = |text: String| text.split(' ').next()?.parse::<u64>().ok();
        let all: u64 = tasks.filter_map(|task| read(task.path()).and_then(nanoseconds)).sum();
        if all == 0 { nanoseconds(stat).unwrap_or(0) } else { all }
    };
    let before = used();
    std::thread::sleep(Duration::from_secs(2));
    (used() - before) as f64 / 2e9 * 100.0
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * (4 << 10)
}

fn region_row(table: &mut Table, gibibytes: usize) {
    let pages = (gibibytes << 30) / PAGE;
    let before = resident_bytes();
    let start = Instant::now();
    let built = builder(pages).build();
    let took = start.elapsed().as_secs_f64() * 1e6;
    let Ok(manager) = built else {
        println!("no region of {gibibytes} GiB: {}", built.expect_err("it failed"));
        return;
    };
    table.add("build", took);
    table.add("resident for it, KiB", resident_bytes().saturating_sub(before) as f64 / 1024.0);
    let owner = manager.owner("owner").register().expect("no minimum");
    table.add("a page", median(201, || owner.allocate_page().expect("free")));
    table.add("a block of 1,000 pages", median(51, || owner.allocate(1_000 * PAGE).expect("free")));
    table.add("`trim`, with next to nothing touched", median(5, || manager.trim()));
    table.add("`stats`", median(5, || manager.stats()));
    drop(owner);
    drop(manager);
    let (took, is_had) = block_among_holes(pages, 4);
    table.add("a block of 500 pages, by exchange", if is_had { took } else { -1.0 });
    let (took, is_had) = block_among_holes(pages, 1);
    table.add("a block of 500 pages, refused for want of a hole", if is_had { -1.0 } else { took });
}

/// A block of 500 pages while 2,000 are free, none beside another: what it took, and whether it was
/// had.
fn block_among_holes(pages: usize, address_space_factor: u32) -> (f64, bool) {
    let builder = builder(pages).address_space_factor(address_space_factor);
    let manager = builder.build().expect("address space");
    let owner = manager.owner("owner").register().expect("no minimum");
    let _most = owner.allocate((pages - 4_000) * PAGE).expect("it is empty");
    let free = manager.available_bytes() / PAGE;
    let mut single = owner.allocate_pages(free).expect("all that is free");
    let mut index = 0;
    single.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    let mut is_had = false;
    // Each is held, so that the next one finds no hole either.
    let mut blocks = Vec::new();
    let took = median(3, || {
        let block = owner.allocate(500 * PAGE);
        is_had = block.is_ok();
        blocks.extend(block);
    });
    (took, is_had)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let directory = args.iter().position(|arg| arg == "--tables").and_then(|at| args.get(at + 1));
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    let publish = |name: &str, text: String| {
        println!("{text}");
        if let Some(directory) = directory {
            fs::write(PathBuf::from(directory).join(format!("{name}.md")), text).expect("written");
        }
    };
    if is_wanted("flat-owners") {
        let mut table = Table::new(COUNTS.map(|count| count.to_string()).into(), 3.0);
        for count in COUNTS {
            owners_row(&mut table, count);
            reclaim_row(&mut table, count, false);
            reclaim_row(&mut table, count, true);
        }
        publish("flat-owners", table.to_markdown("By the number of owners, in chains of ten: µs"));
    }
    if is_wanted("flat-waiters") {
        let mut table = Table::new(COUNTS.map(|count| count.to_string()).into(), 3.0);
        for count in COUNTS {
            waiters_row(&mut table, count);
            limits_row(&mut table, count);
        }
        let idle = idle_percent();
        let title = format!(
            "By the number of requests that wait: µs. While one waits, the manager takes \
             {idle:.2} % of a core"
        );
        publish("flat-waiters", table.to_markdown(&title));
    }
    if is_wanted("flat-regions") {
        let heads = GIBIBYTES.map(|gibibytes| format!("{gibibytes} GiB"));
        let mut table = Table::new(heads.into(), 3.0);
        GIBIBYTES.into_iter().for_each(|gibibytes| region_row(&mut table, gibibytes));
        publish("flat-regions", table.to_markdown("By the size of the region, pages of 4 KiB: µs"));
    }
}
