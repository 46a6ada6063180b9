//! On whose behalf memory is asked for, and what may be done to get it.

use std::sync::Arc;

use crate::base::units::PageSize;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;
use crate::owners::sharing::commons::Commons;

/// What is done for a request that does not fit what is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// Nothing: it gets what is free, wherever that is kept at hand.
    TakeFree,
    /// Owners that could give memory back are asked for it, and waited for within a bound.
    AskOthers,
}

/// An owner that asks for memory, and all those it may have to wait for.
#[derive(Clone, Copy)]
pub(crate) struct Requester<'a> {
    pub(super) node: &'a Arc<OwnerNode>,
    pub(super) commons: &'a Arc<Commons>,
    pub(super) effort: Effort,
}

impl<'a> Requester<'a> {
    pub(crate) fn new(node: &'a Arc<OwnerNode>, commons: &'a Arc<Commons>, effort: Effort) -> Self {
        Self { node, commons, effort }
    }

    pub(crate) fn page_size(&self) -> PageSize {
        self.commons.supply.page_size
    }

    pub(super) fn supply(&self) -> &'a Supply {
        &self.commons.supply
    }
}
