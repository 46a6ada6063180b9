//! Faults: every system call refused at every step, one process a case.
//!
//! # How it works
//!
//! 1. A test names its [`Scenario`]s. Each prepares, does one thing *armed*, and checks that what
//!    the thing came to is right: it failed and said so with numbers, or it did without; nothing
//!    was lost; and the next time it works.
//! 2. The test runs itself again, as a process of its own: once to count the system calls of the
//!    armed part, by name, and then once for every case. A case is a call, a step, an errno, and
//!    whether that step alone is refused or all from there on.
//! 3. In that process a seccomp filter hands each call of a name in [`CALLS`] to a thread beside
//!    it, which lets it pass, answers it with the errno, or kills the process.
//! 4. What the scenario holds is dropped. Then as much is mapped, as many files are open, and as
//!    many threads run, as before.
//!
//! The tests print a table of what was refused where, and how often it was an error and how often
//! the call was done without: `scripts/faults.sh` writes it to `tests/faults/CASES.md`.

#![cfg(target_os = "linux")]
#![expect(missing_debug_implementations, reason = "nobody prints what tests and benches use")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a library for tests
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate)]

mod child;
mod footprint;
mod injector;
mod scenario;

pub use child::{Child, Ended, again};
pub use footprint::Footprint;
pub use injector::{Action, CALLS, Refusing};
pub use scenario::{Fault, Faults, Outcome, Scenario, spill_dir, try_all, try_all_in_a_folder};
