//! Bytes under a hard limit: the budget of a manager, and the rules for it and for the accounts of
//! its owners.
//!
//! # Protocol
//!
//! 1. Bytes are reserved **before** memory is looked for and credited **after** it was given
//!    back. Crediting is Release and reserving is Acquire on the same word, so that a caller with
//!    a reservation finds the memory for it.
//! 2. A request that may still fail after its bytes were counted is *in flight*. No other is
//!    refused on the strength of bytes that it holds: that one waits until it is settled (it keeps
//!    the bytes) or undone (they come back). Budget and account each count their requests in
//!    flight in the word that has their bytes, so one reading tells whether a refusal stands. What
//!    is done in flight is short: a search of the free list at most, which waits for claims in
//!    flight there, which wait for nobody. So no waiting goes in circles.
//! 3. An account is raised after the budget granted what the account needs of it. An account's
//!    first `minimum` bytes were reserved when it was opened; only what lies beyond is taken from
//!    the budget. Since that depends on what the account holds, a refusal by the budget stands
//!    only if the account did not change meanwhile, which its version tells.
//! 4. Closing is a bit of the same word: no reservation succeeds after it, but from allowances
//!    that were not ended yet. Whatever refuses a request then, at whichever level, it is told that
//!    the budget is closed, so that nobody waits for what will not come.
//! 5. An account may take more from its parent than it needs, in quanta, and take from these
//!    without asking (`allowance`).
//! 6. Accounts form a tree. What is said of the budget above holds for every account that is the
//!    parent of others: they take from it, in flight, what they need beyond their own minimum. It
//!    takes what it needs beyond its own from *its* parent first, in flight there. A request
//!    waits at one level only while it is in flight at none.
//! 7. A request that waits in line says so in the word of the level that refused it, and then is
//!    tried once more. A thread that gives bytes back learns it from the same word, in the same
//!    step, and serves the line (`wait_queue`). So either the request that waits finds the
//!    bytes, or that thread finds the request. What a request in flight gives back needs no
//!    telling. The one that waits does so until nothing is in flight (2). From then on only those
//!    in line begin (8).
//! 8. While a level is awaited, it gives bytes to requests whose turn it is. Any other request gets
//!    only what is within its own minimum.
//! 9. A drainer marks a level, passes a full fence, and goes through all that may be open below,
//!    one thing at a time: it has it in hand, shuts it, gives back what is there, and lets go. A
//!    thread that opens something has that in hand. It lets drainers find it, passes a full fence,
//!    and opens it if it then finds no mark at its level or above. So the drainer finds what is
//!    open, or the thread finds the mark, and nothing is at hand in the end, or locked. Marks are
//!    counted, since several drainers may be at work.

mod account_word;
mod outcome;
mod parent;
mod queue_position;
mod root;
mod watch;

pub(in crate::ledger) use account_word::{
    AccountWord, CHANGE, IN_FLIGHT, RESERVED_BYTES_MAX, set_awaited, tell_of_paid,
};
pub use outcome::{Credit, FirstCharge, Refused, Remainder};
pub(in crate::ledger) use outcome::{kept, opened};
pub use parent::{Drainers, Parent};
#[cfg(not(offheap_loom))]
pub use queue_position::LEVELS_MAX;
pub use queue_position::{HasWaiters, QueuePosition};
pub use root::Budget;
