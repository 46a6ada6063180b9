//! On whose behalf memory is asked for, and what may be done to get it.

use std::sync::Arc;

use crate::base::units::PageSize;
pub(crate) use crate::owners::node::owner_node::Effort;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;
use crate::owners::sharing::commons::Commons;

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
