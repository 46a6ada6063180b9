//! The lock-free set of free pages: one word per chunk, and hints that find the right chunk.
//!
//! ```text
//!   bins (hints)               whole, page chunks (hints)     a bin holds the chunks in which a
//!   |1|2|3| ... |128| ... |    | |   | |                      free run of its length starts
//!      |   \\          |        |       |
//!   [chunk 0][chunk 1][chunk 2][chunk 3] ...                  the words (truth): a set bit is a
//!                                                             free page
//! ```
//!
//! # Protocol
//!
//! 1. **The word is the truth.** Pages are taken by a compare-exchange that clears their bits and
//!    released by a `fetch_or` that sets them. The thread that cleared a bit holds the page.
//! 2. Releasing is Release and taking is Acquire, on the same word, so what a holder wrote to a
//!    page, and the release itself, happen before the next holder's first access.
//! 3. Everything else is a hint. A chunk is *due* in some sets. In `page_chunks` while its role is
//!    `Pages` and a page of it is free; in `whole` while it is whole; in a bin while a run of that
//!    length starts in it. Runs are maximal, cross chunks, and keep out of chunks with role
//!    `Pages`. A chunk may be filed where it is not due, but once all is quiet it is filed wherever
//!    it is due.
//! 4. After changing a word, read the role, **then** file the chunk in every set where it is due
//!    now and was not before; always with a read-modify-write.
//! 5. A search that finds a chunk filed where it is not due takes it out, **reads word and role
//!    again**, and files it again if it is due after all. As both are read-modify-writes of the
//!    same hint, the thread that files comes second, and its bit stands; or it comes first, and the
//!    reading sees what it filed.
//! 6. A thread that took or released pages files the runs that have or adjoin them. Where such a
//!    run meets the border of a chunk, a **full fence** comes between the change and the reading of
//!    the neighbours' words. Of all that changed pages of a run or beside it, the one whose fence
//!    came last reads what all of them wrote, and so files it as it is. A run that meets no border
//!    is in one word, and the thread that changed that last knows it.
//! 7. A role changes only with the compare-exchange that takes the first pages of a whole chunk.
//!    The thread that changes it holds pages of the chunk until done, so no other can. Having
//!    stored the role, it reads the word with a read-modify-write, and files by what it finds. A
//!    change before that is in the word it reads; a change after it sees the new role, by 4.
//! 8. A run that crosses chunks is taken chunk by chunk in ascending order. Where a page is gone,
//!    all that was taken is released again **and the claim has failed**: the search starts over.
//!    No search reports "no hole" while such a claim was in flight (`claims`).
//! 9. A page that is reserved in a budget exists: pages are released before they are credited.
//!    So a search for single pages goes on until it finds one; each round that it loses, another
//!    thread won a page.

mod best;
mod by_group;
mod inspect;
mod list;
mod pieces;
mod runs;
mod search;
mod strategy;

pub use list::FreeList;
pub use strategy::Strategy;
