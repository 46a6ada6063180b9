//! The random work: pages of a set larger than memory are read and written, whole and checked.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use crate::Outcome;
use crate::measure::found::Found;
use crate::measure::usage::Usage;
use crate::work::content::{Content, Seen};
use crate::work::draw::Draw;
use crate::work::job::{Job, PAGE_BYTES};

/// Threads that have done so many uses wait for the others: otherwise one that is ahead would keep
/// its pages in memory, be faster by that, and have the memory for itself.
const STEP_OPS: usize = 64;

/// Whether a page was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Had {
    Yes,
    /// The peer is a cache, and dropped it, or its last version. The work makes it anew.
    Lost,
}

/// The pages of one thread.
pub trait Hand: Send {
    /// Whether pages, and what was last written to them, may be lost.
    const IS_CACHE: bool;

    /// Makes page `page`, or makes it anew. Pages are first made in order.
    ///
    /// # Errors
    ///
    /// As the peer fails.
    fn put(&mut self, page: usize, fill: &mut dyn FnMut(&mut [u8])) -> Outcome<()>;

    /// # Errors
    ///
    /// As the peer fails.
    fn read(&mut self, page: usize, look: &mut dyn FnMut(&[u8])) -> Outcome<Had>;

    /// # Errors
    ///
    /// As the peer fails.
    fn write(&mut self, page: usize, change: &mut dyn FnMut(&mut [u8])) -> Outcome<Had>;

    /// Reads pages that are known at once, none twice; tells each page's bytes, or that it is lost.
    ///
    /// # Errors
    ///
    /// As the peer fails.
    fn read_many(
        &mut self,
        pages: &[usize],
        look: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Outcome<()>;
}

/// What keeps pages.
pub trait Peer {
    type Hand: Hand;

    /// Pages of one thread, up to `pages` of them.
    ///
    /// # Errors
    ///
    /// As the peer fails.
    fn hand(&self, number: usize, pages: usize) -> Outcome<Self::Hand>;

    /// Waits until what was put is where it is to be.
    fn settle(&self) {}

    /// Pages that had to be brought from the file so far; `None`: only its major faults tell.
    fn misses(&self) -> Option<u64>;
}

/// One thread's part.
struct Part<H> {
    hand: H,
    content: Content,
    draw: Draw,
    lost: usize,
    batch: Vec<usize>,
}

impl<H: Hand> Part<H> {
    fn fill(&mut self) -> Outcome<()> {
        for page in 0..self.content.pages() {
            let content = &self.content;
            self.hand.put(page, &mut |bytes| content.fill(page, bytes))?;
        }
        Ok(())
    }

    fn again(&mut self, page: usize) -> Outcome<()> {
        self.lost += 1;
        let content = &self.content;
        self.hand.put(page, &mut |bytes| content.fill(page, bytes))
    }

    /// Uses `ops` pages, in step with the other threads.
    fn use_pages(&mut self, job: &Job, ops: usize, step: &Barrier) -> Outcome<()> {
        let mut outcome = Ok(());
        for _ in 0..ops / STEP_OPS {
            // Who fails still keeps step, or the others would wait for ever.
            if outcome.is_ok() {
                outcome = self.use_some(job);
            }
            step.wait();
        }
        outcome
    }

    fn use_some(&mut self, job: &Job) -> Outcome<()> {
        if job.batch > 1 {
            return (0..STEP_OPS / job.batch).try_for_each(|_| self.use_batch(job.batch));
        }
        (0..STEP_OPS).try_for_each(|_| self.use_one(job))
    }

    fn use_one(&mut self, job: &Job) -> Outcome<()> {
        let page = self.draw.page();
        let mut seen = Seen::Right;
        let had = if self.draw.happens(job.writes) {
            let content = &mut self.content;
            self.hand.write(page, &mut |bytes| seen = content.change(page, bytes))?
        } else {
            let content = &self.content;
            self.hand.read(page, &mut |bytes| seen = content.seen(page, bytes))?
        };
        if self.is_lost(page, had, seen)? { self.again(page) } else { Ok(()) }
    }

    fn is_lost(&self, page: usize, had: Had, seen: Seen) -> Outcome<bool> {
        match (had, seen) {
            (Had::Yes, Seen::Right) => Ok(false),
            (Had::Lost, _) => Ok(true),
            (Had::Yes, Seen::Older) if H::IS_CACHE => Ok(true),
            (Had::Yes, seen) => {
                Err(format!("page {page} is not what was written: {seen:?}").into())
            }
        }
    }

    fn use_batch(&mut self, count: usize) -> Outcome<()> {
        self.draw.pages(count, &mut self.batch);
        let mut told = Vec::new();
        let content = &self.content;
        self.hand.read_many(&self.batch, &mut |page, bytes| {
            told.push(match bytes {
                Some(bytes) => (page, Had::Yes, content.seen(page, bytes)),
                None => (page, Had::Lost, Seen::Right),
            });
        })?;
        if told.len() != count {
            return Err(format!("{} pages of {count} were read", told.len()).into());
        }
        for (page, had, seen) in told {
            if self.is_lost(page, had, seen)? {
                self.again(page)?;
            }
        }
        Ok(())
    }
}

/// Fills the set, warms up, and measures the job's `ops`.
///
/// # Errors
///
/// If the peer fails, or a page is not what was written.
pub fn drive<P: Peer>(peer: &P, job: &Job) -> Outcome<Found> {
    let pages = job.pages() / job.threads;
    let mut parts = Vec::new();
    for number in 0..job.threads {
        let seed = job.seed * 100 + number as u64;
        parts.push(Part {
            hand: peer.hand(number, pages)?,
            content: Content::new(seed, pages),
            draw: Draw::new(job.distribution, pages, seed),
            lost: 0,
            batch: Vec::new(),
        });
    }
    parts.iter_mut().try_for_each(Part::fill)?;
    peer.settle();
    let in_turn = |parts: &mut Vec<_>, ops| {
        let step = Barrier::new(job.threads);
        let each = ops / job.threads;
        together(parts, |part: &mut Part<_>| part.use_pages(job, each, &step))
    };
    in_turn(&mut parts, job.memory_bytes() / PAGE_BYTES)?;
    let (misses, lost) = (peer.misses(), lost_of(&parts));
    let before = Usage::now();
    in_turn(&mut parts, job.ops)?;
    let after = Usage::now();
    let mut found = Found::between(before, after, job.ops)
        .with("lost", (lost_of(&parts) - lost) as f64)
        .with("lost_before", lost as f64);
    let faults = after.major_faults - before.major_faults;
    let missed = peer.misses().zip(misses).map_or(faults, |(after, before)| after - before);
    found = found.with("misses", missed as f64);
    Ok(found)
}

fn lost_of<H>(parts: &[Part<H>]) -> usize {
    parts.iter().map(|part| part.lost).sum()
}

/// Does `work` with each of `parts` on a thread of its own; all begin together.
///
/// # Errors
///
/// The first failure.
pub fn together<T: Send>(
    parts: &mut [T],
    work: impl Fn(&mut T) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let begin = Barrier::new(parts.len());
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| {
                begin.wait();
                if let Err(error) = work(part) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
