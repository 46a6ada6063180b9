//! Pools that are killed at random moments leave no file, and take no room on the disk.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "support/stamped.rs"]
mod stamped;
#[allow(dead_code)] // other tests use the rest
mod support;
#[allow(dead_code)] // as above
#[path = "support/system.rs"]
mod system;

use std::ffi::CString;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io, ptr, thread};

use offheap::MemoryManager;
use offheap_fault_tests::{Child, Ended, again};
use offheap_paging::{DirectIo, PagePool, WriteBehind};
use offheap_test_support::{Random, block_on};

use stamped::{PAGE, builder, check, check_all, stamp};
use support::in_a_process;
use system::{mount, unmount};

const TEST: &str = "a_pool_that_is_killed_at_a_random_moment_leaves_nothing_on_the_disk";
/// How many are killed in each folder, unless `OFFHEAP_KILLS` says otherwise.
const KILLS: u64 = 20;
/// The time until one is killed: most have begun to spill by then.
const MICROS_MAX: usize = 60_000;
const PAGES: usize = 40;
const DISK_BYTES: usize = 16 << 20;

fn folder(name: &str, process: u32) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{name}-{process}"))
}

/// A number from the environment.
fn told(name: &str) -> Option<u64> {
    Some(env::var(name).ok()?.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Has the system kill this process after so many microseconds, whatever it is doing then.
fn be_killed_in(micros: i64) {
    // SAFETY: all zeros is a value of this type: numbers, and pointers to nothing.
    let mut event: libc::sigevent = unsafe { zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = libc::SIGKILL;
    let mut timer: libc::timer_t = ptr::null_mut();
    // SAFETY: the call reads one value and writes another.
    let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let after = libc::timespec { tv_sec: 0, tv_nsec: 1000 * micros + 1 };
    let once = libc::itimerspec { it_interval: never, it_value: after };
    // SAFETY: the timer was made above, and the call reads one value.
    let set = unsafe { libc::timer_settime(timer, 0, &raw const once, ptr::null_mut()) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// All that one does with a pool.
fn use_a_pool(pool: &PagePool, random: &mut Random) {
    let other = pool.owner().clone();
    let mut pages = Vec::new();
    let count = PAGES + random.below(3 * PAGES);
    for number in 0..count {
        pages.push(pool.allocate().unwrap());
        stamp(&mut pages[number], number);
    }
    println!("@spilled");
    for _ in 0..10 {
        let at = random.below(count - 8);
        let some: Vec<_> = (at..at + 8).map(|near| &pages[near]).collect();
        let guards = pool.read_many(&some).unwrap();
        guards.iter().zip(at..).for_each(|(guard, number)| check(guard, number));
        drop(guards);
        pool.prefetch(&[&pages[random.below(count)], &pages[random.below(count)]]);
        let at = random.below(count);
        check(&block_on(pages[at].read_async()).unwrap(), at);
        let at = random.below(count);
        stamp(&mut pages[at], at);
        drop(other.allocate_page());
    }
    check_all(&pages);
    while !pages.is_empty() {
        drop(pages.swap_remove(random.below(pages.len())));
    }
}

/// Makes pools of all kinds, one after the other, until it is killed.
fn live(order: &str) -> ! {
    let words: Vec<_> = order.split(' ').collect();
    let [name, micros, seed] = words[..] else { panic!("{order}") };
    let (dir, mut random) = (folder(name, parent_id()), Random::new(seed.parse().unwrap()));
    be_killed_in(micros.parse().unwrap());
    loop {
        let manager = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build();
        let owner = manager.unwrap().owner("pool").register().unwrap();
        let behind = if random.chance() { WriteBehind::On } else { WriteBehind::Off };
        let direct = if random.chance() { DirectIo::Try } else { DirectIo::Off };
        let staging = PAGE << random.below(3);
        let builder = builder(&owner, &dir).write_behind(behind).direct_io(direct);
        use_a_pool(&builder.staging_bytes(staging).build().unwrap(), &mut random);
    }
}

/// The bytes that the disk of `dir` has left.
fn free_bytes(dir: &Path) -> u64 {
    let path = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: numbers, which may all be zero.
    let mut status: libc::statvfs = unsafe { zeroed() };
    // SAFETY: the call reads a string that ends in a zero byte, and writes a value of this type.
    assert_eq!(unsafe { libc::statvfs(path.as_ptr(), &raw mut status) }, 0);
    status.f_bfree * status.f_frsize
}

/// Kills so many in the folder of this name. Says how many had begun to spill.
fn kill_all(name: &str, kills: u64, seed: u64, is_our_disk: bool) -> usize {
    let dir = folder(name, std::process::id());
    let before = free_bytes(&dir);
    let mut spilled = 0;
    for number in 0..kills {
        let seed = seed.wrapping_add(number);
        let micros = Random::new(seed).below(MICROS_MAX);
        let child = Child::run(TEST, &format!("{name} {micros} {seed}"));
        let what = format!("in {name}, after {micros} us, with OFFHEAP_SEED={seed}");
        assert_eq!(child.ended(), Ended::BySignal(libc::SIGKILL), "{what}:\n{}", child.said());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "a file is left {what}");
        // The system lets go of a file once its last transfer has ended. If it never does, the
        // alarm ends this process.
        while is_our_disk && free_bytes(&dir) != before {
            thread::yield_now();
        }
        spilled += usize::from(!child.lines("@spilled").is_empty());
    }
    spilled
}

#[test]
fn a_pool_that_is_killed_at_a_random_moment_leaves_nothing_on_the_disk() {
    if let Some(order) = again().filter(|order| order != "once") {
        live(&order);
    }
    in_a_process(TEST, || {
        let kills = told("OFFHEAP_KILLS").unwrap_or(KILLS);
        // SAFETY: the call takes a number.
        unsafe { libc::alarm(u32::try_from(120 + kills).unwrap()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = told("OFFHEAP_SEED").unwrap_or(u64::from(now.subsec_nanos()));
        println!("killed with OFFHEAP_SEED={seed}");
        let [disk, memory] = ["disk", "memory"].map(|name| folder(name, std::process::id()));
        fs::create_dir(&disk).unwrap();
        let spilled = kill_all("disk", kills, seed, false);
        fs::remove_dir(&disk).unwrap();
        assert!(spilled > 0 || kills < KILLS, "none of {kills} had begun to spill");
        fs::create_dir(&memory).unwrap();
        let mounted = mount(&memory, DISK_BYTES, 0);
        if mounted.is_ok() {
            let spilled = kill_all("memory", kills, seed, true);
            assert!(spilled > 0 || kills < KILLS, "none of {kills} had begun to spill");
            unmount(&memory);
        }
        fs::remove_dir(&memory).unwrap();
        mounted
    });
}
