//! Asking owners to give memory back, as `deciding` has it, and ending waits in vain.
//!
//! ```text
//! rounds   the thread: it looks, has the machine decide, and carries that out
//! looking  what the owners hold and what waits, as numbers
//! calls    calls into owners, and what becomes of them
//! reclaim_threads  where these run
//! ```

mod calls;
mod looking;
mod reclaim_threads;
pub(crate) mod rounds;
