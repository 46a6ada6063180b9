//! The levels of the pressure, and where they begin.

use crate::base::bytes::{fraction_of, to_usize};
use crate::base::error::ConfigError;

/// How short memory is: what is held, promised, set aside or kept at hand, as a share of the
/// capacity.
///
/// A level is reached at its threshold, and left only a twentieth of the capacity below that. While
/// a request waits in line for memory of the budget, the level is critical. The thresholds below
/// are the defaults: see [`pressure_thresholds`][set].
///
/// [set]: crate::config::MemoryManagerBuilder::pressure_thresholds
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Pressure {
    /// There is plenty.
    #[default]
    Normal,
    /// From 70 % on: it is time to trim caches.
    Elevated,
    /// From 85 % on: it is time to take on nothing new.
    High,
    /// From 95 % on, or while a request waits: it is time to give back.
    Critical,
}

impl Pressure {
    pub(super) const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];
}

/// Where the levels begin, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Thresholds {
    /// Of the levels above normal.
    bytes: [u64; 3],
    /// How far below its threshold a level is left.
    slack: u64,
}

impl Thresholds {
    pub(super) fn new(shares: [f64; 3], capacity: u64) -> Self {
        let part = |share: f64| {
            fraction_of(to_usize(capacity), share).map_or(u64::MAX, |part| part as u64)
        };
        Self { bytes: shares.map(part), slack: capacity / 20 }
    }

    /// The level after `last`, at so many reserved bytes.
    pub(super) fn next(&self, last: Pressure, reserved: u64) -> Pressure {
        let holds = |(index, threshold): (usize, &u64)| {
            let is_reached = last >= Pressure::ALL[index + 1];
            reserved >= if is_reached { threshold.saturating_sub(self.slack) } else { *threshold }
        };
        Pressure::ALL[self.bytes.iter().enumerate().take_while(|level| holds(*level)).count()]
    }

    /// The bytes below and above which a level is left.
    pub(super) fn bounds(&self, level: Pressure) -> (u64, u64) {
        let index = level as usize;
        let below =
            index.checked_sub(1).map_or(0, |own| self.bytes[own].saturating_sub(self.slack));
        let above = self.bytes.get(index).map_or(u64::MAX, |next| next.saturating_sub(1));
        (below, above)
    }
}

/// Where the levels begin by default, as shares of the capacity.
pub(in crate::manager) const SHARES_DEFAULT: [f64; 3] = [0.7, 0.85, 0.95];

/// Refuses thresholds that are not in order.
pub(in crate::manager) fn check_shares(shares: [f64; 3]) -> Result<(), ConfigError> {
    let [elevated, high, critical] = shares;
    let is_ordered = 0.0 < elevated && elevated <= high && high <= critical && critical <= 1.0;
    is_ordered.then_some(()).ok_or(ConfigError::PressureThresholds { elevated, high, critical })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_left_only_well_below_where_it_was_reached() {
        let thresholds = Thresholds::new(SHARES_DEFAULT, 1000);
        let mut level = Pressure::Normal;
        let steps = [
            (699, Pressure::Normal),
            (700, Pressure::Elevated),
            (651, Pressure::Elevated),
            (649, Pressure::Normal),
            (950, Pressure::Critical),
            (900, Pressure::Critical),
            (899, Pressure::High),
            (949, Pressure::High),
            (800, Pressure::High),
            (799, Pressure::Elevated),
            (0, Pressure::Normal),
            (1000, Pressure::Critical),
            (1, Pressure::Normal),
        ];
        for (reserved, expected) in steps {
            let (below, above) = thresholds.bounds(level);
            let next = thresholds.next(level, reserved);
            assert_eq!(next, expected, "{reserved}");
            assert_eq!(next == level, (below..=above).contains(&reserved), "{reserved}");
            level = next;
        }
    }
}
