//! The pool's own thread: it writes behind, and loads for those that do not wait.

use std::sync::{Arc, Weak};
use std::thread;

use super::load::{self, Loading, Pin};
use super::{obtain, together, write};
use crate::entry::LoadTurn;
use crate::pool::error::PagingError;
use crate::pool::jobs::{AsyncLoad, Job, Jobs, Start};
use crate::pool::shared::Shared;

/// So many bytes are written ahead of those that need frames, at most.
const AHEAD_BYTES: usize = 8 << 20;
/// At most one page in so many is written ahead.
const AHEAD_PART: usize = 8;
/// So many pages are loaded at a time.
const LOADS_AT_A_TIME: usize = 32;

/// Has the pool's own thread do it, which is started if it is not there.
///
/// # Errors
///
/// If the system has no thread. Then nothing is left that waits for one.
pub(crate) fn ask(shared: &Arc<Shared>, job: Job) -> Result<(), PagingError> {
    if shared.jobs.put(job) == Start::IsThere {
        return Ok(());
    }
    let (jobs, shared_weakly) = (Arc::clone(&shared.jobs), Arc::downgrade(shared));
    let run = move || run(&jobs, &shared_weakly);
    match thread::Builder::new().name("offheap-paging".into()).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => {
            shared.jobs.no_thread();
            Err(PagingError::Thread(error))
        }
    }
}

/// The thread, as long as it runs.
struct Running<'a>(&'a Jobs);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.no_thread();
    }
}

fn run(jobs: &Jobs, shared: &Weak<Shared>) {
    let _running = Running(jobs);
    while let Some(job) = jobs.next() {
        let Some(shared) = shared.upgrade() else { return };
        match job {
            Job::KeepAhead => keep_ahead(&shared),
            Job::Prefetch(numbers) => {
                numbers.chunks(LOADS_AT_A_TIME).for_each(|numbers| prefetch(&shared, numbers));
            }
            Job::ReadAhead(first, units) => load::read_ahead(&shared, first, units),
            Job::Load(load) => load_for(&shared, &load),
        }
    }
}

/// Writes the coldest pages, so that the next ones that need frames find clean ones.
fn keep_ahead(shared: &Shared) {
    let buffer_pages = (shared.staging.buffer_bytes() / shared.page_bytes).max(1);
    let resident_pages = shared.books().resident_pages;
    let pages = (AHEAD_BYTES / shared.page_bytes).min(resident_pages / AHEAD_PART);
    for _ in 0..pages.div_ceil(buffer_pages) {
        // Who waits for a page comes first.
        if shared.jobs.are_waiting() {
            shared.jobs.keep_ahead();
            break;
        }
        // What fails is told to who needs a frame.
        if !matches!(write::write(shared, None), Ok(1..)) {
            break;
        }
    }
}

/// Loads pages that may be read soon, as far as that costs no write.
pub(crate) fn prefetch(shared: &Shared, numbers: &[u32]) {
    if shared.check_process().is_err() {
        return;
    }
    let mut batch = Vec::with_capacity(numbers.len());
    for number in numbers {
        if !matches!(shared.entry(*number).state.begin_load(), LoadTurn::Mine) {
            continue;
        }
        let loading = Loading::begun(shared, *number);
        let segment = match loading.pages() {
            1 => obtain::cheap(shared),
            pages => shared.grow(pages),
        };
        match segment {
            Some(segment) => batch.push(loading.into(segment)),
            None => {
                loading.fail(shared);
                break;
            }
        }
    }
    shared.counters.ahead.add(batch.len() as u64);
    // Who reads one of those that failed is told then.
    drop(load::read(shared, batch, |_| Pin::No));
}

fn load_for(shared: &Shared, load: &Arc<AsyncLoad>) {
    let mut ending = Ending { load: Arc::clone(load), result: Ok(()) };
    // The future looks itself whether its pages are there, and asks again if not.
    ending.result = together::load_all(shared, &load.numbers);
}

/// The end of a load, of whatever kind.
struct Ending {
    load: Arc<AsyncLoad>,
    result: Result<(), PagingError>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.load.end(std::mem::replace(&mut self.result, Ok(())));
    }
}
