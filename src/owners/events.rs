//! Rare events, told to those who listen: with the feature `tracing` as events, with the feature
//! `metrics` as counters. Nothing is locked when they are told, so a listener may use the manager.
//! One that panics spares whoever tells it.

use crate::base::error::{LeakError, Refusal};

#[cfg(any(feature = "tracing", feature = "metrics"))]
use crate::base::panics::shielded;
use crate::manager::Shared;
use crate::owners::owner::OwnerShared;

/// The target of all events.
#[cfg(feature = "tracing")]
const TARGET: &str = "offheap";

/// Tells an event, whatever those who listen do with it.
#[cfg(any(feature = "tracing", feature = "metrics"))]
fn tell(event: impl FnOnce()) {
    let _ = shielded(event);
}

/// That there is a handle on a manager.
#[cfg(feature = "tracing")]
pub(crate) struct Handle(pub(crate) std::sync::Arc<Shared>);

#[cfg(feature = "tracing")]
impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(leak) = self.0.leaks() {
            for holder in &leak.holders {
                tell(|| {
                    tracing::warn!(
                        target: TARGET,
                        owner = &*holder.name,
                        used_bytes = holder.used_bytes,
                        sites = %leak.sites_of(&holder.name),
                        "the last handle of a memory manager is gone while memory is out"
                    );
                });
            }
        }
    }
}

pub(crate) fn built(shared: &Shared) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::info!(
            target: TARGET,
            capacity_bytes = shared.budget.limit(),
            page_bytes = shared.page_size.bytes(),
            mode = %shared.mode,
            strategy = %shared.strategy,
            capacity_source = %shared.capacity_source,
            "memory manager built"
        );
    });
    let _ = shared;
}

pub(crate) fn owner_registered(owner: &OwnerShared) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = &**owner.path(),
            minimum_bytes = owner.account().minimum(),
            limit_bytes = owner.account().limit(),
            "owner registered"
        );
    });
    let _ = owner;
}

/// The last handle is gone; memory may still be out.
pub(crate) fn owner_ended(owner: &OwnerShared) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = &**owner.path(),
            used_bytes = owner.account().used_bytes(),
            "owner ended"
        );
    });
    let _ = owner;
}

pub(crate) fn refused(refusal: &Refusal) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = &*refusal.owner,
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
    tell(|| crate::manager::metrics::count_refusal(refusal));
    let _ = refusal;
}

/// An owner was asked to give memory back, and has answered or let the time pass.
pub(crate) fn asked(owner: &OwnerShared, asked_bytes: u64, given_bytes: u64) {
    #[cfg(feature = "tracing")]
    tell(|| {
        tracing::debug!(
            target: TARGET,
            owner = &**owner.path(),
            asked_bytes,
            given_bytes,
            "owner asked to give memory back"
        );
    });
    let _ = (owner, asked_bytes, given_bytes);
}

pub(crate) fn trimmed(bytes: usize) {
    #[cfg(feature = "tracing")]
    tell(|| tracing::debug!(target: TARGET, given_back_bytes = bytes, "free memory given back"));
    #[cfg(feature = "metrics")]
    tell(|| crate::manager::metrics::count_trim(bytes));
    let _ = bytes;
}

pub(crate) fn shut_down(leak: Option<&LeakError>) {
    #[cfg(feature = "tracing")]
    match leak {
        None => tell(|| tracing::info!(target: TARGET, "memory manager shut down")),
        Some(leak) => {
            for holder in &leak.holders {
                tell(|| {
                    tracing::warn!(
                        target: TARGET,
                        owner = &*holder.name,
                        used_bytes = holder.used_bytes,
                        sites = %leak.sites_of(&holder.name),
                        "memory manager shut down while memory is out"
                    );
                });
            }
        }
    }
    let _ = leak;
}
