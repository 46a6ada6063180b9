//! Pools on disks that are full, limited or damaged, and pools after a fork.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "support/stamped.rs"]
mod stamped;
mod support;
#[path = "support/system.rs"]
mod system;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use offheap::MemoryManager;
use offheap_paging::{InsertReason, Page, PagePool, PagingError, WriteBehind};
use offheap_test_support::Random;

use stamped::{PAGE, builder, check, check_all, stamp};
use support::{in_a_process, limit};
use system::{in_a_child, mount, unmount};

const PAGES: usize = 40;

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    dir
}

fn pool(manager: &MemoryManager, dir: &Path) -> PagePool {
    let owner = manager.owner("pool").register().unwrap();
    let builder = builder(&owner, dir).write_behind(WriteBehind::Off);
    builder.staging_bytes(4 * PAGE).build().unwrap()
}

fn manager() -> MemoryManager {
    MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build().unwrap()
}

/// Makes pages until one is refused, and says why.
fn fill(pool: &PagePool, pages: &mut Vec<Page>) -> PagingError {
    loop {
        match pool.allocate() {
            Ok(page) => pages.push(page),
            Err(error) => return error,
        }
        let number = pages.len() - 1;
        stamp(pages.last_mut().unwrap(), number);
        assert!(number < 2000, "there is no limit");
    }
}

/// With the disk full and every frame dirty, all pages are read, and those in memory are written.
fn reads_go_on(pool: &PagePool, pages: &mut [Page]) {
    for round in 0..3 {
        for (number, page) in pages.iter_mut().enumerate().filter(|(_, page)| page.is_resident()) {
            stamp(page, number);
        }
        check_all(pages);
        assert!(pool.allocate().is_err(), "in round {round}");
    }
    assert!(pool.stats().swaps > 0, "{:?}", pool.stats());
}

#[test]
fn on_a_full_disk_reads_go_on_and_later_all_does() {
    in_a_process("on_a_full_disk_reads_go_on_and_later_all_does", || {
        let dir = folder("full-pool");
        let mounted = mount(&dir, 600 << 10, 0);
        if mounted.is_ok() {
            let ballast = dir.join("ballast");
            fs::write(&ballast, vec![1; 200 << 10]).unwrap();
            let manager = manager();
            let pool = pool(&manager, &dir);
            let mut pages = Vec::new();
            let error = fill(&pool, &mut pages);
            let (text, place) = (error.to_string(), dir.display().to_string());
            assert!(error.is_for_want_of_disk() && text.contains(&place), "{text}");
            assert!(text.contains("bytes"), "{text}");
            assert!(pages.len() > PAGES + 40, "{} pages", pages.len());
            reads_go_on(&pool, &mut pages);
            fs::remove_file(&ballast).unwrap();
            let before = pages.len();
            fill(&pool, &mut pages);
            assert!(pages.len() >= before + 40, "{before} pages, then {}", pages.len());
            check_all(&pages);
            // What is dropped makes room as well.
            pages.truncate(before);
            check_all(&pages);
            drop((pages, pool));
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
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
        let (manager, dir) = (manager(), folder("limited-pool"));
        let pool = pool(&manager, &dir);
        let mut pages = Vec::new();
        {
            let _limited = limit(libc::RLIMIT_FSIZE, 50 * PAGE + 1)?;
            let error = fill(&pool, &mut pages);
            assert!(error.is_for_want_of_disk(), "{error}");
            assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
            reads_go_on(&pool, &mut pages);
        }
        while pages.len() < 300 {
            pages.push(pool.allocate().unwrap());
            let number = pages.len() - 1;
            stamp(&mut pages[number], number);
        }
        check_all(&pages);
        drop((pages, pool));
        fs::remove_dir(&dir).unwrap();
        manager.verify_empty().unwrap();
        Ok(())
    });
}

/// The spill file of this process in `dir`, by which others get at it, too.
fn spill_file(dir: &Path) -> File {
    let links = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let is_in_dir = |link: &PathBuf| fs::read_link(link).is_ok_and(|to| to.starts_with(dir));
    let link = links.into_iter().find(is_in_dir).unwrap();
    File::options().read(true).write(true).open(link).unwrap()
}

/// How pages are read.
#[derive(Clone, Copy)]
enum By {
    Guard,
    Copy,
}

/// Reads all pages. What is not refused as damaged is right. Says how many were refused.
fn damaged(pages: &[Page], by: By) -> usize {
    let mut damaged = 0;
    let mut copy = vec![0; PAGE];
    for (number, page) in pages.iter().enumerate() {
        let result = match by {
            By::Guard => page.read().map(|bytes| check(&bytes, number)),
            By::Copy => page.read_into(&mut copy).map(|()| check(&copy, number)),
        };
        match result {
            Ok(()) => {}
            Err(error) => {
                let PagingError::Damaged { offset, bytes, .. } = error else { panic!("{error}") };
                assert_eq!((offset % PAGE as u64, bytes), (0, PAGE));
                assert!(error.to_string().contains(&offset.to_string()), "{error}");
                damaged += 1;
            }
        }
    }
    damaged
}

#[test]
fn damage_anywhere_in_the_file_is_an_error_and_never_wrong_data() {
    in_a_process("damage_anywhere_in_the_file_is_an_error_and_never_wrong_data", || {
        let dir = folder("damaged-pool");
        // Another one each time; with this one it is as it was.
        let seed = std::env::var("OFFHEAP_SEED").ok().map(|seed| seed.parse().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = seed.unwrap_or(u64::from(now.subsec_nanos()));
        println!("damaged with OFFHEAP_SEED={seed}");
        let mut random = Random::new(seed);
        for round in 0..25 {
            let manager = manager();
            let pool = pool(&manager, &dir);
            let mut pages = Vec::new();
            for number in 0..150 {
                pages.push(pool.allocate().unwrap());
                stamp(&mut pages[number], number);
            }
            let spilled: Vec<_> = (0..150).filter(|at| !pages[*at].is_resident()).collect();
            assert!(spilled.len() > 100);
            let (file, used) = (spill_file(&dir), pool.stats().file_used_bytes);
            let units = usize::try_from(used).unwrap() / PAGE;
            let place = |random: &mut Random| random.below(units) as u64 * PAGE as u64;
            for _ in 0..20 {
                match round % 5 {
                    // Some bytes.
                    0 => {
                        let at = random.below(units * PAGE - 16) as u64;
                        file.write_all_at(&random.bytes(16), at).unwrap();
                    }
                    // A bit.
                    1 => {
                        let (at, mut byte) = (random.below(units * PAGE) as u64, [0]);
                        file.read_exact_at(&mut byte, at).unwrap();
                        file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at).unwrap();
                    }
                    // What is left of a page whose write ended in the middle, and the other half.
                    2 => {
                        let half = place(&mut random) + random.below(2) as u64 * PAGE as u64 / 2;
                        file.write_all_at(&random.bytes(PAGE / 2), half).unwrap();
                    }
                    // What a disk has where it has lost something.
                    3 => file.write_all_at(&[0; 512], place(&mut random)).unwrap(),
                    // What is right, in the place of another page.
                    _ => {
                        let (from, to, mut page) =
                            (place(&mut random), place(&mut random), [0; PAGE]);
                        file.read_exact_at(&mut page, from).unwrap();
                        file.write_all_at(&page, to).unwrap();
                    }
                }
            }
            assert!(damaged(&pages, By::Guard) > 0, "in round {round}");
            // It is still an error the next time, and new content is right.
            let still = damaged(&pages, By::Copy);
            assert!(still > 0, "in round {round}");
            assert_eq!(damaged(&pages, By::Guard), still, "in round {round}");
            drop(pages);
            let mut pages = Vec::new();
            for number in 0..150 {
                pages.push(pool.allocate().unwrap());
                stamp(&mut pages[number], number);
            }
            check_all(&pages);
        }
        fs::remove_dir(&dir).unwrap();
        Ok(())
    });
}

/// What a child may do with the pool of its parent: nothing but drop it.
fn is_told(pool: &PagePool, pages: Vec<Page>) -> bool {
    let is_forked = |error: PagingError| {
        let text = error.to_string();
        matches!(error, PagingError::Forked { .. })
            && text.contains(&std::process::id().to_string())
    };
    let spilled = pages.iter().find(|page| !page.is_resident()).unwrap();
    let mut waits = pin!(spilled.read_async());
    let future = match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map(drop).is_err_and(is_forked),
        Poll::Pending => false,
    };
    pool.prefetch(&[spilled]);
    let segment = pool.owner().limit() - PAGES * PAGE == 0;
    let told = pool.allocate().map(drop).is_err_and(is_forked)
        && pool.allocate_pages(2).map(drop).is_err_and(is_forked)
        && spilled.read().map(drop).is_err_and(is_forked)
        && pool.read_many(&[spilled, spilled]).map(drop).is_err_and(is_forked);
    drop(pages);
    told && future && segment
}

#[test]
fn a_child_is_told_and_touches_nothing() {
    in_a_process("a_child_is_told_and_touches_nothing", || {
        let dir = folder("forked-pool");
        let manager = manager();
        let pool = pool(&manager, &dir);
        let owner = pool.owner().clone();
        let mut pages = Vec::new();
        let mut segment = Some(owner.allocate_page().unwrap());
        for number in 0..150 {
            pages.push(pool.allocate().unwrap());
            stamp(&mut pages[number], number);
        }
        let before = pool.stats();
        let mut mine = Some(pages);
        for _ in 0..3 {
            let (pages, segment) = (&mut mine, &mut segment);
            let right = in_a_child(|| {
                let error = pool.insert(segment.take().unwrap()).unwrap_err();
                matches!(error.reason, InsertReason::Forked { .. })
                    && is_told(&pool, pages.take().unwrap())
            });
            assert!(right, "the child was not told");
        }
        assert_eq!(pool.stats(), before);
        let mut pages = mine.unwrap();
        check_all(&pages);
        pages.push(pool.insert(segment.unwrap()).unwrap());
        stamp(&mut pages[150], 150);
        check_all(&pages);
        drop((pages, pool, owner));
        manager.verify_empty().unwrap();
        fs::remove_dir(&dir).unwrap();
        Ok(())
    });
}
