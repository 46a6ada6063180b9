//! Limits of the system that are met for real: address space, mappings, threads, containers, disks,
//! signals, forks. One process each.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::id;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{MemoryManagerBuilder, Populate},
    error::{ConfigError, Reason},
};
use offheap_fault_tests::{Child, Ended, Footprint, again};

use support::{in_a_process, limit};

const MIB: usize = 1 << 20;
const PAGE: usize = 32 << 10;
const CAPACITY: usize = 16 * MIB;
/// What a region takes beside its pages, at most: guards, and what aligns it.
const SLACK: usize = 4 * MIB;

fn builder() -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(CAPACITY).page_size(PAGE)
}

fn owner(manager: &MemoryManager) -> Owner {
    manager.owner("owner").register().unwrap()
}

/// All pages of a manager but for every second one.
fn comb(owner: &Owner, pages: usize) -> Vec<MemorySegment> {
    let mut all = owner.allocate_pages(pages).unwrap();
    all.iter_mut().for_each(|page| page.fill(7));
    all.sort_by_key(|page| page.as_ptr().addr());
    all.into_iter().step_by(2).collect()
}

fn assert_combed(comb: &[MemorySegment]) {
    let is_whole = |page: &MemorySegment| page[0] == 7 && page[1..] == page[..PAGE - 1];
    assert!(comb.iter().all(is_whole));
}

/// Everything can be had, a block in spite of fragmentation, and goes back.
fn assert_works(manager: &MemoryManager) {
    let owner = owner(manager);
    let teeth = comb(&owner, manager.total_pages());
    if manager.stats().mapped_bytes > manager.capacity() {
        owner.allocate(32 * PAGE).unwrap().fill(9);
    }
    assert!(manager.resident_bytes().unwrap() <= manager.capacity());
    assert_combed(&teeth);
    drop((teeth, owner));
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

fn filled(mut block: MemorySegment) -> MemorySegment {
    block.fill(9);
    block
}

/// The bytes of address space that this process takes.
fn address_space() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn of_address_space_as_much_is_taken_as_there_is() {
    in_a_process("of_address_space_as_much_is_taken_as_there_is", || {
        let before = builder().build().unwrap();
        for extra in (0..=5 * CAPACITY).step_by(CAPACITY / 4) {
            let footprint = Footprint::with_threads(Footprint::threads());
            let (built, exact) = {
                let _limited = limit(libc::RLIMIT_AS, address_space() + extra)?;
                assert_works(&before);
                let exact = builder().address_space_factor(4).build().map(drop);
                (builder().build(), exact)
            };
            match built {
                Ok(manager) => {
                    let mapped = manager.stats().mapped_bytes;
                    assert!(mapped <= extra && mapped + SLACK > extra.min(4 * CAPACITY) / 2);
                    assert_works(&manager);
                }
                Err(error) => {
                    assert!(matches!(error, ConfigError::Region { .. }), "{error}");
                    assert!(error.to_string().contains(&CAPACITY.to_string()), "{error}");
                    assert!(extra < CAPACITY + SLACK, "{error}, and {extra} bytes are left");
                }
            }
            assert_eq!(exact.is_ok(), extra >= 4 * CAPACITY + SLACK, "{extra}");
            if let Err(error) = exact {
                let text = error.to_string();
                assert!(text.contains(&format!("cannot map {} bytes", 4 * CAPACITY)), "{text}");
            }
            Footprint::with_threads(Footprint::threads()).assert_not_above(&footprint, 0);
        }
        Ok(())
    });
}

/// Mappings that leave so few of those that a process may have.
struct ManyMappings {
    start: *mut libc::c_void,
    bytes: usize,
}

impl ManyMappings {
    fn but_for(left: usize) -> Result<Self, String> {
        let most = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
        let most: usize = most.trim().parse().unwrap();
        if most > 1 << 18 {
            return Err(format!("a process may have {most} mappings"));
        }
        let bytes = 2 * most * 4096;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, where the system has room.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let mappings = Self { start, bytes };
        // Every second page is a mapping of its own, and with it the page after it.
        let (mut made, mut at) = (0, 0);
        while mappings.protect(at, libc::PROT_READ) {
            (made, at) = (made + 1, at + 2 * 4096);
        }
        assert!(made > 1000);
        for undone in 1..=left.div_ceil(2) {
            mappings.protect(at - undone * 2 * 4096, libc::PROT_NONE);
        }
        Ok(mappings)
    }

    fn protect(&self, at: usize, protection: i32) -> bool {
        assert!(at + 4096 <= self.bytes);
        // SAFETY: a page of a mapping that is ours, which nobody reads or writes.
        unsafe { libc::mprotect(self.start.wrapping_byte_add(at), 4096, protection) == 0 }
    }
}

impl Drop for ManyMappings {
    fn drop(&mut self) {
        // SAFETY: a mapping that is ours, which nobody reads or writes.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}

#[test]
fn without_mappings_to_spare_nothing_is_lost() {
    in_a_process("without_mappings_to_spare_nothing_is_lost", || {
        let (mut refused, mut granted) = (0, 0);
        for left in 0..12 {
            let manager = builder().build().unwrap();
            let owner = owner(&manager);
            let teeth = comb(&owner, manager.total_pages());
            let before = owner.used_bytes();
            {
                let _many = ManyMappings::but_for(left)?;
                match builder().build() {
                    Ok(manager) => assert!(owner_of_all(&manager)),
                    Err(error) => {
                        assert!(error.to_string().contains("Cannot allocate memory"), "{error}");
                        refused += 1;
                    }
                }
                match owner.allocate(12 * PAGE) {
                    Ok(_) => granted += 1,
                    Err(error) => {
                        assert!(matches!(error.reason(), Reason::Fragmented { .. }), "{error}");
                        refused += 1;
                    }
                }
                manager.trim();
                assert_eq!(owner.used_bytes(), before, "a refused call changes nothing");
                assert!(manager.resident_bytes().unwrap() <= manager.capacity());
                manager.check_consistency().unwrap();
            }
            assert_combed(&teeth);
            assert_eq!(owner.allocate(12 * PAGE).unwrap().size(), 12 * PAGE);
            drop((teeth, owner));
            assert_works(&manager);
        }
        println!("@note {refused} refused, {granted} blocks granted");
        assert!(refused > 0 && granted > 0, "{refused} refused, {granted} granted");
        Ok(())
    });
}

/// Whether all pages can be had at once.
fn owner_of_all(manager: &MemoryManager) -> bool {
    owner(manager).allocate_pages(manager.total_pages()).is_ok()
}

#[test]
fn without_threads_it_is_done_without_or_told() {
    in_a_process("without_threads_it_is_done_without_or_told", || {
        // SAFETY: the call reads a number.
        if unsafe { libc::geteuid() } == 0 {
            // For the limit does not count for root.
            // SAFETY: the call takes a number; this process has no need of its rights any more.
            let status = unsafe { libc::setuid(54_321) };
            assert_eq!(status, 0);
        }
        let _limited = limit(libc::RLIMIT_NPROC, 0)?;
        if std::thread::Builder::new().spawn(|| ()).is_ok() {
            return Err("the system starts threads beyond the limit".into());
        }
        let error = builder().populate(Populate::Background).build().unwrap_err();
        assert!(matches!(error, ConfigError::Thread { .. }), "{error}");
        let manager = builder().populate(Populate::Eager).populate_threads(4).build().unwrap();
        assert_eq!(manager.resident_bytes(), Some(CAPACITY));
        assert!(manager.on_pressure(|_| ()).is_err());
        assert_works(&manager);
        Ok(())
    });
}

/// The group of this process in the hierarchy of cgroup v1 for memory.
fn memory_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mine = groups.lines().find_map(|line| line.split_once(":memory:/"))?.1;
    let group = Path::new("/sys/fs/cgroup/memory").join(mine);
    group.join("memory.limit_in_bytes").exists().then_some(group)
}

/// What a container of this test allows.
const CONTAINER_BYTES: usize = 64 * MIB;

/// A container, which goes with this value.
struct Container(PathBuf);

impl Container {
    fn new() -> Result<Self, String> {
        let group = memory_group().ok_or("there is no group of cgroup v1 for memory")?;
        let group = group.join(format!("offheap-{}", id()));
        fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
        let container = Self(group);
        let limit = container.0.join("memory.limit_in_bytes");
        let said = fs::write(&limit, CONTAINER_BYTES.to_string());
        said.map_err(|error| format!("{}: {error}", limit.display()))?;
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn in_a_container_a_fraction_of_it_is_never_too_much() {
    const TEST: &str = "in_a_container_a_fraction_of_it_is_never_too_much";
    if let Some(order) = again() {
        let (group, capacity) = order.split_once(' ').unwrap();
        fs::write(Path::new(group).join("cgroup.procs"), id().to_string()).unwrap();
        return fill_a_container(Path::new(group), capacity);
    }
    let container = match Container::new() {
        Ok(container) => container,
        Err(reason) => return println!("{TEST} is skipped: {reason}"),
    };
    let group = container.0.display();
    Child::run(TEST, &format!("{group} fraction")).assert_well(TEST);
    let above = Child::run(TEST, &format!("{group} above"));
    assert_eq!(above.ended(), Ended::BySignal(libc::SIGKILL), "the limit is one");
}

/// Touches all that a manager may have, over and over, in blocks that move.
fn fill_a_container(group: &Path, capacity: &str) {
    let builder = MemoryManager::builder().page_size(PAGE);
    let manager = match capacity {
        "fraction" => builder.fraction_of_available(0.75).build().unwrap(),
        _ => builder.capacity(2 * CONTAINER_BYTES).build().unwrap(),
    };
    if capacity == "fraction" {
        assert_eq!(manager.capacity(), CONTAINER_BYTES / 4 * 3);
        let source = manager.capacity_source().to_string();
        assert!(source.contains("cgroup v1"), "{source}");
    }
    for round in 1..=8 {
        let owner = owner(&manager);
        let teeth = comb(&owner, manager.total_pages());
        let blocks: Vec<_> =
            (1..).map_while(|_| owner.allocate(round * 5 * PAGE).ok()).map(filled).collect();
        assert!(blocks.len() > 1);
        assert_combed(&teeth);
        assert!(manager.resident_bytes().unwrap() <= manager.capacity());
    }
    assert_works(&manager);
    let usage = fs::read_to_string(group.join("memory.max_usage_in_bytes")).unwrap();
    let usage: usize = usage.trim().parse().unwrap();
    assert!(usage <= CONTAINER_BYTES, "{usage}");
    println!("@note {usage} bytes of {CONTAINER_BYTES} were used at most");
}

#[test]
fn files_are_run_out_of_and_had_again() {
    in_a_process("files_are_run_out_of_and_had_again", || {
        let manager = builder().build().unwrap();
        {
            let _limited = limit(libc::RLIMIT_NOFILE, 3)?;
            let files: Vec<_> =
                std::iter::from_fn(|| fs::File::open("/dev/null").ok()).take(64).collect();
            assert!(files.len() < 64);
            let refused = MemoryManager::builder().fraction_of_available(0.01).build();
            let text = refused.unwrap_err().to_string();
            let too_many = io::Error::from_raw_os_error(libc::EMFILE).to_string();
            assert!(text.contains(&too_many) && text.contains("/proc/self/cgroup"), "{text}");
            assert_eq!(manager.resident_bytes(), None);
            assert!(owner_of_all(&manager), "memory takes no files");
            assert!(builder().build().is_ok(), "nor does a region");
        }
        MemoryManager::builder().fraction_of_available(0.01).build().unwrap();
        assert_works(&manager);
        Ok(())
    });
}
