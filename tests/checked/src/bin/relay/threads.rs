//! Threads of the system, and what they do with pages.

use std::error::Error;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, mem, ptr};

use offheap::{MemoryManager, Owner};

const PAGE: usize = 4 << 10;
const THREADS: usize = 3;
const TURNS: usize = 30;
const ROUNDS: usize = 500;

/// What the threads share.
struct Shared {
    owner: Owner,
    /// Gives each thread its number.
    started: AtomicUsize,
    /// Whose turn it is. Passing it on orders nothing.
    turn: AtomicUsize,
    /// Allocations that were refused.
    refused: AtomicUsize,
}

pub fn run() -> Result<(), Box<dyn Error>> {
    // One shelf for all, so that each thread gets the page that the last one gave back.
    let builder = MemoryManager::builder().capacity(1024 * PAGE).page_size(PAGE).depot_pages(4);
    let manager = builder.build()?;
    let owner = manager.owner("relay").register()?;
    drop((owner.allocate_page()?, owner.allocate(3 * PAGE)?));
    let [started, turn, refused] = [const { AtomicUsize::new(0) }; 3];
    let shared = Shared { owner, started, turn, refused };
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        threads.push(start(&shared)?);
    }
    for thread in threads {
        // SAFETY: the thread was started and is joined once.
        check(unsafe { libc::pthread_join(thread, ptr::null_mut()) })?;
    }
    match shared.refused.into_inner() {
        0 => Ok(manager.verify_empty()?),
        refused => Err(format!("{refused} allocations were refused").into()),
    }
}

/// Starts a thread; `shared` lives until the caller has joined it, or the program ends.
fn start(shared: &Shared) -> io::Result<libc::pthread_t> {
    // SAFETY: a number or an address, of which zero is one.
    let mut thread: libc::pthread_t = unsafe { mem::zeroed() };
    let shared = ptr::from_ref(shared).cast_mut().cast::<c_void>();
    // SAFETY: `thread` may be written to; `body` takes what `shared` is the address of.
    check(unsafe { libc::pthread_create(&raw mut thread, ptr::null(), body, shared) })?;
    Ok(thread)
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

extern "C" fn body(shared: *mut c_void) -> *mut c_void {
    // SAFETY: by the call in `start`, the address of what lives until this thread was joined.
    let shared = unsafe { &*shared.cast::<Shared>() };
    // ORDERING: Relaxed. It hands out numbers, and nothing else.
    let me = shared.started.fetch_add(1, Ordering::Relaxed);
    take_turns(shared, me);
    all_at_once(shared);
    ptr::null_mut()
}

/// One thread after the other has the same page.
fn take_turns(shared: &Shared, me: usize) {
    for turn in (me..).step_by(THREADS).take(TURNS) {
        // ORDERING: Relaxed, on purpose: the page has to come in order by itself.
        while shared.turn.load(Ordering::Relaxed) != turn {
            // SAFETY: the call changes no memory.
            unsafe { libc::sched_yield() };
        }
        use_memory(shared, PAGE);
        // ORDERING: Relaxed, on purpose. As above.
        shared.turn.store(turn + 1, Ordering::Relaxed);
    }
}

/// Pages from the shelf or past it, and blocks from the free list.
fn all_at_once(shared: &Shared) {
    for round in 0..ROUNDS {
        use_memory(shared, (1 + round % 3) * PAGE);
    }
}

fn use_memory(shared: &Shared, bytes: usize) {
    let owner = &shared.owner;
    match if bytes == PAGE { owner.allocate_page() } else { owner.allocate(bytes) } {
        Ok(mut segment) => {
            let byte = segment[0].wrapping_add(1);
            segment[0] = byte;
            segment[bytes - 1] = byte;
        }
        Err(_) => {
            // ORDERING: Relaxed. It is read once all threads were joined.
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}
