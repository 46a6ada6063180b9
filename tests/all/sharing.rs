//! Who gets how much when there is not enough: shares by demand, weights, and the tree.

use std::sync::{Arc, Mutex};
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    error::OwnerError,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{FairShare, Policy},
};

use crate::support::{LONG, PAGE, assert_empty, changes_nothing, in_both_modes, manager};

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).reclaim_timeout(LONG)
}

/// An owner that takes pages, and gives as many as it is asked for.
struct Job {
    owner: Owner,
    held: Mutex<Vec<MemorySegment>>,
}

impl Job {
    fn new(owner: Owner) -> Arc<Self> {
        let job = Arc::new(Self { owner, held: Mutex::default() });
        job.owner.set_reclaimer(&job);
        job
    }

    fn pages(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Takes pages as long as it gets some; returns how often it got some.
    fn take(&self, pages: usize) -> usize {
        let mut grants = 0;
        while let Ok(mut more) = self.owner.allocate_pages(pages) {
            self.held.lock().unwrap().append(&mut more);
            grants += 1;
        }
        grants
    }
}

impl Reclaimer for Job {
    fn reclaimable(&self) -> usize {
        self.pages() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        // Under the lock, so that a test that has it finds nothing on its way back.
        let mut held = self.held.lock().unwrap();
        let left = held.len().saturating_sub(target_bytes.div_ceil(PAGE));
        held.truncate(left);
    }
}

/// All `jobs` take pages at once, on a thread each, until none of them gets more.
fn take_all_they_can(jobs: &[Arc<Job>], pages: usize) {
    loop {
        let grants: usize = thread::scope(|scope| {
            let taking: Vec<_> =
                jobs.iter().map(|job| scope.spawn(move || job.take(pages))).collect();
            taking.into_iter().map(|job| job.join().unwrap()).sum()
        });
        if grants == 0 {
            return;
        }
    }
}

const IDLE: usize = 1000;
const IDLE_PAGES: usize = 3;
const WEIGHTS: [u32; 4] = [1, 1, 2, 4];
/// What the cache has before the others come: as much for each weight, its own among them.
const POOL: usize = 9 * LEVEL;
const LEVEL: usize = 40;
const REQUEST: usize = 4;

/// Jain's index: 1 if all are equal, 1 / n if one has everything.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    sum * sum / (values.len() as f64 * squares)
}

/// Many owners that hold a little and want nothing, a cache that holds the rest, and four that come
/// later, below `parent` if there is one.
fn newcomers_have_their_shares(policy: impl Policy + 'static, has_parent: bool) {
    let manager = builder(IDLE * IDLE_PAGES + POOL).policy(policy).build().unwrap();
    let idle: Vec<_> = (0..IDLE).map(|_| manager.owner("idle").register().unwrap()).collect();
    let held: Vec<_> = idle.iter().map(|it| it.allocate_pages(IDLE_PAGES).unwrap()).collect();
    let cache = Job::new(manager.owner("cache").register().unwrap());
    *cache.held.lock().unwrap() = cache.owner.allocate_pages(POOL).unwrap();
    let parent = has_parent.then(|| manager.owner("all").weight(8).register().unwrap());
    let jobs: Vec<_> = WEIGHTS
        .iter()
        .map(|weight| {
            let owner = match &parent {
                Some(parent) => parent.child("query"),
                None => manager.owner("query"),
            };
            Job::new(owner.weight(*weight).register().unwrap())
        })
        .collect();
    // Up to what is its own, no request is refused, however many want the rest.
    thread::scope(|scope| {
        for (job, weight) in jobs.iter().zip(WEIGHTS) {
            scope.spawn(move || {
                for _ in 0..LEVEL * weight as usize / REQUEST {
                    let mut more = job.owner.allocate_pages(REQUEST).unwrap();
                    job.held.lock().unwrap().append(&mut more);
                }
            });
        }
    });
    take_all_they_can(&jobs, REQUEST);
    let fair = |weight: u32| LEVEL as f64 * f64::from(weight);
    let mut weighted = vec![cache.pages() as f64];
    for (job, weight) in jobs.iter().zip(WEIGHTS) {
        let pages = job.pages() as f64;
        assert!((pages / fair(weight) - 1.0).abs() <= 0.05, "{pages} for a weight of {weight}");
        let share = job.owner.current_share().keeps_bytes as f64 / PAGE as f64;
        assert!((share / fair(weight) - 1.0).abs() <= 0.05, "a share of {share} pages");
        weighted.push(pages / f64::from(weight));
    }
    assert!(jain(&weighted) >= 0.98, "{weighted:?}");
    assert!((cache.pages() as f64 / fair(1) - 1.0).abs() <= 0.05, "{} pages", cache.pages());
    assert!(idle.iter().all(|it| it.used_bytes() == IDLE_PAGES * PAGE));
    drop(held);
    jobs.iter().chain([&cache]).for_each(|job| job.held.lock().unwrap().clear());
    drop((jobs, cache, parent));
    assert_empty(&manager);
}

#[test]
fn idle_owners_shrink_nobody_and_weights_count() {
    newcomers_have_their_shares(FairShare, false);
}

#[test]
fn a_parent_shares_what_its_weight_gets() {
    newcomers_have_their_shares(FairShare, true);
}

#[test]
fn an_owner_of_weight_0_is_refused_with_the_least_there_is() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let builder = manager.owner("sorter").weight(0);
        let refused = changes_nothing(&manager, || builder.register().unwrap_err());
        let text = "owner `sorter`: a weight of 0 is too small, it is at least 1";
        assert_eq!(refused.to_string(), text);
        assert!(matches!(refused, OwnerError::WeightTooSmall { weight: 0, weight_min: 1, .. }));
        assert_eq!(refused.path(), "sorter");
        for weight in [1, 2, u32::MAX] {
            manager.owner("sorter").weight(weight).register().unwrap();
        }
    });
}
