//! One owner inside: what it draws on, its account, its place in the tree, and its pages at hand.
//!
//! ```text
//! page_cache                single pages at hand, for all threads of an owner
//! charge                    bytes that an account holds for a segment, and so its owner
//! upstream  account_count   where its bytes come from; how it lives as long as they are out
//! owner_node                the owner itself, as plain data
//! page_source  supply       what it is made of
//! ```

pub(crate) mod account_count;
pub(crate) mod charge;
pub(crate) mod owner_node;
pub(crate) mod page_cache;
pub(crate) mod page_source;
pub(crate) mod supply;
pub(crate) mod upstream;
