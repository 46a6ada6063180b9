//! The same work on `offheap` and on the allocators that an engine could pick instead.
//!
//! ```text
//! program tables    what `cargo bench -p rivals` runs, and the tables it fills
//! publish           where tables go
//! table plot        Markdown, SVG
//! columns/          what is measured, a file for each table or part of one
//! rows              every allocator with its work
//! turns             threads that take turns, for what is counted and not timed
//! interleave crew   rounds over all rows; threads that start together
//! probe usage       what is observed in a process of its own          unsafe: usage
//! work/             what allocators are given to do
//! trace             what a query engine asked for
//! peers/            an allocator a file, behind two small traits    unsafe: heap and its users
//! ```

#![cfg(target_os = "linux")]
#![expect(missing_debug_implementations, reason = "nobody prints what tests and benches use")]

pub mod columns;
pub mod crew;
pub mod interleave;
pub mod peers;
pub mod plot;
pub mod probe;
pub mod program;
pub mod publish;
pub mod rows;
pub mod table;
pub mod tables;
pub mod trace;
pub mod turns;
pub mod usage;
pub mod work;

/// Block sizes and random numbers, as in the benches of `offheap` itself.
#[allow(missing_docs, clippy::must_use_candidate, reason = "written as part of a bench")]
#[path = "../../benches/support/sizes.rs"]
pub mod sizes;
