//! Which owners are asked to give memory back, in what order, and which requests wait in vain.
//!
//! ```text
//! rounds    the thread: it looks, has the machine decide, and carries that out
//! calls     calls into owners, and what becomes of them; reclaim_threads: where these run
//! looking   what the owners hold and what waits, as numbers
//! machine   decides, by numbers and the clock alone                           pure, from here on
//! circles   requests that wait for each other
//! scope     who may give for a request; known: what is remembered of each owner
//! questions who is asked next; view: the numbers
//! ```

mod calls;
mod circles;
mod known;
mod looking;
mod machine;
mod questions;
mod reclaim_threads;
pub(crate) mod rounds;
mod scope;
mod view;
