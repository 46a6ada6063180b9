//! Rows with a hash, on pages of a pool that chain: what aggregation and join have in common.
//!
//! # Layout
//!
//! A page begins with a header, and rows follow each other without gaps. All numbers are
//! little-endian; everything begins at a multiple of eight bytes.
//!
//! ```text
//! page:   | bytes, u32 | rows, u32 | row | row | ...            | free |
//!
//! row:    0        8            12         16                   16 + v
//!         | hash   | value, u32 | key, u32 | value, up to eight | key, up to eight |
//! ```
//!
//! `bytes` are those of the page that are filled, with the header. A row that is larger than a page
//! begins a block of several. So an engine can read what it gets without a copy.
//!
//! # Hashes
//!
//! ```text
//! bits of the hash:  63 ......... 46 45 ......... 30 29 ........... 0
//!                    | partitions   | salt          | index          |
//! ```

pub(crate) mod hash;
pub(crate) mod index;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod pages;
pub(crate) mod partitions;
pub(crate) mod row;
