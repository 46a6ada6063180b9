//! Four owners on eight threads, each of which would have the whole budget: no stall, no lost page,
//! no broken minimum, and fair shares. Runs for a moment; `scripts/contention.sh` runs it for a
//! minute.

// Leave to unwrap in tests goes by this.
#[cfg(test)]
mod contention {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread;
    use std::time::{Duration, Instant};

    use offheap::{
        AllocationError, MemoryManager, MemorySegment, Owner,
        error::Reason,
        reclaim::{Reclaimer, SpillReserve},
        sharing::FairShare,
    };
    use offheap_test_support::{Count, Flag, Random, poll_and_cancel};

    const PAGE: usize = 4 << 10;
    const PAGES: usize = 1024;
    const OWNERS: usize = 4;
    const THREADS_PER_OWNER: usize = 2;
    const MINIMUM_PAGES: usize = 32;
    const RESERVE_PAGES: usize = 2;
    /// Longer than anybody waits who is not forgotten.
    const LONG: Duration = Duration::from_secs(60);

    /// How long each test runs.
    fn seconds() -> u64 {
        let seconds = std::env::var("OFFHEAP_CONTENTION_SECONDS").ok();
        seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(1)
    }

    /// How an owner behaves when it is asked to give back.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Manners {
        Good,
        /// Promises everything, gives nothing at times, panics at times.
        Bad,
    }

    /// An owner and what it holds, which it gives back when it is asked.
    struct Query {
        owner: Owner,
        held: Mutex<Vec<MemorySegment>>,
        manners: Manners,
        random: Mutex<Random>,
        grants: Count,
        asked: Count,
    }

    impl Query {
        fn new(manager: &MemoryManager, number: usize, manners: Manners) -> Arc<Self> {
            let owner = manager.owner(format!("query {number}")).minimum(MINIMUM_PAGES * PAGE);
            let query = Arc::new(Self {
                owner: owner.register().unwrap(),
                held: Mutex::default(),
                manners,
                random: Mutex::new(Random::new(number as u64)),
                grants: Count::new(),
                asked: Count::new(),
            });
            query.owner.set_reclaimer(&query);
            query
        }

        fn below(&self, bound: usize) -> usize {
            self.random.lock().unwrap_or_else(PoisonError::into_inner).below(bound)
        }

        /// Keeps pages, each stamped with its own address.
        fn hold(&self, mut pages: Vec<MemorySegment>) {
            self.grants.add(1);
            for page in &mut pages {
                let stamp = page.as_ref().as_ptr().addr() as u64;
                assert_eq!(page.size(), PAGE);
                page.put_u64_le(0, stamp).unwrap();
                page.put_u64_le(PAGE - 8, !stamp).unwrap();
            }
            self.held.lock().unwrap().append(&mut pages);
        }

        /// Gives pages back, after a look at their stamps: nobody else has written there.
        fn give_back(&self, count: usize) {
            let pages = {
                let mut held = self.held.lock().unwrap();
                let left = held.len().saturating_sub(count);
                held.split_off(left)
            };
            for page in &pages {
                let stamp = page.as_ref().as_ptr().addr() as u64;
                assert_eq!(page.get_u64_le(0).unwrap(), stamp);
                assert_eq!(page.get_u64_le(PAGE - 8).unwrap(), !stamp);
            }
            self.owner.release_all(pages);
        }

        fn held_pages(&self) -> usize {
            self.held.lock().unwrap().len()
        }

        /// Takes the whole of its minimum without waiting, which must be there.
        fn check_minimum(&self) {
            self.give_back(usize::MAX);
            // The other thread of this owner may have taken some since.
            let used = self.owner.used_bytes();
            if used == 0 {
                match self.owner.allocate_pages(MINIMUM_PAGES) {
                    Ok(pages) => self.hold(pages),
                    Err(refused) => {
                        let used = self.owner.used_bytes();
                        assert!(used > 0, "a minimum was broken: {refused}");
                    }
                }
            }
        }
    }

    impl Reclaimer for Query {
        fn reclaimable(&self) -> usize {
            match self.manners {
                Manners::Good => self.held_pages() * PAGE,
                Manners::Bad if self.below(8) == 0 => panic!("as the test wants it"),
                Manners::Bad => usize::MAX,
            }
        }

        fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>) {
            self.asked.add(1);
            if self.manners == Manners::Bad {
                match self.below(4) {
                    0 => panic!("as the test wants it"),
                    1 => return,
                    _ => {}
                }
            }
            let page = reserve.allocate_page();
            assert!(page.is_some(), "the spill reserve is there for every reclaim");
            let micros = self.below(3000) as u64;
            thread::sleep(Duration::from_micros(micros));
            self.give_back(target_bytes.div_ceil(PAGE));
        }
    }

    /// What is asked for in one step, and how: mostly as much as a quarter of all there is.
    fn take(query: &Query, cancels: bool) -> Option<Result<Vec<MemorySegment>, AllocationError>> {
        let count = 1 + query.below(PAGES / 4);
        match query.below(6) {
            0 if cancels => poll_and_cancel(query.owner.acquire_pages(count), query.below(5)),
            1 => Some(query.owner.allocate_pages(count.min(16))),
            2 => {
                let bytes = count.min(64) * PAGE;
                let some = query.owner.allocate_up_to(bytes);
                some.is_ok_and(|block| block.size() <= bytes).then_some(Ok(Vec::new()))
            }
            // Waits in line, but for what it is entitled to, as long as it takes.
            3 if query.held_pages() + count < PAGES / 8 => {
                Some(query.owner.acquire_pages_timeout(count, LONG))
            }
            _ => {
                let millis = 1 + query.below(10) as u64;
                let timeout = Duration::from_millis(millis);
                Some(query.owner.acquire_pages_timeout(count, timeout))
            }
        }
    }

    /// Takes all it can get, over and over.
    fn work(query: &Query, cancels: bool, ends: &Flag) {
        while !ends.is_set() {
            match take(query, cancels) {
                Some(Ok(pages)) => query.hold(pages),
                Some(Err(refused)) => {
                    assert!(refused.is_for_want_of_memory(), "{refused}");
                    assert!(refused.reason() != Reason::Deadlock || cancels, "{refused}");
                }
                None => {}
            }
            match query.below(400) {
                0 => query.give_back(usize::MAX),
                1 => query.check_minimum(),
                2..6 => query.give_back(query.below(64)),
                _ => {}
            }
        }
    }

    /// Jain's index: 1 if all are equal, 1 / n if one has everything.
    fn jain(values: &[f64]) -> f64 {
        let sum: f64 = values.iter().sum();
        let squares: f64 = values.iter().map(|value| value * value).sum();
        sum * sum / (values.len() as f64 * squares)
    }

    fn manager() -> MemoryManager {
        let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
        builder.policy(FairShare).spill_reserve(RESERVE_PAGES * PAGE).build().unwrap()
    }

    /// Every page is there, in one piece, once `queries` are gone and nobody holds anything.
    fn assert_whole(manager: &MemoryManager, queries: Vec<Arc<Query>>) {
        drop(queries);
        // A call into one of them may still be under way, and be the last to let go of it.
        let begin = Instant::now();
        while manager.verify_empty().is_err() && begin.elapsed() < LONG {
            thread::yield_now();
        }
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
        let all = manager.owner("all").register().unwrap();
        let free = PAGES - 2 * RESERVE_PAGES;
        assert_eq!(all.allocate_pages(free).unwrap().len(), free);
        drop(all.allocate(free * PAGE).unwrap());
        drop(all);
        manager.verify_empty().unwrap();
    }

    /// Runs the threads of `queries`, and meanwhile looks at what they hold; returns the mean of
    /// each, in pages, and the longest time that one of them got nothing.
    fn run(queries: &[Arc<Query>], cancels: bool) -> (Vec<f64>, Duration) {
        let ends = Flag::default();
        let mut sums = vec![0.0; queries.len()];
        let mut looks = 0.0;
        let mut last: Vec<_> = queries.iter().map(|_| (0, Instant::now())).collect();
        let mut longest = Duration::ZERO;
        thread::scope(|scope| {
            for query in queries {
                for _ in 0..THREADS_PER_OWNER {
                    scope.spawn(|| work(query, cancels, &ends));
                }
            }
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(seconds()) {
                thread::sleep(Duration::from_millis(1));
                looks += 1.0;
                for ((query, sum), last) in queries.iter().zip(&mut sums).zip(&mut last) {
                    *sum += query.held_pages() as f64;
                    let grants = query.grants.get();
                    if grants != last.0 {
                        *last = (grants, Instant::now());
                    }
                    longest = longest.max(last.1.elapsed());
                }
            }
            ends.set();
        });
        (sums.into_iter().map(|sum| sum / looks).collect(), longest)
    }

    fn tell(name: &str, queries: &[Arc<Query>], means: &[f64], longest: Duration) {
        let counts = |count: fn(&Query) -> &Count| -> Vec<_> {
            queries.iter().map(|query| count(query).get()).collect()
        };
        println!(
            "{name}: Jain's index {:.4}, mean pages held {means:.0?}, grants {:?}, asked {:?}, \
             longest time without a grant {longest:?}",
            jain(means),
            counts(|query| &query.grants),
            counts(|query| &query.asked),
        );
    }

    #[test]
    fn four_owners_share_fairly() {
        let manager = manager();
        let query = |number| Query::new(&manager, number, Manners::Good);
        let queries: Vec<_> = (0..OWNERS).map(query).collect();
        let (means, longest) = run(&queries, false);
        tell("good manners", &queries, &means, longest);
        // Over a moment, who came first still shows.
        if seconds() >= 10 {
            assert!(jain(&means) >= 0.95, "{means:?}");
        }
        assert!(queries.iter().all(|query| query.grants.get() > 0));
        assert_whole(&manager, queries);
    }

    #[test]
    fn bad_manners_cost_no_page_and_no_minimum() {
        let manager = manager();
        let ends = Flag::default();
        let manners = [Manners::Good, Manners::Bad, Manners::Good, Manners::Bad];
        let query = |number| Query::new(&manager, number, manners[number]);
        let queries: Vec<_> = (0..OWNERS).map(query).collect();
        thread::scope(|scope| {
            // Owners come, hold, wait, and go midway, with memory out.
            scope.spawn(|| {
                let mut random = Random::new(99);
                while !ends.is_set() {
                    let guest = manager.owner("guest").polled_reclaim().register().unwrap();
                    let held = guest.allocate_pages(1 + random.below(8));
                    let waits = guest.acquire_pages(1 + random.below(200));
                    let more = poll_and_cancel(waits, random.below(50));
                    drop(guest);
                    thread::yield_now();
                    drop((held, more));
                }
            });
            let (means, longest) = run(&queries, true);
            ends.set();
            tell("bad manners", &queries, &means, longest);
        });
        assert!(queries.iter().all(|query| query.grants.get() > 0));
        assert_whole(&manager, queries);
    }
}
