//! What becomes of memory that is free and still resident.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use crate::base::error::{ConfigError, UnknownWord};
use crate::base::sync::{AtomicU64, Ordering};
use crate::base::units::PageSize;
use crate::ledger::stock::Stock;

/// What becomes of memory that is free and still resident.
///
/// To return memory costs a system call, and to use it again costs the faults of a first touch. So
/// a policy has two marks. It does nothing until idle memory is above the upper one, and then
/// returns all that is above the lower one.
///
/// Memory is returned in whole huge pages where possible. A part of one is not resident any more,
/// but the kernel frees it only when memory is short.
/// In heap mode there is no idle memory: the process allocator has it.
///
/// In text, `keep`, `return-on-release:ABOVE_BYTES:DOWN_TO_BYTES` or
/// `return-in-background:ABOVE_BYTES:DOWN_TO_BYTES:EVERY`. The first two are numbers of bytes, the
/// last is a whole number with its unit: `ns`, `us`, `ms` or `s`.
///
/// ```
/// use offheap::config::IdleMemory;
/// use std::time::Duration;
///
/// let policy: IdleMemory = "return-in-background:1048576:0:500ms".parse()?;
/// let every = Duration::from_millis(500);
/// let expected = IdleMemory::ReturnInBackground { above_bytes: 1 << 20, down_to_bytes: 0, every };
/// assert_eq!(policy, expected);
/// # Ok::<(), offheap::error::UnknownWord>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum IdleMemory {
    /// It is kept for the next request, which is the fastest.
    /// [`trim`](crate::MemoryManager::trim) returns it.
    #[default]
    Keep,
    /// A thread that releases memory returns what is too much. Only one thread at a time does so,
    /// and others go on. What this thread has just released is credited to the budget once it is
    /// done.
    ReturnOnRelease {
        /// The idle bytes above which it begins.
        above_bytes: usize,
        /// The idle bytes that it leaves.
        down_to_bytes: usize,
    },
    /// A thread of the manager looks at idle memory now and then. It ends with the manager.
    ReturnInBackground {
        /// The idle bytes above which it begins.
        above_bytes: usize,
        /// The idle bytes that it leaves.
        down_to_bytes: usize,
        /// The pause between two looks, above zero.
        every: Duration,
    },
}

/// What policies are written as.
const WORDS: [&str; 3] = [
    "keep",
    "return-on-release:ABOVE_BYTES:DOWN_TO_BYTES",
    "return-in-background:ABOVE_BYTES:DOWN_TO_BYTES:EVERY",
];

/// The units of a pause with their nanoseconds. No unit is the end of an earlier one.
const PAUSE_UNITS: [(&str, u128); 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", NANOS)];

/// The nanoseconds of a second.
const NANOS: u128 = 1_000_000_000;

/// How much more may be released before idle memory is looked at again, at least: this part of the
/// way from the lower mark to the upper one. To look means to read every chunk's word.
const LOOKS_BETWEEN_MARKS: u64 = 16;

/// The policy for threads that release memory, in pages.
pub(super) struct OnRelease {
    above: u64,
    down_to: u64,
    /// The pages released since the last look.
    released: AtomicU64,
    /// How many those must be for the next one. Idle memory cannot be above the mark before, as it
    /// grows by what is released.
    due_at: AtomicU64,
}

impl IdleMemory {
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let (above_bytes, down_to_bytes, every) = match self {
            Self::Keep => return Ok(()),
            Self::ReturnOnRelease { above_bytes, down_to_bytes } => {
                (above_bytes, down_to_bytes, None)
            }
            Self::ReturnInBackground { above_bytes, down_to_bytes, every } => {
                (above_bytes, down_to_bytes, Some(every))
            }
        };
        if down_to_bytes > above_bytes || every == Some(Duration::ZERO) {
            return Err(ConfigError::IdleMemory { above_bytes, down_to_bytes, every });
        }
        Ok(())
    }
}

impl Display for IdleMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Keep => f.pad("keep"),
            Self::ReturnOnRelease { above_bytes, down_to_bytes } => {
                f.pad(&format!("return-on-release:{above_bytes}:{down_to_bytes}"))
            }
            Self::ReturnInBackground { above_bytes, down_to_bytes, every } => {
                let every = pause_text(every);
                f.pad(&format!("return-in-background:{above_bytes}:{down_to_bytes}:{every}"))
            }
        }
    }
}

impl FromStr for IdleMemory {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let parts: Vec<&str> = text.split(':').collect();
        let marks = |above: &str, down_to: &str| Some((above.parse().ok()?, down_to.parse().ok()?));
        let policy = match parts[..] {
            ["keep"] => Some(Self::Keep),
            ["return-on-release", above, down_to] => {
                marks(above, down_to).map(|(above_bytes, down_to_bytes)| Self::ReturnOnRelease {
                    above_bytes,
                    down_to_bytes,
                })
            }
            ["return-in-background", above, down_to, every] => marks(above, down_to)
                .zip(pause(every))
                .map(|((above_bytes, down_to_bytes), every)| Self::ReturnInBackground {
                    above_bytes,
                    down_to_bytes,
                    every,
                }),
            _ => None,
        };
        policy.ok_or_else(|| UnknownWord::new("policy for idle memory", text, &WORDS))
    }
}

/// A pause in the largest unit that it is a whole number of.
fn pause_text(pause: Duration) -> String {
    let is_whole = |(_, nanos): &(&str, u128)| pause.as_nanos().is_multiple_of(*nanos);
    let (unit, nanos) = PAUSE_UNITS.into_iter().rfind(is_whole).unwrap_or(("ns", 1));
    format!("{}{unit}", pause.as_nanos() / nanos)
}

/// The pause that is written as a whole number and a unit.
fn pause(text: &str) -> Option<Duration> {
    let in_unit = |(unit, nanos)| Some((text.strip_suffix(unit)?, nanos));
    let (number, nanos) = PAUSE_UNITS.into_iter().find_map(in_unit)?;
    let nanos = number.parse::<u128>().ok()?.checked_mul(nanos)?;
    let seconds = u64::try_from(nanos / NANOS).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % NANOS).ok()?))
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

    /// Trims if idle memory is above the mark. By one thread at a time.
    pub(super) fn look(&self, stock: &Stock, trim: impl FnOnce(u64) -> u64) {
        // What is released from here on counts for the next look.
        // ORDERING: Relaxed, here and below. As in `is_due`.
        self.released.store(0, Ordering::Relaxed);
        let mut idle = stock.idle_pages();
        if idle > self.above {
            idle = idle.saturating_sub(trim(self.down_to));
        }
        let step = (self.above - self.down_to) / LOOKS_BETWEEN_MARKS;
        let due_at = (self.above + 1).saturating_sub(idle).max(step).max(1);
        // ORDERING: as above.
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

    #[test]
    fn nobody_looks_before_as_much_was_released_as_could_pass_the_mark() {
        let policy = policy().unwrap();
        assert!(!policy.is_due(64));
        assert!(policy.is_due(1));
        let stock = idle(128);
        policy.look(&stock, |down_to| stock.trim(down_to, |_| true));
        // In whole chunks, and then what is left of others.
        assert_eq!(stock.idle_pages(), 0);
        assert!(!policy.is_due(64));
        assert!(policy.is_due(1));
    }

    #[test]
    fn what_is_idle_still_counts_for_the_next_look() {
        let (policy, stock) = (policy().unwrap(), idle(40));
        policy.look(&stock, |_| panic!("it is below the mark"));
        assert!(!policy.is_due(24));
        assert!(policy.is_due(1));
        // What a trim could not give back is still there.
        policy.look(&idle(70), |down_to| u64::from(down_to == 32) * 10);
        assert!(!policy.is_due(4));
        assert!(policy.is_due(1));
    }

    #[test]
    fn at_the_mark_nothing_is_trimmed_and_the_next_look_waits_a_little() {
        let policy = policy().unwrap();
        policy.look(&idle(64), |_| panic!("it is not above the mark"));
        // A sixteenth of the way between the marks.
        assert!(!policy.is_due(1));
        assert!(policy.is_due(1));
    }
}
