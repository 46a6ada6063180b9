//! Floor 1: the spill file.
//!
//! ```text
//! spill_file    slots are allocated, freed, written and read
//! batches       many at once
//! device        one call, whole or with an error      slots    what is taken, free, a hole
//! system, faults   calls of the system                runs     a set of units
//! ```

mod batches;
mod device;
mod faults;
mod flag;
mod runs;
mod seal;
mod slots;
mod spill_error;
mod spill_file;
mod system;

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod testing;

pub use batches::{Read, Write};
pub use device::{DirectIo, MemoryFileSystem};
pub use faults::{Call, CallName, Fault, Faults};
pub use runs::Slot;
pub use seal::seal;
pub use spill_error::{SpillAction, SpillError};
pub use spill_file::{SpillFile, SpillFileBuilder};
