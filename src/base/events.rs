//! Rare events, told to listeners: with the feature `tracing` as events, with the feature
//! `metrics` as counters.
//!
//! Nothing is locked when they are told, so a listener may use the manager. A listener that panics
//! does no harm to the caller.

use std::sync::Arc;

use crate::base::error::{LeakError, Refusal};
#[cfg(any(feature = "tracing", feature = "metrics"))]
use crate::base::panics::catch;

/// The target of all events.
#[cfg(feature = "tracing")]
const TARGET: &str = "offheap";

/// Tells an event, whatever the listeners do with it.
#[cfg(any(feature = "tracing", feature = "metrics"))]
fn tell(event: impl FnOnce()) {
    let _ = catch(event);
}

/// A manager that was just built, in text and numbers.
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody listens"))]
pub(crate) struct Built<'a> {
    pub(crate) capacity_bytes: usize,
    pub(crate) page_bytes: usize,
    pub(crate) mode: &'a dyn std::fmt::Display,
    pub(crate) strategy: &'a dyn std::fmt::Display,
    pub(crate) capacity_source: &'a dyn std::fmt::Display,
}

pub(crate) fn built(built: &Built<'_>) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::info!(
            target: TARGET,
            capacity_bytes = built.capacity_bytes,
            page_bytes = built.page_bytes,
            mode = %built.mode,
            strategy = %built.strategy,
            capacity_source = %built.capacity_source,
            "memory manager built"
        );
    });
    let _ = built;
}

pub(crate) fn owner_registered(path: &str, minimum_bytes: u64, limit_bytes: u64) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = path,
            minimum_bytes,
            limit_bytes,
            "owner registered"
        );
    });
    let _ = (path, minimum_bytes, limit_bytes);
}

/// The last handle is gone; memory may still be out.
pub(crate) fn owner_ended(path: &str, used_bytes: u64) {
    #[cfg(feature = "tracing")]
    tell(|| tracing::debug!(target: TARGET, owner = path, used_bytes, "owner ended"));
    let _ = (path, used_bytes);
}

pub(crate) fn refused(refusal: &Refusal) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = &*refusal.owner_path,
            requested_bytes = refusal.requested_bytes,
            available_bytes = refusal.available_bytes,
            owner_used_bytes = refusal.owner_used_bytes,
            owner_limit_bytes = refusal.owner_limit_bytes,
            capacity_bytes = refusal.capacity_bytes,
            reason = ?refusal.reason,
            "memory refused"
        );
    });
    #[cfg(feature = "metrics")]
    tell(|| count_refusal(refusal));
    let _ = refusal;
}

/// An owner was asked to give memory back, and has answered or let the time pass.
pub(crate) fn asked(path: &str, asked_bytes: u64, given_bytes: u64) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = path,
            asked_bytes,
            given_bytes,
            "owner asked to give memory back"
        );
    });
    let _ = (path, asked_bytes, given_bytes);
}

/// Requests of these owners wait for each other as far as one can see: all that hold what they lack
/// wait, too. But some have other handles, with which threads may be at work.
pub(crate) fn may_wait_for_each_other(paths: &[Arc<str>]) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::warn!(
            target: TARGET,
            owners = %paths.join(", "),
            "owners may wait for each other: none is told, since some have other handles"
        );
    });
    let _ = paths;
}

pub(crate) fn trimmed(bytes: usize) {
    #[cfg(feature = "tracing")]
    tell(|| tracing::debug!(target: TARGET, given_back_bytes = bytes, "free memory given back"));
    #[cfg(feature = "metrics")]
    tell(|| count_trim(bytes));
    let _ = bytes;
}

pub(crate) fn shut_down(leak: Option<&LeakError>) {
    #[cfg(feature = "tracing")]
    match leak {
        None => tell(|| tracing::info!(target: TARGET, "memory manager shut down")),
        Some(leak) => tell_holders(leak, "memory manager shut down while memory is out"),
    }
    let _ = leak;
}

/// The last handle of a manager is gone while memory is out.
#[cfg(feature = "tracing")]
pub(crate) fn left_behind(leak: &LeakError) {
    tell_holders(leak, "the last handle of a memory manager is gone while memory is out");
}

/// Tells of each holder.
#[cfg(feature = "tracing")]
fn tell_holders(leak: &LeakError, what: &str) {
    for holder in &leak.holders {
        tell(|| {
            tracing::warn!(
                target: TARGET,
                owner = &*holder.path,
                used_bytes = holder.used_bytes,
                sites = %leak.sites_of(&holder.path),
                "{what}"
            );
        });
    }
}

#[cfg(feature = "metrics")]
fn count_refusal(refusal: &Refusal) {
    let owner = metrics::SharedString::from(std::sync::Arc::clone(&refusal.owner_path));
    let labels = [("owner", owner), ("reason", refusal.reason.as_str().into())];
    metrics::counter!("offheap_refusals_total", &labels).increment(1);
}

#[cfg(feature = "metrics")]
fn count_trim(bytes: usize) {
    metrics::counter!("offheap_trims_total").increment(1);
    metrics::counter!("offheap_trimmed_bytes_total").increment(bytes as u64);
}
