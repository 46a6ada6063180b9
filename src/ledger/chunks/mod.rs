//! The free pages of chunks, a word each: the truth that every hint is checked against.

mod claims;
mod held;
mod runs;
mod word;
mod words;

pub(crate) use claims::{Claim, Claims};
pub use held::{HeldPages, HeldRun, Lent};
pub(crate) use runs::{FreeRun, chunk_parts, free_runs};
pub(crate) use word::{ChunkWord, LowEnd};
pub use words::Words;
