//! Floor 3: who holds memory, and how it is shared.

pub(crate) mod arbiter;
pub(crate) mod background;
pub(crate) mod caller;
pub(crate) mod events;
pub(crate) mod holdings;
pub(crate) mod node;
pub(crate) mod owner;
pub(crate) mod reclaim;
pub(crate) mod registration;
pub(crate) mod request;
pub(crate) mod reservation;
pub(crate) mod scratch;
pub(crate) mod segment;
pub(crate) mod sharing;
pub(crate) mod worker;
