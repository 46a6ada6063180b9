//! Huge pages that the system keeps for those who ask for them by name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::{
    MemoryManager,
    config::{HugePages, Populate},
    error::ConfigError,
};

use crate::support::{PAGE, Stamped, assert_empty};

const HUGE_PAGE: usize = 2 << 20;

fn build(capacity: usize, populate: Populate) -> Result<MemoryManager, ConfigError> {
    let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).populate(populate);
    builder.huge_pages(HugePages::HugeTlb).build()
}

/// The huge pages that the system keeps and nobody has, if it tells.
fn free_huge_pages() -> Option<usize> {
    let folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    let read = |name| std::fs::read_to_string(format!("{folder}/{name}")).ok()?.trim().parse().ok();
    let (free, reserved): (usize, usize) = (read("free_hugepages")?, read("resv_hugepages")?);
    Some(free - reserved)
}

/// They are the machine's, so tests that take some go one after the other.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn without_enough_of_them_the_error_names_what_is_needed_what_is_free_and_the_knob() {
    let Some(free) = free_huge_pages() else { return };
    let needed = free + 1_000;
    let error = build(needed * HUGE_PAGE, Populate::Lazy).unwrap_err();
    assert!(matches!(error, ConfigError::HugeTlb { .. }));
    let text = error.to_string();
    let expected = format!(
        "cannot map {needed} reserved huge pages of 2 MiB, {free} are free (vm.nr_hugepages says \
         how many it keeps): "
    );
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn a_capacity_below_one_of_them_is_refused() {
    let error = build(HUGE_PAGE - 1, Populate::Lazy).unwrap_err();
    assert!(matches!(error, ConfigError::CapacityTooSmall { page_bytes: HUGE_PAGE, .. }));
}

/// Where the system keeps four of them. On others it has nothing to show.
#[test]
fn a_region_of_them_is_rounded_down_resident_from_the_start_and_never_given_back() {
    let _only = one_at_a_time();
    if free_huge_pages().is_none_or(|free| free < 4) {
        eprintln!("the system keeps no huge pages");
        return;
    }
    for populate in [Populate::Lazy, Populate::Eager, Populate::Background] {
        let manager = build(5 * HUGE_PAGE - 1, populate).unwrap();
        assert_eq!(manager.capacity(), 4 * HUGE_PAGE);
        assert_eq!(manager.stats().mapped_bytes, 4 * HUGE_PAGE);
        let owner = manager.owner("owner").register().unwrap();
        assert_eq!(manager.resident_bytes(), Some(4 * HUGE_PAGE), "{populate}");
        let block = Stamped::new(owner.allocate(HUGE_PAGE + PAGE).unwrap(), 1);
        let pages = owner.allocate_pages(owner.available_bytes() / PAGE).unwrap();
        let pages: Vec<_> = pages.into_iter().map(|page| Stamped::new(page, 2)).collect();
        pages.iter().chain([&block]).for_each(Stamped::check);
        assert!(owner.allocate_page().is_err());
        drop((pages, block));
        assert_eq!(manager.trim(), 0);
        assert_eq!(manager.resident_bytes(), Some(4 * HUGE_PAGE));
        assert_empty(&manager);
    }
}

const IN_A_GROUP: &str = "OFFHEAP_TEST_IN_A_GROUP_OF_HUGE_PAGES";

/// A group of cgroup v2 that may have two huge pages.
struct Group {
    folder: PathBuf,
    /// Where its controller was switched on for it.
    switched_on: Option<PathBuf>,
}

impl Group {
    /// Makes it where this machine lets it, with a limit in `file`.
    fn new(file: &str) -> Option<Self> {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        roots.into_iter().find_map(|root| {
            let switch = root.join("cgroup.subtree_control");
            let is_on = fs::read_to_string(&switch).ok()?.contains("hugetlb");
            fs::write(&switch, "+hugetlb").ok()?;
            let folder = root.join(format!("offheap-{file}-{}", std::process::id()));
            let group = Self { folder, switched_on: (!is_on).then_some(switch) };
            fs::create_dir(&group.folder).ok()?;
            let limit = fs::OpenOptions::new().write(true).open(group.folder.join(file));
            limit.ok()?.write_all((2 * HUGE_PAGE).to_string().as_bytes()).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that could not be made cannot be removed.
        let _ = fs::remove_dir(&self.folder);
        if let Some(switch) = &self.switched_on {
            let _ = fs::write(switch, "-hugetlb");
        }
    }
}

/// Runs itself again in a group that may have less of them than there are. Where pages are had as
/// they are touched, the first touch above the limit ends the process.
#[test]
fn under_the_limit_of_a_group_a_region_is_refused_with_its_numbers_or_all_of_it_is_there() {
    if let Ok(file) = std::env::var(IN_A_GROUP) {
        for populate in [Populate::Lazy, Populate::Eager, Populate::Background] {
            match build(3 * HUGE_PAGE, populate).unwrap_err() {
                ConfigError::HugeTlb { needed: 3, group_limit: Some(limit), .. } => {
                    assert!(limit.group.contains("/offheap-"), "{limit}");
                    let numbers = (limit.file.as_str(), limit.limit_bytes, limit.used_bytes);
                    assert_eq!(numbers, (&*file, 2 * HUGE_PAGE, 0));
                }
                other => panic!("{other}"),
            }
            let manager = build(2 * HUGE_PAGE, populate).unwrap();
            let owner = manager.owner("owner").register().unwrap();
            Stamped::new(owner.allocate(2 * HUGE_PAGE).unwrap(), 1).check();
            assert_empty(&manager);
        }
        return;
    }
    let _only = one_at_a_time();
    let test = "huge_tlb::\
         under_the_limit_of_a_group_a_region_is_refused_with_its_numbers_or_all_of_it_is_there";
    for file in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"] {
        let Some(group) = Group::new(file).filter(|_| free_huge_pages() >= Some(4)) else {
            return eprintln!("skipped: this machine lets nobody limit huge pages, or keeps none");
        };
        let script = "echo $$ >\"$1/cgroup.procs\" && exec \"$0\" --exact \"$2\"";
        let mut child = Command::new("sh");
        child.args(["-c", script]).arg(std::env::current_exe().unwrap());
        child.arg(&group.folder).arg(test).env(IN_A_GROUP, file);
        let output = child.output().unwrap();
        assert!(output.status.success(), "{file}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
}
