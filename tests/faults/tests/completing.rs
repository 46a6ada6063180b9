//! Every call of a pool on its file fails at every step, and those of its rings.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "support/stamped.rs"]
mod stamped;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io, thread};

use offheap::{MemoryManager, Owner};
use offheap_paging::CallName::{
    Direct, Extend, Kind, Open, Punch, Read, ReadRun, Reserve, RingEnter, RingSetup, Space, Write,
    WriteRun,
};
use offheap_paging::{
    Advice, Call, CallName, Fault, MemoryFileSystem, Page, PagePool, PagingError, SpillError,
    SpillFile, WriteBehind,
};
use offheap_test_support::block_on;

use stamped::{PAGE, builder, check, check_all, stamp};

const PAGES: usize = 16;
const COUNT: usize = 40;

/// What a call answers with, and whether the caller always gets what it asked for.
type Answers = &'static [(Fault, bool)];

const IO: (Fault, bool) = (Fault::Errno(libc::EIO), false);
const FULL: (Fault, bool) = (Fault::Errno(libc::ENOSPC), false);
const NOTHING: (Fault, bool) = (Fault::Short(0), false);
const LESS: (Fault, bool) = (Fault::Short(100), true);
const WITHOUT: (Fault, bool) = (Fault::Errno(libc::EIO), true);
const UNKNOWN: (Fault, bool) = (Fault::Errno(libc::EOPNOTSUPP), true);
const BUSY: (Fault, bool) = (Fault::Errno(libc::EBUSY), true);
const FORBIDDEN: (Fault, bool) = (Fault::Errno(libc::EPERM), true);

const CALLS: &[(CallName, Answers)] = &[
    (Open, &[IO, (Fault::Errno(libc::EMFILE), false)]),
    (Kind, &[WITHOUT]),
    (Direct, &[WITHOUT, UNKNOWN]),
    (Space, &[WITHOUT]),
    (Reserve, &[IO, FULL, UNKNOWN]),
    (Write, &[IO, FULL, NOTHING, LESS]),
    (Read, &[IO, NOTHING, LESS]),
    (WriteRun, &[WITHOUT]),
    (ReadRun, &[WITHOUT]),
    (RingSetup, &[WITHOUT, FORBIDDEN]),
    (RingEnter, &[WITHOUT, BUSY, FORBIDDEN]),
];
/// Those that are made where no room can be reserved, and no holes are punched.
const CALLS_WITHOUT_RESERVING: &[(CallName, Answers)] = &[(Extend, &[IO, FULL])];

/// Which calls fail: those of a name, from a step on.
#[derive(Clone, Copy)]
struct Plan {
    name: CallName,
    fault: Fault,
    from: usize,
    end: usize,
}

/// The calls of one file.
#[derive(Default)]
struct Calls {
    made: Vec<CallName>,
    plan: Option<Plan>,
    has_hit: bool,
    reserves_nothing: bool,
}

impl Calls {
    fn count(&self, name: CallName) -> usize {
        self.made.iter().filter(|made| **made == name).count()
    }

    fn answer(&mut self, call: Call) -> Option<Fault> {
        if self.reserves_nothing && matches!(call.name, Reserve | Punch) {
            return Some(Fault::Errno(libc::EOPNOTSUPP));
        }
        let step = self.count(call.name);
        self.made.push(call.name);
        let plan = self.plan.filter(|plan| plan.name == call.name)?;
        if !(plan.from..plan.end).contains(&step) {
            return None;
        }
        self.has_hit = true;
        Some(plan.fault)
    }
}

/// The file of a case, and what came of it.
struct Case {
    calls: Arc<Mutex<Calls>>,
    dir: PathBuf,
    errors: usize,
}

impl Case {
    fn with<T>(&self, work: impl FnOnce(&mut Calls) -> T) -> T {
        work(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An error is one of a call that failed, and says where and why.
    fn note(&mut self, error: &PagingError) {
        self.errors += 1;
        let text = error.to_string();
        let (has_hit, plan) = self.with(|calls| (calls.has_hit, calls.plan));
        assert!(has_hit, "refused for no reason: {text}");
        assert!(text.contains(&self.dir.display().to_string()), "{text}");
        let PagingError::Spill(SpillError::Io { offset, bytes, .. }) = error else {
            panic!("{text}");
        };
        if let Some(Fault::Errno(errno)) = plan.map(|plan| plan.fault) {
            assert!(text.contains(&io::Error::from_raw_os_error(errno).to_string()), "{text}");
        }
        if plan.is_none_or(|plan| plan.name != Open) {
            assert!(text.contains(&format!("{bytes} bytes at {offset}")), "{text}");
        }
    }

    fn keep<T>(&mut self, result: Result<T, PagingError>) -> Option<T> {
        result.inspect_err(|error| self.note(error)).ok()
    }

    /// A pool with a file whose calls fail.
    fn pool(&self, owner: &Owner) -> Result<PagePool, PagingError> {
        let calls = Arc::clone(&self.calls);
        let file = SpillFile::builder(&self.dir)
            .unit_bytes(PAGE)
            .memory_file_system(MemoryFileSystem::Allow)
            .faults(Arc::new(move |call| {
                calls.lock().unwrap_or_else(PoisonError::into_inner).answer(call)
            }))
            .create()?;
        builder(owner, &self.dir)
            .spill_file(Arc::new(file))
            .write_behind(WriteBehind::Off)
            .staging_bytes(4 * PAGE)
            .build()
    }

    /// Makes pages, changes some, and reads them in all ways.
    fn work(&mut self, pool: &PagePool, pages: &mut Vec<Page>, other: &Owner) {
        for number in 0..COUNT {
            if let Some(mut page) = self.keep(pool.allocate())
                && self.keep(page.write().map(drop)).is_some()
            {
                stamp(&mut page, pages.len());
                pages.push(page);
            }
            let at = number / 3;
            if number % 3 == 0
                && at < pages.len()
                && self.keep(pages[at].write().map(drop)).is_some()
            {
                stamp(&mut pages[at], at);
            }
        }
        for first in (0..pages.len().saturating_sub(9)).step_by(5) {
            let numbers = || (0..4).map(|near| first + 3 * near);
            let some: Vec<_> = numbers().map(|number| &pages[number]).collect();
            if first % 2 == 0 {
                pool.prefetch(&some[..2]);
                let last = first + 9;
                if let Some(guard) = self.keep(block_on(pages[last].read_async())) {
                    check(&guard, last);
                }
            }
            let guards = self.keep(pool.read_many(&some)).unwrap_or_default();
            guards.iter().zip(numbers()).for_each(|(guard, number)| check(guard, number));
        }
        for (number, page) in pages.iter().enumerate() {
            page.advise(Advice::Sequential);
            if let Some(guard) = self.keep(page.read()) {
                check(&guard, number);
            }
        }
        for _ in 0..PAGES / 4 {
            if let Err(error) = other.allocate_page() {
                assert!(self.with(|calls| calls.has_hit), "{error}");
                self.errors += 1;
            }
        }
    }
}

/// Does it all with these calls. Afterwards nothing is lost, and all works.
fn run(dir: &Path, calls: Calls) -> (Case, usize) {
    let manager = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build().unwrap();
    let [owner, other] = ["pool", "other"].map(|name| manager.owner(name).register().unwrap());
    let mut case = Case { calls: Arc::new(Mutex::new(calls)), dir: dir.to_owned(), errors: 0 };
    let mut pages = Vec::new();
    let built = case.pool(&owner);
    let pool = case.keep(built);
    if let Some(pool) = &pool {
        case.work(pool, &mut pages, &other);
    }
    case.with(|calls| calls.plan = None);
    let pool = pool.unwrap_or_else(|| case.pool(&owner).unwrap());
    check_all(&pages);
    while pages.len() < COUNT {
        pages.push(pool.allocate().unwrap());
        let number = pages.len() - 1;
        stamp(&mut pages[number], number);
    }
    check_all(&pages);
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "a file is left");
    drop((pages, pool));
    // A pool's own thread lets go of it in time.
    while manager.leaks().is_some() {
        thread::yield_now();
    }
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
    let errors = case.errors;
    (case, errors)
}

/// Each of these calls fails in each way at each step, alone and with all after it.
fn try_each(dir: &Path, calls: &[(CallName, Answers)], reserves_nothing: bool) {
    let made = || Calls { reserves_nothing, ..Calls::default() };
    let (counted, errors) = run(dir, made());
    assert_eq!(errors, 0);
    for (name, answers) in calls {
        let steps = counted.with(|calls| calls.count(*name));
        if steps == 0 && matches!(name, RingEnter) {
            println!("{name:?} is skipped: the system has no rings");
            continue;
        }
        assert!(steps > 0, "{name:?} is never called");
        let (mut cases, mut refused) = (0, 0);
        for (fault, is_done_without) in *answers {
            for from in 0..steps {
                for end in [from + 1, usize::MAX] {
                    let plan = Plan { name: *name, fault: *fault, from, end };
                    let (_, errors) = run(dir, Calls { plan: Some(plan), ..made() });
                    let what = format!("{name:?} {fault:?} at {from} to {end}");
                    assert!(errors == 0 || !is_done_without, "{what}: {errors} errors");
                    cases += 1;
                    refused += usize::from(errors > 0);
                }
            }
        }
        let can_fail = answers.iter().any(|(_, is_done_without)| !is_done_without);
        assert!(refused > 0 || !can_fail, "{name:?} never comes to an error");
        println!("{name:?}: {steps} steps, {cases} cases, {refused} with errors");
    }
}

#[test]
fn every_call_on_the_file_fails_at_every_step_and_nothing_is_lost() {
    let name = format!("completing-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir(&dir).unwrap();
    try_each(&dir, CALLS, false);
    try_each(&dir, CALLS_WITHOUT_RESERVING, true);
    fs::remove_dir(&dir).unwrap();
}
