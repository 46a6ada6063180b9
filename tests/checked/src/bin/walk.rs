//! Takes memory in every way there is, uses all of it, and gives it back in every way there is; or
//! makes one mistake, which a checker has to report. `scripts/asan.sh` and `scripts/valgrind.sh`
//! run it.
//!
//! `walk` makes none, `walk MISTAKE` makes the one that is named. The mistakes are those of a
//! caller; those of the core itself are planted with `OFFHEAP_SEEDED`.

use std::error::Error;
use std::hint::black_box;
use std::mem;

use offheap::{MemoryManager, MemorySegment, Owner, Strategy, config::ZeroPolicy};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const PAGE: usize = 4 << 10;
const PAGES: usize = 300;

/// On a thread of its own, so that no address stays behind on a stack and hides what was lost.
fn main() -> Outcome {
    let mistake = std::env::args().nth(1);
    let walked = std::thread::spawn(move || walk(mistake.as_deref())).join();
    walked.map_err(|_| "the walk panicked")?
}

fn walk(mistake: Option<&str>) -> Outcome {
    match mistake {
        None => {
            for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
                for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
                    everything(policy, strategy)?;
                }
            }
            the_last_page()
        }
        Some("the-last-page") => the_last_page(),
        Some("writes-after-release") => writes_after_release(),
        Some("writes-past-its-page") => writes_past(2),
        Some("writes-past-the-region") => writes_past(1),
        Some("writes-after-reset") => writes_after_reset(),
        Some("reads-a-fresh-page") => reads_a_fresh_page(),
        Some("forgets-a-page") => forgets_a_page(),
        Some(other) => Err(format!("no mistake is called `{other}`").into()),
    }
}

/// Pages, blocks and objects, by an owner, by a worker and by other threads.
fn everything(policy: ZeroPolicy, strategy: Strategy) -> Outcome {
    let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
    let manager = builder.zero_policy(policy).strategy(strategy).build()?;
    let owner = manager.owner("walker").register()?;
    for round in 0..3 {
        pages_and_blocks(&owner, policy)?;
        by_a_worker(&owner, policy)?;
        objects(&owner)?;
        zeros_and_raw_parts(&owner)?;
        if round == 1 {
            manager.trim();
        }
    }
    manager.verify_empty()?;
    let exchanged = manager.stats().exchanges > 0;
    exchanged.then_some(()).ok_or_else(|| "no block took spare address space".into())
}

fn pages_and_blocks(owner: &Owner, policy: ZeroPolicy) -> Outcome {
    let mut held = owner.allocate_pages(20)?;
    held.push(owner.allocate_page()?);
    held.push(owner.allocate(66 * PAGE)?);
    held.push(owner.allocate_up_to(9 * PAGE)?);
    // No hole is that long while every other page is held: the block takes spare address space.
    let rest = owner.available_bytes() / PAGE;
    let (kept, gone): (Vec<_>, Vec<_>) = odd_and_even(owner.allocate_pages(rest)?);
    drop(gone);
    held.push(owner.allocate(40 * PAGE)?);
    held.extend(kept);
    held.extend(owner.allocate_scattered(owner.available_bytes())?);
    held.iter_mut().try_for_each(|segment| use_all(segment, policy))?;
    let (some, others) = odd_and_even(held);
    owner.release_all(some);
    let dropped = std::thread::spawn(move || drop(others)).join();
    dropped.map_err(|_| "a segment cannot be dropped on another thread".into())
}

fn odd_and_even(segments: Vec<MemorySegment>) -> (Vec<MemorySegment>, Vec<MemorySegment>) {
    let mut is_odd = false;
    segments.into_iter().partition(|_| {
        is_odd = !is_odd;
        is_odd
    })
}

fn by_a_worker(owner: &Owner, policy: ZeroPolicy) -> Outcome {
    let mut worker = owner.worker();
    for _ in 0..2 {
        let mut pages = Vec::new();
        for _ in 0..100 {
            pages.push(worker.allocate_page()?);
        }
        pages.iter_mut().try_for_each(|page| use_all(page, policy))?;
        pages.into_iter().for_each(|page| worker.release(page));
    }
    Ok(())
}

fn objects(owner: &Owner) -> Outcome {
    let mut scratch = owner.scratch(64 * PAGE);
    for _ in 0..2 {
        for size in 0..200 {
            scratch.alloc_slice_copy(&vec![1_u8; size])?[..].fill(2);
        }
        scratch.alloc_slice_copy(&[3_u64; 3000])?.fill(4);
        scratch.reset();
    }
    Ok(())
}

/// Zeros that were asked for, and segments that are raw parts for a while.
fn zeros_and_raw_parts(owner: &Owner) -> Outcome {
    let mut zeros = owner.allocate_pages_zeroed(20)?;
    zeros.push(owner.allocate_page_zeroed()?);
    zeros.push(owner.allocate_zeroed(66 * PAGE)?);
    zeros.iter_mut().try_for_each(|segment| use_all(segment, ZeroPolicy::OnAllocate))?;
    for raw in zeros.into_iter().map(MemorySegment::into_raw) {
        // SAFETY: 1: the parts are those of one segment. 2: each is used once. 3: nothing else has
        // them, and the bytes were written.
        use_all(&mut unsafe { MemorySegment::from_raw(raw) }, ZeroPolicy::Never)?;
    }
    Ok(())
}

/// Reads what the policy promises, writes to every byte, and reads them back.
fn use_all(segment: &mut MemorySegment, policy: ZeroPolicy) -> Outcome {
    if policy != ZeroPolicy::Never && segment.iter().any(|byte| *byte != 0) {
        return Err("a fresh segment is not zero".into());
    }
    segment.fill(0xa5);
    let read_back = segment.iter().all(|byte| *byte == 0xa5);
    read_back.then_some(()).ok_or_else(|| "a byte was not kept".into())
}

/// A region of so many pages and nothing behind them.
fn region_of(pages: usize) -> Result<(MemoryManager, Owner), Box<dyn Error + Send + Sync>> {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let manager = builder.address_space_factor(1).build()?;
    let owner = manager.owner("walker").register()?;
    Ok((manager, owner))
}

/// An object that ends where the region does, and one that has no room behind it.
fn the_last_page() -> Outcome {
    let (_manager, owner) = region_of(1)?;
    let scratch = owner.scratch(PAGE);
    scratch.alloc([1_u8; PAGE])?;
    let refused = scratch.alloc([2_u8; 64]).is_err();
    refused.then_some(()).ok_or_else(|| "an object was placed behind the region".into())
}

/// Writes through a pointer that it kept too long.
fn writes_after_release() -> Outcome {
    let (_manager, owner) = region_of(2)?;
    let mut page = owner.allocate_page()?;
    let kept = page.as_mut_ptr();
    drop(page);
    // SAFETY: does not hold: the page was released, which is the mistake.
    unsafe { kept.write(1) };
    Ok(())
}

/// Writes behind the first of `pages` pages: to a free page, or behind the region.
fn writes_past(pages: usize) -> Outcome {
    let (_manager, owner) = region_of(pages)?;
    let mut page = owner.allocate_page()?;
    let behind = page.as_mut_ptr().wrapping_add(PAGE);
    // SAFETY: does not hold: it is not of the page, which is the mistake.
    unsafe { behind.write(1) };
    Ok(())
}

/// Writes to an object that was forgotten.
fn writes_after_reset() -> Outcome {
    let (_manager, owner) = region_of(1)?;
    let mut scratch = owner.scratch(PAGE);
    let kept: *mut u64 = scratch.alloc(1_u64)?;
    scratch.reset();
    // SAFETY: does not hold: the object is gone, which is the mistake.
    unsafe { kept.write(2) };
    Ok(())
}

/// Decides by a byte that nobody wrote, under the policy that promises nothing.
fn reads_a_fresh_page() -> Outcome {
    let (_manager, owner) = region_of(1)?;
    let page = owner.allocate_page()?;
    println_if(black_box(page[100]) == 0);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "something that depends on the byte")]
fn println_if(is_zero: bool) {
    if is_zero {
        println!("the byte is zero");
    }
}

/// Loses a page that it could have given back.
fn forgets_a_page() -> Outcome {
    let (_manager, owner) = region_of(2)?;
    let pages = owner.allocate_pages(2)?;
    pages.into_iter().for_each(mem::forget);
    Ok(())
}
