//! Watches a manager from a thread of its own while the job runs.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use offheap::{MemoryManager, stats::OccupancyMap};

use crate::failure::Failure;

/// The most samples, and the most spills, that are kept. When there are more, every second one
/// is dropped, and samples are taken half as often from then on.
const KEPT_MAX: usize = 512;
/// The time between two samples, to begin with.
const INTERVAL_MIN: Duration = Duration::from_micros(500);
/// The time between two looks at the residency, for which the kernel walks all mappings.
const RESIDENT_INTERVAL: Duration = Duration::from_millis(50);
/// The most groups of pages that are told apart.
const GROUPS_MAX: usize = 192;
/// The shades of a group: 0 if no page is in use, this if all are.
pub const LEVEL_MAX: u8 = 8;

const _: () = assert!(KEPT_MAX.is_multiple_of(2) && KEPT_MAX > 2);

/// What a manager looked like over time. Times are in seconds since the start.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The pages of the region; 0 in heap mode.
    pub region_pages: usize,
    /// The pages that share a level; a power of two.
    pub group_pages: usize,
    pub samples: Vec<Sample>,
    pub spills: Vec<f64>,
    /// When each phase began, in this order.
    pub phases: Vec<(f64, &'static str)>,
    /// When the last sample was taken.
    pub end: f64,
    /// The most resident bytes of the region; `None` in heap mode.
    pub resident_peak_bytes: Option<usize>,
}

/// A manager at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: f64,
    pub used_bytes: usize,
    /// A level per group of pages, from the bottom of the region to its top.
    pub levels: Vec<u8>,
}

/// Something that happens in the job.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Something was spilled.
    Spill,
    /// The first of the queries is in this phase.
    Phase(&'static str),
}

/// The thread that watches.
pub struct Sampler {
    events: Sender<(Instant, Event)>,
    thread: JoinHandle<Timeline>,
}

impl Sampler {
    pub fn start(manager: &MemoryManager) -> Result<Self, Failure> {
        let manager = manager.clone();
        let (events, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("sampler".into())
            .spawn(move || watch(&manager, &received))
            .map_err(|error| Failure::World(format!("cannot start a thread: {error}")))?;
        Ok(Self { events, thread })
    }

    /// Notes that something happens now.
    pub fn note(&self, event: Event) {
        // A thread that is gone is told of by `finish`.
        let _ = self.events.send((Instant::now(), event));
    }

    pub fn finish(self) -> Result<Timeline, Failure> {
        drop(self.events);
        self.thread.join().map_err(|_| Failure::World("the sampler did not survive".into()))
    }
}

fn watch(manager: &MemoryManager, events: &Receiver<(Instant, Event)>) -> Timeline {
    let begin = Instant::now();
    let mut timeline = Timeline::new(manager);
    let mut interval = INTERVAL_MIN;
    let (mut next, mut next_resident) = (begin, begin);
    loop {
        match events.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok((at, event)) => timeline.note(at.duration_since(begin).as_secs_f64(), event),
            Err(RecvTimeoutError::Timeout) => {
                timeline.sample(manager, begin);
                if timeline.samples.len() == KEPT_MAX {
                    halve(&mut timeline.samples);
                    interval *= 2;
                }
                let now = Instant::now();
                if now >= next_resident {
                    timeline.look_at_residency(manager);
                    next_resident = now + RESIDENT_INTERVAL;
                }
                next = (next + interval).max(now);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    timeline.sample(manager, begin);
    timeline.look_at_residency(manager);
    timeline
}

impl Timeline {
    fn new(manager: &MemoryManager) -> Self {
        // Jobs take pages, and those never lie in the spare address space.
        let region_pages = manager.occupancy().pages.min(manager.total_pages());
        Self {
            region_pages,
            group_pages: region_pages.div_ceil(GROUPS_MAX).next_power_of_two(),
            samples: Vec::with_capacity(KEPT_MAX + 1),
            spills: Vec::new(),
            phases: Vec::new(),
            end: 0.0,
            resident_peak_bytes: None,
        }
    }

    fn sample(&mut self, manager: &MemoryManager, begin: Instant) {
        self.end = begin.elapsed().as_secs_f64();
        let used_bytes = manager.capacity() - manager.available_bytes();
        let levels = levels(&manager.occupancy(), self.region_pages, self.group_pages);
        self.samples.push(Sample { at: self.end, used_bytes, levels });
    }

    fn look_at_residency(&mut self, manager: &MemoryManager) {
        self.resident_peak_bytes = self.resident_peak_bytes.max(manager.resident_bytes());
    }

    fn note(&mut self, at: f64, event: Event) {
        match event {
            Event::Phase(name) => {
                if self.phases.iter().all(|(_, known)| *known != name) {
                    self.phases.push((at, name));
                }
            }
            Event::Spill => {
                self.spills.push(at);
                if self.spills.len() == KEPT_MAX {
                    halve(&mut self.spills);
                }
            }
        }
    }
}

/// Drops every second item.
fn halve<T>(items: &mut Vec<T>) {
    let mut keep = false;
    items.retain(|_| {
        keep = !keep;
        keep
    });
}

/// The level of every group: how many of its pages are in use, rounded up to the next shade.
fn levels(map: &OccupancyMap, region_pages: usize, group_pages: usize) -> Vec<u8> {
    let groups = region_pages.div_ceil(group_pages);
    let level = |group: usize| {
        let first = group * group_pages;
        let pages = group_pages.min(region_pages - first);
        let used = pages - free_pages(map, first, pages);
        u8::try_from((used * usize::from(LEVEL_MAX)).div_ceil(pages)).unwrap_or(LEVEL_MAX)
    };
    (0..groups).map(level).collect()
}

/// The free pages among `pages` from `first` on. Both lie within one word, or `first` begins one.
fn free_pages(map: &OccupancyMap, first: usize, pages: usize) -> usize {
    let words = &map.free_words[first / 64..(first + pages).div_ceil(64)];
    let mask = if pages < 64 { (1 << pages) - 1 } else { u64::MAX };
    let free = |word: &u64| (word >> (first % 64) & mask).count_ones() as usize;
    // Pages beyond the last one of the region are never free.
    words.iter().map(free).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_agree_with_the_pages_one_by_one() {
        for pages in [1, 3, 63, 64, 65, 200, 1000] {
            let manager =
                MemoryManager::builder().capacity(pages << 12).page_size(4096).build().unwrap();
            let owner = manager.owner("test").register().unwrap();
            let mut held = owner.allocate_pages(pages).unwrap();
            let mut turn = 0;
            held.retain(|_| {
                turn += 1;
                turn % 3 == 0 || turn % 7 == 0
            });
            let map = manager.occupancy();
            for group_pages in [1, 2, 16, 64, 128, 1024] {
                let expected: Vec<u8> = (0..pages)
                    .step_by(group_pages)
                    .map(|first| {
                        let group = first..pages.min(first + group_pages);
                        let used = group.clone().filter(|page| !map.is_free(*page)).count();
                        u8::try_from((used * 8).div_ceil(group.len())).unwrap()
                    })
                    .collect();
                assert_eq!(levels(&map, pages, group_pages), expected, "{pages} {group_pages}");
            }
        }
    }

    #[test]
    fn a_long_job_keeps_few_samples() {
        let mut items: Vec<usize> = (0..KEPT_MAX).collect();
        halve(&mut items);
        assert_eq!((items.len(), items[0], items[1]), (KEPT_MAX / 2, 0, 2));
    }
}
