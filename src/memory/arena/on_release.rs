//! Free memory that goes back to the system as others are released: a little with each of them.

use crate::base::sync::{AtomicU64, Ordering};
use crate::base::units::PageSize;
use crate::ledger::stock::{Stock, TrimCursor};

use super::idle::IdleMemory;

/// How much more may be released before idle memory is looked at again, at least: this part of the
/// way from the lower mark to the upper one. To look means to read the words of all chunks.
const LOOKS_BETWEEN_MARKS: u64 = 16;

/// What one release gives back at most, if it released no more than that.
const STEP_BYTES_MAX: usize = 16 << 20;
/// So many groups of 64 chunks one release counts, and so many strides it looks at: some hundred
/// microseconds of each.
const STEP_GROUPS_MAX: u32 = 512;
const STEP_STRIDES_MAX: u32 = 1 << 14;

/// The policy for threads that release memory, in pages.
pub(super) struct OnRelease {
    above: u64,
    down_to: u64,
    step_max: u64,
    /// The pages released since the last look.
    released: AtomicU64,
    /// How many those must be for the next one. Idle memory cannot be above the mark before, as it
    /// grows by what is released.
    due_at: AtomicU64,
}

/// What a thread that releases has begun, for the next one to go on with.
#[derive(Default)]
pub(super) enum Progress {
    #[default]
    Nothing,
    /// Idle pages are counted: those of the groups below this one are.
    Counting { group: u32, idle: u64 },
    /// So many pages are to be given back still. There were so many idle ones at first.
    Trimming { cursor: TrimCursor, pages_left: u64, idle: u64 },
}

impl OnRelease {
    /// The policy, if it is one that acts on release.
    pub(super) fn new(policy: IdleMemory, page_size: PageSize) -> Option<Self> {
        let IdleMemory::ReturnOnRelease { above_bytes, down_to_bytes } = policy else {
            return None;
        };
        let pages = |bytes: usize| (bytes / page_size.bytes()) as u64;
        Some(Self {
            above: pages(above_bytes),
            down_to: pages(down_to_bytes),
            step_max: pages(STEP_BYTES_MAX),
            released: AtomicU64::new(0),
            due_at: AtomicU64::new(pages(above_bytes) + 1),
        })
    }

    /// Whether idle memory can be above the mark, now that `pages` more were released.
    pub(super) fn is_due(&self, pages: u64) -> bool {
        // ORDERING: Relaxed, both. Counts of what happened; a look reads the free list itself.
        let released = self.released.fetch_add(pages, Ordering::Relaxed) + pages;
        // ORDERING: as above.
        released >= self.due_at.load(Ordering::Relaxed)
    }

    /// Takes a step towards the lower mark if idle memory is above the upper one. By one thread at
    /// a time, which has just released `released` pages. `trim` goes on with a trim: it gives back
    /// so many pages, looks at so many strides, and returns how many pages it gave back.
    pub(super) fn look(
        &self,
        stock: &Stock,
        progress: &mut Progress,
        released: u64,
        trim: impl FnOnce(&mut TrimCursor, u64, u32) -> u64,
    ) {
        if let Progress::Nothing = progress {
            *progress = Progress::Counting { group: 0, idle: 0 };
            // What is released from here on counts for the next look.
            // ORDERING: Relaxed, here and below. As in `is_due`.
            self.released.store(0, Ordering::Relaxed);
        }
        if let Progress::Counting { group, idle } = progress {
            let end = group.saturating_add(STEP_GROUPS_MAX).min(stock.warm().groups_reached());
            *idle += (*group..end).map(|group| stock.idle_pages_of(group)).sum::<u64>();
            *group = end;
            if end < stock.warm().groups_reached() {
                // ORDERING: as above.
                return self.due_at.store(0, Ordering::Relaxed);
            }
            let idle = *idle;
            if idle <= self.above {
                *progress = Progress::Nothing;
                return self.wait_from(idle);
            }
            let pages_left = idle - self.down_to;
            *progress = Progress::Trimming { cursor: stock.trim_cursor(), pages_left, idle };
        }
        if let Progress::Trimming { cursor, pages_left, idle } = progress {
            let pages_max = self.step_max.max(released).min(*pages_left);
            let given_back = trim(cursor, pages_max, STEP_STRIDES_MAX);
            *pages_left = pages_left.saturating_sub(given_back);
            *idle = idle.saturating_sub(given_back);
            if *pages_left > 0 && !Stock::is_trimmed(cursor) {
                // ORDERING: as above.
                return self.due_at.store(0, Ordering::Relaxed);
            }
            let idle = *idle;
            *progress = Progress::Nothing;
            self.wait_from(idle);
        }
    }

    /// The next look is due when so many idle pages can be above the mark.
    fn wait_from(&self, idle: u64) {
        let step = (self.above - self.down_to) / LOOKS_BETWEEN_MARKS;
        let due_at = (self.above + 1).saturating_sub(idle).max(step).max(1);
        // ORDERING: Relaxed. As in `is_due`.
        self.due_at.store(due_at, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::PageCount;
    use crate::ledger::free_list::Strategy;

    const PAGE: usize = 4096;

    /// A region with that many idle pages.
    fn idle(pages: u32) -> Stock {
        let count = PageCount::new(128);
        let stock = Stock::with_units(count, count, Strategy::SmallestFit, None);
        stock.release_runs(stock.take_run(PageCount::new(pages)));
        stock
    }

    /// Begins above 64 pages, and leaves 32.
    fn policy() -> Option<OnRelease> {
        let policy =
            IdleMemory::ReturnOnRelease { above_bytes: 64 * PAGE, down_to_bytes: 32 * PAGE };
        OnRelease::new(policy, PageSize::new(PAGE).ok()?)
    }

    /// One look, or one step of it.
    fn look(policy: &OnRelease, stock: &Stock, progress: &mut Progress, released: u64) -> u64 {
        let before = stock.idle_pages();
        policy.look(stock, progress, released, |cursor, pages_max, strides_max| {
            stock.trim_step(cursor, pages_max, strides_max, |_| true)
        });
        before - stock.idle_pages()
    }

    /// All of it.
    fn look_until_done(policy: &OnRelease, stock: &Stock) -> u64 {
        let mut progress = Progress::default();
        let mut given_back = look(policy, stock, &mut progress, 0);
        while !matches!(progress, Progress::Nothing) {
            assert!(policy.is_due(0), "the next release goes on");
            given_back += look(policy, stock, &mut progress, 0);
        }
        given_back
    }

    #[test]
    fn nobody_looks_before_as_much_was_released_as_could_pass_the_mark() {
        let policy = policy().unwrap();
        assert!(!policy.is_due(64));
        assert!(policy.is_due(1));
        let stock = idle(128);
        look_until_done(&policy, &stock);
        // In whole chunks, and then what is left of others.
        assert_eq!(stock.idle_pages(), 0);
        assert!(!policy.is_due(64));
        assert!(policy.is_due(1));
    }

    #[test]
    fn what_is_idle_still_counts_for_the_next_look() {
        let (policy, stock) = (policy().unwrap(), idle(40));
        assert_eq!(look_until_done(&policy, &stock), 0, "it is below the mark");
        assert!(!policy.is_due(24));
        assert!(policy.is_due(1));
        // What a trim could not give back is still there.
        let (stock, mut progress) = (idle(70), Progress::default());
        policy.look(&stock, &mut progress, 0, |cursor, pages_max, _| {
            assert_eq!(pages_max, 70 - 32);
            stock.trim_step(cursor, 1, u32::MAX, |_| false);
            stock.trim_step(cursor, 1, u32::MAX, |_| false);
            10
        });
        assert!(matches!(progress, Progress::Nothing));
        assert!(!policy.is_due(4));
        assert!(policy.is_due(1));
    }

    #[test]
    fn at_the_mark_nothing_is_trimmed_and_the_next_look_waits_a_little() {
        let policy = policy().unwrap();
        assert_eq!(look_until_done(&policy, &idle(64)), 0, "it is not above the mark");
        // A sixteenth of the way between the marks.
        assert!(!policy.is_due(1));
        assert!(policy.is_due(1));
    }

    #[test]
    fn one_release_gives_back_a_bounded_part_and_the_next_ones_the_rest() {
        let mut policy = policy().unwrap();
        policy.step_max = 64;
        let pages = PageCount::new(10 * 64);
        let stock = Stock::with_units(pages, pages, Strategy::SmallestFit, None);
        stock.release_runs(stock.take_run(pages));
        let mut progress = Progress::default();
        assert_eq!(look(&policy, &stock, &mut progress, 1), 64);
        assert!(policy.is_due(0), "the next release goes on");
        assert_eq!(look(&policy, &stock, &mut progress, 130), 192, "as much as was released");
        assert_eq!(look(&policy, &stock, &mut progress, 1), 64);
        let more = [(); 5].map(|()| look(&policy, &stock, &mut progress, 1));
        assert_eq!(more, [64; 5]);
        assert!(matches!(progress, Progress::Nothing) && stock.idle_pages() == 0);
        assert!(!policy.is_due(63), "it is over");
    }

    #[test]
    fn one_release_counts_a_bounded_part_of_a_large_region() {
        let policy = policy().unwrap();
        let pages = PageCount::new((STEP_GROUPS_MAX + 1) * 64 * 64);
        let stock = Stock::with_units(pages, pages, Strategy::SmallestFit, None);
        stock.release_runs(stock.take_run(pages));
        stock.trim(128, |_| true);
        let mut progress = Progress::default();
        assert_eq!(look(&policy, &stock, &mut progress, 1), 0);
        assert!(matches!(progress, Progress::Counting { group: STEP_GROUPS_MAX, .. }));
        // It looks at a part for what to give back as well, from the end on.
        let mut looks = [0, 0];
        while !matches!(progress, Progress::Nothing) {
            looks[0] += 1;
            looks[1] += look(&policy, &stock, &mut progress, 1);
        }
        assert_eq!(looks, [3, 128]);
    }
}
