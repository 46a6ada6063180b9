//! What becomes of memory that is free and still resident.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use crate::base::error::{ConfigError, UnknownWord};

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
    ///
    /// One release returns at most 16 MiB, or as much as it released if that is more, and it looks
    /// at a part of a very large region only. The next ones go on where it ended. So it takes some
    /// milliseconds longer at most, for pages of 4 KiB. What remains when nobody releases any more
    /// stays; where that must not be, [`ReturnInBackground`](Self::ReturnInBackground) does not
    /// depend on it.
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
