//! Rare things are told to listeners, with the feature `tracing`.
//!
//! Nothing is locked when they are told, so a listener may use the pool. A listener that panics
//! does no harm to the caller.

use std::sync::Arc;
use std::time::Duration;

use super::error::PagingError;
#[cfg(feature = "tracing")]
use crate::base::sync::{AtomicU64, Ordering};
use crate::file::SpillFile;

/// The target of all events.
#[cfg(feature = "tracing")]
const TARGET: &str = "offheap_paging";

/// A call that takes as long is told.
#[cfg(feature = "tracing")]
const STALL: Duration = Duration::from_secs(1);

/// Tells of one pool.
#[derive(Clone, Default)]
pub(crate) struct Teller {
    #[cfg(feature = "tracing")]
    subject: Option<Arc<Subject>>,
}

/// Of whom it is told, and how large the file was when it was told last.
#[cfg(feature = "tracing")]
struct Subject {
    owner: String,
    file: Arc<SpillFile>,
    file_bytes: AtomicU64,
}

/// Tells an event, whatever the listeners do with it.
#[cfg(feature = "tracing")]
fn tell(event: impl FnOnce()) {
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(event));
    if let Err(payload) = answer {
        // It may panic again when it is dropped.
        std::mem::forget(payload);
    }
}

impl Teller {
    pub(crate) fn new(owner: &str, file: &Arc<SpillFile>) -> Self {
        #[cfg(feature = "tracing")]
        return Self {
            subject: Some(Arc::new(Subject {
                owner: owner.to_owned(),
                file: Arc::clone(file),
                file_bytes: AtomicU64::new(file.size_bytes()),
            })),
        };
        #[cfg(not(feature = "tracing"))]
        {
            let _ = (owner, file);
            Self::default()
        }
    }

    /// A call has failed, and tells its caller so.
    pub(crate) fn failed(&self, error: PagingError) -> PagingError {
        #[cfg(feature = "tracing")]
        if let Some(Subject { owner, .. }) = self.subject.as_deref() {
            tell(|| match &error {
                PagingError::Damaged { .. } => {
                    tracing::error!(target: TARGET, owner, %error, "a page is damaged");
                }
                PagingError::Spill(_) | PagingError::AllPinned { .. } => {
                    tracing::warn!(target: TARGET, owner, %error, "a call of a page pool failed");
                }
                _ => tracing::debug!(target: TARGET, owner, %error, "a call of a page pool failed"),
            });
        }
        error
    }

    /// Nothing of a write arrived; it was the `count`th since the pool was built.
    pub(crate) fn write_failed(&self, count: u64) {
        #[cfg(feature = "tracing")]
        if let (Some(Subject { owner, .. }), true) = (self.subject.as_deref(), is_told(count)) {
            tell(|| tracing::warn!(target: TARGET, owner, count, "pages could not be written"));
        }
        let _ = count;
    }

    /// A page came back although the disk is full; it was the `count`th since the pool was built.
    pub(crate) fn swapped(&self, count: u64) {
        #[cfg(feature = "tracing")]
        if let (Some(Subject { owner, .. }), true) = (self.subject.as_deref(), is_told(count)) {
            tell(|| {
                tracing::warn!(
                    target: TARGET,
                    owner,
                    count,
                    "the disk is full: pages take each other's place in the spill file"
                );
            });
        }
        let _ = count;
    }

    /// Pages were written, for which the file may have grown.
    pub(crate) fn written(&self, _count: u64) {
        #[cfg(feature = "tracing")]
        if let Some(Subject { owner, file, file_bytes }) = self.subject.as_deref() {
            let bytes = file.size_bytes();
            // ORDERING: Relaxed. The number alone counts: each size is told by one thread.
            if file_bytes.fetch_max(bytes, Ordering::Relaxed) < bytes {
                tell(|| tracing::debug!(target: TARGET, owner, bytes, "the spill file grew"));
            }
        }
    }

    /// A call took so long to pin a page, or to find a frame.
    pub(crate) fn stalled(&self, time: Duration) {
        #[cfg(feature = "tracing")]
        if let (Some(Subject { owner, .. }), true) = (self.subject.as_deref(), time >= STALL) {
            tell(|| tracing::warn!(target: TARGET, owner, ?time, "a call had to wait long"));
        }
        let _ = time;
    }
}

/// The first time, the second, the fourth, the eighth: what lasts is not told each time.
#[cfg(feature = "tracing")]
fn is_told(count: u64) -> bool {
    count.is_power_of_two()
}
