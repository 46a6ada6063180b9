//! Registering an owner.

use std::sync::Arc;

use crate::budget::{Account, Refused};
use crate::error::OwnerError;

use super::drain::{End, Whose};
use super::members::Present;
use super::{Owner, Shared, to_usize};

/// The registration of an [`Owner`].
#[must_use = "an owner does nothing until it is registered"]
pub struct OwnerBuilder {
    manager: Arc<Shared>,
    name: Arc<str>,
    minimum_bytes: usize,
    limit_bytes: usize,
}

impl OwnerBuilder {
    pub(super) fn new(manager: Arc<Shared>, name: Arc<str>) -> Self {
        Self { manager, name, minimum_bytes: 0, limit_bytes: usize::MAX }
    }

    /// Bytes that the owner can always have; promised to nobody else from registration on.
    /// 0 by default.
    pub fn minimum(mut self, bytes: usize) -> Self {
        self.minimum_bytes = bytes;
        self
    }

    /// The most bytes that the owner may hold. The capacity by default, and at most.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Registers the owner.
    ///
    /// # Errors
    ///
    /// If the minimum is above the limit or above what is left of the budget, or the manager has
    /// been shut down.
    pub fn register(self) -> Result<Owner, OwnerError> {
        let Self { manager, name, minimum_bytes, limit_bytes } = self;
        if minimum_bytes > limit_bytes {
            return Err(OwnerError::MinimumAboveLimit { name, minimum_bytes, limit_bytes });
        }
        let minimum = minimum_bytes as u64;
        let limit = (limit_bytes as u64).min(manager.budget.limit()).max(minimum);
        let attempt = || Account::open(&manager.budget, minimum, limit);
        let opened = match attempt() {
            Err(Refused::Budget { .. }) => {
                manager.drained(Whose::Everybodys, End::Shut, |_| attempt())
            }
            answer => answer,
        };
        match opened {
            Ok(account) => Ok(Owner::new(name, account, manager)),
            Err(Refused::Closed) => Err(OwnerError::ShutDown { name }),
            Err(Refused::Budget { free } | Refused::Account { free }) => {
                Err(OwnerError::MinimumUnavailable {
                    name,
                    minimum_bytes,
                    available_bytes: to_usize(free),
                    holders: manager.present(Present::holders),
                })
            }
        }
    }
}
