//! Disks that are full or not there, signals in the middle, and forks.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "support/sorting.rs"]
mod sorting;
mod support;
#[path = "support/system.rs"]
mod system;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemorySegment, Owner, error::Reason};
use offheap_operators::sort::SortError;
use offheap_test_support::{Count, Flag};

use support::{in_a_process, limit};
use system::{in_a_child, mount, unmount};

const PAGE: usize = 4 << 10;
const PAGES: usize = 64;

fn manager() -> MemoryManager {
    MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build().unwrap()
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Sorts so many rows, which do not fit.
fn sort(owner: &Owner, count: u32, dir: &Path) -> Result<(), SortError> {
    assert!(sorting::sort(owner, count, dir)? > 0);
    Ok(())
}

/// The sort fails with this errno, and an error that says where; nothing of it is left.
fn assert_refused(owner: &Owner, dir: &Path, errno: i32, action: &str) {
    let error = sort(owner, 20_000, dir).unwrap_err();
    let SortError::Spill { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), io::Error::from_raw_os_error(errno).kind(), "{error}");
    let text = error.to_string();
    assert!(text.contains(&dir.display().to_string()) && text.contains(action), "{text}");
    assert_eq!(owner.used_bytes(), 0);
}

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    dir
}

#[test]
fn where_no_file_can_be_made_the_error_says_where() {
    let (manager, dir) = (manager(), folder("no-file"));
    let owner = owner(&manager, "sort");
    assert_refused(&owner, &dir.join("missing"), libc::ENOENT, "create");
    fs::write(dir.join("file"), "").unwrap();
    assert_refused(&owner, &dir.join("file"), libc::ENOTDIR, "create");
    assert_refused(&owner, &dir.join("file/below"), libc::ENOTDIR, "create");
    fs::remove_file(dir.join("file")).unwrap();
    sort(&owner, 20_000, &dir).unwrap();
    fs::remove_dir(&dir).unwrap();
    drop(owner);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

#[test]
fn on_a_full_disk_a_sort_is_refused_and_leaves_all_of_it() {
    in_a_process("on_a_full_disk_a_sort_is_refused_and_leaves_all_of_it", || {
        let dir = folder("full");
        let mounted = mount(&dir, 400 << 10, 0);
        let (manager, free) = (manager(), dir.clone());
        let owner = owner(&manager, "sort");
        if mounted.is_ok() {
            for _ in 0..3 {
                assert_refused(&owner, &dir, libc::ENOSPC, "write");
                sort(&owner, 5_000, &free).unwrap();
            }
            unmount(&dir);
        }
        fs::remove_dir(&dir).unwrap();
        drop(owner);
        manager.verify_empty().unwrap();
        mounted
    });
}

#[test]
fn on_a_disk_that_cannot_be_written_the_error_says_so() {
    in_a_process("on_a_disk_that_cannot_be_written_the_error_says_so", || {
        let dir = folder("read-only");
        let mounted = mount(&dir, 400 << 10, libc::MS_RDONLY);
        if mounted.is_ok() {
            let manager = manager();
            assert_refused(&owner(&manager, "sort"), &dir, libc::EROFS, "create");
            manager.verify_empty().unwrap();
            unmount(&dir);
        }
        fs::remove_dir(&dir).unwrap();
        mounted
    });
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_no_end() {
    in_a_process("a_limit_on_the_size_of_files_is_an_error_and_no_end", || {
        // SAFETY: the call takes numbers only. By default this signal ends the process.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let (manager, dir) = (manager(), folder("file-size"));
        let owner = owner(&manager, "sort");
        for bytes in [0, 1, PAGE, 200_000] {
            let _limited = limit(libc::RLIMIT_FSIZE, bytes)?;
            assert_refused(&owner, &dir, libc::EFBIG, "write");
        }
        sort(&owner, 20_000, &dir).unwrap();
        // Fails unless it is empty.
        fs::remove_dir(&dir).unwrap();
        Ok(())
    });
}

static SIGNALS: Count = Count::new();

extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.add(1);
}

/// Has a signal interrupt what is under way, which the system does not begin again by itself.
fn interrupt_on(signal: libc::c_int) {
    // SAFETY: all zeros is a value of this type: no flags, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count_signal as *const () as usize;
    // SAFETY: the call reads a value of this type; the handler does what a handler may.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_storm_of_signals_is_not_noticed() {
    in_a_process("a_storm_of_signals_is_not_noticed", || {
        interrupt_on(libc::SIGUSR1);
        let (manager, dir) = (manager(), folder("signals"));
        let ends = Flag::default();
        // SAFETY: the call reads a number.
        let target = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            let storm = || {
                while !ends.is_set() {
                    // SAFETY: the thread waits for this one, so it is there.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    thread::yield_now();
                }
            };
            scope.spawn(storm);
            let owner = owner(&manager, "interrupted");
            let other = self::owner(&manager, "other");
            for round in 1..=20 {
                sort(&owner, 6_000, &dir).unwrap();
                // Waits for the other one, who gives back, and in vain.
                let pages = other.allocate_pages(PAGES).unwrap();
                let gives = scope.spawn(|| drop(pages));
                let waited = owner.acquire_pages_timeout(round, Duration::from_secs(60)).unwrap();
                gives.join().unwrap();
                let held = other.allocate_pages(PAGES - round).unwrap();
                let refused = owner.acquire_pages_timeout(1, Duration::from_millis(2));
                assert_eq!(refused.unwrap_err().reason(), Reason::TimedOut);
                drop((waited, held));
                assert!(manager.resident_bytes().is_some());
                manager.trim();
            }
            ends.set();
        });
        let signals = SIGNALS.get();
        assert!(signals > 100, "{signals} signals");
        fs::remove_dir(&dir).unwrap();
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
        println!("@note {signals} signals");
        Ok(())
    });
}

fn fill(segments: &mut [MemorySegment], stamp: u8) {
    segments.iter_mut().for_each(|segment| segment.fill(stamp));
}

fn are_filled(segments: &[MemorySegment], stamp: u8) -> bool {
    segments.iter().all(|page| page[0] == stamp && page[1..] == page[..page.size() - 1])
}

#[test]
fn what_a_child_does_after_a_fork_its_parent_does_not_see() {
    in_a_process("what_a_child_does_after_a_fork_its_parent_does_not_see", || {
        let manager = manager();
        let (one, two) = (owner(&manager, "one"), owner(&manager, "two"));
        let mut worker = one.worker();
        let mut held: Vec<_> = (0..20).map(|_| worker.allocate_page().unwrap()).collect();
        let mut kept = two.allocate_pages(10).unwrap();
        fill(&mut held, 1);
        fill(&mut kept, 2);
        (0..5).for_each(|_| worker.release(held.pop().unwrap()));
        let before =
            (manager.available_bytes(), one.used_bytes(), manager.occupancy().free_pages());
        let right = in_a_child(|| {
            let was_there = are_filled(&held, 1) && are_filled(&kept, 2);
            fill(&mut held, 3);
            fill(&mut kept, 3);
            kept.clear();
            // Brings back what the worker keeps at hand, with a fence of the child's own.
            let mut all = two.allocate_pages(PAGES - held.len()).unwrap();
            fill(&mut all, 4);
            let is_hers = are_filled(&held, 3) && are_filled(&all, 4);
            held.clear();
            all.clear();
            manager.trim();
            let page = worker.allocate_page().unwrap();
            worker.release(page);
            was_there && is_hers && manager.verify_empty().is_ok()
        });
        assert!(right, "the child may use its copy");
        assert!(are_filled(&held, 1) && are_filled(&kept, 2), "written by the child");
        let after = (manager.available_bytes(), one.used_bytes(), manager.occupancy().free_pages());
        assert_eq!(after, before);
        manager.check_consistency().unwrap();
        let mut all = two.allocate_pages(PAGES - held.len() - kept.len()).unwrap();
        fill(&mut all, 5);
        assert!(are_filled(&held, 1) && are_filled(&kept, 2));
        drop((held, kept, all, worker, one, two));
        manager.verify_empty().unwrap();
        Ok(())
    });
}

#[test]
fn a_child_that_ends_at_once_costs_its_parent_nothing() {
    in_a_process("a_child_that_ends_at_once_costs_its_parent_nothing", || {
        let manager = manager();
        // One that has threads.
        let subscription = manager.on_pressure(|_| ()).unwrap();
        let ends = Flag::default();
        thread::scope(|scope| {
            for stamp in 1..=2 {
                let owner = owner(&manager, "churn");
                let ends = &ends;
                scope.spawn(move || {
                    while !ends.is_set() {
                        let mut pages = owner.allocate_pages(PAGES / 4).unwrap();
                        fill(&mut pages, stamp);
                        assert!(are_filled(&pages, stamp));
                    }
                });
            }
            for _ in 0..50 {
                // What others have in hand may never be let go of in the child, so it asks nothing.
                assert!(in_a_child(|| true));
            }
            ends.set();
        });
        drop(subscription);
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
        Ok(())
    });
}
