//! Threads that hand each other pages through the core alone, for thread sanitizer:
//! `scripts/tsan.sh` runs it.
//!
//! Thread sanitizer sees what was compiled for it: this package and the core, and not the standard
//! library. So the threads are the system's own, no lock of the standard library is fought over,
//! and everything that is made once is made before they start. What orders one holder of a page
//! before the next is the core alone: a turn is passed on without ordering.

#[cfg(unix)]
mod threads;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    threads::run()
}

#[cfg(not(unix))]
fn main() {}
