//! The same work on a page pool, foyer, `mmap` and plain files, and how it is measured.
//!
//! One process a measurement; each prints one line of JSON. The program `table` runs them in turns.

pub mod mapped;
pub mod measure;
pub mod table;
pub mod work;

/// What every function here fails with.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
