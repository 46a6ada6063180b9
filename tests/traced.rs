//! With the feature `tracing`, rare things are told as events: a binary of its own, in which no
//! event comes before there are listeners.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, clippy::panic)] // a test stops at what is not as it says

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use offheap::{MemoryManager, config::MemoryMode};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// The smallest page.
const PAGE: usize = 4 << 10;

/// While there is one listener only, `tracing` asks that of the thread that comes to an event
/// first whether anybody wants it, and heeds no other one. With two more there is no such thread.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [0; 2].map(|_| Dispatch::new(Listener::default())));

fn manager(mode: MemoryMode, pages: usize) -> MemoryManager {
    LazyLock::force(&OTHERS);
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).mode(mode).build().unwrap()
}

/// An event: its level, its message and its fields.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    fields: BTreeMap<String, String>,
    numbers: BTreeMap<String, u64>,
}

impl Told {
    fn message(&self) -> &str {
        &self.fields["message"]
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.insert(field.name().into(), value);
    }
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Told>>>);

impl Listener {
    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "offheap"
    }

    fn event(&self, event: &Event<'_>) {
        let (fields, numbers) = (BTreeMap::new(), BTreeMap::new());
        let mut told = Told { level: *event.metadata().level(), fields, numbers };
        event.record(&mut told);
        self.0.lock().unwrap().push(told);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The events of `work`.
fn told_of(work: impl FnOnce()) -> Vec<Told> {
    let listener = Listener::default();
    with_default(listener.clone(), work);
    listener.told()
}

fn messages(told: &[Told]) -> Vec<&str> {
    told.iter().map(Told::message).collect()
}

#[test]
fn a_life_without_trouble_is_told_in_four_events() {
    let told = told_of(|| {
        let manager = manager(MemoryMode::Heap, 4);
        let owner = manager.owner("sorter").minimum(PAGE).limit(2 * PAGE).register().unwrap();
        drop(owner.allocate_pages(2).unwrap());
        drop((owner.clone(), owner));
        manager.shutdown().unwrap();
    });
    let expected =
        ["memory manager built", "owner registered", "owner ended", "memory manager shut down"];
    assert_eq!(messages(&told), expected);
    assert_eq!((told[0].level, told[1].level), (Level::INFO, Level::DEBUG));
    assert_eq!(told[0].numbers["capacity_bytes"], 4 * PAGE as u64);
    assert_eq!((&*told[0].fields["mode"], &*told[0].fields["strategy"]), ("heap", "smallest-fit"));
    assert_eq!(told[1].fields["owner"], "sorter");
    let (minimum, limit) = (told[1].numbers["minimum_bytes"], told[1].numbers["limit_bytes"]);
    assert_eq!((minimum, limit), (PAGE as u64, 2 * PAGE as u64));
}

#[test]
fn a_refusal_is_told_in_numbers() {
    let manager = manager(MemoryMode::OffHeap, 4);
    let owner = manager.owner("join").register().unwrap();
    let held = owner.allocate_pages(3).unwrap();
    let told = told_of(|| drop(owner.allocate_pages(2).unwrap_err()));
    assert_eq!(messages(&told), ["memory refused"]);
    let numbers = [
        ("requested_bytes", 2 * PAGE),
        ("available_bytes", PAGE),
        ("owner_used_bytes", 3 * PAGE),
        ("owner_limit_bytes", 4 * PAGE),
        ("capacity_bytes", 4 * PAGE),
    ];
    for (name, number) in numbers {
        assert_eq!(told[0].numbers[name], number as u64, "{name}");
    }
    assert_eq!((&*told[0].fields["owner"], &*told[0].fields["reason"]), ("join", "Budget"));
    drop(held);
}

/// What is told of owners with memory out.
fn leaks(told: &[Told], message: &str) -> Vec<(String, u64)> {
    let leaks = told.iter().filter(|told| told.message() == message);
    leaks
        .inspect(|told| assert_eq!(told.level, Level::WARN))
        .map(|told| (told.fields["owner"].clone(), told.numbers["used_bytes"]))
        .collect()
}

#[test]
fn a_shutdown_and_the_last_handle_tell_who_still_has_memory() {
    let manager = manager(MemoryMode::OffHeap, 10);
    let hold = |name, pages| manager.owner(name).register().unwrap().allocate_pages(pages).unwrap();
    let held = (hold("small", 1), hold("large", 3));
    let expected = [("large".to_owned(), 3 * PAGE as u64), ("small".to_owned(), PAGE as u64)];
    let told = told_of(|| drop(manager.shutdown().unwrap_err()));
    assert_eq!(leaks(&told, "memory manager shut down while memory is out"), expected);
    let message = "the last handle of a memory manager is gone while memory is out";
    let clone = manager.clone();
    assert!(told_of(|| drop(manager)).is_empty(), "it was not the last");
    let told = told_of(|| drop(clone));
    assert_eq!(leaks(&told, message), expected);
    let sites = &told[0].fields["sites"];
    assert_eq!(sites.contains("traced.rs"), cfg!(feature = "track-allocations"), "{sites}");
    assert!(told_of(|| drop(held)).is_empty());
}

#[test]
fn the_last_handle_tells_nothing_if_nothing_is_out() {
    let manager = manager(MemoryMode::OffHeap, 10);
    let owner = manager.owner("owner").register().unwrap();
    drop(owner.allocate_page().unwrap());
    assert!(told_of(|| drop(manager)).is_empty());
    drop(owner);
}

/// Asks the manager for its numbers whenever it is told something.
struct Asking {
    manager: Mutex<Option<MemoryManager>>,
    inner: Listener,
}

impl Subscriber for Asking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(manager) = self.manager.lock().unwrap().as_ref() {
            manager.check_consistency().unwrap();
            assert!(manager.stats().capacity_bytes > 0);
        }
        self.inner.event(event);
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.inner.new_span(span)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_listener_may_use_the_manager() {
    let manager = manager(MemoryMode::OffHeap, 256);
    let inner = Listener::default();
    let told = inner.clone();
    with_default(Asking { manager: Mutex::new(Some(manager.clone())), inner }, || {
        let owner = manager.owner("owner").limit(8 * PAGE).register().unwrap();
        owner.allocate_pages(9).unwrap_err();
        owner.allocate(9 * PAGE).unwrap_err();
        owner.reserve_memory(9 * PAGE).unwrap_err();
        drop(owner);
        manager.trim();
        manager.shutdown().unwrap();
    });
    assert!(told.told().len() >= 6);
}

/// Panics with every event.
struct Objects;

impl Subscriber for Objects {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "offheap"
    }

    fn event(&self, _: &Event<'_>) {
        panic!("as the test wants it");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn nothing_is_lost_to_a_listener_that_panics() {
    let manager = manager(MemoryMode::OffHeap, 4);
    with_default(Objects, || {
        let owner = manager.owner("sorter").minimum(3 * PAGE).register().unwrap();
        let held = owner.allocate_pages(3).unwrap();
        assert!(owner.allocate_pages(2).is_err());
        drop((owner, held));
        assert_eq!(manager.available_bytes(), 4 * PAGE);
        manager.trim();
        manager.shutdown().unwrap();
        drop(manager);
    });
}
