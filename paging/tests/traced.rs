//! With the feature `tracing`, rare things are told as events.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, clippy::panic)] // a test stops at what is not as it says

use std::env;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use offheap::{MemoryManager, Owner};
use offheap_paging::{
    Call, CallName, Fault, MemoryFileSystem, Page, PagePool, PagingError, Slot, SpillFile,
    WriteBehind,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

const PAGE: usize = 4096;

/// While there is one listener only, `tracing` asks that of the thread that comes to an event
/// first whether anybody wants it, and heeds no other one. With two more there is no such thread.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [0; 2].map(|_| Dispatch::new(Listener::default())));

/// An event: its level, and its fields as text.
struct Told {
    level: Level,
    text: String,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text += &format!("{}={value:?};", field.name());
    }
}

#[derive(Clone, Default)]
struct Listener {
    told: Arc<Mutex<Vec<Told>>>,
    panics: bool,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "offheap_paging"
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told { level: *event.metadata().level(), text: String::new() };
        event.record(&mut told);
        self.told.lock().unwrap().push(told);
        assert!(!self.panics, "as the test wants it");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The events of `work`, as level and text.
fn told_of(work: impl FnOnce()) -> Vec<(Level, String)> {
    LazyLock::force(&OTHERS);
    let listener = Listener::default();
    with_default(listener.clone(), work);
    let told = std::mem::take(&mut *listener.told.lock().unwrap());
    told.into_iter().map(|told| (told.level, told.text)).collect()
}

/// Whether an event of this level has all of the parts.
fn has(told: &[(Level, String)], level: Level, parts: &[&str]) -> bool {
    told.iter().any(|(of, text)| *of == level && parts.iter().all(|part| text.contains(part)))
}

fn owner(pages: usize) -> Owner {
    LazyLock::force(&OTHERS);
    let manager = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap();
    manager.owner("cache").register().unwrap()
}

/// A file of at most `bytes`, in which calls fail as `faults` says.
fn file(
    bytes: u64,
    faults: impl Fn(Call) -> Option<Fault> + Send + Sync + 'static,
) -> Arc<SpillFile> {
    let file = SpillFile::builder(env::temp_dir()).unit_bytes(PAGE).bytes_max(bytes);
    let file = file.memory_file_system(MemoryFileSystem::Allow).faults(Arc::new(faults));
    Arc::new(file.create().unwrap())
}

fn pool(owner: &Owner, file: Arc<SpillFile>) -> PagePool {
    let pool = PagePool::builder(owner).spill_file(file).write_behind(WriteBehind::Off);
    pool.pin_timeout(Duration::from_secs(1)).staging_bytes(PAGE).build().unwrap()
}

fn filled(pool: &PagePool, pages: u8) -> Result<Vec<Page>, PagingError> {
    let page = |number| {
        let mut page = pool.allocate()?;
        page.write()?.fill(number);
        Ok(page)
    };
    (0..pages).map(page).collect()
}

#[test]
fn a_file_that_grows_is_told_and_a_hit_is_not() {
    let pool = pool(&owner(16), file(u64::MAX, |_| None));
    let mut pages = Vec::new();
    let told = told_of(|| pages = filled(&pool, 40).unwrap());
    assert!(has(&told, Level::DEBUG, &["spill file grew", "owner=\"cache\"", "bytes=4194304"]));
    let told = told_of(|| {
        let last = pages.last().unwrap();
        assert_eq!(last.read().unwrap()[7], 39);
    });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_write_that_fails_is_told_with_its_error() {
    let is_write = |call: Call| matches!(call.name, CallName::Write | CallName::WriteRun);
    let fails = move |call| is_write(call).then_some(Fault::Errno(5));
    let pool = pool(&owner(16), file(u64::MAX, fails));
    let told = told_of(|| drop(filled(&pool, 40).unwrap_err()));
    assert!(has(&told, Level::WARN, &["pages could not be written", "count=1"]), "{told:?}");
    assert!(has(&told, Level::WARN, &["a call of a page pool failed", "error=cannot write"]));
}

#[test]
fn a_damaged_page_is_told_as_an_error() {
    let pool = pool(&owner(16), file(u64::MAX, |_| None));
    let pages = filled(&pool, 40).unwrap();
    // Over all that was written, whatever is there.
    for first in 0..40 {
        let _ = pool.spill_file().write(Slot { first, units: 1 }, &[0xee; PAGE]);
    }
    let told = told_of(|| {
        let damaged = |page: &&Page| matches!(page.read(), Err(PagingError::Damaged { .. }));
        assert!(pages.iter().filter(damaged).count() >= 10);
    });
    assert!(has(&told, Level::ERROR, &["a page is damaged", "are not what was written"]));
}

#[test]
fn a_full_disk_is_told_but_not_with_each_page() {
    let pool = pool(&owner(16), file(20 * PAGE as u64, |_| None));
    let mut pages = Vec::new();
    let told = told_of(|| {
        let refused = loop {
            match filled(&pool, 1) {
                Ok(page) => pages.extend(page),
                Err(error) => break error,
            }
        };
        assert!(refused.is_for_want_of_disk(), "{refused}");
    });
    assert!(has(&told, Level::WARN, &["failed", "may not grow"]), "{told:?}");
    let told = told_of(|| {
        for _ in 0..3 {
            for page in &pages {
                assert_eq!(page.read().unwrap()[0], 0);
            }
        }
    });
    let swaps = pool.stats().swaps;
    let times = told.iter().filter(|(_, text)| text.contains("the disk is full")).count();
    assert_eq!(times, swaps.ilog2() as usize + 1, "{swaps} swaps");
}

#[test]
fn a_long_wait_is_told_with_who_holds_the_pins() {
    let pool = pool(&owner(8), file(u64::MAX, |_| None));
    let pages = filled(&pool, 6).unwrap();
    let mut guards: Vec<_> = pages.iter().filter_map(Page::try_read).collect();
    let told = told_of(|| {
        // It is refused in the end, with as many frames pinned as there are.
        let refused = loop {
            match pool.allocate() {
                Ok(page) => guards.push(Box::leak(Box::new(page)).read().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, PagingError::AllPinned { .. }), "{refused}");
    });
    assert!(has(&told, Level::WARN, &["a call had to wait long", "time=1."]), "{told:?}");
    assert!(has(&told, Level::WARN, &["failed", "are pinned by"]), "{told:?}");
}

#[test]
fn nothing_is_lost_to_a_listener_that_panics() {
    let pool = pool(&owner(16), file(20 * PAGE as u64, |_| None));
    let objects = Listener { panics: true, ..Listener::default() };
    let mut pages = Vec::new();
    with_default(objects.clone(), || {
        while let Ok(page) = filled(&pool, 1) {
            pages.extend(page);
        }
        for page in &pages {
            assert_eq!(page.read().unwrap()[0], 0);
        }
    });
    assert!(objects.told.lock().unwrap().len() > 2);
}
