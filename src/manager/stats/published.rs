//! The owners whose numbers were published, so that those that are gone do not stay as they were.

use std::borrow::Cow;
use std::collections::BTreeMap;

use metrics::{SharedString, gauge};

use crate::base::sync::{Lock, Rank};

use super::numbers::OwnerStats;

/// The labels of owners that were published last, for each name of the manager, so that those that
/// are gone do not stay as they were.
pub(in crate::manager) struct Published(Lock<BTreeMap<String, Vec<String>>>);

impl Default for Published {
    fn default() -> Self {
        Self(Lock::new(Rank::Published, BTreeMap::new()))
    }
}

impl Published {
    pub(in crate::manager) fn publish(
        &self,
        manager: &str,
        owners: &[OwnerStats],
        label_of: impl Fn(&str) -> Option<Cow<'_, str>>,
    ) {
        // The used, guaranteed, most and overdrawn bytes of a label.
        let mut labels: BTreeMap<String, [usize; 4]> = BTreeMap::new();
        for owner in owners {
            let Some(label) = label_of(&owner.path) else { continue };
            let sums = labels.entry(label.into_owned()).or_default();
            let OwnerStats { used_bytes, minimum_bytes, limit_bytes, overdrawn_bytes, .. } = owner;
            let more = [*used_bytes, *minimum_bytes, *limit_bytes, *overdrawn_bytes];
            *sums = std::array::from_fn(|at| sums[at].saturating_add(more[at]));
        }
        let present = labels.keys().cloned().collect();
        let mut published = self.0.lock();
        let before = published.insert(manager.to_owned(), present);
        drop(published);
        for gone in before.unwrap_or_default() {
            labels.entry(gone).or_default();
        }
        for (owner, numbers) in labels {
            let owner = SharedString::from(owner);
            let labels = [("manager", SharedString::from(manager.to_owned())), ("owner", owner)];
            gauge!("offheap_owner_used_bytes", &labels).set(as_f64(numbers[0]));
            gauge!("offheap_owner_minimum_bytes", &labels).set(as_f64(numbers[1]));
            gauge!("offheap_owner_limit_bytes", &labels).set(as_f64(numbers[2]));
            gauge!("offheap_owner_overdrawn_bytes", &labels).set(as_f64(numbers[3]));
        }
    }
}

/// Capacities are below 2^53, where `f64` counts exactly.
pub(in crate::manager) fn as_f64(number: usize) -> f64 {
    number as f64
}
