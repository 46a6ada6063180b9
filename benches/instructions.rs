//! How many instructions does a fast path take, whatever else the machine does?
//!
//! `scripts/instructions.sh` runs this program under callgrind, once for each case, and compares
//! the counts with `benches/instructions.txt`. Everything happens in one thread, in the same order
//! each time.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

#[path = "support/sizes.rs"]
mod sizes;

use std::hint::black_box;

use offheap::{MemoryManager, MemorySegment, Owner, Worker};

use sizes::{Random, Sizes};

const PAGES: usize = 8192;
const PAGE_BYTES: usize = 32 << 10;
/// Operations that are counted together, so that what happens once in a batch has its share.
const OPERATIONS: usize = 6400;
/// Operations before, so that magazines, holes and branches are as they stay.
const WARM_UP: usize = 640;

/// So many operations of a case.
type Work = Box<dyn FnMut(usize)>;

/// Its name, and how to get ready.
type Case = (&'static str, fn() -> Work);

const CASES: [Case; 11] = [
    ("worker-pair", worker_pair),
    ("worker-lifo-64", worker_lifo),
    ("worker-page-released-by-another", released_by_another_worker),
    ("worker-page-dropped", dropped_elsewhere),
    ("owner-pair", owner_pair),
    ("owner-64-pages-at-once", owner_batch),
    ("block-replacement-pow2", || block_replacement(Sizes::PowersOfTwo)),
    ("block-replacement-any", || block_replacement(Sizes::Any)),
    ("segment-put-u64", segment_put),
    ("segment-get-u64", segment_get),
    ("refusal", refusal),
];

/// The part of the program that is counted: the script knows it by its name.
#[inline(never)]
fn counted_part(work: &mut dyn FnMut(usize)) {
    work(OPERATIONS);
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "--list" {
        CASES.iter().for_each(|(name, _)| println!("{name} {OPERATIONS}"));
        return;
    }
    let Some((_, case)) = CASES.iter().find(|(name, _)| *name == wanted) else {
        println!("scripts/instructions.sh counts the instructions of this program");
        return;
    };
    let mut work = case();
    work(WARM_UP);
    counted_part(&mut work);
}

fn owner() -> Owner {
    let builder = MemoryManager::builder().capacity(PAGES * PAGE_BYTES).page_size(PAGE_BYTES);
    let manager = builder.build().expect("256 MiB");
    manager.owner("counted").register().expect("a fresh manager")
}

fn page(worker: &mut Worker) -> MemorySegment {
    black_box(worker.allocate_page().expect("a page is free"))
}

fn worker_pair() -> Work {
    let mut worker = owner().worker();
    Box::new(move |operations| {
        for _ in 0..operations {
            let page = page(&mut worker);
            worker.release(page);
        }
    })
}

fn worker_lifo() -> Work {
    let mut worker = owner().worker();
    let mut held = Vec::with_capacity(64);
    Box::new(move |operations| {
        for _ in 0..operations / 64 {
            held.extend((0..64).map(|_| page(&mut worker)));
            while let Some(page) = held.pop() {
                worker.release(page);
            }
        }
    })
}

/// What a consumer does with a producer's pages.
fn released_by_another_worker() -> Work {
    let owner = owner();
    let (mut producer, mut consumer) = (owner.worker(), owner.worker());
    Box::new(move |operations| {
        for _ in 0..operations {
            let page = page(&mut producer);
            consumer.release(page);
        }
    })
}

fn dropped_elsewhere() -> Work {
    let mut worker = owner().worker();
    Box::new(move |operations| (0..operations).for_each(|_| drop(page(&mut worker))))
}

fn owner_pair() -> Work {
    let owner = owner();
    Box::new(move |operations| {
        for _ in 0..operations {
            drop(black_box(owner.allocate_page().expect("a page is free")));
        }
    })
}

fn owner_batch() -> Work {
    let owner = owner();
    Box::new(move |operations| {
        for _ in 0..operations / 64 {
            owner.release_all(black_box(owner.allocate_pages(64).expect("64 pages are free")));
        }
    })
}

/// Random blocks of 1 to 128 pages, which fill three quarters of the region.
fn block_replacement(sizes: Sizes) -> Work {
    let owner = owner();
    let mut held: Vec<MemorySegment> = Vec::with_capacity(PAGES);
    let (mut held_pages, mut random) = (0, Random::new(7));
    Box::new(move |operations| {
        for _ in 0..operations {
            let pages = random.pages(sizes);
            while held_pages + pages > PAGES * 3 / 4 {
                held_pages -= held.swap_remove(random.below(held.len())).size() / PAGE_BYTES;
            }
            if let Ok(block) = black_box(owner.allocate(pages * PAGE_BYTES)) {
                held_pages += pages;
                held.push(block);
            }
        }
    })
}

fn segment_put() -> Work {
    let mut page = owner().allocate_page().expect("a page is free");
    Box::new(move |operations| {
        for at in 0..operations {
            let offset = black_box(at % (PAGE_BYTES / 8) * 8);
            black_box(&mut page).put_u64_le(offset, at as u64).expect("in bounds");
        }
    })
}

fn segment_get() -> Work {
    let page = owner().allocate_page().expect("a page is free");
    Box::new(move |operations| {
        for at in 0..operations {
            let offset = black_box(at % (PAGE_BYTES / 8) * 8);
            black_box(black_box(&page).get_u64_le(offset).expect("in bounds"));
        }
    })
}

/// One page more than there is.
fn refusal() -> Work {
    let owner = owner();
    let all = owner.allocate_pages(PAGES).expect("all pages are free");
    Box::new(move |operations| {
        for _ in 0..operations {
            black_box(owner.allocate_page().expect_err("all pages are held"));
        }
        black_box(&all);
    })
}
