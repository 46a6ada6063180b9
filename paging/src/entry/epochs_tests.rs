//! Epochs on the processor and the system that are there: a model has no heavy fence.

use std::thread;

use super::epochs::{Epochs, Participant};
use super::outcome::{Dirty, IsDead, LoadTurn, Publish};
use super::state::State;
use crate::base::fence::Fences;
use crate::base::sync::{AtomicU64, Ordering};

/// How often readers find the page resident before the test ends.
const FINDS: u64 = 5_000;
/// How often a reader looks at a page before it leaves.
const LOOKS: usize = 100;
const CONTENT: u64 = 7;
const TAKEN: u64 = u64::MAX;

/// A page, and its frame, which another page has while it is spilled.
struct Paged {
    state: State,
    frame: AtomicU64,
    finds: AtomicU64,
}

impl Paged {
    fn put(&self, content: u64) {
        // ORDERING: Relaxed. The word and the epochs order it, or the test fails.
        self.frame.store(content, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        // ORDERING: Relaxed. Only a count.
        self.finds.load(Ordering::Relaxed) >= FINDS
    }

    /// Reads until it is over; how often it read what is another page's.
    fn read_on(&self, reader: &mut Participant) -> usize {
        let mut wrong = 0;
        while !self.is_over() {
            reader.enter();
            if self.state.is_resident_now() {
                // ORDERING: Relaxed. As in `put`.
                let read = || self.frame.load(Ordering::Relaxed);
                wrong += (0..LOOKS).filter(|_| read() != CONTENT).count();
                // ORDERING: Relaxed. As in `is_over`.
                self.finds.fetch_add(1, Ordering::Relaxed);
            }
            reader.leave();
        }
        wrong
    }

    fn move_about(&self, epochs: &Epochs) {
        while !self.is_over() {
            self.state.begin_evict().unwrap();
            let stamp = epochs.retire();
            while !epochs.has_passed(stamp) {
                thread::yield_now();
            }
            assert_eq!(self.state.finish_evict(), IsDead::No);
            self.put(TAKEN);
            assert_eq!(self.state.begin_load(), LoadTurn::Mine);
            self.put(CONTENT);
            let published = self.state.publish(Publish { pin: false, dirty: false });
            assert_eq!(published, IsDead::No);
        }
    }
}

#[test]
fn a_frame_is_not_used_again_while_it_is_read() {
    for fences in [Fences::of_system(), Fences::Symmetric] {
        let epochs = Epochs::with_fences(fences);
        let [frame, finds] = [CONTENT, 0].map(AtomicU64::new);
        let paged = Paged { state: State::new(), frame, finds };
        paged.state.make_resident(Dirty::No);
        let mut readers = [epochs.register(), epochs.register()];
        let wrong: usize = thread::scope(|scope| {
            let readers = readers.iter_mut();
            let readers: Vec<_> =
                readers.map(|reader| scope.spawn(|| paged.read_on(reader))).collect();
            paged.move_about(&epochs);
            readers.into_iter().map(|reader| reader.join().unwrap()).sum()
        });
        assert_eq!(wrong, 0, "what was read while it was another page's: {fences:?}");
    }
}
